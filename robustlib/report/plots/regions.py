"""Decision regions of two classes in the plane."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from ...errors import RobustlibError
from .style import COLOURS, TEXT, grid, need, new_figure, styled

Region = tuple[ArrayLike, ArrayLike, ArrayLike]
"""(axis, axis, scores): side and side coordinates, and (side, side) scores, positive where class 1 is predicted."""


def draw_region(ax: Axes, region: Region) -> None:
    """Both classes as areas, and the boundary between them."""
    x, y, scores = (np.asarray(part, float) for part in region)
    ax.contourf(x, y, scores, levels=[-1e9, 0, 1e9], colors=COLOURS[:2], alpha=0.25)
    ax.contour(x, y, scores, levels=[0], colors=[TEXT], linewidths=1.2)
    ax.set_aspect("equal")
    ax.grid(visible=False)


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
    figure = new_figure(3.5)
    for ax, (title, region) in zip(grid(figure, len(panels), len(panels)), panels.items(), strict=True):
        draw_region(ax, region)
        proven = np.zeros(len(told)) if certified is None else np.asarray(certified[title], float)
        for place, label, side in zip(places, told, 2 * proven, strict=True):
            if side > 0:
                low = place - side / 2
                ax.add_patch(Rectangle(low, side, side, facecolor=COLOURS[label], alpha=0.35, linewidth=0))
            ax.plot(*place, marker="os"[label], color=COLOURS[label], markersize=5)
            ax.add_patch(Rectangle(place - eps, 2 * eps, 2 * eps, fill=False, edgecolor=TEXT, linewidth=0.9))
        ax.set(title=title, xlabel="$x_1$", ylabel="$x_2$")
    return figure
