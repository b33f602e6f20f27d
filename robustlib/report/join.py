"""Rows and statements of an item: cells joined with the records of the most faithful profile that has them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress

import numpy as np

from ..catalogue.base import OWN, Cell, Item, Predicate, find_item
from ..catalogue.plan import cells_of, evaluations, find_record, predicates_of, released
from ..errors import RobustlibError
from ..experiments.profiles import OWN_PROTOCOL, search_order
from ..experiments.profiles import profile as profile_of
from ..experiments.store import Store
from ..spec.evaluation import Evaluation
from ..spec.keys import changes_network, parse
from ..spec.records import Metric, Record
from ..statistics import wilson_at
from .evidence import Evidence, grade
from .rows import Row
from .verdicts import Sample, Target, Verdict, decide


@dataclass(frozen=True)
class Statement:
    """A claim of a table or figure, and what the records say of it.

    Args:
        text: the claim.
        state: "holds", "fails", "contradicted" where records of the paper's own protocol settle it, or "not run".
        evidence: the weakest grade among its records, or of a contradiction that of those that settle it; None where
            they are not all there.
        records: paths.
        check: it cannot fail but by a fault of the code, and is not counted.
        numbers: those that it was tested on, in the records' order, where it is about one metric.
    """

    text: str
    state: str
    evidence: Evidence | None
    records: tuple[str, ...] = ()
    check: bool = False
    numbers: tuple[Metric, ...] = ()


ASK_WHY = ("higher", "lower", "differs")
"""Verdicts that ask for a cause."""
COMPUTED = Verdict("computed", "computed from its definition, without a network")


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
    """One line of a table: the published number beside ours, and beside that of the authors' own network."""
    name, records = measured(cell, profile, store)
    found = _line(cell, cell.evaluations, target(cell), records, name, cell.note)
    if found.verdict.name in ASK_WHY or (found.verdict.name == "open" and cell.ablation):
        found = replace(found, footnotes=(*found.footnotes, _explained(cell, store)))
    theirs = authors(cell, profile, store)
    if theirs is None and cell.released and OWN_PROTOCOL in search_order(profile):
        found = replace(found, footnotes=(*found.footnotes, _NOT_THEIRS))
    return replace(found, authors=theirs)


def authors(cell: Cell, profile: str, store: Store) -> Row | None:
    """The line of a cell on the network that the authors released; None where it is not measured."""
    if not cell.released or OWN_PROTOCOL not in search_order(profile):
        return None
    found = [store.find(job.evaluation, job.home(OWN_PROTOCOL)) for job in released(cell, OWN_PROTOCOL)]
    records = [record for record in found if record is not None and cell.metric in record.metrics]
    if not records:
        return None
    paper, note = replace(target(cell), protocol_known=not cell.released_open), cell.released_open
    if cell.published is not None and cell.released_batch and records[0].metrics[cell.metric].n % cell.released_batch:
        points = cell.offset + cell.scale * records[0].metrics[cell.metric].value
        records = [_by_batch(record, cell.metric, cell.released_batch) for record in records]
        note = "; ".join(filter(None, (note, _BATCHES.format(cell.released_batch, points, cell.unit))))
    line = _line(cell, cell.released, paper, records, records[0].profile, note)
    return replace(line, footnotes=(*line.footnotes, _OPEN)) if line.verdict.name in ASK_WHY else line


_NOT_THEIRS = "on the authors' network not run yet"
_OPEN = "the authors' network, measured as the paper measured, does not give the printed number; why is not known"
_BATCHES = "the mean over batches of {}, the last one smaller, as in the authors' code; over points it is {:.3f} {}"


def _by_batch(record: Record, metric: str, batch: int) -> Record:
    """The record with a share of points replaced by the mean of its batches' shares.

    Raises:
        RobustlibError: no outcome of the record has that share.
    """
    value = record.metrics[metric].value
    for name in record.outcomes:
        counted = record.outcome(name)
        for points in (counted, ~counted):
            if abs(float(points.mean()) - value) < 1e-9:
                parts = [float(points[first : first + batch].mean()) for first in range(0, len(points), batch)]
                changed = replace(record.metrics[metric], value=float(np.mean(parts)))
                return replace(record, metrics={**record.metrics, metric: changed})
    raise RobustlibError(f"{record.path} has no outcome whose share is {metric}; run it again")


