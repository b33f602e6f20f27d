"""Numbers that a training's description holds."""

from __future__ import annotations

import math
from numbers import Integral, Real

from ..errors import RobustlibError
from ..threat import Ball


def whole(*values: object) -> bool:
    """True where every value is a whole number; truth values are, and keys refuse them."""
    return all(isinstance(value, Integral) for value in values)


def finite(*values: object) -> bool:
    """True where every value is a finite number."""
    return all(not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value) for value in values)


def check_threat(name: str, threat: object, eps_warmup: object = 0.0) -> None:
    """Raise RobustlibError unless a defence of that name has a ball, and a share of training to reach its radius in."""
    if not isinstance(threat, Ball):
        raise RobustlibError(f"threat={threat!r} of {name} is no ball; give one such as LinfBall(0.3) or L2Ball(1.0)")
    if not finite(eps_warmup) or not 0 <= float(eps_warmup) <= 1:  # type: ignore[arg-type]
        raise RobustlibError(f"eps_warmup={eps_warmup!r} of {name}; give a share of training in [0, 1]")
