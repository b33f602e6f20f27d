"""Functions that run an attack from its description, and the descriptions of all attacks of this package."""

from __future__ import annotations

import dataclasses
import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..batches import per_example
from ..errors import RobustlibError, suggest
from ..registry import spec, subclasses
from ..threat import Ball, Domain, ball
from ._model import look
from .apgd import Apgd
from .autoattack import AutoAttack
from .boundary import Boundary
from .carlini_wagner import CarliniWagner
from .contract import under_contract
from .deepfool import DeepFool
from .description import Attack, Description, MinimumNorm
from .fab import Fab
from .fgsm import Fgsm
from .jsma import Jsma
from .lbfgs import Lbfgs
from .momentum import MiFgsm
from .noise import Noise
from .pgd import Pgd
from .square import Square


@spec
@dataclass(frozen=True)
class Clean(Attack):
    """No perturbation."""

    protocol: int = 1

    @property
    def passes(self) -> float:
        return 0.0


def random_targets(y: Tensor, classes: int, *, generator: torch.Generator) -> Tensor:
    """(N,) classes drawn uniformly among those that are not y."""
    shift = torch.randint(1, classes, y.shape, generator=generator, device=y.device)
    return (y + shift) % classes


def check_description(attack: object, kind: type[Description] = Description) -> None:
    """Raise RobustlibError unless the attack is a description of that kind."""
    if isinstance(attack, kind):
        return
    known = {each.__name__: each for each in subclasses(kind)}
    form = "give a description such as Pgd(steps=20, step_size=0.01) or Fgsm(), from robustlib.attacks.suite"
    if isinstance(attack, type) and attack in known.values():
        raise RobustlibError(f"attack={attack.__name__} is a class; {form}")
    if isinstance(attack, str):
        named = {name.lower(): name for name in known}
        raise RobustlibError(f"{suggest('attack', named.get(attack.lower(), attack), known)}; {form}")
    raise RobustlibError(f"attack={attack!r} is none of {', '.join(known)}; {form}")


ABSOLUTE = 1e-3
"""Logits by which another class must lead in protocol 1 of some attacks, whatever the logits' units. Records measured
so keep that protocol, and it keeps its numbers; protocol 2 requires more than rounding. In protocol 3 of C&W signed
steps shorten."""


def _call(attack: Description, *args: Any, **context: Any) -> Tensor:
    """The attack's own function, with its fields and as much of the context as the function takes."""
    knobs = {f.name: getattr(attack, f.name) for f in dataclasses.fields(attack)} | context  # type: ignore[arg-type]
    known = inspect.signature(attack.function).parameters
    if knobs["protocol"] < attack.oldest:
        raise RobustlibError(
            f"protocol={knobs['protocol']} of {type(attack).__name__} is run no longer; take protocol {attack.oldest}"
        )
    if knobs["protocol"] == 1:
        knobs["lead"] = ABSOLUTE
    if knobs["protocol"] < 3:
        knobs["shorten"] = False
    return attack.function(*args, **{name: value for name, value in knobs.items() if name in known})


@under_contract
def run_targeted(attack: Jsma, model: nn.Module, x: Tensor, y: Tensor, target: Tensor, *, domain: Domain) -> Tensor:
    """(N, ...) points classified as ``target``, or x itself where the attempt failed."""
    check_description(attack, Jsma)
    return _call(attack, model, x, y, target=target, domain=domain)


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
    check_description(attack, MinimumNorm)
    ball(norm, 0.0, domain)  # an attack that knows one norm only takes no other's name
    return _call(attack, model, x, y, norm=norm, domain=domain, generator=generator)


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
        threat: ball that the points must stay in; None only for :class:`Clean`.
        generator: every random choice of the attack.
        surrogate: network whose gradients steer the attack (a transfer source, or a low-precision copy of
            ``model``); None: the model's own. Success is judged on ``model``; PGD with ``best_by="loss"`` asks it of no
            end point.
        last_iterate: count the last iterates of noise, FGSM, PGD and MI-FGSM as they are, as the papers' code does,
            even where they put right an input that was misclassified.

    Raises:
        RobustlibError: the attack is no description, or the call's arguments do not fit.
    """
    check_description(attack, Attack)
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
        near = _call(attack, model, x, y, **context)
        return torch.where(per_example(threat.contains(near, x, slack=0.0), x), near, x)
    context = {"generator": generator, "surrogate": surrogate, "last_iterate": last_iterate}
    if getattr(attack, "targeted", False) and len(x):
        context["target"] = random_targets(y, look(model, None, x, y, rows=1).shape[1], generator=generator)
    return _call(attack, model, x, y, threat, **context)


__all__ = [
    "Apgd",
    "Attack",
    "AutoAttack",
    "Boundary",
    "CarliniWagner",
    "Clean",
    "DeepFool",
    "Fab",
    "Fgsm",
    "Jsma",
    "Lbfgs",
    "MiFgsm",
    "MinimumNorm",
    "Noise",
    "Pgd",
    "Square",
    "check_description",
    "find_nearest",
    "random_targets",
    "run_attack",
    "run_targeted",
]
