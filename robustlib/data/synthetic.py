"""Datasets that need no file: scikit-learn's digits, points in a square, and applicants for a loan.

Datasets made by a rule consist of uniform draws of a generator with a stated seed, sums, products and comparisons:
no operation whose last digit depends on the machine.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from robustlib.data.dataset import balanced_subset

TEST_ROWS = 360


def digits_arrays() -> dict[str, npt.NDArray[np.generic]]:
    """``x_train`` uint8 (1437, 1, 8, 8), ``y_train`` uint8 (1437,), ``x_test`` and ``y_test`` with 360 rows.

    The 17 grey levels 0..16 become 0..255, rounded. The bundle has no official split: 36 rows of each class,
    drawn by a fixed seed, are the test set; both keep the bundle's order.
    Source: UCI Optical Recognition of Handwritten Digits (test part), as ``sklearn.datasets.load_digits``.
    """
    from sklearn.datasets import load_digits

    pixels, labels = cast("tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]", load_digits(return_X_y=True))
    x = np.rint(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    y = labels.astype(np.uint8)
    test = np.zeros(len(y), dtype=bool)
    test[balanced_subset(torch.from_numpy(labels), TEST_ROWS, seed=0).numpy()] = True
    return {"x_train": x[~test], "y_train": y[~test], "x_test": x[test], "y_test": y[test]}


POINTS, APART = 12, 0.32


def toy_arrays() -> dict[str, npt.NDArray[np.generic]]:
    """``x_train`` float32 (12, 2) in [0, 1] and ``y_train`` uint8 (12,); the test set is the same.

    Points are drawn evenly, and one that is within 0.32 of an earlier point in the l_1 norm is drawn again; labels are
    even coin tosses. The seeds are the authors', for which their notebook prints losses.
    Source: locuslab/convex_adversarial, examples/2D.ipynb.
    """
    draw = np.random.RandomState(3)
    points = [draw.uniform(size=2)]
    while len(points) < POINTS:
        point = draw.uniform(size=2)
        if min(float(np.abs(point - other).sum()) for other in points) > APART:
            points.append(point)
    tosses = torch.rand(POINTS, generator=torch.Generator().manual_seed(1))
    x, y = np.asarray(points, np.float32), (tosses >= 0.5).to(torch.uint8).numpy()
    return {"x_train": x, "y_train": y, "x_test": x, "y_test": y}


Arrays = dict[str, npt.NDArray[np.generic]]

PLANE_POINTS, PLANE_GAP = 20, 0.15
FEATURES = ("group", "age", "credit history", "income", "debt", "savings", "stated expenses", "stated job tenure")
"""Features of an applicant, in the columns' order."""
LOANS = (6_000, 4_000)
"""Numbers of applicants to train on and to evaluate on."""


def _bytes(values: Tensor) -> npt.NDArray[np.uint8]:
    return (values.clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def plane_arrays() -> Arrays:
    """20 points of the unit square on both sides of a zigzag, no two within 0.15 in both coordinates.

    Train and test are the same points: the picture is about what is between them.
    """
    generator = torch.Generator().manual_seed(2)
    found: list[Tensor] = []
    while len(found) < PLANE_POINTS:
        point = 0.08 + 0.84 * torch.rand(2, generator=generator, dtype=torch.float64)
        if all(float((point - other).abs().max()) > PLANE_GAP for other in found):
            found.append(point)
    points = torch.stack(found)
    zigzag = 0.35 + 0.6 * ((2 * points[:, 0]) % 1 - 0.5).abs()
    labels = (points[:, 1] > zigzag).to(torch.uint8).numpy()
    x = _bytes(points)
    return {"x_train": x, "y_train": labels, "x_test": x, "y_test": labels}


def _applicants(n: int, generator: torch.Generator) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], Tensor]:
    def noise(size: float) -> Tensor:
        # The mean of four uniform draws: nearly normal, without a logarithm.
        return size * (torch.rand(4, n, generator=generator, dtype=torch.float64).mean(0) - 0.5)

    uniform = torch.rand(3, n, generator=generator, dtype=torch.float64)
    group = (uniform[0] < 0.3).double()
    age = 0.1 + 0.8 * uniform[1]
    history = age * (0.3 + 0.6 * uniform[2])
    # Group 1 earns less at the same age; nothing else depends on the group itself.
    income = 0.35 + 0.35 * age - 0.12 * group + noise(0.9)
    debt = 0.55 - 0.35 * income + noise(0.8)
    savings = 0.1 + 0.5 * income + 0.2 * history + noise(0.6)
    means = income - 0.8 * debt + 0.5 * savings + 0.5 * history
    # Prudence is in no column, but in the applicants' statements, which are not verified.
    ability = means + noise(1.0)
    repays = ability > 0.48
    expenses = 0.7 - 0.45 * ability + noise(0.25)
    tenure = 0.3 + 0.45 * ability + noise(0.25)
    columns = torch.stack([group, age, history, income, debt, savings, expenses, tenure], 1)
    return _bytes(columns), repays.to(torch.uint8).numpy(), group


def lender_arrays() -> Arrays:
    """Applicants (n, 8) with :data:`FEATURES`, y = 1 for who repays, ``subject_*`` the group (0 or 1).

    A structural model: immutable features (group, age, history) cause the costly ones (income, debt, savings), these
    and a prudence that is in no column cause repayment, and free statements (expenses, tenure) reveal both as long as
    all are honest.
    """
    made: Arrays = {}
    generator = torch.Generator().manual_seed(11)
    for split, n in zip(("train", "test"), LOANS, strict=True):
        x, y, group = _applicants(n, generator)
        made |= {f"x_{split}": x, f"y_{split}": y, f"subject_{split}": group.to(torch.uint8).numpy()}
    return made
