"""Drawings of the chapter on the convex outer polytope: what they hold, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from robustlib.certify.polygon import outline
from robustlib.errors import RobustlibError
from robustlib.experiments.store import Store
from robustlib.papers.wong2018 import figures as drawn
from robustlib.papers.wong2018 import sketches
from robustlib.report.plots import certificates
from robustlib.report.plots import regions as demo_figures
from robustlib.report.plots.records import MISSING

ANGLES = np.linspace(0, 2 * np.pi, 9)[:-1]
DIRECTIONS = np.column_stack([np.cos(ANGLES), np.sin(ANGLES)])


def test_an_outline_touches_each_bound_and_goes_round_once() -> None:
    corners = outline(DIRECTIONS, np.full(8, -2.0), (0.1, 0.0))
    assert corners.shape == (8, 2)
    assert np.allclose((corners @ DIRECTIONS.T).min(0), -2.0)
    turns = np.diff(np.unwrap(np.arctan2(corners[:, 1], corners[:, 0])))
    assert (turns > 0).all() or (turns < 0).all()


def test_a_bound_that_the_centre_breaks_is_refused() -> None:
    with pytest.raises(RobustlibError, match="breaks a bound"):
        outline(DIRECTIONS, np.full(8, -2.0), (3.0, 0.0))


def test_output_sets_show_all_samples_and_polygons() -> None:
    corners = outline(DIRECTIONS, np.full(8, -2.0), (0.0, 0.0))
    samples = np.array([[0.0, 0.1], [0.3, 0.2], [0.5, -0.1]])
    figure = sketches.output_sets({"a": (samples, {"outer": corners}), "b": (samples, {"outer": 2 * corners})})
    for ax, factor in zip(figure.axes, (1, 2), strict=True):
        assert np.allclose(np.column_stack(ax.get_lines()[0].get_data()), samples)
        assert len(ax.patches) == 2
        assert ax.get_xlim()[1] >= factor * corners[:, 0].max()
    with pytest.raises(RobustlibError, match=r"give \(n, 2\)"):
        sketches.output_sets({"a": (samples.T, {})})


@pytest.mark.parametrize(("upper", "slope"), [(1.6, 1.0), (0.5, 0.0)])
def test_the_relaxation_holds_the_relu_and_its_lines(upper: float, slope: float) -> None:
    relu, top, fixed, adaptive = (
        np.asarray(line.get_ydata(), float) for line in sketches.relaxation(-1.0, upper).axes[0].get_lines()
    )
    assert relu.tolist() == [0, 0, upper]
    assert (top >= relu).all()
    assert (fixed <= relu).all()
    assert (adaptive <= relu).all()
    assert adaptive[-1] == pytest.approx(slope * upper)
    # The paper's two lines are parallel.
    assert np.ptp(top - fixed) == pytest.approx(0)
    with pytest.raises(RobustlibError, match="l < 0 < u"):
        sketches.relaxation(0.0, 1.0)


def test_bounds_are_drawn_over_what_they_bound() -> None:
    figure = sketches.against_optimum({"dual": ([1.0, 2.0], [0.5, 1.8])}, xlabel="x", ylabel="y")
    diagonal, points = figure.axes[0].get_lines()
    assert np.allclose(*diagonal.get_data())
    assert np.allclose(points.get_data(), [[1.0, 2.0], [0.5, 1.8]])
    with pytest.raises(RobustlibError, match="nothing to draw"):
        sketches.against_optimum({}, xlabel="x", ylabel="y")


def test_certified_boxes_are_filled_in_their_size() -> None:
    axis = np.linspace(-1, 1, 5)
    region = (axis, axis, np.add.outer(axis, axis))
    figure = demo_figures.decision_regions(
        {"a": region}, [[0.5, 0.5], [-0.5, -0.5]], [1, 0], eps=0.2, certified={"a": [0.3, 0.0]}
    )
    widths = sorted(round(patch.get_width(), 6) for patch in figure.axes[0].patches)  # type: ignore[attr-defined]
    assert widths == [0.4, 0.4, 0.6]


def test_brackets_show_ours_filled_and_the_papers_hollow() -> None:
    figure = certificates.error_brackets({"MNIST": {"robust": {"PGD": (4.0, 4.11), "BOUND": (None, 5.82)}}})
    marks = [(float(line.get_xdata()[0]), line.get_markerfacecolor()) for line in figure.axes[0].get_lines()[1:]]  # type: ignore[index]
    assert [x for x, _ in marks] == [4.0, 4.11, 5.82]
    assert [face == "none" for _, face in marks] == [False, True, True]


def test_radii_are_sorted_and_what_is_not_certified_is_left_out() -> None:
    figure = certificates.sorted_radii({"a": ([0.2, 0.0, 0.1, 0.3], [True, False, True, True])}, eps=0.1)
    points = np.asarray(figure.axes[0].collections[0].get_offsets())
    assert points[:, 1].tolist() == [0.1, 0.2, 0.3]
    assert (np.diff(points[:, 0]) > 0).all()


def test_bars_of_a_layer_add_up() -> None:
    figure = certificates.unit_shares({"a": (["one", "two"], [[0.2, 0.5, 0.3], [0.1, 0.9, 0.0]])})
    bars = figure.axes[0].patches
    assert sum(bar.get_width() for bar in bars) == pytest.approx(200)  # type: ignore[attr-defined]
    assert bars[0].get_width() == pytest.approx(30)  # type: ignore[attr-defined]


def test_losses_stand_on_a_logarithmic_axis() -> None:
    figure = certificates.loss_lines({"a": ([1, 2], [2.0, 0.1]), "b": ([1, 2], [2.0, 0.5])})
    assert figure.axes[0].get_yscale() == "log"
    assert len(figure.axes[0].get_lines()) == 2


@pytest.mark.parametrize(
    "make",
    [
        drawn.bracket,
        drawn.certified_radii,
        drawn.unstable_units,
        drawn.filters,
        drawn.training_curves,
        drawn.dual_against_program,
    ],
)
def test_an_empty_store_draws_nothing(make: object, tmp_path: Path) -> None:
    assert make("smoke", Store(tmp_path)) == MISSING  # type: ignore[operator]
