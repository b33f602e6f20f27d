"""The boundary attack (Brendel, Rauber and Bethge, ICLR 2018): needs decisions, no gradients.

It starts at a point of another class and walks along the decision boundary towards the input: a random step on the
sphere around the input, then a small step inwards. Each step tries candidates in turn until one is misclassified and
nearer. Two step sizes of each example follow the shares of misclassified points among the last ones that it tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..batches import at_least_float32, per_example, unit
from ..registry import spec
from ..threat import Ball, Domain, ball
from ._model import check_lead, check_steps, frozen, look, lost
from .contract import under_contract
from .description import MinimumNorm, raised

TRIES = 20
"""Draws of uniform noise for a starting point, before other points of the batch are tried."""
DIRECTIONS = 25
"""Candidates of one step, at most."""
SIZE, FACTOR = 0.01, 1.5
"""Both step sizes to begin with, relative to the distance, and the factor by which they change."""
EVERY = 10
"""Steps between two that are also asked about the points before their step inwards; step sizes change after those."""
SIDEWAYS, INWARDS = 100, 30
"""Answers that are remembered for each of the two step sizes; it changes when there are so many."""
LOW, HIGH = 0.2, 0.5
"""Shares of misclassified points under which a step size shrinks, and over which it grows."""
SMALLEST = 1e-7
"""Step inwards under which the search for an example ends."""
AT_ONCE = 64
"""Points in one forward pass, where fewer examples than that are without a better point."""


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
    """Misclassified points as near to x as ``steps`` steps of up to 25 decisions per example find them.

    One draw of noise and of directions serves the whole batch, and each example accepts or rejects them by itself: an
    example ends where it would alone, unless its starting point is another example.

    Args:
        model: eval mode, (N, ...) inputs to (N, K) logits; only decisions are used.
        x: (N, ...) inputs in the domain.
        y: (N,) int64 labels.
        norm: "l2" (the paper's attack), or "linf": the random step is uniform and the step inwards cuts
            the perturbation to a smaller box. The l_inf form is ours; Madry et al. do not describe theirs.
        domain: (lo, hi) of every coordinate.
        steps: steps per example, >= 1; each costs 1 to 25 forward passes, every tenth up to twice as many.
        lead: logits by which another class must lead at a point that is returned; None: more than rounding, whatever
            the logits' units.
        generator: noise for starts and steps.

    Returns:
        (N, ...) points. One misclassified to begin with is returned as it is; so is one for which no
        starting point of another class was found, which then counts as correct.

    Raises:
        RobustlibError: the call's arguments do not fit.

    Source: Brendel et al. 2018, section 2; directions a step, step sizes and their adaptation as in the authors' own
    implementation, foolbox 1.8.
    """
    check_steps(steps=steps)
    check_lead(lead)
    around = ball(norm, 0.0, domain)
    if len(x) == 0:
        return x.clone()
    wrong = look(model, None, x, y, rows=None).argmax(1) != y
    with frozen(model), torch.no_grad():
        start, found = _start(model, x, y, around, lead, generator)
        walk = _Walk(model, x, y, around, torch.where(per_example(found & ~wrong, x), start, x), lead)
        rows = (found & ~wrong).nonzero().flatten()
        for step in range(1, steps + 1):
            walk.step(rows, _noise(x, around, generator), asks=step % EVERY == 0)
            rows = rows[walk.inward[rows] >= SMALLEST]
            if len(rows) == 0:
                break
    return walk.point


def _start(
    model: nn.Module, x: Tensor, y: Tensor, around: Ball, lead: float | None, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Points of another class, moved towards x by bisection; and which examples have one."""
    assert around.domain is not None
    lo, hi = around.domain
    start, found = x.clone(), torch.zeros(len(x), dtype=torch.bool, device=x.device)
    # All at once, so that what is drawn later does not depend on how many of them the batch needs.
    noise = around.clip(x.new_empty(TRIES, *x.shape[1:]).uniform_(lo, hi, generator=generator))
    for attempt in range(TRIES + min(len(x), TRIES)):
        candidate = noise[attempt].expand_as(x) if attempt < TRIES else x.roll(attempt - TRIES + 1, 0)
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


def _noise(x: Tensor, around: Ball, generator: torch.Generator) -> Tensor:
    """(25, ...) random directions: normal for l_2, uniform for l_inf."""
    empty = at_least_float32(x[:1]).new_empty(DIRECTIONS, *x.shape[1:])
    if around.norm == "linf":
        return empty.uniform_(-1, 1, generator=generator)
    return empty.normal_(generator=generator)


def _sideways(delta: Tensor, distance: Tensor, noise: Tensor, size: Tensor, around: Ball) -> Tensor:
    """(M, C, ...) perturbations after steps of relative length ``size``: of the same length (l_2), or of any (l_inf).

    Args:
        delta: (M, ...) perturbations.
        distance, size: (M,) their lengths, and the step sizes.
        noise: (C, ...) directions.
    """
    if around.norm == "linf":
        return delta[:, None] + noise * _wide(size * distance, noise)
    along, flat = unit(delta).flatten(1), noise.flatten(1)
    # Noise less its part along delta, cut to the step's length, then both back on the sphere.
    shadow = along @ flat.T
    rest = (flat.square().sum(1) - shadow.square()).clamp_min(0).sqrt()
    reach = size[:, None] / torch.where(rest > 0, rest, torch.inf)
    back = (1 + size.square())[:, None].sqrt()
    kept = ((1 - reach * shadow) / back)[..., None] * delta.flatten(1)[:, None]
    moved = kept + (reach * distance[:, None] / back)[..., None] * flat
    return moved.view(len(delta), *noise.shape)


def _wide(values: Tensor, noise: Tensor) -> Tensor:
    """(M,) values that broadcast over (M, C, ...) candidates."""
    return values.view(-1, *[1] * noise.dim())


def _share(delta: Tensor, distance: Tensor, around: Ball) -> Tensor:
    """(M, C) lengths of (M, C, ...) perturbations, in units of (M,) distances."""
    order = torch.inf if around.norm == "linf" else 2
    return torch.linalg.vector_norm((delta / _wide(distance, delta[0])).flatten(2), order, dim=2)


class _Answers:
    """The last answers for each example of a batch, and the sizes that follow from their mean."""

    def __init__(self, kept: int, like: Tensor) -> None:
        self.given = torch.zeros(len(like), kept, dtype=torch.bool, device=like.device)
        self.count = torch.zeros(len(like), dtype=torch.int64, device=like.device)

    def add(self, rows: Tensor, answers: Tensor) -> None:
        """One answer for each of the rows; the oldest makes room."""
        self.given[rows, self.count[rows] % self.given.shape[1]] = answers
        self.count[rows] += 1

    def factor(self, rows: Tensor) -> Tensor:
        """(M,) 1.5, 1 or its inverse for the rows' step sizes; where it is not 1 their answers are forgotten."""
        share = self.given[rows].double().mean(1)
        full = self.count[rows] >= self.given.shape[1]
        power = ((share > HIGH).long() - (share < LOW).long()) * full
        self.count[rows[power != 0]] = 0
        return torch.pow(FACTOR, power.double())


class _Walk:
    """Points on their way to the inputs, and the step sizes of each."""

    def __init__(self, model: nn.Module, x: Tensor, y: Tensor, around: Ball, point: Tensor, lead: float | None) -> None:
        self.model, self.x, self.y, self.around, self.point, self.lead = model, x, y, around, point, lead
        self.side = torch.full((len(x),), SIZE, dtype=torch.float64, device=x.device)
        self.inward = self.side.clone()
        self.stood, self.stepped = _Answers(SIDEWAYS, x), _Answers(INWARDS, x)

    def step(self, rows: Tensor, noise: Tensor, *, asks: bool) -> None:
        """One step of the rows: directions are tried in turn, and the first better point is taken.

        Args:
            rows: (M,) positions in the batch.
            noise: (25, ...) directions.
            asks: also about the points before their step inwards, and adapt the step sizes.
        """
        left, first = rows, 0
        while first < len(noise) and len(left):
            # Several directions at once where few examples are left; only those up to the first success count.
            many = min(len(noise) - first, max(1, AT_ONCE // len(left)))
            left, first = self._tried(left, noise[first : first + many], asks=asks), first + many
        if asks:
            factor = self.stood.factor(rows)
            self.side[rows] = (self.side[rows] * factor).clamp(max=1.0)
            self.inward[rows] = (self.inward[rows] * factor * self.stepped.factor(rows)).clamp(max=1.0)

    def _tried(self, rows: Tensor, noise: Tensor, *, asks: bool) -> Tensor:
        """Try the directions on each of the rows; those that found no better point."""
        x, around, many = self.x[rows], self.around, len(noise)
        delta = at_least_float32(self.point[rows]) - at_least_float32(x)
        distance, (side, inward) = around.length(delta), (size[rows].to(delta) for size in (self.side, self.inward))
        aside = around.clip((x[:, None] + _sideways(delta, distance, noise, side, around)).to(x.dtype))
        shift = aside - at_least_float32(x)[:, None]
        if around.norm == "linf":
            edge = _wide((1 - inward) * distance, noise)
            shift = torch.minimum(torch.maximum(shift, -edge), edge)
        else:
            length = _share(shift, distance, around)
            goal = torch.minimum(length, 1 - inward[:, None])
            shift = shift * (goal / torch.where(length > 0, length, 1.0)).view(*length.shape, *[1] * (x.dim() - 1))
        candidate = around.clip((x[:, None] + shift).to(x.dtype))
        y = self.y[rows].repeat_interleave(many)
        stood = self._lost(aside.flatten(0, 1), y) if asks else torch.ones_like(y, dtype=torch.bool)
        broken = stood.clone()
        broken[stood] = self._lost(candidate.flatten(0, 1)[stood], y[stood])
        stood, broken = stood.view(-1, many), broken.view(-1, many)
        better = broken & (_share(candidate - at_least_float32(x)[:, None], distance, around) < 1)
        found, place = better.any(1), better.to(torch.uint8).argmax(1)
        if asks:
            for i in range(many):
                counts = ~found | (place >= i)
                self.stood.add(rows[counts], stood[counts, i])
                counts &= stood[:, i]
                self.stepped.add(rows[counts], broken[counts, i])
        self.point[rows[found]] = candidate[found, place[found]]
        return rows[~found]

    def _lost(self, points: Tensor, y: Tensor) -> Tensor:
        return lost(self.model, points, y, self.lead) if len(y) else y.bool()


@spec
@dataclass(frozen=True)
class Boundary(MinimumNorm):
    """Decision-based boundary attack; see :func:`robustlib.attacks.boundary.boundary`.

    Protocols 1 and 2, one candidate a step, are of this edition no longer.
    """

    oldest: ClassVar[int] = 3

    steps: int
    protocol: int = raised(3)

    function = staticmethod(boundary)

    @property
    def passes(self) -> float:
        return self.steps * DIRECTIONS * (1 + 1 / EVERY)
