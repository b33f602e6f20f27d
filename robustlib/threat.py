"""Threat models: norm balls around an input, cut with the domain that inputs live in.

This is the one module that knows about norms. Attacks ask a threat for a random start, a steepest
step and a projection; certificates ask for its radius and its domain. All tensors have the batch in
front; radii are in the units of the domain.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from numbers import Real
from typing import ClassVar

import torch
from torch import Tensor

from .batches import drawn, levelled, per_example, unit
from .errors import RobustlibError, suggest
from .registry import spec

Domain = tuple[float, float]

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Precisions that inputs may have."""
OUTSIDE = 4
"""Machine epsilons of x's dtype, times the domain's largest edge, by which rounding may have put x outside."""
SLACK = 1e-6
"""Share of the domain's largest edge by which float32 rounding may move a point beyond its ball."""


def parse_number(value: object, *, name: str = "eps", above: float | None = None, least: float | None = None) -> float:
    """A finite number from a float, an int, a NumPy scalar or text such as ``"8/255"``.

    Args:
        value: the value as given.
        name: of the argument, for messages.
        above, least: bounds that the number must exceed, or must reach.

    Raises:
        RobustlibError: the value is a bool, not a number, NaN, infinite or below its bound.
    """
    try:
        if isinstance(value, bool) or not isinstance(value, Real | str):
            raise ValueError
        number = float(Fraction(value.replace(" ", ""))) if isinstance(value, str) else float(value)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise RobustlibError(f"{name}={value!r} is not a number; give one such as 0.3 or '8/255'") from None
    if not math.isfinite(number):
        raise RobustlibError(f"{name}={value!r} is not finite; give a number such as 0.3 or '8/255'")
    if above is not None and number <= above:
        raise RobustlibError(f"{name}={value!r} is too small; give a number above {above:g}")
    if least is not None and number < least:
        raise RobustlibError(f"{name}={value!r} is too small; give {least:g} or more")
    return number


def check_tensor(value: object, *, name: str) -> None:
    """Raise RobustlibError unless the value is a dense tensor; of an array or a list the message shows the remedy."""
    if not isinstance(value, Tensor):
        kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
        remedy = f"torch.from_numpy({name})" if kind == "numpy.ndarray" else f"torch.as_tensor({name})"
        raise RobustlibError(f"{name} is a {kind}; give a tensor, such as {remedy}")
    if value.layout != torch.strided:
        raise RobustlibError(f"{name} has the layout {value.layout}; give a dense tensor, such as {name}.to_dense()")


