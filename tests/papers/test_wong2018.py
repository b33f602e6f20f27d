"""Wong and Kolter: every published number of an item has its cell, and the specifications say what the paper says."""

from __future__ import annotations

import pytest

from robustlib.attacks.suite import Pgd
from robustlib.catalogue import plan
from robustlib.evaluate.accuracy import Accuracy
from robustlib.evaluate.certificates import Certificate
from robustlib.papers.wong2018 import networks as specs
from robustlib.papers.wong2018 import tables as paper
from robustlib.training import Certified, Standard

CELLS = paper.cells()


@pytest.mark.parametrize(
    ("problem", "eps", "steps"),
    [("MNIST", 0.1, 120_000), ("FASHION-MNIST", 0.1, 24_000), ("HAR", 0.05, 2_940), ("SVHN", 0.01, 73_240)],
)
def test_a_lines_networks_differ_in_the_loss_alone(problem: str, eps: float, steps: int) -> None:
    plain, robust = (specs.network(problem, robust=robust) for robust in (False, True))
    assert (plain.defence, plain.model, plain.schedule) == (Standard(), robust.model, robust.schedule)
    assert (robust.schedule.steps, robust.schedule.lr, robust.schedule.optimiser) == (steps, 1e-3, "adam")
    assert isinstance(robust.defence, Certified)
    assert (robust.defence.threat.eps, robust.defence.threat.domain, robust.defence.ramp) == (eps, None, 0.5)


def test_published_cells_are_unclipped_and_errors() -> None:
    for cell in CELLS:
        if not cell.item.startswith("wong2018/table-1/") or cell.unavailable:
            continue
        what = cell.evaluations[0].measurement
        assert isinstance(what, Accuracy | Certificate)
        if cell.published and what.threat is not None:
            assert what.threat.domain is None
        if isinstance(what, Accuracy):
            assert (cell.scale, cell.offset) == (-100.0, 100.0)
            if isinstance(what.attack, Pgd):
                assert (what.attack.steps, what.attack.step_size, what.attack.random_start) == (100, 0.01, False)
        else:
            assert (cell.metric, cell.scale, cell.offset) == ("bound", 100.0, 0.0)


def test_quick_runs_har_under_the_full_protocol_with_all_seeds() -> None:
    cell = next(cell for cell in CELLS if cell.item == "wong2018/table-1/har")
    for name in ("quick", "full"):
        jobs = plan.evaluations(cell, name)
        assert [job.evaluation for job in jobs] == list(cell.evaluations)
        assert [(job.home(name), job.deviations) for job in jobs] == [("full", [])] * len(specs.SEEDS)
    smoke = plan.evaluations(cell, "smoke")
    assert [job.home("smoke") for job in smoke] == ["smoke"]
    ran = plan.shrink(specs.clean(specs.network("MNIST", robust=True)), "quick")
    assert ran is not None
    assert ran.subset.n is None
    assert ran.subject.start is not None
