"""The objectives that networks are trained with, one short function for each defence.

A defence is a frozen description; :func:`objective` turns it into per-example losses on a batch.
``progress`` is the share of training done, in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..attacks._model import check_temperature, frozen
from ..attacks.losses import cross_entropy
from ..attacks.pgd import ascend
from ..errors import RobustlibError
from ..threat import Ball
from .distillation import Distillation


@dataclass(frozen=True)
class Standard:
    """min E[L(theta, x, y)]: cross-entropy on clean inputs ("natural training" in Madry et al.).

    Args:
        temperature: T > 0 of the softmax in training, softmax(z / T); another than 1 makes a teacher for distillation.
    """

    protocol: int = 1
    temperature: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "temperature", check_temperature(self.temperature))

    @property
    def name(self) -> str:
        """``standard``, or ``standard_T20`` at another temperature than 1."""
        return "standard" if self.temperature == 1 else f"standard_T{self.temperature:g}"


@dataclass(frozen=True)
class FgsmTraining:
    """Every minibatch replaced by its FGSM examples (Madry et al. 2018, section 4).

    Args:
        threat: ball trained against.
        eps_warmup: share of training over which eps rises linearly from 0.
    """

    name: ClassVar[str] = "fgsm"
    threat: Ball
    eps_warmup: float = 0.0
    protocol: int = 1


@dataclass(frozen=True)
class PgdTraining:
    """Every minibatch replaced by its PGD examples (Madry et al. 2018, eq. 2.1 and section 5).

    Args:
        threat: ball trained against.
        steps: PGD steps.
        step_size: alpha in the domain's units.
        eps_warmup: share of training over which eps rises linearly from 0.
        ramp: numbers of steps in equal phases of training, such as (3, 5, 7), in place of ``steps``;
            a phase with k steps uses alpha = 2 eps / k.
    """

    name: ClassVar[str] = "pgd"
    threat: Ball
    steps: int
    step_size: float
    eps_warmup: float = 0.0
    ramp: tuple[int, ...] = ()
    protocol: int = 1

    def __post_init__(self) -> None:
        if self.steps < 1 or self.step_size <= 0 or any(k < 1 for k in self.ramp):
            raise RobustlibError(
                f"PgdTraining(steps={self.steps}, step_size={self.step_size}, ramp={self.ramp}): "
                "steps are 1 or more and step_size is positive"
            )


Defence = Standard | Distillation | FgsmTraining | PgdTraining


def _threat_now(threat: Ball, eps_warmup: float, progress: float) -> Ball:
    """The ball with its radius scaled for this moment of the warm-up."""
    return threat if progress >= eps_warmup else replace(threat, eps=threat.eps * progress / eps_warmup)


def adversarial_batch(
    defence: FgsmTraining | PgdTraining,
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    progress: float,
    generator: torch.Generator,
) -> Tensor:
    """The batch that the defence trains on in place of x; the model is in eval mode while it is made."""
    threat = _threat_now(defence.threat, defence.eps_warmup, progress)
    if threat.eps == 0:
        return x
    training = model.training
    model.eval()
    try:
        with frozen(model):
            if isinstance(defence, FgsmTraining):
                return ascend(model, x, y, threat, start=x, steps=1, step_size=threat.eps, loss=cross_entropy)
            if defence.ramp:
                phase = min(int(progress * len(defence.ramp)), len(defence.ramp) - 1)
                steps = defence.ramp[phase]
                step_size = 2 * threat.eps / steps
            else:
                steps, step_size = defence.steps, defence.step_size
            start = threat.random_start(x, generator=generator)
            return ascend(
                model, x, y, threat, start=start, steps=steps, step_size=step_size, loss=cross_entropy
            )
    finally:
        model.train(training)


def objective(
    defence: Defence, model: nn.Module, x: Tensor, y: Tensor, *, progress: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """(N,) losses to be minimised over theta and the (N, K) logits they were computed from.

    For adversarial training this is L(theta, x + delta, y) at delta approximately maximal: by
    Danskin's theorem its gradient is a descent direction for the saddle-point problem. For distillation y holds
    the (N, K) soft labels, else (N,) classes.
    """
    if isinstance(defence, Standard | Distillation):
        logits = model(x)
        return cross_entropy(logits / defence.temperature, y), logits.detach()
    x = adversarial_batch(defence, model, x, y, progress=progress, generator=generator)
    logits = model(x)
    return cross_entropy(logits, y), logits.detach()
