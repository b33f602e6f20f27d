"""Published numbers, the items they belong to, and cells: a published number beside our evaluations of it."""

from __future__ import annotations

import csv
import functools
import importlib
import io
import pkgutil
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any

from ..errors import RobustlibError, suggest
from ..spec.evaluation import Evaluation
from ..spec.records import Record
from .places import place

PACKAGE = "robustlib.papers"
"""Package that holds the papers, one package each."""

OWN = "this book"
"""Source of an item that no paper has: an evaluation that readers expect today."""
OWN_NOTE = "an evaluation of this book's"
"""Note of a cell that its paper does not have."""
STAGED_NOTE = f"{OWN_NOTE}: each attack is run on what the attacks before it left"
"""Note of a cell of a worst case."""

STAGES = {
    "clean": "after clean",
    "noise": "after Noise",
    "FGSM": "after Fgsm",
    "PGD": "after Pgd",
    "worst case": "accuracy",
}
"""Columns of a bracket; for each, the metric of a worst case: accuracy after this attack and all before it."""


@dataclass(frozen=True)
class Paper:
    """A package below ``robustlib.papers``, as its ``PAPER`` describes it.

    Args:
        order: place in the book.
        title: with authors and year in parentheses.
        chapter: its notebook's path, without extension.
        idea: one line; "" of a package that is about no single paper.
        curves: its items whose rows are values of one setting, to be drawn as interactive curves.
    """

    order: int
    title: str
    chapter: str
    idea: str = ""
    curves: tuple[str, ...] = ()

    @property
    def authors(self) -> str:
        """Authors and year."""
        return self.title.rpartition("(")[2].rstrip(")")


@dataclass(frozen=True)
class Published:
    """One line of published.csv.

    Args:
        id: of the line.
        item, row, column, table: where it stands.
        value, text: the number, None where the paper prints none, and what it prints.
        unit: of the number.
        verified: it was checked against the source.
        source: where it was read.
        n: independent points behind it; None where that is not known.
        reading: standard deviation of the error of reading it off a chart, in its unit; None where it is printed.
        exact: it is a count or a definition's value, without rounding.
        doubt: why it cannot be taken at its word; "" where it can.
        computed: nobody printed it; this project computed it from what the authors released, and no cell compares
            itself with it.
    """

    id: str
    item: str
    row: str
    column: str
    value: float | None
    text: str
    unit: str
    verified: bool
    source: str
    table: str = ""
    n: int | None = None
    reading: float | None = None
    exact: bool = False
    doubt: str = ""
    computed: bool = False

    @functools.cached_property
    def where(self) -> dict[str, Any]:
        """Its place, see :func:`place`."""
        return place(self.row, self.column)

    @property
    def decimals(self) -> int:
        """Digits printed after the first point: the paper's rounding."""
        return len(re.split(r"\D", self.text.partition(".")[2])[0])


@dataclass(frozen=True)
class Item:
    """One table or figure to regenerate, or its panel for one dataset (``parent/mnist``)."""

    id: str
    paper: str
    kind: str
    number: str
    title: str
    what: str
    datasets: str
    needs_gpu: str
    source: str
    parent: str = ""

    @property
    def slug(self) -> str:
        """The id for file names and labels; no two items share one."""
        if not self.parent:
            return self.id.replace("/", "-")
        return f"{self.parent.replace('/', '-')}-on-{self.id.rpartition('/')[2]}"


@dataclass(frozen=True)
class Factor:
    """One deviation changed alone: its name, and the cell's evaluations with it changed, one a seed."""

    name: str
    evaluations: tuple[Evaluation, ...]


