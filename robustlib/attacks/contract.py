"""The contract of every public attack and measurement: checked arguments, gradient modes, form of the result.

Arguments are checked by their annotations and, where the name says more than the type (``x``, ``y``, ``target``), by
name, each before anything runs. The function itself then works on plain tensors: detached, usable by autograd, and in
the domain; seeded draws do not depend on a memory layout (:func:`robustlib.batches.drawn`). Facts that only a forward
pass shows, the number of classes above all, are checked by :func:`robustlib.attacks._model.logits_of`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from itertools import chain
from numbers import Integral
from types import NoneType, UnionType
from typing import Any, ParamSpec, TypeVar, get_args, get_type_hints

import torch
from torch import Tensor, nn

from ..errors import RobustlibError
from ..threat import Ball, Domain, LinfBall, check_labels, check_tensor, parse_number
from ._model import check_eval

P = ParamSpec("P")
R = TypeVar("R")
Points = TypeVar("Points", Tensor, tuple[Tensor, Tensor])

ATTACKS: dict[str, Callable[..., Any]] = {}
"""Every attack under the contract, by its function's name."""


def under_contract(attack: Callable[P, Points]) -> Callable[P, Points]:
    """Decorate a public attack: as :func:`checked`, and points are returned detached, of x's shape and dtype."""

    def handed_back(found: Any, x: Tensor) -> Any:
        return (found[0].detach(), _own(found[1], x, attack)) if isinstance(found, tuple) else _own(found, x, attack)

    ATTACKS[attack.__name__] = call = _guarded(attack, handed_back)
    return call


def _own(found: Tensor, x: Tensor, attack: Callable[..., Any]) -> Tensor:
    if found.shape != x.shape or found.dtype != x.dtype:
        raise RobustlibError(
            f"{attack.__name__} returned {found.dtype} of shape {tuple(found.shape)} for x of {x.dtype} and "
            f"{tuple(x.shape)}; an attack returns points like x"
        )
    found = found.detach()
    return found.clone() if found.data_ptr() == x.data_ptr() else found


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function of a model and inputs: arguments checked, gradients on and inference mode off inside."""
    return _guarded(function, lambda found, _: found)


def _guarded(function: Callable[P, R], handed_back: Callable[[R, Any], R]) -> Callable[P, R]:
    signature = inspect.signature(function)
    kinds = {name: _kind(hint) for name, hint in get_type_hints(function).items()}

    @functools.wraps(function)
    def call(*args: P.args, **knobs: P.kwargs) -> R:
        bound = signature.bind(*args, **knobs)
        bound.apply_defaults()
        with torch.inference_mode(False), torch.enable_grad():
            _check(bound.arguments, kinds)
            return handed_back(function(*bound.args, **bound.kwargs), bound.arguments.get("x"))

    return call


def _kind(hint: Any) -> tuple[Any, bool]:
    """The type that an annotation names, and whether None is allowed."""
    members = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    others = [member for member in members if member is not NoneType]
    return (others[0] if len(others) == 1 else object), len(others) < len(members)


def _check(given: dict[str, Any], kinds: dict[str, tuple[Any, bool]]) -> None:
    """Check every argument under its own name; plain numbers and plain tensors take their places."""
    for name, value in given.items():
        kind, optional = kinds[name]
        if value is None and optional:
            continue
        if kind is nn.Module:
            _check_model(value, name)
        elif kind is Tensor:
            given[name] = _plain(value, name)
        elif kind in NUMBERS:
            given[name] = NUMBERS[kind](value, name)
        elif kind is Ball and not isinstance(value, Ball):
            raise RobustlibError(f"{name}={value!r} is no ball; give one such as LinfBall(0.3) or L2Ball(1.0)")
        elif kind == Domain and value is None:
            raise RobustlibError(f"{name} is missing; the attack searches in it, give (lo, hi) of every coordinate")
        elif kind is torch.Generator and not isinstance(value, torch.Generator):
            raise RobustlibError(f"{name}={value!r} is no generator; give torch.Generator().manual_seed(0)")
    if "x" in given:
        _check_inputs(given)


def _check_inputs(given: dict[str, Any]) -> None:
    x, generator = given["x"], given.get("generator")
    threat = given.get("threat") or LinfBall(0.0, given.get("domain"))
    if "domain" in given:
        given["domain"] = threat.domain
    given["x"] = x = threat.within_rounding(x)
    for name in {"y", "target"} & given.keys():
        if given[name] is not None:
            check_labels(x, given[name], name=name)
    if x.dim() > 1 and len(x) and x[0].numel() == 0:
        raise RobustlibError(f"x has shape {tuple(x.shape)}; its inputs hold no numbers")
    if given.get("target") is not None and bool((same := given["target"] == given["y"]).any()):
        rows = same.nonzero().flatten().tolist()
        named = ", ".join(map(str, rows[:5])) + (" and more" if len(rows) > 5 else "")
        raise RobustlibError(f"target equals y in rows {named}; give each row a class that is not its label")
    if generator is not None and generator.device.type != x.device.type:
        raise RobustlibError(
            f"generator is on {generator.device} and x on {x.device}; give torch.Generator({x.device.type!r})"
        )


def _plain(value: object, name: str) -> Tensor:
    check_tensor(value, name=name)
    assert isinstance(value, Tensor)
    # Autograd saves nothing that was made in inference mode, not even a view of it.
    return value.clone() if value.is_inference() else value.detach()


def _check_model(model: object, name: str) -> None:
    if not isinstance(model, nn.Module):
        kind = model.__name__ if isinstance(model, type) else type(model).__name__
        raise RobustlibError(f"{name} is a {kind}; give an nn.Module in eval mode, from inputs to (N, classes) logits")
    check_eval(model, name=name)
    if any(weight.is_inference() for weight in chain(model.parameters(), model.buffers())):
        raise RobustlibError(f"{name} was built or loaded in inference mode; do it outside torch.inference_mode()")


def _whole(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise RobustlibError(f"{name}={value!r}; give a whole number")
    return int(value)


def _number(value: object, name: str) -> float:
    return parse_number(value, name=name)


def _truth(value: object, name: str) -> bool:
    # NumPy's own bool is no bool, but prints, adds and indexes as one.
    if not isinstance(value, bool) and type(value).__name__ not in ("bool", "bool_"):
        raise RobustlibError(f"{name}={value!r}; give True or False")
    return bool(value)


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise RobustlibError(f"{name}={value!r} is no text; give a name")
    return value


NUMBERS: dict[type, Callable[[object, str], object]] = {int: _whole, float: _number, bool: _truth, str: _text}
