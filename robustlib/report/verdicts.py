"""The rule that gives each number its verdict, and the rule's text for the book, made from the same constants.

There are two grades of words. With three seeds, official data and a published protocol that is known, the
words are ``reproduced``, ``higher`` and ``lower``. Where one of the three is missing they are ``consistent``
and ``not consistent``: the missing condition may then explain the difference, so only its size is judged, and the
detail says on which side ours lies and which condition is missing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np

from ..errors import RobustlibError, suggest
from ..statistics import binomial_se

Name = Literal[
    "reproduced",
    "consistent",
    "not consistent",
    "higher",
    "lower",
    "measured",
    "scaled",
    "quick",
    "smoke",
    "unverified",
    "not run",
]
NAMES: tuple[Name, ...] = get_args(Name)
COMPARING = NAMES[: NAMES.index("measured")]
PROTOCOLS = ("full", "scaled", "quick", "smoke")
MIN_SEEDS = 3
"""Number of seeds from which on the spread between them is estimated."""
LIMIT = 2.0
"""Largest difference, in standard errors, that counts as agreement."""


@dataclass(frozen=True)
class Verdict:
    """A word and the reason for it."""

    name: Name
    detail: str = ""

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise RobustlibError(suggest("verdict", self.name, NAMES))

    @property
    def compares(self) -> bool:
        """True where the verdict compares with the paper's number."""
        return self.name in COMPARING

    @property
    def css(self) -> str:
        """Classes of the badge: ``verdict verdict-not-run``."""
        return f"verdict verdict-{self.name.replace(' ', '-')}"


def rounding_error(decimals: int) -> float:
    """Standard error of a number printed with so many decimals, in its unit: 10^-decimals / sqrt(12).

    Rounding moves a number by up to half a unit of its last digit either way, evenly; sqrt(12) turns the
    width of an even spread into its standard deviation.
    """
    if decimals != int(decimals) or decimals < 0:
        raise RobustlibError(f"decimals={decimals!r}; give the digits printed after the point, 0 or more")
    return float(10.0**-decimals / math.sqrt(12))


def standard_error(
    values: Sequence[float], decimals: int, n: int, *, same_test_set: bool = True, unit: str = "%"
) -> float:
    """Standard error of ours minus the paper's, in the published unit.

    Args:
        values: one per seed.
        decimals: digits that the paper prints after the point.
        n: test points.
        same_test_set: the paper measured the same points; otherwise both numbers carry sampling error.
        unit: only a share of test points, "%", has a binomial error.

    Raises:
        RobustlibError: fewer than three seeds of something that is no share: nothing says how it spreads.
    """
    array, share = np.asarray(values, float), unit == "%"
    square = rounding_error(decimals) ** 2
    seeds = len(array) >= MIN_SEEDS
    if seeds:
        # The mean of k seeds differs from the paper's one run by the spread of both.
        square += float(array.var(ddof=1)) * (1 / len(array) + 1)
    elif not share:
        raise RobustlibError(f"{len(array)} seeds, unit {unit!r}: run {MIN_SEEDS} seeds for a standard error")
    if share and not (seeds and same_test_set):
        square += (100 * binomial_se(float(array.mean()) / 100, n)) ** 2
    return math.sqrt(square)