def _line(
    cell: Cell, full: Sequence[Evaluation], paper: Target, records: Sequence[Record], profile: str | None, note: str
) -> Row:
    """A row from records of the evaluations ``full``, one a network or draw."""
    metrics = [record.metrics[cell.metric] for record in records]
    values = tuple(cell.offset + cell.scale * metric.value for metric in metrics)
    values = values if cell.derived is None else (cell.derived(),)
    ours = _sample(cell, records, full[0]) if records else None
    low, high = _interval(cell, records)
    return Row(
        label=cell.row,
        column=cell.column,
        published=paper.value,
        decimals=_decimals(cell.unit, values) if paper.value is None else paper.decimals,
        verified=cell.published is not None and cell.published.verified,
        values=values,
        low=low,
        high=high,
        # Several attempts on one image are one point.
        n=min(metrics[0].n, parse(records[0].evaluation).points) if metrics else None,
        evidence=grade(records, own=_is_own(cell.item)) if records else None,
        profile=profile,
        verdict=decide(paper, ours, reason=cell.unavailable or NO_RECORD) if cell.derived is None else COMPUTED,
        records=tuple(record.path for record in records),
        footnotes=tuple(filter(None, (note, _inexact(records)))),
        unit=cell.unit,
        text=cell.published.text if cell.published is not None and paper.value is None else "",
    )


def _is_own(item: str) -> bool:
    """True of an item that no paper has."""
    return find_item(item).source == OWN


def _inexact(records: Sequence[Record]) -> str:
    count = sum(int(sum(record.dataset["inexact"].values())) for record in records[:1])
    return f"† {count} rows of the data are not the official bytes" if count else ""


NO_RECORD = "no record of this cell yet"


def target(cell: Cell) -> Target:
    """A cell's published number, as a verdict is given on it."""
    published = cell.published
    if published is None:
        return Target(verified=False)
    return Target(
        value=published.value,
        decimals=published.decimals,
        verified=published.verified,
        protocol_known=cell.protocol_known,
        doubt=published.doubt,
        n=published.n,
        reading=published.reading,
        exact=published.exact,
    )


def _sample(cell: Cell, records: Sequence[Record], full: Evaluation) -> Sample:
    """A cell's records of an evaluation as a verdict takes them."""
    first, published = records[0], cell.published
    measurement, subject = full.measurement, full.subject
    metric, quantity = first.metrics[cell.metric], measurement.quantity(cell.metric)
    # Several attempts on one image are one point.
    n = min(metric.n, parse(first.evaluation).points)
    whole = first.evaluation["subset"]["n"] is None
    good = 0 if quantity.attacked and subject.defence.plain else quantity.direction
    return Sample(
        values=[cell.offset + cell.scale * record.metrics[cell.metric].value for record in records],
        n=n,
        evidence=grade(records),
        quantity=quantity,
        ends=(cell.offset, cell.offset + cell.scale) if metric.unit == "fraction" else None,
        direction=int(math.copysign(good, good * cell.scale)),
        same_points=whole and (published is None or published.n in (None, n)),
        inexact=int(first.dataset["inexact"]["test"]),
    )


def _decimals(unit: str, values: Sequence[float]) -> int:
    """Without a published number to follow: hundredths of a per cent, whole counts, four figures of anything else."""
    if unit != "%" and all(value.is_integer() for value in values):
        return 0
    size = max((abs(value) for value in values), default=0.0)
    return 1 if unit == "%" else max(0, 2 - math.floor(math.log10(size))) if size > 1e-7 else 3


def _explained(cell: Cell, store: Store) -> str:
    """Our value with each open setting changed alone; "unexplained" unless one of them ends the difference."""
    told, ended = [], False
    for factor in cell.ablation:
        found = (store.find(evaluation, OWN_PROTOCOL) for evaluation in factor.evaluations)
        records = [record for record in found if record is not None]
        if records:
            changed = _sample(cell, records, cell.evaluations[0])
            word = decide(target(cell), changed).name
            ended |= word not in (*ASK_WHY, "open")
            told.append(f"with {factor.name} alone changed, {changed.mean:.2f} {cell.unit}, {word}")
    if not told:
        return "the difference is unexplained: no setting was changed alone to look for its cause"
    return f"{'; '.join(told)}: the difference is {'accounted for' if ended else 'unexplained'}"


