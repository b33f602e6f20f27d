"""Training on certificates: cross-entropy of the worst margins that a bound allows (Wong & Kolter 2018)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor, nn

from ..attacks.losses import cross_entropy
from ..certify import margins
from ..errors import RobustlibError
from ..threat import Ball


@dataclass(frozen=True)
class Certified:
    """min E[L(-J(x), y)], J the margins proven over the ball (Theorem 2 and eq. 14): above the worst loss in it.

    Args:
        threat: ball trained against; domain None is the paper's.
        start: radius that training begins with, in the domain's units.
        ramp: share of training over which eps rises linearly from ``start``; the paper's is half.
        interval: share of training, its first part, on interval bounds: cheaper and looser, they lead away from the
            dead networks that the dual bound often ends in when it begins.
        slopes: of the dual's lower lines, see :func:`robustlib.certify.margins`.
    """

    name: ClassVar[str] = "certified"
    threat: Ball
    start: float = 0.0
    ramp: float = 0.5
    interval: float = 0.0
    slopes: str = "fixed"
    protocol: int = 1

    def __post_init__(self) -> None:
        if not (0 <= self.start <= self.threat.eps and 0 <= self.ramp <= 1 and 0 <= self.interval <= 1):
            raise RobustlibError(
                f"Certified(start={self.start}, ramp={self.ramp}, interval={self.interval}): start is a radius in "
                f"[0, {self.threat.eps}], the others are shares of training in [0, 1]"
            )

    def now(self, progress: float) -> Ball:
        """The ball at this share of training."""
        if progress >= self.ramp:
            return self.threat
        return replace(self.threat, eps=self.start + (self.threat.eps - self.start) * progress / self.ramp)


def certified_loss(
    defence: Certified, model: nn.Module, x: Tensor, y: Tensor, *, progress: float
) -> tuple[Tensor, Tensor]:
    """(N,) robust losses in nats and the (N, K) worst logits -J, whose largest is y where the point is certified."""
    method = "interval" if progress < defence.interval else "dual"
    worst = -margins(model, x, y, defence.now(progress), method=method, slopes=defence.slopes)
    return cross_entropy(worst, y), worst.detach()
