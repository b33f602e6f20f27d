"""Figures of the convex outer polytope, from plain arrays: output sets, one ReLU, bound against optimum, radii."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Polygon
from numpy.typing import ArrayLike

from ...errors import RobustlibError
from ...report.plots.style import (
    COLOURS,
    GROUND,
    MARKERS,
    NEUTRAL,
    TEXT,
    dash,
    from_zero,
    grid,
    is_narrow,
    need,
    new_figure,
    outer_labels,
    outside_legend,
    places,
    styled,
)

OutputSet = tuple[ArrayLike, Mapping[str, ArrayLike]]
"""Sampled outputs (n, 2), and outer polygons (m, 2) by the name of their bound."""


@styled
def output_sets(panels: Mapping[str, OutputSet]) -> Figure:
    """Output sets of networks with two outputs over a ball: samples, and polygons that are proven to contain them.

    Args:
        panels: by title, such as the radius.

    Raises:
        RobustlibError: nothing to draw, or samples that are not (n, 2).
    """
    need(panels, "output_sets")
    figure = new_figure(0.9 + 2.9 * -(-len(panels) // 2))
    names = list(dict.fromkeys(name for _, polygons in panels.values() for name in polygons))
    for ax, (title, (samples, polygons)) in zip(grid(figure, len(panels), 2), panels.items(), strict=True):
        points = np.asarray(samples, float)
        if points.ndim != 2 or points.shape[1] != 2:
            raise RobustlibError(f"output_sets {title!r}: samples {points.shape}; give (n, 2)")
        for name, corners in polygons.items():
            place = names.index(name)
            colour, shape = COLOURS[place + 1], np.asarray(corners, float)
            ax.add_patch(Polygon(shape, facecolor=colour, alpha=0.12, linewidth=0))
            ax.add_patch(Polygon(shape, fill=False, edgecolor=colour, linewidth=1.6, linestyle=dash(place)))
            ax.update_datalim(shape)
        ax.plot(*points.T, ".", color=COLOURS[0], markersize=1.6)
        ax.autoscale_view()
        ax.set(title=title, xlabel=r"$\hat z_{k,1}$", ylabel=r"$\hat z_{k,2}$")
        ax.locator_params(nbins=4)
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=COLOURS[0], marker="o", linestyle="none", label="outputs of sampled inputs")
    ]
    handles += [
        Patch(facecolor="none", edgecolor=COLOURS[i + 1], linestyle=dash(i), label=name) for i, name in enumerate(names)
    ]
    outside_legend(figure, handles)
    return figure


@styled
def relaxation(lower: float, upper: float) -> Figure:
    """One ReLU on [l, u]: its graph, the triangle around it, and the two lower lines that bounds choose from.

    Raises:
        RobustlibError: unless l < 0 < u.
    """
    if not lower < 0 < upper:
        raise RobustlibError(f"l={lower:g} and u={upper:g}; only l < 0 < u is relaxed")
    figure = new_figure(3.3)
    ax, slope = figure.subplots(), upper / (upper - lower)
    ends = np.array([lower, 0.0, upper])
    ax.add_patch(Polygon([(lower, 0), (0, 0), (upper, upper)], facecolor=COLOURS[0], alpha=0.15, linewidth=0))
    adaptive = 1.0 if upper > -lower else 0.0
    for place, y, label in (
        (0, np.maximum(ends, 0), r"ReLU, $z = \max(\hat z, 0)$"),
        (1, slope * (ends - lower), r"upper line, $u(\hat z - \ell)/(u - \ell)$"),
        (2, slope * ends, r"lower line of the paper, slope $u/(u - \ell)$"),
        (3, adaptive * ends, f"lower line that adapts, slope {adaptive:g}"),
    ):
        ax.plot(ends, y, color=COLOURS[place], linestyle=dash(place), label=label, linewidth=3.0 if place == 0 else 1.8)
    ax.set_xticks([lower, 0, upper], [r"$\ell$", "0", r"$u$"])
    ax.set(xlabel=r"$\hat z$", ylabel=r"$z$")
    outside_legend(figure, ax.get_lines())
    return figure


@styled
def against_optimum(
    panels: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]], *, xlabel: str, ylabel: str
) -> Figure:
    """Differences of bounds from the values that they bound, over those values; on the line at 0 a bound is tight.

    Args:
        panels: by title ("" for none), by method: (exact values, bounds) of one length.
        xlabel, ylabel: axis labels, with the unit.

    Raises:
        RobustlibError: nothing to draw.
    """
    names = list(dict.fromkeys(name for bounds in panels.values() for name in bounds))
    need(dict.fromkeys(names), "against_optimum")
    figure, at = new_figure(3.6 if len(panels) == 1 else 3.3), places(names)
    axes = grid(figure, len(panels), len(panels))
    for ax, (title, bounds) in zip(axes, panels.items(), strict=True):
        ax.axhline(0, color=NEUTRAL, linewidth=1.2, linestyle="--")
        for name, (exact, bound) in bounds.items():
            x, y = np.asarray(exact, float), np.asarray(bound, float)
            look: dict[str, Any] = {"marker": MARKERS[at[name]], "color": COLOURS[at[name]]}
            ax.plot(x, y - x, linestyle="none", markersize=5.5, markeredgecolor=GROUND, markeredgewidth=0.4, **look)
        ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
        ax.margins(0.08)
    outer_labels(axes)
    handles = [
        Line2D([], [], linestyle="none", marker=MARKERS[i], color=COLOURS[i], label=name) for name, i in at.items()
    ]
    outside_legend(figure, handles)
    return figure


@styled
def sorted_radii(panels: Mapping[str, tuple[ArrayLike, ArrayLike]], *, eps: float, bins: int = 100) -> Figure:
    """Largest certified radius of each point, sorted, coloured by the share of correct classes around it.

    Args:
        panels: by network, (radii, whether the class is right).
        eps: radius of training, a dashed line.
        bins: greatest number of marks; each is a group of neighbouring points.

    Raises:
        RobustlibError: nothing to draw.
    """
    need(panels, "sorted_radii")
    figure = new_figure(3.4)
    axes = grid(figure, len(panels), len(panels), sharey=True)
    for ax, (title, (radii, right)) in zip(axes, panels.items(), strict=True):
        values, known = np.asarray(radii, float), np.asarray(right, float)
        order = np.argsort(values, kind="stable")
        groups = np.array_split(order, min(bins, len(order)))
        height = np.array([values[group].mean() for group in groups])
        place = np.array([100 * (group.size * (i + 0.5)) / len(order) for i, group in enumerate(groups)])
        share = np.array([100 * known[group].mean() for group in groups])
        ax.plot(place, height, color=NEUTRAL, linewidth=1, zorder=1)
        drawn = ax.scatter(place, height, c=share, cmap="viridis", vmin=35, vmax=100, s=9)
        ax.axhline(eps, color=TEXT, linewidth=1.2, linestyle="--")
        ax.annotate("radius of training", (100, eps), ha="right", va="bottom", fontsize=9)
        ax.set(title=title, xlabel="points, sorted (%)", ylabel="largest certified ε")
    for ax in axes:
        # On an axis from zero the few points that are hardly certified do not set its range.
        from_zero(ax)
    outer_labels(axes)
    figure.colorbar(drawn, ax=axes, label="correct class (%)", location="bottom" if is_narrow() else "right")
    return figure
