"""Figures made of images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ...errors import RobustlibError
from .style import GROUND, WIDTH, new_figure, styled

_TILE = 64
"""Fewest pixels of an image's longer side."""
_LINE = 0.16
"""Inches of a line of text."""


@styled
def image_grid(images: ArrayLike | torch.Tensor, labels: Sequence[str], *, columns: int = 5) -> Figure:
    """Images in rows, each with its label below.

    Args:
        images: (n, 1 or 3, h, w) in 0..1.
        labels: n short texts; may hold line breaks.
        columns: images side by side.

    Raises:
        RobustlibError: another shape, values outside 0..1, another number of labels.
    """
    tiles = torch.as_tensor(images).detach().cpu().float()
    if tiles.ndim != 4 or tiles.shape[1] not in (1, 3) or not len(tiles):
        raise RobustlibError(f"images have shape {tuple(tiles.shape)}; give (n, 1 or 3, h, w)")
    if len(labels) != len(tiles):
        raise RobustlibError(f"{len(tiles)} images and {len(labels)} labels; give one each")
    if float(tiles.min()) < 0 or float(tiles.max()) > 1:
        raise RobustlibError(f"images reach from {float(tiles.min()):g} to {float(tiles.max()):g}; give 0..1")
    columns = min(columns, len(tiles))
    # Tiny images are enlarged, so that the gaps between them can be set finely.
    times = -(-_TILE // max(tiles.shape[2:]))
    tiles = tiles.repeat_interleave(times, 2).repeat_interleave(times, 3)
    height, width = tiles.shape[2:]
    # Inches of text below each image become pixels of a picture whose width the gaps themselves extend.
    text = 0.08 + _LINE * max(label.count("\n") + 1 for label in labels)
    gap = math.ceil(text * columns * width / (WIDTH - text * (columns - 1)))
    ground = torch.tensor(to_rgb(GROUND)).reshape(3, 1, 1)
    rows = -(-len(tiles) // columns)
    picture = ground.repeat(1, rows * (height + gap), columns * (width + gap) - gap)
    for i, tile in enumerate(tiles):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        picture[:, top : top + height, left : left + width] = tile
    figure = new_figure(WIDTH * picture.shape[1] / picture.shape[2])
    ax = figure.subplots()
    ax.imshow(picture.permute(1, 2, 0).numpy(), interpolation="nearest")
    ax.set_axis_off()
    for i, label in enumerate(labels):
        row, column = divmod(i, columns)
        x = column * (width + gap) + width / 2 - 0.5
        ax.text(x, row * (height + gap) + height + gap * 0.04 / text, label, ha="center", va="top", fontsize=9)
    return figure
