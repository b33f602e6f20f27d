"""What a page draws of a network: TRADES' inner loop, attacked points, the map of a network in the plane."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ..attacks._model import frozen, input_gradient
from ..attacks.suite import run_attack
from ..data import Split
from ..evaluate.outcomes import CHUNK, chunk_generator
from ..training.trades import KICK, kl, score
from .findings import Findings, mean, share
from .probes import DecisionMap, InnerLoop, Pictures
from .records import Metric, pack


def inner_loop(model: nn.Module, split: Split, rows: Tensor, what: InnerLoop, name: str) -> Findings:
    """Mean KL before each step and after the last, from x + 0.001 N(0, I) and from x; the gradient at x itself."""
    values: dict[str, list[Tensor]] = {"kicked": [], "at_x": []}
    steepest = []
    for index, part in enumerate(rows.split(CHUNK)):
        x = split.images(part)
        noise = torch.empty_like(x).normal_(generator=chunk_generator(name, index, x.device))
        with torch.no_grad():
            reference = model(x)
        for start, shift in (("kicked", KICK), ("at_x", 0.0)):
            x_adv, along = x + shift * noise, []
            with frozen(model):
                for step in range(what.steps + 1):
                    gradient, loss = input_gradient(model, x_adv, reference, kl)
                    along.append(loss)
                    if step == 0 and not shift:
                        steepest.append(gradient.flatten(1).abs().amax(1))
                    x_adv = what.threat.project(x_adv + what.step_size * what.threat.steepest(gradient), x)
            values[start].append(torch.stack(along))
    curves = {start: torch.cat(parts, 1).double().cpu().numpy() for start, parts in values.items()}
    sizes = torch.cat(steepest).double().cpu().numpy()
    return Findings(
        metrics={
            "kl": mean(curves["kicked"][-1], unit="nats"),
            "kl_from_x": mean(curves["at_x"][-1], unit="nats"),
            "kl_of_kick": mean(curves["kicked"][0], unit="nats"),
            "gradient_at_x": Metric(float(sizes.max()), len(sizes), unit="nats per unit"),
        },
        series={start: [float(f"{value:.4g}") for value in curve.mean(1)] for start, curve in curves.items()},
    )


def pictures(model: nn.Module, split: Split, rows: Tensor, what: Pictures, name: str) -> Findings:
    """Accuracy under the attack, lengths of the perturbations; of the points kept bytes, labels and classes told."""
    x, y = split.images(rows), split.y[rows.to(split.y.device)]
    x_adv = run_attack(what.attack, model, x, y, what.threat, generator=chunk_generator(name, 0, x.device))
    with torch.no_grad():
        told, led = model(x).argmax(1), model(x_adv).argmax(1)
    chosen = torch.nonzero((told == y) & (led != y) if what.broken else y >= 0)[: what.kept, 0]
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
    length = mean(what.threat.length(x_adv.double() - x.double()).cpu().numpy(), unit=what.threat.norm)
    kept = Metric(float(len(chosen)), len(rows), unit="images")
    return Findings(
        metrics={"accuracy": share(standing), "length": length, "kept": kept},
        outcomes={"correct": pack(standing)},
        series=series,
    )


def decision_map(model: nn.Module, split: Split, rows: Tensor, what: DecisionMap) -> Findings:
    """The three errors from an exhaustive search of each box, and the scores on the square."""
    x, y = split.images(rows), split.y[rows.to(split.y.device)]
    offsets = _square(-what.threat.eps, what.threat.eps, what.inside)
    boxes = what.threat.clip(x[:, None] + offsets)
    with torch.no_grad():
        right = model(x).argmax(1) == y
        everywhere = (model(boxes.flatten(0, 1)).argmax(1).view(len(x), -1) == y[:, None]).all(1) & right
        scores = score(model(_square(0.0, 1.0, what.side))).view(what.side, what.side)
    errors = {"natural": ~right, "boundary": right & ~everywhere, "robust": ~everywhere}
    return Findings(
        metrics={kind: share(wrong.cpu().numpy()) for kind, wrong in errors.items()},
        series={
            "scores": np.round(scores.clamp(-50, 50).double().cpu().numpy(), 2).tolist(),
            "points": x.double().round(decimals=4).tolist(),
            "labels": y.tolist(),
        },
    )


def _square(low: float, high: float, side: int) -> Tensor:
    """(side^2, 2) points; the first coordinate runs along a row."""
    axis = torch.linspace(low, high, side)
    return torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).reshape(-1, 2)
