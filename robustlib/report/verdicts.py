"""The rule that gives a number its verdict, its error rates, and its text for the book, from the same constants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ..errors import RobustlibError, suggest
from ..spec.quantities import DECLARED, QUANTITIES, Quantity
from ..statistics import binomial_se, student
from .evidence import EVERY, MEANING, Evidence

Name = Literal[
    "confirmed",
    "differs",
    "reproduced",
    "higher",
    "lower",
    "level reached",
    "level exceeded",
    "level missed",
    "unresolved",
    "consistent",
    "open",
    "trivial",
    "computed",
    "measured",
    "not judged",
    "unverified",
    "not run",
]
NAMES: tuple[Name, ...] = get_args(Name)
COMPARING = NAMES[: NAMES.index("trivial")]
"""Verdicts on a published number; the others say why there is none."""
MIN_SEEDS = 3
"""Networks from which on the spread between them is estimated."""
EQUIVALENT, DIFFERENT = 0.90, 0.95
"""Coverage of the interval that must lie inside the margin, and of the one that must leave out zero."""


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
        """True where the verdict is on a published number."""
        return self.name in COMPARING

    @property
    def css(self) -> str:
        """Classes of the badge: ``verdict verdict-not-run``."""
        return f"verdict verdict-{self.name.replace(' ', '-')}"


@dataclass(frozen=True)
class Target:
    """What a paper prints, and how sure that is.

    Args:
        value: the number, in its unit; None where the paper prints none.
        decimals: digits printed after the point.
        verified: it was checked against the paper.
        protocol_known: every setting that it depends on is printed, or in the authors' code.
        doubt: why the printed number itself cannot be taken at its word; "" where it can.
        n: independent points behind it; None where that is not known.
        reading: standard deviation of the error of reading it off a chart, in its unit; None where it is printed.
        exact: it is a count or a definition's value, without rounding.
    """

    value: float | None = None
    decimals: int = 0
    verified: bool = True
    protocol_known: bool = True
    doubt: str = ""
    n: int | None = None
    reading: float | None = None
    exact: bool = False

    @property
    def error(self) -> float:
        """Standard deviation of the printed number around the one that was measured."""
        if self.reading is not None:
            return self.reading
        return 0.0 if self.exact else rounding_error(self.decimals)


@dataclass(frozen=True)
class Sample:
    """What was measured.

    Args:
        values: one a network, in the published unit.
        n: independent points behind each: images, where several attempts share one.
        evidence: grade of its records.
        quantity: kind of number.
        ends: of a share of points, its values, in the published unit, at none and at all of them; else None.
        direction: 1 where a larger value is better for the defence, -1 where a smaller one is, 0 where neither is.
        same_points: the paper measured the same ones.
        inexact: test inputs that are not the official bytes.
    """

    values: Sequence[float]
    n: int
    evidence: Evidence
    quantity: Quantity
    ends: tuple[float, float] | None = (0.0, 100.0)
    direction: int = 0
    same_points: bool = True
    inexact: int = 0

    def __post_init__(self) -> None:
        numbers = list(self.values)
        if not numbers or not all(math.isfinite(number) for number in numbers):
            raise RobustlibError(f"a verdict on {numbers}: give values, all finite; leave failed runs out")
        if self.ends is not None and not all(min(self.ends) <= number <= max(self.ends) for number in numbers):
            raise RobustlibError(f"values {numbers} are no shares between {self.ends}; check the cell's scale")
        if self.n < 1:
            raise RobustlibError(f"n={self.n} test points for {len(numbers)} values; give the number of points of each")

    @property
    def scale(self) -> float:
        """Published units from no point to every point; 0 of a number that is no share."""
        return 0.0 if self.ends is None else abs(self.ends[1] - self.ends[0])

    @property
    def mean(self) -> float:
        """Mean over the networks."""
        return float(np.mean(np.asarray(self.values, float)))

    @property
    def spread(self) -> float:
        """Standard deviation between networks; of shares at least that of one count more or less among n."""
        floor = self.scale * binomial_se(1 / self.n, self.n) if self.ends is not None else 0.0
        return max(float(np.std(self.values, ddof=1)), floor)


def rounding_error(decimals: int) -> float:
    """Standard deviation of the rounding to so many decimals: 10^-decimals / sqrt(12), that of an even spread."""
    if decimals != int(decimals) or decimals < 0:
        raise RobustlibError(f"decimals={decimals!r}; give the digits printed after the point, 0 or more")
    return float(10.0**-decimals / math.sqrt(12))


def standard_error(ours: Sample, paper: Target) -> float:
    """Standard error of the mean of k networks of ours minus the paper's one, in the published unit.

    Raises:
        RobustlibError: fewer than three networks: nothing says how they spread.
    """
    k = len(ours.values)
    if k < MIN_SEEDS or paper.value is None:
        raise RobustlibError(
            f"{k} values against {paper.value}; {MIN_SEEDS} networks and a published number are needed"
        )
    square = ours.spread**2 * (1 + 1 / k) + paper.error**2
    if ours.ends is not None and not ours.same_points:
        # Both numbers are shares of samples; where the size of the paper's is not known it is taken to be ours.
        for share, n in ((ours.mean, ours.n), (paper.value, paper.n or ours.n)):
            fraction = min(max((share - min(ours.ends)) / ours.scale, 0.0), 1.0)
            square += (ours.scale * binomial_se(fraction, n)) ** 2
    return math.sqrt(square)


def outcome(difference: np.ndarray, error: np.ndarray, k: int, margin: float, slack: float = 0.0) -> np.ndarray:
    """1 where the difference is shown to lie within the margin, -1 where it is shown to lie beyond, else 0.

    Two one-sided t tests at 5 % each for the first, one two-sided at 5 % and a mean beyond the margin for the second.

    Args:
        difference, error: ours minus the paper's, and its standard error; any shape.
        k: networks of ours.
        margin: of the quantity.
        slack: by which inexact data may move a value either way; it widens both intervals.
    """
    size = np.abs(difference)
    # Equality counts as inside; 1e-9 is floating point's.
    inside = size + student(k - 1, EQUIVALENT) * error + slack <= margin + 1e-9
    beyond = (size > student(k - 1, DIFFERENT) * error + slack) & (size > margin + 1e-9)
    return inside.astype(int) - (beyond & ~inside)


def decide(paper: Target, ours: Sample | None, *, reason: str = "") -> Verdict:
    """The verdict on one cell.

    Args:
        paper: its number.
        ours: the measurement; None where there is none, for the ``reason``.
        reason: why there is no measurement.
    """
    if ours is None:
        return Verdict("not run", reason or "no record")
    if paper.value is None:
        return Verdict("measured", "the paper prints no number")
    if not ours.quantity.judged:
        return Verdict("not judged", f"{ours.quantity.name}: {ours.quantity.reason}")
    if not paper.verified:
        return Verdict("unverified", "the published number was not checked against the paper; it decides nothing")
    if paper.doubt:
        return Verdict("not judged", paper.doubt)
    if ours.evidence == "stand-in":
        return Verdict("not judged", "a stand-in says nothing of the paper's number")
    if ours.ends is not None and paper.value in ours.ends and _at_its_end(ours, paper):
        return Verdict("trivial", "at the end of the scale in the paper, and here at it or within the margin of it")
    return _released(paper, ours) if ours.evidence == "authors' network" else _trained(paper, ours)


def _at_its_end(ours: Sample, paper: Target) -> bool:
    """Ours is at the published end too: to its digits on the authors' network, within the margin on ours."""
    assert paper.value is not None
    near = 0.5 * 10.0**-paper.decimals
    if ours.evidence != "authors' network":
        near = max(near, ours.quantity.limit(paper.value))
    return abs(ours.mean - paper.value) <= near + 1e-9


