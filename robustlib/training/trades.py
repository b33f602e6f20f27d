"""Objectives that tie a network's answer at x' to its answer at x: TRADES (Zhang et al. 2019) and logit pairing.

The direction of lambda, once: the paper divides the second term by lambda, so a *small* lambda buys robustness
with accuracy. Its code calls beta = 1 / lambda, and so do we; larger beta, more robust.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..attacks._model import Loss
from ..attacks.losses import cross_entropy
from ..attacks.pgd import ascend
from ..errors import RobustlibError
from ..registry import spec
from .inner import Inner, held
from .values import finite

KICK = 0.001
"""Standard deviation of the noise that the inner loop starts with: at x' = x the gradient is zero."""


@dataclass(frozen=True)
class TwoPoints(Inner):
    """A defence whose loss compares the outputs at x and at x'."""

    points: ClassVar[int] = 2

    def losses(
        self, model: nn.Module, x: Tensor, y: Tensor, *, progress: float, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        return objective_at_two_points(self, model, x, y, progress=progress, generator=generator)


@spec
@dataclass(frozen=True)
class Trades(TwoPoints):
    """min E[CE(f(x), y) + beta max_{x' in B(x, eps)} D(f(x), f(x'))], D the divergence (algorithm 1).

    Args:
        threat, steps, step_size, eps_warmup, ramp: of the inner maximisation; see :class:`Inner`.
        beta: 1 / lambda.
        divergence: "kl", KL(p(x) || p(x')) as in the authors' code, or "cross_entropy" as in the paper: the
            same but for the entropy of p(x), through which the latter also makes p(x) confident.
    """

    name: ClassVar[str] = "trades"
    beta: float = field(kw_only=True)
    divergence: str = "kl"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not finite(self.beta) or self.beta < 0 or self.divergence not in ("kl", "cross_entropy"):
            raise RobustlibError(
                f"Trades(beta={self.beta!r}, divergence={self.divergence!r}): beta = 1/lambda is 0 or more, "
                "divergence is 'kl' or 'cross_entropy'"
            )


@spec
@dataclass(frozen=True)
class BinaryTrades(TwoPoints):
    """min E[phi(f(x) y) + max_{x' in B(x, eps)} phi(f(x) f(x') / lambda)], phi the hinge, y = -1 or 1 (equation 3).

    The network has logits (z_0, z_1) and f = z_1 - z_0. ``scale`` is lambda itself.
    """

    name: ClassVar[str] = "trades_binary"
    classes: ClassVar[int] = 2
    scale: float = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not finite(self.scale) or not self.scale > 0:
            raise RobustlibError(f"scale={self.scale!r} (lambda) of BinaryTrades; give a number above 0")


@spec
@dataclass(frozen=True)
class LogitPairing(TwoPoints):
    """min E[(CE(f(x), y) + CE(f(x'), y)) / 2 + weight mean_k (f(x) - f(x'))_k^2], x' the PGD example of x.

    Adversarial logit pairing (Kannan, Kurakin and Goodfellow 2018) with mixed batches; k runs over the classes.
    """

    name: ClassVar[str] = "alp"
    weight: float = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not finite(self.weight) or self.weight < 0:
            raise RobustlibError(f"weight={self.weight!r} of LogitPairing; give 0 or more")


def kl(logits: Tensor, reference: Tensor) -> Tensor:
    """(N,) KL(softmax(reference) || softmax(logits)), in nats; both arguments are differentiated."""
    log_p = F.log_softmax(reference, 1)
    return (log_p.exp() * (log_p - F.log_softmax(logits, 1))).sum(1)


def soft_cross_entropy(logits: Tensor, reference: Tensor) -> Tensor:
    """(N,) cross-entropy of softmax(logits) under softmax(reference), in nats; both are differentiated."""
    return -(reference.softmax(1) * F.log_softmax(logits, 1)).sum(1)


def score(logits: Tensor) -> Tensor:
    """(N,) f = z_1 - z_0 of a network with two logits."""
    return logits[:, 1] - logits[:, 0]


def hinge(value: Tensor) -> Tensor:
    """phi(a) = max(1 - a, 0)."""
    return (1 - value).clamp_min(0)


def objective_at_two_points(
    defence: TwoPoints, model: nn.Module, x: Tensor, y: Tensor, *, progress: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """(N,) losses and the (N, K) logits at x'.

    x' is made in eval mode, from the answer at x computed once; x and x' then pass as two batches in train mode.
    """
    x_adv = _worst(defence, model, x, y, progress, generator)
    pairing = isinstance(defence, LogitPairing)
    norms = [m for m in model.modules() if isinstance(m, Norm) and _moves(m) and not pairing]
    before = [_remembered(norm) for norm in norms]
    with _calls(norms) as calls:
        natural = model(x)
    after = [_remembered(norm) for norm in norms]
    logits = model(x_adv)
    if isinstance(defence, LogitPairing):
        paired = (natural - logits).square().mean(1)
        losses = (cross_entropy(natural, y) + cross_entropy(logits, y)) / 2 + defence.weight * paired
        return losses, logits.detach()
    for norm, k, old, new in zip(norms, calls, before, after, strict=True):
        _count_again(norm, k, old, new)
    if isinstance(defence, BinaryTrades):
        f, f_adv = score(natural), score(logits)
        return hinge((2 * y - 1) * f) + hinge(f * f_adv / defence.scale), logits.detach()
    assert isinstance(defence, Trades)
    divergence = kl if defence.divergence == "kl" else soft_cross_entropy
    return cross_entropy(natural, y) + defence.beta * divergence(logits, natural), logits.detach()


def _worst(
    defence: TwoPoints, model: nn.Module, x: Tensor, y: Tensor, progress: float, generator: torch.Generator
) -> Tensor:
    threat, steps, step_size = defence.now(progress)
    if threat.eps == 0:
        return x
    with held(model):
        loss: Loss
        if isinstance(defence, LogitPairing):
            start, reference, loss = threat.random_start(x, generator=generator), y, cross_entropy
        else:
            # Not cut to the domain before the first step, as in the authors' code.
            start = x + KICK * torch.empty_like(x).normal_(generator=generator)
            with torch.no_grad():
                reference = model(x)
            # With p(x) fixed, KL and cross-entropy differ by a constant.
            loss = kl
            if isinstance(defence, BinaryTrades):
                scale = defence.scale
                loss = lambda logits, at_x: hinge(score(logits) * score(at_x) / scale)  # noqa: E731
        return ascend(model, x, reference, threat, start=start, steps=steps, step_size=step_size, loss=loss)


Norm = nn.modules.batchnorm._NormBase
"""Batch norms of every dimension, and instance norms."""
Statistics = tuple[Tensor, ...]


def _moves(norm: Norm) -> bool:
    return norm.training and norm.track_running_stats and norm.running_mean is not None


def _remembered(norm: Norm) -> Statistics:
    """Copies of running mean and variance, and of the number of batches if it counts."""
    values = (norm.running_mean, norm.running_var, norm.num_batches_tracked)
    return tuple(value.clone() for value in values if value is not None)


@contextmanager
def _calls(norms: list[Norm]) -> Iterator[list[int]]:
    """Count the calls of each norm inside the block: one that several layers share is called more than once."""
    counts = [0] * len(norms)

    def counting(place: int) -> Callable[..., None]:
        def called(*_: object) -> None:
            counts[place] += 1

        return called

    with ExitStack() as stack:
        for place, norm in enumerate(norms):
            stack.callback(norm.register_forward_hook(counting(place)).remove)
        yield counts


@torch.no_grad()
def _count_again(norm: Norm, calls: int, old: Statistics, new: Statistics) -> None:
    """Let the natural batch move the running statistics a second time, as if it had passed again after x'.

    The authors' code passes it twice. A call takes r to (1 - m) r + m s with the batch's own s, so that a pass of k
    calls takes it to a r + b, with a = (1 - m)^k: b = after - a before needs no second pass. With ``momentum=None``, r
    is the mean over all n calls so far: then a = n / (n + k), and (n + k) b, the batch's own sum, stays the same.
    """
    keep = then = (1 - float(norm.momentum or 0.0)) ** calls
    share = 1.0
    if norm.momentum is None and calls and isinstance(norm, nn.modules.batchnorm._BatchNorm):
        n_then, n = float(old[2]), float(_remembered(norm)[2])
        keep, then, share = n / (n + calls), n_then / (n_then + calls), (n_then + calls) / (n + calls)
    for running, at_first, at_last in zip((norm.running_mean, norm.running_var), old, new, strict=False):
        # Not in place for autograd, which holds the statistics but in train mode does not use them.
        assert running is not None
        running.data.mul_(keep).add_(share * (at_last - then * at_first))
    # Instance norms do not count their batches.
    if isinstance(norm, nn.modules.batchnorm._BatchNorm) and norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(calls)
