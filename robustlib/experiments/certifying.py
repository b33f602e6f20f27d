"""From a network and one of the certificates' ``probes`` to metrics, outcomes, series and histograms."""

from __future__ import annotations

import copy

import numpy as np
import torch
from scipy.spatial import ConvexHull
from torch import Tensor, nn

from ..attacks import pgd
from ..attacks.suite import Clean
from ..certify import certify, decide, largest_certified_radius, margins, optimum, outer_polygon
from ..data import Split
from ..errors import RobustlibError
from ..evaluate import Progress, outcomes_under
from ..threat import LinfBall
from ..training.loop import step_generator
from .findings import Findings, mean, share
from .measurements import CHEAP_FIRST, Exact
from .probes import Certificate, CertifiedRadii, FirstLayer, OutputSet, Relaxed
from .records import Metric, pack

CHUNK = 100
"""Points between two reports of progress."""
SOLVED = 5
"""The same for points that a solver decides."""
GROUPS = 1000
"""Of neighbours by radius, of which a record keeps the means where there are more points than that."""
FILTERS = 1024
"""Weights of a layer up to which the record keeps them all."""
BINS = 41
"""Of the histogram of the others."""


def certificate(model: nn.Module, split: Split, rows: Tensor, what: Certificate, progress: Progress | None) -> Findings:
    """``bound``: the share without a certificate, above the error under any attack in the ball.

    A ReLU's units are counted over points: shares of all (point, unit) pairs, overall and for each layer.
    """
    sure, counts, names, units = [], [], [], []
    for part in rows.split(CHUNK):
        found = certify(model, split.images(part), split.y[part], what.threat, method=what.method, slopes=what.slopes)
        sure.append(found.certified)
        names, units = [layer.name for layer in found.layers], [layer.units for layer in found.layers]
        counts.append(torch.stack([torch.stack([x.active, x.dead, x.unstable]) for x in found.layers]).double())
        if progress is not None:
            progress(sum(map(len, sure)), len(rows))
    certified = torch.cat(sure).cpu().numpy()
    # (layer, kind, point)
    whole = torch.cat(counts, 2).cpu().numpy() / np.asarray(units)[:, None, None]
    overall = np.average(whole, axis=0, weights=units)
    return Findings(
        metrics={"bound": share(~certified), "certified": share(certified)}
        | {kind: mean(overall[i]) for i, kind in enumerate(("active", "dead", "unstable"))},
        outcomes={"certified": pack(certified)},
        series={"layers": names, "units": units, "shares": whole.mean(2).round(5).tolist()},
    )


def exact(model: nn.Module, split: Split, rows: Tensor, what: Exact, name: str, progress: Progress | None) -> Findings:
    """``certified``: proven by a bound or the solver; ``accuracy``: broken by neither attack nor solver; and between.

    Of the points that the solver was asked about (``asked``), how many it proved, broke, or left for want of time.
    """
    attacks = ((Clean(), None), (what.attack, what.threat))
    outcomes = [outcomes_under(model, split, rows, attack, threat, name=name) for attack, threat in attacks]
    standing = torch.from_numpy(np.logical_and.reduce(outcomes))
    proven, nearest = torch.zeros_like(standing), torch.zeros(len(rows))
    for method, slopes in CHEAP_FIRST:
        for part in (standing & ~proven).nonzero()[:, 0].split(CHUNK):
            x, y = split.images(rows[part]), split.y[rows[part]]
            found = certify(model, x, y, what.threat, method=method, slopes=slopes)
            proven[part] = found.certified.cpu()
            nearest[part] = found.margins.scatter(1, y[:, None], torch.inf).amin(1).cpu()
    left = (standing & ~proven).nonzero()[:, 0]
    asked = left[nearest[left].argsort(descending=True, stable=True)][: what.tried]
    counts, late, switches = {"solved": 0, "broken": 0}, 0, []
    for done, part in enumerate(asked.split(SOLVED)):
        x, y = split.images(rows[part]).cpu(), split.y[rows[part]].cpu()
        answer = decide(copy.deepcopy(model).cpu(), x, y, what.threat, nodes=what.nodes, seconds=what.seconds)
        proven[part], standing[part] = answer.proven, ~answer.broken
        counts["solved"] += int(answer.proven.sum())
        counts["broken"] += int(answer.broken.sum())
        late += int(answer.late.sum())
        switches += answer.switches.tolist()
        if progress is not None:
            progress(done * SOLVED, len(asked))
    sure, right = proven.numpy(), standing.numpy()
    metrics = {"certified": share(sure), "accuracy": share(right), "undecided": share(right & ~sure)}
    for kind, count in {"asked": len(asked), **counts, "late": late}.items():
        metrics[kind] = Metric(float(count), len(rows), unit="points")
    if switches:
        metrics["switches"] = mean(np.asarray(switches, float), unit="units")
    return Findings(metrics=metrics, outcomes={"certified": pack(sure), "correct": pack(right)})


