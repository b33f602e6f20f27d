"""Every published percentage against ours in one picture, coloured by evidence, as SVG for light and for dark pages."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from ..evidence import GRADES
from ..rows import Row
from .style import SETTINGS

_INK = {False: ("#22262b", "#dfe2e6"), True: ("#e4e6e9", "#4a4f57")}
"""Colours of text and grid, on a light and on a dark page."""
_LOOKS: dict[str, tuple[tuple[str, str], str, float]] = {
    "authors' network": (("#007f5c", "#5fd0ab"), "D", 6),
    "paper's protocol": (("#0072b2", "#67b7f0"), "o", 6),
    "other recipe": (("#c44e00", "#ff9c57"), "^", 5),
    "stand-in": (("#8a8f96", "#8a8f96"), ".", 3.5),
}
"""For each grade of evidence its colours on light and dark pages, its marker and the marker's size."""


def overview(rows: Sequence[Row], *, dark: bool) -> str:
    """The picture's SVG text, the same for the same rows; transparent, for pages of either kind.

    Args:
        rows: with a published number in per cent, in the order in which they are drawn.
        dark: for dark pages.
    """
    text, grid = _INK[dark]
    settings: Any = SETTINGS | {
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color"), text),
        **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor", "legend.facecolor"), "none"),
        **dict.fromkeys(("axes.edgecolor", "grid.color"), grid),
        "svg.hashsalt": "robustlib",
        "svg.fonttype": "none",
    }
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(settings)
        content = io.StringIO()
        _draw(rows, dark, text).savefig(content, format="svg", metadata={"Date": None, "Creator": None})
        return content.getvalue()


def overview_png(rows: Sequence[Row]) -> bytes:
    """The picture on white as a PNG, which is what shared links can show."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)
        content = io.BytesIO()
        _draw(rows, dark=False, text=_INK[False][0]).savefig(content, format="png", dpi=120, facecolor="white")
        return content.getvalue()


def _draw(rows: Sequence[Row], dark: bool, text: str) -> Figure:
    figure = Figure(figsize=(5.6, 5.2), layout="constrained")
    ax = figure.subplots()
    ax.plot([0, 100], [0, 100], color=text, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    for evidence in reversed(GRADES):
        found = [row for row in rows if row.evidence == evidence]
        if not found:
            continue
        colours, marker, size = _LOOKS[evidence]
        # One path for all intervals keeps the file small.
        ends = np.array([[[row.published, row.low], [row.published, row.high], [np.nan] * 2] for row in found], float)
        faint = evidence == "stand-in"
        ax.plot(
            *ends.reshape(-1, 2).T, color=colours[dark], linewidth=0.5 if faint else 1.2, alpha=0.35 if faint else 1
        )
        x, y = [row.published for row in found], [row.value for row in found]
        label = f"{evidence} ({len(found):,})"
        ax.plot(x, y, marker, markersize=size, color=colours[dark], alpha=0.6 if faint else 1, label=label)  # type: ignore[arg-type]
    ax.set(
        xlim=(-2, 102), ylim=(-2, 102), xlabel="published (%)", ylabel="ours (%), with 95 % interval", aspect="equal"
    )
    ax.legend(loc="upper left", bbox_to_anchor=(0.0, 1.14), ncols=2, handletextpad=0.3, columnspacing=1.2)
    return figure


def overview_alt(rows: Sequence[Row]) -> str:
    """What the picture shows, in words."""
    parts = []
    for evidence in GRADES:
        gaps = [abs(row.difference) for row in rows if row.evidence == evidence and row.difference is not None]
        if gaps:
            near = sum(gap <= 2 for gap in gaps)
            parts.append(f"{evidence}, {near:,} of {len(gaps):,} within two points of the diagonal")
    return f"Published percentages against ours, by evidence: {'; '.join(parts)}."
