"""A figure as SVG: in two layouts, for a page and for a phone, and recoloured for dark pages.

Text stays text and the ground is transparent. The same figure is the same bytes on one machine.
"""

from __future__ import annotations

import base64
import gzip
import io
import re

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .style import COLOURS, GRID, GROUND, TEXT, narrowed

CSV = "csv"
"""Name of what a figure draws, beside the names of its layouts."""
MIME = "application/vnd.robustlib.drawing+json"
"""Type of the output that holds the layouts: ignored by readers of notebooks, which show the PNG beside it."""
DARK = {
    TEXT: "#e4e6e9",
    GRID: "#3a4048",
    GROUND: "#14181e",
    **dict(
        zip(
            COLOURS,
            ("#5ab4f0", "#ff9c57", "#4fcfa5", "#e08cc6", "#a9aeb5", "#d9b14a", "#8ad0f7", "#f0f0f0"),
            strict=True,
        )
    ),
}
"""Each colour of a figure, and what it becomes on a dark page."""
MANY, DOTS = 500, 200
"""Points of a cloud from which on it is drawn as pixels, so many an inch: one by one they would be megabytes."""
THIN = 0.15
"""Points of the page from a line within which a vertex of a curve is left out."""
_UNUSED = re.compile(r"<metadata>.*?</metadata>|<!--.*?-->|<\?xml.*?\?>|<!DOCTYPE.*?>|(?<=\n) +", re.DOTALL)
_PATH, _DIGITS = re.compile(r' d="[^"]*"'), re.compile(r"(\.\d\d)\d+")
_GROUP = re.compile(r' id="[a-zA-Z0-9_.]+_\d+"')


def svg(figure: Figure) -> str:
    """The figure as SVG text, transparent, without what a browser does not need."""
    drawn, clouds = io.StringIO(), figure.findobj(_is_cloud)
    for cloud in clouds:
        cloud.set_rasterized(True)
    for line in figure.findobj(Line2D):
        # Matplotlib itself thins out paths of 128 points and more alone.
        line.recache(always=True)
        line.get_path().should_simplify, line.get_path().simplify_threshold = True, THIN
    dots: float | str = DOTS if clouds else "figure"
    with mpl.rc_context({"svg.hashsalt": "robustlib", "svg.fonttype": "none", "image.composite_image": False}):
        figure.savefig(drawn, format="svg", dpi=dots, metadata={"Date": None, "Creator": None}, facecolor="none")
    text = _GROUP.sub("", _UNUSED.sub("", drawn.getvalue()))
    # A hundredth of a point is less than any screen shows; curves of many points take half the bytes.
    text = _PATH.sub(lambda path: _DIGITS.sub(r"\1", path.group()), text)
    # Letters as wide as those of the layout where there are any, else narrower ones.
    return text.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, 'Segoe UI', Roboto, sans-serif").strip()


def _is_cloud(artist: Artist) -> bool:
    """True of many points without a line between them."""
    if isinstance(artist, PathCollection):
        return len(np.asarray(artist.get_offsets())) > MANY
    return (
        isinstance(artist, Line2D) and artist.get_linestyle() == "None" and len(np.asarray(artist.get_xydata())) > MANY
    )


def layouts(figure: Figure) -> dict[str, str]:
    """Packed SVG texts by layout: ``wide``, and ``narrow`` where the figure was made by a builder."""
    found = {"wide": figure, "narrow": narrowed(figure)}
    return {name: pack(svg(one)) for name, one in found.items() if one is not None}


def pack(text: str) -> str:
    """Text, compressed, as ASCII: a tenth of an SVG's bytes in a notebook."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def unpack(packed: str) -> str:
    """The text that :func:`pack` was given."""
    return gzip.decompress(base64.b64decode(packed)).decode()


def darkened(text: str) -> str:
    """An SVG text in the colours of a dark page; pictures inside it stay."""
    return re.sub("|".join(DARK), lambda found: DARK[found.group()], text)
