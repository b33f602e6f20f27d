"""Records behind a figure: the most faithful ones there are, joined to curves, and named at the figure's foot."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from matplotlib.figure import Figure

from ...catalogue.base import published_of
from ...catalogue.plan import find_record
from ...data.registry import facts_of
from ...experiments.profiles import search_order
from ...experiments.store import Store
from ...spec.evaluation import Evaluation
from ...spec.records import Record
from ..evidence import EVERY, grade
from ..join import title_suffix
from ..rows import Row
from .curves import Curve
from .style import foot

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
    """Records of the evaluations that have one, each under the most faithful profile, by the same names."""
    found = {name: record_of(evaluation, profile, store) for name, evaluation in evaluations.items()}
    return {name: record for name, record in found.items() if record is not None}


def shared_profile(evaluations: Sequence[Evaluation], profile: str, store: Store) -> str:
    """The most faithful profile that has a record of each, so that a sentence about one network compares that network.

    Profiles train their networks by different recipes. Where none has them all it is ``profile`` itself.
    """
    names = search_order(profile)
    return next((name for name in names if all(find_record(one, name, store) for one in evaluations)), profile)


def stamped(figure: Figure, records: Sequence[Record | Row], *, own: bool = False) -> Figure:
    """Stamp a figure with its evidence and networks, so that a copied picture still says what it rests on.

    Args:
        figure: to be stamped.
        records: what it shows.
        own: it belongs to an item that no paper has.
    """
    graded = (one.evidence if isinstance(one, Row) else grade([one], own=own) for one in records)
    names = ", ".join(sorted(filter(None, set(graded)), key=EVERY.index))
    networks = network_names(records)
    told = f"; networks: {', '.join(networks)}" if 0 < len(networks) <= MOST_NETWORKS else ""
    foot(figure, f"evidence: {names}{title_suffix(records)}{told}")
    return figure


MOST_NETWORKS = 3
"""Architectures that a figure's foot names; where there are more, the figure's own labels do."""


def images_of(record: Record, state: str) -> np.ndarray:
    """(n, channels, h, w) images in 0..1 that the record keeps as bytes, such as "clean" or "attacked"."""
    return np.asarray(record.series[state], float).reshape(-1, *facts_of(record.dataset["name"]).shape) / 255


def network_names(records: Sequence[Record | Row]) -> list[str]:
    """Architectures behind records and rows, by the folders of these: ``MNIST madry cnn 16``, in order of width."""
    paths = (path for one in records for path in (one.records if isinstance(one, Row) else (one.path,)))
    found: dict[str, dict[int, None]] = {}
    for path in paths:
        data, _, rest = path.split("/")[-2].partition("-") if path.count("/") else ("", "", "")
        model = re.fullmatch(r"(\w*?[a-z_])(\d+)", rest.partition("-")[0])
        if data and model is not None:
            name = f"{data.replace('_', '-').upper()} {model[1].replace('_', ' ').strip()}"
            found.setdefault(name, {})[int(model[2])] = None
    return [f"{name} {', '.join(map(str, sorted(widths)))}" for name, widths in found.items()]


@dataclass(frozen=True)
class Point:
    """One x of a curve: the measured value with its interval, and the published one, in the unit of the axis.

    Args:
        x: place on the axis.
        value, low, high: measured, and its 95 % interval; None where there is none.
        published: the paper's value.
        runs: values of the single seeds that ``value`` is the mean of, where there are several.
        source: the record or the row of a table that holds the value.
    """

    x: float
    value: float | None = None
    low: float | None = None
    high: float | None = None
    published: float | None = None
    runs: tuple[float, ...] = ()
    source: Record | Row | None = None


def read_record(
    x: float, record: Record | None, metric: str = "accuracy", *, published: float | None = None, scale: float = 100.0
) -> Point:
    """The point that a record's metric makes; without a value where the record, or the metric in it, is missing."""
    found = None if record is None else record.metrics.get(metric)
    if found is None:
        return Point(x, published=published, source=record)
    low, high = (None if end is None else scale * end for end in (found.low, found.high))
    return Point(x, scale * found.value, low, high, published, source=record)


def read_row(x: float, row: Row, *, scale: float = 1.0) -> Point:
    """The point that a row of a table makes: the mean over seeds, each seed, and the published number."""
    numbers = (row.value, row.low, row.high, row.published)
    value, low, high, published = (None if number is None else scale * number for number in numbers)
    runs = tuple(scale * run for run in row.values) if row.seeds > 1 else ()
    return Point(x, value, low, high, published, runs, row if row.values else None)


def joined(points: Sequence[Point]) -> Curve | None:
    """The points as a curve, None where nothing was measured; published values stay where ours are missing."""
    if all(point.value is None for point in points):
        return None
    runs = np.full((max(len(point.runs) for point in points), len(points)), np.nan)
    for place, point in enumerate(points):
        runs[: len(point.runs), place] = point.runs
    columns = zip(*((p.x, p.value, p.low, p.high, p.published) for p in points), strict=True)
    x, y, low, high, published = (np.asarray(column, float) for column in columns)
    return Curve(x, y, low, high, published, runs)


def sources(points: Sequence[Point]) -> list[Record | Row]:
    """Records and rows of the points' values, for a figure's foot."""
    return [point.source for point in points if point.source is not None]


def share_at(points: Sequence[Point], x: float) -> str:
    """The value measured at ``x``, in per cent, for an alt text: ``91.5%``, or "not run"."""
    found = [point.value for point in points if point.x == x and point.value is not None]
    return f"{found[0]:.1f}%" if found else "not run"


def printed_along(item: str, setting: str, column: str, panel: str | None = None) -> dict[float, float | None]:
    """A column's published values by a setting of their rows, such as eps; of one panel where the item has several."""
    return {
        number.where[setting]: number.value
        for number in published_of(item).values()
        if number.column == column and setting in number.where and number.where.get("panel") == panel
    }
