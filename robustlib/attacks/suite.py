"""Attacks as frozen descriptions, and the one function that runs a description.

A description carries what belongs to the attack and nothing of the model, the data or the threat, so
that it can be part of an evaluation's key.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import RobustlibError
from ..threat import Ball
from .fgsm import fgsm
from .noise import uniform_noise
from .pgd import pgd


@dataclass(frozen=True)
class Clean:
    """No perturbation."""

    protocol: int = 1


@dataclass(frozen=True)
class Noise:
    """Uniform noise in the ball."""

    protocol: int = 1


@dataclass(frozen=True)
class Fgsm:
    """One signed step of full length; see :func:`robustlib.attacks.fgsm`."""

    random_step: float = 0.0
    protocol: int = 1


@dataclass(frozen=True)
class Pgd:
    """Projected gradient descent; see :func:`robustlib.attacks.pgd`.

    Args:
        steps, step_size, restarts, loss, kappa: as in :func:`robustlib.attacks.pgd`.
        targeted: aim at one class drawn uniformly among the wrong ones for each example.
    """

    steps: int
    step_size: float
    restarts: int = 1
    loss: str = "cross_entropy"
    kappa: float = 0.0
    targeted: bool = False
    protocol: int = 1


@dataclass(frozen=True)
class Boundary:
    """Decision-based boundary attack; see :func:`robustlib.attacks.boundary.boundary`."""

    steps: int
    protocol: int = 1


MinimumNorm = Boundary
Attack = Clean | Noise | Fgsm | Pgd


def random_targets(y: Tensor, classes: int, *, generator: torch.Generator) -> Tensor:
    """(N,) classes drawn uniformly among those that are not y."""
    shift = torch.randint(1, classes, y.shape, generator=generator, device=y.device)
    return (y + shift) % classes


def run_attack(
    attack: Attack,
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Ball | None,
    *,
    generator: torch.Generator,
    surrogate: nn.Module | None = None,
) -> Tensor:
    """Adversarial inputs for one batch.

    Args:
        attack: the description.
        model: the network under attack, in eval mode.
        x: (N, ...) inputs in the threat's domain.
        y: (N,) int64 labels.
        threat: what is allowed; None only for :class:`Clean`.
        generator: every random choice of the attack.
        surrogate: network whose gradients steer the attack (a transfer source, or a low-precision copy of
            ``model``); None: the model's own. Success is always judged on ``model``.
    """
    if isinstance(attack, Clean):
        return x
    if threat is None:
        raise RobustlibError(f"threat is missing for the attack {attack}; give a LinfBall or an L2Ball")
    if isinstance(attack, Noise):
        return uniform_noise(model, x, y, threat, generator=generator)
    if isinstance(attack, Fgsm):
        return fgsm(
            model, x, y, threat, random_step=attack.random_step, generator=generator, surrogate=surrogate
        )
    target = None
    if attack.targeted:
        with torch.no_grad():
            classes = model(x[:1]).shape[1]
        target = random_targets(y, classes, generator=generator)
    return pgd(
        model,
        x,
        y,
        threat,
        steps=attack.steps,
        step_size=attack.step_size,
        restarts=attack.restarts,
        loss=attack.loss,
        kappa=attack.kappa,
        target=target,
        generator=generator,
        surrogate=surrogate,
    )
