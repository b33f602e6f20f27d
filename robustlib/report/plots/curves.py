"""Curves in panels: measured lines with bands, the paper's values as hollow markers, single runs behind their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import ArrayLike

from ...errors import RobustlibError
from .style import (
    COLOURS,
    GROUND,
    MARKERS,
    NEUTRAL,
    TEXT,
    dash,
    from_zero,
    grid,
    need,
    new_figure,
    outside_legend,
    styled,
)

HOLLOW: dict[str, Any] = {"markersize": 9, "markerfacecolor": "none", "markeredgewidth": 1.4, "linestyle": "none"}
"""Style of a published value's marker."""


@dataclass(frozen=True)
class Curve:
    """Values over x, all of one length; None, or NaN in places, where there is none.

    Args:
        x, y: (n,).
        low, high: (n,) ends of the band around y.
        published: (n,) the paper's values.
        runs: (k, n) single runs that y is the mean of.
    """

    x: ArrayLike
    y: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None
    published: ArrayLike | None = None
    runs: ArrayLike | None = None


def _floats(name: str, values: ArrayLike | None, length: int) -> np.ndarray:
    array = np.full(length, np.nan) if values is None else np.asarray(values, float)
    if array.shape != (length,):
        raise RobustlibError(f"curve {name!r}: an array of shape {array.shape} beside {length} x; give one length")
    return array


def _look(place: int, markers: bool) -> dict[str, Any]:
    """Colour, line style and marker of the series at that place."""
    marker = {"marker": MARKERS[place], "markeredgecolor": GROUND} if markers else {}
    return {"color": COLOURS[place], "linestyle": dash(place), **marker}


def draw_curves(ax: Axes, curves: Mapping[str, Curve], order: Sequence[str], *, markers: bool = True) -> bool:
    """Draw curves and return whether any has a published value.

    Args:
        ax: where.
        curves: by name.
        order: names whose places give colours, markers and dashes.
        markers: mark each value. Single runs are dots then, and pale lines otherwise.

    Raises:
        RobustlibError: arrays of unequal length.
    """
    any_published = False
    for name, curve in curves.items():
        place, x = order.index(name), np.asarray(curve.x, float)
        colour = COLOURS[place]
        y, low, high, published = (
            _floats(name, values, len(x)) for values in (curve.y, curve.low, curve.high, curve.published)
        )
        runs = np.empty((0, len(x))) if curve.runs is None else np.asarray(curve.runs, float)
        if runs.shape[1:] != x.shape:
            raise RobustlibError(f"curve {name!r}: runs of shape {runs.shape} beside {len(x)} x; give (runs, x)")
        for run in runs:
            if markers:
                ax.plot(x, run, linestyle="none", marker=".", color=NEUTRAL, zorder=4)
            else:
                ax.plot(x, run, color=colour, alpha=0.45, linewidth=0.8)
        known = np.isfinite(low)  # a gap would hide the band on both of its sides
        ax.fill_between(x[known], low[known], high[known], color=colour, alpha=0.18, linewidth=0)
        given = np.isfinite(published)
        if given.any():
            any_published = True
            ax.plot(x[given], published[given], marker=MARKERS[place], zorder=3, markeredgecolor=colour, **HOLLOW)
        known = np.isfinite(y)
        # Amid their runs, means of every series are solid.
        behind = {"linestyle": "-", "linewidth": 2.2} if len(runs) and not markers else {}
        ax.plot(x[known], y[known], **_look(place, markers) | behind)
    return any_published


def curve_handles(order: Sequence[str], *, published: bool = False, markers: bool = True) -> list[Artist]:
    """Legend entries of curves with these names, and of hollow markers where there are any."""
    handles: list[Artist] = [Line2D([], [], label=name, **_look(i, markers)) for i, name in enumerate(order)]
    if published:
        handles.append(Line2D([], [], color=TEXT, marker="o", label="published", **HOLLOW))
    return handles


