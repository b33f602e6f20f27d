"""Carlini and Wagner: near the closed form, complete, within the domain, for targets and confidences, row by row."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from robustlib.attacks.carlini_wagner import carlini_wagner
from robustlib.attacks.deepfool import deepfool
from robustlib.attacks.losses import margin
from robustlib.threat import ball

from .models import Saturated, batch, linear, small_cnn

NORMS = ["l2", "linf"]


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), norm=st.sampled_from(NORMS), classes=st.integers(2, 5))
def test_nears_the_closed_form_on_a_linear_model(seed: int, norm: str, classes: int) -> None:
    """A wide domain, so that the nearest face is the answer; never nearer than it."""
    model, (x, _) = linear(classes), batch(8, shape=(1, 3, 4), seed=seed)
    with torch.no_grad():
        logits = model(x)
        y = logits.argmax(1)
        slopes = model[1].weight[None] - model[1].weight[y][:, None]
        dual = slopes.norm(dim=2) if norm == "l2" else slopes.abs().sum(2)
        nearest = ((logits.gather(1, y[:, None]) - logits) / dual).scatter(1, y[:, None], torch.inf).amin(1)
    found = carlini_wagner(model, x, y, norm=norm, domain=(-5.0, 5.0), steps=60)
    length = ball(norm, 0.0).length(found - x)
    assert bool((model(found).argmax(1) != y).all())
    assert bool((length >= nearest).all())
    assert float((length / nearest.clamp_min(0.01)).median()) < 1.15


@pytest.mark.parametrize("norm", NORMS)
def test_complete_inside_the_domain_and_in_any_batch_size(norm: str) -> None:
    model, (x, _) = small_cnn(), batch(16)
    x[:8] = x[:8].round()  # pixels at the domain's edge, where the tanh variable is stuck
    y = model(x).argmax(1)
    y[0] = (y[0] + 1) % 10
    found = carlini_wagner(model, x, y, norm=norm)
    assert torch.equal(found[0], x[0])
    assert bool(((found >= 0) & (found <= 1)).all())
    assert bool((model(found).argmax(1) != y).all())
    assert bool((torch.cat([model(row[None]) for row in found]).argmax(1) != y).all())
    length = ball(norm, 0.0).length
    assert float(length(found - x).mean()) <= float(length(deepfool(model, x, y, norm=norm) - x).mean())


def test_more_steps_and_rounds_come_nearer() -> None:
    model, (x, _) = small_cnn(), batch(16)
    y = model(x).argmax(1)
    few, many, rounds = (
        float((carlini_wagner(model, x, y, steps=s, binary_steps=b) - x).flatten(1).norm(dim=1).mean())
        for s, b in ((10, 1), (60, 1), (10, 3))
    )
    assert many < few
    assert rounds <= few


@pytest.mark.parametrize("norm", NORMS)
def test_targets_are_reached_and_confidence_is_kept(norm: str) -> None:
    model, (x, _) = small_cnn(), batch(12)
    scores = model(x).detach()
    y, target = scores.argmax(1), scores.topk(2).indices[:, 1]
    found = carlini_wagner(model, x, y, norm=norm, target=target)
    assert torch.equal(model(found).argmax(1), target)
    sure = carlini_wagner(model, x, y, norm=norm, target=target, kappa=0.02)
    hit = model(sure).argmax(1) == target
    assert bool(hit.any())
    assert bool((margin(model(sure), target)[hit] > 0.0199).all())
    assert torch.equal(sure[~hit], x[~hit])
    length = ball(norm, 0.0).length
    assert float(length(found - x)[hit].mean()) < float(length(sure - x)[hit].mean())


def test_a_scale_of_logits_changes_little() -> None:
    """Saturation does not mask anything: the loss is on logits and steps have a set length."""
    model, (x, _) = small_cnn(), batch(12)
    y = model(x).argmax(1)
    masked = Saturated(model, 1e4).eval()
    assert bool((model(carlini_wagner(masked, x, y)).argmax(1) != y).all())


@pytest.mark.parametrize("norm", NORMS)
def test_rows_are_independent(norm: str) -> None:
    """In float64, where rounding cannot turn one path into another."""
    net, x = small_cnn().double(), batch(6)[0].double()
    y = net(x).argmax(1)
    whole = carlini_wagner(net, x, y, norm=norm, steps=12)
    assert whole.dtype == torch.float64
    torch.testing.assert_close(carlini_wagner(net, x[4:5], y[4:5], norm=norm, steps=12), whole[4:5])


def test_reaches_classes_whose_region_long_steps_jump_over() -> None:
    """Third-likeliest classes of small random networks: with steps of one length 15 to 17 of 20 were found."""
    reached = 0
    for seed in (1, 3, 4):
        generator = torch.Generator().manual_seed(seed)
        model = nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 10)).eval()
        with torch.no_grad():
            for weight in model.parameters():
                weight.copy_(torch.randn(weight.shape, generator=generator) * weight.shape[-1] ** -0.5)
            x = torch.rand(20, 16, generator=generator)
            target = model(x).argsort(1)[:, -3]
            y = model(x).argmax(1)
        found = carlini_wagner(model, x, y, target=target)
        reached += int((model(found).argmax(1) == target).sum())
    assert reached >= 58
