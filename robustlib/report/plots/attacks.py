"""Figures of the chapter on attacks: one digit under each attack, and attacks as paths in the plane."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ...attacks.losses import margin
from ...errors import RobustlibError
from .images import enlarged
from .regions import Region, draw_region
from .style import COLOURS, TEXT, grid, is_narrow, need, new_figure, styled, width

# Inches of an image, between images, between the two cards of a row; of a card: a title, three images, two lines, air.
_TILE, _GAP, _APART = 0.98, 0.07, 0.3
_WIDE, _TALL = 3 * _TILE + 2 * _GAP, _TILE + 1.0
_LETTERS = 12.5  # points: on a phone the figure is half as wide


@dataclass(frozen=True)
class Card:
    """One attack on one (H, W) image in 0..1, the class predicted for the result, and the margin in logits."""

    title: str
    clean: np.ndarray
    attacked: np.ndarray
    predicted: int
    margin: float

    @property
    def norms(self) -> tuple[int, float, float]:
        """l_0 (changed pixels), l_2 and l_inf of the perturbation."""
        size = np.abs(self.attacked - self.clean)
        return int((size > 1e-6).sum()), float(np.sqrt((size**2).sum())), float(size.max())


def card(title: str, model: nn.Module, x: Tensor, attacked: Tensor, y: Tensor) -> Card:
    """The card of one attacked image; x and attacked (1, 1, H, W), y (1,)."""
    with torch.no_grad():
        logits = model(attacked)
    clean, changed = (image[0, 0].double().numpy() for image in (x, attacked))
    return Card(title, clean, changed, int(logits.argmax()), float(margin(logits, y)[0]))


@styled
def attack_cards(cards: Sequence[Card]) -> Figure:
    """Cards, two beside each other on a page: image, perturbation (scaled to its largest entry), result, outcome."""
    if not cards:
        raise RobustlibError("attack_cards: nothing to draw; pass at least one card")
    columns = 1 if is_narrow() else 2
    across, height = columns * (_WIDE + _APART) - _APART, -(-len(cards) // columns) * _TALL
    figure = new_figure(0.16 + (width() - 0.16) * height / across)
    ax = figure.subplots()
    for place, one in enumerate(cards):
        row, column = divmod(place, columns)
        left, top = column * (_WIDE + _APART), -row * _TALL - 0.28
        l0, l2, linf = one.norms
        change = 0.5 + (one.attacked - one.clean) / (2 * max(linf, 1e-12))
        for i, tile in enumerate((one.clean, change, one.attacked)):
            x = left + i * (_TILE + _GAP)
            pixels = enlarged(np.asarray(tile)[..., None], smooth=tile is not change)[..., 0]
            ax.imshow(
                pixels, cmap="gray", vmin=0, vmax=1, interpolation="none", extent=(x, x + _TILE, top - _TILE, top)
            )
        ax.text(left, top + 0.06, one.title, weight="bold", fontsize=_LETTERS)
        verdict = f"predicted {one.predicted}, margin {one.margin:+.2g}".replace("-", "\N{MINUS SIGN}")
        colour = COLOURS[1] if one.margin < 0 else TEXT
        ax.text(left, top - _TILE - 0.04, verdict, va="top", color=colour, fontsize=_LETTERS)
        norms = f"ℓ₀ {l0}   ℓ₂ {l2:.2f}   ℓ∞ {linf:.2f}"
        ax.text(left, top - _TILE - 0.27, norms, va="top", fontsize=_LETTERS)
    ax.set(xlim=(0, across), ylim=(-height, 0))
    ax.set_axis_off()
    return figure


@contextmanager
def recorded_inputs(model: nn.Module) -> Iterator[list[np.ndarray]]:
    """The inputs of the model's forward passes inside the block, one (N, ...) array each."""
    points: list[np.ndarray] = []
    hook = model.register_forward_pre_hook(lambda _, inputs: points.append(inputs[0].detach().numpy().copy()))
    try:
        yield points
    finally:
        hook.remove()


@styled
def attack_paths(panels: Mapping[str, Sequence[ArrayLike]], region: Region, *, start: ArrayLike, eps: float) -> Figure:
    """Paths of attacks on one point of the plane, a panel each, over the regions of two classes.

    Args:
        panels: by attack, paths of (n, 2) points; a star marks the end of each.
        region: as in :func:`robustlib.report.plots.regions.decision_regions`.
        start, eps: (2,) the point under attack, and half the side of its box.

    Raises:
        RobustlibError: nothing to draw, or a path of another shape.
    """
    need(panels, "attack_paths")
    x, y, corner = (np.asarray(values, float) for values in (*region[:2], start))
    tall = 0.4 + 2.75 * np.ptp(y) / np.ptp(x)
    figure = new_figure(float(tall) * -(-len(panels) // 2))
    for ax, (title, paths) in zip(grid(figure, len(panels), 2), panels.items(), strict=True):
        draw_region(ax, region)
        for path in map(np.asarray, paths):
            if path.ndim != 2 or path.shape[1] != 2:
                raise RobustlibError(f"attack_paths {title!r}: a path of shape {path.shape}; give (n, 2)")
            ax.plot(*path.T, color=COLOURS[3], marker=".", markersize=4, linewidth=0.9, alpha=0.8)
            ax.plot(*path[-1], marker="*", markersize=11, color=COLOURS[3], markeredgecolor=TEXT)
        ax.add_patch(Rectangle(tuple(corner - eps), 2 * eps, 2 * eps, fill=False, edgecolor=TEXT, linestyle="--"))
        ax.plot(*corner, marker="o", color=TEXT, markersize=6)
        ax.set_title(title, fontsize=_LETTERS)
        ax.set(xticks=[], yticks=[])
    return figure
