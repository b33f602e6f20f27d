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
    is_narrow,
    need,
    new_figure,
    outer_labels,
    outside_legend,
    places,
    small_title,
    styled,
)

Scale = Literal["linear", "log"]
Baseline = Literal["none", "zero", "line"]
HOLLOW: dict[str, Any] = {"markersize": 9, "markerfacecolor": "none", "markeredgewidth": 1.4, "linestyle": "none"}
"""Style of a published value's marker."""


@dataclass(frozen=True)
class Curve:
    """Values over x, all of one length; None, or NaN in places, where there is none.

    Args:
        x, y: (n,).
        low, high: (n,) ends of the band around y.
        published: (n,) the paper's values.
        verified: they were checked against the paper; recalled ones are drawn in grey.
        runs: (k, n) single runs that y is the mean of.
    """

    x: ArrayLike
    y: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None
    published: ArrayLike | None = None
    runs: ArrayLike | None = None
    verified: bool = True


def smoothed(x: ArrayLike, y: ArrayLike, batches: int) -> Curve:
    """A curve's centred running mean, shorter at both ends, with the curve itself behind it."""
    values = np.asarray(y, float)
    half = batches // 2
    mean = [values[max(0, i - half) : i + half + 1].mean() for i in range(len(values))]
    return Curve(x, mean, runs=[values])


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
    """Draw curves and return whether any has a published value that was checked.

    Args:
        ax: where.
        curves: by name.
        order: all names of the figure, whose :func:`places` give colours, markers and dashes.
        markers: mark each value. Single runs are dots then, and pale lines otherwise.

    Raises:
        RobustlibError: arrays of unequal length.
    """
    any_published, at = False, places(order)
    for name, curve in curves.items():
        place, x = at[name], np.asarray(curve.x, float)
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
        given, ink = np.isfinite(published), TEXT if curve.verified else NEUTRAL
        if given.any():
            any_published |= curve.verified
            ax.plot(x[given], published[given], marker=MARKERS[place], zorder=3, markeredgecolor=ink, **HOLLOW)
        known = np.isfinite(y)
        # Amid their runs, means of every series are solid.
        behind = {"linestyle": "-", "linewidth": 2.2} if len(runs) and not markers else {}
        ax.plot(x[known], y[known], **_look(place, markers) | behind)
    return any_published


def curve_handles(
    order: Sequence[str], *, published: bool = False, markers: bool = True, solid: bool = False
) -> list[Artist]:
    """Legend entries of curves with these names, solid as means amid their runs, and of hollow markers if any."""
    plain = {"linestyle": "-"} if solid else {}
    handles: list[Artist] = [
        Line2D([], [], label=name, **_look(i, markers) | plain) for name, i in places(order).items()
    ]
    if published:
        handles.append(Line2D([], [], color=TEXT, marker="o", label="published", **HOLLOW))
    return handles


