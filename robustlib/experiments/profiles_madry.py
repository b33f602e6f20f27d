"""The reduced profiles of Madry et al.'s CIFAR-10 networks: two small convolutional networks in place of residual ones.

"Simple" and "wide" become capacity scales 2 and 4 of the paper's own MNIST family. On a CPU core a residual network
of either kind is hours away from its first useful epoch.
"""

from __future__ import annotations

from dataclasses import replace

from ..evaluate.accuracy import Accuracy, Attacked
from ..evaluate.directions import Directions
from ..evaluate.losses import LocalMaxima, LossTrace
from ..models import ModelSpec
from ..spec.evaluation import Evaluation
from ..spec.network import Network
from ..threat import L2Ball
from ..training import FgsmTraining, PgdTraining, Schedule

NAME = "madry_resnet"
_SCALES = {1: 2, 10: 4}
_RADII = {"linf": (0, 2, 4, 8, 12, 16, 24), "l2": (0, 20, 40, 80)}
"""Of 255: points of the two curves against eps that a reduced profile runs."""


def stand_in(model: ModelSpec) -> ModelSpec:
    """The small network for a residual one."""
    return ModelSpec("madry_cnn", _SCALES[model.width], init="kaiming_uniform")


def runs(evaluation: Evaluation) -> bool:
    """Whether a reduced profile runs it: all but some radii of the curves against eps."""
    what = evaluation.measurement
    if not isinstance(what, Accuracy) or what.threat is None or getattr(what.attack, "steps", 0) != 100:
        return True
    norm = "l2" if isinstance(what.threat, L2Ball) else "linf"
    return round(255 * what.threat.eps) in _RADII[norm]


def _quick_network(network: Network) -> Network:
    defence = network.defence
    if isinstance(defence, FgsmTraining):
        defence = replace(defence, eps_warmup=0.3, crafting="eval")
    elif isinstance(defence, PgdTraining):
        defence = replace(defence, ramp=(3, 5, 7), eps_warmup=0.15, crafting="eval")
    schedule = Schedule(steps=800, batch=128, lr=1.5e-3, shape="one_cycle", precision="bfloat16")
    return replace(network, model=stand_in(network.model), defence=defence, schedule=schedule)


def quick(evaluation: Evaluation) -> Evaluation | None:
    """CIFAR-10 itself, two epochs, hundreds of points."""
    if not runs(evaluation):
        return None
    what, n = evaluation.measurement, evaluation.subset.n
    if isinstance(what, Accuracy):
        n = 200 if getattr(what.attack, "steps", 0) == 100 else 1_000
        what = replace(what, source=None if what.source is None else _quick_network(what.source))
    elif isinstance(what, Attacked):
        n = 500 if what.sources else 1_000
        what = replace(what, sources=tuple(map(_quick_network, what.sources)))
    elif isinstance(what, LossTrace):
        what = replace(what, runs=5)
    elif isinstance(what, LocalMaxima):
        what = replace(what, starts=100)
    elif isinstance(what, Directions):
        what = replace(what, source=_quick_network(what.source))
    return Evaluation(_quick_network(evaluation.subject), what, replace(evaluation.subset, n=n))
