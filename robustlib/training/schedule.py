"""Training schedules: number of updates, batches, learning rates, and the optimiser with these settings."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import nn

from ..errors import RobustlibError
from ..registry import spec
from .values import finite, whole


@spec
@dataclass(frozen=True)
class Schedule:
    """Optimiser, learning-rate schedule, batch size and augmentation of a training run.

    Args:
        steps: updates; 0 leaves the initial weights.
        batch: examples per update.
        lr: learning rate (peak rate when ``shape`` is "one_cycle").
        shape: "constant", or "one_cycle" (linear rise over 30 % of training, cosine fall to 0).
        reduction: "sum" or "mean" of the batch's losses.
        precision: of the gradients, "float32" or "bfloat16"; weights and the optimiser's state are float32.
        optimiser: "adam", or "sgd" with the fields below.
        momentum: of SGD, v <- momentum v + g; in [0, 1).
        momentum_decay: whether the factors of ``decay`` act on the momentum as well.
        nesterov: whether SGD looks ahead along its momentum.
        weight_decay: added to a gradient as ``weight_decay * w``: the gradient of half its sum of squares.
        decayed: parameters that it acts on, "all", or "weights" alone (no bias, no batch norm).
        decay: (step, factor) in rising order: from that update on the rate is ``factor`` times that without decay.
        crop: zeros around each image, out of which it is cut again at a random place; 0 leaves it whole.
        flip: whether half of the images are mirrored left to right.
        clip: Euclidean length to which a longer gradient of all weights is shortened; 0 leaves it.
    """

    steps: int
    batch: int
    lr: float
    shape: str = "constant"
    reduction: str = "mean"
    precision: str = "float32"
    protocol: int = 1
    optimiser: str = "adam"
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    decayed: str = "all"
    decay: tuple[tuple[int, float], ...] = ()
    crop: int = 0
    flip: bool = False
    momentum_decay: bool = False
    clip: float = 0.0

    def __post_init__(self) -> None:
        for name, value, known in (
            ("shape", self.shape, ("constant", "one_cycle")),
            ("reduction", self.reduction, ("sum", "mean")),
            ("precision", self.precision, ("float32", "bfloat16")),
            ("optimiser", self.optimiser, ("adam", "sgd")),
            ("decayed", self.decayed, ("all", "weights")),
        ):
            if value not in known:
                raise RobustlibError(f"{name}={value!r} of a Schedule; known: {', '.join(known)}")
        if not whole(self.steps, self.batch, self.crop):
            raise RobustlibError(f"{self}: steps, batch and crop are whole numbers")
        if not finite(self.lr, self.momentum, self.weight_decay, self.clip):
            raise RobustlibError(f"{self}: lr, momentum, weight_decay and clip are finite numbers")
        if self.steps < 0 or self.batch < 1 or not self.lr > 0 or self.crop < 0 or self.clip < 0:
            raise RobustlibError(f"{self}: batch is 1 or more, lr is positive, steps, crop and clip are 0 or more")
        if not 0 <= self.momentum < 1 or self.weight_decay < 0:
            raise RobustlibError(f"{self}: momentum is in [0, 1) and weight_decay is 0 or more")
        if (self.momentum and self.optimiser != "sgd") or (self.nesterov and not self.momentum):
            raise RobustlibError(f"{self}: momentum belongs to optimiser='sgd', nesterov to a momentum above 0")
        pairs = isinstance(self.decay, tuple) and all(isinstance(at, tuple) and len(at) == 2 for at in self.decay)
        milestones, factors = ([pair[place] for pair in self.decay] if pairs else [] for place in (0, 1))
        numbers = pairs and whole(*milestones) and finite(*factors)
        if not numbers or milestones != sorted(set(milestones)) or any(factor <= 0 for factor in factors):
            raise RobustlibError(f"decay={self.decay}: give (step, factor) with rising steps and positive factors")

    def shortened(self, share: float) -> Schedule:
        """The schedule for a ``share`` of the examples, in (0, 1]: as many epochs, every count of updates times it."""
        decay = {max(1, round(step * share)): factor for step, factor in self.decay}
        return replace(self, steps=max(1, round(self.steps * share)), decay=tuple(sorted(decay.items())))

    def factor(self, step: int) -> float:
        """Factor of ``decay`` in force at update ``step`` (from 0); 1 before the first."""
        return next((factor for milestone, factor in reversed(self.decay) if step >= milestone), 1.0)

    def inertia(self, step: int) -> float:
        """Momentum of update ``step``."""
        return self.momentum * (self.factor(step) if self.momentum_decay else 1.0)

    def rate(self, step: int) -> float:
        """Learning rate of update ``step``."""
        peak = self.lr * self.factor(step)
        if self.shape == "constant":
            return peak
        progress = (step + 1) / self.steps
        if progress < 0.3:
            return peak * progress / 0.3
        return peak * 0.5 * (1 + math.cos(math.pi * (progress - 0.3) / 0.7))


def optimiser_of(schedule: Schedule, model: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of a network's parameters, as the schedule describes it."""
    decayed = [p for p in model.parameters() if schedule.decayed == "all" or p.dim() > 1]
    others = [p for p in model.parameters() if not (schedule.decayed == "all" or p.dim() > 1)]
    groups = [{"params": decayed, "weight_decay": schedule.weight_decay}]
    groups += [{"params": others}] if others else []
    if schedule.optimiser == "adam":
        return torch.optim.Adam(groups, lr=schedule.lr, fused=True)
    return torch.optim.SGD(groups, lr=schedule.lr, momentum=schedule.momentum, nesterov=schedule.nesterov, fused=True)
