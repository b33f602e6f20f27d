"""Loaded datasets: two splits of tensors on one device, and the facts that a record needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

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


@dataclass(frozen=True, eq=False)
class Split:
    """One official split, in the official order.

    ``x``: uint8 ``(N, C, H, W)`` in 0..255 for images, float32 ``(N, F)`` already in the domain for features.
    ``y``: int64 ``(N,)``, classes from 0.
    Both are shared by everyone who loaded the dataset: read them, do not write to them.
    """

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return self.x.shape[0]

    def images(self, rows: Tensor | None = None) -> Tensor:
        """The chosen rows (all by default) as a new float32 tensor in the domain, on the split's device.

        ``rows`` is a LongTensor of row numbers or a bool mask, on any device. Pixels are divided by 255.
        """
        # rows often come from the CPU; a mask there would not index a tensor on a GPU
        chosen = self.x if rows is None else self.x[rows.to(self.x.device)]
        if chosen.dtype != torch.uint8:
            return chosen.clone() if rows is None else chosen
        # A divisor on the same device: CUDA turns division by a host number into a product with its
        # reciprocal, which differs from the CPU's quotient in the last bit of some pixel values.
        return chosen.to(torch.float32).div_(torch.full((), 255.0, device=chosen.device))


@dataclass(frozen=True, eq=False)
class Dataset:
    """A verified dataset.

    ``domain``: lowest and highest value of ``Split.images()``. ``digest``: sha256 over the digests of the
    arrays, hex, the same for the same bytes on every machine. ``inexact``: how many rows of each split are
    known not to be the official bytes. ``groups``: who a row came from (HAR's 30 subjects, int64 ``(N,)``),
    or None. ``source``: the verified origin in words: ``official``, or ``mirror, 20 inexact rows``.
    """

    name: str
    train: Split
    test: Split
    domain: tuple[float, float]
    classes: tuple[str, ...]
    digest: str
    inexact: Mapping[str, int]
    groups: Mapping[str, Tensor | None]
    source: str = "official"

    def only(self, classes: tuple[int, ...]) -> Dataset:
        """The rows of these classes alone, in their order; the label i is the class ``classes[i]``.

        The digest and the counts of inexact rows stay those of the whole dataset.

        Raises:
            RobustlibError: a class that there is not, or one given twice.
        """
        if not classes or len(set(classes)) < len(classes) or not set(classes) <= set(range(len(self.classes))):
            raise RobustlibError(
                f"classes={classes} of {self.name}; give different numbers from 0 to {len(self.classes) - 1}"
            )

        def chosen(split: Split) -> tuple[Tensor, Split]:
            found = split.y[:, None] == torch.tensor(classes, device=split.y.device)
            rows = found.any(1)
            return rows, Split(split.x[rows], found[rows].int().argmax(1))

        (in_train, train), (in_test, test) = chosen(self.train), chosen(self.test)
        masks = {"train": in_train, "test": in_test}
        groups = {
            name: None if members is None else members[masks[name].to(members.device)]
            for name, members in self.groups.items()
        }
        names = tuple(self.classes[number] for number in classes)
        return replace(self, train=train, test=test, classes=names, groups=groups)

    @property
    def official(self) -> bool:
        """True where every row is the official one."""
        return not any(self.inexact.values())
