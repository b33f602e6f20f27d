"""Bars: a line for each name with its parts one after the other, and pairs of bars by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from ...errors import RobustlibError
from .style import COLOURS, GROUND, NEUTRAL, TEXT, grid, need, new_figure, outside_legend, styled

_HATCHES = ("", "//", "..", "xx", "\\\\", "oo", "--", "++")
_DIAMOND: dict[str, Any] = {"marker": "D", "linestyle": "none", "markersize": 6, "clip_on": False}
HOLLOW_DIAMOND: dict[str, Any] = {"color": TEXT, "markerfacecolor": GROUND, "markeredgewidth": 1.4}


@dataclass(frozen=True)
class Bar:
    """Parts of one bar from zero on, the ends of an interval of their sum, and another value to mark."""

    parts: Sequence[float]
    interval: tuple[float, float] | None = None
    mark: float | None = None


def draw_bars(ax: Axes, bars: Mapping[str, Sequence[float]], looks: Sequence[Mapping[str, Any]]) -> None:
    """Horizontal bars from the top down, each cut into its parts.

    Args:
        ax: where.
        bars: by name, one value a part.
        looks: of the parts, as matplotlib's ``barh`` takes them.
    """
    values = np.asarray(list(bars.values()), float)
    ends = values.cumsum(1)
    for part, look in enumerate(looks):
        ax.barh(range(len(bars)), values[:, part], left=ends[:, part] - values[:, part], **{"linewidth": 0, **look})
    ax.set_yticks(range(len(bars)), list(bars))
    ax.set_ylim(len(bars) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")


@styled
def bar_panels(
    panels: Mapping[str, Mapping[str, Bar]],
    parts: Sequence[str],
    *,
    xlabel: str,
    whole: bool = False,
    mark: str = "",
    line: float = 0.36,
    beside: bool = False,
) -> Figure:
    """Bars of one or more parts, a panel for each title.

    Args:
        panels: by title, bars by name.
        parts: their names.
        xlabel: axis label, with the unit.
        whole: the axis ends at 100 %.
        mark: name of the value that is marked by a diamond.
        line: inches of a bar with its distance to the next.
        beside: panels side by side, with the same names; otherwise one below the other.

    Raises:
        RobustlibError: nothing to draw, more panels or parts than can be told apart.
    """
    need(panels, "bar_panels")
    need(dict.fromkeys(parts), "bar_panels")
    heights = [len(bars) + 2 for bars in panels.values()]
    figure = new_figure(0.9 + line * (max(heights) if beside else sum(heights)))
    if beside:
        axes = grid(figure, len(panels), len(panels), sharey=True)
    else:
        axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=[h - 1 for h in heights]).ravel().tolist()
    # The paper's values are black and hollow, as in every figure.
    diamond = _DIAMOND | (HOLLOW_DIAMOND if "published" in mark else {"color": COLOURS[1]})
    looks: list[dict[str, Any]] = [
        {"facecolor": COLOURS[i], "hatch": _HATCHES[i], "edgecolor": GROUND} for i in range(len(parts))
    ]
    for ax, (title, bars) in zip(axes, panels.items(), strict=True):
        draw_bars(ax, {name: bar.parts for name, bar in bars.items()}, looks)
        for place, bar in enumerate(bars.values()):
            if bar.interval is not None:
                ax.hlines(place, *bar.interval, color=TEXT, linewidth=1.2)
            if bar.mark is not None:
                ax.plot(bar.mark, place, **diamond)
        ax.set(title=title, xlabel=xlabel)
        if whole:
            ax.set_xlim(0, 100)
    handles: list[Artist] = [Patch(label=part, **look) for part, look in zip(parts, looks, strict=True)]
    if mark:
        handles.append(Line2D([], [], label=mark, **diamond))
    outside_legend(figure, handles)
    return figure


@styled
def logit_bars(panels: Mapping[str, tuple[ArrayLike, ArrayLike]], *, classes: Sequence[str], true: int) -> Figure:
    """Logits of one input before and after an attack, a panel for each network.

    Args:
        panels: by network, (logits before, logits after), one for each class.
        classes: their names.
        true: position of the right class, which is marked on the axis.

    Raises:
        RobustlibError: nothing to draw, or arrays that do not fit the classes.
    """
    need(panels, "logit_bars")
    figure, places = new_figure(2.9), np.arange(len(classes))
    looks = {"before": (NEUTRAL, -0.2), "after": (COLOURS[1], 0.2)}
    for ax, (title, pair) in zip(grid(figure, len(panels), len(panels)), panels.items(), strict=True):
        for (colour, aside), logits in zip(looks.values(), pair, strict=True):
            heights = np.asarray(logits, float)
            if heights.shape != places.shape:
                raise RobustlibError(f"logit_bars {title!r}: give {len(classes)} logits before and after")
            ax.bar(places + aside, heights, width=0.4, color=colour, linewidth=0)
        ax.axhline(0, color=TEXT, linewidth=0.8)
        ax.axvspan(true - 0.5, true + 0.5, color=COLOURS[0], alpha=0.15, linewidth=0, zorder=0)
        ax.set_xticks(places, list(classes))
        ax.grid(visible=False, axis="x")
        ax.set(title=title, xlabel="class (the right one is shaded)", ylabel="logit")
    outside_legend(figure, [Patch(color=colour, label=f"{when} the attack") for when, (colour, _) in looks.items()])
    return figure