def certified_radii(
    model: nn.Module, split: Split, rows: Tensor, what: CertifiedRadii, progress: Progress | None
) -> Findings:
    """Radii and whether the class that they hold for is the right one, point by point."""
    parts, right = [], []
    for part in rows.split(CHUNK):
        x = split.images(part)
        parts.append(largest_certified_radius(model, x, norm=what.norm, domain=what.domain, start=what.start))
        with torch.no_grad():
            right.append(model(x).argmax(1) == split.y[part])
        if progress is not None:
            progress(sum(map(len, parts)), len(rows))
    radii, known = torch.cat(parts).double().cpu().numpy(), torch.cat(right).cpu().numpy()
    found = Findings(
        metrics={
            "radius": mean(radii, unit=what.norm),
            "median_radius": Metric(float(np.median(radii)), len(radii), unit=what.norm),
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
            found.metrics[f"radius_{name}"] = mean(radii[chosen], unit=what.norm)
    return found


def relaxed(model: nn.Module, split: Split, rows: Tensor, what: Relaxed) -> Findings:
    """Least margins over the other classes: dual <= linear program <= the network's own <= under PGD."""
    double = copy.deepcopy(model).double()
    x, y = split.images(rows).double(), split.y[rows]
    apart = torch.arange(double(x[:1]).shape[1], device=y.device) != y[:, None]

    def least(values: Tensor) -> np.ndarray:
        return values.masked_fill(~apart, torch.inf).amin(1).cpu().numpy()

    with torch.no_grad():
        below = least(margins(double, x, y, what.threat))
        between = least(optimum(double, x, y, what.threat).to(x.device))
        moved = pgd(double, x, y, what.threat, steps=what.steps, step_size=what.step_size, random_start=False)
        logits = double(moved)
        above = least(logits.gather(1, y[:, None]) - logits)
    return Findings(
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


def output_set(model: nn.Module, split: Split, rows: Tensor, what: OutputSet, *, name: str) -> Findings:
    """Around the first of the rows, in float64; ``name`` fixes the samples, the same in every ball up to its size."""
    double = copy.deepcopy(model).double()
    x = split.images(rows[:1]).double()
    draw = step_generator(0, name, 0)
    cloud = (2 * torch.rand(what.samples, *x.shape[1:], generator=draw, dtype=torch.float64) - 1).to(x.device)
    found, inside = Findings(), np.ones(what.samples, bool)
    for eps in what.radii:
        with torch.no_grad():
            outputs = double(x + eps * cloud).cpu().numpy()
        sampled = ConvexHull(outputs).volume
        found.metrics[f"sampled@{eps:g}"] = Metric(sampled, what.samples, unit="logits^2")
        found.series[f"samples@{eps:g}"] = outputs[: what.kept].round(6).tolist()
        for slopes in ("fixed", "adaptive"):
            hull = ConvexHull(outer_polygon(double, x, LinfBall(eps, domain=None), slopes=slopes))
            inside &= (outputs @ hull.equations[:, :2].T + hull.equations[:, 2] <= 1e-9).all(1)
            found.metrics[f"{slopes}@{eps:g}"] = Metric(hull.volume / sampled, what.samples, unit="ratio")
            found.series[f"{slopes}@{eps:g}"] = hull.points[hull.vertices].round(6).tolist()
    return Findings({"inside": share(inside)} | found.metrics, series=found.series)


def first_layer(model: nn.Module, what: FirstLayer) -> Findings:
    """Shares of weights near zero and of filters (or units) in which all, or all but one, are; the spread of biases.

    The weights are kept where they are few, else counted; biases are kept.
    """
    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    if not -len(layers) <= what.layer < len(layers):
        raise RobustlibError(
            f"layer={what.layer} of a network with {len(layers)} linear layers and convolutions; give one that it has"
        )
    layer = layers[what.layer]
    weight = layer.weight.detach().double().cpu().numpy()
    small = np.abs(weight) < what.near * np.abs(weight).max()
    found = Findings(
        metrics={
            "near_zero": share(small.reshape(-1)),
            "empty": share(small.reshape(len(small), -1).all(1)),
            "single": share((~small.reshape(len(small), -1)).sum(1) == 1),
        }
    )
    if weight.size <= FILTERS:
        found.series["weights"] = weight.round(5).tolist()
    else:
        counts, edges = np.histogram(weight, bins=BINS)
        found.histograms["weights"] = {"edges": edges.round(5).tolist(), "counts": counts.tolist()}
    if layer.bias is not None:
        bias = layer.bias.detach().double().cpu().numpy()
        found.metrics["bias_spread"] = Metric(float(bias.std()), len(bias), unit="logits")
        found.series["bias"] = bias.round(5).tolist()
    return found
