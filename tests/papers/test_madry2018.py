"""Madry et al. on MNIST: every published number has its cell, and the specifications say what the paper says."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from robustlib.attacks.suite import Boundary, Clean, Pgd
from robustlib.experiments import profiles
from robustlib.experiments.specs import (
    Accuracy,
    Distances,
    Evaluation,
    LocalMaxima,
    LossTrace,
    TrainingCurve,
    WorstCase,
)
from robustlib.papers import madry2018 as paper
from robustlib.papers import plan
from robustlib.papers.base import Cell, find_item, published, published_of
from robustlib.threat import L2Ball, LinfBall
from robustlib.training import PgdTraining, Schedule
from tests.experiments.tiny import fabricate

CELLS = paper.cells()


def of(item: str) -> list[Cell]:
    return [cell for cell in CELLS if cell.item == item]


def test_table_1_has_its_seventeen_rows_with_published_numbers() -> None:
    rows = of("madry2018/table-1")
    assert len(rows) == len(published_of("madry2018/table-1")) == 17
    for cell in rows:
        assert cell.published is not None
        assert cell.published.value is not None
        assert cell.published.verified
        assert len(cell.evaluations) == 5
        assert [evaluation.subject.seed for evaluation in cell.evaluations] == list(range(5))
    values = {cell.row: cell.published.value for cell in rows if cell.published}
    assert len(values) == 17
    assert values["Natural"] == 98.8
    assert values["PGD 100/20, source A"] == 89.3
    sources = Counter(cell.row.rpartition("source ")[2] for cell in rows)
    assert sources == {"Natural": 1, "A": 8, "A'": 5, "B": 3}


@pytest.mark.parametrize(
    ("item", "panel"),
    [
        ("madry2018/table-1", "madry2018/table-1"),
        ("madry2018/capacity", "madry2018/capacity/mnist"),
        ("madry2018/accuracy-vs-eps", "madry2018/accuracy-vs-eps/mnist"),
    ],
)
def test_every_published_number_on_mnist_belongs_to_exactly_one_cell(item: str, panel: str) -> None:
    used = Counter(cell.published.id for cell in of(panel) if cell.published)
    wanted = [n.id for n in published() if n.item == item and "CIFAR" not in f"{n.row} {n.column}"]
    assert set(used) == set(wanted)
    assert max(used.values()) == 1
    assert len({(cell.row, cell.column) for cell in of(panel)}) == len(of(panel))


def test_each_cell_can_be_measured_or_says_why_not() -> None:
    assert CELLS
    for cell in CELLS:
        assert find_item(cell.item).paper == "madry2018"
        assert bool(cell.evaluations) != bool(cell.unavailable), f"{cell.item} {cell.row} {cell.column}"
        assert cell.protocol_known or cell.note


def test_each_cells_metric_is_one_that_its_measurement_makes() -> None:
    for cell in CELLS:
        for evaluation in cell.evaluations:
            assert cell.metric in fabricate(evaluation).metrics
            percent = isinstance(evaluation.measurement, Accuracy | Distances | WorstCase)
            assert (cell.unit, cell.scale) == (("%", 100.0) if percent else ("nats", 1.0))
            # published.csv has "%" for panel (d) as well; the paper's axis is a cross-entropy.
            assert cell.published is None or cell.published.unit == cell.unit or cell.row.startswith("(d)")


def test_the_protocol_is_the_papers() -> None:
    a = paper.network()
    assert a.dataset == "mnist"
    assert (a.model.name, a.model.width) == ("madry_cnn", 16)
    assert a.defence == PgdTraining(LinfBall(0.3), steps=40, step_size=0.01)
    assert a.schedule == Schedule(steps=100_000, batch=50, lr=1e-4, reduction="sum")
    assert a.rows == (5_000, 60_000)
    attacks = {cell.row: cell.evaluations[0].measurement for cell in of("madry2018/table-1")}
    strongest = attacks["PGD 100/20, source A"]
    assert isinstance(strongest, Accuracy)
    assert strongest.attack == Pgd(steps=100, step_size=0.01, restarts=20)
    assert strongest.threat == LinfBall(0.3)
    assert strongest.search == "float32"
    natural = attacks["Natural"]
    assert isinstance(natural, Accuracy)
    assert (natural.attack, natural.threat) == (Clean(), None)
    kappas = {name: getattr(getattr(what, "attack", None), "kappa", None) for name, what in attacks.items()}
    assert kappas["CW 40/1, source A"] == 0.0
    assert kappas["CW+ 40/1, source A"] == 50.0
    assert all(cell.evaluations[0].subset.n is None for cell in of("madry2018/table-1"))


def test_transfers_come_from_the_named_networks() -> None:
    a_prime, b = paper.source_of("A'", 0), paper.source_of("B", 0)
    assert paper.source_of("A", 0) is None
    assert a_prime == paper.network(seed=1)
    assert paper.source_of("A'", 1) == paper.network(seed=0)
    assert b is not None
    assert b.model.name == "architecture_b"
    for cell in of("madry2018/table-1"):
        for evaluation in cell.evaluations:
            source = getattr(evaluation.measurement, "source", None)
            assert source != evaluation.subject
            assert (source is not None) == cell.row.endswith(("A'", "source B"))


def test_figures_measure_what_they_show() -> None:
    trace, maxima = paper.trace("natural").measurement, paper.maxima("PGD").measurement
    assert isinstance(trace, LossTrace)
    assert (trace.steps, trace.runs) == (100, 20)
    assert isinstance(maxima, LocalMaxima)
    assert maxima.starts == 100_000
    assert paper.trace("natural").subset.n == 5
    swept = paper.sweep("PGD", "l2", 4.0).measurement
    assert isinstance(swept, Accuracy)
    assert swept.attack == Pgd(steps=100, step_size=0.1)
    assert swept.threat == L2Ball(4.0)
    assert paper.sweep("PGD", "linf", 0.0) == paper.accuracy(paper.network(), Clean())
    decision = paper.distances("PGD", "linf").measurement
    assert isinstance(decision, Distances)
    assert decision.attack == Boundary(steps=2_000)
    for cell in of("madry2018/accuracy-vs-eps/mnist"):
        if cell.metric != "accuracy":
            assert float(cell.metric.partition("@")[2]) == float(cell.row.partition("eps=")[2])


# Claims -------------------------------------------------------------------------------------------------------


def test_each_figure_makes_one_to_three_claims() -> None:
    claims = Counter(predicate.item for predicate in paper.predicates())
    figures = {cell.item for cell in CELLS if find_item(cell.item).kind == "figure"}
    assert set(claims) == figures
    assert all(1 <= count <= 3 for count in claims.values())
    assert len({predicate.text for predicate in paper.predicates()}) == sum(claims.values())


def test_claims_need_what_the_profiles_run() -> None:
    for predicate in paper.predicates():
        for profile in profiles.NAMES:
            assert all(plan.shrink(full, profile) is not None for full in predicate.needs)
        for full in predicate.needs:
            assert isinstance(full, Evaluation)


WORDS = ("ends below", "then plateaus", "concentrated", "falls by half", "overestimates", "at most 5 %")


@pytest.mark.parametrize("words", WORDS)
def test_a_claim_can_hold_and_can_fail(words: str) -> None:
    (predicate,) = [p for p in paper.predicates() if words in p.text]
    values = {
        "ends below": ([9.0, 2.0], [2.0, 9.0]), "overestimates": ([0.9, 0.2], [0.9, 0.8]),
        "at most 5 %": ([0.02] * len(predicate.needs), [0.5] * len(predicate.needs)),
    }.get(words, ([0.5] * len(predicate.needs),) * 2)  # fmt: skip
    good, bad = ([fabricate(e, correct=v) for e, v in zip(predicate.needs, some, strict=True)] for some in values)
    if words == "then plateaus":
        good = [replace(r, series={"example_0": [[0.0, 4.0, 5.0, 5.1, 5.2]]}) for r in good]
        bad = [replace(r, series={"example_0": [[0.0, 1.0, 2.0, 3.0, 4.0]]}) for r in bad]
    elif words == "concentrated":
        ratio = replace(bad[0].metrics["max_over_median_0"], value=7.0)
        bad = [replace(bad[0], metrics={"max_over_median_3": ratio})]
    elif words == "falls by half":
        bad = [replace(r, series={"loss": [2.3, 2.2]}) for r in bad]
    assert predicate.test(good) is True
    assert predicate.test(bad) is False


def test_training_curves_are_of_the_network_they_name() -> None:
    for cell in CELLS:
        if cell.column.startswith("cross-entropy"):
            assert all(isinstance(evaluation.measurement, TrainingCurve) for evaluation in cell.evaluations)
