"""What one measurement gives to its record, and the metrics that are made from values of single points."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..evaluate import accuracy_interval
from ..statistics import mean_interval
from .records import Metric


@dataclass
class Findings:
    """What one measurement gives to its record."""

    metrics: dict[str, Metric] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    series: dict[str, Any] = field(default_factory=dict)
    histograms: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def share(holds: np.ndarray) -> Metric:
    """Share of the (n,) bool values that hold, with Wilson's interval."""
    value, low, high = accuracy_interval(holds)
    return Metric(value, len(holds), low, high)


def mean(values: np.ndarray, *, unit: str = "fraction") -> Metric:
    """Mean of (n,) values with Student's interval; that of a fraction is cut to [0, 1]."""
    value, n = float(values.mean()), len(values)
    if n < 2:
        return Metric(value, n, unit=unit)
    low, high = mean_interval(values.tolist())
    if unit == "fraction":
        low, high = max(0.0, low), min(1.0, high)
    return Metric(value, n, min(low, value), max(high, value), unit)
