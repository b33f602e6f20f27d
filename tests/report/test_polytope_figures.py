"""Drawings of the chapter on the convex outer polytope: what they hold, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from robustlib.certify.polygon import outline
from robustlib.errors import RobustlibError
from robustlib.experiments.store import Store
from robustlib.papers.wong2018 import figures as drawn
from robustlib.papers.wong2018 import sketches

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


def test_bounds_are_drawn_as_differences_from_what_they_bound() -> None:
    figure = sketches.against_optimum({"": {"dual": ([1.0, 2.0], [0.5, 1.8])}}, xlabel="x", ylabel="y")
    level, points = figure.axes[0].get_lines()
    assert list(level.get_ydata()) == [0, 0]
    assert np.allclose(points.get_data(), [[1.0, 2.0], [-0.5, -0.2]])
    with pytest.raises(RobustlibError, match="nothing to draw"):
        sketches.against_optimum({}, xlabel="x", ylabel="y")


def test_radii_are_sorted_from_zero_on() -> None:
    figure = sketches.sorted_radii({"a": ([0.2, 0.0, 0.1, 0.3], [True, False, True, True])}, eps=0.1)
    points = np.asarray(figure.axes[0].collections[0].get_offsets())
    assert points[:, 1].tolist() == [0.0, 0.1, 0.2, 0.3]
    assert (np.diff(points[:, 0]) > 0).all()


def test_a_line_of_the_table_is_about_networks_of_one_profile(committed: Store) -> None:
    for columns in (drawn.PRINTED, (*drawn.PRINTED, "PGD error, clipped", "bound, clipped")):
        found: dict[str, set[str | None]] = {}
        for row in drawn.lines_of(columns, "best", committed):
            if row.column in columns and row.values:
                found.setdefault(row.label, set()).add(row.profile)
        assert found
        assert all(len(profiles) == 1 for profiles in found.values())
