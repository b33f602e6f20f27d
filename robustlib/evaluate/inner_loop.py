"""Divergence along an inner maximisation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..attacks._model import frozen, input_gradient
from ..registry import spec
from ..spec.measurement import Measured, Measurement, Price, Subject, mean
from ..spec.network import Network
from ..spec.records import Metric
from ..threat import Ball
from ..training.trades import KICK, kl
from .outcomes import CHUNK, chunk_generator


@spec
@dataclass(frozen=True)
class InnerLoop(Measurement):
    """KL(p(x) || p(x')) along TRADES' inner loop, begun at x and beside it.

    Args:
        threat, steps, step_size: of the loop.
    """

    threat: Ball
    steps: int
    step_size: float
    protocol: int = 1

    def units(self, network: Network) -> dict[str, str]:
        return dict.fromkeys(("kl", "kl_from_x", "kl_of_kick"), "nats") | {"gradient_at_x": "nats per unit"}

    def run(self, on: Subject) -> Measured:
        """Mean KL before each step and after the last, from x + 0.001 N(0, I) and from x; the gradient at x itself."""
        model, name = on.model, on.name
        values: dict[str, list[Tensor]] = {"kicked": [], "at_x": []}
        steepest = []
        for index, (x, _) in enumerate(on.parts(CHUNK)):
            noise = torch.empty_like(x).normal_(generator=chunk_generator(name, index, x.device))
            with torch.no_grad():
                reference = model(x)
            for start, shift in (("kicked", KICK), ("at_x", 0.0)):
                x_adv, along = x + shift * noise, []
                with frozen(model):
                    for step in range(self.steps + 1):
                        gradient, loss = input_gradient(model, x_adv, reference, kl)
                        along.append(loss)
                        if step == 0 and not shift:
                            steepest.append(gradient.flatten(1).abs().amax(1))
                        x_adv = self.threat.project(x_adv + self.step_size * self.threat.steepest(gradient), x)
                values[start].append(torch.stack(along))
        curves = {start: torch.cat(parts, 1).double().cpu().numpy() for start, parts in values.items()}
        sizes = torch.cat(steepest).double().cpu().numpy()
        return Measured(
            metrics={
                "kl": mean(curves["kicked"][-1], unit="nats"),
                "kl_from_x": mean(curves["at_x"][-1], unit="nats"),
                "kl_of_kick": mean(curves["kicked"][0], unit="nats"),
                "gradient_at_x": Metric(float(sizes.max()), len(sizes), unit="nats per unit"),
            },
            series={start: [float(f"{value:.4g}") for value in curve.mean(1)] for start, curve in curves.items()},
        )

    def work(self, price: Price, network: Network, n: int) -> float:
        return price.step(network) * n * (2 * self.steps + 2)
