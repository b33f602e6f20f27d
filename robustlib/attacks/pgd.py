"""Projected gradient descent on the negative loss (Madry et al. 2018, section 2.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from ..batches import per_example
from ..budget import Budget, at_most
from ..errors import RobustlibError, suggest
from ..registry import spec
from ..threat import Ball, parse_number
from ._model import Loss, captured, check_steps, frozen, input_gradient, logits_of, look, unless_wrong, usable
from .contract import under_contract
from .description import Attack
from .losses import check_classes, check_targets, cross_entropy, named_loss, ranked_targets, targeted_loss


def ascend(
    model: nn.Module, x: Tensor, y: Tensor, threat: Ball, *, start: Tensor, steps: int, step_size: float, loss: Loss
) -> Tensor:
    """The bare iteration x <- Proj(x + alpha steepest(grad L)): no checks, the model already frozen."""
    x_adv, network = start, captured(model, x)
    for _ in range(steps):
        gradient, _ = input_gradient(network, x_adv, y, loss)
        x_adv = threat.project(x_adv + step_size * threat.steepest(usable(gradient)), x)
    return x_adv


@under_contract
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
    last_iterate: bool = False,
    best_by: str = "success",
    target_classes: int = 0,
) -> Tensor:
    """x^{t+1} = Proj_{x+S}(x^t + alpha sign(grad_x L(theta, x^t, y))), best of several starts.

    An example that a start breaks (brings to its target, with one) is left alone by later starts; of one that no
    start breaks the end point of highest loss is kept, of another class than y if there is one. Only a start's last
    iterate counts, as in the paper's code.

    To make transfer examples without asking the model, give its ``surrogate`` and ``best_by="loss"``.

    Args:
        model: eval mode, (N, ...) inputs to (N, K) logits.
        x: (N, ...) inputs in the threat's domain.
        y: (N,) int64 labels.
        threat: l_inf ball (sign steps) or l_2 ball (normalised steps).
        steps: gradient steps per start, >= 1.
        step_size: alpha, in the domain's units, > 0.
        restarts: number of starts, >= 1; each is drawn afresh when random_start.
        random_start: begin at a uniform point of the ball, else at x.
        loss: "cross_entropy", "dlr", or "margin" with ``kappa`` (the paper's "CW" with kappa = 0, "CW+" with 50).
        kappa: logits by which a class must lead until the margin loss grows no more, >= 0.
        target: (N,) int64 classes t, none equal to y's: lead to them instead, by -cross-entropy, by the margin
            min(z_t - max_{i != t} z_i, kappa), or by the targeted DLR loss (needs 4 classes).
        generator: draws the starts; needed when random_start.
        surrogate: network whose gradients steer the steps (a transfer source, or a low-precision copy of
            the model); None: the model's own.
        last_iterate: attack every input and count where the best start ended, as the papers' code does, even where
            that puts right an input that was misclassified; False: one that is misclassified (of the target's
            class, with a target) to begin with is returned as it is.
        best_by: "success": which start was best is judged on ``model``, as above. "loss": every start is made in full,
            and the end point of highest loss on the network that steers is kept; ``model`` is asked of no end point.
        target_classes: 0, or m > 0: each of m wrong classes, the most likely on ``model`` first, is aimed at in turn
            with so many starts, until the example is of any other class than y; all of them where there are fewer.

    Returns:
        (N, ...) adversarial inputs, detached, inside the ball and the domain.

    Raises:
        RobustlibError: the call's arguments do not fit.
    """
    check_steps(steps=steps, restarts=restarts)
    step_size = parse_number(step_size, name="step_size", above=0)
    kappa = parse_number(kappa, name="kappa", least=0)
    if random_start and generator is None:
        raise RobustlibError("generator is missing; a random start needs an explicit torch.Generator")
    if best_by not in ("success", "loss"):
        raise RobustlibError(suggest("best_by", best_by, ("success", "loss")))
    check_targets(target_classes)
    if target_classes and target is not None:
        raise RobustlibError(f"target and target_classes={target_classes}; give one of them")
    aimed = bool(target_classes) or target is not None
    objective = targeted_loss(loss, kappa=kappa) if aimed else named_loss(loss, kappa=kappa)
    if threat.eps == 0 or len(x) == 0:
        return x.clone()
    clean = look(model, surrogate, x, y, target=target, rows=1 if last_iterate and not target_classes else None)
    check_classes(loss, clean.shape[1])
    if aimed:
        check_classes(f"targeted {loss}", clean.shape[1])
    goals = [y if target is None else target]
    if target_classes:
        goals = list(ranked_targets(clean, y)[:, :target_classes].T)
    guide = model if surrogate is None else surrogate
    best = x.clone()
    # Success of a start: 0 the class is still y, 1 another one, 2 the goal is reached; among equals the loss decides.
    best_level = torch.full_like(y, -1)
    best_loss = torch.full_like(y, -torch.inf, dtype=torch.float32)
    standing = torch.arange(len(x), device=x.device)
    if not last_iterate:
        standing = standing[~_reached(clean, y, target)]
    with frozen(model), frozen(guide):
        for goal in (goal for goal in goals for _ in range(restarts)):
            if len(standing) == 0:
                break
            # Starts are drawn for the whole batch, so that they do not depend on which examples are left.
            start = threat.random_start(x, generator=generator) if random_start and generator is not None else x
            xs, ys, aims = x[standing], y[standing], goal[standing]
            labels = torch.stack([ys, aims], 1) if aimed else ys
            x_adv = ascend(
                guide, xs, labels, threat, start=start[standing], steps=steps, step_size=step_size, loss=objective
            )
            with torch.no_grad():
                logits = logits_of(model if best_by == "success" else guide, x_adv, y)
            loss_now = objective(logits, labels).float()
            if best_by == "success":
                done = _reached(logits, ys, None if target is None else aims)
                level = (logits.argmax(1) != ys).long() + done
            else:
                done, level = torch.zeros_like(ys, dtype=torch.bool), torch.zeros_like(ys)
            better = (level > best_level[standing]) | (
                (level == best_level[standing]) & (loss_now > best_loss[standing])
            )
            best[standing[better]] = x_adv[better]
            best_level[standing[better]], best_loss[standing[better]] = level[better], loss_now[better]
            standing = standing[~done]
    if last_iterate:
        return best
    # A misclassified input that was led towards another target must not come back as its own class.
    return torch.where(per_example(best_level == 0, x), unless_wrong(best, x, y, clean), best)


def _reached(logits: Tensor, y: Tensor, target: Tensor | None) -> Tensor:
    """(N,) bool: of another class than y, or of the target's where there is one."""
    predicted = logits.argmax(1)
    return predicted != y if target is None else predicted == target


@under_contract
def pgd_trace(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Ball,
    *,
    steps: int,
    step_size: float,
    generator: torch.Generator,
    last_iterate: bool = False,
) -> tuple[Tensor, Tensor]:
    """Cross-entropy along PGD from one random start for each row of x.

    Args:
        model, x, y, threat, steps, step_size, generator: as in :func:`pgd`.
        last_iterate: return every last iterate, even where it puts right an input that was misclassified; False: such
            an input is returned as it is. The losses are the trace's either way.

    Returns:
        (steps + 1, N) losses in nats, the start's first and the last iterate's last; (N, ...) last iterates.

    Raises:
        RobustlibError: the call's arguments do not fit.

    Source: Madry et al. 2018, arXiv v4 figures 1, 2 and 11.
    """
    check_steps(steps=steps)
    step_size = parse_number(step_size, name="step_size", above=0)
    x_adv = threat.random_start(x, generator=generator)
    if len(x) == 0:
        return x.new_zeros(steps + 1, 0), x_adv
    clean = look(model, None, x, y, rows=1 if last_iterate else None)
    losses = []
    with frozen(model):
        for _ in range(steps):
            gradient, loss = input_gradient(model, x_adv, y, cross_entropy)
            losses.append(loss)
            x_adv = threat.project(x_adv + step_size * threat.steepest(usable(gradient)), x)
        with torch.no_grad():
            losses.append(cross_entropy(logits_of(model, x_adv, y), y))
    return torch.stack(losses), x_adv if last_iterate else unless_wrong(x_adv, x, y, clean)


@spec
@dataclass(frozen=True)
class Pgd(Attack):
    """Projected gradient descent; see :func:`robustlib.attacks.pgd`.

    Args:
        steps, step_size, restarts, loss, kappa: as in :func:`robustlib.attacks.pgd`.
        targeted: aim at one class drawn uniformly among the wrong ones for each example.
        random_start: begin at a uniform point of the ball, else at x.
        best_by, target_classes: as in :func:`robustlib.attacks.pgd`.
    """

    steps: int
    step_size: float
    restarts: int = 1
    loss: str = "cross_entropy"
    kappa: float = 0.0
    targeted: bool = False
    protocol: int = 1
    random_start: bool = True
    best_by: str = "success"
    target_classes: int = 0

    function = staticmethod(pgd)

    @property
    def passes(self) -> float:
        return 2.0 * self.steps * self.restarts * max(1, self.target_classes)

    def within(self, budget: Budget) -> Self:
        steps = at_most(self.steps, budget.steps)
        size = self.step_size * self.steps / steps if budget.reach and steps < self.steps else self.step_size
        restarts, targets = at_most(self.restarts, budget.restarts), at_most(self.target_classes, budget.target_classes)
        return replace(self, steps=steps, restarts=restarts, step_size=size, target_classes=targets)
