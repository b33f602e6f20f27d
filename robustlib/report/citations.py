"""Numbers in prose: places such as ``{ours:madry2018/table-1:Natural|Accuracy}``, and the text that fills them."""

from __future__ import annotations

import difflib
import re

import numpy as np

from ..catalogue.base import find_item, published
from ..catalogue.plan import cells_of, find_record
from ..errors import RobustlibError, suggest
from ..experiments.profiles import search_order
from ..experiments.store import Store
from ..spec.evaluation import Evaluation
from .display import cite, cite_row, record_target
from .join import item_verdicts
from .plots.records import shared_profile

PLACE = re.compile(r"\{(ours|row|halves|paper|tally):([^}]+)\}")
"""Place of a number in a text: ``{row:ITEM:ROW|COLUMN}`` of all seeds as the table has it, another metric of the first
seed's record as ``{ours:ITEM:ROW|COLUMN|METRIC}``, the errors in each half of that cell's points as
``{halves:ITEM:ROW|COLUMN}``, ``{paper:ID}`` of published.csv, ``{tally:ITEM}``."""


def measured_at(address: str) -> tuple[Evaluation, str]:
    """The first seed's evaluation and the metric of a cell.

    Args:
        address: "ITEM:ROW|COLUMN", or "ITEM:ROW|COLUMN|METRIC" for another metric of the same record.

    Raises:
        RobustlibError: there is no measured cell of that address, or no such metric of it; names the nearest.
    """
    name, _, place = address.partition(":")
    row, column, metric = (*place.split("|"), "", "")[:3]
    cells = {(cell.row, cell.column): cell for cell in cells_of(find_item(name).id) if cell.evaluations}
    if (row, column) not in cells:
        near = difflib.get_close_matches(f"{row}|{column}", ["|".join(known) for known in cells], n=1, cutoff=0.0)
        raise RobustlibError(f"no measured cell at {address!r}; the nearest is {name}:{''.join(near)}")
    cell = cells[row, column]
    evaluation, metric = cell.evaluations[0], metric or cell.metric
    known = evaluation.measurement.units(evaluation.subject)
    if known and metric not in known:
        raise RobustlibError(suggest(f"metric of {name}:{row}|{column}", metric, known))
    return evaluation, metric


def of_one_profile(text: str, profile: str, store: Store) -> str:
    """The most faithful profile that has all numbers of a text, so that it sets no two networks of one name side by
    side; ``profile`` where none has.
    """
    places = [address for kind, address in PLACE.findall(text) if kind in ("ours", "row")]
    return shared_profile([measured_at(place)[0] for place in places], profile, store) if places else profile


def filled(text: str, profile: str, store: Store) -> str:
    """A text with its numbers, see :data:`PLACE`.

    A sentence whose measurement is not there yet is left out, and a note says so.

    Raises:
        RobustlibError: an address or a number that nothing has.
    """
    kept, missing = [], False
    # None of our sentences ends within a number or an address.
    for sentence in re.split(r"(?<=[.!?]) (?=[A-Z$])", text):
        values = {(kind, name): _value(kind, name, profile, store) for kind, name in PLACE.findall(sentence)}
        if any(place[0] in ("ours", "row", "halves") and value == "not run" for place, value in values.items()):
            missing = True
        else:
            kept.append(PLACE.sub(lambda match, values=values: values[match.groups()], sentence))
    return " ".join([*kept, *(["*(Its numbers are not run yet.)*"] if missing else [])])


def filled_alike(text: str, profile: str, store: Store) -> str:
    """:func:`filled` with numbers :func:`of_one_profile`."""
    return filled(text, of_one_profile(text, profile, store), store)


def _value(kind: str, name: str, profile: str, store: Store) -> str:
    if kind == "ours":
        evaluation, metric = measured_at(name)
        return cite(evaluation, profile, store, metric=metric)
    if kind == "row":
        item, _, place = name.partition(":")
        label, _, column = place.partition("|")
        return cite_row(item, label, column, profile, store)
    if kind == "halves":
        return _halves(name, profile, store)
    if kind == "tally":
        counts = item_verdicts(find_item(name), profile, store)
        return ", ".join(f"{word} {count}" if count else word for word, count in sorted(counts.items()))
    number = next((n for n in published() if n.id == name), None)
    if number is None:
        raise RobustlibError(f"no published number {name!r}; give an id of a published.csv")
    # A few numbers of the papers' prose carry no unit.
    state = "" if number.verified else " (our own count)" if number.computed else " (unverified)"
    return f"{number.text} {number.unit.split(' (')[0]}".strip() + state


def _halves(address: str, profile: str, store: Store) -> str:
    """Errors in the first and in the second half of the rows, where a record has all of them; or "not run"."""
    evaluation, _ = measured_at(address)
    for name in search_order(profile):
        record = find_record(evaluation, name, store)
        if record is not None and record.evaluation["subset"]["n"] is None:
            wrong = ~record.outcome()
            first, second = (int(half.sum()) for half in np.array_split(wrong, 2))
            return f"[{first:,} errors in the first half and {second:,} in the second](#{record_target(record.path)})"
    return "not run"
