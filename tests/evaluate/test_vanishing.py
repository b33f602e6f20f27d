"""Vanishing gradients: counted against the margins that make them vanish, and attacked again in float64."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robustlib.attacks.suite import Pgd
from robustlib.budget import Budget
from robustlib.data import Split
from robustlib.evaluate.accuracy import Accuracy
from robustlib.evaluate.vanishing import AccuracyWithoutSubnormals, VanishingGradients, no_subnormals, sizes
from robustlib.spec.records import Metric, Unfilable
from robustlib.threat import LinfBall
from tests.attacks.models import batch
from tests.evaluate.subjects import On

WHAT = VanishingGradients(LinfBall(0.5, domain=None), Pgd(steps=3, step_size=0.25, random_start=False))


def _line(slope: float) -> nn.Sequential:
    """Two logits, ``slope * (sum x - n / 2)`` apart: points left of the middle are class 0."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[0.0], [slope]]).expand(2, 4))
        model[1].bias.copy_(torch.tensor([0.0, -2 * slope]))
    return model.eval()


def _found(slope: float, *, wrong: int = 0) -> dict[str, Metric]:
    x = torch.full((10, 1, 2, 2), 64, dtype=torch.uint8)
    y = torch.zeros(10, dtype=torch.int64)
    y[:wrong] = 1
    return WHAT.run(On(_line(slope), Split(x, y), torch.arange(10))).metrics


@pytest.mark.parametrize(
    ("margin", "zero_loss", "subnormal", "zero", "hidden"),
    [(10, 0, 0, 0, 0), (60, 1, 0, 0, 0), (97, 1, 1, 0, 0), (115, 1, 1, 1, 1), (600, 1, 1, 1, 1), (800, 1, 1, 1, 0)],
)
def test_a_gradient_vanishes_with_the_softmax_of_the_wrong_class(
    margin: float, zero_loss: float, subnormal: float, zero: float, hidden: float
) -> None:
    """At a margin of 104 in float32; PGD in float64 breaks such points until at 745 its own gradient is zero."""
    found = _found(margin / (2 - 4 * 64 / 255))
    values = {name: metric.value for name, metric in found.items()}
    assert values == {"zero": zero, "subnormal": subnormal, "zero_loss": zero_loss, "unmoved": zero, "hidden": hidden}
    assert all(metric.n == 10 for metric in found.values())


def test_points_that_are_wrong_already_are_not_unmoved() -> None:
    found = _found(300.0, wrong=4)
    assert found["zero"].value == found["unmoved"].value == found["hidden"].value == 0.6


def test_sizes_are_those_of_finite_differences() -> None:
    model, (x, _) = _line(2.0).double(), batch(6, shape=(1, 2, 2))
    x, y = x.double(), torch.tensor([0, 1] * 3)
    largest, losses = sizes(model, x, y)
    moved = x.clone()
    moved[:, 0, 0, 0] += 1e-6
    torch.testing.assert_close((sizes(model, moved, y)[1] - losses).abs() / 1e-6, largest, rtol=1e-4, atol=1e-8)


def test_a_budget_shortens_the_attack() -> None:
    assert WHAT.within(Budget(steps=2)).attack == WHAT.attack.within(Budget(steps=2))


def test_arithmetic_without_subnormal_numbers_ends_with_its_block() -> None:
    small = torch.tensor([1e-39])
    threads = torch.get_num_threads()
    with no_subnormals(torch.device("cpu")):
        assert float(small * 1.0) == 0
        assert torch.get_num_threads() == 1
    assert float(small * 1.0) > 0
    assert torch.get_num_threads() == threads
    with pytest.raises(Unfilable, match="on this cuda"), no_subnormals(torch.device("cuda")):
        pass
    assert float(small * 1.0) > 0


@pytest.mark.parametrize(("margin", "kept"), [(60, 0.0), (97, 1.0), (115, 1.0)])
def test_without_subnormal_numbers_an_attack_leaves_what_a_subnormal_gradient_would_move(
    margin: float, kept: float
) -> None:
    """At a margin of 97 the gradient is a subnormal number: PGD breaks the point with it, and not without."""
    x, y = torch.full((10, 1, 2, 2), 64, dtype=torch.uint8), torch.zeros(10, dtype=torch.int64)
    on = On(_line(margin / (2 - 4 * 64 / 255)), Split(x, y), torch.arange(10))
    assert AccuracyWithoutSubnormals(WHAT.attack, WHAT.threat).run(on).metrics["accuracy"].value == kept
    usual = Accuracy(WHAT.attack, WHAT.threat).run(on).metrics["accuracy"].value
    assert usual == (1.0 if margin > 104 else 0.0)
