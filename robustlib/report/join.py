"""Rows and statements of an item: cells joined with the records of the most faithful profile that has them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..catalogue.base import Cell, Item, Predicate, find_item
from ..catalogue.plan import cells_of, evaluations, predicates_of, records_of
from ..errors import RobustlibError
from ..experiments.profiles import OWN_PROTOCOL, search_order
from ..experiments.profiles import profile as profile_of
from ..experiments.store import Store
from ..spec.records import Record
from .rows import Row
from .verdicts import Verdict, decide


@dataclass(frozen=True)
class Statement:
    """A claim of a figure, and whether the records bear it out: "holds", "fails" or "not run"."""

    text: str
    state: str
    profile: str | None
    records: tuple[str, ...] = ()


DIFFERS = ("higher", "lower", "not consistent")
"""Verdicts that ask for a cause."""
COMPUTED = Verdict("measured", "computed from its definition, without a network")


def measured(cell: Cell, profile: str, store: Store) -> tuple[str | None, list[Record]]:
    """(profile, one record a seed) of the most faithful profile that has any record of the cell.

    A cell whose whole row is of one profile is of the one that has most of the row.
    """
    names = search_order(profile)
    if cell.whole_row:
        names = (max(names, key=lambda name: _present(cell, name, store)),)
    for name in names:
        found = [store.find(job.evaluation, job.home(name)) for job in evaluations(cell, name)]
        records = [record for record in found if record is not None and cell.metric in record.metrics]
        if records:
            return records[0].profile, records
    return None, []


def _present(cell: Cell, profile: str, store: Store) -> int:
    """Records that a profile has of all cells of a row."""
    row = [job for other in cells_of(cell.item) if other.row == cell.row for job in evaluations(other, profile)]
    return sum(store.find(job.evaluation, job.home(profile)) is not None for job in row)


def row(cell: Cell, profile: str, store: Store) -> Row:
    """One line of a table: the published number beside ours."""
    name, records = measured(cell, profile, store)
    metrics = [record.metrics[cell.metric] for record in records]
    values = tuple(cell.offset + cell.scale * metric.value for metric in metrics)
    values = values if cell.derived is None else (cell.derived(),)
    low, high = _interval(cell, records)
    published = cell.published
    inexact = sum(int(sum(record.dataset["inexact"].values())) for record in records[:1])
    notes = [cell.note] if cell.note else []
    if inexact:
        notes.append(f"† {inexact} rows of the data are not the official bytes")
    n = metrics[0].n if metrics else None
    protocol = _protocol(name, records)
    whole = bool(records) and records[0].evaluation["subset"]["n"] is None
    judge = functools.partial(
        decide,
        published=published.value if published else None,
        decimals=published.decimals if published else 0,
        verified=published.verified if published else False,
        n=n or 0,
        same_test_set=whole,
        protocol=protocol,
        official_data=not inexact,
        protocol_known=cell.protocol_known,
        reason=cell.unavailable or "no record of this cell yet",
        unit=cell.unit,
    )
    verdict = COMPUTED if cell.derived is not None else judge(values=values)
    if verdict.name in DIFFERS:
        notes.append(_explained(cell, judge, store))
    return Row(
        label=cell.row,
        column=cell.column,
        published=published.value if published else None,
        decimals=published.decimals if published else _decimals(cell.unit, values),
        verified=published.verified if published else False,
        values=values,
        low=low,
        high=high,
        n=n,
        protocol=protocol,
        profile=name,
        verdict=verdict,
        records=tuple(record.path for record in records),
        footnotes=tuple(notes),
        unit=cell.unit,
    )


def _decimals(unit: str, values: Sequence[float]) -> int:
    """Without a published number to follow: hundredths of a per cent, and four figures of anything else."""
    size = max((abs(value) for value in values), default=0.0)
    return 1 if unit == "%" else max(0, 2 - math.floor(math.log10(size))) if size > 1e-7 else 3


def _explained(cell: Cell, judge: Callable[..., Verdict], store: Store) -> str:
    """Our value with each open setting changed alone; "unexplained" unless one of them ends the difference."""
    told, ended = [], False
    for factor in cell.ablation:
        records = [store.find(evaluation, OWN_PROTOCOL) for evaluation in factor.evaluations]
        values = [cell.offset + cell.scale * r.metrics[cell.metric].value for r in records if r is not None]
        if values:
            word = judge(values=values).name
            ended |= word not in DIFFERS
            told.append(f"with {factor.name} alone changed, {np.mean(values):.2f} {cell.unit}, {word}")
    if not told:
        return "the difference is unexplained: no setting was changed alone to look for its cause"
    return f"{'; '.join(told)}: the difference is {'accounted for' if ended else 'unexplained'}"


def _interval(cell: Cell, records: Sequence[Record]) -> tuple[float | None, float | None]:
    """95 % interval of the mean over seeds: mean of the ends, which is the one record's own for one seed."""
    ends = [(r.metrics[cell.metric].low, r.metrics[cell.metric].high) for r in records]
    if not ends or any(low is None or high is None for low, high in ends):
        return None, None
    low, high = sorted(cell.offset + cell.scale * np.mean(np.asarray(ends, float), axis=0))
    return float(low), float(high)


def _protocol(profile: str | None, records: Sequence[Record]) -> str | None:
    """A record under the full profile that departs from the paper's specification is a scaled protocol."""
    if profile == OWN_PROTOCOL and any(record.deviations for record in records):
        return "scaled"
    return profile


def rows(item: str, profile: str, store: Store) -> list[Row]:
    """All lines of an item or sub-item, in the paper's order."""
    find_item(item)
    return [row(cell, profile, store) for cell in cells_of(item)]


def title_suffix(found: Sequence[Row | Record]) -> str:
    """Suffix of a title that names the profiles behind these rows or records, such as "digits stand-in"."""
    return "".join(dict.fromkeys(profile_of(row.profile).suffix for row in found if row.profile))


def statements(item: str, profile: str, store: Store) -> list[Statement]:
    """The item's declared claims, tested on the most faithful profile that has every record they need."""
    return [stated(predicate, profile, store) for predicate in predicates_of(item)]


def stated(predicate: Predicate, profile: str, store: Store) -> Statement:
    """One claim, tested on the most faithful profile that has every record it needs."""
    for name in search_order(profile):
        records = records_of(predicate, name, store)
        if records is not None:
            paths = tuple(record.path for record in records)
            return Statement(predicate.text, _tested(predicate, records), name, paths)
    return Statement(predicate.text, "not run", None)


def _tested(predicate: Predicate, records: Sequence[Record]) -> str:
    try:
        return "holds" if predicate.test(records) else "fails"
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        paths = ", ".join(record.path for record in records)
        raise RobustlibError(
            f"{predicate.item}: {predicate.text!r} cannot be tested on {paths} ({error!r}); run them again"
        ) from error


def item_verdicts(item: Item, profile: str, store: Store) -> dict[str, int]:
    """Number of the item's cells with each verdict."""
    counts: dict[str, int] = {}
    found = rows(item.id, profile, store)
    for line in found:
        counts[line.verdict.name] = counts.get(line.verdict.name, 0) + 1
    return counts
