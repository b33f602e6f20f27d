"""Attacked images, and the map of a network in the plane."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from ..attacks.suite import Pgd, run_attack
from ..budget import Budget
from ..registry import spec
from ..spec.measurement import Measured, Measurement, Price, Subject, mean, share
from ..spec.network import Network
from ..spec.records import Metric, pack
from ..threat import Ball
from ..training.trades import score
from .outcomes import chunk_generator


@spec
@dataclass(frozen=True)
class Pictures(Measurement):
    """The first points themselves before and after an attack, as bytes, and the classes that the network predicts.

    Args:
        attack, threat: the attack on them, and its ball.
        kept: at most how many images.
        broken: only of points that the network gets right before the attack and not after.
    """

    attack: Pgd
    threat: Ball
    kept: int = 5
    broken: bool = True
    protocol: int = 1

    def units(self, network: Network) -> dict[str, str]:
        return {"accuracy": "fraction", "length": self.threat.norm, "kept": "images"}

    def run(self, on: Subject) -> Measured:
        """Accuracy under the attack, perturbation lengths; of the points kept: bytes, labels, predictions."""
        model, split, rows, name = on.model, on.split, on.rows, on.name
        x, y = split.images(rows), split.y[rows.to(split.y.device)]
        x_adv = run_attack(self.attack, model, x, y, self.threat, generator=chunk_generator(name, 0, x.device))
        with torch.no_grad():
            told, led = model(x).argmax(1), model(x_adv).argmax(1)
        chosen = torch.nonzero((told == y) & (led != y) if self.broken else y >= 0)[: self.kept, 0]
        standing = (led == y).cpu().numpy()

        def as_bytes(points: Tensor) -> list[list[float]]:
            return (points[chosen].flatten(1) * 255).round().int().tolist()

        series: dict[str, list[float] | list[list[float]]] = {
            "label": y[chosen].tolist(),
            "told": told[chosen].tolist(),
            "led_to": led[chosen].tolist(),
            "clean": as_bytes(x),
            "attacked": as_bytes(x_adv),
        }
        length = mean(self.threat.length(x_adv.double() - x.double()).cpu().numpy(), unit=self.threat.norm)
        kept = Metric(float(len(chosen)), len(rows), unit="images")
        return Measured(
            metrics={"accuracy": share(standing), "length": length, "kept": kept},
            outcomes={"correct": pack(standing)},
            series=series,
        )

    def work(self, price: Price, network: Network, n: int) -> float:
        return (price.forward(network) * 2 + price.step(network) * self.attack.passes) * n

    def within(self, budget: Budget) -> Self:
        return replace(self, attack=self.attack.within(budget))


@spec
@dataclass(frozen=True)
class DecisionMap(Measurement):
    """Scores z_1 - z_0 on a grid of the unit square, and R_nat, R_bdy, R_rob, each box searched on a separate grid.

    Args:
        threat: l_inf ball, the box around each point.
        side: grid points along each side of the square.
        inside: the same for a box.
    """

    threat: Ball
    side: int = 49
    inside: int = 25
    protocol: int = 1

    def units(self, network: Network) -> dict[str, str]:
        return dict.fromkeys(("natural", "boundary", "robust"), "fraction")

    def run(self, on: Subject) -> Measured:
        """The three errors from an exhaustive search of each box, and the scores on the square."""
        model, split, rows = on.model, on.split, on.rows
        x, y = split.images(rows), split.y[rows.to(split.y.device)]
        offsets = _square(-self.threat.eps, self.threat.eps, self.inside)
        boxes = self.threat.clip(x[:, None] + offsets)
        with torch.no_grad():
            right = model(x).argmax(1) == y
            everywhere = (model(boxes.flatten(0, 1)).argmax(1).view(len(x), -1) == y[:, None]).all(1) & right
            scores = score(model(_square(0.0, 1.0, self.side))).view(self.side, self.side)
        errors = {"natural": ~right, "boundary": right & ~everywhere, "robust": ~everywhere}
        return Measured(
            metrics={kind: share(wrong.cpu().numpy()) for kind, wrong in errors.items()},
            series={
                "scores": np.round(scores.clamp(-50, 50).double().cpu().numpy(), 2).tolist(),
                "points": x.double().round(decimals=4).tolist(),
                "labels": y.tolist(),
            },
        )

    def work(self, price: Price, network: Network, n: int) -> float:
        return price.forward(network) * (self.side**2 + n * self.inside**2)


def _square(low: float, high: float, side: int) -> Tensor:
    """(side^2, 2) points; the first coordinate runs along a row."""
    axis = torch.linspace(low, high, side)
    return torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).reshape(-1, 2)
