"""The full profile: each paper's own protocol, and for what four hours of a GPU do not hold a scaled one.

Scaled are the residual networks on CIFAR-10, whoever trained them, and on certificates the large networks: narrower,
for fewer epochs, once. None of it was tried before it is run; a record says each difference.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..attacks.suite import Fab, Pgd, Square
from ..data.registry import facts_of
from ..evaluate.accuracy import Accuracy, Attacked
from ..evaluate.attempts import Targeted
from ..evaluate.cascades import CascadeBound
from ..evaluate.directions import Directions
from ..evaluate.distances import Distances
from ..evaluate.losses import LocalMaxima
from ..evaluate.update_time import Cost
from ..evaluate.worst_case import WorstCase
from ..spec.evaluation import Evaluation
from ..spec.measurement import Measurement
from ..spec.network import Network

EPOCHS = 15


@dataclass(frozen=True)
class Scale:
    """What becomes of a network.

    Args:
        widest: its width is at most this.
        cycle: whether its rate rises and falls once, in bfloat16; otherwise its own decay is kept, moved in proportion.
    """

    widest: int
    cycle: bool


SCALED = {
    "madry_resnet": Scale(4, cycle=True),
    "wide_resnet": Scale(4, cycle=True),
    "resnet18": Scale(32, cycle=True),
    "scaled_large": Scale(8, cycle=False),
    "scaled_resnet": Scale(2, cycle=False),
    "scaled_wide": Scale(16, cycle=False),
    "scaled_deep": Scale(8, cycle=False),
}
"""By architecture."""


def network(full: Network) -> Network:
    """The network that is trained: itself, or its scaled version."""
    scale = SCALED.get(full.model.name)
    if scale is None:
        return full
    plan = full.schedule
    steps = min(plan.steps, EPOCHS * -(-facts_of(full.dataset).n_train // plan.batch))
    if scale.cycle:
        plan = replace(plan, shape="one_cycle", precision="bfloat16", decay=())
    else:
        plan = replace(plan, decay=tuple((step * steps // plan.steps, factor) for step, factor in plan.decay))
    return replace(
        full,
        model=replace(full.model, width=min(full.model.width, scale.widest)),
        schedule=replace(plan, steps=steps),
        parents=tuple(map(network, full.parents)),
        earlier=tuple(map(network, full.earlier)),
    )


POINTS = 500
"""On CIFAR-10, of what costs hundreds of passes a point or more."""


def _few(what: Measurement, *, scaled: bool) -> bool:
    """Whether :data:`POINTS` are enough: for suites, features without a cap, and long attacks on scaled networks."""
    if isinstance(what, Targeted):
        # An attempt may take 1,536 derivatives of every class.
        return what.attack.features > what.cap
    if isinstance(what, Accuracy):
        attack = what.attack
        return scaled and (isinstance(attack, Square | Fab) or (isinstance(attack, Pgd) and attack.steps >= 100))
    return isinstance(what, WorstCase) or (scaled and isinstance(what, Distances | CascadeBound))


def _same(what: Measurement) -> Measurement:
    """What is asked of a scaled network: with scaled sources, the search in bfloat16."""
    if isinstance(what, Accuracy):
        search = "bfloat16" if isinstance(what.attack, Pgd) else what.search
        return replace(what, source=what.source and network(what.source), search=search)
    if isinstance(what, Attacked):
        return replace(what, sources=tuple(map(network, what.sources)))
    if isinstance(what, Directions):
        return replace(what, source=network(what.source))
    return replace(what, search="bfloat16") if isinstance(what, WorstCase | LocalMaxima) else what


def full(evaluation: Evaluation) -> Evaluation:
    """The paper's own evaluation, or its scaled version."""
    what, subject, subset = evaluation.measurement, evaluation.subject, evaluation.subset
    scaled = subject.model.name in SCALED and not isinstance(what, Cost)
    if isinstance(what, LocalMaxima):
        # A histogram of ten thousand ends shows what one of a hundred thousand does.
        what = replace(what, starts=what.starts // 10)
    if subject.dataset == "cifar10" and _few(what, scaled=scaled):
        subset = replace(subset, n=min(subset.n or POINTS, POINTS))
    if scaled:
        subject, what = network(subject), _same(what)
    return Evaluation(subject, what, subset)
