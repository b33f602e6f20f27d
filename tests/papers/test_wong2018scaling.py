"""Scaling: every published number of an item has its cell, and specifications and profiles say what they should."""

from __future__ import annotations

import pytest
from torch import nn

from robustlib.catalogue import plan
from robustlib.evaluate.cascades import CascadeBound
from robustlib.papers.wong2018scaling import networks as specs
from robustlib.papers.wong2018scaling import panels as drawn
from robustlib.papers.wong2018scaling import tables as paper
from robustlib.training import Certified

CELLS = paper.cells()


def test_radii_are_in_pixels_and_the_box_is_mnists() -> None:
    small = [line.threat for line in specs.LINES if line.model == "Small" and not line.exact]
    assert [ball.eps for ball in small] == [0.1, 0.3, 2 / 255, 8 / 255]
    assert [ball.domain for ball in small] == [(0.0, 1.0), (0.0, 1.0), None, None]
    assert {(line.threat.norm, line.threat.eps) for line in specs.EUCLIDEAN} == {("l2", 1.58), ("l2", 36 / 255)}


@pytest.mark.parametrize(
    ("line", "steps", "optimiser"), [(specs.LINES[1], 72_000, "adam"), (specs.COLOUR, 60_000, "sgd")]
)
def test_the_rate_is_halved_every_ten_epochs_after_the_ramp(line: specs.Line, steps: int, optimiser: str) -> None:
    network = specs.stage(line)
    plan_ = network.schedule
    epoch = steps // 60
    assert (plan_.steps, plan_.optimiser, plan_.batch) == (steps, optimiser, 50)
    assert [plan_.factor(at * epoch) for at in (0, 20, 29, 30, 40, 50)] == [1, 1, 1, 0.5, 0.25, 0.125]
    assert isinstance(network.defence, Certified)
    assert (network.defence.ramp, network.defence.projections) == (20 / 60, 50)


def test_a_stage_knows_those_before_it() -> None:
    third = specs.stage(specs.HARD, 3)
    assert third.earlier == (specs.stage(specs.HARD, 1), specs.stage(specs.HARD, 2))
    assert third.earlier[1].earlier == third.earlier[:1]


def test_the_marks_of_a_curve_add_up_to_one_training() -> None:
    last = specs.marked(10, len(specs.MARKS) - 1)
    whole = specs.stage(specs.SMALL["projected"]).schedule.steps
    assert sum(network.schedule.steps for network in last.lineage) == whole
    radii = [network.defence.threat.eps for network in last.lineage if isinstance(network.defence, Certified)]
    assert radii == sorted(radii)
    assert radii[-1] == 0.1


def test_quick_asks_cascades_only_where_it_trains_them() -> None:
    for cell in CELLS:
        for full in cell.evaluations:
            ran = plan.shrink(full, "quick")
            if ran is None or not isinstance(full.measurement, CascadeBound):
                continue
            assert (full.subject.dataset, full.measurement.threat.eps) in {("mnist", 0.3), ("cifar10", 2 / 255)}
            assert ran.subject.rows is None or ran.subject.earlier


def test_quick_judges_by_the_exact_dual_at_the_papers_radius_whatever_it_trains_on() -> None:
    full = specs.bound(specs.stage(specs.HARD, 3), specs.HARD.threat)
    ran = plan.shrink(full, "quick")
    assert ran is not None
    assert ran.measurement == full.measurement
    # One network's weights go on into the next: their architectures are the same.
    assert len({network.model for network in ran.subject.lineage}) == 1
    last = ran.subject.defence
    assert isinstance(last, Certified)
    assert last.now(1.0) == specs.HARD.threat


def test_the_library_says_which_operations_it_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(map(paper.supported, paper.OPERATIONS))
    monkeypatch.setitem(paper.OPERATIONS, "a jump", nn.Hardshrink)
    assert not paper.supported("a jump")


def test_exponents_are_those_of_power_laws() -> None:
    units = [100.0, 200.0, 400.0]
    assert drawn.exponent(units, [3 * u for u in units]) == pytest.approx(1.0)
    assert drawn.exponent(units, [u * u for u in units]) == pytest.approx(2.0)
