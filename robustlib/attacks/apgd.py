"""Auto-PGD (Croce and Hein, ICML 2020): PGD with momentum whose step size follows the progress it makes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..batches import per_example
from ..registry import spec
from ..threat import Ball
from ._model import Loss, Standing, check_steps, frozen, gradient_and_logits, look, usable
from .contract import under_contract
from .description import Attack
from .losses import check_classes, check_targets, dlr_targeted, named_loss, ranked_targets

MOMENTUM = 0.75
"""alpha of equation 2."""
RISING = 0.75
"""rho of condition 1: the share of steps that must raise the loss, else the step size is halved."""


def checkpoints(steps: int) -> list[int]:
    """w_j = ceil(p_j N) with p = 0.22, then intervals that shrink by 0.03 to no less than 0.06 (section 3.2)."""
    found, p, interval = [], 0.22, 0.22
    while p < 1:
        # Rounded first: 0.22 + 0.19 is a little more than 0.41 in floating point.
        found.append(math.ceil(round(p * steps, 6)))
        interval = max(interval - 0.03, 0.06)
        p += interval
    return found


@under_contract
def apgd(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Ball,
    *,
    steps: int = 100,
    restarts: int = 1,
    loss: str = "cross_entropy",
    target_classes: int = 0,
    generator: torch.Generator,
    surrogate: nn.Module | None = None,
) -> Tensor:
    """Momentum steps, halved and resumed from the best point whenever they stop paying.

    An example leaves as soon as an iterate breaks it; one that no run breaks keeps the point of highest
    loss of its last run. One that is misclassified to begin with is returned as it is.

    Args:
        model: eval mode, (N, ...) inputs to (N, K) logits.
        x: (N, ...) inputs in the threat's domain.
        y: (N,) int64 labels.
        threat: l_inf or l_2 ball.
        steps: N_iter, >= 1; each run takes one forward and one backward more.
        restarts: runs from random points of the ball, >= 1 (for each target class, when targeted).
        loss: "cross_entropy", "dlr" (needs 3 classes) or "margin"; unused when targeted.
        target_classes: 0 for the untargeted attack; m > 0 runs the targeted DLR loss (needs 4 classes) on each
            of the m classes that the clean logits rank next to y, or of as many as the model has.
        generator: draws the starts.
        surrogate: network whose gradients steer; None: the model's own. Success is judged on ``model``.

    Returns:
        (N, ...) adversarial inputs, detached, inside the ball and the domain.

    Raises:
        RobustlibError: the call's arguments do not fit.

    Source: Croce and Hein 2020, algorithm 1; the first step size is 2 eps, as there.
    """
    check_steps(steps=steps, restarts=restarts)
    check_targets(target_classes)
    objective = dlr_targeted if target_classes else named_loss(loss)
    if threat.eps == 0 or len(x) == 0:
        return x.clone()
    logits = look(model, surrogate, x, y, rows=None)
    check_classes("targeted dlr" if target_classes else loss, logits.shape[1])
    target_classes = min(target_classes, logits.shape[1] - 1)
    targets = ranked_targets(logits, y)[:, :target_classes]
    guide = model if surrogate is None else surrogate
    standing = Standing(model, x, y, logits)
    with frozen(model), frozen(guide):
        for run in range(restarts * max(1, target_classes)):
            # Starts are drawn for the whole batch, so that they do not depend on which examples remain.
            start, labels = threat.random_start(x, generator=generator), y
            if target_classes:
                labels = torch.stack([y, targets[:, run // restarts]], 1)
            if len(standing.rows):
                _run(guide, standing, x, labels, threat, start, steps, objective)
    return standing.found


def _run(
    guide: nn.Module,
    standing: Standing,
    x: Tensor,
    labels: Tensor,
    threat: Ball,
    start: Tensor,
    steps: int,
    objective: Loss,
) -> None:
    """One run on the remaining examples; those that it breaks leave, the others keep their best point."""
    at, rows, halvings = 0, standing.rows, checkpoints(steps)
    # One row of each tensor belongs to one example; rows go when their example leaves.
    s = {"x0": x[rows], "labels": labels[rows], "x": start[rows], "before": start[rows], "best": start[rows]}
    s["eta"] = torch.full((len(rows),), 2 * threat.eps, device=x.device, dtype=x.dtype)
    s["rises"] = torch.zeros_like(s["eta"])
    for step in range(steps + 1):
        gradient, losses, logits = gradient_and_logits(guide, s["x"], s["labels"], objective)
        s["gradient"] = usable(gradient)
        if step == 0:
            s |= {"f": losses, "f_best": losses, "g_best": s["gradient"]}
            s |= {"eta_then": s["eta"], "f_then": losses}
        stays = standing.leave(s["x"], logits)
        if not bool(stays.all()):
            s, losses = {name: values[stays] for name, values in s.items()}, losses[stays]
            if len(losses) == 0:
                return
        s["rises"] = s["rises"] + (losses > s["f"])
        better = losses > s["f_best"]
        s["f"], s["f_best"] = losses, torch.where(better, losses, s["f_best"])
        for best, now in (("best", "x"), ("g_best", "gradient")):
            s[best] = torch.where(per_example(better, s["x"]), s[now], s[best])
        if step in halvings:
            stalled = s["rises"] < RISING * (step - at)
            stuck = (s["eta_then"] == s["eta"]) & (s["f_then"] == s["f_best"])
            halve = stalled | stuck
            s["eta_then"], s["f_then"] = s["eta"], s["f_best"]
            s["eta"] = torch.where(halve, s["eta"] / 2, s["eta"])
            back = per_example(halve, s["x"])
            s["x"] = torch.where(back, s["best"], s["x"])
            s["gradient"] = torch.where(back, s["g_best"], s["gradient"])
            s["f"] = torch.where(halve, s["f_best"], s["f"])
            s["rises"], at = torch.zeros_like(s["rises"]), step
        if step < steps:
            z = threat.project(s["x"] + per_example(s["eta"], s["x"]) * threat.steepest(s["gradient"]), s["x0"])
            if step:
                z = s["x"] + MOMENTUM * (z - s["x"]) + (1 - MOMENTUM) * (s["x"] - s["before"])
                z = threat.project(z, s["x0"])
            s["x"], s["before"] = z, s["x"]
    standing.found[standing.rows] = s["best"]


@spec
@dataclass(frozen=True)
class Apgd(Attack):
    """Auto-PGD; see :func:`robustlib.attacks.apgd`."""

    steps: int = 100
    restarts: int = 1
    loss: str = "cross_entropy"
    target_classes: int = 0
    protocol: int = 1

    function = staticmethod(apgd)

    @property
    def passes(self) -> float:
        return 2.0 * (self.steps + 1) * self.restarts * max(1, self.target_classes)
