"""Certified shares and radii, bounds beside the exact optimum of their relaxation, and areas of output sets."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from ..attacks import pgd
from ..budget import Budget, at_most
from ..certify import certify, largest_certified_radius, margins, optimum, outer_polygon
from ..registry import spec
from ..spec.measurement import Measured, Measurement, Price, Subject, mean, share
from ..spec.network import Network
from ..spec.quantities import BOUND, SHARE, Quantity
from ..spec.records import Metric, pack
from ..threat import Ball, LinfBall
from ..training.loop import step_generator

CHUNK = 100
"""Points between two reports of progress."""
GROUPS = 1000
"""Groups of neighbours by radius, whose means a record keeps where there are more points than groups."""


@spec
@dataclass(frozen=True)
class Certificate(Measurement):
    """Share of points with a certificate, and its complement, the bound on the robust error; states of the units.

    Args:
        threat: ball certified; domain None is Wong & Kolter 2018's.
        method, slopes: as in :func:`robustlib.certify.certify`.
    """

    threat: Ball
    method: str = "dual"
    slopes: str = "fixed"
    protocol: int = 1

    def units(self, network: Network) -> dict[str, str]:
        return dict.fromkeys(("bound", "certified", "active", "dead", "unstable"), "fraction")

    def run(self, on: Subject) -> Measured:
        """``bound``: the share without a certificate, above the error under any attack in the ball.

        A ReLU's units are counted over points: shares of all (point, unit) pairs, overall and for each layer.
        """
        sure, counts, names, units = [], [], [], []
        for x, y in on.parts(CHUNK):
            found = certify(on.model, x, y, self.threat, method=self.method, slopes=self.slopes)
            sure.append(found.certified)
            names, units = [layer.name for layer in found.layers], [layer.units for layer in found.layers]
            counts.append(torch.stack([torch.stack([x.active, x.dead, x.unstable]) for x in found.layers]).double())
        certified = torch.cat(sure).cpu().numpy()
        # (layer, kind, point)
        whole = torch.cat(counts, 2).cpu().numpy() / np.asarray(units)[:, None, None]
        overall = np.average(whole, axis=0, weights=units)
        return Measured(
            metrics={"bound": share(~certified), "certified": share(certified)}
            | {kind: mean(overall[i]) for i, kind in enumerate(("active", "dead", "unstable"))},
            outcomes={"certified": pack(certified)},
            series={"layers": names, "units": units, "shares": whole.mean(2).round(5).tolist()},
        )

    def quantity(self, metric: str) -> Quantity:
        if metric in ("bound", "certified"):
            return BOUND if metric == "certified" else BOUND.as_error
        return SHARE

    def work(self, price: Price, network: Network, n: int) -> float:
        return price.certificate(network, method=self.method, slopes=self.slopes) * n


@spec
@dataclass(frozen=True)
class CertifiedRadii(Measurement):
    """Largest certified radius of each point, for the class that the network gives it.

    Args:
        norm, domain, start: as in :func:`robustlib.certify.largest_certified_radius`.
    """

    norm: str = "linf"
    domain: tuple[float, float] | None = None
    start: float = 0.1
    protocol: int = 1

    def units(self, network: Network) -> dict[str, str]:
        radii = ("radius", "median_radius", "radius_right", "radius_wrong")
        return dict.fromkeys(radii, self.norm) | {"accuracy": "fraction"}

    def run(self, on: Subject) -> Measured:
        """Radii and whether the class that they hold for is the right one, point by point."""
        parts, right = [], []
        for x, y in on.parts(CHUNK):
            parts.append(largest_certified_radius(on.model, x, norm=self.norm, domain=self.domain, start=self.start))
            with torch.no_grad():
                right.append(on.model(x).argmax(1) == y)
        radii, known = torch.cat(parts).double().cpu().numpy(), torch.cat(right).cpu().numpy()
        found = Measured(
            metrics={
                "radius": mean(radii, unit=self.norm),
                "median_radius": Metric(float(np.median(radii)), len(radii), unit=self.norm),
                "accuracy": share(known),
            },
            series={"radius": radii.round(6).tolist(), "right": known.tolist()},
        )
        if len(radii) > GROUPS:
            groups = np.array_split(np.argsort(radii, kind="stable"), GROUPS)
            found.series = {
                "radius": [round(float(radii[group].mean()), 6) for group in groups],
                "right": [round(float(known[group].mean()), 6) for group in groups],
            }
        for name, chosen in (("right", known), ("wrong", ~known)):
            if chosen.any():
                found.metrics[f"radius_{name}"] = mean(radii[chosen], unit=self.norm)
        return found

    def work(self, price: Price, network: Network, n: int) -> float:
        # Some ten evaluations of the bound and its derivative end the search.
        return price.certificate(network) * 30 * n


@spec
@dataclass(frozen=True)
class Relaxed(Measurement):
    """Margins against the class nearest to winning: the dual bound, the linear program's optimum, and under PGD.

    Args:
        threat: l_inf ball.
        steps, step_size: of the PGD that bounds the true optimum from above.
    """

    threat: Ball
    steps: int = 100
    step_size: float = 0.01
    protocol: int = 1

    def units(self, network: Network) -> dict[str, str]:
        return dict.fromkeys(("dual", "program", "attack", "loosened"), "logits")

    def run(self, on: Subject) -> Measured:
        """Least margins over the other classes: dual <= linear program <= the network's own <= under PGD."""
        model, split, rows = on.model, on.split, on.rows
        double = copy.deepcopy(model).double()
        x, y = split.images(rows).double(), split.y[rows]
        apart = torch.arange(double(x[:1]).shape[1], device=y.device) != y[:, None]

        def least(values: Tensor) -> np.ndarray:
            return values.masked_fill(~apart, torch.inf).amin(1).cpu().numpy()

        with torch.no_grad():
            below = least(margins(double, x, y, self.threat))
            between = least(optimum(double, x, y, self.threat).to(x.device))
            moved = pgd(double, x, y, self.threat, steps=self.steps, step_size=self.step_size, random_start=False)
            logits = double(moved)
            above = least(logits.gather(1, y[:, None]) - logits)
        return Measured(
            metrics={
                "dual": mean(below, unit="logits"),
                "program": mean(between, unit="logits"),
                "attack": mean(above, unit="logits"),
                "loosened": mean(between - below, unit="logits"),
            },
            series={
                name: values.round(6).tolist()
                for name, values in (("dual", below), ("program", between), ("attack", above))
            },
        )

    def work(self, price: Price, network: Network, n: int) -> float:
        # The linear program is no tensor arithmetic; what remains is the bound and the attack.
        return (price.certificate(network) + price.step(network) * 2 * self.steps) * n


