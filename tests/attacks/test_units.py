"""Units of logits and of inputs change no digit of what an attack finds, in any precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from robustlib.attacks import apgd, boundary, carlini_wagner, deepfool, fab, fgsm, jsma, lbfgs, mi_fgsm, pgd, square
from robustlib.attacks._model import beaten
from robustlib.attacks.losses import cross_entropy, dlr, dlr_targeted
from robustlib.batches import unit
from robustlib.threat import Ball, L2Ball, LinfBall, ball

from .calls import CALLS
from .models import batch, small_cnn

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
NORMS = ["l2", "linf"]


class Scaled(nn.Module):
    """A network in other units: inputs divided on the way in, logits multiplied on the way out."""

    def __init__(self, inner: nn.Module, logits: float = 1.0, inputs: float = 1.0) -> None:
        super().__init__()
        self.inner, self.logits, self.inputs = inner, logits, inputs
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x / self.inputs) * self.logits


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


Attack = Callable[[nn.Module, Tensor, Tensor, str, float], Tensor]
"""(model, x, y, norm, width of the domain) -> points."""


def _ball(norm: str, width: float) -> Ball:
    return ball(norm, (0.1 if norm == "linf" else 0.8) * width, (0.0, width))


FREE: dict[str, Attack] = {
    "deepfool": lambda m, x, y, n, w: deepfool(m, x, y, norm=n, domain=(0.0, w)),
    "carlini_wagner": lambda m, x, y, n, w: carlini_wagner(m, x, y, norm=n, domain=(0.0, w), steps=15),
    "carlini_wagner targeted": lambda m, x, y, n, w: carlini_wagner(
        m, x, y, target=m(x).topk(2).indices[:, 1], norm=n, domain=(0.0, w), steps=15
    ),
    "lbfgs": lambda m, x, y, n, w: lbfgs(m, x, y, domain=(0.0, w), steps=12, binary_steps=4, initial_c=0.01 / w**2),
    "fab": lambda m, x, y, n, w: fab(m, x, y, norm=n, domain=(0.0, w), steps=8, target_classes=3),
    "boundary": lambda m, x, y, n, w: boundary(m, x, y, norm=n, domain=(0.0, w), steps=60, generator=_generator()),
    "jsma": lambda m, x, y, n, w: jsma(
        m, x, y, target=m(x).topk(2).indices[:, 1], features=60, fill=w, domain=(0.0, w), outputs="logits"
    ),
    "square": lambda m, x, y, n, w: square(m, x, y, _ball(n, w), queries=60, generator=_generator()),
    "pgd": lambda m, x, y, n, w: pgd(
        m, x, y, _ball(n, w), steps=5, step_size=_ball(n, w).eps / 4, loss="margin", generator=_generator()
    ),
    "pgd dlr": lambda m, x, y, n, w: pgd(
        m, x, y, _ball(n, w), steps=5, step_size=_ball(n, w).eps / 4, loss="dlr", generator=_generator()
    ),
    "fgsm": lambda m, x, y, n, w: fgsm(m, x, y, _ball(n, w), loss="margin"),
    "apgd": lambda m, x, y, n, w: apgd(m, x, y, _ball(n, w), steps=8, loss="margin", generator=_generator()),
    "apgd dlr": lambda m, x, y, n, w: apgd(m, x, y, _ball(n, w), steps=8, loss="dlr", generator=_generator()),
    "apgd targeted": lambda m, x, y, n, w: apgd(
        m, x, y, _ball(n, w), steps=5, target_classes=2, generator=_generator()
    ),
}
"""Attacks on decisions, margins and ratios of logits, whose answers have no scale; the cross-entropy's have one."""
OTHERS = {"uniform_noise", "pgd_trace", "mi_fgsm", "auto_attack", "run_attack", "find_nearest", "run_targeted"}
"""Not among them: what draws only, what follows the cross-entropy, what runs the others."""
ONE_NORM = {"jsma", "lbfgs"}
CASES = [(name, norm) for name in FREE for norm in NORMS if norm == "linf" or name not in ONE_NORM]


def test_every_attack_is_here_or_has_a_reason_not_to_be() -> None:
    assert {name.split()[0] for name in FREE} | OTHERS == {call.function.__name__ for call in CALLS.values()}


@pytest.fixture(scope="module")
def task() -> tuple[nn.Module, Tensor, Tensor]:
    """Classes from a wide spread of logits, so that noise of several classes starts the boundary attack."""
    model, (x, _) = small_cnn(), batch(10)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.0)
        return model, x, model(x).argmax(1)


@pytest.fixture(scope="module")
def usual(task: tuple[nn.Module, Tensor, Tensor]) -> dict[tuple[str, str], Tensor]:
    return {(name, norm): FREE[name](*task, norm, 1.0) for name, norm in CASES}


