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


# Inputs --------------------------------------------------------------------------------------------------------

DOMAINS = [(0.0, 1.0), (0.0, 255.0), (-2.1179039301310043, 2.64), (-1e-4, 1e-4), (0.0, 1e6)]
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def _ulps(edge: float, count: int, dtype: torch.dtype) -> torch.Tensor:
    """The number ``count`` steps of the dtype away from zero beyond the edge."""
    value = torch.tensor(edge, dtype=dtype)
    for _ in range(count):
        value = torch.nextafter(value, value * 2)
    return value


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_rounding_is_forgiven_and_cut_off_and_no_more(domain: tuple[float, float], dtype: torch.dtype) -> None:
    if max(domain) > torch.finfo(dtype).max:
        pytest.skip("the dtype does not reach so far")
    around = LinfBall(0.0, domain)
    x = torch.full((2, 3), domain[1], dtype=dtype)
    # The edge as the dtype has it, though it may be a little outside as a number.
    assert torch.equal(around.within_rounding(x), x)
    around.check_inputs(x)
    x[0, 0] = _ulps(domain[1], 2, dtype)
    found = around.within_rounding(x)
    assert torch.equal(found, torch.full_like(x, domain[1]))
    assert float(x[0, 0]) > domain[1], "the caller's tensor was changed"
    x[0, 0] = _ulps(domain[1], 12, dtype)
    for check in (around.within_rounding, around.check_inputs):
        with pytest.raises(RobustlibError, match="outside the threat's domain"):
            check(x)


def test_the_message_shows_an_excess_of_one_rounding() -> None:
    x = torch.zeros(2, 4)
    x[0, 0] = 1 + 1.2e-7
    with pytest.raises(RobustlibError, match=r"1\.00000012\], 1\.19e-07 outside"):
        LinfBall(0.1).check_inputs(x)


def test_an_l2_radius_longer_than_the_diagonal_is_refused_once_x_is_known() -> None:
    x = torch.rand(2, 784, generator=torch.Generator().manual_seed(0))
    for check in (L2Ball(128.0).check_inputs, L2Ball(128.0).within_rounding):
        with pytest.raises(RobustlibError, match=r"eps=128 is longer than the diagonal 28 .*128/255"):
            check(x)
    L2Ball(28.0).check_inputs(x)
    L2Ball(255 * 28.0, (0, 255)).check_inputs(x)
    L2Ball(128.0, None).check_inputs(x)


@pytest.mark.parametrize("domain", [1.0, (0.0,), (0.0, 0.5, 1.0), "01", (0.0, "x"), (0.0, None)], ids=str)
def test_what_is_no_pair_of_numbers_is_no_domain(domain: object) -> None:
    with pytest.raises(RobustlibError, match="domain="):
        LinfBall(0.1, domain)  # type: ignore[arg-type]


# Membership ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_projections_and_starts_are_inside_in_every_unit_and_precision(
    norm: str, dtype: torch.dtype, domain: tuple[float, float]
) -> None:
    if max(domain) > torch.finfo(dtype).max:
        pytest.skip("the dtype does not reach so far")
    width, generator = domain[1] - domain[0], torch.Generator().manual_seed(0)
    x = (torch.rand(8, 300, generator=generator, dtype=torch.float64) * width + domain[0]).clamp(*domain).to(dtype)
    around = ball(norm, 0.031 * width * (1 if norm == "linf" else 10), domain)
    wild = x + (torch.randn(x.shape, generator=generator, dtype=torch.float64) * width).to(dtype)
    for points in (around.project(wild, x), around.random_start(x, generator=generator)):
        assert points.dtype == dtype
        assert bool(around.contains(points, x).all())
    # A tenth of the radius too far is outside, in any unit, wherever the precision can tell.
    if norm == "linf" and torch.finfo(dtype).eps < 1e-5:
        centre = torch.full_like(x, (domain[0] + domain[1]) / 2)
        assert not bool(around.contains(centre + 1.1 * around.eps, centre).any())


def test_points_at_an_edge_that_the_dtype_rounds_are_inside_without_slack() -> None:
    around = LinfBall(1.0, (-2.1179039301310043, 2.64))
    x = around.clip(torch.tensor([[3.0, -3.0]]))
    assert bool(around.contains(x, x, slack=0.0).all())