def check_labels(x: Tensor, y: Tensor, *, name: str = "y", classes: int | None = None) -> None:
    """Raise RobustlibError unless y holds one int64 class, from 0 and below ``classes``, for each row of x."""
    check_tensor(x, name="x")
    check_tensor(y, name=name)
    if x.dim() < 2:
        raise RobustlibError(f"x has shape {tuple(x.shape)}; give a batch, (N, ...)")
    if y.device != x.device:
        raise RobustlibError(f"{name} is on {y.device} and x on {x.device}; move one, such as {name}.to(x.device)")
    if y.dtype != torch.int64 or y.shape != x.shape[:1]:
        raise RobustlibError(f"{name} has shape {tuple(y.shape)} and dtype {y.dtype}; give {len(x)} int64 class labels")
    if y.numel() and int(y.min()) < 0:
        raise RobustlibError(f"{name} holds the label {int(y.min())}; labels start at 0")
    if y.numel() and classes is not None and int(y.max()) >= classes:
        raise RobustlibError(f"{name} holds the label {int(y.max())}; the model has {classes} classes")


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
            lo, hi = _edges(self.domain)
            if not lo < hi:
                raise RobustlibError(f"domain=({lo}, {hi}) is empty; give (low, high) with low < high")
            object.__setattr__(self, "domain", (lo, hi))
            self._check_width(hi - lo)

    def _check_width(self, width: float) -> None:
        """Norms whose radius compares with a coordinate's range refuse one beyond it; others accept any."""
        return

    def _check_size(self, x: Tensor) -> None:
        """Norms whose radius compares with the whole input's range refuse one beyond it; others accept any."""
        return

    def check_inputs(self, x: Tensor) -> None:
        """Raise RobustlibError unless x is a floating batch, finite, in the domain, of a size that fits eps."""
        self._check_outside(x, 0.0)

    def within_rounding(self, x: Tensor) -> Tensor:
        """X itself, or cut to the domain where rounding put it a few ulps outside; else as :meth:`check_inputs`."""
        low, high = self.domain or (0.0, 0.0)
        check_tensor(x, name="x")
        eps = torch.finfo(x.dtype).eps if x.is_floating_point() else 0.0
        self._check_outside(x, OUTSIDE * eps * max(abs(low), abs(high)))
        return self.clip(x)

    def _check_outside(self, x: Tensor, forgiven: float) -> None:
        check_tensor(x, name="x")
        if x.dtype not in DTYPES:
            names = ", ".join(str(kind).removeprefix("torch.") for kind in DTYPES)
            raise RobustlibError(f"x has dtype {x.dtype}; give floating inputs ({names}) in the domain {self.domain}")
        if x.numel() == 0:
            return
        low, high = float(x.detach().min()), float(x.detach().max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise RobustlibError("x holds values that are not finite; clean the inputs first")
        if self.domain is not None:
            # In x's own dtype, which may not hold the edges exactly.
            lo, hi = torch.tensor(self.domain, dtype=x.dtype, device="cpu").tolist()
            excess = max(lo - low, high - hi)
            if excess > forgiven:
                raise RobustlibError(
                    f"x lies in [{low:.9g}, {high:.9g}], {excess:.3g} outside the threat's domain {self.domain}; "
                    "rescale the inputs or give the threat their domain"
                )
        self._check_size(x)

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

    def _spread(self, features: int) -> float:
        """Greatest growth of a perturbation's norm when every coordinate is off by one: 1 in l_inf."""
        return 1.0

    def contains(self, x_adv: Tensor, x: Tensor, *, slack: float | None = None) -> Tensor:
        """(N,) bool: x_adv within eps (1 + slack) + slack of x and, within slack, in the domain. In float64.

        Args:
            x_adv, x: (N, ...) points and the centres of their balls.
            slack: None: ``SLACK`` of the domain's largest edge (without a domain, of 1); in half precision one ulp
                there in each coordinate.
        """
        away = SLACK if slack is None else slack
        if slack is None:
            size = 1.0 if self.domain is None else max(map(abs, self.domain))
            coarse = max(torch.finfo(points.dtype).eps for points in (x_adv, x))
            if coarse > torch.finfo(torch.float32).eps:
                away = max(away, coarse * self._spread(x[:1].numel()))
            away *= size
        delta = x_adv.double() - x.double()
        inside = self.length(delta) <= self.eps * (1 + (SLACK if slack is None else slack)) + away
        if self.domain is not None:
            flat = x_adv.double().flatten(1)
            low, high = x_adv.new_tensor(self.domain).tolist()
            inside &= ((flat >= low - away) & (flat <= high + away)).all(1)
        return inside


def _edges(domain: object) -> Domain:
    if isinstance(domain, str) or not isinstance(domain, Iterable) or len(edges := tuple(domain)) != 2:
        raise RobustlibError(f"domain={domain!r} is no pair; give (low, high), or None for no bounds")
    return parse_number(edges[0], name="domain"), parse_number(edges[1], name="domain")


@spec
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
        return self.clip(x + drawn(x).uniform_(-self.eps, self.eps, generator=generator))

    def steepest(self, gradient: Tensor) -> Tensor:
        return gradient.sign()


@spec
@dataclass(frozen=True)
class L2Ball(Ball):
    """Euclidean distance at most eps."""

    norm: ClassVar[str] = "l2"

    def _check_size(self, x: Tensor) -> None:
        if self.domain is None:
            return
        diagonal = (self.domain[1] - self.domain[0]) * x[0].numel() ** 0.5
        if self.eps > diagonal * (1 + SLACK):
            raise RobustlibError(
                f"eps={self.eps:g} is longer than the diagonal {diagonal:g} of the domain {self.domain} for inputs of "
                f"{x[0].numel()} numbers; give it in the domain's units (128/255, not 128, on [0, 1])"
            )

    def _spread(self, features: int) -> float:
        return features**0.5

    def length(self, delta: Tensor) -> Tensor:
        flat, lift, factor = levelled(delta)
        return (flat.norm(dim=1) / factor / lift).to(delta.dtype)

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        delta = x_adv - x
        length = self.length(delta)
        factor = torch.where(length > self.eps, self.eps / length, 1.0).to(length.dtype)
        return self.clip(x + delta * per_example(factor, delta))

    def random_start(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        noise = drawn(x).normal_(generator=generator)
        radius = torch.empty(len(x), device=x.device, dtype=x.dtype).uniform_(generator=generator)
        # Uniform in the ball: the radius' distribution function is r^d.
        radius = self.eps * radius ** (1.0 / max(1, x[:1].numel()))
        length = self.length(noise)
        share = radius / torch.where(length > 0, length, 1.0).to(length.dtype)
        return self.clip(x + noise * per_example(share, noise))

    def steepest(self, gradient: Tensor) -> Tensor:
        return unit(gradient)


@spec
@dataclass(frozen=True)
class FeatureBox(Ball):
    """Every feature within ``eps`` times its own budget of the input's; the cheaper its edits, the larger the budget.

    Args:
        budgets: how far each feature may move at eps = 1, in the domain's units; 0 for one that cannot be changed.

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
        noise = drawn(x).uniform_(-self.eps, self.eps, generator=generator)
        return self.clip(x + noise * self._widths(x))

    def steepest(self, gradient: Tensor) -> Tensor:
        return gradient.sign() * self._widths(gradient)


BALLS: dict[str, type[Ball]] = {"linf": LinfBall, "l2": L2Ball}


def ball(norm: str, eps: float, domain: Domain | None = (0.0, 1.0)) -> Ball:
    """The ball of that norm: ``ball("linf", 0.3)``.

    Raises:
        RobustlibError: unknown norm, or as :class:`Ball`.
    """
    if not isinstance(norm, str) or norm not in BALLS:
        raise RobustlibError(suggest("norm", norm, BALLS))
    return BALLS[norm](eps, domain)
