"""Confidence intervals and standard errors of shares of test points and of means over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .errors import RobustlibError


def _quantile_of(level: float) -> float:
    """Quantile that a two-sided interval of this coverage ends at."""
    if not 0 < level < 1:
        raise RobustlibError(f"level={level!r} is not a coverage; give a fraction, such as 0.95")
    return (1 + level) / 2


def wilson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share, without continuity correction.

    Unlike the textbook p ± 2 SE it keeps its coverage near 0 and 1, where clean accuracies lie, and it never leaves
    [0, 1]. The closed form, since scipy's ``binomtest`` differs in the last bit from half of the committed records,
    which a reproduction is compared with bit for bit.

    Args:
        successes: number of points, 0..n.
        n: points; without any, the interval is (0, 1).
        level: coverage.

    Returns:
        (low, high) as fractions, with low <= successes / n <= high.

    Raises:
        RobustlibError: counts that are negative, not whole, or successes above n; a level outside (0, 1).

    Source: Wilson (1927), Probable inference, the law of succession, and statistical inference.
    """
    if n != int(n) or successes != int(successes) or not 0 <= successes <= n:
        raise RobustlibError(f"wilson({successes!r}, {n!r}): give whole counts with 0 <= successes <= n")
    return (0.0, 1.0) if n == 0 else wilson_at(successes / n, n, level)


def wilson_at(share: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval around a share that need be no whole count of n, such as a mean over networks.

    Args:
        share: a fraction.
        n: points, at least 1.
        level: coverage.

    Raises:
        RobustlibError: a share outside [0, 1], or no points.
    """
    if not 0 <= share <= 1 or n < 1:
        raise RobustlibError(f"wilson_at({share!r}, {n!r}): give a fraction, and at least one point")
    from scipy.special import ndtri  # a second that most commands do without

    z = float(ndtri(_quantile_of(level)))
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # At the ends the formula gives exactly 0 and 1, floating point only almost.
    return 0.0 if share == 0 else max(0.0, centre - half), 1.0 if share == 1 else min(1.0, centre + half)


def student(freedom: int, level: float) -> float:
    """Half-width, in standard errors, of Student's two-sided interval with so many degrees of freedom.

    Raises:
        RobustlibError: no degree of freedom, or a level outside (0, 1).
    """
    if freedom < 1:
        raise RobustlibError(f"student({freedom!r}): two values at least have a spread; run another seed")
    from scipy.special import stdtrit

    return float(stdtrit(freedom, _quantile_of(level)))


def mean_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Student's t interval of a mean, for a few seeds.

    Args:
        values: (k,) independent measurements, k >= 2.
        level: coverage.

    Returns:
        (low, high) in the values' unit; both the mean where all values are equal.

    Raises:
        RobustlibError: fewer than two values (one has no spread), NaN or infinity.
    """
    array = np.asarray(values, float)
    if array.ndim != 1 or len(array) < 2:
        raise RobustlibError(f"mean_interval needs 2 values or more, got shape {array.shape}; run another seed")
    if not np.isfinite(array).all():
        raise RobustlibError(f"mean_interval: {array.tolist()} are not all finite; leave failed runs out")
    half = student(len(array) - 1, level) * float(array.std(ddof=1)) / math.sqrt(len(array))
    return float(array.mean()) - half, float(array.mean()) + half


def binomial_se(share: float, n: int) -> float:
    """Standard error sqrt(p (1 - p) / n) of a share of n random points.

    A share of exactly 0 or 1 would give 0, as though nothing were uncertain: p is kept within [1/2n, 1 - 1/2n].

    Args:
        share: p, a fraction.
        n: points, at least 1.

    Raises:
        RobustlibError: a share outside [0, 1] or NaN, or no points.
    """
    if not 0 <= share <= 1:
        raise RobustlibError(f"binomial_se: share={share!r} is not a fraction; divide percentages by 100")
    if n != int(n) or n < 1:
        raise RobustlibError(f"binomial_se: n={n!r}; give the number of points, at least 1")
    p = min(max(share, 0.5 / n), 1 - 0.5 / n)
    return math.sqrt(p * (1 - p) / n)
