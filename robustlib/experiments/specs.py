"""What is trained and what is measured, as frozen dataclasses.

A :class:`Network` leads to weights; an :class:`Evaluation` leads to one record. Both are always the
paper's own protocol when a paper's module makes them; a profile turns them into smaller ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..attacks.suite import Attack, Pgd
from ..data import NAMES as DATASETS
from ..data.registry import facts_of
from ..errors import RobustlibError, suggest
from ..models import ModelSpec
from ..threat import Ball
from ..training import Certified, Defence, Distillation, Schedule
from .measurements import Distances as Distances
from .measurements import Exact as Exact
from .measurements import HingeBound as HingeBound
from .measurements import LocalMaxima as LocalMaxima
from .measurements import LossTrace as LossTrace
from .measurements import TrainingCurve as TrainingCurve
from .measurements import WorstCase as WorstCase
from .probes import (
    Amplitudes,
    CascadeBound,
    Certificate,
    CertifiedRadii,
    Cost,
    DecisionMap,
    Estimated,
    FirstLayer,
    Groups,
    InnerLoop,
    Lending,
    Outputs,
    OutputSet,
    Pictures,
    Recipe,
    Relaxed,
    Targeted,
)


@dataclass(frozen=True)
class Network:
    """A trained network.

    Args:
        dataset: one of ``robustlib.data.NAMES``.
        model: the architecture.
        defence: the objective.
        schedule: how long and how fast.
        rows: (first, end) of the training set that training sees; None: all of it.
        seed: initial weights, order, attack starts.
        parents: networks that this one is made from: for a distillation first the teacher, then, as for any other
            defence, one whose weights this one begins with, if it does not begin with fresh ones.
        classes: the only classes that it learns and is asked about, label i for the i-th of them; (): all. ``rows``
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
        if isinstance(self.defence, Distillation) and not self.parents:
            raise RobustlibError(f"parents=() of a network under {self.defence}; the first one is its teacher")
        if self.earlier and not isinstance(self.defence, Certified):
            raise RobustlibError(f"earlier stages of a network under {self.defence}; give it a Certified defence")

    @property
    def teacher(self) -> Network | None:
        """The network that a distillation learns from."""
        return self.parents[0] if isinstance(self.defence, Distillation) else None

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
        """How many classes it tells apart."""
        return len(self.classes or facts_of(self.dataset).classes)

    @property
    def name(self) -> str:
        """Folder of its records: ``mnist-madry_cnn16-pgd-s0``."""
        return f"{self.dataset}-{self.model.name}{self.model.width}-{self.defence.name}-s{self.seed}"


SPLITS = ("train", "validation", "test")
HELD_OUT = 12
"""The validation split is this part of the training set."""


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


@dataclass(frozen=True)
class Accuracy:
    """Share of points still classified correctly after an attack; per-example outcomes are kept.

    Args:
        attack: which attack.
        threat: what it may do; None for a clean evaluation.
        source: network whose gradients steer it (black-box transfer); None: the subject's own.
        search: precision of the steering gradients, "float32" or "bfloat16"; verdicts are float32.
    """

    attack: Attack
    threat: Ball | None = None
    source: Network | None = None
    search: str = "float32"
    protocol: int = 1


@dataclass(frozen=True)
class AccuracyVariation:
    """Accuracy minus that of another network on the same clean points, in percentage points.

    Args:
        baseline: the other network.
    """

    baseline: Network
    protocol: int = 1


@dataclass(frozen=True)
class Attacked:
    """Accuracy under several attacks, one record for all: ``accuracy I``, or ``accuracy I J`` when made on source J.

    Args:
        attacks: counted from 0 in the metrics' names.
        threat: what each of them may do.
        sources: networks whose gradients steer them (black box); (): the subject's own.
    """

    attacks: tuple[Attack, ...]
    threat: Ball
    sources: tuple[Network, ...] = ()
    protocol: int = 1


@dataclass(frozen=True)
class Directions:
    """Loss on the straight way to what FGSM and PGD make of a point, on the subject (white box) and on another.

    Args:
        threat: of both attacks.
        attack: the PGD.
        source: the other network (black box); angles are those between its input gradients and the subject's.
        stops: values of the loss on each way, both ends included.
    """

    threat: Ball
    attack: Pgd
    source: Network
    stops: int = 21
    protocol: int = 1


Measurement = (
    Accuracy
    | Distances
    | WorstCase
    | LossTrace
    | LocalMaxima
    | TrainingCurve
    | AccuracyVariation
    | HingeBound
    | Attacked
    | Directions
    | Targeted
    | Amplitudes
    | Outputs
    | Recipe
    | Certificate
    | CertifiedRadii
    | Relaxed
    | FirstLayer
    | CascadeBound
    | Estimated
    | InnerLoop
    | Pictures
    | DecisionMap
    | Lending
    | OutputSet
    | Cost
    | Groups
    | Exact
)


@dataclass(frozen=True)
class Evaluation:
    """One measurement of one network on one subset: the content of one record."""

    subject: Network
    measurement: Measurement
    subset: Subset = Subset()

    @property
    def networks(self) -> tuple[Network, ...]:
        """Every network that must exist before this can be measured."""
        what = self.measurement
        if isinstance(what, Attacked):
            return (self.subject, *what.sources)
        if isinstance(what, CascadeBound):
            return (self.subject, *self.subject.earlier)
        other = getattr(what, "source", None) or getattr(what, "baseline", None)
        return (self.subject,) if other is None else (self.subject, other)

    @property
    def lineage(self) -> tuple[Network, ...]:
        """Those and their ancestors: what a run from nothing trains; a network may be there twice."""
        return tuple(ancestor for network in self.networks for ancestor in network.lineage)

    @property
    def name(self) -> str:
        """Short file name stem: ``pgd100x20``, ``fgsm-transfer``, ``losstrace``."""
        measurement = self.measurement
        if isinstance(measurement, Distances):
            return f"{type(measurement.attack).__name__.lower()}-{measurement.norm}"
        if not isinstance(measurement, Accuracy):
            return type(measurement).__name__.lower()
        attack = measurement.attack
        stem = type(attack).__name__.lower()
        steps = getattr(attack, "steps", None)
        if steps is not None:
            stem += f"{steps}x{getattr(attack, 'restarts', 1)}"
        return stem if measurement.source is None else f"{stem}-transfer"
