"""Papernot et al.: every published number has its cell, and the specifications say what the paper says."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from robustlib.attacks.suite import CarliniWagner, Jsma
from robustlib.catalogue import plan
from robustlib.catalogue.base import Cell
from robustlib.evaluate.accuracy import AccuracyVariation
from robustlib.evaluate.distances import Distances
from robustlib.evaluate.saturation import Outputs
from robustlib.evaluate.suite_accuracy import WorstCase
from robustlib.evaluate.targeted import Targeted
from robustlib.papers.papernot2016 import claims as claimed
from robustlib.papers.papernot2016 import networks as specs
from robustlib.papers.papernot2016 import tables as paper
from robustlib.training import Distillation, Standard
from tests.experiments.tiny import WHOLE_ITEMS, fabricate

CELLS = paper.cells()


def of(item: str) -> list[Cell]:
    return [cell for cell in CELLS if cell.item == f"papernot2016/{item}"]


@pytest.mark.parametrize("dataset", ["mnist", "cifar10"])
def test_a_dataset_has_the_papers_nineteen_networks(dataset: str) -> None:
    found = {network for cell in CELLS for e in cell.evaluations for network in e.lineage if network.dataset == dataset}
    first = {network for network in found if network.seed in (0, 10)}
    assert len(first) == 19
    assert Counter(type(network.defence) for network in first) == {Standard: 10, Distillation: 9}
    assert len(found) == 3 * 19


def test_the_recipe_is_that_of_table_2() -> None:
    mnist, cifar = specs.baseline("mnist").schedule, specs.baseline("cifar10").schedule
    assert (mnist.optimiser, mnist.lr, mnist.momentum, mnist.batch, mnist.steps) == ("sgd", 0.1, 0.5, 128, 23_400)
    assert mnist.decay == ()
    rates = [cifar.rate(step) for step in (0, 3_899, 3_900, 7_800, 15_600, 19_499)]
    assert rates == pytest.approx([0.01, 0.01, 0.005, 0.0025, 0.01 / 16, 0.01 / 16])
    assert cifar.inertia(0) == 0.9
    assert cifar.inertia(7_800) == pytest.approx(0.9 / 4)
    assert cifar.steps == 50 * 390


def test_students_learn_from_a_teacher_of_their_own_temperature_and_other_weights() -> None:
    for temperature in specs.TEMPERATURES:
        student = specs.student("mnist", temperature)
        assert student.teacher == specs.teacher("mnist", temperature)
        assert student.start is None
        assert student.teacher.defence == Standard(temperature=temperature)
        assert isinstance(student.defence, Distillation)
        assert student.defence.temperature == temperature
        assert student.seed != student.teacher.seed
        assert student.schedule == student.teacher.schedule


def test_the_attack_is_the_papers() -> None:
    mnist, cifar = (specs.attempts(specs.baseline(name)) for name in ("mnist", "cifar10"))
    assert mnist.measurement == Targeted(Jsma(features=112, fill=1.0, outputs="softmax", temperature=1.0, protocol=1))
    assert mnist.subset.n == 100
    assert isinstance(cifar.measurement, Targeted)
    low, high = -2.22, 2.62
    assert cifar.measurement.attack.fill * (high - low) + low == pytest.approx(2.0)
    whole = specs.minimal(specs.baseline("mnist"))
    assert isinstance(whole.measurement, Targeted)
    assert (whole.measurement.attack.features, whole.measurement.cap, whole.subset.n) == (784, 112, None)
    undone = specs.undone("mnist", "T=100").measurement
    assert isinstance(undone, Targeted)
    assert undone.attack == replace(mnist.measurement.attack, temperature=100.0)


def test_what_broke_it_is_measured_at_both_ends() -> None:
    for label in (specs.NONE, "T=100"):
        found = [e.measurement for cell in of("breaking/mnist") if cell.row == label for e in cell.evaluations]
        outputs = {m.attack.outputs for m in found if isinstance(m, Targeted)}
        assert outputs == {"softmax", "logits"}
        norms = {m.norm for m in found if isinstance(m, Distances) and isinstance(m.attack, CarliniWagner)}
        assert norms == {"l2", "linf"}
        assert any(isinstance(m, WorstCase) for m in found)
    boundary = [e.measurement for cell in of("breaking/mnist") for e in cell.evaluations if "decision" in cell.column]
    assert {m.temperature for m in boundary if isinstance(m, Outputs)} == set(specs.TEMPERATURES)


def test_where_the_paper_contradicts_itself_both_numbers_stand() -> None:
    values = {cell.row: cell.published.value for cell in of("success-rate/cifar10") if cell.published}
    assert values["T=20"] == 18.23
    assert values["T=20, text of section V.B"] == 16.76
    shares = {(c.row, c.column): c.published.value for c in of("robustness/mnist") if c.published}
    assert shares["T=40", "robustness rho_adv, summary on page 10"] == 14.08
    assert shares["T=20", "robustness rho_adv, section V.D"] == 13.79


def test_reduced_profiles_begin_with_one_network_and_drop_no_temperature() -> None:
    for name in ("smoke", "quick"):
        for dataset in ("mnist", "cifar10"):
            shrunk = [plan.shrink(specs.attempts(specs.network(dataset, label)), name) for label in specs.LABELS]
            assert all(evaluation is not None for evaluation in shrunk)
            starts = {network.lineage[0] for e in shrunk if e is not None for network in e.networks}
            assert len(starts) == 1
            for evaluation in shrunk:
                assert evaluation is not None
                assert evaluation.subject.start in starts
                assert (evaluation.subject.rows or (5_000,))[0] == 5_000
    change = plan.shrink(specs.variation("mnist", "T=5"), "quick")
    assert change is not None
    assert isinstance(change.measurement, AccuracyVariation)
    assert change.measurement.baseline == plan.shrink(specs.attempts(specs.baseline("mnist")), "quick").subject  # type: ignore[union-attr]


# Claims -------------------------------------------------------------------------------------------------------


def test_claims_need_what_the_profiles_run() -> None:
    planned = Counter(predicate.item for predicate in claimed.predicates())
    assert all(1 <= count <= 3 for count in planned.values())
    for predicate in claimed.predicates():
        for profile in WHOLE_ITEMS:
            assert all(plan.shrink(full, profile) is not None for full in predicate.needs)


# Of each claim: the metric, values of its records for which it holds, and for which it does not.
CLAIMS: list[tuple[str, str, list[float], list[float]]] = [
    ("ten times larger", "logit_size", [5.0, 50.0], [5.0, 49.0]),
    ("under 112 features", "features", [30.0], [112.0]),
    ("raises the least number", "rho", [0.02, 0.03], [0.02, 0.02]),
    ("smaller at that temperature", "max_output_at_T", [0.1], [1.0]),
    ("knows over 95 %", "accuracy", [0.96], [0.95]),
    ("below 5 %", "success", [0.04], [0.05]),
    ("over 80 %", "success", [0.9], [0.8]),
    ("at most 1.5 points", "variation", [-1.4] * 9, [0.0] * 8 + [-1.6]),
    ("by 10^30 or more", "median_log10", [-4.0, -34.0], [-4.0, -33.0]),
    ("float32 leaves over half", "zero_float32", [0.6], [0.5]),
]


def test_every_claim_is_tried() -> None:
    tried = [[words for words, *_ in CLAIMS if words in predicate.text] for predicate in claimed.predicates()]
    assert sorted(words for found in tried for words in found) == sorted(words for words, *_ in CLAIMS)
    assert all(len(found) == 1 for found in tried)


@pytest.mark.parametrize(("words", "metric", "good", "bad"), CLAIMS, ids=[words for words, *_ in CLAIMS])
def test_a_claim_can_hold_and_can_fail(words: str, metric: str, good: list[float], bad: list[float]) -> None:
    (predicate,) = [p for p in claimed.predicates() if words in p.text]
    for values, holds in ((good, True), (bad, False)):
        records = []
        for evaluation, value in zip(predicate.needs, values, strict=True):
            made = fabricate(evaluation)
            changed = replace(made.metrics[metric], value=value, low=None, high=None)
            records.append(replace(made, metrics=made.metrics | {metric: changed}))
        assert predicate.test(records) is holds
