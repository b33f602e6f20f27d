"""Figures of the convex outer polytope, from plain arrays: output sets, one ReLU, bound against optimum, radii."""

from __future__ import annotations

from collections.abc import Mapping

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
    grid,
    need,
    new_figure,
    outside_legend,
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
    figure.legend(loc="outside upper left", ncols=2, handlelength=3)
    return figure


@styled
def against_optimum(bounds: Mapping[str, tuple[ArrayLike, ArrayLike]], *, xlabel: str, ylabel: str) -> Figure:
    """Bounds over the exact values that they bound from below; on the diagonal a bound is tight.

    Args:
        bounds: by method, (exact values, bounds) of one length.
        xlabel, ylabel: axis labels, with the unit.

    Raises:
        RobustlibError: nothing to draw.
    """
    need(bounds, "against_optimum")
    figure = new_figure(4.0)
    ax = figure.subplots()
    everything = np.concatenate([np.asarray(exact, float) for exact, _ in bounds.values()])
    ends = [everything.min(), everything.max()]
    ax.plot(ends, ends, color=NEUTRAL, linewidth=1.2, linestyle="--")
    for place, (name, (exact, bound)) in enumerate(bounds.items()):
        ax.plot(
            exact,
            bound,
            linestyle="none",
            marker=MARKERS[place],
            color=COLOURS[place],
            label=name,
            markersize=5,
            markeredgecolor=GROUND,
            markeredgewidth=0.4,
        )
    ax.set(xlabel=xlabel, ylabel=ylabel)
    outside_legend(figure, ax.get_legend_handles_labels()[0])
    return figure


@styled
def sorted_radii(panels: Mapping[str, tuple[ArrayLike, ArrayLike]], *, eps: float, bins: int = 100) -> Figure:
    """Largest certified radius of each point, sorted, coloured by the share of right classes around it.

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
        # A point that is not certified at any radius has no place on a logarithmic axis.
        height = np.array([values[group].mean() for group in groups])
        shown = height > 0
        place = np.array([100 * (group.size * (i + 0.5)) / len(order) for i, group in enumerate(groups)])
        share = np.array([100 * known[group].mean() for group in groups])
        drawn = ax.scatter(place[shown], height[shown], c=share[shown], cmap="viridis", vmin=35, vmax=100, s=16)
        ax.axhline(eps, color=TEXT, linewidth=1.2, linestyle="--")
        ax.set(title=title, xlabel="points, sorted (%)", yscale="log")
    axes[0].set_ylabel(r"largest certified $\varepsilon$")
    figure.colorbar(drawn, ax=axes, label="right class (%)")
    return figure
