"""What Zhang et al. prove: Table 1 counted, Table 2 from its definition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from robustlib.errors import RobustlibError
from robustlib.papers.zhang2019.theory import (
    PSI,
    SURROGATES,
    LineRisks,
    counterexample,
    line_risks,
    psi_transform,
    table_1,
)


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


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(RobustlibError, match="two rows of one length"):
        line_risks(np.ones(3), np.ones(4), 1)
