"""Figures made of images."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ...errors import RobustlibError
from .style import is_narrow, new_figure, styled, width

LARGEST, PIXEL = 1.15, 0.12
"""Inches of an image, and of a pixel, at most: enlarged more, an image shows its pixels instead of what it is of."""
COARSE = 12
"""Pixels of a side up to which an image is interpolated: as blocks, nobody recognises what it is of."""
_GAP, _LINE, _NAMES = 0.1, 0.165, 1.05
"""Inches between images, of a line of text, and of the names of rows."""
_PIXELS = 112
"""Fewest pixels of an image's longer side."""


def enlarged(image: np.ndarray, *, smooth: bool = False) -> np.ndarray:
    """An image (h, w, c) with each pixel repeated, so that no viewer blurs it.

    Args:
        image: values in any range.
        smooth: interpolate between pixels where the image is a coarse one, and keep to the range of its values.
    """
    times = -(-_PIXELS // max(image.shape[:2]))
    if not smooth or max(image.shape[:2]) > COARSE:
        return np.asarray(image.repeat(times, 0).repeat(times, 1))
    channels = torch.from_numpy(np.ascontiguousarray(image, np.float32)).permute(2, 0, 1)[None]
    finer = torch.nn.functional.interpolate(channels, scale_factor=times, mode="bicubic")[0]
    return finer.permute(1, 2, 0).clamp(float(image.min()), float(image.max())).numpy()


@styled
def image_grid(
    images: ArrayLike | torch.Tensor,
    labels: Sequence[str],
    *,
    columns: int = 5,
    names: Sequence[str] = (),
    blocks: Sequence[int] = (),
) -> Figure:
    """Images in rows, each with its label below.

    Args:
        images: (n, 1 or 3, h, w) in 0..1.
        labels: n short texts; may hold line breaks, and longer ones are broken.
        columns: images side by side, if there is room for them.
        names: of the rows, at their left; the rows then stay whole on a phone too.
        blocks: columns of what is no picture, such as weights or changes, whose pixels are never interpolated.

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
    columns = asked = min(columns, len(tiles))
    # Names stand above their row on a phone.
    beside, above = (0.0, _LINE + 0.04) if names and is_narrow() else (_NAMES if names else 0.0, 0.0)
    room = width() - 0.2 - beside
    if not names and (room + _GAP) / columns - _GAP < 0.75:
        columns = max(1, -(-columns // 2))
    side = min(LARGEST, PIXEL * max(tiles.shape[2:]), (room + _GAP) / columns - _GAP)
    letters = max(6, int(side * 11.5))
    broken = [textwrap.fill(label, letters, break_long_words=False) if "\n" not in label else label for label in labels]
    # The longer of an image's sides fills its place.
    high, wide = (side * float(n) / max(tiles.shape[2:]) for n in tiles.shape[2:])
    rows = [broken[i : i + columns] for i in range(0, len(broken), columns)]
    lines = [max((label.count("\n") + 1 for label in row if label), default=0) for row in rows]
    tall = [above + high + _LINE * n + _GAP for n in lines]
    # With room for a line at the foot, for which the images would shrink.
    figure = new_figure(sum(tall) + 0.4)
    ax = figure.subplots()
    across, top = beside + columns * (side + _GAP) - _GAP, 0.0
    for place, row in enumerate(rows):
        top -= above
        if place < len(names):
            name = names[place] if is_narrow() else textwrap.fill(names[place], 11)
            where = (0, top + 0.02, "bottom") if is_narrow() else (0, top - high / 2, "center")
            ax.text(*where[:2], name, va=where[2], fontsize=9, weight="bold", linespacing=1.1)
        for column, label in enumerate(row):
            tile = tiles[place * columns + column].expand(3, -1, -1).permute(1, 2, 0).numpy()
            left = beside + column * (side + _GAP) + (side - wide) / 2
            smooth = (place * columns + column) % asked not in blocks
            shown = enlarged(tile, smooth=smooth)
            ax.imshow(shown, interpolation="none", extent=(left, left + wide, top - high, top))
            ax.text(left + wide / 2, top - high - 0.03, label, ha="center", va="top", fontsize=9, linespacing=1.05)
        top -= tall[place] - above
    # Inches on both axes, whatever the width of the row.
    ax.set(xlim=(0, width() - 0.2) if across < width() - 0.2 else (0, across), ylim=(top, 0))
    ax.set_axis_off()
    return figure
