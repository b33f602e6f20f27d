"""Theorem 3.1 of Zhang et al. on every point of a network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from robustlib.data import Split
from robustlib.evaluate.hinge import hinge_risks
from robustlib.threat import LinfBall


class Plane(torch.nn.Module):
    """Two logits whose difference is f(x) = w x + b."""

    def __init__(self, weight: list[float], bias: float) -> None:
        super().__init__()
        self.weight, self.bias = torch.nn.Parameter(torch.tensor(weight)), bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        f = x @ self.weight + self.bias
        return torch.stack([-f / 3, 2 * f / 3], 1)


def test_hinge_risks_of_a_plane_have_a_closed_form() -> None:
    """The adversary moves f by eps |w|_1 against its sign (no domain in the way)."""
    model, eps, scale = Plane([2.0, -1.0], 0.25).eval(), 0.05, 2.0
    x = torch.rand(300, 2, generator=torch.Generator().manual_seed(0))
    y = torch.randint(2, (300,), generator=torch.Generator().manual_seed(1))
    threat, split = LinfBall(eps, domain=None), Split(x, y)
    found = hinge_risks(model, split, torch.arange(300), threat, steps=5, step_size=0.03, scale=scale, name="a")
    f, sign = (2 * x[:, 0] - x[:, 1] + 0.25).numpy(), 2 * y.numpy() - 1
    worst = f - np.sign(f) * 3 * eps
    np.testing.assert_allclose(found.natural, np.maximum(1 - sign * f, 0), atol=1e-5)
    np.testing.assert_allclose(found.spread, np.maximum(1 - f * worst / scale, 0), atol=1e-5)
    np.testing.assert_array_equal(found.robust, sign * f > 3 * eps)
    assert 0 < found.robust.mean() < 1


@pytest.mark.parametrize("scale", [0.5, 2.0, 5.0])
def test_the_theorem_holds_on_every_point(scale: float) -> None:
    """Lost to the adversary: then y f(x) <= 0 or f(x) f(x') <= 0, and one of the hinges is at least 1."""
    torch.manual_seed(0)
    layers = torch.nn.Flatten(), torch.nn.Linear(16, 30), torch.nn.ReLU(), torch.nn.Linear(30, 2)
    model = torch.nn.Sequential(*layers).eval()
    x, y = torch.rand(400, 1, 4, 4), torch.randint(2, (400,))
    found = hinge_risks(
        model, Split(x, y), torch.arange(400), LinfBall(0.1), steps=10, step_size=0.03, scale=scale, name="b"
    )
    assert np.all(~found.robust <= found.natural + found.spread)
    assert 0 < found.robust.mean() < (found.natural < 1).mean()
