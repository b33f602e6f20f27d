"""Accuracy under a whole suite of attacks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from ..budget import Budget, at_most
from ..registry import spec
from ..spec.measurement import Measured, Measurement, Price, Subject
from ..spec.network import Network
from ..spec.quantities import ATTACKED, CLEAN, Quantity
from ..spec.records import Metric, pack
from ..threat import Ball
from .suite import evaluate, standard


@spec
@dataclass(frozen=True)
class WorstCase(Measurement):
    """Accuracy under a suite: noise, FGSM, PGD on two losses, then AutoAttack, each on the points still correct.

    Args:
        threat: ball of the attacks.
        steps: of each run of APGD and FAB.
        queries: of Square.
        target_classes: of targeted APGD and FAB.
        search: precision of the steering gradients; verdicts are float32.
    """

    threat: Ball
    steps: int = 100
    queries: int = 5_000
    target_classes: int = 9
    search: str = "float32"
    protocol: int = 1

    def units(self, network: Network) -> dict[str, str]:
        suite = standard(self.threat, targets=self.target_classes)
        stages = (f"after {type(attack).__name__}" for attack in suite)
        return dict.fromkeys(("accuracy", "after clean", *stages), "fraction")

    def run(self, on: Subject) -> Measured:
        """Accuracy after the whole suite and after each of its attacks."""
        subject, split, rows, name = on.model, on.split, on.rows, on.name
        chosen = rows.to(split.y.device)
        suite = standard(self.threat, steps=self.steps, queries=self.queries, targets=self.target_classes)
        report = evaluate(
            subject, split.images(chosen), split.y[chosen], self.threat, suite, search=self.search, name=name
        )
        last = report.lines[-1]
        found = Measured(
            metrics={"accuracy": Metric(last.accuracy, len(rows), last.low, last.high)},
            outcomes={"correct": pack(report.worst.cpu().numpy())},
            notes=[f"{finding.name}: {finding.text}" for finding in report.findings],
        )
        for line in report.lines:
            # Two losses of one attack are one stage: the later line holds what both left.
            found.metrics[f"after {line.name}"] = Metric(line.accuracy, len(rows), line.low, line.high)
        found.series["passes"] = [[line.points, line.cost.forwards, line.cost.backwards] for line in report.lines]
        if report.convergence is not None:
            found.series["convergence"] = [list(row) for row in report.convergence.accuracy]
        return found

    def quantity(self, metric: str) -> Quantity:
        return CLEAN if metric == "after clean" else ATTACKED

    def work(self, price: Price, network: Network, n: int) -> float:
        suite = standard(self.threat, steps=self.steps, queries=self.queries, targets=self.target_classes)
        # At last whether PGD has converged: four starts of eighty steps on a hundred points.
        return price.forward(network) * n + price.step(network) * (
            n * sum(attack.passes for attack in suite) + min(n, 100) * 4 * 2 * 80
        )

    def within(self, budget: Budget) -> Self:
        return replace(
            self,
            steps=at_most(self.steps, budget.steps),
            queries=at_most(self.queries, budget.queries),
            target_classes=at_most(self.target_classes, budget.target_classes),
            search=budget.search or self.search,
        )
