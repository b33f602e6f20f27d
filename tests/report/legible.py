"""Figures in tests: the one that was drawn, and its texts that nobody can read, cut off or on each other."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from robustlib.report.plots.records import Drawing

SLACK = 1.0
"""Pixels at 100 to the inch by which boxes of letters may overlap or stick out: a box is wider than its letters."""


def drawn_figure(drawing: Drawing) -> tuple[Figure, str]:
    """A drawing that is a figure, with its alt text."""
    assert not isinstance(drawing, str), drawing
    return drawing


def _drawn(figure: Figure) -> Iterator[mpl.text.Text]:
    """Every text that is drawn; of tick labels those of ticks inside the axis."""
    ticks = set()
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            room = 1e-6 * (high - low)
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                inside = low - room <= tick.get_loc() <= high + room
                ticks |= set() if inside and axis.get_visible() and ax.axison else {tick.label1, tick.label2}
    for text in figure.findobj(mpl.text.Text):
        assert isinstance(text, mpl.text.Text)
        if text not in ticks and text.get_visible() and text.get_text().strip():
            yield text


def faults(figure: Figure) -> list[str]:
    """One line for each text that is cut off, and for each pair that collides."""
    figure.draw_without_rendering()
    boxes: list[tuple[str, Bbox]] = [(text.get_text(), text.get_window_extent()) for text in _drawn(figure)]
    canvas = figure.bbox
    found = [
        f"{name!r} is cut off"
        for name, box in boxes
        if box.x0 < -SLACK or box.y0 < -SLACK or box.x1 > canvas.x1 + SLACK or box.y1 > canvas.y1 + SLACK
    ]
    for (one, a), (other, b) in combinations(boxes, 2):
        across, up = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        if across > SLACK and up > SLACK:
            found.append(f"{one!r} lies on {other!r}")
    return found
