"""Style and shared parts of all figures, and their output in a notebook's cell: one PNG with its alt text.

A cell shows one PNG on an opaque white ground. The book's theme dims such a picture in dark mode (brightness 0.8) and
rounds its corners, so that it lies there as a pale card; every reader of notebooks shows it too, and nbval, which
compares text and HTML to the letter, leaves PNG out. Two pictures tagged for light and dark would both show on GitHub
and in Jupyter; a transparent one gets a white ground from the theme. The alt text travels in the output's metadata and
as its plain text, which nbval does compare.

Colours are Okabe and Ito's, darkened to a contrast of 3:1 and more with their ground. Series differ in marker and line
style as well. Text is 9 pt or more on a width of 6.5 in.
"""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec

import matplotlib as mpl
import seaborn as sns
from cycler import cycler
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from ...errors import RobustlibError

WIDTH = 6.5
"""Inches, of every figure."""
DPI = 160
"""Pixels per inch of a PNG: sharp at the width of a page column, some ten kilobytes large."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ((), (5, 2), (1.5, 1.5), (6, 1.5, 1.5, 1.5), (3, 1), (8, 2, 2, 2), (1, 1), (4, 2, 1, 2))
"""Dashes in seaborn's notation; () is a solid line."""

P = ParamSpec("P")


def dash(place: int) -> Any:
    """The line style of the series at that place, as matplotlib takes it."""
    return 0, LINES[place] or None


GROUND, TEXT, GRID = "#ffffff", "#22262b", "#dfe2e6"
COLOURS = ("#0072b2", "#c44e00", "#007f5c", "#a8498a", "#6a6f75", "#8a6900", "#2f8fc6", "#1f1f1f")
NEUTRAL = COLOURS[4]
"""Grey, for elements that belong to no series."""
SETTINGS: Any = {
    **sns.plotting_context("paper"),
    **sns.axes_style("whitegrid"),
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color"), TEXT),
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor", "legend.facecolor"), GROUND),
    "axes.edgecolor": GRID,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.prop_cycle": cycler(color=COLOURS),
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 6,
    "text.usetex": False,
}
"""Settings of figures on top of matplotlib's defaults."""


def styled(build: Callable[P, Figure]) -> Callable[P, Figure]:
    """Let a figure's builder draw with the book's settings and leave matplotlib's settings alone."""

    @functools.wraps(build)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context():
            # Whatever a user's own settings file says.
            mpl.rcdefaults()
            mpl.rcParams.update(SETTINGS)
            return build(*args, **kwargs)

    return wrapped


def new_figure(height: float) -> Figure:
    """An empty figure of the book's width; it belongs to no window and needs no closing."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08, hspace=0.04, wspace=0.03)  # type: ignore[union-attr,call-arg]
    return figure


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


def from_zero(ax: Axes) -> None:
    """Start the y axis at zero, with room for half a marker below it."""
    top = ax.get_ylim()[1]
    ax.set_ylim(-0.025 * top, top)


def outside_legend(figure: Figure, handles: Sequence[Artist]) -> None:
    """A legend above all panels: one line where it fits, else two columns."""
    letters = sum(len(str(handle.get_label())) + 8 for handle in handles)
    columns = len(handles) if letters <= 72 else 2
    figure.legend(handles=list(handles), loc="outside upper left", ncols=columns, handlelength=3)


def _alternative(alt: str) -> str:
    text = " ".join(alt.split())
    if not text:
        raise RobustlibError("a figure without alt text; say in a sentence what it shows and how it comes out")
    return text


def png(figure: Figure) -> bytes:
    """The figure as PNG, opaque, 1040 pixels wide, in 64 colours chosen for it: a quarter of the bytes."""
    drawn, out = io.BytesIO(), io.BytesIO()
    # No version, so that the same figure is the same bytes.
    figure.savefig(drawn, format="png", dpi=DPI, metadata={"Software": None}, facecolor=figure.get_facecolor())
    picture = Image.open(drawn).convert("RGB")
    picture.quantize(64, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(out, "png", optimize=True)
    return out.getvalue()


def show(figure: Figure, *, alt: str) -> None:
    """Display a figure as a notebook cell's output: one PNG with its alt text.

    Args:
        figure: as a builder draws it.
        alt: description for readers who cannot see it. nbval compares it, so digits in it must hold on any
            machine.

    Raises:
        RobustlibError: an empty alt text.
    """
    from IPython.display import publish_display_data

    text = _alternative(alt)
    data = {"image/png": base64.b64encode(png(figure)).decode(), "text/plain": text}
    publish_display_data(data, {"image/png": {"alt": text}})  # type: ignore[no-untyped-call]
