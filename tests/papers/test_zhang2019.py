"""TRADES: every published number has its cell, and the specifications say what the paper and its code say."""

from __future__ import annotations

import pytest

from robustlib.attacks.suite import CarliniWagner, DeepFool, Pgd
from robustlib.catalogue import plan
from robustlib.catalogue.base import Cell, find_item
from robustlib.evaluate.accuracy import Accuracy
from robustlib.evaluate.distances import Distances
from robustlib.evaluate.hinge import HingeBound
from robustlib.evaluate.suite_accuracy import WorstCase
from robustlib.experiments.store import Store
from robustlib.papers.zhang2019 import networks as specs
from robustlib.papers.zhang2019 import tables as paper
from robustlib.threat import LinfBall
from robustlib.training import BinaryTrades, LogitPairing, PgdTraining, Schedule, Trades

CELLS = paper.cells()


def of(item: str) -> list[Cell]:
    return [cell for cell in CELLS if cell.item == f"zhang2019/{item}" or cell.item.startswith(f"zhang2019/{item}/")]


def test_table_5_has_its_27_rows_ours_measured() -> None:
    cells = [cell for cell in of("table-5") if cell.published is not None]
    assert len(cells) == 54
    assert len({(cell.item, cell.row) for cell in cells}) == 27
    measured = {(cell.item, cell.row) for cell in cells if not cell.unavailable}
    assert len(measured) == 17  # 12 + 3 of TRADES, two of Madry et al.
    by_place = {(cell.row, cell.column): cell for cell in cells}
    cell = by_place["TRADES (1/λ 6), FGSM ²⁰ (PGD), 0.031 (ℓ_∞)", "robust accuracy"]
    assert cell.published is not None
    assert cell.published.value == 56.61
    assert cell.published.verified
    what = cell.evaluations[0].measurement
    assert what == Accuracy(Pgd(20, 0.003, random_start=False), LinfBall(0.031))
    assert isinstance(cell.evaluations[0].subject.defence, Trades)
    assert cell.evaluations[0].subject.defence.beta == 6.0


def test_a_random_start_is_measured_beside_the_authors_attack() -> None:
    """Their first scripts have none; with one, three draws on their network."""
    begun = {
        cell.row: {getattr(one.measurement, "attack").random_start for one in cell.evaluations}  # noqa: B009
        for cell in of("table-5")
        if "(PGD)" in cell.row and cell.column == "robust accuracy" and cell.evaluations
    }
    assert {row for row, starts in begun.items() if starts == {True}} == {row for row in begun if "random start" in row}
    assert len([row for row in begun if "random start" in row]) == 3
    draws = {cell.row: len(cell.released) for cell in of("table-5/mnist") if cell.column == "robust accuracy"}
    assert draws["TRADES (1/λ 6), FGSM ⁴⁰ (PGD), 0.3 (ℓ_∞)"] == 1
    assert draws["TRADES (1/λ 6), FGSM ⁴⁰ (PGD) from a random start"] == 3


@pytest.mark.parametrize(
    ("row", "attack", "norm", "measured", "eps"),
    [
        ("TRADES (1/λ 1), C&W, 0.031 (ℓ_∞)", CarliniWagner(protocol=1), "l2", "linf", 0.031),
        ("TRADES (1/λ 1), DeepFool (ℓ_∞), 0.031 (ℓ_∞)", DeepFool(steps=100, protocol=1), "linf", "", 0.031),
        ("TRADES (1/λ 6), C&W, 0.005 (ℓ_2)", CarliniWagner(protocol=1), "l2", "", 0.005),
    ],
)
def test_attacks_that_shorten_one_norm_are_measured_in_the_papers(
    row: str, attack: object, norm: str, measured: str, eps: float
) -> None:
    cell = next(cell for cell in of("table-5") if cell.row == row and cell.column == "robust accuracy")
    assert cell.evaluations[0].measurement == Distances(attack, norm, (eps,), measured=measured)  # type: ignore[arg-type]
    assert cell.metric == f"accuracy@{eps:g}"
    assert cell.note
    assert not cell.protocol_known


