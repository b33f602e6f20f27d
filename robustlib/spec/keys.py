"""Keys of networks and evaluations: the first 16 hex digits of a SHA-256 over a canonical form.

The canonical form leaves out fields that hold their default and names each dataclass by its ``tag`` (its
class name unless it says otherwise), so that a new field with a default or a renamed class with its old
tag leaves every key as it was. A default may therefore never change its meaning: raise the component's
``protocol`` instead.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import re
import types
import typing
from collections.abc import Callable
from typing import Any

from ..errors import RobustlibError, suggest
from ..registry import class_of, registered, tag_of


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _default(field: dataclasses.Field[Any]) -> Any:
    """The value at which a field is no part of a key: its default or, where that has moved since, the first one."""
    if "unkeyed" in field.metadata:
        return field.metadata["unkeyed"]
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def describe(value: Any, *, complete: bool = True) -> Any:
    """Plain JSON data for a specification; with ``complete`` False, without fields at their default.

    Raises:
        RobustlibError: something in it is no specification, of the wrong type, or not finite.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        if not registered(type(value)):
            raise RobustlibError(f"{type(value).__name__} is not part of a specification; register it with @spec")
        form = {"type": tag_of(type(value))}
        for field in dataclasses.fields(value):
            # Equal values have one form: an int where a float is meant would otherwise be another key.
            name = f"{form['type']}.{field.name}"
            content = _typed(getattr(value, field.name), _hints(type(value))[field.name], name)
            if complete or content != _default(field):
                form[field.metadata.get("key", field.name)] = describe(content, complete=complete)
        return form
    if isinstance(value, tuple | list):
        return [describe(item, complete=complete) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise RobustlibError(f"{value!r} cannot be part of a specification; give a finite number")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise RobustlibError(f"{value!r} cannot be part of a specification; use numbers, text, tuples and dataclasses")


def key(value: Any) -> str:
    """16 hex digits that name a Network (training key) or an Evaluation (evaluation key)."""
    return _kept(value, "_key", lambda: hashlib.sha256(_canonical(value).encode()).hexdigest()[:16])


def _kept(value: Any, name: str, make: Callable[[], str]) -> str:
    """Keep ``make()`` on a frozen object itself: a chapter asks for the same keys thousands of times.

    Equal objects share nothing: ``seed=True`` equals ``seed=1`` and is refused all the same. An object that holds a
    list could change, so that nothing is kept on it.
    """
    own = getattr(value, "__dict__", None)
    if own and name in own:
        return str(own[name])
    found = make()
    if own and dataclasses.is_dataclass(value) and _hashable(value):
        own[name] = found
    return found


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _canonical(value: Any) -> str:
    """Compact JSON of :func:`describe` without defaults, keys sorted."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _kept(value, "_canonical", lambda: _part(value))
    if isinstance(value, tuple | list):
        return f"[{','.join(map(_canonical, value))}]"
    # As JSON has them; an encoder is made anew for each number.
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return repr(value)
    return _json(describe(value, complete=False))


_json = json.JSONEncoder(allow_nan=False).encode


@functools.cache
def _members_of(cls: Any) -> tuple[tuple[str, str, Any, str, Any], ...]:
    """(attribute, beginning in the form, annotated type, name in messages, default) of each field of a specification.

    In the order of the form, where the tag stands as a field without an attribute.
    """
    found = {
        field.metadata.get("key", field.name): (
            field.name,
            _hints(cls)[field.name],
            f"{tag_of(cls)}.{field.name}",
            _default(field),
        )
        for field in dataclasses.fields(cls)
    }
    found["type"] = ("", None, "", None)
    tag = _json(tag_of(cls))
    return tuple(
        (attribute, f"{_json(name)}:{'' if attribute else tag}", *rest)
        for name, (attribute, *rest) in sorted(found.items())
    )


def _part(value: Any) -> str:
    cls: Any = type(value)
    if not registered(cls):
        describe(value)
    form = []
    for attribute, start, hint, shown, default in _members_of(cls):
        if not attribute:
            form.append(start)
            continue
        content = getattr(value, attribute)
        if type(content) is not hint or hint is float:
            content = _typed(content, hint, shown)
        if content != default:
            form.append(start + _canonical(content))
    return f"{{{','.join(form)}}}"


def parse(form: Any) -> Any:
    """The specification that :func:`describe` wrote down.

    Raises:
        RobustlibError: an unknown type or field, with the nearest known name, or a value that does not fit.
    """
    if isinstance(form, list):
        return tuple(parse(item) for item in form)
    if not isinstance(form, dict):
        return form
    tag = form.get("type")
    cls = class_of(tag)
    fields = {field.metadata.get("key", field.name): field for field in dataclasses.fields(cls)}
    hints = _hints(cls)
    content = {}
    for name, value in form.items():
        if name == "type":
            continue
        if name not in fields:
            raise RobustlibError(suggest(f"{tag} key", name, fields))
        content[fields[name].name] = _typed(parse(value), hints[fields[name].name], f"{tag}.{name}")
    try:
        return cls(**content)
    except TypeError as error:
        raise RobustlibError(f"{tag} cannot be made from {sorted(content)}: {error}") from error


def _typed(value: Any, hint: Any, name: str) -> Any:
    """value, if it is of the annotated type (an int serves as a float); else an error that names the field."""
    if isinstance(value, float) and not math.isfinite(value):
        raise RobustlibError(f"{name}={value!r} is not finite; give a number")
    allowed = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for option in allowed:
        base = typing.get_origin(option) or option
        if base is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if base is tuple and isinstance(value, tuple | list):
            return _members(tuple(value), typing.get_args(option), name)
        if isinstance(base, type) and isinstance(value, base) and not (base is int and isinstance(value, bool)):
            return value
    raise RobustlibError(f"{name}={value!r} has the wrong type; expected {getattr(hint, '__name__', hint)}")


def _members(values: tuple[Any, ...], hints: tuple[Any, ...], name: str) -> tuple[Any, ...]:
    """A tuple's members, each of its annotated type; ``hints`` end in ``...`` where any number may follow."""
    if hints[-1] is Ellipsis:
        hints = hints[:1] * len(values)
    if len(values) != len(hints):
        raise RobustlibError(f"{name}={values!r} has {len(values)} members; give {len(hints)}")
    return tuple(_typed(value, hint, f"{name}[{i}]") for i, (value, hint) in enumerate(zip(values, hints, strict=True)))


def differences(full: Any, other: Any, *, path: str = "") -> list[str]:
    """Field by field, how ``other`` departs from ``full``: ``["schedule.steps: 100000 -> 5500", ...]``."""
    if full == other:
        return []
    if dataclasses.is_dataclass(full) and type(full) is type(other):
        found = []
        for field in dataclasses.fields(full):
            here = f"{path}.{field.name}" if path else field.name
            found += differences(getattr(full, field.name), getattr(other, field.name), path=here)
        return found
    if _several(full) and _several(other) and len(full) == len(other):
        pairs = enumerate(zip(full, other, strict=True))
        return [line for i, pair in pairs for line in differences(*pair, path=f"{path}[{i}]")]
    return [f"{path}: {_short(full)} -> {_short(other)}"]


_RELATIVE = re.compile(r"(subject|measurement)\.((parents|earlier|sources)\[\d+\]\.)+")


def departures(full: Any, other: Any) -> list[str]:
    """The :func:`differences` of two evaluations; those that parents, stages or sources share with it, listed once."""
    lines = differences(full, other)
    own = {line.removeprefix("subject.") for line in lines if not _RELATIVE.match(line)}
    return [line for line in lines if not _RELATIVE.match(line) or _RELATIVE.sub("", line) not in own]


def _several(value: Any) -> bool:
    return isinstance(value, tuple) and any(dataclasses.is_dataclass(part) for part in value)


def _short(value: Any) -> str:
    if _several(value):
        return f"({', '.join(_short(part) for part in value)})"
    if not dataclasses.is_dataclass(value):
        return "whole split" if value is None else str(value)
    if type(value).__str__ is not object.__str__:
        return str(value)
    content = ", ".join(f"{k}={v}" for k, v in describe(value, complete=False).items() if k != "type")
    return f"{type(value).__name__}({content})"


_NETWORK = r"(subject|measurement\.(source|baseline|sources\[\d+\]))(\.(parents|earlier)\[\d+\])*"
_RECIPE = re.compile(rf"{_NETWORK}\.(schedule\.\w+|model\.init|parents|defence\.(eps_warmup|ramp|start))")
"""Fields that say how a network is trained, and neither what it is nor what is measured on it."""
_ARCHITECTURE = re.compile(rf"{_NETWORK}\.(dataset|classes|model)\b")


def is_recipe(deviation: str) -> bool:
    """True where a deviation such as ``"subject.schedule.steps: 900 -> 300"`` is one of the training recipe alone."""
    return _RECIPE.fullmatch(deviation.partition(":")[0]) is not None


def changes_network(deviation: str) -> bool:
    """True where a deviation is one of the network's architecture or data, and not of its training."""
    return _ARCHITECTURE.match(deviation) is not None and not is_recipe(deviation)
