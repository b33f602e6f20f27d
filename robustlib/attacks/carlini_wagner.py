"""Carlini and Wagner (IEEE S&P 2017): minimise the perturbation's length plus c times a margin loss.

Their objective, their f and their rule for c: raised where an example is correct, lowered where it is broken. The
minimiser is ours. They let Adam run on x' = (tanh w + 1) / 2 for thousands of steps for each c; there a pixel
that is exactly 0 or 1 can never move. Here the image itself moves and is cut to the domain, c adapts
after every step, and steps have a set length, so that a few dozen of them do.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..batches import at_least_float32, per_example
from ..errors import RobustlibError
from ..registry import spec
from ..threat import Ball, Domain, ball
from ._model import Loss, asked, check_finite, check_lead, check_steps, frozen, gradient_and_logits, look, usable
from .contract import under_contract
from .description import MinimumNorm, raised
from .losses import margin

SEARCH = (0.04, 0.2)
"""Signed steps until an example is first broken: the first one's length, doubled up to the last, in domain widths."""
FALL = 20.0
"""The last step of a round is this many times shorter than its first, as a share of the best distance; so is the last
signed step, where they shorten, than those of the round's first half."""
INERTIA = 0.6
"""Share of the last direction kept in the next."""
TAU = 0.9
"""Factor by which the l_inf threshold tau lies below the best distance (section VI.C)."""
HALVINGS = 8
"""Bisection steps between x and the point found, at the end."""


@under_contract
def carlini_wagner(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    norm: str = "l2",
    domain: Domain = (0.0, 1.0),
    steps: int = 40,
    binary_steps: int = 1,
    initial_c: float = 1.0,
    kappa: float = 0.0,
    lr: float = 0.6,
    shorten: bool = True,
    target: Tensor | None = None,
    lead: float | None = None,
) -> Tensor:
    """Points near x of another class: min ||delta||_2^2 + c f(x + delta), or min sum_i (|delta_i| - tau)^+ + c f.

    f(x') = max(max_{i != t} z_i - z_t, -kappa) with a target t (f_6 of section V.A, with VI.A's kappa), or
    max(z_y - max_{i != y} z_i, -kappa) without one. Per example, c doubles after a step that leaves it
    unbroken and halves after one that breaks it, in units in which c = 1 makes the two gradients equally long
    (so that the logits' scale does not matter). Until first broken, an example follows the sign of grad f alone
    (c without bound). A step is ``lr`` times the best distance so far and falls ``FALL``-fold over a round. In l_inf
    tau = 0.9 of the best distance (section VI.C), and the penalty acts by its proximal step. The best point found
    is at last drawn towards x by bisection, decisions only.

    Args:
        model: eval mode, (N, ...) inputs to (N, K) logits z.
        x: (N, ...) inputs in the domain.
        y: (N,) int64 labels.
        norm: "l2" or "linf".
        domain: (lo, hi) of every coordinate.
        steps: gradient steps in a round, >= 1.
        binary_steps: rounds, >= 1; each begins at the best point so far with c and step length as at first. The
            paper needs 9, one for each c; here one round searches c by itself.
        initial_c: c at the start of a round, > 0.
        kappa: confidence, logits by which another class (or t) must lead, >= 0; more than rounding is required.
        lead: logits by which another class must lead at a point that is returned; None: more than rounding, whatever
            the logits' units.
        lr: a round's first step, as a share of the best distance, in (0, 1].
        shorten: of an example that is not broken by the middle of a round, signed steps get shorter from there on,
            since long ones circle around a class of narrow region.
        target: (N,) int64 classes t to reach, none equal to y's; None: any class but y.

    Returns:
        (N, ...) points. One already misclassified (as t, with a target) is returned as it is; so is one for
        which nothing was found.

    Raises:
        RobustlibError: the call's arguments do not fit.

    Source: arXiv 1608.04644.
    """
    check_steps(steps=steps, binary_steps=binary_steps)
    check_lead(lead)
    if initial_c <= 0 or kappa < 0 or not 0 < lr <= 1:
        raise RobustlibError(f"initial_c={initial_c}, kappa={kappa}, lr={lr}; give c > 0, kappa >= 0, 0 < lr <= 1")
    around = ball(norm, 0.0, domain)
    goal = y if target is None else target

    def ahead(logits: Tensor, labels: Tensor) -> Tensor:
        """The margin in f, before it is cut at -kappa."""
        return margin(logits, labels) if target is None else -margin(logits, labels)

    result = x.clone()
    if len(x) == 0:
        return result
    predicted = look(model, None, x, y, target=target, rows=None).argmax(1)
    rows = ((predicted == y) if target is None else (predicted != goal)).nonzero().flatten()
    if len(rows):
        with frozen(model):
            problem = _Problem(model, x[rows], goal[rows], around, ahead, kappa, lead)
            result[rows] = problem.drawn_in(problem.minimised(steps, binary_steps, initial_c, lr, shorten))
    return result


