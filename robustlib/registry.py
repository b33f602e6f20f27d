"""The registry of specifications: frozen dataclasses that keys hash and records hold, by their tags."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

from .errors import RobustlibError, suggest

T = TypeVar("T", bound=type)
_CLASSES: dict[str, type] = {}
_MARKED: set[type] = set()


def spec(cls: T) -> T:
    """Register a frozen dataclass as a part of specifications, under its ``tag`` or else its class name.

    Raises:
        TypeError: no frozen dataclass, or a tag that another class has.
    """
    tag = tag_of(cls)
    if not dataclasses.is_dataclass(cls) or not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise TypeError(f"{cls.__name__} is no frozen dataclass; put @spec above @dataclass(frozen=True)")
    known = _CLASSES.setdefault(tag, cls)
    if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise TypeError(f"tag {tag!r} of {cls.__module__} is that of {known.__module__}; give one a tag of its own")
    # A module that is loaded again replaces its classes.
    _CLASSES[tag] = cls
    _MARKED.add(cls)
    return cls


def tag_of(cls: type) -> str:
    """Name under which keys and records know a class: its ``tag``, or else its class name."""
    return str(getattr(cls, "tag", cls.__name__))


def registered(cls: type) -> bool:
    """True where a class is registered as a part of specifications."""
    return cls in _MARKED


def class_of(tag: object) -> type:
    """The class of that tag.

    Raises:
        RobustlibError: no class has it, with the nearest tag that one has.
    """
    if not isinstance(tag, str) or tag not in _CLASSES:
        raise RobustlibError(suggest("specification type", tag, _CLASSES))
    return _CLASSES[tag]


def subclasses(base: type) -> tuple[type, ...]:
    """Every registered class below ``base``, in the order of registration."""
    return tuple(cls for cls in _CLASSES.values() if issubclass(cls, base))
