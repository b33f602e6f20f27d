"""Derivatives of softmax outputs: against finite differences, at magnitudes that float64 and float32 cannot hold."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from robustlib.evaluate.saturation import amplitudes, jacobian, softmax_jacobian
from tests.attacks.models import Saturated, batch, small_cnn


def _exact(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """(N, K, D) derivatives of the softmax outputs, as found, and the logits."""
    x = x.clone().requires_grad_(True)
    logits = model(x)
    scaled, scale = softmax_jacobian(logits.detach(), jacobian(logits, x))
    return scaled * scale.exp()[:, None, None], logits.detach()


def test_the_jacobian_is_that_of_finite_differences() -> None:
    model = small_cnn().double()
    x = batch(3)[0].double()
    found, _ = _exact(model, x)
    step, flat = 1e-6, x.flatten(1)
    for j in range(0, flat.shape[1], 5):
        moved = torch.zeros_like(flat)
        moved[:, j] = step
        with torch.no_grad():
            up, down = (model((flat + sign * moved).view_as(x)).softmax(1) for sign in (1, -1))
        torch.testing.assert_close(found[:, :, j], (up - down) / (2 * step), rtol=1e-5, atol=1e-10)


@pytest.mark.parametrize("factor", [1.0, 30.0])
def test_columns_sum_to_zero_and_agree_with_automatic_differentiation(factor: float) -> None:
    model = Saturated(small_cnn().double(), factor).eval()
    x = batch(4)[0].double()
    found, _ = _exact(model, x)
    assert float(found.sum(1).abs().max()) <= 1e-12 * float(found.abs().max())
    x.requires_grad_(True)
    torch.testing.assert_close(found, jacobian(model(x).softmax(1), x), rtol=1e-9, atol=1e-18)


def test_amplitudes_have_no_floor() -> None:
    """Where one output is all but 1 a derivative is F_2 (dz_2 - dz_1): its logarithm falls in step with the logits."""
    inner, (x, _) = small_cnn(), batch(6)
    rest = {}
    for factor in (1e4, 1e5):
        model = Saturated(inner, factor).eval()
        size, plain, zeros = amplitudes(model, x)
        top = model(x).detach().double().topk(2).values
        gap = top[:, 0] - top[:, 1]
        # Without exp(-gap) nothing but the slopes' factor is left.
        rest[factor] = size + gap / math.log(10) - math.log10(factor)
    far = gap > 500
    assert int(far.sum()) == 2
    torch.testing.assert_close(rest[1e4][far], rest[1e5][far], atol=0.01, rtol=0)
    assert float(size[far].max()) < -190
    assert bool((plain[far] == 0).all())
    assert bool((zeros[far] == 1).all())


def test_on_an_ordinary_network_float32_sees_the_same() -> None:
    model, (x, _) = small_cnn(), batch(6)
    before = [p.requires_grad for p in model.parameters()]
    size, plain, zeros = amplitudes(model, x)
    torch.testing.assert_close(10**size, plain, rtol=1e-4, atol=0)
    assert float(zeros.max()) < 1
    assert [p.requires_grad for p in model.parameters()] == before
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("temperature", [0.5, 20.0, 100.0])
def test_decisions_do_not_depend_on_the_temperature(temperature: float) -> None:
    logits = 300 * small_cnn()(batch(50)[0]).detach()
    assert torch.equal((logits / temperature).softmax(1).argmax(1), logits.argmax(1))
