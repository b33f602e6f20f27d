"""Tables of the chapter across the papers: the grand table at a glance, and how the claims aged."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from IPython.display import display

from ..experiments.cost import training_flops
from ..experiments.keys import parse
from ..experiments.records import Record
from ..experiments.store import Store
from ..papers import comparison
from ..papers.aged import aged
from ..papers.base import find_item
from .build import rows, title_suffix
from .costs import short
from .display import record_target
from .madry_figures import record_of
from .rows import NOTHING, Row
from .slides import filled
from .tables import myst_escape

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
    heads, lines = grand_table(profile, store)
    found = rows(comparison.ITEM, profile, store)
    points = sorted({row.n for row in found if row.n and row.column in comparison.COLUMNS})
    counted = f"{points[0]:,}" if len(points) == 1 else f"{points[0]:,} to {points[-1]:,}" if points else "no"
    title = f"{find_item(comparison.ITEM).title}{title_suffix(found)}"
    _show(heads, lines, name="table-comparison-grand-table-at-a-glance",
          caption=f"{title}: accuracy (%) on {counted} test points. Each number links to its record.")  # fmt: skip


def aged_table(profile: str, store: Store) -> tuple[list[str], list[list[str]]]:
    """(heads, Markdown cells): a line for each headline claim."""
    lines = []
    for line in aged():
        cited = f" {{cite}}`{line.later}`" if line.later else ""
        lines.append([
            short(line.paper), line.claim, *(filled(text, profile, store) for text in (
                line.published, line.ours, line.strongest)),
            line.fate, filled(line.why, profile, store) + cited,
        ])  # fmt: skip
    return ["paper", "claim", "published", "ours", "under today's attacks", "today", "what changed it"], lines


def show_aged(profile: str, store: Store) -> None:
    """How the claims aged, as a cell's output."""
    heads, lines = aged_table(profile, store)
    _show(heads, lines, name="table-how-the-claims-aged", caption="The headline claims of the papers, then and now.")


def _show(heads: Sequence[str], lines: Sequence[Sequence[str]], *, name: str, caption: str) -> None:
    parts = [f"```{{list-table}} {myst_escape(caption)}", f":name: {name}", ":header-rows: 1"]
    parts += [":class: robust-table", ""]
    for cells in [heads, *lines]:
        parts += [f"{'* -' if i == 0 else '  -'} {cell}".rstrip() for i, cell in enumerate(cells)]
    top = "".join(f'<th scope="col">{html.escape(head)}</th>' for head in heads)
    body = "".join(
        f'<tr><th scope="row">{_html(line[0])}</th>' + "".join(f"<td>{_html(cell)}</td>" for cell in line[1:]) + "</tr>"
        for line in lines
    )
    page = (
        f'<table class="dataframe robust-table"><caption>{html.escape(caption)}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    )
    markdown = "\n".join([*parts, "```"]) + "\n"
    display({"text/markdown": markdown, "text/html": page, "text/plain": caption}, raw=True)  # type: ignore[no-untyped-call]


def _html(cell: str) -> str:
    """A cell for readers without the book's cross-references: links as their words, citations left out."""
    return html.escape(LINK.sub(r"\1", re.sub(r" ?\{cite\}`[^`]*`", "", cell)).replace("*", ""))