@spec
@dataclass(frozen=True)
class OutputSet(Measurement):
    """Output sets of a network with two outputs over balls around one point: the area of outer polygons over that of
    the samples' convex hull.

    Args:
        radii: of l_inf balls that no domain cuts.
        samples: evenly distributed in each ball.
        kept: as many of them stay in the record, to be drawn.
    """

    radii: tuple[float, ...]
    samples: int = 6_000
    kept: int = 300
    protocol: int = 1

    def units(self, network: Network) -> dict[str, str]:
        areas = {"sampled": "logits^2", "fixed": "ratio", "adaptive": "ratio"}
        return {"inside": "fraction"} | {f"{of}@{eps:g}": unit for of, unit in areas.items() for eps in self.radii}

    def run(self, on: Subject) -> Measured:
        """Around the first point, in float64; the samples are the same in every ball, up to its size."""
        model, split, rows, name = on.model, on.split, on.rows, on.name
        # Half a second that no other measurement needs.
        from scipy.spatial import ConvexHull

        double = copy.deepcopy(model).double()
        x = split.images(rows[:1]).double()
        draw = step_generator(0, name, 0)
        cloud = (2 * torch.rand(self.samples, *x.shape[1:], generator=draw, dtype=torch.float64) - 1).to(x.device)
        found, inside = Measured(), np.ones(self.samples, bool)
        for eps in self.radii:
            with torch.no_grad():
                outputs = double(x + eps * cloud).cpu().numpy()
            sampled = ConvexHull(outputs).volume
            found.metrics[f"sampled@{eps:g}"] = Metric(sampled, self.samples, unit="logits^2")
            found.series[f"samples@{eps:g}"] = outputs[: self.kept].round(6).tolist()
            for slopes in ("fixed", "adaptive"):
                hull = ConvexHull(outer_polygon(double, x, LinfBall(eps, domain=None), slopes=slopes))
                inside &= (outputs @ hull.equations[:, :2].T + hull.equations[:, 2] <= 1e-9).all(1)
                found.metrics[f"{slopes}@{eps:g}"] = Metric(hull.volume / sampled, self.samples, unit="ratio")
                found.series[f"{slopes}@{eps:g}"] = hull.points[hull.vertices].round(6).tolist()
        return Measured({"inside": share(inside)} | found.metrics, series=found.series)

    def work(self, price: Price, network: Network, n: int) -> float:
        return (price.forward(network) * self.samples + price.certificate(network) * 2) * len(self.radii)

    def within(self, budget: Budget) -> Self:
        return replace(self, samples=at_most(self.samples, budget.samples), kept=at_most(self.kept, budget.kept))
