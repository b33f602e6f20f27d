"""The bracket figure: what it shows, what it leaves out, and the order that it relies on."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from robustlib.catalogue import plan
from robustlib.catalogue.base import STAGES
from robustlib.experiments.store import Store
from robustlib.papers.comparison import tables as comparison
from robustlib.papers.madry2018 import networks as madry
from robustlib.report.plots import brackets as bracket_figures
from robustlib.report.plots.records import MISSING
from robustlib.spec.keys import parse
from robustlib.spec.measurement import share
from robustlib.spec.records import pack
from tests.experiments.tiny import fabricate, file

PANELS = {"PGD training": {"scale 1": madry.worst_case("PGD", 1), "scale 2": madry.worst_case("PGD", 2)}}


def _filed(root: Path, scale: int, share: float) -> None:
    evaluation = plan.shrink(madry.worst_case("PGD", scale), "quick")
    assert evaluation is not None
    file(root, evaluation, "quick", correct=share)


def test_a_network_without_a_record_is_left_out(tmp_path: Path) -> None:
    assert bracket_figures.bracket(PANELS, "best", Store(tmp_path)) == MISSING
    _filed(tmp_path, 2, 0.4)
    figure, alt = bracket_figures.bracket(PANELS, "best", Store(tmp_path))
    (ax,) = figure.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["scale 2"]
    assert "PGD training, scale 2: 40% clean, 40% in the worst case" in alt
    marks = {float(x) for line in ax.lines if line.get_marker() != "None" for x in np.atleast_1d(line.get_xdata())}
    assert marks == {40.0}


def test_what_any_bound_certifies_on_the_same_points_is_the_last_stage(tmp_path: Path) -> None:
    panels = {"at 0.1": {"plain": comparison.suite("standard"), "cascade": comparison.cascade()}}
    run = {full: plan.shrink(full, "quick") for full in panels["at 0.1"].values()}
    bounds = [plan.shrink(comparison.bound("standard", column), "quick") for column in comparison.BOUNDS]
    for evaluation, left in zip([*run.values(), *bounds], (0.6, 0.3, 0.1, 0.2, 0.4, 0.3), strict=True):
        assert evaluation is not None
        file(tmp_path, evaluation, "quick", correct=left)
    figure, alt = bracket_figures.bracket(panels, "best", Store(tmp_path))
    assert "at 0.1, plain: 60% clean, 60% in the worst case, 40% certified" in alt
    # Of a cascade the strict rule's share is drawn, and nothing between it and the clean one.
    assert "at 0.1, cascade: 70% clean, 70% certified" in alt
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()][-1] == "certified"


@pytest.mark.parametrize(("left", "words"), [(0.7, "40% to 60% exactly"), (0.4, "40% exactly")])
def test_what_a_solver_settles_stands_between_worst_case_and_certified(tmp_path: Path, left: float, words: str) -> None:
    name = "certified, exact"
    suite, exact, bound = (
        plan.shrink(full, "quick")
        for full in (comparison.suite(name), comparison.exact(name), comparison.bound(name, "certified: hybrid"))
    )
    assert suite is not None
    assert exact is not None
    assert bound is not None
    file(tmp_path, suite, "quick", correct=0.6)
    file(tmp_path, bound, "quick", correct=0.3)
    ends = {key: pack(np.arange(100) < 100 * part) for key, part in (("certified", 0.4), ("correct", left))}
    given = fabricate(exact, "quick", correct=0.4)
    shares = given.metrics | {"accuracy": share(np.arange(100) < 100 * left)}
    record = replace(given, outcomes=ends, metrics=shares)
    Store(tmp_path).write(record, exact)
    figure, alt = bracket_figures.bracket({"at 0.1": {name: comparison.suite(name)}}, "best", Store(tmp_path))
    # What the suite breaks is broken, whatever the solver's own attack left.
    assert f"60% in the worst case, {words}, 30% certified" in alt
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()][-3:] == ["worst case", "exact", "certified"]
    bars = [line.get_xdata() for line in figure.axes[0].lines if line.get_linewidth() == 5]
    assert [list(map(float, bar)) for bar in bars] == [[30.0, 60.0], [40.0, 100 * min(left, 0.6)]]


def test_every_network_of_the_book_is_on_one_axis(committed: Store) -> None:
    figure, alt = bracket_figures.every_bracket("best", committed)
    shown = sum(len(ax.get_yticklabels()) for ax in figure.axes)
    kept = [r for name in ("full", "quick") for r in committed.records(name)]
    cases = [r for r in kept if r.evaluation["measurement"]["type"] == "WorstCase"]
    # Of a network that two profiles have, the more faithful record is shown.
    networks = {(r.path.split("/")[-2], parse(r.evaluation).subject.defence) for r in cases}
    assert shown == len(networks) > 20
    # Words for each network would be pages: they are told panel by panel.
    assert alt.count("in the worst case") == len(figure.axes)
    assert sum(map(int, re.findall(r"(\d+) network", alt))) == shown
    assert len(alt) < 1_500


def test_committed_brackets_never_rise(committed: Store) -> None:
    records = [r for r in committed.records() if r.evaluation["measurement"]["type"] == "WorstCase"]
    assert records
    for record in records:
        values = [record.metrics[metric].value for metric in STAGES.values()]
        assert values == sorted(values, reverse=True), record.path
        assert record.metrics["accuracy"].value == pytest.approx(float(record.outcome().mean()))