@dataclass(frozen=True)
class _Problem:
    """Examples that are correct at x; one counts as broken where f's lead is below -kappa and beyond rounding.

    Points are of the model's dtype; steps and directions are kept in float32 at least.
    """

    model: nn.Module
    x: Tensor
    goal: Tensor
    around: Ball
    ahead: Loss
    kappa: float
    lead: float | None

    def minimised(self, steps: int, rounds: int, initial_c: float, lr: float, shorten: bool) -> Tensor:
        """The nearest broken points met on the way; x itself where there was none."""
        x, around = self.x, self.around
        assert around.domain is not None
        width = around.domain[1] - around.domain[0]
        best, point = x.clone(), x.clone()
        length = torch.full_like(self.goal, torch.inf, dtype=at_least_float32(x[:0]).dtype)
        # Read once, at the end: a GPU would wait for it after each step.
        largest = torch.zeros_like(length)
        for turn in range(rounds):
            c, drift = torch.full_like(length, initial_c), torch.zeros_like(at_least_float32(x))
            point = torch.where(per_example(length < torch.inf, x), best, point)
            for step in range(steps):
                slope, leads, logits = gradient_and_logits(self.model, point, self.goal, self.ahead)
                largest = torch.maximum(largest, logits.abs().amax(1))
                slope, broken = at_least_float32(usable(slope)), self._beyond(leads, logits)
                best, length = self._nearer(point, broken, best, length)
                stride = lr * FALL ** (-step / steps) * length
                if around.norm == "l2":
                    drift = INERTIA * drift + (1 - INERTIA) * self._direction(point, slope, c * ~broken)
                    moved = point + per_example(stride, x) * drift
                else:
                    moved = self._proximal(point, slope, c * ~broken, stride, TAU * length)
                c = torch.where(broken, c / 2, c * 2).clamp(1e-6, 1e6)
                first = min(SEARCH[0] * 2.0 ** (step + turn * steps), SEARCH[1]) * width
                if shorten:
                    first *= FALL ** -max(0.0, 2 * step / steps - 1)
                moved = torch.where(per_example(length < torch.inf, x), moved, point - first * slope.sign())
                point = around.clip(moved.to(x.dtype))
        check_finite(largest)
        return self._nearer(point, self._broken(point), best, length)[0]

    def _broken(self, point: Tensor) -> Tensor:
        with torch.no_grad():
            logits = self.model(point)
        return self._beyond(self.ahead(logits, self.goal), logits)

    def _beyond(self, leads: Tensor, logits: Tensor) -> Tensor:
        return leads < -asked(logits, self.lead).clamp_min(self.kappa)

    def _nearer(self, point: Tensor, broken: Tensor, best: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        now = self.around.length(at_least_float32(point) - at_least_float32(self.x))
        nearer = broken & (now < length)
        return torch.where(per_example(nearer, point), point, best), torch.where(nearer, now, length)

    def _direction(self, point: Tensor, slope: Tensor, c: Tensor) -> Tensor:
        """Against 2 delta + c grad f, the second scaled to the first's length; pixels at the domain's ends left out."""
        assert self.around.domain is not None
        lo, hi = self.around.domain
        pull = 2 * (at_least_float32(point) - at_least_float32(self.x))
        scale = c * self.around.length(pull)
        gradient = pull + per_example(scale, slope) * self.around.steepest(slope)
        held = ((point <= lo) & (gradient > 0)) | ((point >= hi) & (gradient < 0))
        return -self.around.steepest(gradient.masked_fill(held, 0.0))

    def _proximal(self, point: Tensor, slope: Tensor, c: Tensor, stride: Tensor, tau: Tensor) -> Tensor:
        """A signed step on c f, c at most 1; then coordinates beyond tau come back by up to a stride."""
        delta = point - self.x - per_example(stride * c.clamp_max(1.0), slope) * slope.sign()
        size = delta.abs()
        size = torch.minimum(size, torch.maximum(per_example(tau, slope), size - per_example(stride, slope)))
        return self.x + size * delta.sign()

    def drawn_in(self, best: Tensor) -> Tensor:
        """The broken points moved towards x, as far as they stay broken; x stays x."""
        delta = best - self.x
        near = torch.zeros_like(self.goal, dtype=best.dtype)
        far = torch.ones_like(near)
        for _ in range(HALVINGS):
            middle = (near + far) / 2
            broken = self._broken(self._between(middle, delta))
            far, near = torch.where(broken, middle, far), torch.where(broken, near, middle)
        return self._between(far, delta)

    def _between(self, share: Tensor, delta: Tensor) -> Tensor:
        return self.around.clip(self.x + per_example(share, delta) * delta)


@spec
@dataclass(frozen=True)
class CarliniWagner(MinimumNorm):
    """Penalised minimum norm; see :func:`robustlib.attacks.carlini_wagner`."""

    steps: int = 40
    binary_steps: int = 1
    initial_c: float = 1.0
    kappa: float = 0.0
    lr: float = 0.6
    protocol: int = raised(3)

    function = staticmethod(carlini_wagner)

    @property
    def passes(self) -> float:
        return 2.0 * self.steps * self.binary_steps
