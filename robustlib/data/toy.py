"""Twelve points in the unit square with two classes: the example in the plane of Wong & Kolter (2018)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

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
