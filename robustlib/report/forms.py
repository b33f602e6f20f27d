"""A table in MyST, for the book, and in HTML, for every other reader of notebooks; an output that carries both."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from IPython.display import display

Cells = Sequence[Sequence[str]]
"""Lines of cells in the form's own markup, the heads first."""


def myst_escape(text: str) -> str:
    """Plain text as MyST shows it."""
    # The book turns straight quotes into curly ones; in a name such as A' it is a prime.
    text = re.sub(r"(?<=[A-Z0-9)])'(?![A-Za-z])", "′", " ".join(text.split()))
    text = re.sub(r"([\\`*_{}\[\]<>$#|~^'\"@&])", r"\\\1", text)
    # Characters that would begin a list, a field or a heading at the start of a cell.
    return re.sub(r"^(?=[-+:=])|^(\d+)(?=[.)](?:\s|$))", r"\1\\", text)


def list_table(cells: Cells, *, name: str, caption: str, kind: str = "robust-table", notes: Sequence[str] = ()) -> str:
    """A numbered book table (``{numref}`` reaches it by ``name``), notes below it, where no wide table cuts them."""
    parts = [f"```{{list-table}} {myst_escape(caption)}", f":name: {name}", ":header-rows: 1", f":class: {kind}", ""]
    for line in cells:
        # An empty cell is an empty list item.
        parts += [f"{'* -' if i == 0 else '  -'} {cell}".rstrip() for i, cell in enumerate(line)]
    parts.append("```")
    if notes:
        parts += ["", "{.footnotes-row}", "\\\n".join(notes)]
    return "\n".join(parts) + "\n"


def html_table(cells: Cells, *, caption: str, kind: str = "robust-table", notes: Sequence[str] = ()) -> str:
    """A table that is readable without a style sheet, and that a screen reader recognises as one."""
    heads, *body = cells
    # The book's theme looks for "dataframe" before it leaves a cell's HTML alone in dark mode.
    parts = [f'<table class="dataframe {kind}">']
    if caption:
        parts.append(f"<caption>{html.escape(caption)}</caption>")
    parts += ["<thead><tr>" + "".join(f'<th scope="col">{head}</th>' for head in heads) + "</tr></thead>", "<tbody>"]
    for first, *others in body:
        parts.append(f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in others) + "</tr>")
    parts += ["</tbody>", "</table>"]
    if notes:
        parts.append(f'<p class="footnotes-row">{"<br>".join(notes)}</p>')
    return "\n".join(parts) + "\n"


def show_forms(markdown: str, page: str, text: str) -> None:
    """A cell's output: MyST, HTML and plain text."""
    display({"text/markdown": markdown, "text/html": page, "text/plain": text}, raw=True)  # type: ignore[no-untyped-call]
