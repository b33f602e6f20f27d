"""Figures of losses: along an attack, where attacks end, and during training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import ArrayLike

from ...errors import RobustlibError
from .panels import from_zero, grid, need, outside_legend, rgb
from .style import LINES, current, new_figure, styled

Histogram = tuple[ArrayLike, ArrayLike]
"""(edges, counts): b + 1 and b numbers."""


@styled
def loss_traces(
    traces: Mapping[str, ArrayLike], *, xlabel: str = "PGD step", ylabel: str = "Loss (nats)", columns: int = 2
) -> Figure:
    """Loss along an attack, a thin line for each run and a thick one for their mean, a panel for each label.

    Args:
        traces: by label, (runs, steps).
        columns: panels side by side. Their y axes differ: losses of robust networks are far smaller.

    Raises:
        RobustlibError: nothing to draw, or an array that is not (runs, steps).
    """
    if not traces:
        raise RobustlibError("loss_traces: nothing to draw; pass at least one array")
    figure = new_figure(0.4 + 2.4 * -(-len(traces) // columns))
    theme = current()
    for i, (ax, (label, values)) in enumerate(zip(grid(figure, len(traces), columns), traces.items(), strict=True)):
        array = np.asarray(values, float)
        if array.ndim != 2 or not array.size:
            raise RobustlibError(f"trace {label!r} has shape {array.shape}; give (runs, steps)")
        runs, steps = array.shape
        frame = pd.DataFrame(
            {"step": np.tile(np.arange(steps), runs), "loss": array.ravel(), "run": np.repeat(np.arange(runs), steps)}
        )
        colour = theme.colours[i % columns]
        sns.lineplot(
            frame, x="step", y="loss", units="run", estimator=None, color=colour, alpha=0.45, linewidth=0.8, ax=ax
        )
        ax.plot(array.mean(0), color=colour, linewidth=2.2)
        ax.set(title=label, xlabel=xlabel, ylabel=ylabel)
        from_zero(ax)
    return figure


@styled
def loss_histograms(
    panels: Sequence[tuple[str, Mapping[str, Histogram]]],
    *,
    xlabel: str = "Loss (nats)",
    ylabel: str = "Runs",
    columns: int = 2,
) -> Figure:
    """Counts in stated bins, log scale, a panel for each example with one outline a network.

    Args:
        panels: (title, histograms by name); a name has one colour in all panels.

    Raises:
        RobustlibError: nothing to draw, or counts that do not fit their edges.
    """
    order = list(dict.fromkeys(name for _, found in panels for name in found))
    need(dict.fromkeys(order), "loss_histograms")
    figure, theme = new_figure(0.8 + 2.2 * -(-len(panels) // columns)), current()
    styles: list[Any] = [(0, dashes or None) for dashes in LINES]
    for ax, (title, found) in zip(grid(figure, len(panels), columns), panels, strict=True):
        for name, given in found.items():
            edges, counts = (np.asarray(part, float) for part in given)
            if edges.ndim != 1 or edges.shape != (len(counts) + 1,):
                raise RobustlibError(f"histogram {name!r}: {len(counts)} counts need one edge more, got {len(edges)}")
            place = order.index(name)
            sns.histplot(
                x=(edges[:-1] + edges[1:]) / 2,
                weights=counts,
                bins=edges.tolist(),
                element="step",
                fill=True,
                color=theme.colours[place],
                alpha=0.3,
                linewidth=1.6,
                linestyle=styles[place],
                ax=ax,
            )
        ax.set_yscale("log")
        ax.set_ylim(bottom=0.7)
        ax.set_xlim(left=0)
        ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
    handles = [
        Patch(
            facecolor=(*rgb(theme.colours[i]), 0.3),
            edgecolor=theme.colours[i],
            linewidth=1.6,
            linestyle=styles[i],
            label=n,
        )
        for i, n in enumerate(order)
    ]
    outside_legend(figure, handles)
    return figure


@styled
def training_loss(
    steps: ArrayLike, loss: ArrayLike, *, smooth: int = 1, xlabel: str = "Training step", ylabel: str = "Loss (nats)"
) -> Figure:
    """Loss during training, log scale: each value pale, their running mean on top.

    Args:
        steps, loss: (n,) each, positive losses.
        smooth: values in the running mean, which is centred and shorter at both ends; 1 draws no mean.

    Raises:
        RobustlibError: unequal or empty arrays, smooth below 1.
    """
    x, y = np.asarray(steps, float), np.asarray(loss, float)
    if x.ndim != 1 or x.shape != y.shape or not len(x):
        raise RobustlibError(f"training_loss: steps {x.shape} and loss {y.shape}; give two arrays of one length")
    if smooth < 1:
        raise RobustlibError(f"training_loss: smooth={smooth}; give a number of values, 1 or more")
    figure, theme = new_figure(3.4), current()
    ax = figure.subplots()
    frame = pd.DataFrame({"step": x, "loss": y})
    plain = smooth == 1
    sns.lineplot(
        frame,
        x="step",
        y="loss",
        estimator=None,
        ax=ax,
        color=theme.colours[0],
        legend=False,
        alpha=1.0 if plain else 0.55,
        linewidth=1.8 if plain else 0.9,
        label=None if plain else "batch",
    )
    if not plain:
        mean = frame["loss"].rolling(smooth, center=True, min_periods=1).mean()
        ax.plot(x, mean, color=theme.colours[1], linewidth=2.2, label=f"mean of {smooth}")
        ax.legend()
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set(xlabel=xlabel, ylabel=ylabel)
    return figure
