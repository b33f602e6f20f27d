"""TRADES and logit pairing: against formulas in float64, and against the algorithm written out step by step."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import log_softmax, rel_entr, softmax
from torch import Tensor, nn

from robustlib.attacks.losses import cross_entropy
from robustlib.data import Split, load
from robustlib.errors import RobustlibError
from robustlib.models import ModelSpec, build
from robustlib.threat import LinfBall
from robustlib.training import (
    BinaryTrades,
    LogitPairing,
    PgdTraining,
    Schedule,
    Standard,
    SteeringCopy,
    Trades,
    fit,
    objective,
    trades,
)
from robustlib.training.trades import KICK, kl, soft_cross_entropy

BALL = LinfBall(0.1)
TRADES = Trades(BALL, 4, 0.04, beta=6.0)
BINARY = BinaryTrades(BALL, 4, 0.04, scale=2.0)
PAIRING = LogitPairing(BALL, 3, 0.05, weight=0.5)
RESIDUAL, SMALL = ModelSpec("wide_resnet", 1, depth=10), ModelSpec("small_cnn", 4)


def _model(spec: ModelSpec = RESIDUAL, classes: int = 10, *, train: bool = True) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    model = build(spec, input_shape=(1, 8, 8), classes=classes, generator=generator)
    for parameter in model.parameters():  # SmallCNN starts with one answer for everything
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model.train(train)


@pytest.fixture(scope="module")
def digits() -> Split:
    return load("digits").train


@pytest.fixture
def batch(digits: Split) -> tuple[Tensor, Tensor]:
    return digits.images(torch.arange(12)), digits.y[:12]


def _losses(defence: object, model: nn.Module, batch: tuple[Tensor, Tensor], seed: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return objective(defence, model, *batch, progress=1.0, generator=generator)[0]  # type: ignore[arg-type]


def test_divergences_are_scipys_in_float64() -> None:
    one, other = (8 * np.random.default_rng(seed).standard_normal((50, 10)) for seed in (0, 1))
    p, q = softmax(one, 1), softmax(other, 1)
    np.testing.assert_allclose(kl(torch.tensor(other), torch.tensor(one)), rel_entr(p, q).sum(1), rtol=1e-12)
    crossed = soft_cross_entropy(torch.tensor(other), torch.tensor(one))
    np.testing.assert_allclose(crossed, -(p * log_softmax(other, 1)).sum(1), rtol=1e-12)
    entropy = -rel_entr(p, np.ones_like(p)).sum(1)
    np.testing.assert_allclose(crossed - kl(torch.tensor(other), torch.tensor(one)), entropy, rtol=1e-9)


def reference_trades(model: nn.Module, x: Tensor, y: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Algorithm 1 as one would write it down, with PyTorch's own KL and nothing computed once: (loss, x')."""
    criterion = nn.KLDivLoss(reduction="sum")
    mode = model.training
    model.eval()
    x_adv = x + 0.001 * torch.empty_like(x).normal_(generator=torch.Generator().manual_seed(seed))
    for _ in range(TRADES.steps):
        x_adv = x_adv.detach().requires_grad_()
        loss = criterion(F.log_softmax(model(x_adv), dim=1), F.softmax(model(x), dim=1))
        (gradient,) = torch.autograd.grad(loss, x_adv)
        x_adv = x_adv.detach() + TRADES.step_size * gradient.sign()
        x_adv = torch.max(torch.min(x_adv, x + BALL.eps), x - BALL.eps).clamp(0, 1)
    model.train(mode)
    natural = F.cross_entropy(model(x), y)
    robust = criterion(F.log_softmax(model(x_adv), dim=1), F.softmax(model(x), dim=1)) / len(x)
    return natural + TRADES.beta * robust, x_adv


