"""Madry et al. on MNIST: every published number has its cell, and the specifications say what the paper says."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import pytest

from robustlib.attacks.suite import Boundary, Clean, Fgsm, Pgd
from robustlib.catalogue import plan
from robustlib.catalogue.base import Cell, Predicate, find_item, published_of
from robustlib.evaluate.accuracy import Accuracy, Attacked
from robustlib.evaluate.distances import Distances
from robustlib.evaluate.losses import LocalMaxima, LossTrace, TrainingCurve
from robustlib.experiments.runner import Job
from robustlib.models import ModelSpec
from robustlib.papers.madry2018 import cifar, small
from robustlib.papers.madry2018 import claims as claimed
from robustlib.papers.madry2018 import networks as madry
from robustlib.papers.madry2018 import tables as paper
from robustlib.spec.evaluation import Evaluation
from robustlib.threat import L2Ball, LinfBall
from robustlib.training import PgdTraining, Schedule
from tests.experiments.tiny import WHOLE_ITEMS, fabricate

CELLS = paper.cells()


def of(item: str) -> list[Cell]:
    return [cell for cell in CELLS if cell.item == item]


def test_table_1_has_its_seventeen_rows_with_published_numbers() -> None:
    rows = [cell for cell in of("madry2018/table-1") if cell.published]
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


def test_two_rows_of_table_1_stand_beside_a_variant_of_this_books_own() -> None:
    rows = {cell.row: cell for cell in of("madry2018/table-1")}
    attacks = {name: getattr(cell.evaluations[0].measurement, "attack", None) for name, cell in rows.items()}
    # A transfer that no one asks; every wrong class.
    assert attacks["PGD 100/20, source A'"] == Pgd(steps=100, step_size=0.01, restarts=20, best_by="loss")
    assert attacks["Targeted 40/1, source A"] == Pgd(steps=40, step_size=0.01, target_classes=9)
    order = list(rows)
    for ours, theirs, attack in (
        ("PGD 100/20, asking A, source A'", "PGD 100/20, source A'", paper.PGD_100_RESTARTS),
        ("Targeted 40/1, one class, source A", "Targeted 40/1, source A", Pgd(40, 0.01, targeted=True)),
    ):
        assert order.index(ours) == order.index(theirs) + 1
        assert rows[ours].published is None
        assert attacks[ours] == attack
        assert "this book's own" in rows[ours].note
    # No other transfer of several starts asks its target.
    every = {e.measurement for cell in CELLS for e in cell.evaluations if isinstance(e.measurement, Accuracy)}
    transfers = {what for what in every if what.source and isinstance(what.attack, Pgd) and what.attack.restarts > 1}
    own = {e.measurement for e in rows["PGD 100/20, asking A, source A'"].evaluations}
    assert {what for what in transfers if what.attack != paper.PGD_100_TRANSFER} == own


def test_the_unit_of_figure_6d_is_unknown() -> None:
    cells = of("madry2018/accuracy-vs-eps/cifar10")
    known = {cell.row.partition(" ")[0] for cell in cells if cell.protocol_known}
    assert known == {"(c)"}
    doubtful = [cell for cell in cells if not cell.protocol_known]
    assert len(doubtful) == 20
    assert all("prints no unit" in cell.note for cell in doubtful)


def test_each_cells_metric_is_one_that_its_measurement_makes() -> None:
    for cell in CELLS:
        for evaluation in cell.evaluations:
            assert cell.metric in fabricate(evaluation).metrics
            unit = fabricate(evaluation).metrics[cell.metric].unit
            assert (cell.unit, cell.scale) == (("%", 100.0) if unit == "fraction" else (unit, 1.0))
            # published.csv has "%" or nothing for panel (d); the paper's axis is a cross-entropy.
            assert cell.published is None or cell.published.unit == cell.unit or "(d)" in cell.row + cell.column


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
    assert decision.attack.protocol == 3
    for cell in of("madry2018/accuracy-vs-eps/mnist"):
        if cell.metric != "accuracy":
            assert float(cell.metric.partition("@")[2]) == float(cell.row.partition("eps=")[2])


# CIFAR-10, and inside the networks -----------------------------------------------------------------------------


def test_the_cifar_networks_are_the_challenge_codes() -> None:
    wide = cifar.network()
    assert (wide.model, wide.rows) == (ModelSpec("madry_resnet", 10), None)
    assert wide.defence == PgdTraining(LinfBall(8 / 255), steps=7, step_size=2 / 255, crafting="train")
    assert (wide.schedule.steps, wide.schedule.batch, wide.schedule.weight_decay) == (80_000, 128, 2e-4)
    assert [wide.schedule.rate(step) for step in (0, 40_000, 60_000)] == pytest.approx([0.1, 0.01, 0.001])
    assert cifar.network("Simple", "natural").model.width == 1


@pytest.mark.parametrize("item", ["table-3", "table-4"])
def test_rows_are_targets_columns_sources_and_the_diagonal_is_an_independent_copy(item: str) -> None:
    attack = {"table-3": Fgsm(), "table-4": cifar.PGD_7}[item]
    for cell in of(f"madry2018/{item}"):
        (run,) = cell.evaluations
        what = run.measurement
        assert isinstance(what, Attacked)
        i, j = (int(place) for place in cell.metric.split()[1:])
        assert what.attacks[i] == attack
        names = [(run.subject, cell.row.removeprefix("row=")), (what.sources[j], cell.column.removeprefix("column="))]
        for network, name in names:
            size, _, regime = name.partition(" ")
            assert replace(network, seed=0) == cifar.network(size, regime.strip("()"))
        assert what.sources[j] != run.subject
        assert (what.sources[j].seed == 1) == (names[0][1] == names[1][1])


def test_table_2_shares_its_records_with_tables_3_to_5() -> None:
    """Row A' is the diagonal of tables 3 and 4, row A_nat their entry beside it: the same numbers in the paper."""
    table, places = of("madry2018/table-2"), {}
    for cell in [*of("madry2018/table-3"), *of("madry2018/table-4"), *of("madry2018/table-5")]:
        assert cell.published is not None
        places[cell.evaluations, cell.metric] = cell.published.value
    for cell in table:
        assert cell.published is not None
        if "CW" not in cell.row:
            # Table 2 rounds 85.6 and 86.0 as tables 3 and 4 do.
            assert places[cell.evaluations, cell.metric] == cell.published.value


