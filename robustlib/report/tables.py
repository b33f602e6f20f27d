"""Rows as tables: for the book (MyST), for a notebook cell (HTML), for READMEs (Markdown).

Every form shows the same: label, paper's value, ours with its 95 % interval, points and seeds, verdict,
protocol, records. The same rows give the same bytes. A link is ``link + path``, or ``link(path)`` where
``link`` is a function. LaTeX, CSV, JSON and DataFrames come from ``exports`` and are offered here too.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from ..errors import RobustlibError
from .exports import to_csv, to_dicts, to_frame, to_json, to_latex
from .forms import html_table, list_table, myst_escape
from .rows import NOTHING, Row, record_names
from .sheet import Link, address, make_sheet, with_marks

__all__ = ["to_csv", "to_dicts", "to_frame", "to_html", "to_json", "to_latex", "to_markdown", "to_myst"]

_FIXED_SPACE = "\u00a0"


def _markdown_links(row: Row, link: Link) -> str:
    named = [(words.replace(" ", _FIXED_SPACE), address(link, path)) for words, path in record_names(row)]
    return ", ".join(f"[{words}](<{target}>)" for words, target in named) or NOTHING


def _badge(row: Row) -> str:
    """The verdict; where it compares numbers, what it was made of unfolds from it."""
    verdict = row.verdict
    if not verdict.compares:
        return f"[{verdict.name}]{{{' '.join('.' + word for word in verdict.css.split())}}}"
    word = f'<span class="{verdict.css}">{verdict.name}</span>'
    return f'<details class="why"><summary>{word}</summary>{html.escape(verdict.detail)}</details>'


def to_myst(rows: Sequence[Row], *, name: str, caption: str, link: Link = "") -> str:
    """A numbered book table (``{numref}`` reaches it by ``name``), its footnotes below.

    Raises:
        RobustlibError: no rows, an empty caption, a name that is no reference target.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise RobustlibError(f"table name {name!r}: use small letters, digits and hyphens")
    if not caption.strip():
        raise RobustlibError(f"table {name}: an empty caption; say what the table shows")
    sheet = make_sheet(rows, caption, "to_myst")

    table = [[myst_escape(head) for head in [*sheet.heads, "Record"]]]
    for row, cells in zip(rows, with_marks(sheet, myst_escape, _badge, " {{sup}}`{}`"), strict=True):
        table.append([*cells, _markdown_links(row, link)])
    notes = [f"{{sup}}`{myst_escape(sign)}` {myst_escape(text)}" for sign, text in sheet.notes.sentences]
    return list_table(table, name=name, caption=sheet.caption, notes=notes)


def to_html(rows: Sequence[Row], *, caption: str = "", link: Link = "") -> str:
    """A table for a notebook cell, ``HTML(to_html(rows))``: readable without a style sheet."""
    sheet = make_sheet(rows, caption, "to_html")

    def badge(row: Row) -> str:
        # Without a style sheet a class does nothing.
        return _badge(row) if row.verdict.compares else row.verdict.name

    table = [[html.escape(head) for head in [*sheet.heads, "Record"]]]
    for row, cells in zip(rows, with_marks(sheet, html.escape, badge, " <sup>{}</sup>"), strict=True):
        named = [(html.escape(words), html.escape(address(link, path))) for words, path in record_names(row)]
        named = [(words.replace(" ", _FIXED_SPACE), target) for words, target in named]
        table.append([*cells, ", ".join(f'<a href="{target}">{words}</a>' for words, target in named) or NOTHING])
    notes = [f"<sup>{html.escape(sign)}</sup> {html.escape(text)}" for sign, text in sheet.notes.sentences]
    return html_table(table, caption=sheet.caption, notes=notes)


def to_markdown(rows: Sequence[Row], *, caption: str = "", link: Link = "") -> str:
    """A pipe table for plain Markdown."""
    sheet = make_sheet(rows, caption, "to_markdown")

    def escape(text: str) -> str:
        return re.sub(r"([\\`*_\[\]<>|$])", r"\\\1", text)

    lines = [f"**{escape(sheet.caption)}**", ""] if sheet.caption else []
    rule = ["---"] * sheet.labels + ["---:"] * (sheet.before - sheet.labels + 2) + ["---"] * 3
    lines.append(f"| {' | '.join(escape(head) for head in [*sheet.heads, 'Record'])} |")
    lines.append(f"| {' | '.join(rule)} |")
    for row, cells in zip(rows, with_marks(sheet, escape, lambda row: row.verdict.name, " {}"), strict=True):
        lines.append(f"| {' | '.join([*cells, _markdown_links(row, link)])} |")
    if sheet.notes.sentences:
        lines += ["", "  \n".join(f"{escape(sign)} {escape(text)}" for sign, text in sheet.notes.sentences)]
    return "\n".join(lines) + "\n"
