"""Histograms in panels: counts in given bins, one outline a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from .style import COLOURS, TEXT, dash, grid, need, new_figure, outside_legend, styled

Histogram = tuple[ArrayLike, ArrayLike]
"""(edges, counts): b + 1 and b numbers."""


def _look(place: int) -> dict[str, Any]:
    """Colours and line style of the histogram at that place."""
    colour = COLOURS[place]
    return {"facecolor": (*to_rgb(colour), 0.3), "edgecolor": colour, "linewidth": 1.6, "linestyle": dash(place)}


def draw_histogram(ax: Axes, name: str, histogram: Histogram, place: int, *, fill: bool = True) -> None:
    """Draw a histogram as an outline in the colour and line style of its place, filled or not.

    Raises:
        RobustlibError: counts that do not fit their edges.
    """
    edges, counts = (np.asarray(part, float) for part in histogram)
    if edges.ndim != 1 or edges.shape != (len(counts) + 1,):
        raise RobustlibError(f"histogram {name!r}: {len(counts)} counts need one edge more, got {len(edges)}")
    ax.stairs(counts, edges, fill=fill, **_look(place))


@styled
def histograms(
    panels: Mapping[str, Mapping[str, Histogram]],
    *,
    xlabel: str,
    ylabel: str,
    log: bool = True,
    zero: bool = True,
    values: Sequence[float] = (),
    marks: Mapping[str, float] | None = None,
    columns: int = 2,
) -> Figure:
    """Counts in given bins, a panel for each title; a name has one colour in all panels.

    Args:
        panels: by title ("" for none), histograms by name.
        xlabel, ylabel: axis labels, with the unit.
        log: the axis of counts is logarithmic.
        zero: the other axis starts at zero.
        values: the values counted, as ticks at the foot.
        marks: named values, as vertical lines.
        columns: panels side by side.

    Raises:
        RobustlibError: nothing to draw, more histograms than can be told apart, counts that do not fit their edges.
    """
    order, marks = list(dict.fromkeys(name for found in panels.values() for name in found)), marks or {}
    need(dict.fromkeys([*order, *marks]), "histograms")
    columns = min(columns, len(panels))
    figure = new_figure(0.8 + (2.4 if columns == 1 else 2.2) * -(-len(panels) // columns))
    for ax, (title, found) in zip(grid(figure, len(panels), columns), panels.items(), strict=True):
        for name, histogram in found.items():
            draw_histogram(ax, name, histogram, order.index(name))
        if len(values):
            ax.plot(values, np.zeros(len(values)), "|", color=TEXT, markersize=12, clip_on=False)
        for place, value in enumerate(marks.values(), len(order)):
            ax.axvline(value, color=COLOURS[place], linestyle=dash(place))
        if log:
            ax.set_yscale("log")
            ax.set_ylim(bottom=0.7)
        if zero:
            ax.set_xlim(left=0)
        ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
    outlines: list[Artist] = [Patch(label=name, **_look(place)) for place, name in enumerate(order)]
    lines = [
        Line2D([], [], color=COLOURS[place], linestyle=dash(place), label=name)
        for place, name in enumerate(marks, len(order))
    ]
    outside_legend(figure, [*outlines, *lines])
    return figure