def _slack(ours: Sample) -> float:
    return ours.scale * ours.inexact / ours.n


def _released(paper: Target, ours: Sample) -> Verdict:
    """The same network on the same points: only rounding, the attack's draws and inexact data may differ."""
    assert paper.value is not None
    k, difference = len(ours.values), ours.mean - paper.value
    allowed = 0.5 * 10.0**-paper.decimals + _slack(ours)
    if k >= MIN_SEEDS:
        allowed += student(k - 1, DIFFERENT) * float(np.std(ours.values, ddof=1)) * math.sqrt(1 + 1 / k)
    same = abs(difference) <= allowed + 1e-9
    draws = f", {k} draws of the attack" if k > 1 else ""
    detail = f"difference {_signed(difference, paper)}, allowed {allowed:.{paper.decimals + 1}f}{draws}"
    if not paper.protocol_known:
        return Verdict("consistent" if same else "open", f"{detail}; the published protocol is not fully known")
    return Verdict("confirmed" if same else "differs", detail)


def _trained(paper: Target, ours: Sample) -> Verdict:
    """Networks of ours against the paper's."""
    assert paper.value is not None
    k, difference, margin = len(ours.values), ours.mean - paper.value, ours.quantity.limit(paper.value)
    digits = paper.decimals + 1
    sizes = f"difference {_signed(difference, paper)}, margin {margin:.{digits}f}"
    if k < MIN_SEEDS:
        near = abs(difference) <= margin + 1e-9
        few = f"{k} network{'s' if k > 1 else ''}: {MIN_SEEDS} tell the spread"
        return Verdict("consistent" if near else "open", f"{sizes}; {few}")
    error, slack = standard_error(ours, paper), _slack(ours)
    found = int(outcome(np.asarray(difference), np.asarray(error), k, margin, slack))
    half = student(k - 1, EQUIVALENT) * error + slack
    sizes += (
        f", 90 % interval {_signed(difference - half, paper)} to {_signed(difference + half, paper)} ({k} networks)"
    )
    if not paper.protocol_known:
        # An unknown setting may explain a difference, and may have been chosen well by chance.
        return Verdict("consistent" if found == 1 else "open", f"{sizes}; the published protocol is not fully known")
    if found == 0:
        return Verdict("unresolved", sizes)
    if ours.evidence == "paper's protocol":
        return Verdict("reproduced" if found == 1 else "higher" if difference > 0 else "lower", sizes)
    if found == 1:
        return Verdict("level reached", sizes)
    if ours.direction == 0:
        return Verdict("open", f"{sizes}; neither side is the good one, and another recipe decides nothing")
    return Verdict("level exceeded" if difference * ours.direction > 0 else "level missed", sizes)