def _interval(cell: Cell, records: Sequence[Record]) -> tuple[float | None, float | None]:
    """95 % interval over test points: Wilson's at the networks' mean share, or the mean of the records' own ends."""
    metrics = [record.metrics[cell.metric] for record in records]
    bounds = [(metric.low, metric.high) for metric in metrics if metric.low is not None and metric.high is not None]
    if not bounds or len(bounds) < len(metrics):
        return None, None
    if all(_is_wilson(metric) for metric in metrics):
        n = min(metrics[0].n, parse(records[0].evaluation).points)
        ends = wilson_at(float(np.mean([metric.value for metric in metrics])), n)
    else:
        ends = tuple(np.mean(np.asarray(bounds, float), axis=0))
    low, high = sorted(cell.offset + cell.scale * np.asarray(ends, float))
    return float(low), float(high)


def _is_wilson(metric: Metric) -> bool:
    """True of a share of points, and False of a mean of fractions such as confidences."""
    count = metric.value * metric.n
    if metric.low is None or metric.unit != "fraction" or abs(count - round(count)) > 1e-6:
        return False
    return abs(wilson_at(round(count) / metric.n, metric.n)[0] - metric.low) < 1e-9


def rows(item: str, profile: str, store: Store) -> list[Row]:
    """All lines of an item or sub-item, in the paper's order; each is made once while no record comes."""
    find_item(item)
    cells = cells_of(item)
    # By identity, since to hash a cell takes as long as its row; held, so that no other cell takes its place.
    made: dict[int, tuple[Cell, Row]] = store.made.setdefault((rows, profile), {})
    for cell in cells:
        if id(cell) not in made:
            made[id(cell)] = cell, row(cell, profile, store)
    return [made[id(cell)][1] for cell in cells]


def title_suffix(found: Sequence[Row | Record]) -> str:
    """Suffix of a title that names the profiles behind these rows or records, such as "digits stand-in"."""
    return "".join(dict.fromkeys(profile_of(row.profile).suffix for row in found if row.profile))


def statements(item: str, profile: str, store: Store) -> list[Statement]:
    """The item's declared claims, each tested on the most faithful record of everything that it is about."""
    return [stated(predicate, profile, store) for predicate in predicates_of(item)]


def stated(predicate: Predicate, profile: str, store: Store) -> Statement:
    """One claim, tested on the most faithful record there is of each evaluation that it is about.

    A network that stands in for the paper's is compared with others of its profile alone. A claim is "contradicted",
    and not only failing, where records of the paper's own protocol alone make it fail: all of its records are, or it
    would hold with the others in their place.
    """
    paper, names = find_item(predicate.item).paper, search_order(profile)
    choices = []
    for full in predicate.needs:
        found = (find_record(full, name, store, paper) for name in names)
        choices.append([record for record in found if record is not None])
    if not all(choices):
        return Statement(predicate.text, "not run", None, check=predicate.check)
    best, least = [each[0] for each in choices], [each[-1] for each in choices]
    if not _alike(best):
        whole = ([find_record(full, name, store, paper) for full in predicate.needs] for name in names)
        best = next((records for records in map(_complete, whole) if records and _alike(records)), [])
        if not best:
            return Statement(predicate.text, "not run", None, check=predicate.check)
    evidence = grade(best, own=_is_own(predicate.item))
    state = _tested(predicate, best)
    faithful = [grade([record]) == "paper's protocol" for record in best]
    if state == "fails" and (all(faithful) or (any(faithful) and _tested(predicate, least) == "holds")):
        state, evidence = "contradicted", grade(compress(best, faithful), own=_is_own(predicate.item))
    paths = tuple(record.path for record in best)
    numbers = tuple(record.metrics[predicate.metric] for record in best if predicate.metric)
    return Statement(predicate.text, state, evidence, paths, predicate.check, numbers)


def _complete(records: Sequence[Record | None]) -> list[Record]:
    """The records, or none where one is missing."""
    return [record for record in records if record is not None] if None not in records else []


def _alike(records: Sequence[Record]) -> bool:
    """True where all networks are the papers', or none is."""
    return len({any(map(changes_network, record.deviations)) for record in records}) == 1


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
