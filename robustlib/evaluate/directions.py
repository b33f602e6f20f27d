"""Loss along the directions that attacks take, on a network and on the source of a transfer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from ..attacks._model import gradient_and_logits
from ..attacks.losses import cross_entropy
from ..attacks.suite import Fgsm, Pgd, run_attack
from ..budget import Budget, at_most
from ..registry import spec
from ..spec.measurement import Measured, Measurement, Price, Subject, mean
from ..spec.network import Network
from ..threat import Ball
from .outcomes import CHUNK, chunk_generator

SHOWN = 5
"""Points whose own curves a record keeps beside their mean."""


@spec
@dataclass(frozen=True)
class Directions(Measurement):
    """Loss on the straight line from a point to its FGSM and PGD inputs, made on the subject and on another network.

    Args:
        threat: of both attacks.
        attack: the PGD.
        source: the other network (black box); angles are those between its input gradients and the subject's.
        stops: values of the loss on each way, both ends included.
    """

    threat: Ball
    attack: Pgd
    source: Network
    stops: int = 21
    protocol: int = 1

    def units(self, network: Network) -> dict[str, str]:
        ends = (f"end {box} {type(a).__name__}" for box in ("white", "black") for a in (Fgsm(), self.attack))
        return dict.fromkeys(("start", *ends), "nats") | {"angle": "degrees"}

    def run(self, on: Subject) -> Measured:
        """Mean losses at the four ends, mean and first curves, angles in degrees and their histogram."""
        model, source, name = on.model, on.model_of(self.source), on.name
        shares = torch.linspace(0, 1, self.stops)
        curves: dict[str, list[Tensor]] = {}
        angles = []
        for index, (x, y) in enumerate(on.parts(CHUNK)):
            ours, theirs = (
                gradient_and_logits(net, x, y, cross_entropy)[0].flatten(1).double() for net in (model, source)
            )
            # A gradient of exactly zero has no direction.
            some = (ours.norm(dim=1) > 0) & (theirs.norm(dim=1) > 0)
            cosines = torch.cosine_similarity(ours[some], theirs[some], eps=0.0).clamp(-1, 1)
            angles.append(cosines.acos().rad2deg().cpu().numpy())
            for box, surrogate in (("white", model), ("black", source)):
                for attack in (Fgsm(), self.attack):
                    place = f"{box} {type(attack).__name__}"
                    generator = chunk_generator(f"{name}/{place}", index, x.device)
                    end = run_attack(attack, surrogate, x, y, self.threat, generator=generator)
                    with torch.no_grad():
                        losses = [cross_entropy(model(x + float(a) * (end - x)), y) for a in shares]
                    curves.setdefault(place, []).append(torch.stack(losses, 1).double().cpu())
        degrees = np.concatenate(angles)
        found = Measured(metrics={"angle": mean(degrees, unit="degrees")})
        counts, edges = np.histogram(degrees, bins=36, range=(0, 180))
        found.histograms["angle"] = {"edges": edges.tolist(), "counts": counts.tolist()}
        for place, parts in curves.items():
            whole = torch.cat(parts).numpy()
            found.metrics["start"] = mean(whole[:, 0], unit="nats")
            found.metrics[f"end {place}"] = mean(whole[:, -1], unit="nats")
            found.series[place] = [row.round(4).tolist() for row in (whole.mean(0), *whole[:SHOWN])]
        return found

    def work(self, price: Price, network: Network, n: int) -> float:
        # PGD and FGSM on each of the two, then both gradients.
        steered = (price.step(network) + price.step(self.source)) * (self.attack.passes + 4)
        return (steered + price.forward(network) * 4 * self.stops) * n

    def within(self, budget: Budget) -> Self:
        return replace(self, attack=self.attack.within(budget), stops=at_most(self.stops, budget.stops))
