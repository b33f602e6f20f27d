"""Both sides of a bound on the robust error of a network with two classes."""

from __future__ import annotations

from dataclasses import dataclass

from ..registry import spec
from ..spec.measurement import Measured, Measurement, Price, Subject
from ..spec.network import Network
from ..spec.records import Metric, pack
from ..threat import Ball
from .outcomes import accuracy_interval
from .theory import hinge_risks


@spec
@dataclass(frozen=True)
class HingeBound(Measurement):
    """Both sides of Theorem 3.1 of Zhang et al. 2019 on a network of two classes, phi the hinge (so that psi(t) = t).

    Args:
        threat: B(x, eps).
        steps, step_size: of the inner maximisation and of the attack.
        scale: lambda.
    """

    threat: Ball
    steps: int
    step_size: float
    scale: float
    protocol: int = 1

    def run(self, on: Subject) -> Measured:
        """Both sides of the bound, and accuracy under the attack."""
        subject, split, rows, name = on.model, on.split, on.rows, on.name
        risks = hinge_risks(
            subject, split, rows, self.threat, steps=self.steps, step_size=self.step_size, scale=self.scale, name=name
        )
        value, low, high = accuracy_interval(risks.robust)
        left = 1 - value
        right = float(risks.natural.mean() + risks.spread.mean())
        found = Measured(
            metrics={
                "accuracy": Metric(value, len(rows), low, high),
                "risk": Metric(float(risks.natural.mean()), len(rows), unit="hinge"),
                "regulariser": Metric(float(risks.spread.mean()), len(rows), unit="hinge"),
                "gap": Metric(right - left, len(rows), unit="hinge"),
            },
            outcomes={"correct": pack(risks.robust)},
        )
        return found

    def work(self, price: Price, network: Network, n: int) -> float:
        """Operations; see :meth:`Measurement.work`."""
        return price.step(network) * n * (2 * self.steps + 2)
