"""Inner maximisation of adversarial objectives: its schedule, and a context that freezes the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from torch import nn

from ..attacks._model import frozen
from ..errors import RobustlibError
from ..threat import Ball, parse_number
from .defence import Defence
from .values import check_threat, finite, whole


@dataclass(frozen=True)
class Inner(Defence):
    """A defence with an iterated attack inside training, whose radius and steps may grow.

    Args:
        threat: ball trained against.
        steps: gradient steps.
        step_size: alpha in the domain's units.
        eps_warmup: share of training over which eps rises linearly from 0.
        ramp: numbers of steps in equal phases of training, such as (3, 5, 7), in place of ``steps``;
            a phase with k steps uses alpha = 2 eps / k.
    """

    threat: Ball
    steps: int
    step_size: float
    eps_warmup: float = 0.0
    ramp: tuple[int, ...] = ()
    protocol: int = 1

    def __post_init__(self) -> None:
        check_threat(type(self).__name__, self.threat, self.eps_warmup)
        given: object = self.step_size
        if isinstance(given, str):
            object.__setattr__(self, "step_size", parse_number(given, name="step_size"))
        counts = (self.steps, *self.ramp) if isinstance(self.ramp, tuple) else (None,)
        if not whole(*counts) or min(counts) < 1 or not finite(self.step_size) or self.step_size <= 0:
            raise RobustlibError(
                f"{type(self).__name__}(steps={self.steps!r}, step_size={self.step_size!r}, ramp={self.ramp!r}): "
                "steps are 1 or more and step_size is positive, ramp is a tuple of such steps"
            )

    def now(self, progress: float) -> tuple[Ball, int, float]:
        """(threat, steps, step size) at this share of training."""
        threat = warmed(self.threat, self.eps_warmup, progress)
        if not self.ramp:
            return threat, self.steps, self.step_size
        steps = self.ramp[min(int(progress * len(self.ramp)), len(self.ramp) - 1)]
        return threat, steps, 2 * threat.eps / steps

    @property
    def mean_steps(self) -> float:
        """Steps of an average update."""
        return sum(self.ramp) / len(self.ramp) if self.ramp else float(self.steps)


def warmed(threat: Ball, eps_warmup: float, progress: float) -> Ball:
    """The ball with its radius scaled for this share of the warm-up."""
    return threat if progress >= eps_warmup else replace(threat, eps=threat.eps * progress / eps_warmup)


@contextmanager
def held(model: nn.Module, *, crafting: str = "eval") -> Iterator[None]:
    """Parameters frozen and, unless crafting is "train", the model in eval mode: batch norm fixed, no dropout.

    Afterwards each part is in the mode that it was in, a batch norm kept in eval mode too.
    """
    training = [part for part in model.modules() if part.training]
    if crafting != "train":
        model.eval()
    try:
        with frozen(model):
            yield
    finally:
        for part in training:
            part.training = True
