"""The numbers that a figure draws, as lines of a CSV file, read off the arguments of its builder."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .style import built_from

Line = dict[str, Any]
LEVELS = ("panel", "series", "part")
"""Columns that hold the names of panels, of the series in them, and of a series' parts."""


def csv_of(figure: Figure) -> str:
    """What the figure draws, a line a point or a bar; "" where that is an image or nothing that has numbers."""
    lines = list(_lines(built_from(figure), ()))
    heads = list(dict.fromkeys(head for line in lines for head in line))
    # Names first, in their order; then values as they come.
    heads.sort(key=lambda head: LEVELS.index(head) if head in LEVELS else len(LEVELS))
    out = io.StringIO()
    writer = csv.DictWriter(out, heads, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue() if lines else ""


def _lines(value: Any, names: tuple[str, ...]) -> Iterator[Line]:
    if isinstance(value, Mapping):
        if len(names) < len(LEVELS):
            for name, part in value.items():
                yield from _lines(part, (*names, str(name)))
        return
    named = dict(zip(LEVELS, names, strict=False))
    for line in _values(value):
        yield named | line


def _values(value: Any) -> list[Line]:
    """Lines of a curve, bar or mark, of a histogram or other pair of arrays, of an array, or of a number."""
    if is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: getattr(value, field.name) for field in fields(value)}
        arrays = {name: _array(part) for name, part in parts.items() if part is not None}
        return [] if any(array is None for array in arrays.values()) else _columns(arrays)
    if isinstance(value, tuple) and len(value) == 2:
        first, second = map(_array, value)
        if first is None or second is None or first.ndim != 1 or second.ndim != 1:
            return []
        if len(first) == len(second) + 1:
            return _columns({"from": first[:-1], "to": first[1:], "count": second})
        return _columns({"x": first, "y": second}) if len(first) == len(second) else []
    array = _array(value)
    return [] if array is None or array.ndim > 1 else _columns({"value": array})


def _array(value: Any) -> np.ndarray | None:
    """Numbers as an array; None where the value is something else."""
    if value is None:
        return None
    try:
        array = np.asarray(value, float)
    except (TypeError, ValueError):
        return None
    return array if array.ndim <= 2 else None


def _columns(arrays: Mapping[str, np.ndarray | None]) -> list[Line]:
    """Columns of one length as lines; of arrays of other lengths each number is a column."""
    given = {name: array for name, array in arrays.items() if array is not None and array.size}
    longest = next((len(array) for name, array in given.items() if name in ("x", "from", "value") and array.ndim), 0)
    columns: dict[str, np.ndarray] = {}
    for name, array in given.items():
        if longest and array.shape == (longest,):
            columns[name] = array
        elif array.ndim == 2 and array.shape[1] == longest:
            columns |= {f"{name} {i + 1}": row for i, row in enumerate(array)}
        elif array.ndim == 0:
            columns[name] = np.full(max(longest, 1), array)
        elif array.ndim == 1 and not longest:
            single = len(array) == 1
            columns |= {name if single else f"{name} {i + 1}": np.array([one]) for i, one in enumerate(array)}
        else:
            return []
    count = max(map(len, columns.values()), default=0)
    return [{name: _short(column[i]) for name, column in columns.items()} for i in range(count)]


def _short(number: float) -> str:
    """Six digits; nothing where there is no number."""
    return "" if np.isnan(number) else f"{number:.6g}"
