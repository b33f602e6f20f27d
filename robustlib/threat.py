"""Threat models: norm balls around an input, cut with the domain that inputs live in.

This is the one module that knows about norms. Attacks ask a threat for a random start, a steepest
step and a projection; certificates ask for its radius and its domain. All tensors have the batch in
front; radii are in the units of the domain.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import torch
from torch import Tensor

from .errors import RobustlibError, suggest

Domain = tuple[float, float]


def parse_number(
    value: object, *, name: str = "eps", above: float | None = None, least: float | None = None
) -> float:
    """A finite number from a float, an int or text such as ``"8/255"``.

    Args:
        value: what was given.
        name: of the argument, for messages.
        above, least: bounds that the number must exceed, or must reach.

    Raises:
        RobustlibError: the value is a bool, not a number, NaN, infinite or below its bound.
    """
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str | Fraction):
            raise ValueError
        number = float(Fraction(value.replace(" ", ""))) if isinstance(value, str) else float(value)
    except (ValueError, ZeroDivisionError):
        raise RobustlibError(f"{name}={value!r} is not a number; give one such as 0.3 or '8/255'") from None
    if not math.isfinite(number):
        raise RobustlibError(f"{name}={value!r} is not finite; give a number such as 0.3 or '8/255'")
    if above is not None and number <= above:
        raise RobustlibError(f"{name}={value!r} is too small; give a number above {above:g}")
    if least is not None and number < least:
        raise RobustlibError(f"{name}={value!r} is too small; give {least:g} or more")
    return number


def check_labels(x: Tensor, y: Tensor, *, name: str = "y", classes: int | None = None) -> None:
    """Raise RobustlibError unless y holds one int64 class, from 0 and below ``classes``, for each row of x."""
    if x.dim() < 2:
        raise RobustlibError(f"x has shape {tuple(x.shape)}; give a batch, (N, ...)")
    if y.dtype != torch.int64 or y.shape != x.shape[:1]:
        raise RobustlibError(f"{name} has shape {tuple(y.shape)} and dtype {y.dtype}; give {len(x)} int64 class labels")
    if y.numel() and int(y.min()) < 0:
        raise RobustlibError(f"{name} holds the label {int(y.min())}; labels start at 0")
    if y.numel() and classes is not None and int(y.max()) >= classes:
        raise RobustlibError(f"{name} holds the label {int(y.max())}; the model has {classes} classes")


def _per_example(values: Tensor, like: Tensor) -> Tensor:
    """(N,) values shaped to broadcast over ``like`` (N, ...)."""
    return values.view(-1, *[1] * (like.dim() - 1))


@dataclass(frozen=True)
class Ball(ABC):
    """All x' within ``eps`` of x that also lie in ``domain`` (no domain: unclipped).

    Args:
        eps: radius, >= 0, in the domain's units; text such as ``"8/255"`` is accepted.
        domain: (lo, hi) that every coordinate stays in, or None.

    Raises:
        RobustlibError: eps negative, not finite or wider than the domain; an empty domain.
    """

    eps: float
    domain: Domain | None = (0.0, 1.0)

    norm: ClassVar[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "eps", parse_number(self.eps))
        if self.eps < 0:
            raise RobustlibError(f"eps={self.eps} is negative; a perturbation budget is 0 or more")
        if self.domain is not None:
            lo, hi = (parse_number(edge, name="domain") for edge in self.domain)
            if not lo < hi:
                raise RobustlibError(f"domain=({lo}, {hi}) is empty; give (low, high) with low < high")
            object.__setattr__(self, "domain", (lo, hi))
            self._check_width(hi - lo)

    def _check_width(self, width: float) -> None:
        """Norms whose radius compares with a coordinate's range refuse one beyond it; others accept any."""
        return

    def check_inputs(self, x: Tensor) -> None:
        """Raise RobustlibError unless x is a floating batch whose values are finite and in the domain."""
        if not x.is_floating_point():
            raise RobustlibError(f"x has dtype {x.dtype}; give floating inputs in the domain {self.domain}")
        if x.numel() == 0:
            return
        low, high = float(x.min()), float(x.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise RobustlibError("x holds values that are not finite; clean the inputs first")
        if self.domain is not None and (low < self.domain[0] or high > self.domain[1]):
            raise RobustlibError(
                f"x lies in [{low:g}, {high:g}], outside the threat's domain {self.domain}; "
                "rescale the inputs or give the threat their domain"
            )

    def clip(self, x: Tensor) -> Tensor:
        """X cut to the domain."""
        return x if self.domain is None else x.clamp(*self.domain)

    @abstractmethod
    def length(self, delta: Tensor) -> Tensor:
        """(N,) norms of a batch of perturbations."""

    @abstractmethod
    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        """The ball around x first, then the domain: the order of the papers' own code."""

    @abstractmethod
    def random_start(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        """A point drawn uniformly from the ball around x, cut to the domain."""

    @abstractmethod
    def steepest(self, gradient: Tensor) -> Tensor:
        """The direction of unit norm along which a linear function with this gradient grows fastest."""

    def contains(self, x_adv: Tensor, x: Tensor, *, slack: float = 1e-6) -> Tensor:
        """(N,) bool: x_adv within eps (1 + slack) + slack of x and, within slack, in the domain. In float64."""
        delta = x_adv.double() - x.double()
        inside = self.length(delta) <= self.eps * (1 + slack) + slack
        if self.domain is not None:
            flat = x_adv.double().flatten(1)
            lo, hi = self.domain
            inside &= ((flat >= lo - slack) & (flat <= hi + slack)).all(1)
        return inside


@dataclass(frozen=True)
class LinfBall(Ball):
    """Every coordinate within eps of the input's."""

    norm: ClassVar[str] = "linf"

    def _check_width(self, width: float) -> None:
        if self.eps > width:
            raise RobustlibError(
                f"eps={self.eps:g} is wider than the domain {self.domain}; "
                "give it in the domain's units (8/255, not 8, on [0, 1])"
            )

    def length(self, delta: Tensor) -> Tensor:
        return delta.flatten(1).abs().amax(1) if delta.numel() else delta.new_zeros(len(delta))

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        return self.clip(torch.minimum(torch.maximum(x_adv, x - self.eps), x + self.eps))

    def random_start(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        noise = torch.empty_like(x).uniform_(-self.eps, self.eps, generator=generator)
        return self.clip(x + noise)

    def steepest(self, gradient: Tensor) -> Tensor:
        return gradient.sign()


@dataclass(frozen=True)
class L2Ball(Ball):
    """Euclidean distance at most eps."""

    norm: ClassVar[str] = "l2"

    def length(self, delta: Tensor) -> Tensor:
        return delta.flatten(1).norm(dim=1)

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        delta = x_adv - x
        factor = (self.eps / self.length(delta).clamp_min(1e-12)).clamp_max(1.0)
        return self.clip(x + delta * _per_example(factor, delta))

    def random_start(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        noise = torch.empty_like(x).normal_(generator=generator)
        radius = torch.empty(len(x), device=x.device, dtype=x.dtype).uniform_(generator=generator)
        # Uniform in the ball: the radius' distribution function is r^d.
        radius = self.eps * radius ** (1.0 / max(1, x[:1].numel()))
        return self.clip(x + noise * _per_example(radius / self.length(noise).clamp_min(1e-12), noise))

    def steepest(self, gradient: Tensor) -> Tensor:
        return gradient / _per_example(self.length(gradient).clamp_min(1e-12), gradient)


@dataclass(frozen=True)
class FeatureBox(Ball):
    """Every feature within ``eps`` times its own budget of the input's: what each of them costs to edit.

    Args:
        budgets: for each feature how far it may move at eps = 1, in the domain's units; 0 for what cannot be changed.

    Raises RobustlibError: no budgets, or a negative one; inputs with another number of features.
    """

    budgets: tuple[float, ...] = ()

    norm: ClassVar[str] = "box"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.budgets or any(not 0 <= budget < math.inf for budget in self.budgets):
            raise RobustlibError(f"budgets={self.budgets} of a FeatureBox; give one number of 0 or more a feature")

    def _widths(self, x: Tensor) -> Tensor:
        if x.shape[1:] != (len(self.budgets),):
            raise RobustlibError(f"inputs of shape {tuple(x.shape)} and {len(self.budgets)} budgets do not fit")
        return torch.tensor(self.budgets, dtype=x.dtype, device=x.device)

    def length(self, delta: Tensor) -> Tensor:
        # Where nothing may move, a move of any size is infinitely long.
        return torch.where(delta == 0, delta.new_zeros(()), delta.abs() / self._widths(delta)).amax(1)

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        reach = self.eps * self._widths(x)
        return self.clip(torch.minimum(torch.maximum(x_adv, x - reach), x + reach))

    def random_start(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        noise = torch.empty_like(x).uniform_(-self.eps, self.eps, generator=generator)
        return self.clip(x + noise * self._widths(x))

    def steepest(self, gradient: Tensor) -> Tensor:
        return gradient.sign() * self._widths(gradient)


BALLS: dict[str, type[Ball]] = {"linf": LinfBall, "l2": L2Ball}


def ball(norm: str, eps: float, domain: Domain | None = (0.0, 1.0)) -> Ball:
    """The ball of that norm: ``ball("linf", 0.3)``.

    Raises:
        RobustlibError: unknown norm, or as :class:`Ball`.
    """
    if norm not in BALLS:
        raise RobustlibError(suggest("norm", norm, BALLS))
    return BALLS[norm](eps, domain)
