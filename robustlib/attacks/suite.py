"""Attacks as frozen descriptions, and the functions that run a description.

A description carries what belongs to the attack and nothing of the model, the data or the threat, so
that it can be part of an evaluation's key. Its fields are the keyword arguments of the function it names.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..batches import per_example
from ..errors import RobustlibError, suggest
from ..registry import spec
from ..threat import Ball, Domain, ball
from ._model import look
from .apgd import apgd
from .autoattack import auto_attack
from .boundary import boundary
from .carlini_wagner import carlini_wagner
from .contract import under_contract
from .deepfool import deepfool
from .fab import fab
from .fgsm import fgsm
from .jsma import jsma
from .lbfgs import lbfgs
from .momentum import mi_fgsm
from .noise import uniform_noise
from .pgd import pgd
from .square import square


def _raised() -> int:
    """The second protocol of an attack whose first one has records: their keys stay as they are."""
    protocol: int = dataclasses.field(default=2, metadata={"unkeyed": 1})
    return protocol


@spec
@dataclass(frozen=True)
class Clean:
    """No perturbation."""

    protocol: int = 1


@spec
@dataclass(frozen=True)
class Noise:
    """Uniform noise in the ball."""

    protocol: int = 1


@spec
@dataclass(frozen=True)
class Fgsm:
    """One signed step of full length; see :func:`robustlib.attacks.fgsm`."""

    random_step: float = 0.0
    protocol: int = 1


@spec
@dataclass(frozen=True)
class Pgd:
    """Projected gradient descent; see :func:`robustlib.attacks.pgd`.

    Args:
        steps, step_size, restarts, loss, kappa: as in :func:`robustlib.attacks.pgd`.
        targeted: aim at one class drawn uniformly among the wrong ones for each example.
        random_start: begin at a uniform point of the ball, else at x.
    """

    steps: int
    step_size: float
    restarts: int = 1
    loss: str = "cross_entropy"
    kappa: float = 0.0
    targeted: bool = False
    protocol: int = 1
    random_start: bool = True


@spec
@dataclass(frozen=True)
class MiFgsm:
    """Momentum iterative FGSM; see :func:`robustlib.attacks.mi_fgsm`."""

    steps: int
    step_size: float | None = None
    decay: float = 1.0
    protocol: int = 1


@spec
@dataclass(frozen=True)
class Apgd:
    """Auto-PGD; see :func:`robustlib.attacks.apgd`."""

    steps: int = 100
    restarts: int = 1
    loss: str = "cross_entropy"
    target_classes: int = 0
    protocol: int = 1


@spec
@dataclass(frozen=True)
class Square:
    """Random search on scores; see :func:`robustlib.attacks.square`."""

    queries: int = 5_000
    restarts: int = 1
    protocol: int = 1


@spec
@dataclass(frozen=True)
class AutoAttack:
    """Four attacks in a row; see :func:`robustlib.attacks.auto_attack`."""

    steps: int = 100
    queries: int = 5_000
    target_classes: int = 9
    protocol: int = 1


@spec
@dataclass(frozen=True)
class Boundary:
    """Decision-based boundary attack; see :func:`robustlib.attacks.boundary.boundary`."""

    steps: int
    protocol: int = _raised()


@spec
@dataclass(frozen=True)
class DeepFool:
    """Steps to the nearest linearised boundary; see :func:`robustlib.attacks.deepfool`."""

    steps: int = 50
    overshoot: float = 0.02
    protocol: int = _raised()


@spec
@dataclass(frozen=True)
class CarliniWagner:
    """Penalised minimum norm; see :func:`robustlib.attacks.carlini_wagner`."""

    steps: int = 40
    binary_steps: int = 1
    initial_c: float = 1.0
    kappa: float = 0.0
    lr: float = 0.6
    protocol: int = _raised()


@spec
@dataclass(frozen=True)
class Lbfgs:
    """Quasi-Newton search in the box, for the Euclidean norm; see :func:`robustlib.attacks.lbfgs`."""

    steps: int = 50
    binary_steps: int = 9
    initial_c: float = 0.01
    protocol: int = _raised()


@spec
@dataclass(frozen=True)
class Fab:
    """Fast adaptive boundary attack; see :func:`robustlib.attacks.fab`."""

    steps: int = 100
    target_classes: int = 9
    protocol: int = 1


@spec
@dataclass(frozen=True)
class Jsma:
    """Few features, changed fully, towards a class; see :func:`robustlib.attacks.jsma`.

    Args:
        features, fill, outputs, temperature, pairs: as there. "logits", or on softmax outputs the temperature that a
            network was distilled at, undoes defensive distillation.
    """

    features: int = 112
    fill: float = 1.0
    outputs: str = "softmax"
    temperature: float = 1.0
    pairs: bool = True
    protocol: int = _raised()


MinimumNorm = Boundary | DeepFool | CarliniWagner | Lbfgs | Fab
Attack = Clean | Noise | Fgsm | Pgd | MiFgsm | Apgd | Square | AutoAttack | MinimumNorm

WITHIN: dict[type, Callable[..., Tensor]] = {
    Noise: uniform_noise,
    Fgsm: fgsm,
    Pgd: pgd,
    MiFgsm: mi_fgsm,
    Apgd: apgd,
    Square: square,
    AutoAttack: auto_attack,
}
NEAREST: dict[type, Callable[..., Tensor]] = {
    Boundary: boundary,
    DeepFool: deepfool,
    CarliniWagner: carlini_wagner,
    Lbfgs: lbfgs,
    Fab: fab,
}


def random_targets(y: Tensor, classes: int, *, generator: torch.Generator) -> Tensor:
    """(N,) classes drawn uniformly among those that are not y."""
    shift = torch.randint(1, classes, y.shape, generator=generator, device=y.device)
    return (y + shift) % classes


UNTARGETED: tuple[type, ...] = (Clean, *WITHIN, *NEAREST)
"""What :func:`run_attack` runs."""
DESCRIPTIONS: dict[str, type] = {kind.__name__: kind for kind in (*UNTARGETED, Jsma)}


def check_description(attack: object, *kinds: type) -> None:
    """Raise RobustlibError unless the attack is a description, of one of these kinds if any are given."""
    known = {name: kind for name, kind in DESCRIPTIONS.items() if not kinds or kind in kinds}
    if type(attack) in known.values():
        return
    form = "give a description such as Pgd(steps=20, step_size=0.01) or Fgsm(), from robustlib.attacks.suite"
    if isinstance(attack, type) and attack in known.values():
        raise RobustlibError(f"attack={attack.__name__} is a class; {form}")
    if isinstance(attack, str):
        named = {name.lower(): name for name in known}
        raise RobustlibError(f"{suggest('attack', named.get(attack.lower(), attack), known)}; {form}")
    raise RobustlibError(f"attack={attack!r} is none of {', '.join(known)}; {form}")


def passes(attack: Attack | Jsma) -> float:
    """Upper bound on an attack's cost for one example, in forward passes; a backward to the input counts as one."""
    check_description(attack)
    match attack:
        case Clean() | Noise():
            return 0.0
        case Fgsm():
            return 2.0
        case Pgd(steps=steps, restarts=restarts):
            return 2.0 * steps * restarts
        case Apgd(steps=steps, restarts=restarts, target_classes=targets):
            return 2.0 * (steps + 1) * restarts * max(1, targets)
        case Square(queries=queries, restarts=restarts):
            return float(queries * restarts)
        case AutoAttack(steps=steps, queries=queries, target_classes=targets):
            return 2.0 * (steps + 1) * (1 + targets) + 3.0 * steps * targets + queries
        case MiFgsm(steps=steps):
            return 2.0 * steps
        case Jsma(features=features, outputs=outputs, pairs=pairs):
            return (2.0 if outputs == "softmax" else 3.0) * (features // (2 if pairs else 1))
        case Boundary(steps=steps):
            return float(steps)
        case DeepFool(steps=steps):
            return 11.0 * steps
        case Fab(steps=steps, target_classes=targets):
            return 3.0 * steps * targets
        case CarliniWagner(steps=steps, binary_steps=rounds) | Lbfgs(steps=steps, binary_steps=rounds):
            return 2.0 * steps * rounds


ABSOLUTE = 1e-3
"""Logits by which protocol 1 of some attacks asked another class to lead, whatever the logits' units. Records that were
measured so keep that protocol, and it keeps its numbers; protocol 2 asks for more than rounding."""


def _call(function: Callable[..., Tensor], attack: Attack | Jsma, *args: Any, **context: Any) -> Tensor:
    """The attack's own function, with its fields and as much of the context as the function takes."""
    knobs = {f.name: getattr(attack, f.name) for f in dataclasses.fields(attack)} | context
    known = inspect.signature(function).parameters
    if attack.protocol == 1:
        knobs["lead"] = ABSOLUTE
    return function(*args, **{name: value for name, value in knobs.items() if name in known})


@under_contract
def run_targeted(attack: Jsma, model: nn.Module, x: Tensor, y: Tensor, target: Tensor, *, domain: Domain) -> Tensor:
    """(N, ...) points classified as ``target``, or x itself where the attempt failed."""
    check_description(attack, Jsma)
    return _call(jsma, attack, model, x, y, target=target, domain=domain)


@under_contract
def find_nearest(
    attack: MinimumNorm,
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    norm: str,
    domain: Domain,
    generator: torch.Generator,
) -> Tensor:
    """(N, ...) points of another class near x, as a minimum-norm attack finds them; x itself where it finds none."""
    check_description(attack, *NEAREST)
    ball(norm, 0.0, domain)  # an attack that knows one norm only takes no other's name
    return _call(NEAREST[type(attack)], attack, model, x, y, norm=norm, domain=domain, generator=generator)


@under_contract
def run_attack(
    attack: Attack,
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Ball | None,
    *,
    generator: torch.Generator,
    surrogate: nn.Module | None = None,
    last_iterate: bool = False,
) -> Tensor:
    """Adversarial inputs for one batch; an input that is misclassified to begin with is returned as it is.

    Args:
        attack: the description. Of a minimum-norm attack only the points inside the threat count; the others
            are returned as they were.
        model: the network under attack, in eval mode.
        x: (N, ...) inputs in the threat's domain.
        y: (N,) int64 labels.
        threat: what is allowed; None only for :class:`Clean`.
        generator: every random choice of the attack.
        surrogate: network whose gradients steer the attack (a transfer source, or a low-precision copy of
            ``model``); None: the model's own. Success is always judged on ``model``.
        last_iterate: count the last iterates of noise, FGSM, PGD and MI-FGSM as they are, as the papers' code does,
            even where they put right an input that was misclassified.

    Raises:
        RobustlibError: the attack is no description, or the call's arguments do not fit.
    """
    check_description(attack, *UNTARGETED)
    if isinstance(attack, Clean):
        return x
    if threat is None:
        raise RobustlibError(f"threat is missing for the attack {attack}; give a LinfBall or an L2Ball")
    if isinstance(attack, MinimumNorm):
        if threat.domain is None:
            raise RobustlibError(f"the threat of {attack} has no domain, in which it searches; give (lo, hi)")
        context: dict[str, Any] = {
            "norm": threat.norm,
            "domain": threat.domain,
            "generator": generator,
            "surrogate": surrogate,
        }
        near = _call(NEAREST[type(attack)], attack, model, x, y, **context)
        return torch.where(per_example(threat.contains(near, x, slack=0.0), x), near, x)
    context = {"generator": generator, "surrogate": surrogate, "last_iterate": last_iterate}
    if isinstance(attack, Pgd) and attack.targeted and len(x):
        context["target"] = random_targets(y, look(model, None, x, y, rows=1).shape[1], generator=generator)
    return _call(WITHIN[type(attack)], attack, model, x, y, threat, **context)
