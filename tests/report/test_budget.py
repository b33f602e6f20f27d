"""What hours of one GPU buy: purchases in their order, cut where the hours end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from robustlib.book.budget import page, spend
from robustlib.catalogue import plan
from robustlib.catalogue.base import find_item
from robustlib.catalogue.plan import Purchase
from robustlib.experiments.runner import Job
from robustlib.experiments.store import Store
from robustlib.spec.evaluation import Evaluation
from robustlib.spec.keys import key
from tests.experiments.tiny import CLEAN, FGSM, NETWORK, OTHER, PGD, TRANSFER, file


def purchase(evaluation: Evaluation, hours: float, cells: float = 1.0) -> Purchase:
    return Purchase((Job(evaluation, evaluation),), cells, 3600 * hours)


def test_hours_end_where_the_next_network_does_not_fit() -> None:
    bought = [purchase(CLEAN, 0.5), purchase(FGSM, 0.5, 2.0), purchase(PGD, 0.9), purchase(TRANSFER, 0.5)]
    waiting = {
        "one": {key(CLEAN)},
        "two": {key(CLEAN), key(PGD)},
        "late": {key(FGSM), key(TRANSFER)},
        "there already": set(),
    }
    (first, second), beyond = spend(bought, waiting, 2)
    assert first.bought == tuple(bought[:2])
    assert (first.cells, first.hours, first.finished) == (3.0, 1.0, ("one",))
    assert (second.bought, second.finished) == ((bought[2],), ("two",))
    assert (beyond.bought, beyond.finished) == ((bought[3],), ("late",)), "it would end after the second hour"


def test_nothing_is_taken_out_of_turn() -> None:
    bought = [purchase(CLEAN, 5.0), purchase(FGSM, 0.1)]
    hours, beyond = spend(bought, {}, 4)
    assert [hour.bought for hour in hours] == [()] * 4
    assert beyond.bought == tuple(bought)


def test_purchases_pay_for_a_shared_network_once_and_leave_the_worthless_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "items", lambda: ())
    slow = replace(NETWORK, schedule=replace(NETWORK.schedule, steps=60_000))
    jobs = [Job(e, e) for e in (replace(CLEAN, subject=slow), TRANSFER, CLEAN, replace(CLEAN, subject=OTHER))]
    found = plan.purchases(jobs, "full", "cpu")
    assert [len(part.jobs) for part in found] == [1, 2, 1]
    assert all(part.cells == 0 for part in found)
    assert found[0].jobs[0].evaluation.subject == OTHER, "what costs least comes first"
    assert [part.seconds for part in found] == sorted(part.seconds for part in found)
    total = sum(part.seconds for part in found)
    alone = [plan.purchases([job], "full", "cpu")[0].seconds for job in jobs]
    assert total < sum(alone), "the transfer's source was paid for with its own measurement"
    assert plan.by_value(jobs, "full", "cpu") == [job for part in found for job in part.jobs]


def test_the_page_counts_what_has_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = find_item("madry2018/table-1")
    monkeypatch.setattr(plan, "select", lambda names: [table])
    monkeypatch.setattr("robustlib.book.budget.items", lambda: (table,))
    before = page(Store(tmp_path))
    assert "Beyond 4 hours lie 0 networks" in before
    assert "`madry2018/table-1`" in before
    assert "mnist-madry_cnn16-pgd" in before
    networks = {key(job.evaluation.subject) for job in plan.jobs([table], "full")}
    monkeypatch.setattr("robustlib.book.budget.HOURS", 0)
    everything = page(Store(tmp_path))
    assert f"Beyond 0 hours lie {len(networks)} networks" in everything
    assert f"| mnist-madry_cnn16-pgd | {len(networks)} |" in everything
    monkeypatch.setattr("robustlib.book.budget.SHOWN", 100)
    assert f"| 1 kinds below 100 hours each | {len(networks)} |" in page(Store(tmp_path))
    monkeypatch.undo()
    monkeypatch.setattr(plan, "select", lambda names: [table])
    monkeypatch.setattr("robustlib.book.budget.items", lambda: (table,))
    for job in plan.jobs([table], "full"):
        file(tmp_path, job.evaluation)
    after = page(Store(tmp_path))
    assert "| 0 to 1 | 0 | 0.0 | none | none | none |" in after