@pytest.mark.parametrize("power", [-20, 20])
@pytest.mark.parametrize(("name", "norm"), CASES)
def test_the_size_of_the_logits_changes_no_digit(
    name: str, norm: str, power: int, task: tuple[nn.Module, Tensor, Tensor], usual: dict[tuple[str, str], Tensor]
) -> None:
    """2^-20 to 2^20, a millionth to a million times; powers of two, so that even rounding is the same."""
    model, x, y = task
    found = FREE[name](Scaled(model, logits=2.0**power), x, y, norm, 1.0)
    assert torch.equal(found, usual[name, norm])


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_most_points_are_broken_so_that_the_tests_here_mean_something(
    name: str, norm: str, task: tuple[nn.Module, Tensor, Tensor], usual: dict[tuple[str, str], Tensor]
) -> None:
    model, x, y = task
    with torch.no_grad():
        broken = model(usual[name, norm]).argmax(1) != y
    assert int(broken.sum()) >= 5
    assert bool((usual[name, norm] != x).any())


@pytest.mark.parametrize("width", [2.0**-20, 2.0**20])
@pytest.mark.parametrize(("name", "norm"), CASES)
def test_the_units_of_the_inputs_change_no_digit(
    name: str, norm: str, width: float, task: tuple[nn.Module, Tensor, Tensor], usual: dict[tuple[str, str], Tensor]
) -> None:
    model, x, y = task
    found = FREE[name](Scaled(model, inputs=width), x * width, y, norm, width)
    assert torch.equal(found / width, usual[name, norm])


@pytest.mark.parametrize("power", [-1, 1])
@pytest.mark.parametrize(("dtype", "size"), [(torch.float16, 4), (torch.bfloat16, 20), (torch.float64, 60)], ids=str)
@pytest.mark.parametrize("name", ["deepfool", "carlini_wagner", "lbfgs", "fab", "boundary"])
def test_other_precisions_have_no_scale_either(
    name: str, dtype: torch.dtype, size: int, power: int, task: tuple[nn.Module, Tensor, Tensor]
) -> None:
    """As many points fall as at scale 1, within one: half precision has its own denormals."""
    model = small_cnn()
    model.load_state_dict(task[0].state_dict())
    model, x = model.to(dtype), task[1][:6].to(dtype)
    with torch.no_grad():
        y = model(x).argmax(1)
    fallen = []
    for scale in (1.0, 2.0 ** (power * size)):
        found = FREE[name](Scaled(model, logits=scale), x, y, "l2", 1.0)
        with torch.no_grad():
            fallen.append(int((model(found).argmax(1) != y).sum()))
    assert abs(fallen[0] - fallen[1]) <= 1
    assert min(fallen) >= 3


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


# Parts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("order", [1, 2])
def test_unit_steps_at_every_magnitude(dtype: torch.dtype, order: int) -> None:
    """From the smallest denormal to the largest number; zero stays zero, and nothing overflows."""
    info = torch.finfo(dtype)
    sizes = torch.tensor([info.max, 1.0, info.tiny, info.tiny * info.eps, 0.0], dtype=dtype)
    values = sizes[:, None] * torch.tensor([1.0, -1.0, 0.0, 1.0] * 40, dtype=dtype)
    lengths = unit(values, order=order).double().abs().pow(order).sum(1).pow(1 / order)
    torch.testing.assert_close(lengths, torch.tensor([1.0, 1, 1, 1, 0], dtype=torch.float64), atol=0.01, rtol=0)
    for norm in NORMS:
        moved = ball(norm, 1.0).steepest(values)
        assert moved.dtype == dtype
        assert bool(torch.isfinite(moved).all())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_ratios_of_equal_logits_are_numbers(dtype: torch.dtype) -> None:
    for size in (0.0, 1.0, 2.0**-10, 2.0**10):
        z = torch.full((2, 5), size, dtype=dtype, requires_grad=True)
        y = torch.tensor([0, 4])
        losses: list[Any] = [dlr(z, y), dlr_targeted(z, torch.stack([y, (y + 1) % 5], 1))]
        for loss in losses:
            assert bool(torch.isfinite(loss).all())
            assert bool(torch.isfinite(torch.autograd.grad(loss.sum(), z, retain_graph=True)[0]).all())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_cross_entropy_is_at_least_float32(dtype: torch.dtype) -> None:
    z = torch.tensor([[0.0, -12.0]], dtype=dtype)
    assert float(cross_entropy(z, torch.tensor([0]))) == pytest.approx(6.144e-6, rel=0.02)


@pytest.mark.parametrize("masked", [-1e4, -1e9, torch.finfo(torch.float32).min])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_a_masked_class_and_a_common_offset_hide_no_break(masked: float, offset: float) -> None:
    logits = torch.tensor([[0.30, 0.31, -0.2], [0.31, 0.30, -0.2], [-4.0, 3.0, -9.0]])
    y = torch.zeros(3, dtype=torch.int64)
    assert beaten(torch.cat([logits, torch.full((3, 1), masked)], 1), y).tolist() == [True, False, True]
    assert beaten(logits + offset, y).tolist() == [True, False, True]


def test_leads_that_float32_cannot_tell_break_nothing() -> None:
    y, ulp = torch.zeros(1, dtype=torch.int64), 2.0**-10
    assert not beaten(torch.tensor([[1e4, 1e4 + ulp, 1e4 - 8]]), y).any()
    assert beaten(torch.tensor([[1e4, 1e4 + 8 * ulp, 1e4 - 8]]), y).all()
    ordinary = torch.tensor([[4.0, 4.00003, -9.0]])
    assert not beaten(ordinary, y).any()
    assert beaten(ordinary + torch.tensor([[0.0, 1e-4, 0.0]]), y).all()
