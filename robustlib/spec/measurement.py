"""Base class of measurements, the subject that they are run on, and the result that goes into a record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
from torch import Tensor, nn

from ..budget import Budget
from ..data import Dataset, Split
from ..statistics import mean_interval, wilson
from .keys import key
from .network import Network
from .quantities import SIZE, Quantity
from .records import Metric

if TYPE_CHECKING:
    from .evaluation import Evaluation

Progress = Callable[[int, int], None]
"""Called with (points done, points)."""


@dataclass
class Measured:
    """Result of one measurement, as its record holds it."""

    metrics: dict[str, Metric] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    series: dict[str, Any] = field(default_factory=dict)
    histograms: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Subject:
    """Network, data and progress call that a measurement is run on.

    Args:
        evaluation: whose measurement it is.
        dataset: on the models' device.
        models: trained networks by training key: the network measured, and every other that it needs.
        curve: per-step "loss" and "accuracy" of the network's training, where they are known.
        progress: called with (points done, points).
    """

    evaluation: Evaluation
    dataset: Dataset
    models: Mapping[str, nn.Module]
    curve: Mapping[str, list[float]] | None = None
    progress: Progress | None = None

    @property
    def network(self) -> Network:
        """Specification of the network measured."""
        return self.evaluation.subject

    @property
    def model(self) -> nn.Module:
        """The network measured."""
        return self.model_of(self.network)

    @property
    def name(self) -> str:
        """Names the measurement's random streams: the evaluation's key."""
        return key(self.evaluation)

    @cached_property
    def _chosen(self) -> tuple[Split, Tensor]:
        return self.evaluation.subset.choose(self.dataset)

    @property
    def split(self) -> Split:
        """The split that the points are from."""
        return self._chosen[0]

    @property
    def rows(self) -> Tensor:
        """(n,) int64, sorted positions of the points in the split."""
        return self._chosen[1]

    def parts(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Images and labels of the points, up to ``size`` at a time; progress is reported after each part."""
        done = 0
        for rows in self.rows.split(size):
            yield self.split.images(rows), self.split.y[rows.to(self.split.y.device)]
            done += len(rows)
            if self.progress is not None:
                self.progress(done, len(self.rows))

    @property
    def groups(self) -> Tensor | None:
        """Group of each example of the split, where the dataset knows groups."""
        return self.dataset.groups["test" if self.split is self.dataset.test else "train"]

    def model_of(self, network: Network) -> nn.Module:
        """The trained network of a specification."""
        return self.models[key(network)]


class Price(Protocol):
    """Floating-point operations of one example's share of a batch."""

    def forward(self, network: Network) -> float:
        """Operations of a forward pass."""

    def step(self, network: Network) -> float:
        """Operations of one of an attack's ``passes``: half of a forward and a backward pass to the input."""

    def certificate(
        self, network: Network, *, method: str = "dual", slopes: str = "fixed", projections: int = 0
    ) -> float:
        """Operations of a certificate against every other class, or of its estimate."""

    def update(self, network: Network) -> float:
        """Operations of one update of a training, for its whole batch."""


class Measurement:
    """Base of every measurement: a frozen dataclass, registered with ``@spec``, in a module of ``robustlib.evaluate``.

    Its class name is its type in keys and records; its fields are its settings. ``run`` is all that it must define.
    """

    needs_log: ClassVar[bool] = False
    """True where it reads the training's log, so that it is measured first and never on committed weights."""

    def run(self, on: Subject) -> Measured:
        """Measure."""
        raise NotImplementedError

    def units(self, network: Network) -> dict[str, str]:
        """Names of the metrics that its records may hold, with their units; {} where only the run can tell."""
        return {}

    def work(self, price: Price, network: Network, n: int) -> float:
        """Floating-point operations for n points, or an upper bound of them; 0 where no tensor arithmetic counts."""
        return 0.0

    def within(self, budget: Budget) -> Self:
        """Itself, within upper limits on its effort."""
        return self

    def quantity(self, metric: str) -> Quantity:
        """What kind of number a metric is: how far from a published one it may lie, and which side is good."""
        return SIZE

    @property
    def stem(self) -> str:
        """Begins the file name of its records."""
        return type(self).__name__.lower()

    def others(self, subject: Network) -> tuple[Network, ...]:
        """Networks that it needs beside the one measured: those in its fields."""
        held = [getattr(self, each.name) for each in fields(self)]  # type: ignore[arg-type]
        found = [part for value in held for part in (value if isinstance(value, tuple) else (value,))]
        return tuple(part for part in found if isinstance(part, Network))

    def with_networks(self, made: Callable[[Network], Network]) -> Self:
        """Itself, with each network in its fields replaced by ``made`` of it."""

        def changed(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(map(changed, value))
            return made(value) if isinstance(value, Network) else value

        held = {each.name: getattr(self, each.name) for each in fields(self)}  # type: ignore[arg-type]
        return replace(self, **{name: changed(value) for name, value in held.items()})  # type: ignore[type-var]


def share(holds: np.ndarray) -> Metric:
    """Share of the (n,) bool values that hold, with Wilson's interval."""
    value, n = float(np.mean(holds)), len(holds)
    low, high = wilson(int(np.sum(holds)), n)
    return Metric(value, n, low, high)


def mean(values: np.ndarray, *, unit: str = "fraction") -> Metric:
    """Mean of (n,) values with Student's interval; that of a fraction is cut to [0, 1]."""
    value, n = float(values.mean()), len(values)
    if n < 2:
        return Metric(value, n, unit=unit)
    low, high = mean_interval(values.tolist())
    if unit == "fraction":
        low, high = max(0.0, low), min(1.0, high)
    return Metric(value, n, min(low, value), max(high, value), unit)