@pytest.mark.parametrize(("spec", "train"), [(RESIDUAL, True), (RESIDUAL, False), (SMALL, False)])
def test_trades_is_the_algorithm(spec: ModelSpec, train: bool, batch: tuple[Tensor, Tensor]) -> None:
    """Loss, gradients and what batch norm remembers, where the algorithm passes the natural batch again and again."""
    ours, theirs = _model(spec, train=train), _model(spec, train=train)
    loss = _losses(TRADES, ours, batch).mean()
    wanted, _ = reference_trades(theirs, *batch, seed=3)
    assert float(loss.detach()) == pytest.approx(float(wanted.detach()), abs=1e-5)
    assert float(loss.detach()) > float(F.cross_entropy(_model(spec, train=train)(batch[0]), batch[1]).detach())
    pairs = zip(
        torch.autograd.grad(loss, [*ours.parameters()]),
        torch.autograd.grad(wanted, [*theirs.parameters()]),
        strict=True,
    )
    for one, other in pairs:
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-4)
    for (name, one), other in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5, msg=lambda text, name=name: f"{name}: {text}")
    assert ours.training is train


def test_the_cross_entropy_variant_makes_the_same_points_and_another_loss(batch: tuple[Tensor, Tensor]) -> None:
    model = _model(train=False)
    _, x_adv = reference_trades(model, *batch, seed=3)
    p = softmax(model(batch[0]).detach().double().numpy(), 1)
    crossed = -(p * log_softmax(model(x_adv).detach().double().numpy(), 1)).sum(1)
    wanted = F.cross_entropy(model(batch[0]), batch[1], reduction="none").detach().numpy() + 6 * crossed
    found = _losses(replace(TRADES, divergence="cross_entropy"), model, batch)
    np.testing.assert_allclose(found.detach().numpy(), wanted, atol=1e-4)


def test_without_its_second_term_trades_is_standard_training(batch: tuple[Tensor, Tensor]) -> None:
    standard = _losses(Standard(), _model(), batch)
    torch.testing.assert_close(_losses(replace(TRADES, beta=0.0), _model(), batch), standard)
    torch.testing.assert_close(_losses(Trades(LinfBall(0.0), 4, 0.04, beta=6.0), _model(), batch), standard)


