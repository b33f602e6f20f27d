"""Histograms in panels: counts in given bins, one outline a name."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from ...errors import RobustlibError
from .style import (
    COLOURS,
    TEXT,
    dash,
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

Histogram = tuple[ArrayLike, ArrayLike]
"""(edges, counts): b + 1 and b numbers."""


def _look(place: int) -> dict[str, Any]:
    """Colours and line style of the histogram at that place."""
    colour = COLOURS[place]
    return {"facecolor": (*to_rgb(colour), 0.3), "edgecolor": colour, "linewidth": 1.6, "linestyle": dash(place)}


def _line(name: str, at: Mapping[str, int]) -> dict[str, Any]:
    """The vertical line of a named value; the paper's is black and dotted."""
    if name == "published":
        return {"color": TEXT, "linestyle": ":", "linewidth": 1.8}
    return {"color": COLOURS[at[name]], "linestyle": dash(at[name])}


def draw_histogram(ax: Axes, name: str, histogram: Histogram, place: int, *, fill: bool = True) -> None:
    """Draw a histogram as an outline in the colour and line style of its place, filled or not.

    Raises:
        RobustlibError: counts that do not fit their edges.
    """
    edges, counts = (np.asarray(part, float) for part in histogram)
    if edges.ndim != 1 or edges.shape != (len(counts) + 1,):
        raise RobustlibError(f"histogram {name!r}: {len(counts)} counts need one edge more, got {len(edges)}")
    ax.stairs(counts, edges, fill=fill, **_look(place))


def rebinned(found: Mapping[str, Histogram], bins: int) -> dict[str, Histogram]:
    """The histograms in equal bins over their common range; a bin's count goes where its middle lies.

    Args:
        found: histograms by name, whose own bins are the narrower ones.
        bins: number of the common ones.
    """
    own = {name: (np.asarray(edges, float), np.asarray(counts, float)) for name, (edges, counts) in found.items()}
    lowest, highest = (choose(choose(edges) for edges, _ in own.values()) for choose in (min, max))
    common = np.linspace(lowest, highest, bins + 1)
    return {
        name: (common, np.histogram((edges[1:] + edges[:-1]) / 2, common, weights=counts)[0])
        for name, (edges, counts) in own.items()
    }


@styled
def histograms(
    panels: Mapping[str, Mapping[str, Histogram]],
    *,
    xlabel: str,
    ylabel: str,
    log: bool = True,
    zero: bool = True,
    values: Sequence[float] | Mapping[str, Mapping[str, ArrayLike]] = (),
    marks: Mapping[str, float] | None = None,
    columns: int = 2,
    tall: float = 0.0,
    bare: Collection[str] = (),
) -> Figure:
    """Counts in given bins, a panel for each title; a name has one colour in all panels.

    Args:
        panels: by title ("" for none), histograms by name.
        xlabel, ylabel: axis labels, with the unit.
        log: the axis of counts is logarithmic.
        zero: the other axis starts at zero.
        values: values as ticks at the foot: those counted, or by title and name others, in the name's colour.
        marks: named values, as vertical lines.
        columns: panels side by side.
        tall: inches of a panel with its title and labels, where the usual is too many.
        bare: titles of panels that say their range themselves, without numbers on the axis.

    Raises:
        RobustlibError: nothing to draw, more histograms than can be told apart, counts that do not fit their edges.
    """
    order, marks = list(dict.fromkeys(name for found in panels.values() for name in found)), marks or {}
    need(dict.fromkeys([*order, *marks]), "histograms")
    columns, at = min(columns, len(panels)), places([*order, *marks])
    figure = new_figure(0.8 + (tall or (2.4 if columns == 1 else 2.2)) * -(-len(panels) // columns))
    axes = grid(figure, len(panels), columns)
    most = max(float(np.max(counts)) for found in panels.values() for _, counts in found.values())
    for ax, (title, found) in zip(axes, panels.items(), strict=True):
        for name, histogram in found.items():
            draw_histogram(ax, name, histogram, at[name])
        ticks = values.get(title, {}) if isinstance(values, Mapping) else {"": values} if len(values) else {}
        for name, some in ticks.items():
            foot: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "clip_on": False, "zorder": 5}
            colour = COLOURS[at[name]] if name else TEXT
            ax.plot(np.asarray(some), np.zeros(np.size(some)), "|", color=colour, markersize=12, **foot)
        for name, value in marks.items():
            ax.axvline(value, **_line(name, at))
        if log:
            ax.set_yscale("log")
            ax.set_ylim(bottom=0.7, top=1.5 * most)
        if zero:
            ax.set_xlim(left=0)
        ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
        if title in bare:
            ax.set_xticks([])
        elif columns > 3 or is_narrow():
            ax.locator_params(axis="x", nbins=2 if columns > 3 else 5)
        if columns > 3:
            small_title(ax)
    outer_labels(axes)
    outlines: list[Artist] = [Patch(label=name, **_look(at[name])) for name in order]
    lines = [Line2D([], [], label=name, **_line(name, at)) for name in marks]
    outside_legend(figure, [*outlines, *lines])
    return figure
