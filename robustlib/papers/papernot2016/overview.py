"""The overview figures of Papernot et al. 2016, drawn from images, derivatives and outputs of given networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from ...errors import RobustlibError
from ...report.plots.images import enlarged
from ...report.plots.style import COLOURS, NEUTRAL, grid, new_figure, styled


@dataclass(frozen=True)
class Picture:
    """(h, w) values in 0..1 in grey, or ``signed`` ones in two colours about 0."""

    values: ArrayLike | torch.Tensor
    signed: bool = False


@dataclass(frozen=True)
class Bars:
    """One value a class, and their unit."""

    values: ArrayLike
    unit: str


def four_maps(maps: torch.Tensor) -> torch.Tensor:
    """(2 h + 1, 2 w + 1) in 0..1: the first four of (C, h, w) feature maps, each on its own scale.

    Raises:
        RobustlibError: fewer than four, or another shape.
    """
    if maps.ndim != 3 or len(maps) < 4:
        raise RobustlibError(f"feature maps of shape {tuple(maps.shape)}; give at least four, (C, h, w)")
    four = maps[:4].detach().clamp(min=0)
    four = four / four.amax((1, 2), keepdim=True).clamp_min(1e-12)
    padded = torch.nn.functional.pad(four, (0, 1, 0, 1), value=float("nan"))
    return torch.cat([torch.cat(list(padded[:2]), 1), torch.cat(list(padded[2:]), 1)])[:-1, :-1]


@styled
def mosaic(panels: Mapping[str, Picture | Bars], *, columns: int, mark: int) -> Figure:
    """Pictures and bars by class, row by row: figures 1, 3 and 5 of the paper, for one image.

    Args:
        panels: by title.
        columns: side by side.
        mark: class whose bar is marked.

    Raises:
        RobustlibError: nothing to draw, or an array that is no picture.
    """
    if not panels:
        raise RobustlibError("mosaic: nothing to draw; pass at least one panel")
    figure = new_figure(1.6 * -(-len(panels) // columns))
    for ax, (title, panel) in zip(grid(figure, len(panels), columns), panels.items(), strict=True):
        ax.set_title(title, fontsize=9.5, fontweight="normal", loc="center")
        if isinstance(panel, Picture):
            _picture(ax, panel, title)
        else:
            _bars(ax, panel, mark)
    return figure


def _picture(ax: Axes, picture: Picture, title: str) -> None:
    array = np.asarray(picture.values, float)
    if array.ndim != 2:
        raise RobustlibError(f"{title!r}: an array of shape {array.shape}; give one channel, (h, w)")
    reach = float(np.nanmax(np.abs(array))) or 1.0
    ax.imshow(
        # Feature maps, which are parted by gaps, and derivatives are no pictures.
        enlarged(array[..., None], smooth=not picture.signed and bool(np.isfinite(array).all()))[..., 0],
        extent=(-0.5, array.shape[1] - 0.5, array.shape[0] - 0.5, -0.5),
        cmap="RdBu_r" if picture.signed else "gray",
        vmin=-reach if picture.signed else 0,
        vmax=reach if picture.signed else 1,
        interpolation="none",
    )
    ax.set_axis_off()
    if picture.signed and not np.nan_to_num(array).any():
        # On the picture's own ground, which stays white on a dark page.
        ax.text(0.5, 0.5, "all exactly 0", transform=ax.transAxes, ha="center", va="center", color="#222222")
        ax.add_patch(Rectangle((-0.5, -0.5), *array.shape[::-1], fill=False, edgecolor=NEUTRAL, linewidth=1))


def _bars(ax: Axes, bars: Bars, mark: int) -> None:
    heights = np.asarray(bars.values, float)
    colours = [COLOURS[1] if i == mark else COLOURS[0] for i in range(len(heights))]
    ax.bar(range(len(heights)), heights, color=colours, linewidth=0)
    ax.set_xticks(range(0, len(heights), 3))
    ax.set(xlabel="class", ylabel=bars.unit)
    # Shares of one all have the same axis, so that panels can be compared.
    if heights.min() >= 0 and heights.max() <= 1:
        ax.set_ylim(0, 1.03)
    ax.grid(visible=False, axis="x")
