"""Activations without corners, each between two parallel lines over an interval.

The lines have the slope of the chord; how far the curve strays from it is found on a grid of the interval, with an
allowance for what lies between two of its points: a function whose derivative changes by at most M for a unit strays
from the chord over a cell of width h by at most M h^2 / 8. (Zhang et al. 2018, "CROWN", section 3.2, bound such
activations by a line on each side as well; their slopes differ.)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from .operations import Relu

CELLS = 32
"""Cells of the grid."""


Size = float | Callable[[Tensor, Tensor], Tensor]
"""A number, or one for each interval [lower, upper]."""


@dataclass(frozen=True)
class Form:
    """What is known of a curve.

    Attributes:
        function: of it.
        steepest: largest size of its derivative.
        curvature: most that its derivative changes for a unit.
        lowest: where it turns from falling to rising; None: it rises throughout.
        step: (where, how high): the only place where it jumps, and no further than this.
        positive: it is there for z > 0 alone; of other intervals nothing is said, in numbers that are none.
        between: least and greatest value over [lower, upper], where it turns more than once.
    """

    function: Callable[[Tensor], Tensor]
    steepest: Size
    curvature: Size
    lowest: float | None = None
    step: tuple[float, float] | None = None
    positive: bool = False
    between: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None


def hard_swish_inside(z: Tensor) -> Tensor:
    """Hardswish between its corners at -3 and 3, z (z + 3) / 6, and beyond them straight on."""
    inner = z.clamp(-3, 3)
    return inner * (inner + 3) / 6 + 1.5 * (z - 3).clamp_min(0) + 0.5 * (-z - 3).clamp_min(0)


def sine_between(lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """Least and greatest value of the sine: 1 where a top lies in [lower, upper], -1 where a bottom does."""
    low, high = lower.sin(), upper.sin()
    ends = []
    for quarter, least, greatest in ((0.75, -1.0, torch.minimum(low, high)), (0.25, 1.0, torch.maximum(low, high))):
        # One that lies beyond by rounding counts.
        turns, off = (end / (2 * math.pi) for end in (lower, upper)), 1e-5 * (1 + lower.abs() + upper.abs())
        first, last = (turn - quarter for turn in turns)
        ends.append(torch.where((first - off).ceil() <= last + off, least, greatest))
    return ends[0], ends[1]


SOFTPLUS_THRESHOLD = 20.0
"""PyTorch's softplus is z itself from here on."""
FORMS = {
    "sigmoid": Form(torch.sigmoid, 0.25, 0.0963),
    "tanh": Form(torch.tanh, 1.0, 0.7699),
    "elu": Form(functional.elu, 1.0, 1.0),
    "silu": Form(functional.silu, 1.1, 0.5, lowest=-1.278464542761074),
    "gelu": Form(functional.gelu, 1.13, 0.798, lowest=-0.7517915246935645),
    "gelu_tanh": Form(partial(functional.gelu, approximate="tanh"), 1.13, 0.8, lowest=-0.7524614220710162),
    "mish": Form(functional.mish, 1.09, 0.645, lowest=-1.1924312145154952),
    # log(1 + e^20) lies 2.07e-9 above 20.
    "softplus": Form(functional.softplus, 1.0, 0.25, step=(SOFTPLUS_THRESHOLD, 2.1e-9)),
    "log_sigmoid": Form(functional.logsigmoid, 1.0, 0.25),
    "erf": Form(torch.erf, 1.1284, 0.968),
    "atan": Form(torch.atan, 1.0, 0.6496),
    "hard_swish_inside": Form(hard_swish_inside, 1.5, 0.33334, lowest=-1.5),
    "sin": Form(torch.sin, 1.0, 1.0, between=sine_between),
    "square": Form(torch.square, lambda low, high: 2 * torch.maximum(low.abs(), high.abs()), 2.0, lowest=0.0),
    "exp": Form(torch.exp, lambda low, high: high.exp(), lambda low, high: high.exp()),
    "log": Form(torch.log, lambda low, high: 1 / low, lambda low, high: low**-2, positive=True),
    "sqrt": Form(torch.sqrt, lambda low, high: low**-0.5 / 2, lambda low, high: low**-1.5 / 4, positive=True),
    "minus_reciprocal": Form(lambda z: -1 / z, lambda low, high: low**-2, lambda low, high: 2 * low**-3, positive=True),
    "minus_rsqrt": Form(
        lambda z: -(z**-0.5), lambda low, high: low**-1.5 / 2, lambda low, high: 0.75 * low**-2.5, positive=True
    ),
}


