"""Specifications of evaluations: one measurement of one network on one subset, the content of one record."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..data import Dataset, Split, balanced_subset
from ..data.registry import facts_of
from ..errors import RobustlibError, suggest
from ..registry import spec
from .measurement import Measurement
from .network import Network

SPLITS = ("train", "validation", "test")
HELD_OUT = 12
"""The validation split is this part of the training set."""


@spec
@dataclass(frozen=True)
class Subset:
    """Class-balanced rows of a split, nested in n; None: the whole split.

    "validation" is the last twelfth of the training set; a network that is judged on it must be trained on earlier
    rows alone.
    """

    n: int | None = None
    split: str = "test"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise RobustlibError(suggest("split", self.split, SPLITS))
        if self.n is not None and self.n < 1:
            raise RobustlibError(f"n={self.n} of a Subset; give 1 or more, or None for the whole split")

    def choose(self, dataset: Dataset) -> tuple[Split, Tensor]:
        """The split, and the (n,) sorted positions of the subset's rows in it."""
        split = dataset.test if self.split == "test" else dataset.train
        first = len(split) - len(split) // HELD_OUT if self.split == "validation" else 0
        kept = split.y[first:]
        chosen = torch.arange(len(kept)) if self.n is None else balanced_subset(kept, self.n, seed=self.seed)
        return split, first + chosen


@spec
@dataclass(frozen=True)
class Evaluation:
    """One measurement of one network on one subset: the content of one record."""

    subject: Network
    measurement: Measurement
    subset: Subset = Subset()

    @property
    def networks(self) -> tuple[Network, ...]:
        """Every network that must exist before this can be measured."""
        return (self.subject, *self.measurement.others(self.subject))

    @property
    def lineage(self) -> tuple[Network, ...]:
        """All networks that a run from nothing trains, :attr:`networks` and their ancestors; one may be there twice."""
        return tuple(ancestor for network in self.networks for ancestor in network.lineage)

    @property
    def points(self) -> int:
        """Number of inputs that it visits."""
        facts = facts_of(self.subject.dataset)
        sizes = {"train": facts.n_train, "validation": facts.n_train // HELD_OUT, "test": facts.n_test}
        return self.subset.n or sizes[self.subset.split] * self.subject.outputs // len(facts.classes)

    @property
    def name(self) -> str:
        """Short file name stem: ``pgd100x20``, ``fgsm-transfer``, ``losstrace``."""
        return self.measurement.stem