def _scale(ax: Axes, xscale: str, yscale: str, ticks: Sequence[float]) -> None:
    """Scales of both axes; on a logarithmic one, numbers that are not written as powers of ten."""
    if xscale == "symlog":
        ax.set_xscale(xscale, linthresh=min(tick for tick in ticks if tick > 0), linscale=0.4)
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
    xlabel: str | Mapping[str, str],
    ylabel: str | Mapping[str, str],
    xscale: Literal["linear", "log", "symlog"] = "linear",
    yscale: Scale | Mapping[str, Scale] = "linear",
    ticks: Sequence[float] = (),
    baseline: Baseline | Mapping[str, Baseline] = "none",
    markers: bool | Mapping[str, bool] = True,
    levels: Mapping[str, Mapping[str, float]] | None = None,
    marks: Mapping[str, tuple[float, str]] | None = None,
    notes: Mapping[str, str] | None = None,
    reach: Mapping[str, float] | None = None,
    titles: Mapping[str, str] | None = None,
    apart: Sequence[str] = (),
    slopes: Mapping[str, int] | None = None,
    columns: int = 2,
    sharey: bool = False,
    tall: float = 0.0,
) -> Figure:
    """Curves, a panel for each title; a name has one colour, marker and line style in all panels.

    Args:
        panels: by title ("" for none), curves by name.
        xlabel, ylabel: axis labels with the unit; by title where panels differ.
        xscale, yscale: "symlog" is linear up to the first tick above 0, so that 0 has a place; ``yscale`` by title
            where panels differ.
        ticks: places on the x axis; matplotlib's own where there are none.
        baseline: "zero": y starts at zero; "line": zero is a line; "none": neither; by title where panels differ.
        markers: mark each value; without, single runs are pale lines behind a line; by title where panels differ.
        levels: by title, values by name that do not depend on x, as dashed and dotted lines.
        marks: by title, an x and its name, a dashed vertical line.
        notes: by title, a text in the panel.
        titles: by title, what is shown in its place.
        reach: by title, the least that a y axis from zero reaches to.
        apart: titles of panels whose curves have looks and a legend of their own.
        slopes: by name, exponents of guides that begin where a panel's first curve does, on logarithmic axes.
        columns: panels side by side.
        sharey: one y axis in each row of panels.
        tall: inches of a panel with its title and labels, where the usual is too many.

    Raises:
        RobustlibError: nothing to draw, more curves than can be told apart, arrays of unequal length.
    """
    order = list(dict.fromkeys(name for title, curves in panels.items() if title not in apart for name in curves))
    need(dict.fromkeys(order), "curve_panels")
    levels, published = levels or {}, False
    columns = min(columns, len(panels))

    def of(choice: Any, title: str) -> Any:
        """What is chosen for a panel, or for all."""
        return choice[title] if isinstance(choice, Mapping) else choice

    # Curves that are named as their panel need no legend, unless there are hollow markers to explain.
    legend = any(
        name != title or curve.published is not None
        for title, curves in panels.items()
        for name, curve in curves.items()
    )
    tall = tall or (3.0 if columns == 1 else 2.5)
    figure = new_figure((0.9 if legend else 0.5) + tall * -(-len(panels) // columns))
    dashes: dict[str, Any] = dict(
        zip(dict.fromkeys(name for named in levels.values() for name in named), ("--", ":"), strict=False)
    )
    axes = grid(figure, len(panels), columns, sharey=sharey)
    for ax, (title, curves) in zip(axes, panels.items(), strict=True):
        known = list(curves) if title in apart else order
        published |= draw_curves(ax, curves, known, markers=of(markers, title))
        if title in apart:
            ax.legend(handles=curve_handles(known, markers=of(markers, title)), handlelength=3)
        for (name, exponent), line in zip((slopes or {}).items(), ("--", ":", "-."), strict=False):
            first = next(iter(curves.values()))
            x, y = np.asarray(first.x, float), np.asarray(first.y, float)[0]
            ax.plot(x, y * (x / x[0]) ** exponent, color=NEUTRAL, linestyle=line, linewidth=1.2, zorder=1)
            ax.annotate(name, (x[-1], y * (x[-1] / x[0]) ** exponent), color=NEUTRAL, ha="right", va="bottom")
        for name, level in levels.get(title, {}).items():
            ax.axhline(level, color=TEXT, linestyle=dashes[name], linewidth=1.4, zorder=1)
        if title in (marks or {}):
            at, name = (marks or {})[title]
            ax.axvline(at, color=NEUTRAL, linewidth=1.2, linestyle="--", zorder=1)
            place: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
            ax.annotate(name, (at, 1), xytext=(4, -1), va="top", fontsize=9.5, color=NEUTRAL, **place)
        if title in (notes or {}):
            ax.text(0.98, 0.96, (notes or {})[title], transform=ax.transAxes, ha="right", va="top", fontsize=9)
        ax.set(title=(titles or {}).get(title, title), xlabel=of(xlabel, title), ylabel=of(ylabel, title))
        _scale(ax, xscale, of(yscale, title), ticks)
        if of(baseline, title) == "line":
            ax.axhline(0, color=TEXT, linewidth=0.8, zorder=1)
        if of(baseline, title) == "zero":
            ax.set_ylim(top=max(ax.get_ylim()[1], (reach or {}).get(title, 0.0)))
            from_zero(ax)
        if "%" in of(ylabel, title) and title in (reach or {}):
            ax.set_yticks(range(0, 101, 20))
        if is_narrow() and xscale == "linear" and not ticks:
            ax.locator_params(axis="x", nbins=5)
        if columns > 3:
            ax.locator_params(nbins=3)
            small_title(ax)
    lines = [Line2D([], [], color=TEXT, linestyle=d, linewidth=1.4, label=name) for name, d in dashes.items()]
    outer_labels(axes)
    if legend:
        with_markers = all(of(markers, title) for title in panels if title not in apart)
        solid = not with_markers and any(c.runs is not None for curves in panels.values() for c in curves.values())
        handles = curve_handles(order, published=published, markers=with_markers, solid=solid)
        if any(
            not curve.verified and curve.published is not None for found in panels.values() for curve in found.values()
        ):
            handles.append(Line2D([], [], color=NEUTRAL, marker="o", label="recalled, not checked", **HOLLOW))
        outside_legend(figure, [*handles, *lines])
    return figure
