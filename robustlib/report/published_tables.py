"""Tables of published numbers alone: those that this edition has not measured, and later ones by others."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence

from ..catalogue.base import Published, published
from ..errors import RobustlibError, suggest
from .forms import html_table, list_table, myst_escape, show_forms
from .rows import NOTHING, UNVERIFIED

Name = Callable[[Published], str]


def groups(item: str) -> dict[str, list[Published]]:
    """Published numbers of an item by their table, in file order.

    The two public challenges list attacks of the same names, so that only the table tells them apart.

    Raises:
        RobustlibError: an item without published numbers.
    """
    found: dict[str, list[Published]] = {}
    for number in published():
        if number.item == item:
            found.setdefault(number.table, []).append(number)
    if not found:
        raise RobustlibError(suggest("item with published numbers", item, {n.item for n in published() if n.item}))
    return found


def later(row: str) -> Published:
    """A number that belongs to no item of a paper, such as AutoAttack's on a paper's network, by its row.

    Raises:
        RobustlibError: no such row.
    """
    known = {number.row: number for number in published() if not number.item}
    if row not in known:
        raise RobustlibError(suggest("published row", row, known))
    return known[row]


def pivot(
    numbers: Sequence[Published], *, label: Name = lambda n: n.row, column: Name = lambda n: n.column
) -> tuple[list[str], list[list[str]]]:
    """(heads, lines of cells): a line for each row, a column for each column of the paper's table.

    Args:
        numbers: of one table.
        label: names a number's line; ``key=value`` facts become separate columns.
        column: names a number's column.
    """
    if not numbers:
        raise RobustlibError("a table without published numbers; pass those of one item")
    columns = list(dict.fromkeys(column(number) for number in numbers))
    lines: dict[str, dict[str, str]] = {}
    for number in numbers:
        mark = "" if number.verified else f" {UNVERIFIED}"
        lines.setdefault(label(number), {})[column(number)] = f"{number.text or NOTHING}{mark}"
    facts = [[fact.strip().partition("=") for fact in name.split(";")] for name in lines]
    keys = [part[0] for part in facts[0]]
    if all([part[0] for part in line] == keys and all(part[1] for part in line) for line in facts):
        heads = ["" if key == "row" else key for key in keys]
        labels = [[part[2] if part[2] not in ("", "-") else NOTHING for part in line] for line in facts]
    else:
        heads, labels = [""], [[", ".join(fact.strip() for fact in name.split(";"))] for name in lines]
    heads = [*heads, *(name.removeprefix("column=") for name in columns)]
    cells = [[line.get(name, NOTHING) for name in columns] for line in lines.values()]
    return [_plain(head) for head in heads], [
        [_plain(text) for text in (*names, *line)] for names, line in zip(labels, cells, strict=True)
    ]


def _plain(text: str) -> str:
    """The decks write a subscript as in LaTeX."""
    return text.replace(" _{", "_").replace("}", "")


def both_forms(
    heads: Sequence[str], lines: Sequence[Sequence[str]], *, name: str, caption: str, note: str = ""
) -> tuple[str, str]:
    """The table as MyST, numbered and named, and as HTML."""
    both = [heads, *lines]
    markdown, page = ([[escape(cell) for cell in line] for line in both] for escape in (myst_escape, html.escape))
    return (
        list_table(markdown, name=name, caption=caption, notes=[myst_escape(note)] if note else ()),
        html_table(page, caption=caption, notes=[html.escape(note)] if note else ()),
    )


def show_pivot(
    numbers: Sequence[Published],
    *,
    name: str,
    caption: str,
    note: str = "",
    label: Name = lambda n: n.row,
    column: Name = lambda n: n.column,
) -> None:
    """Published numbers in the shape of the paper's table, as a cell's output in both forms."""
    heads, lines = pivot(numbers, label=label, column=column)
    markdown, page = both_forms(heads, lines, name=name, caption=caption, note=note)
    show_forms(markdown, page, f"{caption} {note}".strip())
