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
from .rows import NOTHING, Row, record_names
from .sheet import Link, address, make_sheet, with_marks

__all__ = ["to_csv", "to_dicts", "to_frame", "to_html", "to_json", "to_latex", "to_markdown", "to_myst"]

_FIXED_SPACE = "\u00a0"


def myst_escape(text: str) -> str:
    # The book turns straight quotes into curly ones; in a name such as A' it is a prime.
    text = re.sub(r"(?<=[A-Z0-9)])'(?![A-Za-z])", "′", " ".join(text.split()))
    text = re.sub(r"([\\`*_{}\[\]<>$#|~^'\"@&])", r"\\\1", text)
    # What would begin a list, a field or a heading where a cell begins.
    return re.sub(r"^(?=[-+:=])|^(\d+)(?=[.)](?:\s|$))", r"\1\\", text)


def _markdown_links(row: Row, link: Link) -> str:
    named = [(words.replace(" ", _FIXED_SPACE), address(link, path)) for words, path in record_names(row)]
    return ", ".join(f"[{words}](<{target}>)" for words, target in named) or NOTHING


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

    def badge(row: Row) -> str:
        return f"[{row.verdict.name}]{{{' '.join('.' + word for word in row.verdict.css.split())}}}"

    table = [[myst_escape(head) for head in [*sheet.heads, "Record"]]]
    for row, cells in zip(rows, with_marks(sheet, myst_escape, badge, " {{sup}}`{}`"), strict=True):
        table.append([*cells, _markdown_links(row, link)])
    lines = [f"```{{list-table}} {myst_escape(sheet.caption)}", f":name: {name}"]
    lines += [":header-rows: 1", ":class: robust-table", ""]
    for cells in table:
        lines += [f"{'* -' if i == 0 else '  -'} {text}" for i, text in enumerate(cells)]
    lines.append("```")
    if sheet.notes.sentences:
        notes = [f"{{sup}}`{myst_escape(sign)}` {myst_escape(text)}" for sign, text in sheet.notes.sentences]
        lines += ["", "{.footnotes-row}", "\\\n".join(notes)]
    return "\n".join(lines) + "\n"


def to_html(rows: Sequence[Row], *, caption: str = "", link: Link = "") -> str:
    """A table for a notebook cell, ``HTML(to_html(rows))``: readable without a style sheet."""
    sheet = make_sheet(rows, caption, "to_html")

    def badge(row: Row) -> str:
        title = f' title="{html.escape(row.verdict.detail)}"' if row.verdict.detail else ""
        return f'<span class="{row.verdict.css}"{title}>{row.verdict.name}</span>'

    # "dataframe" is what the book's theme looks for before it leaves a cell's HTML alone in dark mode.
    lines = ['<table class="dataframe robust-table">']
    if sheet.caption:
        lines.append(f"<caption>{html.escape(sheet.caption)}</caption>")
    heads = "".join(f'<th scope="col">{html.escape(head)}</th>' for head in [*sheet.heads, "Record"])
    lines += ["<thead>", f"<tr>{heads}</tr>", "</thead>", "<tbody>"]
    for row, cells in zip(rows, with_marks(sheet, html.escape, badge, " <sup>{}</sup>"), strict=True):
        named = [(html.escape(words), html.escape(address(link, path))) for words, path in record_names(row)]
        named = [(words.replace(" ", _FIXED_SPACE), target) for words, target in named]
        links = ", ".join(f'<a href="{target}">{words}</a>' for words, target in named) or NOTHING
        data = "".join(f"<td>{cell}</td>" for cell in [*cells[1:], links])
        lines.append(f'<tr><th scope="row">{cells[0]}</th>{data}</tr>')
    lines += ["</tbody>", "</table>"]
    if sheet.notes.sentences:
        notes = [f"<sup>{html.escape(sign)}</sup> {html.escape(text)}" for sign, text in sheet.notes.sentences]
        lines.append(f'<p class="footnotes-row">{"<br>".join(notes)}</p>')
    return "\n".join(lines) + "\n"


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
