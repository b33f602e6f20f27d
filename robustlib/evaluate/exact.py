"""Exact decisions: an attack, bounds, and a solver for the points that they leave open."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import numpy as np
import torch
from torch import Tensor

from ..attacks.suite import Attack, Clean
from ..budget import Budget
from ..certify import certify, decide
from ..registry import spec
from ..spec.measurement import Measured, Measurement, Price, Subject, mean, share
from ..spec.network import Network
from ..spec.quantities import ATTACKED, BOUND, Quantity
from ..spec.records import Metric, pack
from ..threat import Ball
from .certificates import CHUNK
from .kept import keep
from .outcomes import outcomes_under

CHEAP_FIRST = (("interval", "fixed"), ("hybrid", "fixed"), ("dual", "fixed"), ("dual", "adaptive"))
"""Bounds that are tried before a solver, each on the points that those before it leave open."""
SOLVED = 5
"""Points that a solver decides between two reports of progress."""


@spec
@dataclass(frozen=True)
class Exact(Measurement):
    """Robustness decided point by point: by an attack, four bounds, and a solver for points that both leave open.

    Args:
        threat: l_inf ball.
        attack: on every point.
        tried: number of points that the solver is given, of those that attack and bounds leave open, nearest to a
            proof first.
        nodes: of branch and bound, for each program.
        seconds: wall time at which a program is given up all the same; the metric ``late`` counts those.
    """

    threat: Ball
    attack: Attack
    tried: int
    nodes: int = 10_000
    seconds: float = 300.0
    protocol: int = 1

    def units(self, network: Network) -> dict[str, str]:
        shares = dict.fromkeys(("certified", "accuracy", "undecided"), "fraction")
        return shares | dict.fromkeys(("asked", "solved", "broken", "late"), "points") | {"switches": "units"}

    def run(self, on: Subject) -> Measured:
        """``certified``: proven by a bound or the solver; ``accuracy``: broken by neither attack nor solver.

        Of the points given to the solver (``asked``), the numbers that it proved, broke, or left for want of time.
        """
        model, split, rows, name, progress = on.model, on.split, on.rows, on.name, on.progress
        attacks = ((Clean(), None), (self.attack, self.threat))
        outcomes = [outcomes_under(model, split, rows, attack, threat, name=name) for attack, threat in attacks]
        standing = torch.from_numpy(np.logical_and.reduce(outcomes))
        proven, nearest = torch.zeros_like(standing), torch.zeros(len(rows))
        for method, slopes in CHEAP_FIRST:
            for part in (standing & ~proven).nonzero()[:, 0].split(CHUNK):
                x, y = split.images(rows[part]), split.y[rows[part]]
                found = certify(model, x, y, self.threat, method=method, slopes=slopes)
                proven[part] = found.certified.cpu()
                nearest[part] = found.margins.scatter(1, y[:, None], torch.inf).amin(1).cpu()
        left = (standing & ~proven).nonzero()[:, 0]
        asked = left[nearest[left].argsort(descending=True, stable=True)][: self.tried]
        counts, late, switches = {"solved": 0, "broken": 0}, 0, []

        def solved(part: Tensor) -> np.ndarray:
            x, y = split.images(rows[part]).cpu(), split.y[rows[part]].cpu()
            answer = decide(copy.deepcopy(model).cpu(), x, y, self.threat, nodes=self.nodes, seconds=self.seconds)
            return torch.stack([answer.proven, answer.broken, answer.late, answer.switches]).long().numpy()

        for done, part in enumerate(asked.split(SOLVED)):
            answers = keep(partial(solved, part), name, "solved", part.numpy())
            proves, breaks, lates, of = torch.from_numpy(answers)
            proven[part], standing[part] = proves.bool(), ~breaks.bool()
            counts["solved"] += int(proves.sum())
            counts["broken"] += int(breaks.sum())
            late += int(lates.sum())
            switches += of.tolist()
            if progress is not None:
                progress(done * SOLVED, len(asked))
        sure, right = proven.numpy(), standing.numpy()
        metrics = {"certified": share(sure), "accuracy": share(right), "undecided": share(right & ~sure)}
        for kind, count in {"asked": len(asked), **counts, "late": late}.items():
            metrics[kind] = Metric(float(count), len(rows), unit="points")
        if switches:
            metrics["switches"] = mean(np.asarray(switches, float), unit="units")
        return Measured(metrics=metrics, outcomes={"certified": pack(sure), "correct": pack(right)})

    def quantity(self, metric: str) -> Quantity:
        return ATTACKED if metric == "accuracy" else BOUND

    def work(self, price: Price, network: Network, n: int) -> float:
        bounds = (price.certificate(network, method=method, slopes=slopes) for method, slopes in CHEAP_FIRST)
        # The solver is no tensor arithmetic.
        return (price.step(network) * self.attack.passes + sum(bounds)) * n

    def within(self, budget: Budget) -> Self:
        tried = self.tried if budget.tried is None else round(budget.tried * self.tried)
        return replace(self, attack=self.attack.within(budget), tried=tried)
