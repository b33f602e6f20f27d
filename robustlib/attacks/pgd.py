"""Projected gradient descent on the negative loss (Madry et al. 2018, section 2.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import RobustlibError
from ..threat import Ball, check_labels, parse_number
from ._model import (
    Loss,
    captured,
    check_call,
    check_eval,
    check_steps,
    frozen,
    input_gradient,
    logits_of,
)
from .losses import cross_entropy, named_loss


def ascend(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Ball,
    *,
    start: Tensor,
    steps: int,
    step_size: float,
    loss: Loss,
) -> Tensor:
    """The bare iteration x <- Proj(x + alpha steepest(grad L)): no checks, the model already frozen."""
    x_adv, network = start, captured(model, x)
    for _ in range(steps):
        gradient, _ = input_gradient(network, x_adv, y, loss)
        x_adv = threat.project(x_adv + step_size * threat.steepest(gradient), x)
    return x_adv


def pgd(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Ball,
    *,
    steps: int,
    step_size: float,
    restarts: int = 1,
    random_start: bool = True,
    loss: str = "cross_entropy",
    kappa: float = 0.0,
    target: Tensor | None = None,
    generator: torch.Generator | None = None,
    surrogate: nn.Module | None = None,
) -> Tensor:
    """x^{t+1} = Proj_{x+S}(x^t + alpha sign(grad_x L(theta, x^t, y))), best of several starts.

    An example that a start breaks is left alone by later starts; one that no start breaks keeps the
    end point of highest loss. The last iterate counts, as in the paper's code.

    Args:
        model: eval mode, (N, ...) inputs to (N, K) logits.
        x: (N, ...) inputs in the threat's domain.
        y: (N,) int64 labels.
        threat: l_inf ball (sign steps) or l_2 ball (normalised steps).
        steps: gradient steps per start, >= 1.
        step_size: alpha, in the domain's units, > 0.
        restarts: number of starts, >= 1; each is drawn afresh when random_start.
        random_start: begin at a uniform point of the ball, else at x.
        loss: "cross_entropy", or "margin" with ``kappa`` (the paper's "CW" with kappa = 0, "CW+" with 50).
        target: (N,) int64 classes: decrease the cross-entropy to them instead.
        generator: draws the starts; needed when random_start.
        surrogate: network whose gradients steer the steps (a transfer source, or a low-precision copy of
            the model); None: the model's own. Which start was best is judged on ``model``.

    Returns:
        (N, ...) adversarial inputs, detached, inside the ball and the domain.

    Raises:
        RobustlibError: the call's arguments do not fit.
    """
    check_call(model, x, y, threat)
    check_steps(steps=steps, restarts=restarts)
    step_size = parse_number(step_size, name="step_size", above=0)
    if random_start and generator is None:
        raise RobustlibError("generator is missing; a random start needs an explicit torch.Generator")
    if target is not None:
        check_labels(x, target, name="target")
    objective = named_loss(loss, kappa=kappa)
    goal = y if target is None else target
    sign = 1.0 if target is None else -1.0

    def signed(logits: Tensor, labels: Tensor) -> Tensor:
        return sign * objective(logits, labels)

    if threat.eps == 0 or len(x) == 0:
        return x.clone()
    best = x.clone()
    best_loss = torch.full((len(x),), -torch.inf, device=x.device)
    standing = torch.arange(len(x), device=x.device)
    guide = model if surrogate is None else check_eval(surrogate, name="surrogate")
    with frozen(model), frozen(guide):
        with torch.no_grad():
            logits_of(guide, x[:1], y)
        for _ in range(restarts):
            # Starts are drawn for the whole batch, so that they do not depend on who still stands.
            start = (
                threat.random_start(x, generator=generator) if random_start and generator is not None else x
            )
            xs, ys, goals = x[standing], y[standing], goal[standing]
            x_adv = ascend(
                guide, xs, goals, threat, start=start[standing], steps=steps, step_size=step_size, loss=signed
            )
            with torch.no_grad():
                logits = logits_of(model, x_adv, y)
                broken = logits.argmax(1) != ys
                score = signed(logits, goals).float().masked_fill(broken, torch.inf)
            better = score > best_loss[standing]
            best[standing[better]] = x_adv[better]
            best_loss[standing[better]] = score[better]
            standing = standing[~broken]
            if len(standing) == 0:
                break
    return best


def pgd_trace(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Ball,
    *,
    steps: int,
    step_size: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Cross-entropy along PGD from one random start for each row of x.

    Returns:
        (steps + 1, N) losses in nats, the start's first and the last iterate's last; (N, ...) last iterates.

    Source: Madry et al. 2018, arXiv v4 figures 1, 2 and 11.
    """
    check_call(model, x, y, threat)
    check_steps(steps=steps)
    x_adv = threat.random_start(x, generator=generator)
    losses = []
    with frozen(model):
        for _ in range(steps):
            gradient, loss = input_gradient(model, x_adv, y, cross_entropy)
            losses.append(loss)
            x_adv = threat.project(x_adv + step_size * threat.steepest(gradient), x)
        with torch.no_grad():
            losses.append(cross_entropy(logits_of(model, x_adv, y), y))
    return torch.stack(losses), x_adv
