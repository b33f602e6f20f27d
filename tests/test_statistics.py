"""Intervals against scipy's own, and their ends."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import robustlib.statistics
from robustlib.errors import RobustlibError
from robustlib.statistics import binomial_se, mean_interval, wilson

COUNTS = [(0, 1), (1, 1), (0, 10), (10, 10), (1, 10), (918, 1000), (50, 100), (9880, 10000), (10000, 10000)]


@pytest.mark.parametrize(("successes", "n"), COUNTS)
@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
def test_wilson_equals_scipys(successes: int, n: int, level: float) -> None:
    ours = wilson(successes, n, level)
    scipys = stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    assert ours == pytest.approx((scipys.low, scipys.high), abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 7, 100, 1000, 9999])
def test_wilson_holds_the_share_and_reaches_the_ends_exactly(n: int) -> None:
    for successes in range(0, n + 1, max(1, n // 50)):
        low, high = wilson(successes, n)
        assert 0 <= low <= successes / n <= high <= 1
    assert wilson(0, n)[0] == 0
    assert wilson(n, n)[1] == 1


def test_wilson_of_nothing_tells_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("arguments", [(-1, 5), (6, 5), (1, -5), (1.5, 5), (1, 5, 0.0), (1, 5, 1.0), (1, 0)])
def test_wilson_refuses_impossible_counts(arguments: tuple[float, ...]) -> None:
    with pytest.raises(RobustlibError, match=r"wilson|level"):
        wilson(*arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("values", [[1.0, 2.0], [91.8, 92.1, 90.7], list(np.linspace(-3, 5, 12))])
def test_mean_interval_equals_scipys_t(values: list[float]) -> None:
    expected = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert mean_interval(values) == pytest.approx(expected)
    assert mean_interval(values) == pytest.approx(
        (stats.ttest_1samp(values, 0).confidence_interval(0.95).low, expected[1])
    )


def test_mean_interval_of_equal_values_is_a_point() -> None:
    assert mean_interval([2.5, 2.5, 2.5]) == (2.5, 2.5)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, math.nan], [1.0, math.inf], [[1.0, 2.0]]])
def test_mean_interval_refuses(values: list[float]) -> None:
    with pytest.raises(RobustlibError, match="mean_interval"):
        mean_interval(values)


def test_binomial_se_is_the_formula_between_the_ends() -> None:
    assert binomial_se(0.5, 100) == pytest.approx(0.05)
    assert binomial_se(0.918, 1000) == pytest.approx(math.sqrt(0.918 * 0.082 / 1000))
    # The standard deviation of the share itself, by scipy.
    assert binomial_se(0.3, 40) == pytest.approx(stats.binom(40, 0.3).std() / 40)


def test_binomial_se_counts_half_a_point_at_the_ends() -> None:
    for share in (0.0, 1.0, 0.9999):
        assert binomial_se(share, 1000) == pytest.approx(binomial_se(0.0005, 1000))
    assert binomial_se(0.0, 1000) > 0
    assert binomial_se(1.0, 1) == pytest.approx(0.5)


@pytest.mark.parametrize("arguments", [(1.01, 10), (-0.1, 10), (math.nan, 10), (0.5, 0), (91.8, 1000)])
def test_binomial_se_refuses(arguments: tuple[float, int]) -> None:
    with pytest.raises(RobustlibError, match="binomial_se"):
        binomial_se(*arguments)


def test_the_module_needs_numpy_and_scipy_alone() -> None:
    tree = ast.parse(Path(robustlib.statistics.__file__).read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or "").split(".")[0])
        elif isinstance(node, ast.Import):
            found.update(name.name.split(".")[0] for name in node.names)
    assert found <= {"__future__", "math", "collections", "numpy", "scipy", ".errors"}