def test_the_inner_loop_needs_its_kick(batch: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    """At x' = x the divergence is least, so that its gradient is zero up to rounding."""
    model = _model(SMALL, train=False).double()
    x = batch[0].double().requires_grad_()
    reference = model(batch[0].double()).detach()
    (gradient,) = torch.autograd.grad(kl(model(x), reference).sum(), x)
    assert float(gradient.abs().max()) < 1e-12
    assert KICK == 0.001
    kicked = (x.detach() + KICK).requires_grad_()
    (gradient,) = torch.autograd.grad(kl(model(kicked), reference).sum(), kicked)
    assert float(gradient.abs().max()) > 1e-9


def test_logit_pairing_is_its_formula(batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    model = _model(SMALL, train=False)
    generator = torch.Generator().manual_seed(3)
    x_adv = (x + torch.empty_like(x).uniform_(-0.1, 0.1, generator=generator)).clamp(0, 1)
    for _ in range(PAIRING.steps):
        x_adv = x_adv.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(model(x_adv), y, reduction="sum"), x_adv)
        x_adv = (x_adv.detach() + 0.05 * gradient.sign()).clamp(x - 0.1, x + 0.1).clamp(0, 1)
    z, z_adv = model(x), model(x_adv)
    wanted = (cross_entropy(z, y) + cross_entropy(z_adv, y)) / 2 + 0.5 * ((z - z_adv) ** 2).sum(1) / 10
    torch.testing.assert_close(_losses(PAIRING, model, batch), wanted, atol=1e-5, rtol=1e-5)
    no_pairs = replace(PAIRING, weight=0.0)
    assert bool((_losses(PAIRING, model, batch) >= _losses(no_pairs, model, batch)).all())


def test_binary_trades_is_its_formula(batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch[0], batch[1] % 2
    model = _model(ModelSpec("trades_binary", 4), 2, train=False)
    f = model(x)[:, 1]
    x_adv = x + KICK * torch.empty_like(x).normal_(generator=torch.Generator().manual_seed(3))
    for _ in range(BINARY.steps):
        x_adv = x_adv.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(F.relu(1 - model(x_adv)[:, 1] * f.detach() / 2).sum(), x_adv)
        x_adv = (x_adv.detach() + 0.04 * gradient.sign()).clamp(x - 0.1, x + 0.1).clamp(0, 1)
    sign = torch.where(y == 1, 1.0, -1.0)
    wanted = F.relu(1 - sign * f) + F.relu(1 - f * model(x_adv)[:, 1] / 2)
    torch.testing.assert_close(_losses(BINARY, model, (x, y)), wanted, atol=1e-5, rtol=1e-5)


# Batch norm ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("defence", "times"),
    [
        (Standard(), 1),
        (PgdTraining(BALL, 3, 0.05), 1),
        (PgdTraining(BALL, 3, 0.05, crafting="train"), 4),
        (TRADES, 3),
        (replace(TRADES, steps=9), 3),
        (PAIRING, 2),
    ],
    ids=str,
)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_batch_norm_moves_once_for_each_batch_that_trains(
    defence: object, times: int, precision: str, digits: Split
) -> None:
    """TRADES trains on the clean batch, the adversarial one and the clean one again, as its authors' code does."""
    model, schedule = _model(), Schedule(steps=5, batch=16, lr=1e-3, precision=precision)
    fit(model, digits, torch.arange(100), defence, schedule, seed=1)  # type: ignore[arg-type]
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {int(norm.num_batches_tracked or 0) for norm in norms} == {5 * times}


class Shared(nn.Module):
    """One norm that two layers share, and one that no batch reaches."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.norm, self.idle = norm, copy.deepcopy(norm)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.norm(self.second(self.norm(self.first(x)).relu())))


def _plain(norm: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), norm, nn.ReLU(), nn.Linear(6, 3))


def _instances(norm: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Unflatten(1, (2, 2)), norm, nn.Flatten(), nn.Linear(4, 3))


NORMS: dict[str, Callable[[], nn.Module]] = {
    "fixed momentum": lambda: _plain(nn.BatchNorm1d(6, momentum=0.3)),
    "cumulative": lambda: _plain(nn.BatchNorm1d(6, momentum=None)),
    "shared": lambda: Shared(nn.BatchNorm1d(6)),
    "shared, cumulative": lambda: Shared(nn.BatchNorm1d(6, momentum=None)),
    "instance": lambda: _instances(nn.InstanceNorm1d(2, track_running_stats=True)),
    "instance, no momentum": lambda: _instances(nn.InstanceNorm1d(2, momentum=None, track_running_stats=True)),
    "without statistics": lambda: _plain(nn.BatchNorm1d(6, track_running_stats=False)),
    "tracking turned off": lambda: _plain(_not_tracking(nn.BatchNorm1d(6))),
    "kept in eval mode": lambda: _plain(nn.BatchNorm1d(6)),
}


def _not_tracking(norm: nn.BatchNorm1d) -> nn.Module:
    norm.track_running_stats = False
    return norm


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("defence", [TRADES, BINARY, PAIRING], ids=lambda defence: type(defence).__name__)
def test_norms_remember_what_the_passes_in_turn_would_leave(
    defence: object, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TRADES passes x, x' and x again; logit pairing x and x'. Three updates, so that an average has a past."""
    generator = torch.Generator().manual_seed(0)
    ours = NORMS[name]().train()
    if name == "kept in eval mode":
        ours[1].eval()
    plain = copy.deepcopy(ours)
    for _ in range(3):
        x, moved = torch.rand(16, 4, generator=generator), torch.rand(16, 4, generator=generator) + 0.5
        monkeypatch.setattr(trades, "_worst", lambda *_, moved=moved: moved)
        objective(defence, ours, x, torch.arange(16) % 2, progress=1.0, generator=generator)  # type: ignore[arg-type]
        for points in (x, moved) if defence is PAIRING else (x, moved, x):
            plain(points)
    assert dict(ours.named_buffers()).keys() == dict(plain.named_buffers()).keys()
    for (place, one), other in zip(ours.named_buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5, msg=lambda text, place=place: f"{place}: {text}")
    assert not any(part._forward_hooks for part in ours.modules())


CRAFTED = [PgdTraining(BALL, 1, 0.05), PgdTraining(BALL, 1, 0.05, crafting="train")]


@pytest.mark.parametrize("defence", [TRADES, PAIRING, *CRAFTED], ids=str)
def test_each_part_stays_in_its_mode(defence: object) -> None:
    """A batch norm kept in eval mode, as in fine-tuning, is in eval mode after an update and has learnt nothing."""
    model, x = _plain(nn.BatchNorm1d(6)).train(), torch.rand(8, 4)
    model[1].eval()
    objective(defence, model, x, torch.arange(8) % 3, progress=1.0, generator=torch.Generator())  # type: ignore[arg-type]
    assert [part.training for part in model] == [True, False, True, True]
    assert int(model[1].num_batches_tracked) == 0


def test_a_steering_copy_leaves_its_statistics_with_the_master(batch: tuple[Tensor, Tensor]) -> None:
    one, other = _model(), _model()
    low = SteeringCopy(one).train()
    low(batch[0])
    other(batch[0])
    for (name, ours), theirs in zip(one.named_buffers(), other.buffers(), strict=True):
        assert ours.dtype == theirs.dtype
        if name.endswith(("running_mean", "running_var")):
            torch.testing.assert_close(ours, theirs, atol=0.02, rtol=0.05)
    # Rounded statistics would make the copy answer otherwise than its master in eval mode.
    torch.testing.assert_close(low.eval()(batch[0]), one.eval()(batch[0]), atol=0.05, rtol=0.05)


def test_trades_keeps_more_digits_under_attack_than_standard_training(digits: Split) -> None:
    kept = {}
    for name, defence in (("trades", replace(TRADES, beta=3.0, eps_warmup=0.2)), ("standard", Standard())):
        model = build(
            ModelSpec("small_cnn", 8, init="kaiming_uniform"),
            input_shape=(1, 8, 8),
            classes=10,
            generator=torch.Generator().manual_seed(0),
        )
        log = fit(model, digits, torch.arange(1000), defence, Schedule(150, 64, 5e-3, shape="one_cycle"), seed=0)  # type: ignore[arg-type]
        x, y = digits.images(torch.arange(1000, 1200)), digits.y[1000:1200]
        x_adv = (
            x
            + 0.1
            * torch.sign(torch.autograd.grad(F.cross_entropy(model(seen := x.clone().requires_grad_()), y), seen)[0])
        ).clamp(0, 1)
        kept[name] = float((model(x_adv).argmax(1) == y).float().mean())
        assert log.loss[-1] < log.loss[0]
    assert kept["trades"] > kept["standard"] + 0.2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"beta": -1.0}, "beta = 1/lambda is 0 or more"),
        ({"divergence": "js"}, "'kl' or 'cross_entropy'"),
        ({"steps": 0}, "steps are 1 or more"),
    ],
)
def test_nonsense_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(RobustlibError, match=words):
        replace(TRADES, **change)  # type: ignore[arg-type]
    with pytest.raises(RobustlibError, match="above 0"):
        replace(BINARY, scale=0.0)
    with pytest.raises(RobustlibError, match="0 or more"):
        replace(PAIRING, weight=-1.0)
    with pytest.raises(RobustlibError, match="known: eval, train"):
        PgdTraining(BALL, 1, 0.1, crafting="test")


def test_nothing_is_left_on_the_model(batch: tuple[Tensor, Tensor]) -> None:
    model = _model()
    before = copy.deepcopy(model.state_dict())
    _losses(replace(TRADES, steps=1), model, batch)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.named_parameters())
