"""FAB, the fast adaptive boundary attack (Croce and Hein, ICML 2020): small perturbations, targeted version."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from ..batches import at_least_float32, levelled, per_example
from ..budget import Budget, at_most
from ..registry import spec
from ..threat import Ball, Domain, ball, parse_number
from ._model import check_steps, frozen, gradient_and_logits, look, lost, usable
from .contract import under_contract
from .description import MinimumNorm
from .losses import ranked_targets

MIX_MOST, OVERSHOOT, BACK = 0.1, 1.05, 0.9
"""alpha_max, eta and beta of the paper's algorithm 1."""


@under_contract
def fab(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    norm: str = "linf",
    domain: Domain = (0.0, 1.0),
    steps: int = 100,
    target_classes: int = 9,
    enough: float = 0.0,
    surrogate: nn.Module | None = None,
) -> Tensor:
    """Misclassified points near x: projections on the linearised boundary, pulled back towards x.

    Each of the classes that rank next to y is tried from x itself: a step to the hyperplane where its
    linearised logit equals y's, mixed with the same projection of x, overshot by 5 %; every success is
    recorded when it is nearer than the last and the search goes on nearer to x.

    Args:
        model: eval mode, (N, ...) inputs to (N, K) logits.
        x: (N, ...) inputs in the domain.
        y: (N,) int64 labels.
        norm: "linf" or "l2".
        domain: (lo, hi) of every coordinate.
        steps: N_iter for each target class, >= 1.
        target_classes: how many classes are tried, >= 1; all K - 1 where the model has fewer.
        enough: an example leaves once a point at this distance or nearer is found; 0: never.
        surrogate: network that is linearised (a copy in low precision); None: the model itself.

    Returns:
        (N, ...) nearest points found. One misclassified to begin with, or for which nothing was found, is
        returned as it is.

    Raises:
        RobustlibError: the call's arguments do not fit.

    Source: Croce and Hein 2020, "Minimally distorted adversarial examples with a fast adaptive boundary
    attack", algorithm 1 (without random restarts); targeted as in AutoAttack (their section 5 there).
    """
    check_steps(steps=steps, target_classes=target_classes)
    enough = parse_number(enough, name="enough", least=0)
    around = ball(norm, 0.0, domain)
    if len(x) == 0:
        return x.clone()
    guide = model if surrogate is None else surrogate
    logits = look(model, surrogate, x, y, rows=None)
    target_classes = min(target_classes, logits.shape[1] - 1)
    with frozen(model), frozen(guide):
        targets = ranked_targets(logits, y)
        found, nearest = x.clone(), torch.full((len(x),), torch.inf, device=x.device, dtype=x.dtype)
        nearest[logits.argmax(1) != y] = 0.0
        for rank in range(target_classes):
            rows = (nearest > enough).nonzero().flatten()
            pair = torch.stack([y, targets[:, rank]], 1)
            _towards(guide, model, x, pair, around, rows, found, nearest, steps, enough)
    return found


def _lead(logits: Tensor, pair: Tensor) -> Tensor:
    """z_t - z_y."""
    values = logits.gather(1, pair)
    return values[:, 1] - values[:, 0]


