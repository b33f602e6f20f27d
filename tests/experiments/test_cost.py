"""Estimated seconds against what committed trainings and evaluations took; operations of whole ones."""

from __future__ import annotations

import statistics
from dataclasses import replace

import pytest

from robustlib.attacks.suite import Pgd, Square
from robustlib.catalogue import plan
from robustlib.data.registry import facts_of
from robustlib.evaluate.accuracy import Accuracy
from robustlib.evaluate.cascades import CascadeBound, Estimated
from robustlib.evaluate.certificates import Certificate
from robustlib.evaluate.groups import Groups
from robustlib.evaluate.suite_accuracy import WorstCase
from robustlib.evaluate.update_time import Cost
from robustlib.experiments.cost import (
    RATES,
    Sample,
    evaluation_flops,
    evaluation_seconds,
    fitted,
    samples,
    training_flops,
    training_seconds,
)
from robustlib.experiments.price import Price
from robustlib.experiments.runner import Job
from robustlib.experiments.store import Store
from robustlib.models import ModelSpec
from robustlib.spec.evaluation import Evaluation
from robustlib.spec.network import Network
from robustlib.threat import LinfBall
from robustlib.training import Certified, Distillation, Schedule
from tests.experiments.tiny import CLEAN, FGSM, NETWORK, fabricate

BALL = LinfBall(0.1)
DENSE = Network("digits", ModelSpec("wong_dense", 50), Certified(BALL), Schedule(10, batch=20, lr=1e-3))
FACTOR = 4.0
"""Within which estimates lie of what a machine takes that does nothing else."""


def test_a_training_is_its_updates_and_what_others_are_asked_first() -> None:
    assert training_flops(NETWORK) == Price().update(NETWORK) * NETWORK.schedule.steps
    student = replace(NETWORK, defence=Distillation(20.0), parents=(NETWORK,))
    labels = Price().forward(NETWORK) * facts_of("digits").n_train
    assert training_flops(student) == pytest.approx(training_flops(NETWORK) + labels)
    later = replace(DENSE, earlier=(DENSE,), rows=(0, 100))
    certificates = evaluation_flops(Evaluation(DENSE, Certificate(BALL)), 100)
    assert training_flops(later) == pytest.approx(training_flops(DENSE) + certificates)


def test_certificates_are_counted_wherever_they_are_made() -> None:
    exact = evaluation_flops(Evaluation(DENSE, Certificate(BALL)), 10)
    assert evaluation_flops(Evaluation(DENSE, Groups(BALL)), 10) == exact
    assert evaluation_flops(Evaluation(DENSE, CascadeBound(BALL)), 10) == exact
    assert evaluation_flops(Evaluation(DENSE, CascadeBound(BALL, searched=10)), 10) > exact
    assert evaluation_flops(Evaluation(DENSE, Estimated(BALL)), 10) > exact
    update = Price().update(replace(DENSE, schedule=replace(DENSE.schedule, batch=10)))
    assert evaluation_flops(Evaluation(DENSE, Cost(BALL, repeats=3)), 10) == 3 * update


def test_attacks_are_counted_by_their_passes() -> None:
    pgd, square = (evaluation_flops(Evaluation(NETWORK, Accuracy(a, BALL)), 50) for a in (Pgd(10, 0.02), Square(20)))
    assert pgd == pytest.approx(square)
    assert evaluation_flops(Evaluation(NETWORK, WorstCase(BALL)), 50) > 100 * pgd


def test_idle_lanes_take_time_and_are_no_operations() -> None:
    """One channel leaves fifteen of sixteen lanes idle; images have few too, which convolutions know."""
    narrow, wide = (replace(NETWORK, model=ModelSpec("madry_cnn", width)) for width in (1, 16))
    exact, issued = ([price.forward(network) for network in (narrow, wide)] for price in (Price(), Price(issued=True)))
    assert issued[0] > 3 * exact[0]
    assert issued[1] == exact[1]
    assert evaluation_seconds(CLEAN, "cpu") > evaluation_flops(CLEAN, CLEAN.points) / RATES["cpu"]["float32"]


def test_time_follows_the_device_and_the_precision() -> None:
    half = replace(NETWORK, schedule=replace(NETWORK.schedule, precision="bfloat16"))
    for device, rates in RATES.items():
        ratio = training_seconds(NETWORK, device) / training_seconds(half, device)
        assert ratio == pytest.approx(rates["bfloat16"] / rates["float32"])


def test_samples_are_long_and_a_training_is_one() -> None:
    record = fabricate(CLEAN, training_cpu_s=60.0, cpu_s=29.0, device="X, 1 threads")
    again = replace(record, cpu_s=31.0)
    on_gpu = replace(record, device="H200", training_key="0" * 16, training_s=40.0, wall_s=50.0, training_cpu_s=0.0)
    found = list(samples([record, again, on_gpu]))
    assert [(s.device, s.seconds) for s in found] == [("cpu", 60), ("cpu", 31), ("cuda", 40), ("cuda", 50)]
    assert [sample.name for sample in found[:2]] == [NETWORK.name, f"{NETWORK.name}/clean"]
    rates = fitted([record, again, on_gpu])
    assert rates["cpu", "float32"] == (statistics.median(s.operations / s.seconds for s in found[:2]), 2)


def test_values_follow_verified_numbers_for_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of networks that no number waits for, those that cost least come first."""
    monkeypatch.setattr(plan, "items", lambda: ())
    slow = replace(NETWORK, schedule=replace(NETWORK.schedule, steps=60_000))
    first = [replace(CLEAN, subject=slow), CLEAN, FGSM]
    found = plan.by_value([Job(e, e) for e in first], "full", "cpu")
    assert [job.evaluation for job in found] == [CLEAN, FGSM, first[0]]
    monkeypatch.undo()
    verified = [cell for cell in plan.cells_of("madry2018/table-1") if cell.published and cell.published.verified]
    worthy = replace(verified[0].evaluations[0])
    ordered = plan.by_value([Job(CLEAN, CLEAN), Job(worthy, worthy)], "full", "cpu")
    assert ordered[0].evaluation == worthy


@pytest.fixture(scope="module", name="measured")
def _measured(committed: Store) -> list[Sample]:
    return [sample for sample in samples(committed.records()) if sample.device == "cpu"]


def test_the_rates_are_those_of_the_committed_records(measured: list[Sample]) -> None:
    for precision in ("float32", "bfloat16"):
        rates = [s.operations / s.seconds for s in measured if s.precision == precision]
        assert len(rates) >= 60
        assert 0.5 < RATES["cpu"][precision] / statistics.median(rates) < 2


def test_estimates_lie_near_what_was_measured(measured: list[Sample]) -> None:
    """Nine in ten within a factor of four; a record made beside other processes may take four times as long again."""
    ratios = [(s.name, s.seconds * RATES["cpu"][s.precision] / s.operations) for s in measured]
    near = [name for name, ratio in ratios if 1 / FACTOR < ratio < FACTOR]
    assert len(near) >= 0.9 * len(ratios)
    assert all(1 / FACTOR < ratio < FACTOR**2 for _, ratio in ratios), ratios
