"""Records behind a figure: the most faithful ones there are, joined to curves, and named at the figure's foot."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from matplotlib.figure import Figure

from ...catalogue.plan import find_record
from ...experiments.profiles import search_order
from ...experiments.records import Record
from ...experiments.specs import Evaluation
from ...experiments.store import Store
from ..join import title_suffix
from ..rows import Row
from .curves import Curve
from .style import current

Drawing = tuple[Figure, str] | str
"""A figure and its alt text, or the reason why there is none."""
MISSING = "no record of this figure yet"
Name = TypeVar("Name", bound=Hashable)


def record_of(evaluation: Evaluation, profile: str, store: Store) -> Record | None:
    """The record of an evaluation under the most faithful profile that has one."""
    for name in search_order(profile):
        record = find_record(evaluation, name, store)
        if record is not None:
            return record
    return None


def records_of(evaluations: Mapping[Name, Evaluation], profile: str, store: Store) -> dict[Name, Record]:
    """Those of the evaluations that have a record, each under the most faithful profile, by the same names."""
    found = {name: record_of(evaluation, profile, store) for name, evaluation in evaluations.items()}
    return {name: record for name, record in found.items() if record is not None}


def stamped(figure: Figure, records: Sequence[Record | Row]) -> Figure:
    """The same figure with the profiles of its records at the foot, so that a copied picture still names them."""
    names = ", ".join(dict.fromkeys(record.profile for record in records if record.profile))
    text = f"{names} records{title_suffix(records)}"
    figure.supxlabel(text, x=0.99, ha="right", fontsize=9, color=current().colours[4])
    return figure


Point = tuple[float, Record | None, str, float | None]
"""(x, record, metric, published)."""


def sources(points: Sequence[Point]) -> list[Record]:
    """The records that the points are read from."""
    return [record for _, record, _, _ in points if record is not None]


def share_at(points: Sequence[Point], at: float) -> str:
    """What was measured at x = ``at``, for an alt text: ``91.5%``."""
    found = [record.metrics[name].value for x, record, name, _ in points if record is not None and x == at]
    return f"{found[0]:.1%}" if found else "not run"


def joined(points: Sequence[Point], factor: float = 100.0) -> Curve | None:
    """x, y, low, high and published from (x, record, metric, published); None when nothing was measured."""
    columns = []
    for at, record, name, number in points:
        metric = None if record is None else record.metrics.get(name)
        ours = (None, None, None) if metric is None else (metric.value, metric.low, metric.high)
        scaled = [np.nan if value is None else factor * value for value in ours]
        # A published number stays in the picture where there is none of ours.
        columns.append((at, *scaled, np.nan if number is None else number))
    if all(np.isnan(column[1]) for column in columns):
        return None
    x, y, low, high, published = (np.asarray(column, float) for column in zip(*columns, strict=True))
    return x, y, low, high, published
