"""Training on certificates: cross-entropy of the worst margins that a bound allows (Wong & Kolter 2018)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..attacks.losses import cross_entropy
from ..certify import ESTIMATORS, estimated_margins, margins
from ..errors import RobustlibError, suggest
from ..registry import spec
from ..threat import Ball
from .defence import Defence
from .values import check_threat


@spec
@dataclass(frozen=True)
class Certified(Defence):
    """min E[L(-J(x), y)], J the margins proven over the ball (Theorem 2 and eq. 14): above the worst loss in it.

    Args:
        threat: ball trained against; domain None is the paper's.
        start: radius that training begins with, in the domain's units.
        ramp: share of training over which eps rises linearly from ``start``; the paper's is half.
        interval: share of training, its first part, on interval bounds, which are cheaper and looser.
        slopes: of the dual's lower lines, see :func:`robustlib.certify.margins`.
        projections: random columns from which hidden bounds are estimated (Wong et al. 2018); 0: exact bounds.
        estimator: how, see :func:`robustlib.certify.estimated_margins`.
        method: of the bounds after the interval part, see there.
    """

    name: ClassVar[str] = "certified"
    staged: ClassVar[bool] = True
    threat: Ball
    start: float = 0.0
    ramp: float = 0.5
    interval: float = 0.0
    slopes: str = "fixed"
    protocol: int = 1
    projections: int = 0
    estimator: str = "median"
    method: str = "dual"

    def __post_init__(self) -> None:
        check_threat("Certified", self.threat)
        if not (0 <= self.start <= self.threat.eps and 0 <= self.ramp <= 1 and 0 <= self.interval <= 1):
            raise RobustlibError(
                f"Certified(start={self.start}, ramp={self.ramp}, interval={self.interval}): start is a radius in "
                f"[0, {self.threat.eps}], the others are shares of training in [0, 1]"
            )
        if self.projections < 0 or (self.projections and self.slopes != "fixed"):
            raise RobustlibError(
                f"Certified(projections={self.projections}, slopes={self.slopes!r}): give 0 columns or more, and "
                "slopes='fixed' with them"
            )
        if self.estimator not in ESTIMATORS:
            raise RobustlibError(suggest("estimator", self.estimator, ESTIMATORS))

    def now(self, progress: float) -> Ball:
        """The ball at this share of training."""
        if progress >= self.ramp:
            return self.threat
        return replace(self.threat, eps=self.start + (self.threat.eps - self.start) * progress / self.ramp)

    @property
    def bounds(self) -> tuple[tuple[float, str, str, int], ...]:
        """Interval bounds at first, then those of ``method``."""
        late = (1 - self.interval, self.method, self.slopes, self.projections)
        return (self.interval, "interval", "fixed", 0), late

    def losses(
        self, model: nn.Module, x: Tensor, y: Tensor, *, progress: float, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        return certified_loss(self, model, x, y, progress=progress, generator=generator)


def certified_loss(
    defence: Certified, model: nn.Module, x: Tensor, y: Tensor, *, progress: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """(N,) robust losses in nats and the (N, K) worst logits -J, whose largest is y where the point is certified.

    With projections both are estimates.
    """
    threat, method = defence.now(progress), "interval" if progress < defence.interval else defence.method
    if defence.projections and method == "dual":
        worst = -estimated_margins(
            model, x, y, threat, projections=defence.projections, estimator=defence.estimator, generator=generator
        )
    else:
        worst = -margins(model, x, y, threat, method=method, slopes=defence.slopes)
    return cross_entropy(worst, y), worst.detach()
