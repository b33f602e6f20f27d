"""The Square attack (Andriushchenko et al., ECCV 2020): random search that needs scores and no gradients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from ..batches import at_least_float32, per_example
from ..budget import Budget, at_most
from ..errors import RobustlibError
from ..registry import spec
from ..threat import BALLS, Ball
from ._model import Standing, check_steps, frozen, look
from .contract import under_contract
from .description import Attack
from .losses import margin

SHARE = 0.8
"""p at the start: the share of the image that a window covers; AutoAttack's value."""
HALVED_AT = (10, 50, 200, 500, 1_000, 2_000, 4_000, 6_000, 8_000)
"""Queries, out of 10,000, from which p is half of what it was."""
DIMENSIONS = (2, 4)
"""Of inputs: features or images, in batches."""


@under_contract
def square(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Ball,
    *,
    queries: int = 5_000,
    restarts: int = 1,
    generator: torch.Generator,
    surrogate: nn.Module | None = None,
) -> Tensor:
    """Windows of the perturbation are redrawn at random, kept where z_y - max_{i != y} z_i falls.

    One draw a query serves the whole batch; each example keeps or rejects it by itself, so that results
    do not depend on the batch.

    Args:
        model: eval mode, (N, ...) inputs to (N, K) logits.
        x: (N, C, H, W) images or (N, F) features, taken as images of height 1.
        y: (N,) int64 labels.
        threat: l_inf ball (windows of +-eps, stripes to begin with), or l_2 ball (a budget moved between windows).
        queries: forward passes per example and start, >= 1.
        restarts: independent searches, >= 1.
        generator: every draw.
        surrogate: network whose scores are compared (a copy in low precision, a transfer source); None: the
            model's own. Success is judged on ``model``.

    Returns:
        (N, ...) adversarial inputs, detached, inside the ball and the domain.

    Raises:
        RobustlibError: the call's arguments do not fit.

    Source: Andriushchenko et al. 2020, algorithms 1 to 3; in l_2 the bumps are flatter than those of the authors' code.
    """
    check_steps(queries=queries, restarts=restarts)
    check_form(x, threat)
    if threat.eps == 0 or len(x) == 0:
        return x.clone()
    guide = model if surrogate is None else surrogate
    standing = Standing(model, x, y, look(model, surrogate, x, y, rows=None))
    with frozen(model), frozen(guide), torch.no_grad():
        for _ in range(restarts):
            if len(standing.rows):
                _search(guide, standing, x, y, threat, queries, generator)
    return standing.found


def check_form(x: Tensor, threat: Ball) -> None:
    """Raise RobustlibError for a ball of another norm than l_inf and l_2, or inputs of another form."""
    if threat.norm not in BALLS:
        raise RobustlibError(f"threat={threat}; the Square attack takes a LinfBall or an L2Ball")
    if x.dim() not in DIMENSIONS:
        raise RobustlibError(f"x has shape {tuple(x.shape)}; the Square attack takes (N, C, H, W) or (N, F)")


def _share(query: int, queries: int) -> float:
    scaled = 10_000 * query // queries
    return SHARE / 2 ** sum(scaled > edge for edge in HALVED_AT)


def _search(
    guide: nn.Module, standing: Standing, x: Tensor, y: Tensor, threat: Ball, queries: int, generator: torch.Generator
) -> None:
    image = (x.shape[1], *x.shape[2:]) if x.dim() == 4 else (1, 1, x.shape[1])
    x0, labels = x[standing.rows], y[standing.rows]
    draw = (_Linf if threat.norm == "linf" else _L2)(image, threat, generator, at_least_float32(x))
    best = draw.into_ball(draw.begin().expand(len(x0), *image), x0)
    lead: Tensor | None = None
    for query in range(queries):
        if lead is None:
            candidate = best
        else:
            delta = at_least_float32(best) - at_least_float32(x0)
            candidate = draw.into_ball(draw.move(delta, _share(query, queries)), x0)
        logits = guide(candidate)
        now = margin(logits, labels)
        stays = standing.leave(candidate, logits)
        if not bool(stays.all()):
            best, candidate, now, x0, labels = (v[stays] for v in (best, candidate, now, x0, labels))
            lead = None if lead is None else lead[stays]
            if len(x0) == 0:
                return
        better = torch.ones_like(now, dtype=torch.bool) if lead is None else now < lead
        best = torch.where(per_example(better, x0), candidate, best)
        lead = now if lead is None else torch.where(better, now, lead)
    standing.found[standing.rows] = best


