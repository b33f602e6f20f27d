"""scikit-learn's bundled 8x8 digits: real images that need no file and no download, for demos and tests."""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt
import torch

from robustlib.data.subset import balanced_subset

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
