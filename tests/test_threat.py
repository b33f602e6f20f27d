"""Balls: what they refuse, and what they hold."""

from __future__ import annotations

import pytest
import torch

from robustlib.errors import RobustlibError
from robustlib.threat import L2Ball, LinfBall, ball, parse_number


@pytest.mark.parametrize(
    ("text", "value"), [("8/255", 8 / 255), (" 8 / 255 ", 8 / 255), ("0.3", 0.3), (1, 1.0), (0, 0.0)]
)
def test_numbers_and_fractions(text: object, value: float) -> None:
    assert parse_number(text) == value
    assert LinfBall(text).eps == value  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", ["8/0", "abc", "", None, True, float("nan"), float("inf"), [0.3], "nan"])
def test_what_is_no_number_is_refused_by_name(bad: object) -> None:
    with pytest.raises(RobustlibError, match="eps="):
        LinfBall(bad)  # type: ignore[arg-type]


def test_negative_too_wide_and_empty() -> None:
    with pytest.raises(RobustlibError, match="negative"):
        L2Ball(-0.1)
    with pytest.raises(RobustlibError, match="8/255, not 8"):
        LinfBall(8)
    with pytest.raises(RobustlibError, match="empty"):
        LinfBall(0.1, (1.0, 1.0))
    assert LinfBall(8, (0, 255)).eps == 8
    assert L2Ball(4.0).eps == 4


def test_unknown_norm_suggests() -> None:
    with pytest.raises(RobustlibError, match="did you mean 'linf'"):
        ball("linff", 0.1)


def test_an_l2_start_is_uniform_in_the_ball() -> None:
    x = torch.full((4000, 2), 0.5)
    radius = (L2Ball(0.2).random_start(x, generator=torch.Generator().manual_seed(0)) - x).norm(dim=1) / 0.2
    # In two dimensions the share within r of the centre is r squared.
    assert abs(float((radius < 0.5).float().mean()) - 0.25) < 0.03
    assert float(radius.max()) <= 1 + 1e-5


def test_contains_sees_a_violation_of_each_kind() -> None:
    x = torch.full((3, 4), 0.95)
    moved = x.clone()
    moved[0, 0] += 0.02
    moved[1, 0] -= 0.2
    moved[2, 0] = 1.01
    assert LinfBall(0.1).contains(moved, x).tolist() == [True, False, False]
    assert L2Ball(0.1).contains(moved, x).tolist() == [True, False, False]