def _signed(value: float, paper: Target) -> str:
    text = f"{value:+.{paper.decimals + 1}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("+-")


# Error rates -----------------------------------------------------------------------------------------------------

DRAWS = 20_000
SPREADS = (0.1, 0.25, 0.5)
"""Standard deviations between networks, as parts of the margin."""
SHIFTS = (0.0, 1.0, 2.0, 3.0)
"""True differences between our recipe and the paper's, in standard deviations between networks."""


def error_rates(k: int, spread: float, shift: float, *, draws: int = DRAWS, seed: int = 0) -> tuple[float, float]:
    """Shares of simulated replications that are *reproduced*, and that are *higher* or *lower*.

    Args:
        k: networks of ours, against one of the paper's; all normal with one standard deviation.
        spread: that deviation, as a part of the margin.
        shift: difference of the two means, in the unit of the margin.
        draws: simulated replications.
        seed: of the generator.
    """
    generator = np.random.default_rng(seed)
    paper = spread * generator.standard_normal(draws)
    ours = shift + spread * generator.standard_normal((draws, k))
    error = ours.std(axis=1, ddof=1) * math.sqrt(1 + 1 / k)
    found = outcome(ours.mean(axis=1) - paper, error, k, 1.0)
    return float((found == 1).mean()), float((found == -1).mean())


def rates_table() -> str:
    """The simulated error rates as a Markdown table."""
    heads = ["equal", *(f"{shift:g} s apart" for shift in SHIFTS[1:]), "a margin apart", "two margins apart"]
    lines = [f"| networks | s / margin | {' | '.join(heads)} |", f"|---:|---:|{'---:|' * len(heads)}"]
    for k in (3, 5, 10):
        for spread in SPREADS:
            shifts = [*(shift * spread for shift in SHIFTS), 1.0, 2.0]
            cells = [f"{100 * yes:.0f} / {100 * no:.1f}" for yes, no in (error_rates(k, spread, s) for s in shifts)]
            lines.append(f"| {k} | {spread:g} | {' | '.join(cells)} |")
    return "\n".join(lines)