@dataclass(frozen=True)
class Cell:
    """One number of a table or figure.

    Args:
        item: id of the (sub-)item.
        row, column: its place in the table, or its point of the figure.
        published: the paper's number, or None where the paper prints none.
        evaluations: the paper's own protocol, one evaluation for each seed; empty when ``unavailable``.
        metric: name of the record's metric.
        scale: factor from the metric to the published unit (100 for percent).
        offset: added then: with a scale of -100, 100 makes an error of an accuracy.
        unit: unit of the scaled value.
        protocol_known: False where the paper leaves a setting open; ``note`` then says which.
        note: footnote.
        unavailable: why this edition cannot measure it; "" when it can.
        ablation: settings of the protocol that are open, each changed alone; evaluated to explain a difference.
        spread: it is about differences that single seeds hide, so that profiles run more of them.
        distribution: it is about all of its seeds together; a reduced profile runs those of its own number.
        derived: computes the value, in ``unit``, where it follows from definitions without any network.
        whole_row: its row is shown from one profile alone, the one that has most of the row's records.
        released: the same on the network that the authors released, one evaluation for each draw of the attack.
        released_open: what of that measurement the paper leaves open; "" where nothing is.
        released_batch: the paper's share is the mean of those of batches of so many points, a smaller last one counted
            like the others; 0: a share of points.
    """

    item: str
    row: str
    column: str
    published: Published | None = None
    evaluations: tuple[Evaluation, ...] = ()
    metric: str = "accuracy"
    scale: float = 100.0
    unit: str = "%"
    protocol_known: bool = True
    note: str = ""
    unavailable: str = ""
    derived: Callable[[], float] | None = None
    spread: bool = False
    distribution: bool = False
    offset: float = 0.0
    ablation: tuple[Factor, ...] = ()
    whole_row: bool = False
    released: tuple[Evaluation, ...] = ()
    released_open: str = ""
    released_batch: int = 0

    @functools.cached_property
    def where(self) -> dict[str, Any]:
        """Its place, see :func:`place`: that of its published number where it has one."""
        return place(self.row, self.column) if self.published is None else self.published.where


@dataclass(frozen=True)
class Predicate:
    """A statement about records that a table or figure makes.

    Args:
        item: that makes it.
        text: the statement.
        needs: evaluations that it is about.
        test: whether it holds, given their records in that order.
        check: it follows from definitions, so that only a fault of the code can break it: a check, and no claim.
        metric: the one that it is about, where it is about one.
    """

    item: str
    text: str
    needs: tuple[Evaluation, ...]
    test: Callable[[Sequence[Record]], bool]
    check: bool = False
    metric: str = ""


def cell(
    item: str,
    at: Published | tuple[str, str],
    evaluations: Evaluation | Iterable[Evaluation],
    metric: str = "accuracy",
    *,
    number: Published | None = None,
    unit: str | None = None,
    scale: float | None = None,
    complement: bool = False,
    note: str = "",
    unknown: str = "",
    **more: Any,
) -> Cell:
    """A measured :class:`Cell`.

    Args:
        item, metric: of the cell.
        at: the published number that it stands beside, or its row and column.
        evaluations: one, or one for each seed.
        number: the published number, where the cell has another row or column.
        unit: None: that of the metric, a fraction in per cent.
        scale: None: 100 for per cent, else 1.
        complement: the cell is 100 % less the metric, as an error is of an accuracy.
        note: footnote.
        unknown: settings that the paper leaves open; joins the note.
        more: further fields of the cell.
    """
    number = at if isinstance(at, Published) else number
    row, column = (at.row, at.column) if isinstance(at, Published) else at
    runs = (evaluations,) if isinstance(evaluations, Evaluation) else tuple(evaluations)
    if runs and unit is None:
        known = runs[0].measurement.units(runs[0].subject).get(metric, "fraction")
        unit = "%" if known in ("fraction", "estimate") else known
    unit = "%" if unit is None else unit
    if scale is None:
        scale = -100.0 if complement else 100.0 if unit.startswith("%") else 1.0
    if complement:
        more["offset"] = 100.0
    note = "; ".join(filter(None, (note, unknown)))
    return Cell(item, row, column, number, runs, metric, scale, unit, not unknown, note, **more)


