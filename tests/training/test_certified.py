"""Certified training: its ramp, what its loss bounds, settings that are none, and that it certifies."""

from __future__ import annotations

import pytest
import torch

from robustlib.attacks import pgd
from robustlib.attacks.losses import cross_entropy
from robustlib.certify import certify, estimate
from robustlib.data import load
from robustlib.errors import RobustlibError
from robustlib.models import ModelSpec, build, count_parameters
from robustlib.threat import L2Ball, LinfBall
from robustlib.training import Certified, Schedule, fit, objective

BALL = LinfBall(0.05, domain=None)
SIZES = [
    ("wong_conv", 16, 0, (1, 28, 28), 10, 166_406),
    ("wong_conv", 16, 0, (3, 32, 32), 10, 214_918),
    ("wong_dense", 500, 0, (561,), 6, 284_006),
    ("wong_dense", 500, 0, (1, 28, 28), 10, 397_510),
    ("wong_dense", 100, 4, (2,), 2, 30_802),
]


def _model(name: str = "wong_dense", width: int = 16) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(0)
    return build(ModelSpec(name, width), input_shape=(1, 8, 8), classes=10, generator=generator)


@pytest.mark.parametrize(("name", "width", "depth", "shape", "classes", "parameters"), SIZES)
def test_networks_have_the_sizes_of_the_released_ones(
    name: str, width: int, depth: int, shape: tuple[int, ...], classes: int, parameters: int
) -> None:
    spec, generator = ModelSpec(name, width, depth=depth), torch.Generator().manual_seed(0)
    model = build(spec, input_shape=shape, classes=classes, generator=generator)
    assert count_parameters(model) == parameters
    assert model(torch.zeros(3, *shape)).shape == (3, classes)


def test_the_radius_rises_for_half_of_training() -> None:
    defence = Certified(BALL, start=0.01)
    radii = [defence.now(progress).eps for progress in (0.0, 0.25, 0.5, 0.9)]
    assert radii == pytest.approx([0.01, 0.03, 0.05, 0.05])
    assert defence.now(0.1).domain is None
    assert Certified(BALL, ramp=0.0).now(0.0) == BALL


@pytest.mark.parametrize("changes", [{"start": 0.06}, {"start": -0.01}, {"ramp": 1.5}, {"interval": -0.1}])
def test_settings_that_are_none_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(RobustlibError, match=r"Certified\(start=.*shares of training"):
        Certified(BALL, **changes)


@pytest.mark.parametrize("interval", [0.0, 1.0])
@pytest.mark.parametrize("name", ["wong_dense", "wong_conv"])
def test_the_loss_is_above_every_loss_in_the_ball(name: str, interval: float) -> None:
    digits, model = load("digits").test, _model(name, 4)
    x, y, defence = digits.images(torch.arange(40)), digits.y[:40], Certified(BALL, ramp=0.0, interval=interval)
    generator = torch.Generator().manual_seed(0)
    losses, worst = objective(defence, model, x, y, progress=0.9, generator=generator)
    found = pgd(model, x, y, BALL, steps=20, step_size=0.01, generator=generator)
    assert bool((losses >= cross_entropy(model(found), y) - 1e-5).all())
    assert bool((worst.gather(1, y[:, None]) == 0).all())


def test_the_dual_loss_is_the_tighter_one() -> None:
    digits, model = load("digits").test, _model("wong_conv", 4)
    x, y = digits.images(torch.arange(40)), digits.y[:40]
    dual, interval = (
        objective(Certified(BALL, ramp=0.0, interval=i), model, x, y, progress=0.5, generator=torch.Generator())[0]
        for i in (0.0, 1.0)
    )
    hybrid = objective(
        Certified(BALL, ramp=0.0, method="hybrid"), model, x, y, progress=0.5, generator=torch.Generator()
    )[0]
    assert float(dual.mean().detach()) < float(hybrid.mean().detach()) < float(interval.mean().detach())


def test_training_raises_the_share_of_certified_points() -> None:
    digits, model = load("digits"), _model("wong_dense", 32)
    x, y = digits.test.images(), digits.test.y
    before = float(certify(model, x, y, BALL).certified.float().mean())
    schedule = Schedule(200, 50, 5e-3, shape="one_cycle")
    fit(model, digits.train, torch.arange(len(digits.train)), Certified(BALL), schedule, seed=0)
    assert float(certify(model, x, y, BALL).certified.float().mean()) > max(0.5, before)


@pytest.mark.parametrize("projections", [0, 20], ids=["exact", "projected"])
def test_training_against_a_euclidean_ball(projections: int) -> None:
    """The loss falls although the radius rises, exact bounds certify many test points, and PGD breaks none of them."""
    digits, model, ball = load("digits"), _model("wong_dense", 32), L2Ball(0.3, domain=None)
    x, y = digits.test.images(), digits.test.y
    before = float(certify(model, x, y, ball).certified.float().mean())
    defence, schedule = Certified(ball, projections=projections), Schedule(200, 50, 5e-3, shape="one_cycle")
    log = fit(model, digits.train, torch.arange(len(digits.train)), defence, schedule, seed=0)
    assert sum(log.loss[-20:]) < 0.5 * sum(log.loss[:20])
    proven = certify(model, x, y, ball)
    sure = proven.certified
    assert float(sure.float().mean()) > max(0.5, before)
    found = pgd(model, x, y, ball, steps=20, step_size=0.05, generator=torch.Generator().manual_seed(0))
    logits = model(found).detach()
    assert bool((logits.argmax(1) == y)[sure].all())
    margins = logits.gather(1, y[:, None]) - logits
    assert bool((proven.margins <= margins + 1e-4).all())
    if projections:
        # Trained on estimates, judged by bounds: many columns come near them.
        near = estimate(model, x[:50], y[:50], ball, projections=2_000, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(near.margins, proven.margins[:50], rtol=0.1, atol=0.3)
