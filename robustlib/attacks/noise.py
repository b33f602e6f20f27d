"""Random noise: what an adversary who knows nothing about the network can do."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..threat import Ball
from ._model import check_call


def uniform_noise(
    model: nn.Module, x: Tensor, y: Tensor, threat: Ball, *, generator: torch.Generator
) -> Tensor:
    """A point drawn uniformly from the ball around each x, cut to the domain. The model is only checked."""
    check_call(model, x, y, threat)
    return threat.random_start(x, generator=generator)
