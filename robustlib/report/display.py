"""Outputs of notebook cells: an item's table, its claims, one number in a sentence.

Each display carries two forms: MyST for the book, where it becomes a real numbered table and links to the
record's page, and HTML for every other reader of notebooks.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence

from ..catalogue.base import find_item
from ..catalogue.plan import find_record
from ..errors import RobustlibError
from ..experiments.profiles import search_order
from ..experiments.store import Store
from ..spec.evaluation import Evaluation
from ..spec.records import Metric
from . import page_tables
from .forms import myst_escape, show_forms
from .join import Statement, rows, statements, title_suffix
from .plots import style
from .plots.records import Drawing
from .rows import Row, number


def record_target(path: str) -> str:
    """Cross-reference target of a record: ``results/quick/NET/EVAL.json`` -> ``record-quick-net-eval``."""
    name = path.removeprefix("results/").removesuffix(".json").lower()
    return "record-" + re.sub(r"[^a-z0-9]+", "-", name).strip("-")


MANY = 6
"""Numbers up to which a claim prints those that it was tested on."""
LONG = 12
"""Lines from which on a table of this book's own stays folded."""


def show_rows(found: Sequence[Row], *, name: str, caption: str, fold: str = "") -> None:
    """Rows as one numbered table, which unfolds from the words of ``fold`` where there are any."""
    caption += title_suffix(found)
    markdown = page_tables.to_myst(found, name=name, caption=caption, link=lambda path: f"#{record_target(path)}")
    # Outside the built book the records themselves lie beside the notebooks' folder.
    page = page_tables.to_html(found, caption=caption, link="../")
    if fold:
        markdown = f"::::{{dropdown}} {myst_escape(fold)}\n{markdown}::::\n"
        page = f"<details><summary>{html.escape(fold)}</summary>\n{page}</details>\n"
    show_forms(markdown, page, caption)


def show_item(
    item: str,
    profile: str,
    store: Store,
    *,
    keep: Callable[[Row], bool] | None = None,
    part: str = "",
    fold: bool | None = None,
) -> None:
    """An item's table, or the part of it that ``keep`` lets through.

    Args:
        item: its id.
        profile: whose records are read, such as "best".
        store: the records.
        keep: rows to show; default all.
        part: name of the part in the caption and in the table's name.
        fold: whether it has to be unfolded; by default where it has the numbers of a figure, or is a long one of this
            book's own.
    """
    facts = find_item(item)
    found = [row for row in rows(item, profile, store) if keep is None or keep(row)]
    name = f"table-{facts.slug}" + (f"-{part}" if part else "").replace(" ", "-")
    # An item of this book's own carries no number of a table or figure.
    printed = facts.kind != "extra" and facts.number.startswith(("Fig", "Table", "App", "Algorithm"))
    origin = f"{facts.number} of the paper: " if printed else ""
    title = f"{facts.title}{', ' + part if part else ''}"
    if fold is None:
        lines = len({row.label for row in found}) if page_tables.makes_matrix(found) else len(found)
        fold = facts.kind == "figure" or (facts.kind == "extra" and lines > LONG)
    words = f"The numbers: {title} ({len(found)})" if fold else ""
    show_rows(found, name=name.lower(), caption=f"{origin}{title}", fold=words)


def show_released(items: Sequence[str], profile: str, store: Store, text: str) -> None:
    """How many published numbers of some items the authors' own networks confirm, then a text."""
    found = [row.authors for item in items for row in rows(item, profile, store) if row.authors is not None]
    published = [row for row in found if row.published is not None and row.verified]
    confirmed = sum(row.verdict.name == "confirmed" for row in published)
    none = "none of them is measured in this profile"
    told = f"{confirmed} of {len(published)} published numbers are confirmed on them" if published else none
    show_markdown(f"**The authors' own networks, our code.** {told[:1].upper()}{told[1:]}. {text}")


