"""Theorems of Zhang et al. 2019, computed: risks on a line (Table 1) and psi-transforms (Table 2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...errors import RobustlibError

Surrogate = Callable[[np.ndarray], np.ndarray]

SURROGATES: dict[str, Surrogate] = {
    "hinge": lambda a: np.maximum(1 - a, 0),
    "sigmoid": lambda a: 1 - np.tanh(a),
    "exponential": lambda a: np.exp(-a),
    "logistic": lambda a: np.logaddexp(0, -a) / np.log(2),
}
"""phi(a) of Table 2."""

PSI: dict[str, Surrogate] = {
    "hinge": lambda t: t,
    "sigmoid": lambda t: t,
    "exponential": lambda t: 1 - np.sqrt(1 - t**2),
    "logistic": lambda t: (_plogp(1 - t) + _plogp(1 + t)) / 2,
}
"""psi(t) of Table 2, t in [0, 1], as printed."""


def _plogp(p: np.ndarray) -> np.ndarray:
    return p * np.log2(np.where(p > 0, p, 1))


def psi_transform(phi: Surrogate, *, points: int = 201, reach: float = 12.0) -> tuple[np.ndarray, np.ndarray]:
    """(t, psi(t)) on a grid of [0, 1], from the definition of Bartlett, Jordan and McAuliffe (2006).

    H(eta) is the least of eta phi(a) + (1 - eta) phi(-a) over all a, H^-(eta) the least over a (2 eta - 1) <= 0,
    and psi the greatest convex function below H^-((1 + t) / 2) - H((1 + t) / 2).

    Args:
        phi: a surrogate loss.
        points: of the grid.
        reach: a is searched in [-reach, reach].
    """
    t = np.linspace(0, 1, points)
    a = np.linspace(-reach, reach, 24_001)
    eta = ((1 + t) / 2)[:, None]
    risk = eta * phi(a) + (1 - eta) * phi(-a)
    return t, _convex_below(t, risk[:, a <= 0].min(1) - risk.min(1))


def _convex_below(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The greatest convex function below the points (x, y), x rising: their lower hull."""
    hull: list[int] = []
    for i in range(len(x)):
        while len(hull) > 1:
            j, k = hull[-2], hull[-1]
            if (y[k] - y[j]) * (x[i] - x[j]) < (y[i] - y[j]) * (x[k] - x[j]):
                break
            hull.pop()
        hull.append(i)
    return np.interp(x, x[hull], y[hull])


@dataclass(frozen=True)
class LineRisks:
    """Shares of points: misclassified, right but near the boundary, and either of them for an adversary."""

    natural: float
    boundary: float
    robust: float


def line_risks(decisions: np.ndarray, labels: np.ndarray, reach: int) -> LineRisks:
    """R_nat, R_bdy and R_rob of a classifier on equidistant points of a line, each counted from its definition.

    Args:
        decisions, labels: (n,) of -1 and 1.
        reach: eps in numbers of points.
    """
    if decisions.shape != labels.shape or reach < 0:
        raise RobustlibError(
            f"decisions {decisions.shape}, labels {labels.shape}, reach={reach}; give two rows of one length, 0 or more"
        )
    padded = np.pad(decisions, reach, mode="edge")
    near = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    right = decisions == labels
    crossed = (near != decisions[:, None]).any(1)
    return LineRisks(
        natural=float((~right).mean()),
        boundary=float((right & crossed).mean()),
        robust=float((near != labels[:, None]).any(1).mean()),
    )


def counterexample(cells: int = 10, points: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """(x, eta(x)): x uniform on [0, 1], P(Y = 1 | x) alternating between 0 and 1 in cells of width eps = 1 / cells."""
    x = (np.arange(cells * points) + 0.5) / (cells * points)
    return x, (np.floor(x * cells) % 2).astype(float)


def table_1(cells: int = 10, points: int = 200) -> dict[str, LineRisks]:
    """Risks of the Bayes rule and of the classifier that always says 1 on the counterexample."""
    _, eta = counterexample(cells, points)
    labels = np.where(eta == 1, 1, -1)
    rules = {"Bayes optimal classifier": labels, "all-one classifier": np.ones_like(labels)}
    return {name: line_risks(decisions, labels, points) for name, decisions in rules.items()}
