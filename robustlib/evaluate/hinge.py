"""Both sides of a bound on the robust error of a network with two classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..attacks._model import frozen, logits_of
from ..attacks.contract import checked
from ..attacks.pgd import ascend
from ..data import Split
from ..errors import RobustlibError
from ..registry import spec
from ..spec.measurement import Measured, Measurement, Price, Subject, share
from ..spec.network import Network
from ..spec.records import Metric, pack
from ..threat import Ball
from ..training.trades import hinge, score
from .outcomes import CHUNK, chunk_generator


@dataclass(frozen=True)
class HingeRisks:
    """Per point: ``robust`` (n,) bool, ``natural`` phi(f y) and ``spread`` max phi(f(x) f(x') / lambda), (n,) each."""

    robust: np.ndarray
    natural: np.ndarray
    spread: np.ndarray


@checked
def hinge_risks(
    model: nn.Module, split: Split, rows: Tensor, threat: Ball, *, steps: int, step_size: float, scale: float, name: str
) -> HingeRisks:
    """Both sides of Theorem 3.1 on a network with two logits, f = z_1 - z_0, phi the hinge.

    One ascent serves both: phi falls, so that the worst x' is where f(x') has gone furthest against f(x), whether
    the sign counts or the size. It follows -f(x') sign f(x), whose gradient never vanishes where the hinge's does; from
    a uniform start. Its end bounds the maximum, and so the theorem's right side, from below.

    Args:
        model: eval mode, two logits.
        split, rows: points with labels 0 and 1.
        threat: B(x, eps).
        steps, step_size: of the ascent.
        scale: lambda.
        name: names the random choices.
    """
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for index, start in enumerate(range(0, len(rows), CHUNK)):
        chosen = rows[start : start + CHUNK].to(split.y.device)
        x, y = split.images(chosen), 2 * split.y[chosen] - 1
        first = threat.random_start(x, generator=chunk_generator(name, index, x.device))
        with frozen(model), torch.no_grad():
            logits = logits_of(model, x, split.y[chosen])
        if logits.shape[1] != 2:
            raise RobustlibError(f"model has {logits.shape[1]} classes; the bound is for two, f = z_1 - z_0")
        f = score(logits)
        with frozen(model):
            x_adv = ascend(
                model,
                x,
                f.sign(),
                threat,
                start=first,
                steps=steps,
                step_size=step_size,
                loss=lambda logits, sign: -score(logits) * sign,
            )
        with torch.no_grad():
            # The maximum is over x' in the ball, and x lies in it.
            against = torch.minimum(score(model(x_adv)) * f.sign(), f.abs())
        parts.append(((y * f > 0) & (against > 0), hinge(y * f), hinge(f.abs() * against / scale)))
    robust, natural, spread = (torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True))
    return HingeRisks(robust, natural, spread)


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

    def units(self, network: Network) -> dict[str, str]:
        return {"accuracy": "fraction"} | dict.fromkeys(("risk", "regulariser", "gap"), "hinge")

    def run(self, on: Subject) -> Measured:
        """Both sides of the bound, and accuracy under the attack."""
        subject, split, rows, name = on.model, on.split, on.rows, on.name
        risks = hinge_risks(
            subject, split, rows, self.threat, steps=self.steps, step_size=self.step_size, scale=self.scale, name=name
        )
        accuracy = share(risks.robust)
        right = float(risks.natural.mean() + risks.spread.mean())
        return Measured(
            metrics={
                "accuracy": accuracy,
                "risk": Metric(float(risks.natural.mean()), len(rows), unit="hinge"),
                "regulariser": Metric(float(risks.spread.mean()), len(rows), unit="hinge"),
                "gap": Metric(right - (1 - accuracy.value), len(rows), unit="hinge"),
            },
            outcomes={"correct": pack(risks.robust)},
        )

    def work(self, price: Price, network: Network, n: int) -> float:
        return price.step(network) * n * (2 * self.steps + 2)
