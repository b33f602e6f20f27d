"""Logits have no natural unit: multiplied by any number they are the same classifier, and no attack may see another."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from robustlib.attacks import (
    apgd,
    boundary,
    carlini_wagner,
    deepfool,
    dlr,
    fab,
    fgsm,
    jsma,
    lbfgs,
    mi_fgsm,
    pgd,
    square,
)
from robustlib.attacks.losses import dlr_targeted
from robustlib.threat import Ball, L2Ball, LinfBall

SCALES = [1e-6, 1e-4, 1e-2, 1e2, 1e4, 1e6]


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


class Scaled(nn.Module):
    def __init__(self, inner: nn.Module, scale: float) -> None:
        super().__init__()
        self.inner, self.scale = inner, scale

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) * self.scale


def net(dtype: torch.dtype = torch.float32) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 4))
        for layer in (model[0], model[2]):
            nn.init.normal_(layer.weight, std=0.6)
    return model.to(dtype).eval()


def points(model: nn.Module, n: int = 24) -> tuple[Tensor, Tensor]:
    x = torch.rand(n, 6, generator=_generator()).to(next(model.parameters()).dtype)
    with torch.no_grad():
        return x, model(x).argmax(1)


Search = Callable[[nn.Module, Tensor, Tensor], Tensor]
INVARIANT: dict[str, Search] = {
    "deepfool l2": lambda m, x, y: deepfool(m, x, y),
    "deepfool linf": lambda m, x, y: deepfool(m, x, y, norm="linf"),
    "carlini_wagner l2": lambda m, x, y: carlini_wagner(m, x, y),
    "carlini_wagner linf": lambda m, x, y: carlini_wagner(m, x, y, norm="linf"),
    "carlini_wagner targeted": lambda m, x, y: carlini_wagner(m, x, y, target=(y + 1) % 4),
    "lbfgs": lambda m, x, y: lbfgs(m, x, y, steps=20),
    "fab l2": lambda m, x, y: fab(m, x, y, norm="l2", steps=20, target_classes=3),
    "fab linf": lambda m, x, y: fab(m, x, y, steps=20, target_classes=3),
    "boundary l2": lambda m, x, y: boundary(m, x, y, steps=60, generator=_generator()),
    "boundary linf": lambda m, x, y: boundary(m, x, y, norm="linf", steps=60, generator=_generator()),
    "jsma": lambda m, x, y: jsma(m, x, y, target=(y + 1) % 4, features=6, outputs="logits"),
    "square linf": lambda m, x, y: square(m, x, y, LinfBall(0.1), queries=60, generator=_generator()),
    "square l2": lambda m, x, y: square(m, x, y, L2Ball(0.3), queries=60, generator=_generator()),
    "apgd dlr": lambda m, x, y: apgd(m, x, y, LinfBall(0.1), steps=15, loss="dlr", generator=_generator()),
    "apgd dlr l2": lambda m, x, y: apgd(m, x, y, L2Ball(0.3), steps=15, loss="dlr", generator=_generator()),
    "apgd targeted": lambda m, x, y: apgd(m, x, y, LinfBall(0.1), steps=15, target_classes=3, generator=_generator()),
    "pgd margin l2": lambda m, x, y: pgd(
        m, x, y, L2Ball(0.3), steps=8, step_size=0.1, loss="margin", generator=_generator()
    ),
}
"""Attacks that take decisions, margins or ratios alone."""


@pytest.mark.parametrize("name", INVARIANT)
def test_another_unit_of_the_logits_finds_the_same_points(name: str) -> None:
    model = net()
    x, y = points(model)
    before = INVARIANT[name](model, x, y)
    distance = (before - x).norm(dim=1)
    assert float((model(before).argmax(1) != y).float().mean()) > 0.1, "an attack that finds nothing shows nothing"
    for scale in SCALES:
        after = INVARIANT[name](Scaled(model, scale).eval(), x, y)
        same = (model(after).argmax(1) != y) == (model(before).argmax(1) != y)
        assert float(same.float().mean()) == 1.0, scale
        off = ((after - x).norm(dim=1) - distance).abs() / distance.clamp_min(1e-3)
        # A decision that rounding turns round early sends a few searches along another path.
        assert float(off.median()) < 1e-4, scale
        assert float((off > 0.05).float().mean()) <= 0.1, scale


STEEP: dict[str, Callable[[nn.Module, Tensor, Tensor, Ball], Tensor]] = {
    "fgsm": lambda m, x, y, t: fgsm(m, x, y, t),
    "pgd": lambda m, x, y, t: pgd(m, x, y, t, steps=10, step_size=t.eps / 4, random_start=False),
    "mi_fgsm": lambda m, x, y, t: mi_fgsm(m, x, y, t, steps=5),
    "apgd": lambda m, x, y, t: apgd(m, x, y, t, steps=10, generator=_generator()),
}


@pytest.mark.parametrize("threat", [L2Ball(0.3), LinfBall(0.1)], ids=str)
@pytest.mark.parametrize("name", STEEP)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_no_gradient_is_too_small_to_follow(name: str, threat: Ball, dtype: torch.dtype) -> None:
    """A linear model gives way within the ball; the surer it is, the smaller the cross-entropy's gradient.

    Its margin at x is half of what it loses along the steepest way of length eps.
    """
    normal = torch.ones(10, dtype=dtype)
    x, y = torch.full((3, 10), 0.5, dtype=dtype), torch.zeros(3, dtype=torch.int64)
    reach = threat.eps * (10**0.5 if threat.norm == "l2" else 10)
    # Powers of two: the products below are exact in any of the types.
    for scale in (2.0**-20, 1.0, 2.0**6, 2.0**7, 2.0**8):
        model = nn.Linear(10, 2).to(dtype).eval()
        with torch.no_grad():
            model.weight.copy_(torch.stack([normal, -normal]) * scale / 2)
            model.bias.copy_(torch.tensor([reach / 4 - 2.5, 2.5 - reach / 4]).to(dtype) * scale)
        # APGD begins anywhere in the ball, at worst where the model is surest.
        surest = threat.project(x + threat.eps * threat.steepest(normal.expand_as(x)), x)
        inputs = (surest if name == "apgd" else x).clone().requires_grad_(True)
        loss = nn.functional.cross_entropy(model(inputs).float(), y, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, inputs)
        if bool((gradient == 0).all()):
            continue
        found = STEEP[name](model, x, y, threat)
        assert bool((model(found).argmax(1) != y).all()), f"{scale}: gradient {float(gradient.abs().max()):.1g}"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16], ids=str)
def test_steepest_directions_have_length_one_whatever_the_gradient(dtype: torch.dtype) -> None:
    least = torch.finfo(dtype).smallest_normal
    shape = torch.tensor([[3.0, -4.0, 0.0]], dtype=dtype)
    sizes = [least / 8, least, 1e-4, 1.0, 1e3, torch.finfo(dtype).max / 8]
    gradient = torch.cat([shape * size for size in sizes] + [0 * shape])
    found = L2Ball(1.0).steepest(gradient)
    expected = torch.tensor([[0.6, -0.8, 0.0]], dtype=dtype).expand(len(sizes), -1)
    torch.testing.assert_close(found[:-1], expected, rtol=2e-2 if dtype == torch.float16 else 1e-3, atol=0)
    assert bool((found[-1] == 0).all())
    ordinary = torch.randn(5, 7, generator=_generator()).to(dtype)
    if dtype != torch.float16:
        assert torch.equal(L2Ball(1.0).steepest(ordinary), ordinary / ordinary.norm(dim=1, keepdim=True))


def test_ratios_of_logits_have_no_unit() -> None:
    logits = torch.randn(50, 5, generator=_generator(), dtype=torch.float64)
    y, pair = torch.arange(50) % 5, torch.stack([torch.arange(50) % 5, (torch.arange(50) + 1) % 5], 1)
    for scale in (1e-14, 1e-6, 1e6):
        torch.testing.assert_close(dlr(logits * scale, y), dlr(logits, y))
        torch.testing.assert_close(dlr_targeted(logits * scale, pair), dlr_targeted(logits, pair))
    assert bool(torch.isfinite(dlr(torch.zeros(2, 5), y[:2])).all())
