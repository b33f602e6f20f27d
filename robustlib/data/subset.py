"""Fixed, seeded, class-balanced subsets: a subset is never "the first n" rows."""

from __future__ import annotations

import torch
from torch import Tensor

from robustlib.errors import RobustlibError


def balanced_subset(labels: Tensor, n: int, *, seed: int = 0) -> Tensor:
    """``n`` indices, drawn evenly over the classes: int64 ``(n,)``, ascending, on the labels' device.

    Class counts differ by at most one until a class runs out of rows. For one seed the subsets are nested:
    the rows of ``n=100`` are among those of ``n=1000``. The draw depends on ``labels`` and ``seed`` alone
    (a separate CPU generator), so that every machine gets the same rows.

    labels: integer ``(N,)``; 1 <= n <= N. Raises RobustlibError otherwise.
    """
    if labels.ndim != 1 or labels.is_floating_point() or labels.is_complex():
        raise RobustlibError(
            f"balanced_subset needs one integer label per row, got shape {tuple(labels.shape)} of "
            f"{labels.dtype}; pass Split.y"
        )
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= len(labels):
        raise RobustlibError(f"subset size {n!r} is impossible; give a whole number from 1 to {len(labels)}")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise RobustlibError(f"subset seed {seed!r} is not a whole number from 0 to 2**63 - 1; use for instance 0")
    generator = torch.Generator().manual_seed(seed)
    classes, kind = torch.unique(labels.cpu(), return_inverse=True)
    shuffled = torch.randperm(len(labels), generator=generator)
    # which class gives first in each round: it matters where n is not a multiple of the number of classes
    turn = torch.randperm(len(classes), generator=generator)[kind[shuffled]]
    by_class = torch.argsort(turn, stable=True)
    counts = torch.bincount(turn, minlength=len(classes))
    starts = torch.cumsum(counts, 0) - counts
    round_of = torch.empty_like(turn)
    round_of[by_class] = torch.arange(len(turn)) - starts[turn[by_class]]
    order = shuffled[torch.argsort(round_of * len(classes) + turn)]  # one fixed order; a subset is its beginning
    return order[:n].sort().values.to(labels.device)