def test_the_leaderboards_keep_both_challenges_apart() -> None:
    boards = {name: of(f"madry2018/leaderboards/{name}") for name in ("mnist", "cifar10")}
    assert sum(map(len, boards.values())) == 41
    for cells in boards.values():
        assert len({cell.row for cell in cells}) == len(cells)
        assert any(cell.evaluations for cell in cells)
        assert any(cell.unavailable for cell in cells)


def test_many_seeds_are_many_networks_of_one_kind() -> None:
    (cell,) = of("madry2018/seeds")
    assert cell.distribution
    assert len(plan.evaluations(cell, "quick")) == len(cell.evaluations) == 12
    assert len({replace(run.subject, seed=0) for run in cell.evaluations}) == 1


FACTORS = {
    small.RECIPE: [],
    small.WEIGHTS: ["model.init: kaiming_uniform -> paper"],
    small.WARM_UP: ["defence.eps_warmup: 0.15 -> 0.0"],
    small.RATE: ["schedule.lr: 0.0015 -> 0.0001"],
    small.SHAPE: ["schedule.shape: one_cycle -> constant"],
}


@pytest.mark.parametrize("scale", small.SMALL)
@pytest.mark.parametrize("row", small.ROWS)
def test_a_row_of_the_ablation_changes_one_factor_of_the_recipe(row: str, scale: int) -> None:
    """At full length as in the quick profile, and the recipe is that of the capacity figure's quick network."""
    for profile in ("quick", "full"):
        recipe, changed = (plan.shrink(small.under_pgd(name, scale), profile) for name in (small.RECIPE, row))
        assert recipe is not None
        assert changed is not None
        found = [text.removeprefix("subject.") for text in Job(recipe, changed).deviations]
        assert found == FACTORS[row]
        assert (changed.subset.n, changed.measurement) == (
            None,
            madry.accuracy(madry.network(), madry.PGD_40).measurement,
        )
    capacity = plan.shrink(madry.accuracy(madry.network(scale=scale), madry.PGD_40), "quick")
    short = plan.shrink(small.under_pgd(small.RECIPE, scale), "quick")
    assert capacity is not None
    assert short is not None
    assert short.subject == capacity.subject


# Claims -------------------------------------------------------------------------------------------------------


def test_each_figure_makes_one_to_three_claims() -> None:
    claims = Counter(predicate.item for predicate in claimed.predicates())
    figures = {cell.item for cell in CELLS if cell.evaluations and find_item(cell.item).kind == "figure"}
    assert set(claims) == figures | {small.ITEM}
    assert all(1 <= count <= 3 for count in claims.values())
    assert len({predicate.text for predicate in claimed.predicates()}) == sum(claims.values())


def test_claims_need_what_the_profiles_run() -> None:
    for predicate in claimed.predicates():
        for profile in WHOLE_ITEMS:
            assert all(plan.shrink(full, profile) is not None for full in predicate.needs)
        for full in predicate.needs:
            assert isinstance(full, Evaluation)


WORDS = ("ends below", "then plateaus", "concentrated", "falls by half", "overestimates", "at most 5 %")


@pytest.mark.parametrize("words", WORDS)
def test_a_claim_can_hold_and_can_fail(words: str) -> None:
    (predicate,) = [p for p in claimed.predicates() if p.item.endswith("/mnist") and words in p.text]
    values = {
        "ends below": ([9.0, 2.0], [2.0, 9.0]),
        "overestimates": ([0.9, 0.2], [0.9, 0.8]),
        "at most 5 %": ([0.02] * len(predicate.needs), [0.5] * len(predicate.needs)),
    }.get(words, ([0.5] * len(predicate.needs),) * 2)
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


NEW = [predicate for predicate in claimed.predicates() if not predicate.item.endswith("/mnist")]


@pytest.mark.parametrize("predicate", NEW, ids=lambda p: p.text)
def test_a_claim_on_one_metric_can_hold_and_can_fail(predicate: Predicate) -> None:
    """Equal, rising and falling values, small, and large where they are no shares."""
    k, verdicts = len(predicate.needs), set()
    sizes = (0.01, 0.9) if isinstance(predicate.needs[0].measurement, Accuracy) else (0.01, 0.9, 60.0)
    for first, last in itertools.product(sizes, repeat=2):
        for values in ([first, *[last] * (k - 1)], [*[first] * (k - 1), last]):
            records = [fabricate(e, correct=value) for e, value in zip(predicate.needs, values, strict=True)]
            verdicts.add(predicate.test(records))
    assert verdicts == {True, False}


def test_training_curves_are_of_the_network_they_name() -> None:
    for cell in CELLS:
        if cell.column.startswith("cross-entropy"):
            assert all(isinstance(evaluation.measurement, TrainingCurve) for evaluation in cell.evaluations)
