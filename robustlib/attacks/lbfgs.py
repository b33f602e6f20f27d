"""L-BFGS attack (Szegedy et al., ICLR 2014): the nearest point of a target class, by a quasi-Newton method in the box.

All examples run at once: one forward and one backward pass a step for the whole batch, with a separate memory, step
length and c for each example. Own code, since scipy's L-BFGS-B takes one example at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..batches import at_least_float32, per_example
from ..errors import RobustlibError
from ..registry import spec
from ..threat import Domain, L2Ball, ball
from ._model import asked, check_finite, check_gradient, check_lead, check_steps, frozen, look, slope_of, usable
from .contract import under_contract
from .description import MinimumNorm, raised
from .losses import cross_entropy, margin

Evaluate = Callable[[Tensor], tuple[Tensor, Tensor]]
Pair = tuple[Tensor, Tensor]

MEMORY = 8
"""Pairs of steps and gradient changes that the inverse Hessian is made of."""
ARMIJO = 1e-4
"""Share of the decrease that the slope promises which a step must reach."""
SPREAD = 20.0
"""Logits between the largest and the smallest at x, to which each example's are scaled."""
CURVED = 1e-8
"""Cosine between a step and the gradient's change below which the pair says nothing of the curvature."""
FACTOR = 10.0
"""Factor between values of c until one is too large and one small enough; then their geometric mean."""


@under_contract
def lbfgs(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    domain: Domain = (0.0, 1.0),
    target: Tensor | None = None,
    steps: int = 50,
    binary_steps: int = 9,
    initial_c: float = 0.01,
    lead: float | None = None,
) -> Tensor:
    """Minimise c ||x - x'||_2^2 + loss_f(x', t) over the box, for the largest c whose minimiser is of class t.

    loss_f is the cross-entropy (section 4.1; the paper writes |r| for the distance, its own code and others' square it,
    and it prints the minimum c, which is taken for a misprint: a small c leaves the distance free), of logits that are
    scaled to one ``SPREAD`` at x, so that neither a temperature nor a saturated softmax changes the result. A round
    minimises from x with one c for each example: projected L-BFGS, pixels that the domain holds left out, the step
    halved until the objective falls. The nearest point of class t met on the way is kept.

    Args:
        model: eval mode, (N, ...) inputs to (N, K) logits.
        x: (N, ...) inputs in the domain.
        y: (N,) int64 labels.
        domain: (lo, hi) of every coordinate.
        target: (N,) int64 classes t, none equal to y's; None: the runner-up at x, and any class but y counts.
        steps: evaluations of objective and gradient in a round, >= 1; one more judges its end point.
        binary_steps: values of c tried, >= 1.
        initial_c: the first of them, > 0, in nats per squared unit of the domain.
        lead: logits by which another class must lead at a point that is returned; None: more than rounding, and the
            cross-entropy is of logits in units of their spread at x, where else they count as they are.

    Returns:
        (N, ...) points. One already misclassified (as t, with a target) is returned as it is; so is one for
        which nothing was found.

    Raises:
        RobustlibError: the call's arguments do not fit.

    Source: arXiv 1312.6199.
    """
    check_steps(steps=steps, binary_steps=binary_steps)
    check_lead(lead)
    if initial_c <= 0:
        raise RobustlibError(f"initial_c={initial_c} is not positive; give the distance a weight, such as 0.01")
    around = ball("l2", 0.0, domain)
    result = x.clone()
    if len(x) == 0:
        return result
    logits = look(model, None, x, y, target=target, rows=None)
    predicted = logits.argmax(1)
    goal = logits.scatter(1, y[:, None], -torch.inf).argmax(1) if target is None else target
    rows = ((predicted == y) if target is None else (predicted != goal)).nonzero().flatten()
    x, y, goal, logits = x[rows], y[rows], goal[rows], at_least_float32(logits[rows])
    origin, best = at_least_float32(x), x.clone()
    spread = logits.amax(1) - logits.amin(1)
    spread = torch.where(spread > 0, spread / SPREAD, 1.0)[:, None]
    if lead is not None:
        spread = torch.ones_like(spread)
    nearest = torch.full_like(y, torch.inf, dtype=origin.dtype)
    c, low, high = torch.full_like(nearest, initial_c), torch.zeros_like(nearest), nearest.clone()
    broken, largest = torch.zeros_like(rows, dtype=torch.bool), torch.zeros_like(nearest)
    with frozen(model):

        def evaluate(point: Tensor) -> tuple[Tensor, Tensor]:
            """The objective and its gradient; broken points that are nearer than before are kept on the way."""
            nonlocal best, nearest, broken, largest
            with torch.enable_grad():
                shown = point.detach().to(x.dtype).requires_grad_(True)
                logits = check_gradient(model(shown))
                square = (at_least_float32(shown) - origin).square().flatten(1).sum(1)
                objective = c * square + cross_entropy(at_least_float32(logits) / spread, goal)
                slope = at_least_float32(usable(slope_of(objective.sum(), shown)))
            logits = logits.detach()
            largest = torch.maximum(largest, logits.abs().amax(1))
            ahead = -margin(logits, y) if target is None else margin(logits, goal)
            broken = ahead > asked(logits, lead)
            closer = broken & (square.detach() < nearest)
            best = torch.where(per_example(closer, x), shown.detach(), best)
            nearest = torch.where(closer, square.detach(), nearest)
            return objective.detach(), slope

        for _ in range(binary_steps if len(rows) else 0):
            point = _minimise(evaluate, origin, around.domain or domain, steps)
            evaluate(point)
            # The distance may weigh more as long as the minimiser is of class t.
            low, high = torch.where(broken, c, low), torch.where(broken, high, c)
            c = torch.where(high == torch.inf, c * FACTOR, torch.where(low == 0, c / FACTOR, (low * high).sqrt()))
        result[rows] = best
    check_finite(largest)
    return result


