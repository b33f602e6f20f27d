"""Specifications of trained networks, and of those that papers' authors released."""

from __future__ import annotations

from dataclasses import dataclass

from ..data import NAMES as DATASETS
from ..data.registry import facts_of
from ..errors import RobustlibError, suggest
from ..models import ModelSpec
from ..models.released import checkpoint
from ..registry import spec
from ..threat import Ball
from ..training import Defence, Schedule
from ..training.released import Released


@spec
@dataclass(frozen=True)
class Network:
    """A trained network.

    Args:
        dataset: one of ``robustlib.data.NAMES``.
        model: the architecture.
        defence: the objective.
        schedule: optimiser, learning rates, batch size and number of updates.
        rows: (first, end) of the training set that training sees; None: all of it.
        seed: initial weights, order, attack starts.
        parents: networks that this one is made from: for a distillation first the teacher, then, as for any other
            defence, one whose weights this one begins with, if it does not begin with fresh ones.
        classes: the only classes that it learns and is evaluated on, label i for the i-th of them; (): all. ``rows``
            and every subset then count within them.
        earlier: the stages of a cascade before this one: training sees those of ``rows`` where none of them certifies
            its own prediction for the defence's ball, and ``schedule`` shrinks to the same number of epochs.
    """

    dataset: str
    model: ModelSpec
    defence: Defence
    schedule: Schedule
    rows: tuple[int, int] | None = None
    seed: int = 0
    parents: tuple[Network, ...] = ()
    classes: tuple[int, ...] = ()
    earlier: tuple[Network, ...] = ()

    def __post_init__(self) -> None:
        if self.dataset not in DATASETS:
            raise RobustlibError(suggest("dataset", self.dataset, DATASETS))
        if self.defence.taught and not self.parents:
            raise RobustlibError(f"parents=() of a network under {self.defence}; the first one is its teacher")
        if self.earlier and not self.defence.staged:
            raise RobustlibError(f"earlier stages of a network under {self.defence}; give it a Certified defence")

    @property
    def teacher(self) -> Network | None:
        """The network that a distillation learns from."""
        return self.parents[0] if self.defence.taught else None

    @property
    def start(self) -> Network | None:
        """The network whose weights this one begins with; None: they are drawn from its seed."""
        others = self.parents[1:] if self.teacher else self.parents
        return others[0] if others else None

    @property
    def needs(self) -> tuple[Network, ...]:
        """Networks that must be trained before this one."""
        return (*self.parents, *self.earlier)

    @property
    def lineage(self) -> tuple[Network, ...]:
        """Its ancestors, the first to be trained first, and itself; a network may be there twice."""
        return (*(ancestor for parent in self.needs for ancestor in parent.lineage), self)

    @property
    def outputs(self) -> int:
        """Number of classes."""
        return len(self.classes or facts_of(self.dataset).classes)

    @property
    def name(self) -> str:
        """Folder of its records: ``mnist-madry_cnn16-pgd-s0``."""
        return f"{self.dataset}-{self.model.name}{self.model.width}-{self.defence.name}-s{self.seed}"

    def __str__(self) -> str:
        return self.name


UNTRAINED = Schedule(0, 1, 1.0)
"""No update: the weights are those of the file."""


def authors_network(name: str, number: int = 1, *, threat: Ball | None = None, seed: int = 0) -> Network:
    """A released network, or the ``number``-th of a released cascade behind those before it.

    Args:
        name: of the file, see :func:`robustlib.models.released.checkpoints`.
        number: of the network in it, counted from 1.
        threat: ball that the authors trained against.
        seed: names a draw of a random attack; the weights are those of the file whatever it is.

    Raises:
        RobustlibError: an unknown file, or one that holds fewer networks.
    """
    known = checkpoint(name)
    if not 1 <= number <= known.stages:
        raise RobustlibError(f"number={number} of {name}, which holds {known.stages}; they count from 1")
    defence = Released(known.paper, known.file, known.sha256, stage=number - 1, threat=threat)
    earlier = tuple(authors_network(name, place, threat=threat, seed=seed) for place in range(1, number))
    return Network(known.dataset, known.model, defence, UNTRAINED, seed=seed, earlier=earlier)
