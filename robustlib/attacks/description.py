"""Descriptions of attacks: frozen dataclasses that can be part of an evaluation's key.

A description carries what belongs to the attack and nothing of the model, the data or the threat. Its fields are
keyword arguments of its ``function``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import ClassVar, Self

from torch import Tensor

from ..budget import Budget


class Description:
    """Base of every attack's description: in the module of its function, registered with ``@spec``."""

    function: ClassVar[Callable[..., Tensor]]
    """The attack itself; a ``staticmethod``."""
    oldest: ClassVar[int] = 1
    """The first protocol that can still be run; earlier ones are read, in records and keys."""

    @property
    def passes(self) -> float:
        """Upper bound on the cost for one example, in forward passes; a backward to the input counts as one."""
        raise NotImplementedError

    def within(self, budget: Budget) -> Self:
        """Itself, within upper limits on its effort."""
        return self


class Attack(Description):
    """An attack within a threat's ball, as :func:`robustlib.attacks.suite.run_attack` runs it."""


class MinimumNorm(Attack):
    """An attack that looks for the nearest point of another class."""


def raised(protocol: int = 2) -> int:
    """A later protocol of an attack whose first one has records: their keys stay as they are."""
    number: int = dataclasses.field(default=protocol, metadata={"unkeyed": 1})
    return number
