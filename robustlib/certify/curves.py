"""Activations without corners, each between two parallel lines over an interval.

The lines have the slope of the chord; how far the curve strays from it is found on a grid of the interval, with an
allowance for what lies between two of its points: a function whose derivative changes by at most M for a unit strays
from the chord over a cell of width h by at most M h^2 / 8. (Zhang et al. 2018, "CROWN", section 3.2, bound such
activations by a line on each side as well; their slopes differ.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from .operations import Relu

CELLS = 32
"""Cells of the grid."""


@dataclass(frozen=True)
class Form:
    """What is known of a curve.

    Attributes:
        function: of it.
        steepest: largest size of its derivative.
        curvature: most that its derivative changes for a unit.
        lowest: where it turns from falling to rising; None: it rises throughout.
    """

    function: Callable[[Tensor], Tensor]
    steepest: float
    curvature: float
    lowest: float | None = None


FORMS = {
    "sigmoid": Form(torch.sigmoid, 0.25, 0.0963),
    "tanh": Form(torch.tanh, 1.0, 0.7699),
    "elu": Form(functional.elu, 1.0, 1.0),
    "silu": Form(functional.silu, 1.1, 0.5, lowest=-1.278464542761074),
    "gelu": Form(functional.gelu, 1.13, 0.798, lowest=-0.7517915246935645),
    "gelu_tanh": Form(partial(functional.gelu, approximate="tanh"), 1.13, 0.8, lowest=-0.7524614220710162),
}


@dataclass(frozen=True)
class Curve(Relu):
    """One of :data:`FORMS`, elementwise."""

    kind: str

    def forward(self, z: Tensor) -> Tensor:
        return FORMS[self.kind].function(z)

    def range_of(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Least and greatest value over [lower, upper]."""
        low, high = self.forward(lower), self.forward(upper)
        turn = FORMS[self.kind].lowest
        if turn is None:
            return low, high
        bottom = torch.where((lower < turn) & (turn < upper), self.forward(torch.full_like(low, turn)), torch.inf)
        return torch.minimum(torch.minimum(low, high), bottom), torch.maximum(low, high)

    def lines(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(slope, under, over): slope z + under <= curve <= slope z + over for z in [lower, upper]."""
        form, wide = FORMS[self.kind], upper - lower
        low, high = self.forward(lower), self.forward(upper)
        none = wide <= 0
        # Rounding may make the chord of a short interval far too steep.
        chord = (high - low) / torch.where(none, 1.0, wide)
        slope = torch.where(none, 0.0, chord.clamp(-form.steepest, form.steepest))
        cell = wide / CELLS
        least = greatest = low - slope * lower
        for i in range(1, CELLS + 1):
            at = upper if i == CELLS else lower + i * cell
            apart = self.forward(at) - slope * at
            least, greatest = torch.minimum(least, apart), torch.maximum(greatest, apart)
        # Over wide cells the steepness says more than the curvature.
        allowance = torch.minimum(form.curvature * cell**2 / 8, (form.steepest + slope.abs()) * cell / 2)
        least, greatest = least - allowance, greatest + allowance
        bottom, top = self.range_of(lower, upper)
        flat = top - bottom < greatest - least
        return torch.where(flat, 0.0, slope), torch.where(flat, bottom, least), torch.where(flat, top, greatest)