class _Linf:
    """Vertical stripes, then square windows, of +-eps in each channel."""

    def __init__(self, image: tuple[int, ...], threat: Ball, generator: torch.Generator, like: Tensor) -> None:
        self.image, self.threat, self.generator, self.like = image, threat, generator, like

    def signs(self, *shape: int) -> Tensor:
        drawn = torch.randint(0, 2, shape, generator=self.generator, device=self.like.device)
        return (2 * drawn - 1).to(self.like.dtype)

    def place(self, height: int, width: int) -> tuple[slice, slice]:
        """A window of that size, uniformly among all places."""
        places = []
        for side, length in zip(self.image[1:], (height, width), strict=True):
            first = int(torch.randint(0, side - length + 1, (1,), generator=self.generator, device=self.like.device))
            places.append(slice(first, first + length))
        return places[0], places[1]

    def window(self, share: float, least: int = 1) -> tuple[int, int]:
        """Sides of a window that covers about that share of the image, square where the image allows it."""
        _, height, width = self.image
        area = share * height * width
        tall = min(height, max(least, round(area**0.5)))
        return tall, min(width, max(least, round(area / tall) if tall == height else tall))

    def begin(self) -> Tensor:
        return self.threat.eps * self.signs(self.image[0], 1, self.image[2]).expand(*self.image)

    def move(self, delta: Tensor, share: float) -> Tensor:
        delta = delta.reshape(len(delta), *self.image).clone()
        rows, columns = self.place(*self.window(share))
        delta[:, :, rows, columns] = self.threat.eps * self.signs(self.image[0], 1, 1)
        return delta

    def into_ball(self, delta: Tensor, x: Tensor) -> Tensor:
        return self.threat.project(x + delta.reshape(x.shape), x).to(x.dtype)


class _L2(_Linf):
    """Bumps that use the whole budget: what one window gives up, another takes."""

    def bump(self, height: int, width: int) -> Tensor:
        """Two bumps of opposite sign side by side, each falling off from its middle, unit norm."""
        half = max(1, width // 2)
        halves = (
            [self._eta(height, half), -self._eta(height, width - half)] if width > half else [self._eta(height, half)]
        )
        both = torch.cat(halves, 1)
        if height == width and bool(torch.randint(0, 2, (1,), generator=self.generator, device=self.like.device)):
            both = both.T
        return both / both.norm()

    def _eta(self, height: int, width: int) -> Tensor:
        """Rings of weights: sums of 1/k^2 as in the paper's eta, but from its far end, which breaks no fewer points."""
        far_h, far_w = ((torch.arange(n) - (n - 1) / 2).abs() for n in (height, width))
        rings = int(max(height, width) / 2) + 1
        ring = torch.maximum(far_h[:, None].expand(height, width), far_w[None].expand(height, width)).ceil()
        weights = torch.tensor([sum(1 / (rings + 1 - k) ** 2 for k in range(r, rings + 1)) for r in range(rings + 1)])
        return weights[ring.long()].to(self.like)

    def begin(self) -> Tensor:
        _, height, width = self.image
        side_h, side_w = max(1, height // 5), max(1, width // 5)
        delta = torch.zeros(self.image, dtype=self.like.dtype, device=self.like.device)
        for top in range(0, height - side_h + 1, side_h):
            for left in range(0, width - side_w + 1, side_w):
                delta[:, top : top + side_h, left : left + side_w] = self.bump(side_h, side_w) * self.signs(
                    self.image[0], 1, 1
                )
        return delta

    def move(self, delta: Tensor, share: float) -> Tensor:
        delta = delta.reshape(len(delta), *self.image).clone()
        size = self.window(share, least=3)
        rows, columns = self.place(*size)
        other_rows, other_columns = self.place(*size)
        used = delta.square().sum((1, 2, 3))
        mask = torch.zeros(self.image[1:], dtype=torch.bool, device=delta.device)
        mask[rows, columns] = mask[other_rows, other_columns] = True
        # Per channel: the budget that both windows use, and an equal part of the ball's unused budget.
        budget = (delta * mask).square().sum((2, 3), keepdim=True)
        budget = budget + per_example((self.threat.eps**2 - used).clamp_min(0), delta) / self.image[0]
        old = delta[:, :, rows, columns]
        fresh = self.bump(*size) * self.signs(self.image[0], 1, 1)
        fresh = fresh + old / _or_one(old.square().sum((2, 3), keepdim=True).sqrt())
        fresh = fresh / _or_one(fresh.square().sum((2, 3), keepdim=True).sqrt()) * budget.sqrt()
        delta[:, :, other_rows, other_columns] = 0
        delta[:, :, rows, columns] = fresh
        return delta

    def into_ball(self, delta: Tensor, x: Tensor) -> Tensor:
        """The perturbation scaled to length eps, then cut to the domain, which only shortens it."""
        delta = delta.reshape(x.shape)
        length = per_example(_or_one(self.threat.length(delta)), x)
        return self.threat.clip(x + delta * (self.threat.eps / length)).to(x.dtype)


def _or_one(length: Tensor) -> Tensor:
    """Lengths to divide by; 1 for a length of 0, whose vector stays 0."""
    return torch.where(length > 0, length, 1.0)


@spec
@dataclass(frozen=True)
class Square(Attack):
    """Random search on scores; see :func:`robustlib.attacks.square`."""

    queries: int = 5_000
    restarts: int = 1
    protocol: int = 1

    function = staticmethod(square)

    @property
    def passes(self) -> float:
        return float(self.queries * self.restarts)

    def within(self, budget: Budget) -> Self:
        return replace(self, queries=at_most(self.queries, budget.queries))