def decide(
    *,
    published: float | None,
    decimals: int,
    verified: bool,
    values: Sequence[float],
    n: int,
    same_test_set: bool,
    protocol: str | None,
    official_data: bool,
    protocol_known: bool,
    reason: str = "",
    unit: str = "%",
) -> Verdict:
    """The verdict on one cell.

    Args:
        published: the paper's number, None where it prints none.
        decimals: digits it prints after the point.
        verified: the number was checked against the paper.
        values: ours, one per seed, in the published unit (0..100 for %); empty when there is none.
        n: test points of each value.
        same_test_set: the paper's points are the same.
        protocol: "full", "scaled", "quick" or "smoke"; ignored without values.
        official_data: every byte of the data is the official one.
        protocol_known: the paper's protocol is known from a verified source.
        reason: why there are no values.
        unit: published unit; only "%" is taken for a share of test points.

    Raises:
        RobustlibError: NaN or infinity, a share outside 0..100, no points, an unknown protocol.
    """
    array = np.asarray(values, float).reshape(-1)
    if len(array) == 0:
        return Verdict("not run", reason or "no record")
    _check(published, array, n, unit)
    rounding_error(decimals)
    if protocol not in PROTOCOLS:
        raise RobustlibError(suggest("protocol", protocol, PROTOCOLS))
    if protocol != "full":
        return Verdict(cast(Name, protocol), f"{protocol} protocol: says nothing of the paper's number")
    if published is None:
        return Verdict("measured", "the paper prints no number")
    if not verified:
        return Verdict("unverified", "the published number was not checked against the paper; it decides nothing")
    seeds = f"{len(array)} seed{'s' if len(array) > 1 else ''}"
    if unit != "%" and len(array) < MIN_SEEDS:
        return Verdict("measured", f"{seeds}: {MIN_SEEDS} tell the spread of a value that is no share")

    difference = float(array.mean()) - published
    bound = LIMIT * standard_error(array.tolist(), decimals, n, same_test_set=same_test_set, unit=unit)
    # Equality counts as inside; the slack is floating point's, 1e-9 of the sizes involved.
    inside = abs(difference) <= bound + 1e-9 * max(1.0, abs(published))
    side = "higher" if difference > 0 else "lower"
    digits = decimals + 1
    sizes = f"|difference| {abs(difference):.{digits}f} {'within' if inside else 'above'}"
    sizes += f" {LIMIT:g} SE = {bound:.{digits}f}"
    detail = f"{sizes} ({seeds})" if inside else f"ours is {side}: {sizes} ({seeds})"
    missing = [
        text
        for text, holds in (
            (f"fewer than {MIN_SEEDS} seeds", len(array) >= MIN_SEEDS),
            ("data not official throughout", official_data),
            ("published protocol not fully known", protocol_known),
        )
        if not holds
    ]
    if missing:
        return Verdict("consistent" if inside else "not consistent", f"{detail}; {', '.join(missing)}")
    return Verdict("reproduced" if inside else cast(Name, side), detail)


def _check(published: float | None, values: np.ndarray, n: int, unit: str) -> None:
    numbers = values.tolist() + ([] if published is None else [published])
    if not all(math.isfinite(number) for number in numbers):
        raise RobustlibError(f"a verdict on {numbers}: not all are finite; leave failed runs out")
    if unit == "%" and not all(0 <= number <= 100 for number in values.tolist()):
        raise RobustlibError(f"values {values.tolist()} are no percentages; give 0..100, or another unit")
    if n < 1:
        raise RobustlibError(f"n={n} test points for {len(values)} values; give the number of points of each")


RULE = f"""\
Ours is the mean over $k$ seeds, in the published unit. It is compared with the paper's number by the
standard error of the difference,

$$
\\mathrm{{SE}}^2 = s_\\text{{seed}}^2 \\left(\\frac{{1}}{{k}} + 1\\right)
  + \\text{{rounding}}^2 + \\text{{binomial}}.
$$

- $s_\\text{{seed}}$ is the standard deviation between seeds. The $1/k$ is for our mean, the $1$ for the
  paper's single run. With fewer than {MIN_SEEDS} seeds this term cannot be estimated, and is left out.
- $\\text{{rounding}} = 10^{{-d}} / \\sqrt{{12}}$ for a number printed with $d$ decimals: the standard
  deviation of an error that is spread evenly over the width of the last digit. It is
  {rounding_error(1):.3f} for a percentage with one decimal.
- $\\text{{binomial}} = 100^2\\, p (1 - p) / n$ for a share $p$ of $n$ test points, in percent. It enters
  where the test points differ from the paper's, and always with fewer than {MIN_SEEDS} seeds, where it
  stands in for the spread between seeds. At 0 % and 100 % half a count is used, so that it never vanishes.

In this order:

1. **not run**: there is no measurement; the reason is given.
2. **scaled**, **quick**, **smoke**: measured under a smaller protocol. Nothing is said of the paper.
3. **measured**: the paper prints no number here, or ours is computed from its definition, without a network.
4. **unverified**: the published number was not checked against the paper. It decides nothing.
   A number that is no share of test points is only **measured** while $k < {MIN_SEEDS}$, since nothing
   tells how far it may stray.
5. **reproduced**: full protocol, $k \\ge {MIN_SEEDS}$, official data, a protocol known from a verified
   source, and $|\\text{{ours}} - \\text{{paper}}| \\le {LIMIT:g}\\,\\mathrm{{SE}}$.
   **higher**, **lower**: the same, but ours lies outside that bound, on that side. Neither means better
   or worse: which side is the good one depends on the column.
6. **consistent**, **not consistent**: inside and outside the same bound, where $k < {MIN_SEEDS}$, or some
   of the data are not the official bytes, or the paper leaves its protocol open. The detail names what is
   missing, and the side.
"""
"""The rule in Markdown (MyST), for the book."""
