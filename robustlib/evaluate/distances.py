"""Minimum distances of adversarial inputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from ..attacks.suite import MinimumNorm
from ..budget import Budget
from ..registry import spec
from ..spec.measurement import Measured, Measurement, Price, Subject, mean, share
from ..spec.network import Network
from ..spec.quantities import ATTACKED, CLEAN, SIZE, SUCCESS, Quantity
from ..spec.records import Metric
from .outcomes import distances_under


@spec
@dataclass(frozen=True)
class Distances(Measurement):
    """Accuracy against eps from one minimum-norm attack: a point falls at every eps from its distance on.

    Args:
        attack: a minimum-norm attack.
        norm: "linf" or "l2", minimised by the attack.
        grid: radii, in the domain's units, at which accuracy is reported (metric ``accuracy@EPS``).
        domain: of the inputs.
        measured: norm in which the points found are measured, where it is not the one minimised.
    """

    attack: MinimumNorm
    norm: str
    grid: tuple[float, ...]
    domain: tuple[float, float] | None = (0.0, 1.0)
    protocol: int = 1
    measured: str = ""

    def units(self, network: Network) -> dict[str, str]:
        shares = dict.fromkeys((*(f"accuracy@{eps:g}" for eps in self.grid), "broken"), "fraction")
        return shares | dict.fromkeys(("mean_distance", "median_distance"), self.measured or self.norm)

    def run(self, on: Subject) -> Measured:
        """Accuracy at each radius of the grid; of the points that are broken, mean and median distance."""
        distances = distances_under(
            on.model,
            on.split,
            on.rows,
            self.attack,
            norm=self.norm,
            measured=self.measured,
            domain=self.domain,
            name=on.name,
            progress=on.progress,
        )
        found = Measured()
        for eps in self.grid:
            # A point found at distance exactly 0 was misclassified to begin with: it is lost at every radius.
            found.metrics[f"accuracy@{eps:g}"] = share((distances > eps) | (np.isinf(distances)))
        broken = distances[np.isfinite(distances)]
        found.metrics["broken"] = share(np.isfinite(distances))
        if len(broken):
            norm = self.measured or self.norm
            found.metrics["mean_distance"] = mean(broken, unit=norm)
            found.metrics["median_distance"] = Metric(float(np.median(broken)), len(broken), unit=norm)
        return found

    @property
    def stem(self) -> str:
        """``boundary-l2``."""
        return f"{type(self.attack).__name__.lower()}-{self.norm}"

    def quantity(self, metric: str) -> Quantity:
        if metric.startswith("accuracy@"):
            return ATTACKED if float(metric.partition("@")[2]) else CLEAN
        return SUCCESS if metric == "broken" else SIZE

    def work(self, price: Price, network: Network, n: int) -> float:
        return price.step(network) * n * self.attack.passes

    def within(self, budget: Budget) -> Self:
        attack: Any = self.attack.within(replace(budget, steps=None))
        # Exactly so many, not at most: the keys of reduced profiles' records hold it.
        return replace(self, attack=attack if budget.steps is None else replace(attack, steps=budget.steps))