@dataclass(frozen=True)
class Curve(Relu):
    """One of :data:`FORMS`, elementwise."""

    kind: str

    @property
    def positive(self) -> bool:
        """It is there for z > 0 alone."""
        return FORMS[self.kind].positive

    def forward(self, z: Tensor) -> Tensor:
        return FORMS[self.kind].function(z)

    def _known(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """The interval; no numbers where the curve is not there."""
        if not self.positive:
            return lower, upper
        there = lower > 0
        return torch.where(there, lower, torch.nan), torch.where(there, upper, torch.nan)

    def steepness(self, lower: Tensor, upper: Tensor) -> Tensor | float:
        """Largest size of the derivative over [lower, upper]."""
        steepest = FORMS[self.kind].steepest
        return steepest if isinstance(steepest, float) else steepest(*self._known(lower, upper))

    def _jump(self, lower: Tensor, upper: Tensor) -> Tensor | float:
        """How far the curve jumps in [lower, upper] at most; its argument may be off by rounding."""
        step = FORMS[self.kind].step
        if step is None:
            return 0.0
        where, high = step
        return high * ((lower <= where * (1 + 1e-5)) & (upper >= where * (1 - 1e-5))).to(lower)

    def range_of(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Least and greatest value over [lower, upper]."""
        lower, upper = self._known(lower, upper)
        between = FORMS[self.kind].between
        if between is not None:
            return between(lower, upper)
        low, high, jump = self.forward(lower), self.forward(upper), self._jump(lower, upper)
        turn = FORMS[self.kind].lowest
        if turn is None:
            return low - jump, high + jump
        bottom = torch.where((lower < turn) & (turn < upper), self.forward(torch.full_like(low, turn)), torch.inf)
        return torch.minimum(torch.minimum(low, high), bottom), torch.maximum(low, high)

    def lines(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(slope, under, over): slope z + under <= curve <= slope z + over for z in [lower, upper]."""
        lower, upper = self._known(lower, upper)
        wide, curvature = upper - lower, FORMS[self.kind].curvature
        bend = curvature if isinstance(curvature, float) else curvature(lower, upper)
        low, high = self.forward(lower), self.forward(upper)
        none = wide <= 0
        # Rounding may make the chord of a short interval far too steep.
        chord, steepest = (high - low) / torch.where(none, 1.0, wide), self.steepness(lower, upper)
        slope = torch.where(none, 0.0, chord.clamp(-steepest, steepest))  # type: ignore[arg-type]
        cell = wide / CELLS
        least = greatest = low - slope * lower
        for i in range(1, CELLS + 1):
            at = upper if i == CELLS else lower + i * cell
            apart = self.forward(at) - slope * at
            least, greatest = torch.minimum(least, apart), torch.maximum(greatest, apart)
        # Over wide cells the steepness says more than the curvature.
        allowance = torch.minimum(bend * cell**2 / 8, (steepest + slope.abs()) * cell / 2)
        allowance = allowance + self._jump(lower, upper)
        least, greatest = least - allowance, greatest + allowance
        bottom, top = self.range_of(lower, upper)
        flat = top - bottom < greatest - least
        return torch.where(flat, 0.0, slope), torch.where(flat, bottom, least), torch.where(flat, top, greatest)
