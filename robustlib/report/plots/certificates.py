"""Figures of certificates, from plain arrays: errors up to the bound, certified radii, states of units, losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from .panels import grid, need, outside_legend
from .style import LINES, MARKERS, current, new_figure, styled

Stage = tuple[float | None, float | None]
"""Our error and the published one, in per cent; None where there is none."""
KINDS = ("active", "dead", "unstable")


@styled
def error_brackets(panels: Mapping[str, Mapping[str, Mapping[str, Stage]]]) -> Figure:
    """From the clean error to the proven bound, one line a network; hollow markers are published.

    Args:
        panels: by problem, networks by name, errors by column.

    Raises:
        RobustlibError: nothing to draw.
    """
    need(panels, "error_brackets")
    theme = current()
    stages = list(dict.fromkeys(stage for nets in panels.values() for net in nets.values() for stage in net))
    figure = new_figure(0.9 + 0.42 * sum(len(nets) + 1.6 for nets in panels.values()))
    for ax, (title, nets) in zip(grid(figure, len(panels), 1), panels.items(), strict=True):
        for place, net in enumerate(nets.values()):
            given = [value for pair in net.values() for value in pair if value is not None]
            ax.plot([min(given), max(given)], [place, place], color=theme.grid, linewidth=5, zorder=1)
            for stage, (ours, published) in net.items():
                i = stages.index(stage)
                look: dict[str, Any] = {"marker": MARKERS[i], "color": theme.colours[i], "linestyle": "none"}
                look |= {"zorder": 3 + i, "clip_on": False}
                if ours is not None:
                    ax.plot(ours, place, markersize=7, markeredgecolor=theme.ground, **look)
                if published is not None:
                    ax.plot(published, place, markersize=11, markerfacecolor="none", **look)
        ax.set_yticks(range(len(nets)), list(nets))
        ax.set(title=title, xlim=(0, 100), ylim=(len(nets) - 0.5, -0.5), xlabel="error, or not certified (%)")
    handles = [
        Line2D([], [], marker=MARKERS[i], color=theme.colours[i], linestyle="none", label=stage)
        for i, stage in enumerate(stages)
    ]
    hollow = {"markerfacecolor": "none", "markersize": 10, "linestyle": "none"}
    handles.append(Line2D([], [], marker="o", color=theme.text, label="published", **hollow))  # type: ignore[arg-type]
    outside_legend(figure, handles)
    return figure


@styled
def sorted_radii(panels: Mapping[str, tuple[ArrayLike, ArrayLike]], *, eps: float, bins: int = 100) -> Figure:
    """Largest certified radius of each point, sorted, coloured by the share of right classes around it.

    Args:
        panels: by network, (radii, whether the class is right).
        eps: radius of training, a dashed line.
        bins: groups of neighbouring points that a mark stands for, at most.

    Raises:
        RobustlibError: nothing to draw.
    """
    need(panels, "sorted_radii")
    figure, theme = new_figure(3.4), current()
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
        ax.axhline(eps, color=theme.text, linewidth=1.2, linestyle="--")
        ax.set(title=title, xlabel="points, sorted (%)", yscale="log")
    axes[0].set_ylabel(r"largest certified $\varepsilon$")
    figure.colorbar(drawn, ax=axes, label="right class (%)")
    return figure


@styled
def unit_shares(panels: Mapping[str, tuple[Sequence[str], ArrayLike]]) -> Figure:
    """Shares of always active, dead and unstable units, a bar for each layer, a panel for each network.

    Args:
        panels: by network, names of the layers and (layers, 3) shares.

    Raises:
        RobustlibError: nothing to draw.
    """
    need(panels, "unit_shares")
    figure, theme = new_figure(0.9 + 0.5 * max(len(names) + 1 for names, _ in panels.values())), current()
    order, marks = (2, 0, 1), ("", "//", "..")
    axes = grid(figure, len(panels), len(panels), sharey=True)
    for ax, (title, (names, shares)) in zip(axes, panels.items(), strict=True):
        values, left = 100 * np.asarray(shares, float), np.zeros(len(names))
        for place, kind in enumerate(order):
            ax.barh(
                names,
                values[:, kind],
                left=left,
                color=theme.colours[place + 1],
                hatch=marks[place],
                edgecolor=theme.ground,
                linewidth=0.6,
            )
            left += values[:, kind]
        ax.set(title=title, xlabel="units (%)", xlim=(0, 100))
    axes[0].invert_yaxis()
    outside_legend(
        figure,
        [
            Patch(facecolor=theme.colours[i + 1], hatch=marks[i], edgecolor=theme.ground, label=KINDS[kind])
            for i, kind in enumerate(order)
        ],
    )
    return figure


@styled
def loss_lines(curves: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> Figure:
    """Loss on training batches against updates, on a logarithmic axis, one line a network.

    Raises:
        RobustlibError: nothing to draw.
    """
    need(curves, "loss_lines")
    figure, theme = new_figure(3.5), current()
    ax = figure.subplots()
    for place, (name, (steps, loss)) in enumerate(curves.items()):
        ax.plot(steps, loss, color=theme.colours[place], linestyle=(0, LINES[place] or None), label=name)
    ax.set(xlabel="update", ylabel="training loss (nats)", yscale="log")
    outside_legend(figure, ax.get_legend_handles_labels()[0])
    return figure
