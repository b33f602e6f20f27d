"""Brackets: what is proven of a network, and what no attack breaks, on the same points and by the same ball."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from ..attacks.suite import Attack, Clean
from ..budget import Budget
from ..certify import certify
from ..errors import RobustlibError, suggest
from ..registry import spec
from ..spec.measurement import Measured, Measurement, Price, Subject, share
from ..spec.network import Network
from ..spec.quantities import ATTACKED, BOUND, CLEAN, SHARE, Quantity
from ..spec.records import Metric, pack
from ..threat import Ball
from .certificates import CHUNK
from .outcomes import outcomes_under

BOUNDS = {
    "interval": ("interval", "fixed"),
    "hybrid": ("hybrid", "fixed"),
    "dual": ("dual", "fixed"),
    "adaptive": ("dual", "adaptive"),
}
"""Bounds by name, the cheapest first, as method and slopes of :func:`robustlib.certify.certify`."""
LEFT_OPEN = 0.02
"""Share of the points that a price takes to be left open by the dual bound: of ten networks trained on bounds 0.2 to
2.5 % were, and once 14 %."""


@spec
@dataclass(frozen=True)
class Bracket(Measurement):
    """Points proven and points never broken, the dear methods on those alone that the cheap ones leave open.

    Bounds of fixed slopes on every point that is right; ``first`` on every point, the proven ones too, of which it must
    break none; slopes that adapt, then ``attack`` in full, on what is right, unbroken and unproven.

    Args:
        threat: ball of both ends.
        first: attack on every point.
        attack: on the points that ``first`` and the bounds leave open.
        bounds: names in :data:`BOUNDS`, the cheapest first.
    """

    threat: Ball
    first: Attack
    attack: Attack
    bounds: tuple[str, ...] = tuple(BOUNDS)
    protocol: int = 1

    def __post_init__(self) -> None:
        for name in self.bounds:
            if name not in BOUNDS:
                raise RobustlibError(suggest("bound", name, BOUNDS))

    def units(self, network: Network) -> dict[str, str]:
        shares = ("clean", "after first", "accuracy", "certified", "undecided")
        least = (f"{end}_{kind}" for end in ("unbroken", "certified") for kind in ("class", "person"))
        return dict.fromkeys((*shares, *least), "fraction") | {"attacked": "points"}

    def run(self, on: Subject) -> Measured:
        """``certified``: proven by one of the bounds; ``accuracy``: right and unbroken; ``attacked``: points left open.

        ``unbroken_class``, ``certified_person`` and so on: the smallest such share of a class or of a person. The
        series ``class`` and ``person`` have a line for each: its label, its points, those right, unbroken and proven.
        """
        model, split, rows, progress = on.model, on.split, on.rows, on.progress

        def stands(part: Tensor, attack: Attack, threat: Ball | None, stream: str = "") -> Tensor:
            found = outcomes_under(model, split, rows[part], attack, threat, name=f"{on.name}{stream}")
            return torch.from_numpy(found)

        every = torch.arange(len(rows))
        right = stands(every, Clean(), None)
        proven = torch.zeros_like(right)

        def prove(slopes: str, among: Tensor) -> None:
            for method, kind in map(BOUNDS.__getitem__, self.bounds):
                for part in (among & ~proven).nonzero()[:, 0].split(CHUNK) if kind == slopes else ():
                    x, y = split.images(rows[part]), split.y[rows[part]]
                    proven[part] = certify(model, x, y, self.threat, method=method, slopes=kind).certified.cpu()
                    if progress is not None:
                        progress(int(proven.sum()), len(rows))

        prove("fixed", right)
        after_first = right & stands(every, self.first, self.threat)
        prove("adaptive", after_first)
        open_, unbroken = (after_first & ~proven).nonzero()[:, 0], after_first.clone()
        unbroken[open_] = stands(open_, self.attack, self.threat, "/open")
        shares = {"clean": right, "after first": after_first, "accuracy": unbroken, "certified": proven}
        shares["undecided"] = unbroken & ~proven
        found = Measured(
            metrics={name: share(holds.numpy()) for name, holds in shares.items()}
            | {"attacked": Metric(float(len(open_)), len(rows), unit="points")},
            outcomes={"certified": pack(proven.numpy()), "correct": pack(unbroken.numpy())},
        )
        members = {"class": split.y[rows]} | ({} if on.groups is None else {"person": on.groups[rows]})
        for name, of in members.items():
            who, place = np.unique(of.cpu().numpy(), return_inverse=True)
            kinds = (every >= 0, right, unbroken, proven)
            lines = [np.bincount(place, weights=holds.numpy()) for holds in kinds]
            found.series[name] = [[int(label), *map(int, line)] for label, *line in zip(who, *lines, strict=True)]
            for end, holds, count in (("unbroken", unbroken, lines[2]), ("certified", proven, lines[3])):
                found.metrics[f"{end}_{name}"] = share(holds.numpy()[place == np.argmin(count / lines[0])])
        return found

    def quantity(self, metric: str) -> Quantity:
        known = {"clean": CLEAN, "after first": ATTACKED, "accuracy": ATTACKED, "undecided": SHARE}
        return known.get(metric, BOUND)

    def work(self, price: Price, network: Network, n: int) -> float:
        # Few points are left to what comes after the dual where it proves most.
        left = LEFT_OPEN if "dual" in self.bounds else 1.0
        bounds = sum(
            price.certificate(network, method=method, slopes=slopes) * (left if slopes == "adaptive" else 1.0)
            for method, slopes in map(BOUNDS.__getitem__, self.bounds)
        )
        return (bounds + price.step(network) * (self.first.passes + left * self.attack.passes)) * n

    def within(self, budget: Budget) -> Self:
        return replace(self, first=self.first.within(budget), attack=self.attack.within(budget))