def test_the_recipe_is_the_authors_code() -> None:
    mnist, cifar = specs.network("mnist"), specs.network("cifar10", beta=1.0)
    assert mnist.defence == Trades(LinfBall(0.3), 40, 0.01, beta=6.0)
    assert cifar.defence == Trades(LinfBall(0.031), 10, 0.007, beta=1.0)
    assert (mnist.model.name, mnist.model.width) == ("small_cnn", 32)
    assert (cifar.model.name, cifar.model.width, cifar.model.depth) == ("wide_resnet", 10, 0)
    schedule: Schedule = cifar.schedule
    epochs = [schedule.rate(epoch * 391) for epoch in (0, 73, 74, 75)]
    assert epochs == pytest.approx([0.1, 0.1, 0.01, 0.01])  # the 75th epoch is the first at a tenth
    assert (schedule.momentum, schedule.weight_decay, schedule.crop, schedule.flip) == (0.9, 2e-4, 4, True)
    assert [mnist.schedule.rate(e * 469) for e in (53, 54, 74, 89)] == pytest.approx([1e-2, 1e-3, 1e-4, 1e-5])
    binary = specs.binary_network(3.0)
    assert binary.defence == BinaryTrades(LinfBall(0.1), 20, 0.01, scale=3.0)
    assert (binary.classes, binary.outputs, binary.schedule.weight_decay) == ((1, 3), 2, 0.0)


def test_baselines_share_network_and_budget() -> None:
    networks = {name: specs.worst_case(name).subject for name in specs.BASELINES}
    assert len({(n.model, n.schedule, n.seed, n.rows) for n in networks.values()}) == 1
    inner = [n.defence for name, n in networks.items() if name != "natural"]
    assert len({(d.threat, d.steps, d.step_size) for d in inner}) == 1  # type: ignore[union-attr]
    assert {type(d) for d in inner} == {PgdTraining, LogitPairing, Trades}
    assert all(isinstance(cell.evaluations[0].measurement, WorstCase) for cell in of("baselines"))


def test_black_box_rows_name_target_and_source() -> None:
    (cell,) = (cell for cell in of("table-6") if cell.row == "Madry target, TRADES source")
    evaluation = cell.evaluations[0]
    assert isinstance(evaluation.subject.defence, PgdTraining)
    assert isinstance(evaluation.measurement, Accuracy)
    assert evaluation.measurement.source is not None
    assert isinstance(evaluation.measurement.source.defence, Trades)


def test_what_follows_from_definitions_needs_no_network() -> None:
    """Recalled numbers stand beside the computed ones, and decide nothing."""
    first = {(cell.row, cell.column): cell.derived() for cell in of("table-1") if cell.derived}
    assert first["Bayes optimal classifier", "R_bdy"] == 1
    assert first["all-one classifier", "R_rob"] == 0.5
    second = {(cell.row, cell.column): cell.derived() for cell in of("table-2") if cell.derived}
    assert second["hinge", "ψ(1/2), from the definition"] == pytest.approx(0.5, abs=1e-3)
    distances = [value for (_, column), value in second.items() if column.startswith("largest")]
    assert len(distances) == 4
    assert all(value is not None and value < 1e-3 for value in distances)


def test_computed_items_are_done_without_records(tmp_path: object) -> None:
    store = Store(tmp_path)  # type: ignore[arg-type]
    assert plan.state(find_item("zhang2019/table-1"), "full", store) == "done"
    assert plan.state(find_item("zhang2019/challenge"), "full", store) == "unavailable"
    assert plan.state(find_item("zhang2019/table-3"), "full", store) == "missing"


def test_profiles_keep_what_a_row_is_about() -> None:
    for name in ("smoke", "quick"):
        for job in plan.jobs(plan.select(["zhang2019"]), name):
            full, ran = job.full, job.evaluation
            assert type(ran.measurement) is type(full.measurement)
            assert getattr(ran.measurement, "threat", None) == getattr(full.measurement, "threat", None)
            assert ran.subject.classes == full.subject.classes
            assert getattr(ran.subject.defence, "beta", None) == getattr(full.subject.defence, "beta", None)
            assert getattr(ran.subject.defence, "threat", None) == getattr(full.subject.defence, "threat", None)
    jobs = plan.jobs(plan.select(["zhang2019/table-3"]), "quick")
    assert {type(job.evaluation.measurement) for job in jobs} == {HingeBound}


def test_quick_leaves_the_cifar_sweep_out() -> None:
    assert all(not plan.evaluations(cell, "quick") for cell in of("table-4/cifar10"))
    assert plan.shrink(specs.sweep("cifar10", 1.0, robust=True), "quick") is None
