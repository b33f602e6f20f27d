"""Attacked images, and the map of a network in the plane."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from ..attacks.suite import Jsma, Pgd, run_attack, run_targeted
from ..budget import Budget
from ..registry import spec
from ..spec.measurement import Measured, Measurement, Price, Subject, mean, share
from ..spec.network import Network
from ..spec.quantities import SIZE, SUCCESS, Quantity
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

        series: dict[str, list[float] | list[list[float]]] = {
            "label": y[chosen].tolist(),
            "told": told[chosen].tolist(),
            "led_to": led[chosen].tolist(),
            "clean": _bytes(x[chosen]),
            "attacked": _bytes(x_adv[chosen]),
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
class Samples(Measurement):
    """One point of each of some classes, and what a targeted attack makes of it, as bytes.

    Args:
        classes: their positions; each shows the first of its points that the network gets right, if there is one.
        attack: on them, each towards the class after its own; None: the points alone.
        domain: of the inputs.
    """

    classes: tuple[int, ...]
    attack: Jsma | None = None
    domain: tuple[float, float] = (0.0, 1.0)
    protocol: int = 1

    def units(self, network: Network) -> dict[str, str]:
        return {"kept": "images"} | ({"success": "fraction"} if self.attack else {})

    def run(self, on: Subject) -> Measured:
        """Number of classes with a point, success of the attack; of each point: bytes, label, prediction after it."""
        model, split, rows = on.model, on.split, on.rows
        x, y = split.images(rows), split.y[rows.to(split.y.device)]
        with torch.no_grad():
            logits = model(x)
        places = [torch.nonzero((y == c) & (logits.argmax(1) == y))[:1, 0] for c in self.classes]
        chosen = torch.cat(places)
        x, y = x[chosen], y[chosen]
        metrics = {"kept": Metric(float(len(y)), len(rows), unit="images")}
        series: dict[str, list[float] | list[list[float]]] = {"label": y.tolist(), "clean": _bytes(x)}
        if self.attack is not None:
            target = (y + 1) % logits.shape[1]
            x_adv = run_targeted(self.attack, model, x, y, target, domain=self.domain)
            with torch.no_grad():
                led = model(x_adv).argmax(1)
            metrics["success"] = share((led == target).cpu().numpy())
            series |= {"led_to": led.tolist(), "attacked": _bytes(x_adv)}
        return Measured(metrics=metrics, series=series)

    def quantity(self, metric: str) -> Quantity:
        return SUCCESS if metric == "success" else SIZE

    def work(self, price: Price, network: Network, n: int) -> float:
        passes = self.attack.passes * len(self.classes) if self.attack else 0
        return price.forward(network) * n + price.step(network) * passes

    def within(self, budget: Budget) -> Self:
        return self if self.attack is None else replace(self, attack=self.attack.within(budget))


def _bytes(points: Tensor) -> list[list[float]]:
    return (points.flatten(1) * 255).round().int().tolist()


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
