"""Tables of the chapter across the papers: the grand table at a glance, and how the claims aged."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from ...catalogue.base import find_item, papers
from ...experiments.cost import training_flops
from ...experiments.store import Store
from ...report.citations import filled_alike
from ...report.display import record_target
from ...report.forms import html_table, list_table, show_forms
from ...report.join import rows, title_suffix
from ...report.plots.records import record_of
from ...report.rows import NOTHING, Row
from ...spec.keys import parse
from ...spec.records import Record
from . import tables as comparison
from .aged import aged, in_this_book

COST = "training, 10¹² operations"
"""Head of the last column: of the network and all that it was made from, by its specification."""
LINK = re.compile(r"\[([^\]]*)\]\(([^)]*)\)")


def training_cost(record: Record) -> float:
    """Operations of every training behind a record's network, each once; a cascade's later stages as if on all rows."""
    return sum(training_flops(network) for network in set(parse(record.evaluation).subject.lineage))


def _cost(name: str, profile: str, store: Store) -> str:
    full = comparison.cascade() if name == comparison.CASCADE else comparison.suite(name)
    record = record_of(full, profile, store)
    return NOTHING if record is None else f"{training_cost(record) / 1e12:.1f}"


def _cell(row: Row | None) -> str:
    """A value in per cent as a link to its record."""
    if row is None or row.value is None:
        return NOTHING
    return f"[{row.value:.1f}](#{record_target(row.records[0])})"


def grand_table(profile: str, store: Store) -> tuple[list[str], list[list[str]]]:
    """(heads, Markdown cells): a line for each network, a column for each attack and certificate, and the cost."""
    found = {(row.label, row.column): row for row in rows(comparison.ITEM, profile, store)}
    lines = [
        [name, *(_cell(found.get((name, column))) for column in comparison.COLUMNS), _cost(name, profile, store)]
        for name in comparison.NETWORKS
    ]
    return ["network", *comparison.COLUMNS, COST], lines


def show_grand_table(profile: str, store: Store) -> None:
    """The grand table as a cell's output."""
    # A page has room for the networks beside each other, and not for all that was measured on them.
    names, cells = grand_table(profile, store)
    heads, *lines = map(list, zip(names, *cells, strict=True))
    found = rows(comparison.ITEM, profile, store)
    points = sorted({row.n for row in found if row.n and row.column in comparison.COLUMNS})
    counted = f"{points[0]:,}" if len(points) == 1 else f"{points[0]:,} to {points[-1]:,}" if points else "no"
    title = f"{find_item(comparison.ITEM).title}{title_suffix(found)}"
    show(
        heads,
        lines,
        name="table-comparison-grand-table-at-a-glance",
        caption=f"{title}: accuracy (%) on {counted} test points. Each number links to its record.",
    )


def aged_table(profile: str, store: Store) -> tuple[list[str], list[list[str]]]:
    """(heads, Markdown cells): a line for each headline claim; the numbers of a cell are of one profile."""
    lines = []
    for line in aged():
        cited = f" {{cite}}`{line.later}`" if line.later else ""
        lines.append(
            [
                papers()[line.paper].authors,
                line.claim,
                *(filled_alike(text, profile, store) for text in (line.published, line.ours, line.strongest)),
                line.fate,
                in_this_book(line, profile, store),
                filled_alike(line.why, profile, store) + cited,
            ]
        )
    return [
        "paper",
        "claim",
        "published",
        "ours",
        "under today's attacks",
        "in the literature",
        "in this book",
        "what changed it",
    ], lines


def show_aged(profile: str, store: Store) -> None:
    """Display the table of headline claims, then and now, as a cell's output."""
    heads, lines = aged_table(profile, store)
    show(heads, lines, name="table-how-the-claims-aged", caption="The headline claims of the papers, then and now.")


def show(heads: Sequence[str], lines: Sequence[Sequence[str]], *, name: str, caption: str) -> None:
    """Display a table of Markdown cells as a cell's output, in every form."""
    page = [[html.escape(head) for head in heads], *([_html(cell) for cell in line] for line in lines)]
    markdown = list_table([heads, *lines], name=name, caption=caption)
    show_forms(markdown, html_table(page, caption=caption), caption)


def _html(cell: str) -> str:
    """A cell for readers without the book's cross-references: links as their words, citations left out."""
    return html.escape(LINK.sub(r"\1", re.sub(r" ?\{cite\}`[^`]*`", "", cell)).replace("*", ""))
