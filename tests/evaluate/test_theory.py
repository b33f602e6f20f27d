"""What Zhang et al. prove: Table 1 counted, Table 2 from its definition, Theorem 3.1 on every point of a network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from robustlib.data import Split
from robustlib.errors import RobustlibError
from robustlib.evaluate.theory import (
    PSI,
    SURROGATES,
    LineRisks,
    counterexample,
    hinge_risks,
    line_risks,
    psi_transform,
    table_1,
)
from robustlib.threat import LinfBall


def test_table_1_is_what_the_paper_says() -> None:
    """Derived by hand: every point of the Bayes rule lies within eps of its boundary, the constant rule has none."""
    for cells in (2, 6, 10):
        assert table_1(cells, 50) == {
            "Bayes optimal classifier": LineRisks(0.0, 1.0, 1.0),
            "all-one classifier": LineRisks(0.5, 0.0, 0.5),
        }
    x, eta = counterexample(4, 10)
    assert [eta[np.searchsorted(x, at)] for at in (0.1, 0.3, 0.6, 0.9)] == [0, 1, 0, 1]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("reach", [0, 1, 7])
def test_robust_risk_is_natural_risk_and_boundary_risk(seed: int, reach: int) -> None:
    """On random classifiers, each of the three counted from its own definition; the robust one once more by a loop."""
    generator = np.random.default_rng(seed)
    decisions, labels = (np.repeat(generator.choice([-1, 1], 40), 5) for _ in range(2))
    risks = line_risks(decisions, labels, reach)
    assert risks.robust == pytest.approx(risks.natural + risks.boundary)
    lost = sum(
        any(decisions[j] != labels[i] for j in range(max(0, i - reach), min(200, i + reach + 1))) for i in range(200)
    )
    assert risks.robust == lost / 200
    if reach == 0:
        assert risks.boundary == 0


@pytest.mark.parametrize("name", SURROGATES)
def test_psi_from_its_definition_is_the_printed_one(name: str) -> None:
    t, psi = psi_transform(SURROGATES[name])
    np.testing.assert_allclose(psi, PSI[name](t), atol=6e-4)
    assert psi[0] == pytest.approx(0, abs=1e-9)
    assert np.all(np.diff(psi) > 0)
    assert float(SURROGATES[name](np.zeros(1))[0]) >= 1  # what the theorem asks of phi


@pytest.mark.parametrize("name", ["exponential", "logistic"])
def test_the_least_risk_is_that_of_a_continuous_search(name: str) -> None:
    """The grid over a against scipy's minimiser, at t = 0.6 (eta = 0.8); both losses are convex."""
    phi, eta = SURROGATES[name], 0.8
    least = minimize_scalar(lambda a: float(eta * phi(np.asarray(a)) + (1 - eta) * phi(np.asarray(-a)))).fun
    t, psi = psi_transform(phi)
    assert np.interp(0.6, t, psi) == pytest.approx(float(phi(np.zeros(1))[0]) - least, abs=1e-4)


def test_a_transform_that_is_not_convex_is_drawn_below() -> None:
    """For phi with a plateau the least risks leave a concave stretch, which the biconjugate cuts off."""
    _, psi = psi_transform(lambda a: np.where(a <= 0, 1.0, np.where(a < 1, 0.9, 0.0)))
    assert np.all(np.diff(psi, 2) > -1e-9)


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


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(RobustlibError, match="two rows of one length"):
        line_risks(np.ones(3), np.ones(4), 1)