def show_statements(item: str, profile: str, store: Store) -> None:
    """The claims that a figure makes, each with its state by the records; what cannot fail is named a check."""
    found = statements(item, profile, store)
    lines, page = [], []
    for statement in found:
        links = ", ".join(f"[record {i + 1}](#{record_target(path)})" for i, path in enumerate(statement.records))
        lines.append(f"- **{statement.state}**: {statement.text}. {_where(statement)} {links}".rstrip())
        page.append(f"<li><b>{statement.state}</b>: {html.escape(statement.text)}. {_where(statement)}</li>")
    show_forms("\n".join(lines), f"<ul>{''.join(page)}</ul>", "; ".join(f"{s.state}: {s.text}" for s in found))


def _where(statement: Statement) -> str:
    """The kind of a claim, its evidence, and the numbers that decided it where they are few."""
    kind = "a check of the code" if statement.check else ""
    few = statement.numbers if len(statement.numbers) <= MANY else ()
    told = ", ".join(f"{one.value:.1%}" if one.unit == "fraction" else f"{one.value:.3g}{_unit(one)}" for one in few)
    parts = ", ".join(filter(None, (kind, statement.evidence))) + f": {told}" * bool(told)
    return f"({parts})" if parts else ""


def show_drawing(drawing: Drawing) -> None:
    """A figure with its alt text, or the sentence that says why there is none."""
    if isinstance(drawing, str):
        show_forms(f"*Not run: {drawing}.*", f"<p><i>Not run: {html.escape(drawing)}.</i></p>", f"Not run: {drawing}.")
    else:
        style.show(drawing[0], alt=drawing[1])


def cite(evaluation: Evaluation, profile: str, store: Store, *, metric: str = "accuracy") -> str:
    """One measured number as Markdown that links to its record: ``93.5% (91.8 to 94.9)``; or "not run"."""
    for name in search_order(profile):
        record = find_record(evaluation, name, store)
        if record is not None and metric in record.metrics:
            found = record.metrics[metric]
            return f"[{_told(found)}](#{record_target(record.path)})"
    return "not run"


def cite_row(item: str, label: str, column: str, profile: str, store: Store) -> str:
    """A row of a table in a sentence, linked to its first record: ``53.0 % (52.1 to 53.9 over 3 networks)``.

    Of one network the parentheses hold the 95 % interval over test points. "not run" where the row has no record.

    Raises:
        RobustlibError: the item has no such row and column.
    """
    found = next((row for row in rows(item, profile, store) if (row.label, row.column) == (label, column)), None)
    if found is None:
        raise RobustlibError(f"{item} has no row {label!r} with a column {column!r}; `show_item` prints those it has")
    if found.value is None or not found.records:
        return "not run"
    text = f"{number(found.value, found.decimals)}{_unit(found)}"
    if found.seeds > 1:
        ends = f"{number(min(found.values), found.decimals)} to {number(max(found.values), found.decimals)}"
        text += f" ({ends} over {found.seeds} networks)"
    elif found.low is not None:
        text += f" ({number(found.low, found.decimals)} to {number(found.high, found.decimals)})"
    return f"[{text}](#{record_target(found.records[0])})"


def _unit(of: Metric | Row) -> str:
    """A unit behind a number; none where a sentence names the norm, or the logarithm, that it speaks of."""
    return "" if of.unit in ("", "l2", "linf", "log10") else f" {of.unit}"


def _told(metric: Metric) -> str:
    """A value with its unit and its interval, where it has one."""
    share = metric.unit == "fraction"
    text = f"{metric.value:.1%}" if share else f"{metric.value:.2f}{_unit(metric)}"
    if metric.low is None or metric.high is None:
        return text
    low, high = (f"{100 * end:.1f}" if share else f"{end:.2f}" for end in (metric.low, metric.high))
    return f"{text} ({low} to {high})"


def show_markdown(text: str) -> None:
    """Prose with numbers from records in it."""
    plain = re.sub(r"\]\(#[^)]*\)", "]", text)
    show_forms(text, "".join(f"<p>{html.escape(part)}</p>" for part in plain.split("\n\n")), plain)