def _scale(ax: Axes, xscale: str, yscale: str, ticks: Sequence[float]) -> None:
    """Scales of both axes; on a logarithmic one, numbers that are not written as powers of ten."""
    if xscale == "symlog":
        ax.set_xscale(xscale, linthresh=min(tick for tick in ticks if tick > 0))
    else:
        ax.set_xscale(xscale)
    if ticks:
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.minorticks_off()
    ax.set_yscale(yscale)
    for axis, given in ((ax.xaxis, bool(ticks)), (ax.yaxis, False)):
        low, high = axis.get_view_interval()
        if axis.get_scale() == "log" and not given and high < 1000 * low:
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())


@styled
def curve_panels(
    panels: Mapping[str, Mapping[str, Curve]],
    *,
    xlabel: str,
    ylabel: str | Mapping[str, str],
    xscale: Literal["linear", "log", "symlog"] = "linear",
    yscale: Literal["linear", "log"] = "linear",
    ticks: Sequence[float] = (),
    baseline: Literal["none", "zero", "line"] = "none",
    markers: bool = True,
    levels: Mapping[str, Mapping[str, float]] | None = None,
    mark: tuple[float, str] | None = None,
    columns: int = 2,
) -> Figure:
    """Curves, a panel for each title; a name has one colour, marker and line style in all panels.

    Args:
        panels: by title ("" for none), curves by name.
        xlabel, ylabel: axis labels with the unit; ``ylabel`` by title where panels differ.
        xscale, yscale: "symlog" is linear up to the first tick above 0, so that 0 has a place.
        ticks: places on the x axis; matplotlib's own where there are none.
        baseline: "zero": y starts at zero; "line": zero is a line; "none": neither.
        markers: mark each value; without, single runs are pale lines behind a line.
        levels: by title, values by name that do not depend on x, as dashed and dotted lines.
        mark: an x and its name, a dashed vertical line.
        columns: panels side by side.

    Raises:
        RobustlibError: nothing to draw, more curves than can be told apart, arrays of unequal length.
    """
    order = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    need(dict.fromkeys(order), "curve_panels")
    levels, published = levels or {}, False
    columns = min(columns, len(panels))
    # Curves that are named as their panel need no legend, unless there are hollow markers to explain.
    legend = any(
        name != title or curve.published is not None
        for title, curves in panels.items()
        for name, curve in curves.items()
    )
    figure = new_figure((0.9 if legend else 0.5) + (3.0 if columns == 1 else 2.5) * -(-len(panels) // columns))
    dashes: dict[str, Any] = dict(
        zip(dict.fromkeys(name for named in levels.values() for name in named), ("--", ":"), strict=False)
    )
    for ax, (title, curves) in zip(grid(figure, len(panels), columns), panels.items(), strict=True):
        published |= draw_curves(ax, curves, order, markers=markers)
        for name, level in levels.get(title, {}).items():
            ax.axhline(level, color=TEXT, linestyle=dashes[name], linewidth=1.4, zorder=1)
        if mark is not None:
            ax.axvline(mark[0], color=NEUTRAL, linewidth=1.2, linestyle="--", zorder=1)
            place: dict[str, Any] = {
                "xycoords": ("data", "axes fraction"),
                "xytext": (4, -2),
                "textcoords": "offset points",
            }
            ax.annotate(mark[1], (mark[0], 1), va="top", fontsize=9.5, **place)
        ax.set(title=title, xlabel=xlabel, ylabel=ylabel if isinstance(ylabel, str) else ylabel[title])
        _scale(ax, xscale, yscale, ticks)
        if baseline == "line":
            ax.axhline(0, color=TEXT, linewidth=0.8, zorder=1)
        if baseline == "zero":
            from_zero(ax)
    lines = [Line2D([], [], color=TEXT, linestyle=d, linewidth=1.4, label=name) for name, d in dashes.items()]
    if legend:
        outside_legend(figure, [*curve_handles(order, published=published, markers=markers), *lines])
    return figure
