"""Gradients that float32 rounds to zero: how many points a gradient attack cannot move, and would break in float64."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from ..attacks._model import frozen, gradient_and_logits
from ..attacks.contract import checked
from ..attacks.losses import cross_entropy
from ..attacks.suite import Attack, run_attack
from ..budget import Budget
from ..registry import spec
from ..spec.measurement import Measured, Measurement, Price, Subject, share
from ..spec.network import Network
from ..spec.quantities import SHARE, Quantity
from ..spec.records import Unfilable, pack
from ..threat import Ball
from .accuracy import Accuracy
from .outcomes import CHUNK, chunk_generator

DECADES = (-330, 10, 68)
"""Bins of the histogram: log10 of the largest entry of a gradient, five decades each."""


@checked
def sizes(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Largest entry of each point's input gradient of the cross-entropy, in the model's precision; the losses.

    Args:
        model: eval mode, (N, ...) inputs to (N, K) logits.
        x: (N, ...) inputs, of the weights' dtype.
        y: (N,) int64 labels.

    Returns:
        (N,) and (N,), float64.
    """
    with frozen(model):
        gradient, losses, _ = gradient_and_logits(model, x, y, cross_entropy)
    return gradient.flatten(1).abs().amax(1).double(), losses.double()


@spec
@dataclass(frozen=True)
class VanishingGradients(Measurement):
    """Points whose float32 gradient of the cross-entropy is zero in every entry, at the point itself.

    A signed gradient step from such a point leads nowhere, sign(0) being 0. The softmax of a wrong class is zero in
    float32 where its logit lies 104 below the leading one, in float64 at 745.

    Args:
        threat: ball of the attack.
        attack: run in float64 on those of these points that are classified correctly.
    """

    threat: Ball
    attack: Attack
    protocol: int = 1

    def units(self, network: Network) -> dict[str, str]:
        return dict.fromkeys(("zero", "subnormal", "zero_loss", "unmoved", "hidden"), "fraction")

    def run(self, on: Subject) -> Measured:
        """Shares of all points: ``zero`` gradients and losses in float32, and others; log10 of the float64 gradients.

        ``subnormal``: the float64 gradient's largest entry is below float32's smallest normal number, so that
        arithmetic without subnormal numbers makes it zero. ``unmoved``: zero in float32, and classified correctly.
        ``hidden``: those of them that the attack breaks in float64.
        """
        exact, parts = copy.deepcopy(on.model).double(), []
        for index, (x, y) in enumerate(on.parts(CHUNK)):
            largest, losses = sizes(on.model, x, y)
            wide = x.double()
            with torch.no_grad():
                right = on.model(x).argmax(1) == y
            unmoved = (largest == 0) & right
            hidden = torch.zeros_like(unmoved)
            if bool(unmoved.any()):
                points = run_attack(
                    self.attack,
                    exact,
                    wide[unmoved],
                    y[unmoved],
                    self.threat,
                    generator=chunk_generator(on.name, index, x.device),
                    last_iterate=True,
                )
                with torch.no_grad():
                    hidden[unmoved] = exact(points).argmax(1) != y[unmoved]
            parts.append(torch.stack([largest == 0, losses == 0, unmoved, hidden, sizes(exact, wide, y)[0]]).double())
        zero, zero_loss, unmoved_all, hidden_all, largest64 = torch.cat(parts, 1).cpu().numpy()
        first, last, bins = DECADES
        with np.errstate(divide="ignore"):
            counts, edges = np.histogram(np.log10(largest64).clip(first, last), bins=np.linspace(first, last, bins + 1))
        subnormal = largest64 < torch.finfo(torch.float32).tiny
        found = {"zero": zero, "subnormal": subnormal, "zero_loss": zero_loss}
        found |= {"unmoved": unmoved_all, "hidden": hidden_all}
        return Measured(
            metrics={name: share(values.astype(bool)) for name, values in found.items()},
            outcomes={"zero": pack(zero.astype(bool)), "hidden": pack(hidden_all.astype(bool))},
            histograms={"log10_gradient": {"edges": edges.tolist(), "counts": counts.tolist()}},
        )

    def quantity(self, metric: str) -> Quantity:
        return SHARE

    def work(self, price: Price, network: Network, n: int) -> float:
        """Upper bound of the operations, reached where every gradient vanishes; see :meth:`Measurement.work`."""
        return price.step(network) * (4 + self.attack.passes) * n

    def within(self, budget: Budget) -> Self:
        return replace(self, attack=self.attack.within(budget))


@contextlib.contextmanager
def no_subnormals(device: torch.device) -> Iterator[None]:
    """Arithmetic in the block rounds subnormal numbers to zero, as some processors and compilers do by themselves.

    The setting is a thread's own, so that the block computes in one thread.

    Raises:
        Unfilable: not a CPU, or one that cannot.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if device.type != "cpu" or not torch.set_flush_denormal(True):
            raise Unfilable(f"arithmetic without subnormal numbers cannot be set on this {device.type}; use x86 CPUs")
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(threads)


@spec
@dataclass(frozen=True)
class AccuracyWithoutSubnormals(Measurement):
    """Accuracy under an attack whose arithmetic rounds subnormal numbers to zero; per-example outcomes are kept.

    Args:
        attack: which attack.
        threat: ball that the attack stays in.
    """

    attack: Attack
    threat: Ball
    protocol: int = 1

    @property
    def _usual(self) -> Accuracy:
        """The same in the machine's own arithmetic."""
        return Accuracy(self.attack, self.threat)

    def units(self, network: Network) -> dict[str, str]:
        return self._usual.units(network)

    def run(self, on: Subject) -> Measured:
        """``accuracy``, and which points are correct."""
        with no_subnormals(on.split.y.device):
            return self._usual.run(on)

    def quantity(self, metric: str) -> Quantity:
        return self._usual.quantity(metric)

    def work(self, price: Price, network: Network, n: int) -> float:
        return self._usual.work(price, network, n)

    def within(self, budget: Budget) -> Self:
        return replace(self, attack=self.attack.within(budget))