def _minimise(evaluate: Evaluate, start: Tensor, domain: Domain, steps: int) -> Tensor:
    """Projected L-BFGS for a batch of separate problems, at ``steps`` evaluations; (N, ...) in, (N, ...) out."""
    point = start
    value, slope = evaluate(point)
    pairs: list[Pair] = []
    length = per_example(L2Ball(0.0).length(slope), slope)
    gamma = (domain[1] - domain[0]) / torch.where(length > 0, length, 1.0)
    direction = _direction(point, slope, pairs, gamma, domain)
    stride = torch.ones_like(gamma)
    for _ in range(steps - 1):
        trial = (point + stride * direction).clamp(*domain)
        new_value, new_slope = evaluate(trial)
        moved = trial - point
        better = per_example(new_value <= value + ARMIJO * _dot(slope, moved).flatten(), point)
        # A refused step leaves a pair of zeros, which has no curvature and so no weight.
        moved, change = moved * better, (new_slope - slope) * better
        gamma = torch.where(_dot(moved, change) > 0, _dot(moved, change) / _dot(change, change), gamma)
        pairs = [*pairs, (moved, change)][-MEMORY:]
        value = torch.where(better.flatten(), new_value, value)
        point, slope = torch.where(better, trial, point), torch.where(better, new_slope, slope)
        direction = torch.where(better, _direction(point, slope, pairs, gamma, domain), direction)
        stride = torch.where(better, 1.0, stride / 2)
    return point


def _direction(point: Tensor, slope: Tensor, pairs: list[Pair], gamma: Tensor, domain: Domain) -> Tensor:
    """-H grad by the two-loop recursion, over the pixels that are free to move; -gamma grad where that ascends."""
    held = ((point <= domain[0]) & (slope > 0)) | ((point >= domain[1]) & (slope < 0))
    free = slope.masked_fill(held, 0.0)
    turned, kept = free, []
    for pair in reversed(pairs):
        moved, change = (part.masked_fill(held, 0.0) for part in pair)
        curvature = _dot(moved, change)
        sizes = (_dot(moved, moved) * _dot(change, change)).sqrt()
        rho = torch.where(curvature > CURVED * sizes, 1 / curvature, 0.0)
        weight = rho * _dot(moved, turned)
        turned = turned - weight * change
        kept.append((moved, change, rho, weight))
    turned = gamma * turned
    for moved, change, rho, weight in reversed(kept):
        turned = turned + (weight - rho * _dot(change, turned)) * moved
    return -torch.where(_dot(turned, free) > 0, turned, gamma * free)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product of each row, shaped to broadcast."""
    return per_example((a * b).flatten(1).sum(1), a)


@spec
@dataclass(frozen=True)
class Lbfgs(MinimumNorm):
    """Quasi-Newton search in the box, for the Euclidean norm; see :func:`robustlib.attacks.lbfgs`."""

    steps: int = 50
    binary_steps: int = 9
    initial_c: float = 0.01
    protocol: int = raised()

    function = staticmethod(lbfgs)

    @property
    def passes(self) -> float:
        return 2.0 * self.steps * self.binary_steps
