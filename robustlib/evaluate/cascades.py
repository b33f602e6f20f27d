"""Certificates of a cascade, and random projections around the bound that they estimate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch

from ..budget import Budget, at_most
from ..certify import Cascade, certify, estimate, undermine
from ..registry import spec
from ..spec.measurement import Measured, Measurement, Price, Subject, mean, share
from ..spec.network import Network
from ..spec.quantities import BOUND, CLEAN, SHARE, Quantity
from ..spec.records import Metric, pack
from ..threat import Ball
from ..training.loop import step_generator
from .certificates import CHUNK

RULES = {"bound": "released", "guarded_bound": "guarded", "strict_bound": "strict"}


@spec
@dataclass(frozen=True)
class CascadeBound(Measurement):
    """Certified shares of a cascade under the authors' rule and stricter ones; the subject is its last stage.

    Args:
        threat: ball certified, by every stage.
        searched: points, of those that the authors' rule counts, in whose balls another answer is searched for.
        steps: of each search, see :func:`robustlib.certify.undermine`.
    """

    threat: Ball
    searched: int = 0
    steps: int = 20
    protocol: int = 1

    def units(self, network: Network) -> dict[str, str]:
        stages = range(1, len(network.earlier) + 2)
        shares = (*RULES, "error", "broken", *(f"{kind}_{i}" for kind in ("answered", "error") for i in stages))
        return dict.fromkeys(shares, "fraction") | {f"classes_{i}": "classes" for i in stages}

    def run(self, on: Subject) -> Measured:
        """``bound``: the share that the authors' rule does not count; see :class:`robustlib.certify.Judgement`.

        ``broken``: of the points searched, which that rule counts, the share with another answer somewhere in the ball.
        """
        stages, split, rows = [on.model_of(stage) for stage in (*on.network.earlier, on.network)], on.split, on.rows
        cascade = Cascade(tuple(stages), self.threat)
        parts = [cascade.judge(x, y) for x, y in on.parts(CHUNK)]

        def whole(name: str) -> np.ndarray:
            return torch.cat([getattr(found, name) for found in parts], -1).cpu().numpy()

        stage, classes, y = whole("stage"), whole("classes"), split.y[rows].cpu().numpy()
        counts = {name: whole(rule) for name, rule in RULES.items()}
        found = Measured(
            metrics={name: share(~counted) for name, counted in counts.items()} | {"error": share(~whole("right"))},
            outcomes={"correct": pack(whole("right"))} | {rule: pack(counts[name]) for name, rule in RULES.items()},
        )
        for place in range(len(stages)):
            found.metrics[f"answered_{place + 1}"] = share(stage == place)
            found.metrics[f"error_{place + 1}"] = share(classes[place] != y)
            found.metrics[f"classes_{place + 1}"] = Metric(
                float(len(set(classes[place].tolist()))), len(y), unit="classes"
            )
        kinds = sorted(set(y.tolist()))
        found.series = {
            "class": [float(kind) for kind in kinds],
            "released_by_class": [round(float(counts["bound"][y == kind].mean()), 5) for kind in kinds],
            "points_by_class": [float((y == kind).sum()) for kind in kinds],
        }
        chosen = rows.cpu()[torch.from_numpy(counts["bound"])][: self.searched].to(rows.device)
        if len(chosen):
            broken = [undermine(cascade, split.images(p), split.y[p], steps=self.steps)[1] for p in chosen.split(CHUNK)]
            found.metrics["broken"] = share(torch.cat(broken).cpu().numpy())
        return found

    def quantity(self, metric: str) -> Quantity:
        if metric.startswith("error"):
            return CLEAN.as_error
        return SHARE if metric.startswith(("answered", "classes")) else BOUND.as_error

    def work(self, price: Price, network: Network, n: int) -> float:
        # Later stages see the points left by earlier ones. Few searches begin, with up to ``steps`` steps, each four
        # certificates of every stage: as if all ended with the first.
        stages = sum(price.certificate(stage) for stage in (*network.earlier, network))
        return stages * (n + 5 * min(n, self.searched))

    def others(self, subject: Network) -> tuple[Network, ...]:
        """The stages before the last."""
        return subject.earlier

    def within(self, budget: Budget) -> Self:
        searched = at_most(self.searched, budget.searched)
        return replace(self, searched=searched, steps=at_most(self.steps, budget.steps))


@spec
@dataclass(frozen=True)
class Estimated(Measurement):
    """Scatter of random projections around the bound that they estimate: repeated, on the same points.

    Args:
        threat: ball.
        projections, estimator: as in :func:`robustlib.certify.estimate`.
        repeats: times that fresh columns are drawn.
    """

    threat: Ball
    projections: int = 50
    estimator: str = "median"
    repeats: int = 10
    protocol: int = 1

    def units(self, network: Network) -> dict[str, str]:
        sizes = dict.fromkeys(("estimated", "spread"), "estimate") | dict.fromkeys(("offset", "scatter"), "logits")
        return {"exact": "fraction"} | sizes

    def run(self, on: Subject) -> Measured:
        """Shares of points whose margins are not all positive: by the bound, and by each repeat's estimate of it."""
        model, split, rows, name = on.model, on.split, on.rows, on.name
        x, y = split.images(rows), split.y[rows]
        bound = certify(model, x, y, self.threat)
        exact = bound.margins.double()
        apart = torch.arange(exact.shape[1], device=y.device) != y[:, None]
        shares, off = [], []
        for repeat in range(self.repeats):
            seed = step_generator(0, name, repeat)
            generator = torch.Generator(x.device).manual_seed(seed.initial_seed())
            found = estimate(
                model, x, y, self.threat, projections=self.projections, estimator=self.estimator, generator=generator
            )
            shares.append(float((~found.standing).double().mean()))
            off.append((found.margins.double() - exact)[apart].cpu().numpy())
        scatter = np.stack(off)
        return Measured(
            metrics={
                "exact": share(~bound.certified.cpu().numpy()),
                "estimated": Metric(float(np.mean(shares)), len(rows), unit="estimate"),
                "spread": Metric(float(np.std(shares)), self.repeats, unit="estimate"),
                "offset": mean(scatter.mean(0), unit="logits"),
                "scatter": Metric(float(scatter.std(0).mean()), scatter.shape[1], unit="logits"),
            },
            series={"estimated": [round(value, 5) for value in shares]},
        )

    def work(self, price: Price, network: Network, n: int) -> float:
        estimates = price.certificate(network, projections=self.projections) * self.repeats
        return (price.certificate(network) + estimates) * n

    def within(self, budget: Budget) -> Self:
        return replace(self, repeats=at_most(self.repeats, budget.repeats))
