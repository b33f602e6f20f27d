"""Builders of the TRADES chapter's figures, from plain arrays: lines in panels, stacked errors, ranked bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from .curves import Curve, curve_legend, draw_curves
from .panels import grid, need, outside_legend
from .style import current, new_figure, styled

Errors = tuple[float, float, float, float]
"""(natural, boundary, low, high) of one network: two parts of the robust error, and the interval of their sum."""


@styled
def line_panels(
    panels: Mapping[str, Mapping[str, Curve]], *, xlabel: str, ylabels: Sequence[str], scale: str = "linear"
) -> Figure:
    """A panel a title, with the same names in the same colours; published values are hollow.

    Args:
        panels: by title, curves by name.
        xlabel, ylabels: of all panels, and of each.
        scale: of x, "linear", "log" or "symlog" (linear up to 0.3, so that 0 has a place).
    """
    need(panels, "line_panels")
    order = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    need(dict.fromkeys(order), "line_panels")
    columns = 1 if len(panels) == 1 else 2
    figure, published = new_figure(1.0 + 2.6 * -(-len(panels) // columns)), False
    for ax, (title, curves), ylabel in zip(grid(figure, len(panels), columns), panels.items(), ylabels, strict=True):
        published |= draw_curves(ax, curves, order)
        ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
        if scale != "linear":
            ax.set_xscale(scale, **({"linthresh": 0.3} if scale == "symlog" else {}))
            ticks = sorted({float(x) for curve in curves.values() for x in np.asarray(curve[0], float)})
            ticks = ticks[:: 1 + len(ticks) // 7]
            ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            ax.minorticks_off()
    curve_legend(figure, order, published)
    return figure


@styled
def stacked_errors(panels: Mapping[str, Mapping[str, Errors]], *, xlabel: str) -> Figure:
    """Robust error as natural error with boundary error on top of it, a bar a network.

    Args:
        panels: by title, errors in per cent by network.
        xlabel: axis label.
    """
    need(panels, "stacked_errors")
    theme = current()
    figure = new_figure(0.9 + 0.36 * sum(len(bars) + 2 for bars in panels.values()))
    heights = [len(bars) + 1 for bars in panels.values()]
    axes = figure.subplots(len(panels), 1, height_ratios=heights, squeeze=False).ravel()
    for ax, (title, bars) in zip(axes, panels.items(), strict=True):
        places = range(len(bars))
        natural, boundary, low, high = (np.asarray(part, float) for part in zip(*bars.values(), strict=True))
        ax.barh(places, natural, color=theme.colours[0])
        ax.barh(places, boundary, left=natural, color=theme.colours[1], hatch="//", edgecolor=theme.ground, linewidth=0)
        ax.hlines(places, low, high, color=theme.text, linewidth=1.2)
        ax.set_yticks(places, list(bars))
        ax.invert_yaxis()
        ax.grid(visible=False, axis="y")
        ax.set(title=title, xlabel=xlabel)
    outside_legend(
        figure,
        [
            Patch(color=theme.colours[0], label="natural error"),
            Patch(facecolor=theme.colours[1], hatch="//", edgecolor=theme.ground, label="boundary error"),
        ],
    )
    return figure


@styled
def ranked(bars: Mapping[str, tuple[float | None, float | None]], *, xlabel: str) -> Figure:
    """Ours (filled) and published (hollow) on a line for each name.

    Args:
        bars: (ours, published) by name, None where there is none.
        xlabel: axis label.
    """
    theme, figure = current(), new_figure(1.1 + 0.3 * len(bars))
    ax = figure.subplots()
    for place, (ours, published) in enumerate(bars.values()):
        if published is not None:
            ax.plot(
                published,
                place,
                marker="o",
                markersize=9,
                markerfacecolor="none",
                color=theme.colours[1],
                linestyle="none",
                label="published" if place == 0 else None,
            )
        if ours is not None:
            ax.plot(ours, place, marker="s", color=theme.colours[0], linestyle="none")
    ax.set_yticks(range(len(bars)), list(bars))
    ax.invert_yaxis()
    ax.set(xlabel=xlabel)
    handles = [Patch(facecolor="none", edgecolor=theme.colours[1], label="published")]
    if any(ours is not None for ours, _ in bars.values()):
        handles.insert(0, Patch(color=theme.colours[0], label="ours"))
    outside_legend(figure, handles)
    return figure


@styled
def step_rule(x: np.ndarray, eta: np.ndarray, *, width: float) -> Figure:
    """eta(x) of the counterexample, with the interval that an adversary may move one point in."""
    theme, figure = current(), new_figure(2.4)
    ax = figure.subplots()
    ax.plot(x, eta, color=theme.colours[0], drawstyle="steps-mid")
    middle = x[int(np.argmin(np.abs(x - 0.45)))]
    ax.plot(middle, 0.5, marker="o", color=theme.colours[1])
    ax.hlines(0.5, middle - width, middle + width, color=theme.colours[1], linewidth=3)
    ax.annotate("x ± ε", (middle, 0.5), xytext=(0, 7), textcoords="offset points", ha="center")
    ax.set(xlabel="x", ylabel="η(x) = P(Y = 1 | x)", ylim=(-0.08, 1.08))
    return figure
