"""The boundary attack (Brendel, Rauber and Bethge, ICLR 2018): needs decisions, no gradients.

It starts at a point of another class and walks along the decision boundary towards the input: a random
step on the sphere around the input, then a small step inwards, each kept only while the point stays
misclassified. Step sizes follow the share of steps that succeed, example by example.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..batches import drawn, per_example, unit
from ..registry import spec
from ..threat import Ball, Domain, ball
from ._model import check_steps, frozen, look, lost
from .contract import under_contract
from .description import MinimumNorm, raised

TRIES = 20
"""Draws of uniform noise for a starting point, before other points of the batch are tried."""
ADAPT = 10
"""Steps between adaptations of the step sizes."""


@under_contract
def boundary(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    norm: str = "l2",
    domain: Domain = (0.0, 1.0),
    steps: int,
    lead: float | None = None,
    generator: torch.Generator,
) -> Tensor:
    """Misclassified points as near to x as ``steps`` decisions per example find them.

    Args:
        model: eval mode, (N, ...) inputs to (N, K) logits; only decisions are used.
        x: (N, ...) inputs in the domain.
        y: (N,) int64 labels.
        norm: "l2" (the paper's attack), or "linf": the random step is uniform and the step inwards cuts
            the perturbation to a smaller box. The l_inf form is ours; Madry et al. do not describe theirs.
        domain: (lo, hi) of every coordinate.
        steps: steps per example, >= 1; each costs about 1.1 forward passes.
        lead: logits by which another class must lead at a point that is returned; None: more than rounding, whatever
            the logits' units.
        generator: noise for starts and steps.

    Returns:
        (N, ...) points. One misclassified to begin with is returned as it is; so is one for which no
        starting point of another class was found, which then counts as correct.

    Raises:
        RobustlibError: the call's arguments do not fit.
    """
    check_steps(steps=steps)
    around = ball(norm, 0.0, domain)
    if len(x) == 0:
        return x.clone()
    wrong = look(model, None, x, y, rows=None).argmax(1) != y
    with frozen(model), torch.no_grad():
        return torch.where(per_example(wrong, x), x, _walk(model, x, y, around, steps, lead, generator))


def _start(
    model: nn.Module, x: Tensor, y: Tensor, around: Ball, lead: float | None, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Points of another class, moved towards x by bisection; and which examples have one."""
    assert around.domain is not None
    lo, hi = around.domain
    start, found = x.clone(), torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for attempt in range(TRIES + min(len(x), TRIES)):
        if attempt < TRIES:
            candidate = around.clip(drawn(x).uniform_(lo, hi, generator=generator))
        else:
            candidate = x.roll(attempt - TRIES + 1, 0)
        hit = ~found & lost(model, candidate, y, lead)
        start[hit], found = candidate[hit], found | hit
        if bool(found.all()):
            break
    near, far = torch.zeros_like(y, dtype=x.dtype), torch.ones_like(y, dtype=x.dtype)
    for _ in range(12):
        middle = (near + far) / 2
        broken = lost(model, _between(x, start, middle, around), y, lead)
        far, near = torch.where(broken, middle, far), torch.where(broken, near, middle)
    return _between(x, start, far, around), found


def _between(x: Tensor, start: Tensor, share: Tensor, around: Ball) -> Tensor:
    return around.clip(x + per_example(share, x) * (start - x))


def _sideways(point: Tensor, x: Tensor, around: Ball, size: Tensor, generator: torch.Generator) -> Tensor:
    """A random step of relative length ``size`` that keeps the distance to x (l_2) or forgets it (l_inf)."""
    delta = point - x
    distance = around.length(delta)
    if around.norm == "linf":
        noise = drawn(x).uniform_(-1, 1, generator=generator)
        return delta + noise * per_example(size * distance, x)
    noise = drawn(x).normal_(generator=generator)
    along = unit(delta)
    noise = unit(noise - along * per_example((noise * along).flatten(1).sum(1), x))
    return unit(delta + noise * per_example(size * distance, x)) * per_example(distance, x)


def _inwards(delta: Tensor, distance: Tensor, size: Tensor, around: Ball) -> Tensor:
    """The perturbation shortened to (1 - size) of ``distance``."""
    if around.norm == "linf":
        limit = per_example((1 - size) * distance, delta)
        return torch.minimum(torch.maximum(delta, -limit), limit)
    return delta * per_example(1 - size, delta)


def _walk(
    model: nn.Module, x: Tensor, y: Tensor, around: Ball, steps: int, lead: float | None, generator: torch.Generator
) -> Tensor:
    point, found = _start(model, x, y, around, lead, generator)
    point = torch.where(per_example(found, x), point, x)
    side, inward = torch.full_like(y, 0.1, dtype=x.dtype), torch.full_like(y, 0.1, dtype=x.dtype)
    kept = torch.zeros_like(side)
    for step in range(1, steps + 1):
        distance = around.length(point - x)
        delta = _sideways(point, x, around, side, generator)
        if step % ADAPT == 0:
            # Along the boundary about half of the sideways steps should stay misclassified.
            held = lost(model, around.clip(x + delta), y, lead)
            side = torch.where(held, 1.1 * side, 0.9 * side).clamp(1e-4, 1.0)
        candidate = around.clip(x + _inwards(delta, distance, inward, around))
        better = lost(model, candidate, y, lead) & (around.length(candidate - x) < distance)
        point = torch.where(per_example(better, x), candidate, point)
        kept += better
        if step % ADAPT == 0:
            share = kept / ADAPT
            shorter = torch.where(share < 0.15, 0.7 * inward, inward)
            inward = torch.where(share > 0.25, 1.3 * inward, shorter).clamp(1e-5, 0.5)
            kept.zero_()
    return point


@spec
@dataclass(frozen=True)
class Boundary(MinimumNorm):
    """Decision-based boundary attack; see :func:`robustlib.attacks.boundary.boundary`."""

    steps: int
    protocol: int = raised()

    function = staticmethod(boundary)

    @property
    def passes(self) -> float:
        return float(self.steps)
