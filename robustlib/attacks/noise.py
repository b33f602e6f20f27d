"""Random noise in the ball: the attack of an adversary who knows nothing about the network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..registry import spec
from ..threat import Ball
from ._model import look, unless_wrong
from .contract import under_contract
from .description import Attack


@under_contract
def uniform_noise(
    model: nn.Module, x: Tensor, y: Tensor, threat: Ball, *, generator: torch.Generator, last_iterate: bool = False
) -> Tensor:
    """A point drawn uniformly from the ball around each x, cut to the domain.

    Args:
        model: eval mode, (N, ...) inputs to (N, K) logits.
        x: (N, ...) inputs in the threat's domain.
        y: (N,) int64 labels.
        threat: ball.
        generator: every draw.
        last_iterate: count the point drawn as it is, even where it puts right an input that was misclassified; False:
            such an input is returned as it is.

    Raises:
        RobustlibError: the call's arguments do not fit.
    """
    moved = threat.random_start(x, generator=generator)
    if last_iterate or len(x) == 0:
        return moved
    return unless_wrong(moved, x, y, look(model, None, x, y, rows=None))


@spec
@dataclass(frozen=True)
class Noise(Attack):
    """Uniform noise in the ball."""

    protocol: int = 1

    function = staticmethod(uniform_noise)

    @property
    def passes(self) -> float:
        return 0.0
