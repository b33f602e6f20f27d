"""What every printed form of a table shares: heads, plain cells, footnotes, links."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import RobustlibError
from .rows import NOTHING, Notes, Row, collect_notes, count_text, label_columns, ours_text, published_text, quantity

Link = str | Callable[[str], str]


@dataclass(frozen=True)
class Sheet:
    """What all printed forms share: heads, plain cells, and the rows behind them.

    Args:
        labels: columns that name a row.
        before: columns before our value: those, and the paper's number where any row has one.
    """

    heads: list[str]
    labels: int
    before: int
    cells: list[list[str]]
    notes: Notes
    caption: str
    rows: Sequence[Row]


def make_sheet(rows: Sequence[Row], caption: str, form: str) -> Sheet:
    """The sheet of these rows; where all share a column, the caption names it.

    Raises:
        RobustlibError: no rows; ``form`` names the caller.
    """
    if not rows:
        raise RobustlibError(f"{form}: a table without rows; pass the rows of an item that has cells")
    heads, labels = label_columns(rows)
    units = {row.unit for row in rows}
    shared = next(iter(units)) if len(units) == 1 else ""
    unit = f" ({shared})" if shared else ""
    printed = any(row.published is not None for row in rows)
    cells = []
    for row, label in zip(rows, labels, strict=True):
        own = f" {row.unit}" if row.unit and not shared else ""
        paper = published_text(row) + (own if row.published is not None else "")
        ours = ours_text(row) + (own if row.values else "")
        told = [paper, ours] if printed else [ours]
        cells.append([*label, *told, count_text(row), row.verdict.name, row.protocol or NOTHING])
    name = quantity(rows) or ""
    # A sentence begins with a capital, a name such as l2 stays.
    name = name[:1].upper() + name[1:] if name[:2].isalpha() else name
    caption = f"{caption.rstrip('.')}. {name}{unit}." if caption and name else caption
    heads += [f"Paper{unit}", "Ours [95 % interval]"] if printed else [f"Ours{unit} [95 % interval]"]
    heads += ["Points × seeds", "Verdict", "Protocol"]
    width = len(labels[0])
    return Sheet(heads, width, width + printed, cells, collect_notes(rows), caption, rows)


def address(link: Link, path: str) -> str:
    """Where a record is linked to."""
    return link + path if isinstance(link, str) else link(path)


def with_marks(sheet: Sheet, escape: Callable[[str], str], badge: Callable[[Row], str], sup: str) -> list[list[str]]:
    """Escaped cells, the verdict as a badge, footnote marks raised by ``sup`` (a format with one field)."""
    lines = []
    for i, (row, plain) in enumerate(zip(sheet.rows, sheet.cells, strict=True)):
        line = [escape(text) for text in plain]
        line[sheet.before + 2] = badge(row)
        ours, verdict = sheet.notes.ours[i], sheet.notes.verdicts[i]
        for place, marks in ((sheet.before, ours), (sheet.before + 2, verdict)):
            if marks:
                line[place] += sup.format(escape(marks))
        lines.append(line)
    return lines
