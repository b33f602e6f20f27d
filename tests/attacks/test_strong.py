"""Momentum, Auto-PGD, FAB, Square and AutoAttack: closed forms, schedules, what each must break and refuse."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from robustlib.attacks import apgd, auto_attack, fab, fgsm, mi_fgsm, pgd, square
from robustlib.attacks.apgd import checkpoints
from robustlib.attacks.fab import onto_plane
from robustlib.attacks.losses import dlr, dlr_targeted, ranked_targets
from robustlib.attacks.square import _share
from robustlib.errors import RobustlibError
from robustlib.threat import Ball, L2Ball, LinfBall, ball

from .models import Saturated, batch, linear, small_cnn


def _generator(seed: int = 7) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _classified(n: int = 40) -> tuple[nn.Module, Tensor, Tensor]:
    """A network, inputs, and the classes that it gives them."""
    model, (x, _) = small_cnn(), batch(n)
    with torch.no_grad():
        return model, x, model(x).argmax(1)


def _standing(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.as_tensor(model(x).argmax(1) == y)


STRONG: dict[str, Callable[[nn.Module, Tensor, Tensor, Ball], Tensor]] = {
    "apgd": lambda m, x, y, t: apgd(m, x, y, t, steps=30, generator=_generator()),
    "apgd dlr": lambda m, x, y, t: apgd(m, x, y, t, steps=30, loss="dlr", generator=_generator()),
    "apgd targeted": lambda m, x, y, t: apgd(m, x, y, t, steps=30, target_classes=4, generator=_generator()),
    "square": lambda m, x, y, t: square(m, x, y, t, queries=600, generator=_generator()),
    "mi-fgsm": lambda m, x, y, t: mi_fgsm(m, x, y, t, steps=20),
}


# Auto-PGD ----------------------------------------------------------------------------------------------------


def test_checkpoints_are_the_papers() -> None:
    assert checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert all(0 < step <= 7 for step in checkpoints(7))


def test_dlr_ignores_the_scale_of_the_logits_and_cross_entropy_does_not() -> None:
    z, y = torch.randn(20, 6, generator=_generator()), torch.arange(20) % 6
    pair = torch.stack([y, (y + 2) % 6], 1)
    torch.testing.assert_close(dlr(z, y), dlr(1e4 * z, y), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(dlr_targeted(z, pair), dlr_targeted(1e4 * z, pair), rtol=1e-4, atol=1e-5)
    assert bool(((dlr(z, y) > 0) == (z.argmax(1) != y)).all())


def test_dlr_targeted_by_hand() -> None:
    z = torch.tensor([[5.0, 3.0, 1.0, 0.0]])
    assert float(dlr_targeted(z, torch.tensor([[0, 2]]))) == pytest.approx(-(5 - 1) / (5 - (1 + 0) / 2))
    assert float(dlr(z, torch.tensor([0]))) == pytest.approx(-(5 - 3) / (5 - 1))


def test_targets_are_ranked_by_the_logits() -> None:
    z = torch.tensor([[1.0, 9.0, 3.0, 2.0]])
    assert ranked_targets(z, torch.tensor([1])).tolist() == [[2, 3, 0]]
    assert ranked_targets(z, torch.tensor([2])).tolist() == [[1, 3, 0]]


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_apgd_reaches_the_closed_form_on_a_linear_model(norm: str) -> None:
    model, (x, _) = linear(2), batch(20, shape=(1, 3, 4))
    x = 0.4 + 0.2 * x
    y, threat = model(x).argmax(1), ball(norm, 0.05)
    weight = model[1].weight.detach()
    normal = (weight[1 - y] - weight[y]).reshape(x.shape)
    found = apgd(model, x, y, threat, steps=60, generator=_generator())
    stands = _standing(model, found, y)
    best = model((x + threat.eps * threat.steepest(normal))[stands])
    assert bool(stands.any())
    torch.testing.assert_close(model(found[stands]), best, atol=2e-3, rtol=0)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_apgd_breaks_at_least_what_pgd_breaks_at_an_equal_budget(norm: str) -> None:
    model, x, y = _classified(120)
    threat = ball(norm, 0.05 if norm == "linf" else 0.35)
    plain = pgd(model, x, y, threat, steps=20, step_size=threat.eps / 8, generator=_generator())
    auto = apgd(model, x, y, threat, steps=19, generator=_generator())
    assert 0 < int(_standing(model, auto, y).sum()) <= int(_standing(model, plain, y).sum())


# What all of them must do ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STRONG)
def test_a_broken_defence_falls_and_success_grows_with_eps(name: str) -> None:
    model, x, y = _classified()
    kept = [int(_standing(model, STRONG[name](model, x, y, LinfBall(eps)), y).sum()) for eps in (0.01, 0.06, 0.6)]
    assert kept == sorted(kept, reverse=True)
    assert kept[-1] == 0


@pytest.mark.parametrize("name", [n for n in STRONG if n not in ("apgd", "mi-fgsm")])
def test_a_saturated_softmax_hides_nothing_from_attacks_on_margins_or_scores(name: str) -> None:
    inner, x, y = _classified(30)
    masked = Saturated(inner).eval()
    assert int(_standing(masked, STRONG[name](masked, x, y, LinfBall(0.25)), y).sum()) <= 1


@pytest.mark.parametrize("name", STRONG)
def test_success_holds_in_another_batch_size(name: str) -> None:
    model, x, y = _classified()
    found = STRONG[name](model, x, y, LinfBall(0.05))
    alone = torch.cat([_standing(model, row[None], label[None]) for row, label in zip(found, y, strict=True)])
    assert torch.equal(_standing(model, found, y), alone)


# Momentum ----------------------------------------------------------------------------------------------------


def test_without_momentum_one_step_is_fgsm() -> None:
    model, x, y = _classified()
    torch.testing.assert_close(mi_fgsm(model, x, y, LinfBall(0.1), steps=1), fgsm(model, x, y, LinfBall(0.1)))


def test_rows_are_independent() -> None:
    model, x, y = _classified(8)
    threat = LinfBall(0.05)
    for attack in (
        lambda a, b: mi_fgsm(model, a, b, threat, steps=5),
        lambda a, b: fab(model, a, b, steps=6, target_classes=3),
        lambda a, b: square(model, a, b, threat, queries=40, generator=_generator()),
    ):
        torch.testing.assert_close(attack(x, y)[3:4], attack(x[3:4], y[3:4]), atol=1e-5, rtol=1e-5)


# FAB ---------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), norm=st.sampled_from(["linf", "l2"]), reach=st.floats(-1.5, 1.5))
def test_onto_plane_meets_the_plane_with_the_least_norm(seed: int, norm: str, reach: float) -> None:
    """Against bisection on the multiplier, which the exact solution does not use."""
    g = _generator(seed)
    z, w = torch.rand(1, 9, generator=g, dtype=torch.float64), torch.randn(1, 9, generator=g, dtype=torch.float64)
    w[0, 0] = 0.0
    around = ball(norm, 0.0)
    most = (w * torch.where(w * reach > 0, 1 - z, -z)).sum()
    gap = (abs(reach) * most)[None]
    step = onto_plane(z, w, gap, around)
    assert bool(((z + step >= -1e-9) & (z + step <= 1 + 1e-9)).all())
    sign = torch.sign(gap)

    def at(t: float) -> Tensor:
        return (z + t * sign * (w.sign() if norm == "linf" else w)).clamp(0, 1) - z

    low, high = 0.0, 1e4
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if float(sign * (w * at(middle)).sum()) < float(gap.abs()) else (low, middle)
    if abs(reach) < 1:
        torch.testing.assert_close((w * step).sum(1), gap, atol=1e-8, rtol=1e-8)
        torch.testing.assert_close(around.length(step), around.length(at(high)), atol=1e-7, rtol=1e-7)
    else:
        torch.testing.assert_close(w * step, w * at(1e9), atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_fab_finds_the_distance_of_a_linear_boundary(norm: str) -> None:
    model, (x, _) = linear(2), batch(20, shape=(1, 3, 4))
    x = 0.45 + 0.1 * x
    y, weight = model(x).argmax(1), model[1].weight.detach()
    gap = (model(x)[:, 0] - model(x)[:, 1]).abs().detach()
    normal = weight[0] - weight[1]
    true = gap / (normal.abs().sum() if norm == "linf" else normal.norm())
    inside = true < 0.3
    found = fab(model, x, y, norm=norm, steps=10, target_classes=1)
    assert not bool(_standing(model, found, y)[inside].any())
    ratio = ball(norm, 0.0).length(found - x)[inside] / true[inside]
    assert bool((ratio > 1 - 1e-4).all())
    assert float(ratio.max()) < 1.06


def test_fab_stops_where_it_is_near_enough_and_leaves_what_is_lost() -> None:
    model, x, y = _classified(10)
    y[0] = (y[0] + 1) % 10
    far = fab(model, x, y, steps=20, target_classes=3, enough=0.5)
    near = fab(model, x, y, steps=20, target_classes=3)
    assert torch.equal(far[0], x[0])
    length = LinfBall(0.0).length
    assert float(length(near - x).mean()) <= float(length(far - x).mean())
    every = fab(model, x, y, steps=5, target_classes=9)
    assert torch.equal(every, fab(model, x, y, steps=5, target_classes=100))


# Square ------------------------------------------------------------------------------------------------------


def test_the_window_shrinks_as_in_the_paper() -> None:
    assert _share(0, 10_000) == 0.8
    assert _share(11, 10_000) == 0.4
    assert _share(9_999, 10_000) == pytest.approx(0.8 / 2**9)
    assert _share(4_999, 5_000) == pytest.approx(0.8 / 2**9)


@pytest.mark.parametrize("threat", [LinfBall(0.1), L2Ball(0.7)], ids=str)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5, 7), (2, 1, 1), (11,)], ids=str)
def test_square_takes_any_image_and_features(threat: Ball, shape: tuple[int, ...]) -> None:
    features = int(torch.tensor(shape).prod())
    model = linear(4, features)
    x = torch.rand(6, *shape, generator=_generator())
    y = model(x).argmax(1)
    found = square(model, x, y, threat, queries=40, generator=_generator())
    assert found.shape == x.shape
    assert bool(threat.contains(found, x).all())


def test_square_keeps_what_lowers_the_margin() -> None:
    model, x, y = _classified()
    few, many = (square(model, x, y, L2Ball(0.5), queries=q, generator=_generator()) for q in (3, 300))
    assert int(_standing(model, many, y).sum()) < int(_standing(model, few, y).sum())


def test_square_refuses_other_shapes() -> None:
    with pytest.raises(RobustlibError, match="Square attack takes"):
        square(linear(), torch.rand(2, 3, 4), torch.tensor([0, 1]), LinfBall(0.1), generator=_generator())


# AutoAttack --------------------------------------------------------------------------------------------------


def test_autoattack_breaks_what_any_of_its_parts_breaks() -> None:
    model, x, y = _classified(60)
    threat = LinfBall(0.04)
    whole = _standing(model, auto_attack(model, x, y, threat, steps=20, queries=200, generator=_generator()), y)
    for name in ("apgd", "apgd dlr", "square"):
        assert int(whole.sum()) <= int(_standing(model, STRONG[name](model, x, y, threat), y).sum()) + 1
    assert 0 < int(whole.sum()) < 60
