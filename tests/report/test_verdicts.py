"""The verdict rule at each of its borders, and its error rates by simulation."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

from robustlib.errors import RobustlibError
from robustlib.report.evidence import AS_SPECIFIED, GRADES, grade
from robustlib.report.verdicts import (
    COMPARING,
    DIFFERENT,
    EQUIVALENT,
    MIN_SEEDS,
    NAMES,
    Sample,
    Target,
    Verdict,
    decide,
    error_rates,
    outcome,
    rounding_error,
    rule,
    standard_error,
)
from robustlib.spec.keys import is_recipe
from robustlib.spec.quantities import ATTACKED, BOUND, CLEAN, QUANTITIES, SETTING, SIZE, TIME
from robustlib.statistics import student

THREE = (91.9, 92.0, 92.1)
PAPER: dict[str, Any] = {"value": 92.0, "decimals": 1}
OURS: dict[str, Any] = {
    "values": THREE,
    "n": 10_000,
    "evidence": "paper's protocol",
    "quantity": ATTACKED,
    "direction": 1,
}


def verdict(paper: dict[str, Any] | None = None, **ours: Any) -> Verdict:
    return decide(Target(**(PAPER | (paper or {}))), Sample(**(OURS | ours)))


def name(paper: dict[str, Any] | None = None, **ours: Any) -> str:
    return verdict(paper, **ours).name


def test_three_networks_near_the_paper_are_reproduced() -> None:
    assert name() == "reproduced"
    assert re.search(r"difference 0\.00, margin 2\.00, 90 % interval .* \(3 networks\)", verdict().detail)


# The standard error ----------------------------------------------------------------------------------------------


def error(paper: dict[str, Any] | None = None, **ours: Any) -> float:
    return standard_error(Sample(**(OURS | ours)), Target(**(PAPER | (paper or {}))))


def test_rounding_is_the_deviation_of_an_even_spread() -> None:
    spread = np.linspace(-0.05, 0.05, 100_001)
    assert rounding_error(1) == pytest.approx(spread.std(), rel=1e-4)
    assert rounding_error(0) == pytest.approx(1 / math.sqrt(12))
    with pytest.raises(RobustlibError, match="decimals"):
        rounding_error(-1)


def test_on_the_same_points_it_is_networks_and_rounding() -> None:
    assert error() == pytest.approx(math.sqrt(0.01 * 4 / 3 + 0.01 / 12))
    assert error({"exact": True}) == pytest.approx(math.sqrt(0.01 * 4 / 3))
    assert error({"reading": 0.4}) == pytest.approx(math.sqrt(0.01 * 4 / 3 + 0.16))


def test_where_points_differ_both_shares_are_samples() -> None:
    base = error() ** 2
    both = 100**2 * 0.92 * 0.08 * (1 / 10_000 + 1 / 400)
    assert error({"n": 400}, same_points=False) ** 2 - base == pytest.approx(both)
    unknown = 100**2 * 0.92 * 0.08 * 2 / 10_000
    assert error(same_points=False) ** 2 - base == pytest.approx(unknown)
    # What is no share is no sample of points.
    assert error(same_points=False, ends=None) == pytest.approx(error(ends=None))


def test_equal_shares_spread_by_one_count() -> None:
    flat = Sample(**(OURS | {"values": (92.0,) * 3, "n": 100}))
    assert flat.spread == pytest.approx(100 * math.sqrt(0.01 * 0.99 / 100))
    assert Sample(**(OURS | {"values": (0.3,) * 3, "ends": None})).spread == 0


def test_two_networks_have_no_standard_error() -> None:
    with pytest.raises(RobustlibError, match="3 networks"):
        error(values=(92.0, 93.0))


# Borders of the paper's protocol ---------------------------------------------------------------------------------


def at(difference: float, **ours: Any) -> str:
    """Verdict at a difference from the paper, of losses without rounding, so that borders are exact."""
    values = tuple(10.0 + difference + s for s in (-0.01, 0.0, 0.01))
    return name(
        {"value": 10.0, "exact": True}, **({"values": values, "ends": None, "quantity": SIZE, "direction": 0} | ours)
    )


ERROR = 0.01 * math.sqrt(4 / 3)
HALF = student(2, EQUIVALENT) * ERROR


@pytest.mark.parametrize("side", [1, -1])
def test_the_interval_must_lie_inside_the_margin(side: int) -> None:
    # A tenth of 10 is the margin.
    assert at(side * (1 - HALF)) == "reproduced"
    assert at(side * (1 - HALF + 1e-6)) == "unresolved"
    assert at(side * 1.0) == "unresolved"
    assert at(side * (1.0 + 1e-6)) == ("higher" if side > 0 else "lower")


def test_noise_is_not_agreement_and_not_a_difference() -> None:
    wide = (90.0, 92.0, 94.0)
    assert name(values=wide) == "unresolved"
    # Far away, but not shown to differ: t with two degrees of freedom at 4.30 standard errors.
    assert name({"value": 83.0}, values=wide) == "unresolved"
    limit = student(2, DIFFERENT) * standard_error(Sample(**(OURS | {"values": wide})), Target(**PAPER))
    assert limit > 9
    assert name({"value": 92.0 - limit + 1e-6}, values=wide) == "unresolved"
    assert name({"value": 92.0 - limit - 1e-6}, values=wide) == "higher"


def test_more_networks_need_less() -> None:
    values = (91.5, 92.0, 92.5)
    assert name({"value": 91.0}, values=values) == "unresolved"
    assert name({"value": 91.0}, values=values * 4) == "reproduced"


def test_a_decided_difference_needs_more_than_the_margin() -> None:
    assert name({"value": 90.5}) == "reproduced"
    assert name({"value": 90.1}) == "unresolved"
    assert name({"value": 89.9}) == "higher"
    assert name({"value": 94.1}) == "lower"
    assert name({"value": 92.7}, quantity=CLEAN) == "lower"


def test_inexact_inputs_widen_the_interval() -> None:
    # 20 of 10,000 images may move the share by 0.2 points.
    near = {"value": 92.0 - (2.0 - student(2, EQUIVALENT) * error()) + 0.1}
    assert name(near) == "reproduced"
    assert name(near, inexact=20) == "unresolved"
    far = {"value": 92.0 - student(2, DIFFERENT) * error() - 0.1}
    assert name(far, quantity=SIZE, ends=None) == "reproduced"
    beyond = {"value": 89.9}
    assert name(beyond, inexact=20) == "higher"
    assert name(beyond, inexact=300) == "unresolved"


# Other grades of evidence ----------------------------------------------------------------------------------------


def test_another_recipe_speaks_of_levels_on_the_good_side() -> None:
    other = {"evidence": "other recipe"}
    assert name(**other) == "level reached"
    assert name({"value": 80.0}, **other) == "level exceeded"
    assert name({"value": 99.0}, **other) == "level missed"
    error_side = other | {"direction": -1}
    assert name({"value": 80.0}, **error_side) == "level missed"
    assert name({"value": 99.0}, **error_side) == "level exceeded"
    assert name({"value": 80.0}, **(other | {"direction": 0})) == "open"
    assert name(values=(90.0, 92.0, 94.0), **other) == "unresolved"


def test_the_authors_network_is_confirmed_to_the_rounding() -> None:
    released = {"evidence": "authors' network", "values": (92.04,)}
    assert name(**released) == "confirmed"
    assert name(**(released | {"values": (92.05,)})) == "confirmed"
    assert name(**(released | {"values": (92.06,)})) == "differs"
    assert name(**(released | {"values": (92.2,), "inexact": 20})) == "confirmed"
    assert name(**(released | {"values": (92.3,), "inexact": 20})) == "differs"
    # Draws of a random attack on it.
    draws = (92.1, 92.2, 92.3)
    assert name(**(released | {"values": draws})) == "confirmed"
    assert name({"value": 93.0}, **(released | {"values": draws})) == "differs"
    # Of an attack with a setting that is not printed: agreement is no proof, and a difference none either.
    assert name({"protocol_known": False}, **released) == "consistent"
    assert name({"protocol_known": False, "value": 93.0}, **released) == "open"


def test_a_stand_in_is_never_judged() -> None:
    for value in (92.0, 10.0, 0.0):
        assert name({"value": value}, evidence="stand-in") == "not judged"


@pytest.mark.parametrize("k", [1, 2])
def test_few_networks_cannot_tell(k: int) -> None:
    assert name({"value": 90.0}, values=(92.0,) * k) == "consistent"
    assert name({"value": 89.9}, values=(92.0,) * k) == "open"
    assert name({"value": 89.9}, values=(92.0,) * k, evidence="other recipe") == "open"
    assert f"{MIN_SEEDS} tell the spread" in verdict(values=(92.0,) * k).detail


def test_an_unknown_setting_leaves_agreement_and_nothing_else() -> None:
    assert name({"protocol_known": False}) == "consistent"
    assert name({"protocol_known": False, "value": 80.0}) == "open"
    assert name({"protocol_known": False}, values=(90.0, 92.0, 94.0)) == "open"


# No verdict ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [0.0, 100.0])
def test_both_at_the_end_of_the_scale_is_trivial(end: float) -> None:
    for k in (1, 3):
        assert name({"value": end}, values=(end,) * k) == "trivial"
        assert name({"value": end}, values=(abs(end - 0.04),) * k) == "trivial"
        # Near the end, where the paper is at it, agreement is no news either.
        assert name({"value": end}, values=(abs(end - 1.9),) * k) == "trivial"
    assert name({"value": end}, values=(abs(end - 8.0),)) == "open"
    assert name({"value": end}, values=(abs(end - 1.9),), evidence="authors' network") == "differs"
    assert name({"value": end}, values=(end,), evidence="authors' network") == "trivial"
    assert name({"value": 0.0}, values=(0.0,), ends=None, quantity=SIZE) == "consistent"


def test_what_is_not_judged_says_why() -> None:
    for kind in (TIME, SETTING):
        assert verdict(quantity=kind, ends=None) == Verdict("not judged", f"{kind.name}: {kind.reason}")
    assert verdict({"doubt": "no unit is printed"}) == Verdict("not judged", "no unit is printed")
    assert name({"verified": False}) == "unverified"
    assert name({"value": None}) == "measured"
    assert decide(Target(**PAPER), None, reason="no data") == Verdict("not run", "no data")
    assert decide(Target(**PAPER), None).detail


# Evidence --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("deviation", "expected"),
    [
        ("subject.schedule.steps: 100000 -> 860", True),
        ("subject.model.init: paper -> kaiming_uniform", True),
        ("subject.parents: () -> (x)", True),
        ("subject.parents[0].parents[0].schedule.lr: 1 -> 2", True),
        ("measurement.source.defence.eps_warmup: 0 -> 0.3", True),
        ("measurement.sources[4].schedule.shape: a -> b", True),
        ("subject.model.width: 16 -> 4", False),
        ("subject.model.name: a -> b", False),
        ("subject.rows: whole split -> (5000, 60000)", False),
        ("subject.defence.method: dual -> hybrid", False),
        ("subject.defence.projections: 50 -> 0", False),
        ("subject.dataset: mnist -> digits", False),
        ("subset.n: whole split -> 200", False),
        ("measurement.attack.steps: 100 -> 20", False),
        ("measurement.search: float32 -> bfloat16", False),
    ],
)
def test_only_the_training_recipe_may_differ(deviation: str, expected: bool) -> None:
    assert is_recipe(deviation) is expected


def test_the_weakest_record_gives_the_grade() -> None:
    class Made:
        def __init__(self, *deviations: str, profile: str = "quick", defence: str = "Standard") -> None:
            self.deviations, self.profile = list(deviations), profile
            self.training = {"defence": {"type": defence}}
            self.dataset = {"name": "mnist"}

    own, other, small = Made(), Made("subject.schedule.steps: 2 -> 1"), Made("subset.n: whole split -> 2")
    theirs, few = Made(defence="Released"), Made("subset.n: whole split -> 2", defence="Released")
    several = ([theirs], [theirs, own], [own, other], [other, small, own])
    assert [grade(made) for made in several] == list(GRADES)  # type: ignore[arg-type]
    # No paper has a protocol for an evaluation of this book's own.
    assert grade([own], own=True) == AS_SPECIFIED  # type: ignore[list-item]
    assert [grade(made, own=True) for made in several] == [
        AS_SPECIFIED if name == GRADES[1] else name for name in GRADES
    ]  # type: ignore[arg-type]
    # On fewer points than the paper's it confirms nothing.
    assert grade([few]) == grade([Made(profile="smoke")]) == "stand-in"  # type: ignore[list-item]


# Error rates -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [3, 5])
@pytest.mark.parametrize("spread", [0.05, 0.25, 0.5])
def test_a_difference_of_the_margin_passes_in_one_case_of_twenty_at_most(k: int, spread: float) -> None:
    draws = 20_000
    allowed = 0.05 + 3 * math.sqrt(0.05 * 0.95 / draws)
    assert error_rates(k, spread, 1.0, draws=draws)[0] <= allowed
    assert error_rates(k, spread, 2.0, draws=draws)[0] <= 0.01


@pytest.mark.parametrize("k", [3, 5, 10])
def test_equal_recipes_are_refused_in_one_case_of_twenty_at_most(k: int) -> None:
    for spread in (0.1, 0.5, 2.0):
        assert error_rates(k, spread, 0.0)[1] <= 0.055
    assert error_rates(k, 0.05, 0.0)[0] > 0.95


def test_noise_lowers_the_share_that_is_reproduced() -> None:
    shares = [error_rates(3, spread, 0.0)[0] for spread in (0.05, 0.1, 0.25, 0.5, 1.0)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.95
    assert shares[-1] < 0.1


def test_one_rule_decides_and_is_simulated() -> None:
    found = outcome(np.array([0.0, 1.5, 0.5]), np.array([0.01, 0.01, 1.0]), 3, 1.0)
    assert found.tolist() == [1, -1, 0]


# Bad input, and the text -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "told"),
    [
        ({"values": (92.0, math.nan)}, "finite"),
        ({"values": ()}, "give values"),
        ({"values": (101.0,)}, "no shares"),
        ({"values": (-0.1,)}, "no shares"),
        ({"n": 0}, "n=0"),
    ],
)
def test_bad_input_is_refused(ours: dict[str, Any], told: str) -> None:
    with pytest.raises(RobustlibError, match=told):
        verdict(**ours)


def test_a_verdict_has_a_known_name() -> None:
    with pytest.raises(RobustlibError, match="did you mean 'reproduced'"):
        Verdict("reproducd")  # type: ignore[arg-type]
    assert Verdict("not run").css == "verdict verdict-not-run"
    assert Verdict("open").compares
    assert not Verdict("trivial").compares
    assert set(COMPARING) < set(NAMES)


def test_the_rule_names_every_verdict_grade_and_margin() -> None:
    text = rule()
    told = text.replace("**differs**", "differs")
    for word in NAMES:
        assert f"**{word}**" in text or word in told, word
    for word in (*GRADES, *(kind.name for kind in QUANTITIES), *(kind.reason for kind in QUANTITIES)):
        assert word in text, word
    assert f"k \\ge {MIN_SEEDS}" in text
    assert text.count("$$") == 2


def test_margins_are_those_that_were_declared() -> None:
    assert (CLEAN.margin, ATTACKED.margin, BOUND.margin) == (0.5, 2.0, 2.0)
    assert SIZE.limit(-20.0) == pytest.approx(2.0)
    assert BOUND.as_error.direction == -1
