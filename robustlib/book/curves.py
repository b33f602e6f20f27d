"""Tables over one knob (a radius, a weight in the loss), which the book's pages draw and read out at a slider."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..catalogue.base import find_item, papers
from ..experiments.store import Store
from ..report.forms import list_table, myst_escape
from ..report.join import rows, title_suffix
from ..report.rows import NOTHING, Row

LEAST = 4
"""Measured values below which there is no curve to follow."""
_LABEL = re.compile(r"(?:(?P<panel>.*); ?)?(?P<knob>[^;=]+)=(?P<value>[0-9.]+)")


def _table(found: Sequence[Row], panel: str, item: str) -> list[str]:
    """One panel as a table: a line for each value of the knob, our columns and the paper's verified ones."""
    cells: dict[str, dict[float, str]] = {}
    knob = ""
    for row in found:
        match = _LABEL.fullmatch(row.label)
        # A spread has a separate axis.
        if match is None or (match["panel"] or "") != panel or row.column.endswith(" std"):
            continue
        knob, value = match["knob"], float(match["value"])
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
    points = sorted({row.n for row in found if row.n})
    counted = f"{points[0]:,}" if len(points) == 1 else f"{points[0]:,} to {points[-1]:,}"
    evidence = ", ".join(sorted({row.evidence for row in found if row.evidence}))
    shown = list_table(escaped, name=name, caption=title, kind="curve-table")
    return [shown, f"Ours: {counted} test points; evidence: {evidence}.", ""]


def curves(profile: str, store: Store) -> str:
    """Every curve that has been measured, as MyST."""
    parts: list[str] = []
    for item in (item for paper in papers().values() for item in paper.curves):
        found = rows(item, profile, store)
        panels = dict.fromkeys((m["panel"] or "") if (m := _LABEL.fullmatch(row.label)) else "" for row in found)
        for panel in panels:
            parts += _table(found, panel, item)
    return "\n".join(parts)
