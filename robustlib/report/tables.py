"""Rows as files: tables for READMEs (Markdown) and papers (LaTeX), plain values for programs (JSON).

Every printed form shows the same: label, paper's value, that of the authors' network where it is measured, ours with
its 95 % interval and the range of its networks, points and networks, verdict, evidence, records. The same rows give
the same bytes. A link is ``link + path``, or ``link(path)`` where ``link`` is a function. LaTeX, CSV and
DataFrames come from ``exports``, tables of the book's pages from ``page_tables``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import RobustlibError
from .rows import (
    NOTHING,
    Row,
    authors_text,
    collect_notes,
    count_text,
    label_columns,
    ours_text,
    published_text,
    quantity,
    record_names,
)

Link = str | Callable[[str], str]
Escape = Callable[[str], str]
_FIXED_SPACE = "\u00a0"


@dataclass(frozen=True)
class Sheet:
    """A printed table in a form's own markup.

    Args:
        heads: one a column.
        cells: a line for each row, without its records.
        align: "l" or "r" for each column.
        notes: (mark, sentence) of each footnote.
        caption: it names the column that all rows share.
    """

    heads: list[str]
    cells: list[list[str]]
    align: str
    notes: list[tuple[str, str]]
    caption: str


def make_sheet(
    rows: Sequence[Row],
    caption: str,
    escape: Escape,
    sup: str,
    badge: Callable[[Row], str] = lambda row: row.verdict.name,
    links: Callable[[Row], str] = lambda row: "",
) -> Sheet:
    """The sheet of these rows.

    Args:
        rows: at least one.
        caption: of the table; "" for none. It stays plain text.
        escape: plain text in the form's markup.
        sup: footnote marks are raised by it; a format with one field.
        badge: a row's verdict in the form's markup.
        links: to a row's records, in the form's markup; those on the authors' network stand in its own column.

    Raises:
        RobustlibError: no rows.
    """
    if not rows:
        raise RobustlibError("a table without rows; pass the rows of an item that has cells")
    heads, labels = label_columns(rows)
    units = {row.unit for row in rows}
    shared = next(iter(units)) if len(units) == 1 else ""
    unit = f" ({shared})" if shared else ""
    printed, released = any(row.published is not None for row in rows), any(row.authors is not None for row in rows)
    notes, cells = collect_notes(rows), []

    def raised(marks: str) -> str:
        return sup.format(escape(marks)) if marks else ""

    for i, (row, label) in enumerate(zip(rows, labels, strict=True)):
        own = f" {row.unit}" if row.unit and not shared else ""
        paper = [published_text(row) + (own if row.published is not None else "")] if printed else []
        ours = escape(ours_text(row) + (own if row.values else "")) + raised(notes.ours[i])
        theirs = [_authors(row, escape, badge, links) + raised(notes.authors[i])] if released else []
        count, evidence = escape(count_text(row)), escape(row.evidence or NOTHING)
        cells.append(
            [*map(escape, [*label, *paper]), *theirs, ours, count, badge(row) + raised(notes.verdicts[i]), evidence]
        )
    name = quantity(rows) or ""
    # A sentence begins with a capital, a name such as l2 stays.
    name = name[:1].upper() + name[1:] if name[:2].isalpha() else name
    caption = f"{caption.rstrip('.')}. {name}{unit}." if caption and name else caption
    shown = "[95 % interval]" + ("; range of networks" if any(row.seeds > 1 for row in rows) else "")
    heads += [f"Paper{unit}"] if printed else []
    heads += ["Authors' network"] if released else []
    heads += [f"Ours{'' if printed else unit} {shown}"]
    heads = [escape(head) for head in [*heads, "Points × networks", "Verdict", "Evidence"]]
    align = "l" * len(labels[0]) + "r" * printed + "l" * released + "rrll"
    return Sheet(heads, cells, align, [(escape(sign), escape(text)) for sign, text in notes.sentences], caption)


def _authors(row: Row, escape: Escape, badge: Callable[[Row], str], links: Callable[[Row], str]) -> str:
    """Value, verdict and record of the authors' network."""
    if row.authors is None:
        return escape(NOTHING)
    return " ".join(filter(None, (escape(authors_text(row)), badge(row.authors), links(row.authors))))


def _links(row: Row, link: Link, form: str, escape: Escape = str) -> str:
    """A link for each record, in ``form``: a format of words and address."""
    named = [(words, link + path if isinstance(link, str) else link(path)) for words, path in record_names(row)]
    found = [form.format(escape(words).replace(" ", _FIXED_SPACE), escape(target)) for words, target in named]
    return ", ".join(found) or NOTHING


def to_markdown(rows: Sequence[Row], *, caption: str = "", link: Link = "") -> str:
    """A pipe table for plain Markdown."""

    def escape(text: str) -> str:
        return re.sub(r"([\\`*_\[\]<>|$])", r"\\\1", text)

    def links(row: Row) -> str:
        return _links(row, link, "[{}](<{}>)")

    sheet = make_sheet(rows, caption, escape, " {}", links=links)
    rule = [{"l": "---", "r": "---:"}[side] for side in f"{sheet.align}l"]
    body = [[*cells, links(row)] for row, cells in zip(rows, sheet.cells, strict=True)]
    lines = [f"**{escape(sheet.caption)}**", ""] if sheet.caption else []
    lines += [f"| {' | '.join(line)} |" for line in ([*sheet.heads, "Record"], rule, *body)]
    if sheet.notes:
        lines += ["", "  \n".join(f"{sign} {text}" for sign, text in sheet.notes)]
    return "\n".join(lines) + "\n"


def to_dicts(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Plain values of each row, unrounded; a missing one is None, and several are a list.

    Where any row is measured on the authors' network too, each has fields for it, ``authors`` being its value.
    """
    if not rows:
        raise RobustlibError("a table without rows; pass the rows of an item that has cells")
    released = any(row.authors is not None for row in rows)
    return [
        {
            "label": row.label,
            "column": row.column,
            "unit": row.unit,
            "published": row.published,
            "decimals": row.decimals,
            "verified": row.verified,
            "ours": row.value,
            "low": row.low,
            "high": row.high,
            "difference": row.difference,
            "n": row.n,
            "seeds": row.seeds,
            "values": list(row.values),
            "verdict": row.verdict.name,
            "detail": row.verdict.detail,
            "evidence": row.evidence,
            "profile": row.profile,
            "records": list(row.records),
            "footnotes": list(row.footnotes),
        }
        | (_authors_fields(row.authors) if released else {})
        for row in rows
    ]


def _authors_fields(row: Row | None) -> dict[str, Any]:
    return {
        "authors": None if row is None else row.value,
        "authors_difference": None if row is None else row.difference,
        "authors_n": None if row is None else row.n,
        "authors_values": [] if row is None else list(row.values),
        "authors_verdict": None if row is None else row.verdict.name,
        "authors_detail": None if row is None else row.verdict.detail,
        "authors_records": [] if row is None else list(row.records),
    }


def to_json(rows: Sequence[Row]) -> str:
    """A list of :func:`to_dicts`' objects."""
    return json.dumps(to_dicts(rows), indent=1, allow_nan=False) + "\n"
