"""The verdict rule at each of its borders."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from robustlib.errors import RobustlibError
from robustlib.report import verdicts
from robustlib.report.verdicts import LIMIT, MIN_SEEDS, NAMES, RULE, Verdict, decide, rounding_error, standard_error


def name(**changed: Any) -> str:
    return verdict(**changed).name


def verdict(**changed: Any) -> Verdict:
    given: dict[str, Any] = {
        "published": 92.0,
        "decimals": 1,
        "verified": True,
        "values": (91.8, 92.0, 92.2),
        "n": 10_000,
        "same_test_set": True,
        "protocol": "full",
        "official_data": True,
        "protocol_known": True,
    }
    return decide(**{**given, **changed})


def shifted(values: tuple[float, ...], published: float, **how: Any) -> float:
    """A published value so far below the mean that the difference is ``published`` standard errors."""
    return float(np.mean(values)) - published * standard_error(values, 1, 10_000, **how)


def test_the_designs_example_is_reproduced() -> None:
    assert name() == "reproduced"


# The standard error ----------------------------------------------------------------------------------------


def test_rounding_is_the_deviation_of_an_even_spread() -> None:
    spread = np.linspace(-0.05, 0.05, 100_001)
    assert rounding_error(1) == pytest.approx(spread.std(), rel=1e-4)
    assert rounding_error(0) == pytest.approx(1 / math.sqrt(12))
    assert rounding_error(2) == pytest.approx(rounding_error(1) / 10)


@pytest.mark.parametrize("decimals", [-1, 0.5])
def test_decimals_are_whole(decimals: float) -> None:
    with pytest.raises(RobustlibError, match="decimals"):
        name(decimals=decimals)


def test_se_of_three_seeds_on_the_same_points_is_seeds_and_rounding() -> None:
    # s = 0.2, k = 3: s^2 (1/3 + 1) + rounding^2
    assert standard_error((91.8, 92.0, 92.2), 1, 10_000) == pytest.approx(math.sqrt(0.04 * 4 / 3 + 0.01 / 12))


def test_se_adds_the_binomial_variance_where_points_differ() -> None:
    both = standard_error((91.8, 92.0, 92.2), 1, 1000, same_test_set=False)
    assert both**2 - 0.04 * 4 / 3 - 0.01 / 12 == pytest.approx(100**2 * 0.92 * 0.08 / 1000)


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("values", [(92.0,), (91.0, 93.0)])
def test_se_of_fewer_seeds_is_binomial_and_rounding_alone(values: tuple[float, ...], same: bool) -> None:
    expected = math.sqrt(100**2 * 0.92 * 0.08 / 1000 + 0.01 / 12)
    assert standard_error(values, 1, 1000, same_test_set=same) == pytest.approx(expected)


def test_se_of_a_loss_needs_three_seeds_and_has_no_binomial_term() -> None:
    assert standard_error((1.0, 1.2, 1.4), 3, 100, same_test_set=False, unit="nats") == pytest.approx(
        math.sqrt(0.04 * 4 / 3 + 1e-6 / 12)
    )
    with pytest.raises(RobustlibError, match="run 3 seeds"):
        standard_error((1.0, 1.2), 3, 100, unit="nats")


# Inside and outside ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [(91.8, 92.0, 92.2), (90.0, 92.5, 93.0, 91.1)])
def test_exactly_two_standard_errors_is_inside_and_just_above_is_not(values: tuple[float, ...]) -> None:
    assert name(values=values, published=shifted(values, LIMIT)) == "reproduced"
    assert name(values=values, published=shifted(values, -LIMIT)) == "reproduced"
    assert name(values=values, published=shifted(values, LIMIT + 1e-6)) == "higher"
    assert name(values=values, published=shifted(values, -LIMIT - 1e-6)) == "lower"


@pytest.mark.parametrize("values", [(92.0,), (91.9, 92.3)])
def test_the_same_border_with_fewer_seeds(values: tuple[float, ...]) -> None:
    assert name(values=values, published=shifted(values, LIMIT)) == "consistent"
    assert name(values=values, published=shifted(values, LIMIT + 1e-6)) == "not consistent"


def test_equality_in_decimals_that_binary_cannot_hold() -> None:
    # Equal seeds leave rounding alone; 2 SE of it is 10^-1 / sqrt(3), and the published value lies on it.
    assert name(values=(0.3, 0.3, 0.3), published=0.3 + 0.1 / math.sqrt(3)) == "reproduced"
    assert name(values=(0.3, 0.3, 0.3), published=0.3 + 0.1 / math.sqrt(3) + 1e-6) == "lower"


def test_more_printed_decimals_are_a_narrower_bound() -> None:
    assert name(values=(91.3, 91.3, 91.3), published=91.0, decimals=0) == "reproduced"
    assert name(values=(91.3, 91.3, 91.3), published=91.0, decimals=1) == "higher"


def test_two_seeds_and_three() -> None:
    assert name(values=(91.9, 92.1)) == "consistent"
    assert name(values=(91.9, 92.0, 92.1)) == "reproduced"
    assert name(values=(95.9, 96.1)) == "not consistent"
    assert name(values=(95.9, 96.0, 96.1)) == "higher"
    assert name(values=(85.9, 86.0, 86.1)) == "lower"
    assert MIN_SEEDS == 3


@pytest.mark.parametrize("share", [0.0, 100.0])
def test_a_share_at_the_end_is_not_certain(share: float) -> None:
    near = abs(share - 0.1)
    assert name(values=(share,), published=near, n=100) == "consistent"
    assert name(values=(share,), published=abs(share - 5.0), n=1000) == "not consistent"


def test_different_points_widen_the_bound() -> None:
    values = (92.9, 93.0, 93.1)
    assert name(values=values, n=1000) == "higher"
    assert name(values=values, n=1000, same_test_set=False) == "reproduced"


# What is missing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "told"),
    [({"official_data": False}, "official"), ({"protocol_known": False}, "protocol"), ({"values": (92.0,)}, "seeds")],
)
def test_without_one_condition_it_is_at_most_consistent(changed: dict[str, Any], told: str) -> None:
    inside, outside = verdict(**changed), verdict(published=80.0, **changed)
    assert inside.name == "consistent"
    assert told in inside.detail
    assert outside.name == "not consistent"
    assert told in outside.detail
    assert "ours is higher" in outside.detail
    assert "ours is lower" in verdict(published=99.0, **changed).detail


@pytest.mark.parametrize("protocol", ["scaled", "quick", "smoke"])
def test_a_smaller_protocol_says_nothing_of_the_paper(protocol: str) -> None:
    for published in (92.0, 10.0, None):
        for verified in (True, False):
            assert name(protocol=protocol, published=published, verified=verified) == protocol


def test_an_unverified_number_decides_nothing() -> None:
    assert name(verified=False) == "unverified"
    assert name(verified=False, published=10.0) == "unverified"


def test_no_published_number_is_measured() -> None:
    assert name(published=None) == "measured"
    assert name(published=None, verified=False) == "measured"


def test_few_seeds_of_a_loss_are_measured() -> None:
    assert name(published=1.11, decimals=2, values=(1.3, 1.2), unit="nats") == "measured"
    assert name(published=1.11, decimals=2, values=(1.12, 1.11, 1.10), unit="nats") == "reproduced"
    assert name(published=150.0, decimals=0, values=(150.0, 150.4, 149.6), unit="s") == "reproduced"


def test_no_values_is_not_run_with_the_reason() -> None:
    assert verdict(values=(), n=0, protocol=None, reason="SVHN is not here") == Verdict("not run", "SVHN is not here")
    assert verdict(values=(), n=0, protocol=None).detail
    assert name(values=(), n=0, protocol="full", published=None) == "not run"


# Bad input -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"values": (92.0, math.nan)}, "finite"),
        ({"values": (math.inf,)}, "finite"),
        ({"published": math.nan}, "finite"),
        ({"values": (101.0,)}, "percentages"),
        ({"values": (-0.1,)}, "percentages"),
        ({"n": 0}, "n=0"),
        ({"protocol": None}, "protocol"),
        ({"protocol": "ful"}, "did you mean 'full'"),
    ],
)
def test_bad_input_is_refused(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(RobustlibError, match=told):
        verdict(**changed)


def test_a_verdict_has_a_known_name() -> None:
    with pytest.raises(RobustlibError, match="did you mean 'reproduced'"):
        Verdict("reproducd")  # type: ignore[arg-type]
    assert Verdict("not run").css == "verdict verdict-not-run"


# The text --------------------------------------------------------------------------------------------------


def test_the_rule_names_every_verdict_and_uses_the_constants() -> None:
    for word in NAMES:
        assert f"**{word}**" in RULE, word
    assert f"k \\ge {MIN_SEEDS}" in RULE
    assert f"\\le {LIMIT:g}\\,\\mathrm{{SE}}" in RULE
    assert f"{rounding_error(1):.3f}" in RULE
    assert "better" in RULE
    assert verdicts.RULE.count("$$") == 2
