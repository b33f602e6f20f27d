"""Defensive distillation: soft labels at T, bad temperatures and weak teachers refused, and what it equals at T = 1."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from robustlib.data import Split, load
from robustlib.errors import RobustlibError
from robustlib.models import ModelSpec, build
from robustlib.spec.network import Network
from robustlib.training import Distillation, Schedule, Standard, WeakTeacher, fit, objective, soft_labels

SHORT = Schedule(steps=12, batch=16, lr=1e-3)
ROWS = torch.arange(200)
BAD = [0, -1.0, float("nan"), float("inf"), "20", True, None]


@pytest.fixture(scope="module")
def digits() -> Split:
    return load("digits").train


def _model() -> nn.Module:
    spec = ModelSpec("papernot_mnist", 4)
    return build(spec, input_shape=(1, 8, 8), classes=10, generator=torch.Generator().manual_seed(0))


def _losses(defence: Any, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return objective(defence, model, x, y, progress=0.0, generator=torch.Generator())[0].detach()


@pytest.mark.parametrize("temperature", BAD, ids=repr)
@pytest.mark.parametrize("defence", [Distillation, Standard])
def test_temperatures_that_are_none_are_refused(defence: Any, temperature: Any) -> None:
    with pytest.raises(RobustlibError, match="temperature"):
        defence(temperature=temperature)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_required_accuracy_is_a_share(share: float) -> None:
    with pytest.raises(RobustlibError, match="least_accuracy"):
        Distillation(20.0, share)


def test_soft_labels_are_the_teachers_at_its_temperature_and_not_at_one(digits: Split) -> None:
    teacher = _model()
    with torch.no_grad():
        logits = teacher(digits.images(ROWS))
    found = soft_labels(teacher, digits, ROWS, Distillation(20.0))
    torch.testing.assert_close(found, (logits / 20).softmax(1))
    assert not torch.allclose(found, logits.softmax(1), atol=1e-3)
    torch.testing.assert_close(found.sum(1), torch.ones(len(ROWS)))
    assert not found.requires_grad


def test_the_loss_is_the_cross_entropy_of_the_equation(digits: Split) -> None:
    """-sum_i F_i(X) log F^d_i(X) in float64, both at T, and no factor T^2."""
    model, x = _model(), digits.images(ROWS[:8])
    labels = torch.rand(8, 10, generator=torch.Generator().manual_seed(1)).softmax(1)
    logits = model(x).detach().double()
    expected = -(labels.double() * (logits / 7 - (logits / 7).exp().sum(1, keepdim=True).log())).sum(1)
    torch.testing.assert_close(_losses(Distillation(7.0), model, x, labels).double(), expected, rtol=1e-5, atol=1e-6)


def test_at_temperature_one_on_hard_labels_it_is_standard_training(digits: Split) -> None:
    hard = nn.functional.one_hot(digits.y[ROWS], 10).float()
    one, other = _model(), _model()
    fit(one, digits, ROWS, Standard(), SHORT, seed=3)
    fit(other, digits, ROWS, Distillation(1.0), SHORT, seed=3, soft_labels=hard)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_soft_labels_follow_their_rows(digits: Split) -> None:
    """Rows in another order, with their labels, are the same training."""
    labels = torch.rand(200, 10, generator=torch.Generator().manual_seed(2)).softmax(1)
    models = [_model(), _model()]
    fit(models[0], digits, ROWS, Distillation(5.0), SHORT, seed=0, soft_labels=labels)
    fit(models[1], digits, ROWS, Distillation(5.0), SHORT, seed=0, soft_labels=labels.flip(0))
    assert not torch.equal(models[0][0].weight, models[1][0].weight)  # type: ignore[index]


def test_a_weak_teacher_is_refused_with_what_to_do(digits: Split) -> None:
    with pytest.raises(WeakTeacher, match=r"knows \d+\.\d% of its training rows.*least_accuracy=90\.0%.*T = 1"):
        soft_labels(_model(), digits, ROWS, Distillation(100.0, 0.9))
    with pytest.raises(RobustlibError, match="teacher is in train mode"):
        soft_labels(_model().train(), digits, ROWS, Distillation(100.0))


def test_training_at_a_temperature_makes_logits_larger(digits: Split) -> None:
    sizes = []
    for temperature in (1.0, 20.0):
        model, every = _model(), torch.arange(len(digits))
        fit(model, digits, every, Standard(temperature=temperature), Schedule(150, 64, 1e-2, shape="one_cycle"), seed=0)
        with torch.no_grad():
            sizes.append(float(model(digits.images(every)).abs().mean()))
    assert sizes[1] > 3 * sizes[0]


def test_a_network_names_its_teacher_and_its_start() -> None:
    spec = ModelSpec("papernot_mnist", 4)
    start = Network("digits", spec, Standard(), SHORT)
    teacher = Network("digits", spec, Standard(temperature=20.0), SHORT, parents=(start,))
    student = Network("digits", spec, Distillation(20.0), SHORT, parents=(teacher, start))
    assert (teacher.teacher, teacher.start) == (None, start)
    assert (student.teacher, student.start) == (teacher, start)
    assert (start.teacher, start.start) == (None, None)
    assert student.lineage == (start, teacher, start, student)
    assert (teacher.name, student.name) == (
        "digits-papernot_mnist4-standard_T20-s0",
        "digits-papernot_mnist4-distilled_T20-s0",
    )
    with pytest.raises(RobustlibError, match="the first one is its teacher"):
        Network("digits", spec, Distillation(20.0), SHORT)
