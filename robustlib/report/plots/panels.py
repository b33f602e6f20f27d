"""What the figures share: panels, axes, legends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...errors import RobustlibError
from .style import MARKERS


def need(data: Mapping[str, object], what: str) -> None:
    """Refuse a figure without series, or with more than can be told apart."""
    if not data:
        raise RobustlibError(f"{what}: nothing to draw; pass at least one series")
    if len(data) > len(MARKERS):
        raise RobustlibError(f"{what}: {len(data)} series, at most {len(MARKERS)} can be told apart; use panels")


def grid(figure: Figure, n: int, columns: int, *, sharey: bool = False) -> list[Axes]:
    """Axes for n panels, row by row; places that are left over stay empty."""
    columns = min(columns, n)
    rows = -(-n // columns)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=sharey).ravel().tolist()
    for spare in axes[n:]:
        spare.set_axis_off()
    return axes[:n]


def rgb(colour: str) -> tuple[float, float, float]:
    """Red, green and blue of ``#rrggbb`` as fractions."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def from_zero(ax: Axes) -> None:
    """Start the y axis at zero, with room for half a marker below it."""
    top = ax.get_ylim()[1]
    ax.set_ylim(-0.025 * top, top)


def outside_legend(figure: Figure, handles: Sequence[Artist]) -> None:
    """A legend above all panels: one line where it fits, else two columns."""
    letters = sum(len(str(handle.get_label())) + 8 for handle in handles)
    columns = len(handles) if letters <= 72 else 2
    figure.legend(handles=list(handles), loc="outside upper left", ncols=columns, handlelength=3)