def values(records: Iterable[Record], metric: str) -> list[float]:
    """A metric's value in each record."""
    return [record.metrics[metric].value for record in records]


def claim(
    item: str,
    text: str,
    needs: Iterable[Evaluation],
    holds: Callable[[list[float]], bool],
    metric: str = "accuracy",
    *,
    check: bool = False,
) -> Predicate:
    """A statement about one metric: ``holds`` is given its values in the needed records, in their order."""
    return Predicate(item, text, tuple(needs), lambda records: bool(holds(values(records, metric))), check, metric)


@functools.cache
def papers() -> dict[str, Paper]:
    """Every paper by the name of its package, in the book's order."""
    package = importlib.import_module(PACKAGE)
    names = [found.name for found in pkgutil.iter_modules(package.__path__) if found.ispkg]
    described = {name: importlib.import_module(f"{PACKAGE}.{name}").PAPER for name in names}
    return dict(sorted(described.items(), key=lambda pair: pair[1].order))


def read_rows(paper: str, name: str) -> list[dict[str, str]]:
    """Lines of a CSV file of a paper's package, by its header's names; none where it has no such file."""
    file = resources.files(f"{PACKAGE}.{paper}") / name
    if not file.is_file():
        return []
    return list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"), newline="")))


@functools.cache
def published(paper: str = "") -> tuple[Published, ...]:
    """Every number that a paper published, in file order; of all papers for ""."""
    if not paper:
        return tuple(number for each in papers() for number in published(each))

    def number(text: str) -> float | None:
        try:
            return float(text)
        except ValueError:
            return None

    return tuple(
        Published(
            id=row["id"],
            item=row["item"],
            row=row["row"],
            column=row["column"],
            value=number(row["value"]),
            text=row["value"],
            unit=row["unit"],
            verified=row["verified"] == "yes",
            source=row["source"],
            table=row["table"],
            n=int(row["n"]) if row.get("n") else None,
            reading=float(row["reading"]) if row.get("reading") else None,
            exact=row.get("exact") == "yes",
            doubt=row.get("doubt", ""),
            computed=row["verified"] == "computed",
        )
        for row in read_rows(paper, "published.csv")
    )


@functools.cache
def published_of(item: str) -> dict[tuple[str, str], Published]:
    """The published numbers of an item (a sub-item's are its parent's), by (row, column)."""
    return {(p.row, p.column): p for p in published(item.partition("/")[0]) if p.item == item}


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


@functools.cache
def items() -> tuple[Item, ...]:
    """Every paper's items and this book's own, in the order of the book and of their files.

    Each is followed by its sub-items where it has panels on several datasets.
    """
    found: list[Item] = []
    for row in (row for paper in papers() for row in read_rows(paper, "items.csv")):
        item = Item(
            id=row["item"],
            paper=row["paper"],
            kind=row["kind"],
            number=row["number"],
            title=row["title"],
            what=row["what_is_measured"],
            datasets=row["datasets"],
            needs_gpu=row["needs_gpu"],
            source=row["source"],
        )
        found.append(item)
        panels = [panel.strip() for panel in item.datasets.split(";")]
        if len(panels) > 1:
            for panel in panels:
                title = f"{item.title} ({panel.replace('CIFAR10', 'CIFAR-10')})"
                found.append(replace(item, id=f"{item.id}/{_slug(panel)}", title=title, datasets=panel, parent=item.id))
    return tuple(found)


@functools.cache
def _by_id() -> dict[str, Item]:
    return {item.id: item for item in items()}


def find_item(name: str) -> Item:
    """The item or sub-item of that id.

    Raises:
        RobustlibError: unknown, with the nearest id.
    """
    known = _by_id()
    if name not in known:
        message, _, _ = suggest("item", name, known).partition(" known:")
        raise RobustlibError(f"{message} `robustlib items` lists all {len(known)}")
    return known[name]