def _towards(
    guide: nn.Module,
    model: nn.Module,
    x: Tensor,
    pair: Tensor,
    around: Ball,
    rows: Tensor,
    found: Tensor,
    nearest: Tensor,
    steps: int,
    enough: float,
) -> None:
    """Search towards one target class; writes nearer points into ``found`` and their lengths into ``nearest``."""
    point = x[rows]
    for _ in range(steps):
        if len(rows) == 0:
            return
        origin, labels = x[rows], pair[rows]
        w, lead, _ = gradient_and_logits(guide, point, labels, _lead)
        w = at_least_float32(usable(w))
        here = onto_plane(point, w, -lead, around)
        there = onto_plane(origin, w, -lead + (w * (point - origin)).flatten(1).sum(1), around)
        step, step_there = around.length(here), around.length(there)
        # Both are 0 where the gradient is: then nothing moves, however it is mixed.
        both = step + step_there
        mix = per_example((step / torch.where(both > 0, both, 1.0)).clamp_max(MIX_MOST), x)
        mixed = (1 - mix) * (point + OVERSHOOT * here) + mix * (origin + OVERSHOOT * there)
        point = around.clip(mixed.to(x.dtype))
        broken = _broken(guide, model, point, labels[:, 0])
        distance = around.length(point - origin)
        better = broken & (distance < nearest[rows])
        found[rows[better]], nearest[rows[better]] = point[better], distance[better]
        # A success is not left as it is: the search goes on a tenth of the way from x.
        point = torch.where(per_example(broken, x), origin + BACK * (point - origin), point)
        stays = nearest[rows] > enough
        rows, point = rows[stays], point[stays]


@torch.no_grad()
def _broken(guide: nn.Module, model: nn.Module, point: Tensor, y: Tensor) -> Tensor:
    """(N,) bool: points that the model misclassifies; evaluated only where the guide misclassifies them."""
    if guide is model:
        return lost(model, point, y)
    broken = guide(point).argmax(1) != y
    broken[broken.clone()] = lost(model, point[broken], y[broken])
    return broken


def onto_plane(z: Tensor, w: Tensor, gap: Tensor, around: Ball) -> Tensor:
    """The shortest step d with w . d = gap and z + d in the domain; if none, the step that comes nearest.

    Coordinate i can give q_i = |w_i| m_i, where m_i is its way to the domain's edge; at multiplier t it gives
    min(t p_i, q_i) with p = |w| (l_inf) or w^2 (l_2). The sum is piecewise linear in t, so that sorting its
    kinks q_i / p_i solves for t exactly.

    In float32 at least; normals of any magnitude, since each is scaled by powers of two first.

    Args:
        z, w: (N, ...) points in the domain and normals.
        gap: (N,) required value of w . d; negative turns w around.
        around: ball that names the norm and holds the domain.
    """
    assert around.domain is not None
    lo, hi = around.domain
    sign = torch.where(gap < 0, -1.0, 1.0).to(at_least_float32(z))
    flat, (level, lift, factor) = at_least_float32(z).flatten(1), levelled(w)
    v, reach = level * sign[:, None], gap.abs().to(flat) * lift * factor
    way = torch.where(v > 0, hi - flat, flat - lo).clamp_min(0)
    p = v.abs() if around.norm == "linf" else v.square()
    q = v.abs() * way
    kinks, order = torch.where(p > 0, q / p, torch.inf).sort(1)
    p, q = p.gather(1, order), q.gather(1, order)
    # Before kink k the first k coordinates are spent; the others still give t p.
    spent, growing = q.cumsum(1) - q, p.flip(1).cumsum(1).flip(1)
    t_each = (reach[:, None] - spent) / growing
    fits = t_each <= kinks
    first = fits.to(torch.uint8).argmax(1, keepdim=True)
    t = torch.where(fits.any(1, keepdim=True), t_each.gather(1, first), torch.inf)
    length = t.expand_as(v) if around.norm == "linf" else torch.where(v != 0, t * v.abs(), 0.0)
    return (v.sign() * torch.minimum(length, way)).view_as(z)


@spec
@dataclass(frozen=True)
class Fab(MinimumNorm):
    """Fast adaptive boundary attack; see :func:`robustlib.attacks.fab`."""

    steps: int = 100
    target_classes: int = 9
    protocol: int = 1

    function = staticmethod(fab)

    @property
    def passes(self) -> float:
        return 3.0 * self.steps * self.target_classes

    def within(self, budget: Budget) -> Self:
        classes = at_most(self.target_classes, budget.target_classes)
        return replace(self, steps=at_most(self.steps, budget.steps), target_classes=classes)
