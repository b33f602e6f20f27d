"""Tables over one knob (a radius, a weight in the loss), which the book's pages draw and read out at a slider."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..catalogue.base import Cell, find_item, papers
from ..catalogue.plan import cells_of
from ..experiments.store import Store
from ..report.forms import list_table, myst_escape
from ..report.join import row as row_of
from ..report.join import title_suffix
from ..report.rows import NOTHING, Row

LEAST = 4
"""Measured values below which there is no curve to follow."""


def _knob(cell: Cell) -> tuple[str, float] | None:
    """The setting of a cell's row that is a number, and its value; None where it has none."""
    return next(((name, value) for name, value in cell.where.items() if isinstance(value, float)), None)


def _table(points: Sequence[tuple[Cell, Row]], panel: str, item: str) -> list[str]:
    """One panel as a table: a line for each value of the knob, our columns and the paper's verified ones."""
    cells: dict[str, dict[float, str]] = {}
    knob, found = "", [row for _, row in points]
    for cell, row in points:
        at = _knob(cell)
        # A spread has a separate axis.
        if at is None or cell.where.get("panel", "") != panel or row.column.endswith(" std"):
            continue
        knob, value = at
        printed = row.published if row.verified else None
        for whose, number in (("ours", row.value), ("paper", printed)):
            if number is not None:
                text = f"{number:.{row.decimals + (whose == 'ours')}f}"
                cells.setdefault(f"{row.column}, {whose}", {})[value] = text
    cells = {head: line for head, line in cells.items() if len(line) >= LEAST}
    if not any(head.endswith(", ours") for head in cells):
        return []
    facts = find_item(item)
    title = f"{facts.title}{f', {panel}' if panel else ''} ({found[0].unit}){title_suffix(found)}"
    name = re.sub(r"[^a-z0-9]+", "-", f"curve-{item}-{panel}".lower()).strip("-")
    values = sorted({value for line in cells.values() for value in line})
    table = [[knob, *cells]]
    table += [[f"{value:g}", *(line.get(value, NOTHING) for line in cells.values())] for value in values]
    escaped = [[myst_escape(text) for text in line] for line in table]
    counts = sorted({row.n for row in found if row.n})
    counted = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
    evidence = ", ".join(sorted({row.evidence for row in found if row.evidence}))
    shown = list_table(escaped, name=name, caption=title, kind="curve-table")
    return [shown, f"Ours: {counted} test points; evidence: {evidence}.", ""]


def curves(profile: str, store: Store) -> str:
    """Every curve that has been measured, as MyST."""
    parts: list[str] = []
    for item in (item for paper in papers().values() for item in paper.curves):
        points = [(cell, row_of(cell, profile, store)) for cell in cells_of(item)]
        for panel in dict.fromkeys(cell.where.get("panel", "") for cell, _ in points):
            parts += _table(points, panel, item)
    return "\n".join(parts)
