"""Style and shared parts of all figures, wide or narrow, and their output in a notebook's cell.

A cell shows one PNG on an opaque white ground with its alt text, which every reader of notebooks can show and nbval
leaves out of its comparison; the alt text is the output's plain text too, which nbval does compare. Where a chapter is
executed for the book (:data:`robustlib.environment.DRAWINGS`), the output also carries the figure as SVG in two
layouts, for a page's column and for a phone: :mod:`robustlib.report.plots.vector`.

Colours are Okabe and Ito's, darkened to a contrast of 3:1 and more with their ground. Series differ in marker and line
style as well, and a name that means something keeps its look in every figure (:func:`places`). What a paper prints is
drawn in black and hollow. Text is 9 pt or more in both layouts.
"""

from __future__ import annotations

import base64
import functools
import io
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, ParamSpec
from weakref import WeakKeyDictionary

import matplotlib as mpl
from cycler import cycler
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from ...environment import DRAWINGS, switched_on
from ...errors import RobustlibError

WIDTH, NARROW = 6.5, 3.7
"""Inches of a figure on a page, and of its layout for a phone."""
DPI = 160
"""Pixels per inch of a PNG: sharp at the width of a page column, some ten kilobytes large."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ((), (5, 2), (1.5, 1.5), (6, 1.5, 1.5, 1.5), (3, 1), (8, 2, 2, 2), (1, 1), (4, 2, 1, 2))
"""Dashes in seaborn's notation; () is a solid line."""

P = ParamSpec("P")
_narrow: ContextVar[bool] = ContextVar("narrow", default=False)
_builders: WeakKeyDictionary[Figure, functools.partial[Figure]] = WeakKeyDictionary()


def dash(place: int) -> Any:
    """The line style of the series at that place, as matplotlib takes it."""
    return 0, LINES[place] or None


