"""The objectives that networks are trained with, one short function for each defence.

A defence is a frozen description; :func:`objective` turns it into per-example losses on a batch.
``progress`` is the share of training done, in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..attacks._model import check_temperature
from ..attacks.losses import cross_entropy
from ..attacks.pgd import ascend
from ..errors import RobustlibError
from ..registry import spec
from ..threat import Ball
from .defence import Defence
from .distillation import softened
from .inner import Inner, held, warmed
from .values import check_threat

CRAFTING = ("eval", "train")


@spec
@dataclass(frozen=True)
class Standard(Defence):
    """min E[L(theta, x, y)]: cross-entropy on clean inputs ("natural training" in Madry et al.).

    Args:
        temperature: T > 0 of the softmax in training, softmax(z / T); another than 1 makes a teacher for distillation.
    """

    plain: ClassVar[bool] = True
    protocol: int = 1
    temperature: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "temperature", check_temperature(self.temperature))

    @property
    def name(self) -> str:
        """``standard``, or ``standard_T20`` at another temperature than 1."""
        return "standard" if self.temperature == 1 else f"standard_T{self.temperature:g}"

    def losses(
        self, model: nn.Module, x: Tensor, y: Tensor, *, progress: float, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        return softened(model, x, y, self.temperature)


@spec
@dataclass(frozen=True)
class FgsmTraining(Defence):
    """Every minibatch replaced by its FGSM examples (Madry et al. 2018, section 4).

    Args:
        threat: ball trained against.
        eps_warmup: share of training over which eps rises linearly from 0.
        crafting: mode of the network while examples are made, as in :class:`PgdTraining`.
    """

    name: ClassVar[str] = "fgsm"
    threat: Ball
    eps_warmup: float = 0.0
    protocol: int = 1
    crafting: str = "eval"

    def __post_init__(self) -> None:
        check_threat("FgsmTraining", self.threat, self.eps_warmup)
        _check_crafting(self.crafting)

    @property
    def mean_steps(self) -> float:
        """One step of full length."""
        return 1.0

    def losses(
        self, model: nn.Module, x: Tensor, y: Tensor, *, progress: float, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        return _at_examples(self, model, x, y, progress=progress, generator=generator)


@spec
@dataclass(frozen=True)
class PgdTraining(Inner):
    """Every minibatch replaced by its PGD examples (Madry et al. 2018, eq. 2.1 and section 5).

    Args:
        threat, steps, step_size, eps_warmup, ramp: of the attack; see :class:`Inner`.
        crafting: mode of the network while examples are made: "eval", or "train" as in Madry et al.'s CIFAR-10
            code, where each step is normalised by its own batch and moves the running statistics.
    """

    name: ClassVar[str] = "pgd"
    crafting: str = "eval"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_crafting(self.crafting)

    def losses(
        self, model: nn.Module, x: Tensor, y: Tensor, *, progress: float, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        return _at_examples(self, model, x, y, progress=progress, generator=generator)


def _check_crafting(crafting: str) -> None:
    if crafting not in CRAFTING:
        raise RobustlibError(f"crafting={crafting!r}; known: {', '.join(CRAFTING)}")


def adversarial_batch(
    defence: FgsmTraining | PgdTraining,
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    progress: float,
    generator: torch.Generator,
) -> Tensor:
    """The batch that the defence trains on in place of x."""
    if isinstance(defence, FgsmTraining):
        threat, start = warmed(defence.threat, defence.eps_warmup, progress), x
        steps, step_size = 1, threat.eps
    else:
        threat, steps, step_size = defence.now(progress)
    if threat.eps == 0:
        return x
    with held(model, crafting=defence.crafting):
        if isinstance(defence, PgdTraining):
            start = threat.random_start(x, generator=generator)
        return ascend(model, x, y, threat, start=start, steps=steps, step_size=step_size, loss=cross_entropy)


def _at_examples(
    defence: FgsmTraining | PgdTraining,
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    progress: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    logits = model(adversarial_batch(defence, model, x, y, progress=progress, generator=generator))
    return cross_entropy(logits, y), logits.detach()


def objective(
    defence: Defence, model: nn.Module, x: Tensor, y: Tensor, *, progress: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """(N,) losses to be minimised over theta and the (N, K) logits they were computed from: the defence's own.

    For adversarial training this is L(theta, x + delta, y) at delta approximately maximal. By Danskin's theorem its
    negative gradient is a descent direction for the saddle-point problem where the maximiser is unique and delta is
    that maximiser; at one of several maximisers it need not be (Latorre et al., ICLR 2023).
    """
    return defence.losses(model, x, y, progress=progress, generator=generator)
