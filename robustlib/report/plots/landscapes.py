"""Figures from plain arrays: losses along ways, a softmax layer, one measurement over many seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from .panels import grid, need, outside_legend
from .style import MARKERS, current, dash, new_figure, styled

Curves = Mapping[str, ArrayLike]


@styled
def lines(panels: Mapping[str, Curves], *, xlabel: str, ylabel: str) -> Figure:
    """Values along a way from 0 to 1, a panel for each title, one line a name.

    Args:
        panels: by title, (n,) values by name; a name has one colour in all panels.
        xlabel, ylabel: axis labels.

    Raises:
        RobustlibError: nothing to draw, or too many lines.
    """
    order = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    need(dict.fromkeys(order), "lines")
    figure, theme = new_figure(0.8 + 2.3 * -(-len(panels) // 2)), current()
    for ax, (title, curves) in zip(grid(figure, len(panels), 2), panels.items(), strict=True):
        for name, values in curves.items():
            place, y = order.index(name), np.asarray(values, float)
            ax.plot(np.linspace(0, 1, len(y)), y, color=theme.colours[place], linestyle=dash(place))
        ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
    handles = [Line2D([], [], color=theme.colours[i], linestyle=dash(i), label=name) for i, name in enumerate(order)]
    outside_legend(figure, handles)
    return figure


@styled
def softmax_panels(biases: Curves, weights: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> Figure:
    """Biases by class, and the histogram of weights, one line a network.

    Args:
        biases: (classes,) by network.
        weights: (edges, counts) by network.

    Raises:
        RobustlibError: nothing to draw.
    """
    need(biases, "softmax_panels")
    figure, theme = new_figure(3.4), current()
    left, right = grid(figure, 2, 2)
    for place, (name, values) in enumerate(biases.items()):
        style: dict[str, Any] = {"color": theme.colours[place], "linestyle": dash(place)}
        left.plot(np.asarray(values, float), marker=MARKERS[place], label=name, **style)
        edges, counts = (np.asarray(part, float) for part in weights[name])
        right.stairs(counts / counts.sum(), edges, linewidth=1.6, **style)
    left.set(xlabel="class", ylabel="bias (logits)")
    right.set(xlabel="weight", ylabel="share of weights", yscale="log")
    outside_legend(figure, left.get_legend_handles_labels()[0])
    return figure


@styled
def seed_histogram(values: Sequence[float], marks: Mapping[str, float], *, xlabel: str) -> Figure:
    """Counts of one measurement over seeds, with every seed as a tick below and marked values as vertical lines.

    Args:
        values: one a seed.
        marks: by what they are, such as a published number.
        xlabel: axis label, with the unit.
    """
    figure, theme = new_figure(3.2), current()
    ax = figure.subplots()
    ax.hist(values, bins=8, color=theme.colours[0], alpha=0.35, edgecolor=theme.colours[0])
    ax.plot(values, np.zeros(len(values)), "|", color=theme.text, markersize=12, clip_on=False)
    for place, (name, value) in enumerate(marks.items(), 1):
        ax.axvline(value, color=theme.colours[place], linestyle=dash(place), label=name)
    ax.set(xlabel=xlabel, ylabel="seeds")
    outside_legend(figure, ax.get_legend_handles_labels()[0])
    return figure
