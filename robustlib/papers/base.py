"""Published numbers, the items they belong to, and cells: a published number beside what we measure for it."""

from __future__ import annotations

import csv
import functools
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources

from ..errors import RobustlibError, suggest
from ..experiments.records import Record
from ..experiments.specs import Evaluation

PAPERS = {
    "papernot2016": "Distillation as a defense to adversarial perturbations (Papernot et al. 2016)",
    "wong2018": "Provable defenses via the convex outer adversarial polytope (Wong and Kolter 2018)",
    "wong2018scaling": "Scaling provable adversarial defenses (Wong et al. 2018)",
    "madry2018": "Towards deep learning models resistant to adversarial attacks (Madry et al. 2018)",
    "zhang2019": "Theoretically principled trade-off between robustness and accuracy (Zhang et al. 2019)",
    "comparison": "Across the papers (this book)",
}
"""Paper ids in the book's order, with their titles, and last what compares them."""

OWN = "this book"
"""Source of an item that no paper has: an evaluation that readers expect today."""


STAGES = {
    "clean": "after clean",
    "noise": "after Noise",
    "FGSM": "after Fgsm",
    "PGD": "after Pgd",
    "worst case": "accuracy",
}
"""Columns of a bracket, and the metric of a worst case that holds what stands after this and all before it."""


@dataclass(frozen=True)
class Published:
    """One line of published.csv. ``value`` is None where the paper prints none; ``text`` is what it prints."""

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
        row, column: where it stands.
        published: the paper's number, or None where the paper prints none.
        evaluations: the paper's own protocol, one evaluation for each seed; empty when ``unavailable``.
        metric: name of the record's metric.
        scale: what the metric is multiplied with to be in the published unit (100 for percent).
        offset: added then: with a scale of -100, 100 makes an error of an accuracy.
        unit: unit of the scaled value.
        protocol_known: False where the paper leaves a setting open; ``note`` then says which.
        note: footnote.
        unavailable: why this edition cannot measure it; "" when it can.
        ablation: settings of the protocol that are open, each changed alone; what is asked where ours differs.
        spread: it is about differences that single seeds hide, so that profiles run more of them.
        distribution: it is about all of its seeds together; a reduced profile runs those of its own number.
        derived: the value itself, in ``unit``, where it follows from definitions without any network.
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
    derived: float | None = None
    spread: bool = False
    distribution: bool = False
    offset: float = 0.0
    ablation: tuple[Factor, ...] = ()


@dataclass(frozen=True)
class Predicate:
    """A statement about records that a figure claims: ``test`` says whether it holds, given records by name."""

    item: str
    text: str
    needs: tuple[Evaluation, ...]
    test: Callable[[Sequence[Record]], bool]


def read_rows(name: str) -> list[dict[str, str]]:
    """Lines of a CSV file of this package, by its header's names."""
    text = (resources.files(__package__) / name).read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text, newline="")))


@functools.cache
def published() -> tuple[Published, ...]:
    """Every published number, in file order."""

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
        )
        for row in read_rows("published.csv")
    )


@functools.cache
def published_of(item: str) -> dict[tuple[str, str], Published]:
    """The published numbers of an item (a sub-item's are its parent's), by (row, column)."""
    return {(p.row, p.column): p for p in published() if p.item == item}


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


@functools.cache
def items() -> tuple[Item, ...]:
    """The five papers' 68 items and this book's own, in file order.

    Each is followed by its sub-items where it has panels on several datasets.
    """
    found: list[Item] = []
    for row in read_rows("items.csv"):
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
            found.extend(
                Item(
                    id=f"{item.id}/{_slug(panel)}",
                    paper=item.paper,
                    kind=item.kind,
                    number=item.number,
                    title=f"{item.title} ({panel.replace('CIFAR10', 'CIFAR-10')})",
                    what=item.what,
                    datasets=panel,
                    needs_gpu=item.needs_gpu,
                    source=item.source,
                    parent=item.id,
                )
                for panel in panels
            )
    return tuple(found)


def find_item(name: str) -> Item:
    """The item or sub-item of that id.

    Raises:
        RobustlibError: unknown, with the nearest id.
    """
    known = {item.id: item for item in items()}
    if name not in known:
        message, _, _ = suggest("item", name, known).partition(" known:")
        raise RobustlibError(f"{message} `robustlib items` lists all {len(known)}")
    return known[name]
