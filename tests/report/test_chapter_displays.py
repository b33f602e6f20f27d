"""What the Madry chapter shows: every figure draws from records, says so where there are none, and cites them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

from robustlib.experiments.records import Metric
from robustlib.experiments.store import Store
from robustlib.papers.madry2018 import figures as drawn
from robustlib.papers.madry2018 import networks as madry
from robustlib.report import display as shown
from robustlib.report import forms

mpl.use("Agg")

DRAWINGS: dict[str, Callable[[str, Store], Any]] = {
    "loss": drawn.loss_during_pgd,
    "more losses": lambda p, s: drawn.loss_during_pgd(p, s, examples=5),
    "maxima": drawn.local_maxima,
    "capacity": drawn.capacity,
    "linf": lambda p, s: drawn.accuracy_vs_eps(p, s, "linf"),
    "l2": lambda p, s: drawn.accuracy_vs_eps(p, s, "l2"),
    "training": drawn.training_loss,
}


@pytest.fixture(scope="module")
def store(committed: Store) -> Store:
    return committed


@pytest.fixture
def bundles(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    monkeypatch.setattr(forms, "display", lambda data, raw: found.append(data))
    return found


@pytest.mark.parametrize("name", DRAWINGS)
def test_every_figure_draws_from_the_committed_smoke_records(name: str, store: Store) -> None:
    figure, alt = DRAWINGS[name]("smoke", store)
    assert len(figure.axes) >= 1
    assert len(alt) > 40


@pytest.mark.parametrize("name", DRAWINGS)
def test_without_records_a_figure_says_so(name: str, tmp_path: Path) -> None:
    assert DRAWINGS[name]("best", Store(tmp_path)) == drawn.MISSING


def test_a_cited_number_is_its_records_and_links_to_it(store: Store) -> None:
    from robustlib.attacks.suite import Clean
    from robustlib.catalogue.plan import shrink

    evaluation = madry.accuracy(madry.network(), Clean())
    small = shrink(evaluation, "smoke")
    assert small is not None
    record = store.find(small, "smoke")
    assert record is not None
    text = shown.cite(evaluation, "smoke", store)
    assert text.startswith(f"[{record.metrics['accuracy'].value:.1%} (")
    assert f"(#{shown.record_target(record.path)})" in text
    assert "digits" not in shown.cite(evaluation, "best", store), "stand-in records never reach a published page"


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        (Metric(0.935, 1000, 0.918, 0.949), "93.5% (91.8 to 94.9)"),
        (Metric(1.598, 100, 1.491, 1.705, unit="l2"), "1.60 (1.49 to 1.71)"),
        (Metric(4.773, 10, 4.751, 4.796, unit="logits"), "4.77 logits (4.75 to 4.80)"),
        (Metric(2.5, 10, unit="nats"), "2.50 nats"),
    ],
)
def test_a_number_in_a_sentence_has_its_unit_and_interval(metric: Metric, text: str) -> None:
    assert shown._told(metric) == text


def test_tables_carry_both_forms_and_say_digits(store: Store, bundles: list[dict[str, str]]) -> None:
    shown.show_item("madry2018/table-1", "smoke", store)
    assert "{list-table}" in bundles[0]["text/markdown"]
    assert ":name: table-madry2018-table-1" in bundles[0]["text/markdown"]
    assert "<table" in bundles[0]["text/html"]
    assert "digits stand-in" in bundles[0]["text/plain"]


def test_claims_link_to_their_records(store: Store, bundles: list[dict[str, str]]) -> None:
    shown.show_statements("madry2018/local-maxima/mnist", "smoke", store)
    assert "(#record-smoke-" in bundles[0]["text/markdown"]


def test_a_record_target_is_the_anchor_of_its_page() -> None:
    path = "results/quick/mnist-madry_cnn16-pgd-s0/pgd100x20-transfer-0a1b2c3d.json"
    assert shown.record_target(path) == "record-quick-mnist-madry-cnn16-pgd-s0-pgd100x20-transfer-0a1b2c3d"