# Text ------------------------------------------------------------------------------------------------------------


def _margins() -> str:
    lines = ["| quantity | margin | because |", "|---|---:|---|"]
    for kind in QUANTITIES:
        size = f"{100 * kind.margin:g} % of it" if kind.relative else f"{kind.margin:g} points"
        lines.append(f"| {kind.name} | {size if kind.judged else 'not judged'} | {kind.reason} |")
    return "\n".join(lines)


def rule() -> str:
    """The rule in Markdown (MyST), for the book."""
    grades = "\n".join(f"| {grade} | {MEANING[grade]} |" for grade in EVERY)
    one, least, near, far = rounding_error(1), MIN_SEEDS, f"{100 * EQUIVALENT:.0f} %", f"{100 * DIFFERENT:.0f} %"
    return f"""\
**Evidence.** Code reads off each record how it departs from the paper's own measurement, and gives it a grade:

| evidence | what it is |
|---|---|
{grades}

**Margins.** How near is near enough was written down for each kind of number on {DECLARED}. The numbers of
other recipes and of authors' networks that they judge were measured later, but for a few that are *open*; most numbers
of the papers' own protocol were measured earlier, under an older rule, so that their margins were chosen with them in
sight:

{_margins()}

**Verdicts.** The standard error of the mean of $k$ networks of ours minus the paper's one network is

$$
\\mathrm{{SE}}^2 = s^2 \\left(1 + \\frac{{1}}{{k}}\\right) + \\text{{rounding}}^2 + \\text{{sampling}},
$$

where $s$ is the standard deviation between networks, for shares at least that of one count among $n$. Rounding is
$10^{{-d}} / \\sqrt{{12}}$ for $d$ printed decimals ({one:.3f} for one), the stated error of reading for a value
read off a chart, and nothing for an exact count. Sampling, $p(1-p)/n$ of both numbers, enters where the test points
are not the paper's; several attempts on one image count as one point. Intervals are Student's, with $k - 1$ degrees of
freedom. Test images that are not the official bytes widen every interval by their share.

- *authors' network*: **confirmed** where only the paper's rounding, three draws of a random attack, or inexact test
  images separate the two numbers; otherwise it **differs**. Where the paper does not print a setting of the attack,
  **consistent** or **open**.
- *paper's protocol*, $k \\ge {least}$: **reproduced** where the {near} interval of the difference lies inside the
  margin (two one-sided tests at 5 %); **higher** or **lower** where the {far} interval leaves out zero and the
  difference is beyond the margin; otherwise **unresolved**.
- *other recipe*, $k \\ge {least}$: by the same tests **level reached**, **level exceeded** or **level missed**, on the
  side that is good for the defence; otherwise **unresolved**. It is about the number and is no replication, and is
  counted apart.
- $k < {least}$: **consistent** where the difference is within the margin, otherwise **open**. One network cannot tell.
- a setting that the paper does not print: never more than **consistent**, which then asks of $k \\ge {least}$ networks
  what *reproduced* asks, and otherwise **open**; the setting may have made or hidden a difference.
- *stand-in*, a published number whose unit or value is in doubt, seconds and settings: **not judged**.
- **trivial**: 0 or 100 % in the paper, and here that or within the margin of it. **computed**: a definition gives the
  value. **measured**: the paper prints no number. **unverified**: the published number was not checked against the
  paper. **not run**: with the reason.

**Error rates.** {DRAWS:,} simulated replications for each entry, normal networks, one in the paper and $k$ of ours; $s$
is the deviation between networks. An entry is the share *reproduced* / the share *higher or lower*, in per cent. Two
recipes that are equal should be on the left, those two margins apart on the right, and those one margin apart are
called *reproduced* in at most 5 % of cases:

{rates_table()}

With three networks a deviation of a quarter of the margin leaves nearly half of true replications *unresolved*; that is
the price of not calling noise agreement.
"""
