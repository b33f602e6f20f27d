"""Builders of the book's figures, from plain arrays; what they show comes from records, elsewhere.

Each returns a matplotlib ``Figure`` in the current theme, which ``style.show`` displays. A published number
is a hollow marker beside ours, in the same colour and shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from ...errors import RobustlibError
from .images import image_grid
from .losses import Histogram, loss_histograms, loss_traces, training_loss
from .panels import from_zero, grid, need, outside_legend
from .style import LINES, MARKERS, current, new_figure, styled

__all__ = [
    "Curve",
    "Histogram",
    "accuracy_curves",
    "capacity_panels",
    "image_grid",
    "loss_histograms",
    "loss_traces",
    "training_loss",
]

Curve = tuple[ArrayLike, ArrayLike, ArrayLike | None, ArrayLike | None, ArrayLike | None]
"""(x, y, low, high, published y) of one length; None, or NaN in places, where there is none."""
_HOLLOW: dict[str, Any] = {"markersize": 9, "markerfacecolor": "none", "markeredgewidth": 1.4}
_GREY = 4
"""The palette's neutral colour."""


def _float(name: str, values: ArrayLike | None, length: int) -> np.ndarray:
    array = np.full(length, np.nan) if values is None else np.asarray(values, float)
    if array.shape != (length,):
        raise RobustlibError(f"curve {name!r}: an array of shape {array.shape} beside {length} x; give one length")
    return array


def draw_curves(ax: Axes, curves: Mapping[str, Curve], order: Sequence[str]) -> bool:
    """Lines with bands and hollow published markers; whether there was a published point.

    A name's place in ``order`` gives its colour, marker and dashes.
    """
    theme, frames, any_published = current(), [], False
    for name, (x, y, low, high, published) in curves.items():
        x = np.asarray(x, float)
        y, low, high, published = (_float(name, values, len(x)) for values in (y, low, high, published))
        frames.append(pd.DataFrame({"x": x, "y": y, "series": name}))
        place = order.index(name)
        colour = theme.colours[place]
        known = np.isfinite(low)  # a gap would hide the band on both of its sides
        ax.fill_between(x[known], low[known], high[known], color=colour, alpha=0.18, linewidth=0)
        given = np.isfinite(published)
        if given.any():
            any_published = True
            ax.plot(
                x[given],
                published[given],
                linestyle="none",
                marker=MARKERS[place],
                zorder=3,
                markeredgecolor=colour,
                **_HOLLOW,
            )
    sns.lineplot(
        # Labels must differ from row to row, or seaborn stumbles over those that are NaN.
        pd.concat(frames, ignore_index=True),
        x="x",
        y="y",
        hue="series",
        style="series",
        hue_order=order,
        style_order=order,
        palette=list(theme.colours[: len(order)]),
        markers=list(MARKERS[: len(order)]),
        dashes=list(LINES[: len(order)]),
        errorbar=None,
        legend=False,
        ax=ax,
        markeredgecolor=theme.ground,
    )
    return any_published


def curve_legend(figure: Figure, order: Sequence[str], published: bool, more: Sequence[Artist] = ()) -> None:
    """A legend of these curves, of the hollow markers when there are any, and of whatever else was drawn."""
    theme = current()
    dashes: list[Any] = [(0, line or None) for line in LINES]
    handles = [
        Line2D(
            [],
            [],
            color=theme.colours[i],
            marker=MARKERS[i],
            linestyle=dashes[i],
            markeredgecolor=theme.ground,
            label=name,
        )
        for i, name in enumerate(order)
    ]
    if published:
        handles.append(Line2D([], [], color=theme.text, marker="o", linestyle="none", label="published", **_HOLLOW))
    outside_legend(figure, [*handles, *more])


@styled
def accuracy_curves(
    curves: Mapping[str, Curve],
    *,
    xlabel: str,
    ylabel: str,
    mark_eps: float | None = None,
    mark_label: str = "training ε",
) -> Figure:
    """Accuracy against the perturbation budget, one line a network, with 95 % bands.

    Args:
        curves: by name; units are the caller's and belong in the labels.
        xlabel, ylabel: axis labels.
        mark_eps: budget marked by a vertical line, such as the one trained for.
        mark_label: what that line says.

    Raises:
        RobustlibError: no curves, more than can be told apart, arrays of unequal length.
    """
    need(curves, "accuracy_curves")
    figure, order = new_figure(3.9), list(curves)
    ax = figure.subplots()
    published = draw_curves(ax, curves, order)
    if mark_eps is not None:
        ax.axvline(mark_eps, color=current().colours[_GREY], linewidth=1.2, linestyle="--", zorder=1)
        ax.annotate(
            mark_label,
            (mark_eps, 1),
            xycoords=("data", "axes fraction"),
            xytext=(4, -2),
            textcoords="offset points",
            va="top",
            fontsize=9.5,
        )
    ax.set(xlabel=xlabel, ylabel=ylabel)
    from_zero(ax)
    curve_legend(figure, order, published)
    return figure


@styled
def capacity_panels(
    panels: Mapping[str, Mapping[str, Curve]], *, xlabel: str, ylabel: str, ylabels: Mapping[str, str] | None = None
) -> Figure:
    """Measurements against the capacity scale (log 2), a panel for each way of training.

    Args:
        panels: by title, curves by name; a name has one colour in all panels.
        xlabel, ylabel: axis labels.
        ylabels: other y labels by title, for a panel that shows something else, such as the loss.

    Raises:
        RobustlibError: as :func:`accuracy_curves`.
    """
    need(panels, "capacity_panels")
    order = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    need(dict.fromkeys(order), "capacity_panels")
    figure, published = new_figure(0.9 + 2.5 * -(-len(panels) // 2)), False
    for ax, (title, curves) in zip(grid(figure, len(panels), 2), panels.items(), strict=True):
        published |= draw_curves(ax, curves, order)
        ax.set(title=title, xlabel=xlabel, ylabel=(ylabels or {}).get(title, ylabel))
        ax.set_xscale("log", base=2)
        ticks = sorted({float(x) for curve in curves.values() for x in np.asarray(curve[0], float)})
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.minorticks_off()
        from_zero(ax)
    curve_legend(figure, order, published)
    return figure