GROUND, TEXT, GRID = "#ffffff", "#22262b", "#dfe2e6"
COLOURS = ("#0072b2", "#c44e00", "#007f5c", "#a8498a", "#6a6f75", "#8a6900", "#2f8fc6", "#1f1f1f")
NEUTRAL = COLOURS[4]
"""Grey, for elements that belong to no series."""
MEANINGS = (
    ("pgd", "adv. trained", "robust loss", "distilled", "ours"),
    ("fgsm", "standard", "natural training"),
    ("certified", "bound"),
    ("boundary attack", "black-box", "strict rule"),
    ("clean", "test error", "single: error"),
    ("noise", "slopes"),
    ("exact", "linear program"),
    ("worst case", "clipped"),
)
"""Words that give a series its place among the colours, markers and lines, wherever it appears."""
SETTINGS: Any = {
    # Seaborn's "paper" and "whitegrid" as far as nothing below replaces them: to import it takes a second.
    "axes.axisbelow": True,
    "axes.grid": True,
    "font.sans-serif": ["Arial", "DejaVu Sans", "Liberation Sans", "Bitstream Vera Sans", "sans-serif"],
    "legend.title_fontsize": 9.6,
    "lines.solid_capstyle": "round",
    "patch.edgecolor": "w",
    "patch.force_edgecolor": True,
    "patch.linewidth": 0.8,
    "xtick.bottom": False,
    "ytick.left": False,
    **dict.fromkeys(("xtick.major.width", "ytick.major.width"), 1.0),
    **dict.fromkeys(("xtick.minor.width", "ytick.minor.width"), 0.8),
    **dict.fromkeys(("xtick.major.size", "ytick.major.size"), 4.8),
    **dict.fromkeys(("xtick.minor.size", "ytick.minor.size"), 3.2),
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color"), TEXT),
    **dict.fromkeys(("figure.facecolor", "savefig.facecolor", "legend.facecolor"), GROUND),
    "axes.facecolor": "none",
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
    """Let a figure's builder draw with the book's settings and leave matplotlib's settings alone.

    Titles and labels that are longer than their place are broken into lines. How a figure was built is kept, so that
    :func:`narrowed` can build it again.
    """

    @functools.wraps(build)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context():
            # Whatever a user's own settings file says.
            mpl.rcdefaults()
            mpl.rcParams.update(SETTINGS)
            figure = build(*args, **kwargs)
            _break_lines(figure)
        _builders[figure] = functools.partial(wrapped, *args, **kwargs)
        return figure

    return wrapped


@contextmanager
def phone() -> Iterator[None]:
    """Build figures in the layout for a phone inside the block."""
    token = _narrow.set(True)
    try:
        yield
    finally:
        _narrow.reset(token)


def is_narrow() -> bool:
    """True inside :func:`phone`."""
    return _narrow.get()


def width() -> float:
    """Inches of the layout that is being built."""
    return NARROW if is_narrow() else WIDTH


def narrowed(figure: Figure) -> Figure | None:
    """The same figure in the layout for a phone, its foot included; None where it was not made by a builder."""
    build = _builders.get(figure)
    if build is None:
        return None
    with phone():
        other = build()
    if figure.get_supxlabel():
        foot(other, figure.get_supxlabel())
    return other


def built_from(figure: Figure) -> object:
    """The first argument of the builder that made the figure, what it draws; None where no builder did."""
    build = _builders.get(figure)
    return None if build is None or not build.args else build.args[0]


def foot(figure: Figure, text: str) -> None:
    """A grey line at the figure's foot, or several where it is long."""
    letters = 11 * figure.get_figwidth()
    figure.supxlabel(_filled(text, int(letters)), x=0.99, ha="right", fontsize=9, color=NEUTRAL)


def _filled(text: str, letters: int) -> str:
    """Text in lines of about as many letters; formulas and line breaks that are there stay whole."""
    joined = re.sub(r"\$[^$]*\$", lambda found: found.group().replace(" ", "\0"), text)
    lines = (textwrap.fill(line, max(letters, 8), break_long_words=False) for line in joined.split("\n"))
    return "\n".join(lines).replace("\0", " ")


def _break_lines(figure: Figure) -> None:
    """Break titles and axis labels that are longer than the room there is for them."""
    # Twice: the layout of panels with long names settles at the second.
    figure.draw_without_rendering()
    figure.draw_without_rendering()
    whole = figure.bbox
    boxes = {ax: ax.get_window_extent() for ax in figure.axes}

    def shorten(text: Text, room: float, length: float) -> None:
        if text.get_text() and length > room:
            longest = max(map(len, text.get_text().split("\n")))
            text.set_text(_filled(text.get_text(), int(longest * room / length)))

    for ax, box in boxes.items():
        beside = [b.x0 for b in boxes.values() if b.x0 > box.x1 - 1 and b.y0 < box.y1 and b.y1 > box.y0]
        right = min([*beside, whole.x1]) - 6
        for title in (ax.title, ax._left_title, ax._right_title):  # type: ignore[attr-defined]
            shorten(title, right - box.x0, title.get_window_extent().width)
        middle = (box.x0 + box.x1) / 2
        room = 2 * min(right - middle, middle - max([b.x1 for b in boxes.values() if b.x1 <= box.x0], default=0.0))
        shorten(ax.xaxis.label, max(room, box.width), ax.xaxis.label.get_window_extent().width)
        shorten(ax.yaxis.label, 1.05 * box.height, ax.yaxis.label.get_window_extent().height)


def new_figure(height: float) -> Figure:
    """An empty figure as wide as the layout; it belongs to no window and needs no closing."""
    figure = Figure(figsize=(width(), height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08, hspace=0.04, wspace=0.03)  # type: ignore[union-attr,call-arg]
    return figure


def places(names: Sequence[str]) -> dict[str, int]:
    """Places among colours, markers and lines: a name's own by its meaning, else the next that is free.

    Raises:
        RobustlibError: more names than can be told apart.
    """
    need(dict.fromkeys(names), "series")
    found: dict[str, int] = {}
    for name in names:
        text = name.lower()
        own = [i for i, words in enumerate(MEANINGS) if any(re.search(rf"\b{word}\b", text) for word in words)]
        free = next((i for i in own if i not in found.values()), None)
        if free is not None:
            found[name] = free
    for name in names:
        if name not in found:
            found[name] = next(i for i in range(len(MARKERS)) if i not in found.values())
    return {name: found[name] for name in names}


def need(data: Mapping[str, object], what: str) -> None:
    """Refuse a figure without series, or with more than can be told apart."""
    if not data:
        raise RobustlibError(f"{what}: nothing to draw; pass at least one series")
    if len(data) > len(MARKERS):
        raise RobustlibError(f"{what}: {len(data)} series, at most {len(MARKERS)} can be told apart; use panels")


def grid(figure: Figure, n: int, columns: int, *, sharey: bool | Literal["row"] = False) -> list[Axes]:
    """Axes for n panels, row by row, on a phone half as many beside each other; places left over stay empty."""
    columns = min(columns, n)
    rows = -(-n // columns)
    if is_narrow() and columns > 1:
        columns = -(-columns // 2)
        more = -(-n // columns) / rows
        rows = -(-n // columns)
        figure.set_figheight(0.6 + (figure.get_figheight() - 0.6) * more)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=sharey).ravel().tolist()
    for spare in axes[n:]:
        spare.set_axis_off()
    return axes[:n]


def outer_labels(axes: Sequence[Axes]) -> None:
    """Keep an axis label once where panels beside or below each other share it."""
    shape = axes[0].get_subplotspec().get_gridspec()  # type: ignore[union-attr]
    at = {(ax.get_subplotspec().rowspan.start, ax.get_subplotspec().colspan.start): ax for ax in axes}  # type: ignore[union-attr]
    for (row, column), ax in at.items():
        below, left = at.get((row + 1, column)), at.get((row, column - 1))
        if shape.nrows > 1 and below is not None and below.get_xlabel() == ax.get_xlabel():
            ax.xaxis.label.set_visible(False)
        if left is not None and left.get_ylabel() == ax.get_ylabel():
            ax.yaxis.label.set_visible(False)


def small_title(ax: Axes) -> None:
    """A title for a panel that is one of many in its row."""
    ax.set_title(ax.get_title(loc="left"), loc="left", fontsize=9.5, fontweight="normal")


def from_zero(ax: Axes) -> None:
    """Start the y axis at zero, with room for half a marker below it."""
    top = ax.get_ylim()[1]
    ax.set_ylim(-0.025 * top, top)


def outside_legend(figure: Figure, handles: Sequence[Artist]) -> None:
    """A legend above all panels, in as many columns as fit, for which the figure grows."""
    for handle in handles:
        handle.set_label(_filled(str(handle.get_label()), int(11 * width())))
    for columns in range(min(len(handles), 4), 0, -1):
        legend = figure.legend(handles=list(handles), loc="outside upper left", ncols=columns, handlelength=3)
        box = legend.get_window_extent()
        if columns == 1 or box.width <= figure.bbox.width - 8:
            break
        legend.remove()
    figure.set_figheight(figure.get_figheight() + max(0.0, box.height / figure.dpi - 0.3))


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
    """Display a figure as a notebook cell's output: one PNG with its alt text, and for the book its SVG layouts.

    Args:
        figure: as a builder draws it.
        alt: description for readers who cannot see it. nbval compares it, so digits in it must hold on any
            machine.

    Raises:
        RobustlibError: an empty alt text.
    """
    from IPython.display import publish_display_data

    text = _alternative(alt)
    data: dict[str, Any] = {"image/png": base64.b64encode(png(figure)).decode(), "text/plain": text}
    if switched_on(DRAWINGS):
        from .data import csv_of
        from .vector import CSV, MIME, layouts, pack

        numbers = csv_of(figure)
        data[MIME] = layouts(figure) | ({CSV: pack(numbers)} if numbers else {})
    publish_display_data(data, {"image/png": {"alt": text}})  # type: ignore[no-untyped-call]
