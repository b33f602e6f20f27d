"""Figures of the live demonstrations: logits before and after an attack, decision regions in the plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import ArrayLike

from ...errors import RobustlibError
from .panels import grid, need, outside_legend
from .style import current, new_figure, styled

Region = tuple[ArrayLike, ArrayLike, ArrayLike]
"""(axis, axis, scores): side and side coordinates, and (side, side) scores, positive where class 1 is told."""


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
    figure, theme = new_figure(2.9), current()
    names, colours = ("before", "after"), (theme.colours[4], theme.colours[1])
    for ax, (title, pair) in zip(grid(figure, len(panels), len(panels)), panels.items(), strict=True):
        values = [np.asarray(logits, float) for logits in pair]
        if any(array.shape != (len(classes),) for array in values):
            raise RobustlibError(f"logit_bars {title!r}: give {len(classes)} logits before and after")
        frame = pd.concat(
            [
                pd.DataFrame({"class": list(classes), "logit": array, "when": when})
                for array, when in zip(values, names, strict=True)
            ]
        )
        sns.barplot(frame, x="class", y="logit", hue="when", palette=list(colours), saturation=1, legend=False, ax=ax)
        ax.axhline(0, color=theme.text, linewidth=0.8)
        ax.axvspan(true - 0.5, true + 0.5, color=theme.colours[0], alpha=0.15, linewidth=0, zorder=0)
        ax.set(title=title, xlabel="class (the right one is shaded)", ylabel="logit")
    handles = [Patch(color=colour, label=f"{name} the attack") for name, colour in zip(names, colours, strict=True)]
    outside_legend(figure, handles)
    return figure


@styled
def decision_regions(
    panels: Mapping[str, Region],
    points: ArrayLike,
    labels: ArrayLike,
    *,
    eps: float,
    certified: Mapping[str, ArrayLike] | None = None,
) -> Figure:
    """Regions of two classes in the plane with the l_inf box of each training point, a panel for each network.

    Args:
        panels: by network, the scores on a grid.
        points: (n, 2).
        labels: (n,) of 0 and 1.
        eps: half the side of a box.
        certified: by network, (n,) half the side of the box that is proven for each point, which is filled.

    Raises:
        RobustlibError: nothing to draw, or points and labels of other shapes.
    """
    need(panels, "decision_regions")
    places, told = np.asarray(points, float), np.asarray(labels, int)
    if places.ndim != 2 or places.shape != (len(told), 2):
        raise RobustlibError(f"decision_regions: points {places.shape} and labels {told.shape}; give (n, 2) and (n,)")
    figure, theme = new_figure(3.5), current()
    for ax, (title, (x, y, scores)) in zip(grid(figure, len(panels), len(panels)), panels.items(), strict=True):
        ax.contourf(x, y, scores, levels=[-1e9, 0, 1e9], colors=theme.colours[:2], alpha=0.28)
        ax.contour(x, y, scores, levels=[0], colors=[theme.text], linewidths=1.2)
        proven = np.zeros(len(told)) if certified is None else np.asarray(certified[title], float)
        for place, label, side in zip(places, told, 2 * proven, strict=True):
            if side > 0:
                low = place - side / 2
                ax.add_patch(Rectangle(low, side, side, facecolor=theme.colours[label], alpha=0.35, linewidth=0))
            ax.plot(*place, marker="os"[label], color=theme.colours[label], markersize=5)
            ax.add_patch(Rectangle(place - eps, 2 * eps, 2 * eps, fill=False, edgecolor=theme.text, linewidth=0.9))
        ax.set(title=title, xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
        ax.grid(visible=False)
    return figure
