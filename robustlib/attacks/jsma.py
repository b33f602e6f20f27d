"""JSMA, the Jacobian-based saliency map attack (Papernot et al., EuroS&P 2016): few features, changed fully."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from ..batches import at_least_float32
from ..budget import Budget, at_most
from ..errors import RobustlibError, suggest
from ..registry import spec
from ..threat import Domain
from ._model import (
    asked,
    check_gradient,
    check_lead,
    check_steps,
    check_temperature,
    frozen,
    logits_of,
    slope_of,
    usable,
)
from .contract import under_contract
from .description import Description, raised
from .losses import margin

OUTPUTS = ("softmax", "logits")
PAIRS_AT_ONCE = 2**24
"""Pairs scored in one go, so that many examples with many candidates do not exhaust memory."""


@under_contract
def jsma(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    target: Tensor,
    features: int = 112,
    fill: float = 1.0,
    outputs: str = "softmax",
    temperature: float = 1.0,
    domain: Domain = (0.0, 1.0),
    pairs: bool = True,
    lead: float | None = None,
) -> Tensor:
    """Points classified as ``target`` that differ from x in at most ``features`` features, each set to ``fill``.

    Algorithms 2 and 3 for increasing features: with alpha_p = dF_t/dX_p and beta_p = sum_{j != t} dF_j/dX_p at
    the current point, the pair (p, q) of the search domain Gamma with the largest -(alpha_p + alpha_q)
    (beta_p + beta_q) is set to ``fill``, among those with alpha_p + alpha_q > 0 and beta_p + beta_q < 0. Gamma
    begins with every feature below ``fill`` and loses the chosen ones. An attempt ends when t leads (by
    more than rounding), when the next pair would exceed ``features``, or when no pair is admissible. Exact:
    all pairs are searched, see :func:`best_pair`; the score does not underflow.

    Args:
        model: eval mode, (N, ...) inputs to (N, K) logits z.
        x: (N, ...) inputs in the domain.
        y: (N,) int64 labels; an attempt runs for each row, also where the model is wrong to begin with.
        target: (N,) int64 classes t, none equal to y's.
        features: features that may change, >= 1 (a pair needs 2); 112 in the paper (MNIST, 14.3 %; CIFAR10, 3.6 %).
        fill: value that a chosen feature takes; 1 for MNIST, 2 for CIFAR10 as preprocessed in the paper.
        outputs: "softmax", F = softmax(z / temperature), as on distilled networks (a saturated F has no
            admissible pair: the attempt fails), or "logits", F = z.
        temperature: T > 0; undoes distillation's saturation. No effect on the choice with "logits".
        domain: (lo, hi) of every coordinate, ``fill`` in it.
        lead: logits by which t must lead where an attempt ends; None: more than rounding, whatever
            the logits' units.
        pairs: two features at a time; False: one (Carlini and Wagner 2016, arXiv 1607.04311).

    Returns:
        (N, ...) points; a failed attempt returns x as it is.

    Raises:
        RobustlibError: the call's arguments do not fit.

    Source: arXiv 1511.07528; settings of Papernot et al. 2016, arXiv 1511.04508, section V.
    """
    check_steps(features=features)
    check_lead(lead)
    temperature = check_temperature(temperature)
    if not domain[0] < fill <= domain[1]:
        raise RobustlibError(f"fill={fill} is outside the domain {domain}; give a value that features can rise to")
    if outputs not in OUTPUTS:
        raise RobustlibError(suggest("outputs", outputs, OUTPUTS))
    result, standing, point = x.clone(), torch.arange(len(x), device=x.device), x.clone()
    size = 2 if pairs else 1
    with frozen(model):
        for left in range(features // size, -1, -1):
            if len(standing) == 0:
                break
            goal = target[standing]
            with torch.set_grad_enabled(left > 0):
                point = point.detach().requires_grad_(left > 0)
                logits = logits_of(model, point, y, target=goal)
            reached = margin(logits.detach(), goal) > asked(logits.detach(), lead)
            result[standing[reached]] = point.detach()[reached]
            if left == 0:
                break
            alpha, gain = _saliency(check_gradient(logits), point, goal, outputs, temperature)
            point = point.detach()
            chosen, found = best_pair(alpha, gain, (point < fill).flatten(1), size=size)
            point = point.flatten(1).scatter(1, chosen, fill).view_as(point)
            going = found & ~reached
            standing, point = standing[going], point[going]
    return result


def _saliency(logits: Tensor, point: Tensor, goal: Tensor, outputs: str, temperature: float) -> tuple[Tensor, Tensor]:
    """Alpha and -beta, (N, features). Softmax outputs sum to one, so there -beta = alpha exactly: one backward pass."""
    logits = at_least_float32(logits)
    scores = (logits / temperature).softmax(1) if outputs == "softmax" else logits
    wanted, both = scores.gather(1, goal[:, None]).sum(), outputs == "logits"
    alpha = usable(slope_of(wanted, point, retain_graph=both)).flatten(1)
    if not both:
        return alpha, alpha
    return alpha, alpha - usable(slope_of(scores.sum(), point)).flatten(1)


def best_pair(alpha: Tensor, gain: Tensor, allowed: Tensor, *, size: int = 2) -> tuple[Tensor, Tensor]:
    """The pair (or one feature, ``size`` 1) of largest (alpha_p + alpha_q)(gain_p + gain_q), both sums positive.

    Exact without scoring every pair: a feature that ``size`` others match or exceed in both alpha and gain can be
    exchanged for one of them at no loss, so only the others, a few dozen, are paired. With gain = alpha two remain.

    Args:
        alpha: (N, D) derivatives of the target's output.
        gain: (N, D) derivatives of the other outputs' sum, negated (-beta).
        allowed: (N, D) bool, the search domain.

    Returns:
        (N, size) indices; (N,) bool, whether an admissible choice exists (else the indices mean nothing).
    """
    # The score's order does not depend on scale; at scale one the products do not underflow.
    alpha, gain = (v / v.abs().amax(1, keepdim=True).clamp_min(torch.finfo(v.dtype).tiny) for v in (alpha, gain))
    alpha, order = alpha.masked_fill(~allowed, -torch.inf).sort(dim=1, descending=True, stable=True)
    gain = gain.masked_fill(~allowed, -torch.inf).gather(1, order)
    # Along falling alpha: the largest gain so far, and the second largest.
    first = gain.cummax(1).values
    bar = first
    if size == 2:
        bar = torch.minimum(gain[:, 1:], first[:, :-1]).cummax(1).values
        bar = torch.cat([torch.full_like(first[:, :1], -torch.inf), bar], 1)
    kept = torch.ones_like(allowed)
    kept[:, 1:] = gain[:, 1:] > bar[:, :-1]
    kept &= allowed.gather(1, order)
    width = max(int(kept.sum(1).max()), 1) if len(kept) else 1
    some = kept.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :width]
    alpha, gain = (v.gather(1, some).masked_fill(~kept.gather(1, some), -torch.inf) for v in (alpha, gain))
    order = order.gather(1, some)
    if size == 1:
        score = torch.where((alpha > 0) & (gain > 0), alpha * gain, -torch.inf)
        best, column = score.max(1)
        return order.gather(1, column[:, None]), best > -torch.inf
    rows, best_of = max(1, PAIRS_AT_ONCE // width**2), []
    upper = torch.ones(width, width, dtype=torch.bool, device=alpha.device).triu(1)
    for a, c in zip(alpha.split(rows), gain.split(rows), strict=True):
        sum_a, sum_c = a[:, :, None] + a[:, None, :], c[:, :, None] + c[:, None, :]
        best_of.append(torch.where((sum_a > 0) & (sum_c > 0) & upper, sum_a * sum_c, -torch.inf).flatten(1).max(1))
    best = torch.cat([values for values, _ in best_of])
    flat = torch.cat([places for _, places in best_of])
    return order.gather(1, torch.stack([flat // width, flat % width], 1)), best > -torch.inf


@spec
@dataclass(frozen=True)
class Jsma(Description):
    """Few features, changed fully, towards a class; see :func:`robustlib.attacks.jsma`.

    Args:
        features, fill, outputs, temperature, pairs: as there. "logits", or on softmax outputs the temperature that a
            network was distilled at, undoes defensive distillation.
    """

    features: int = 112
    fill: float = 1.0
    outputs: str = "softmax"
    temperature: float = 1.0
    pairs: bool = True
    protocol: int = raised()

    function = staticmethod(jsma)

    @property
    def passes(self) -> float:
        return (2.0 if self.outputs == "softmax" else 3.0) * (self.features // (2 if self.pairs else 1))

    def within(self, budget: Budget) -> Self:
        return replace(self, features=at_most(self.features, budget.features))
