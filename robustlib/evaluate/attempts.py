"""Targeted attempts towards every other class."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from ..attacks.suite import Jsma
from ..budget import Budget, at_most
from ..data.registry import facts_of
from ..registry import spec
from ..spec.measurement import Measured, Measurement, Price, Subject, mean, share
from ..spec.network import Network
from ..spec.quantities import SIZE, SUCCESS, Quantity
from ..spec.records import pack
from .targeted import correct_rows, targeted_attempts

KEPT = 100
"""Points whose attempts a record keeps one by one."""


@spec
@dataclass(frozen=True)
class Targeted(Measurement):
    """Attempts on each point towards each other class: share that succeed, features that they change.

    Args:
        attack: description of the targeted attack.
        correct_only: points that the network gets wrong are replaced by others of their class, see
            :func:`robustlib.evaluate.targeted.correct_rows`; False: the subset as it is, each point led away from its
            predicted class.
        cap: number of features at which a point that needs more, or is never broken, counts in ``rho``.
        domain: of the inputs.
    """

    attack: Jsma
    correct_only: bool = True
    cap: int = 112
    domain: tuple[float, float] = (0.0, 1.0)
    protocol: int = 1

    def units(self, network: Network) -> dict[str, str]:
        shares = ("success", "rho", "rho_uncapped", "broken", "censored")
        return dict.fromkeys(shares, "fraction") | {"features": "features"}

    def run(self, on: Subject) -> Measured:
        """Success over attempts; over points, the least features that reach any target, as a share of all features."""
        model, split, rows, subset, progress = on.model, on.split, on.rows, on.evaluation.subset, on.progress
        if self.correct_only:
            rows = correct_rows(model, split, subset.n or len(split), seed=subset.seed)
        found = targeted_attempts(model, split, rows, self.attack, domain=self.domain, progress=progress)
        reached, whole = found.reached, min(self.attack.features, found.features)
        broken: np.ndarray = np.any(found.changed > 0, axis=1)
        metrics = {
            "success": share(reached),
            "rho": mean(found.nearest(min(self.cap, whole)) / found.features),
            "rho_uncapped": mean(found.nearest(whole) / found.features),
            "broken": share(broken),
            "censored": share(~broken | (found.nearest(whole) > self.cap)),
        }
        if reached.any():
            metrics["features"] = mean(found.changed[found.changed > 0].astype(float), unit="features")
        classes = found.changed.shape[1]
        tries, hits, features = (np.zeros((classes, classes), int) for _ in range(3))
        for row, source in enumerate(found.source):
            tries[source] += found.tried[row]
            hits[source] += found.changed[row] > 0
            features[source] += found.changed[row]
        series = {"tries": tries.tolist(), "hits": hits.tolist(), "features": features.tolist()}
        # Only the first of many points, so that the record of a whole test set is no longer.
        series |= {"rows": found.rows[:KEPT].tolist(), "changed": found.changed[:KEPT].tolist()}
        return Measured(metrics=metrics, outcomes={"reached": pack(reached)}, series=series)

    def quantity(self, metric: str) -> Quantity:
        return SUCCESS if metric == "success" else SIZE

    def work(self, price: Price, network: Network, n: int) -> float:
        """Operations; see :meth:`Measurement.work`."""
        return price.step(network) * n * (len(facts_of(network.dataset).classes) - 1) * self.attack.passes

    def within(self, budget: Budget) -> Self:
        features = at_most(self.attack.features, budget.features)
        return replace(self, attack=replace(self.attack, features=features), cap=at_most(self.cap, budget.cap))
