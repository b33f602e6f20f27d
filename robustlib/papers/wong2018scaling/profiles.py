"""Reduced profiles of Wong et al. 2018: digits for smoke, cheaper bounds before the dual for quick."""

from __future__ import annotations

from dataclasses import replace

from ...budget import WHOLE, Budget
from ...evaluate.accuracy import Accuracy
from ...evaluate.cascades import CascadeBound, Estimated
from ...evaluate.certificates import Certificate
from ...evaluate.groups import Groups
from ...evaluate.losses import TrainingCurve
from ...evaluate.update_time import Cost
from ...experiments.profiles import On, Reduction, Scale, Version, scaled
from ...spec.evaluation import Evaluation
from ...spec.network import Network
from ...threat import Ball, L2Ball, LinfBall
from ...training import Certified, Schedule, Standard
from ..wong2018 import profiles as polytope
from .networks import COLUMNS, MARKS, marked

SCALED = {
    "scaled_large": Scale(8, cycle=False),
    "scaled_resnet": Scale(2, cycle=False),
    "scaled_wide": Scale(16, cycle=False),
    "scaled_deep": Scale(8, cycle=False),
}
full_network = scaled(SCALED)

CURVES = {marked(columns, mark): (columns, mark) for columns in (0, *COLUMNS) for mark in range(len(MARKS))}
"""Networks of the curves over epochs, by their number of projections and their mark."""


def _of_a_curve(evaluation: Evaluation) -> bool:
    return evaluation.subject in CURVES


def _of_no_curve(evaluation: Evaluation) -> bool:
    return evaluation.subject not in CURVES


# smoke ------------------------------------------------------------------------------------------------------------


def smoke_ball(threat: Ball) -> Ball:
    """A ball on digits."""
    return LinfBall(0.1) if threat.norm == "linf" else L2Ball(0.2, domain=None)


def smoke_network(network: Network) -> Network:
    """A network's smoke version: on digits, in seconds; two stages, the smallest widths."""
    defence, model = network.defence, network.model
    model = replace(model, width=min(model.width, 2), depth=min(model.depth, 2))
    plain = replace(network, dataset="digits", model=model, parents=(), earlier=(), schedule=Schedule(1, 50, 5e-3))
    if not isinstance(defence, Certified):
        return plain
    start = replace(plain, defence=Standard(), schedule=Schedule(100, 50, 5e-3, shape="one_cycle"))
    parents = tuple(smoke_network(parent) for parent in network.parents) or (start,)
    robust = Certified(smoke_ball(defence.threat), ramp=defence.ramp, projections=min(defence.projections, 10))
    earlier = tuple(smoke_network(stage) for stage in network.earlier[:1])
    return replace(plain, defence=robust, schedule=Schedule(20, 50, 5e-3), parents=parents, earlier=earlier)


def _smoke_leaves_curve(evaluation: Evaluation) -> bool:
    """Two kinds of bound, each at its last mark, are enough."""
    columns, mark = CURVES[evaluation.subject]
    return columns > 1 or mark < len(MARKS) - 1


# quick ------------------------------------------------------------------------------------------------------------

_PLAIN = Schedule(800, 128, 2e-3, shape="one_cycle")
# One dual pass over interval bounds, from a briefly trained network and with a rising radius. Tried on 500 held-out
# training images. CIFAR-10 at 2/255: 59 % without a certificate in 4.5 core-minutes, where 3,000 updates on interval
# bounds alone left 76 % and 700 on the dual with 20 columns 65 %. MNIST at 0.1, 1,000 updates: 10 % (small), 12 %
# (Deep(1)), 9 % (Deep(2), which 2,000 on interval bounds left at chance).
_START = replace(_PLAIN, steps=600)
_HYBRID = Schedule(800, 128, 2e-3, shape="one_cycle")
_RISE = 0.7
_DUAL = Schedule(40, 50, 2e-4, shape="one_cycle")
# Level's CIFAR-10 network: three times as long, then a fifth of an epoch on the line's own loss.
_LONGER, _LONGER_DUAL = replace(_HYBRID, steps=2_400), replace(_DUAL, steps=200)
# Where interval bounds prove nothing (an l_2 ball's box), the dual's radius rises from a trained network of a quarter
# of the width.
_DIRECT = Schedule(400, 50, 2e-3, shape="one_cycle")
# On MNIST at 0.3 interval bounds, then one dual pass over them, at a quarter of the width. Tried on 200 of the last
# 5,000 training images, held out: on interval bounds alone the dual certifies less than three quarters as many, at the
# full width little more than half; trained on the dual itself, from there on, exactly at a quarter of the width or with
# estimates at the full one, the loss climbs to chance and beyond as the radius rises.
_FAR_INTERVAL = Schedule(2_000, 100, 1.5e-3, clip=1.0)
_FAR_HYBRID = Schedule(1_400, 100, 1e-3, shape="one_cycle", clip=1.0)
_ROWS = {"mnist": 6_000, "cifar10": 3_000}
"""Training images on which earlier stages are evaluated, exactly, before a later stage is trained."""


def _narrow(network: Network) -> Network:
    return replace(network, model=replace(network.model, width=max(1, network.model.width // 4)))


def quick_network(network: Network) -> Network:
    """A network's quick version, in minutes: cheaper bounds before the dual, few images for later stages."""
    defence = network.defence
    if not isinstance(defence, Certified):
        return network
    rows = (0, _ROWS[network.dataset]) if network.earlier else None
    direct, far = defence.threat.norm == "l2", defence.threat.norm == "linf" and defence.threat.eps >= 0.3
    base = _narrow(network) if direct or far else network
    plain = replace(base, defence=Standard(), schedule=_PLAIN, earlier=())
    base = replace(base, rows=rows, earlier=tuple(map(quick_network, network.earlier)))
    if direct:
        robust = Certified(defence.threat, ramp=2 / 3, projections=defence.projections)
        return replace(base, defence=robust, schedule=_DIRECT, parents=(plain,))
    if far:
        loose = Certified(defence.threat, start=0.01, ramp=0.95, interval=1.0)
        first = replace(base, defence=loose, schedule=_FAR_INTERVAL, parents=(plain,))
        robust = Certified(defence.threat, start=0.15, ramp=0.4, method="hybrid")
        return replace(base, defence=robust, schedule=_FAR_HYBRID, parents=(first,))
    return _risen(base, _HYBRID, _DUAL)


def _risen(network: Network, cheaper: Schedule, dual: Schedule) -> Network:
    """A network trained on a rising radius and hybrid bounds, then for a while on the dual bounds of its line."""
    defence = network.defence
    assert isinstance(defence, Certified)
    start = replace(network, defence=Standard(), schedule=_START, rows=None, earlier=())
    rising = Certified(defence.threat, ramp=_RISE, method="hybrid")
    first = replace(network, defence=rising, schedule=cheaper, parents=(start,))
    last = Certified(defence.threat, ramp=0.0, projections=defence.projections)
    return replace(network, defence=last, schedule=dual, parents=(first,))


def _quick_curve(network: Network) -> Network:
    """A quarter of the width, on 2,000 rows, at twice the rate."""
    plan = network.schedule
    plan = replace(plan, steps=plan.steps // 120, lr=2 * plan.lr)
    return replace(_narrow(network), schedule=plan, rows=(0, 2_000), parents=tuple(map(_quick_curve, network.parents)))


def _quick_leaves_curve(evaluation: Evaluation) -> bool:
    columns, mark = CURVES[evaluation.subject]
    return mark == 0 or columns == 3


def _quick_leaves(evaluation: Evaluation) -> bool:
    """Networks that a few minutes on two cores do not train, and cascades whose stages certify too many rows."""
    subject = evaluation.subject
    defence, model = subject.defence, subject.model
    if model.depth > 2 or (model.name == "scaled_wide" and model.width > 4):
        return True
    if not isinstance(defence, Certified):
        return False
    threat = defence.threat
    if subject.dataset == "cifar10":
        return threat.norm == "l2" or threat.eps > 0.01
    staged = type(evaluation.measurement) is CascadeBound or bool(subject.earlier)
    return staged and (threat.norm == "l2" or threat.eps < 0.3)


# level ------------------------------------------------------------------------------------------------------------


def level_network(network: Network) -> Network:
    """A small network's level version: on MNIST the earlier paper's chain, ended by this line's bounds."""
    if network.dataset == "mnist":
        return polytope.level_network(network)
    return _risen(network, _LONGER, _LONGER_DUAL)


def _has_no_level(evaluation: Evaluation) -> bool:
    """All but the small single networks at the smaller radii."""
    subject, defence = evaluation.subject, evaluation.subject.defence
    if not isinstance(defence, Certified) or subject.earlier or subject.model.name != "scaled_small":
        return True
    return defence.threat.norm != "linf" or defence.threat.eps > (0.2 if subject.dataset == "mnist" else 0.01)


# Measurements ------------------------------------------------------------------------------------------------------

_SMALLER, _LARGER = ("scaled_small", "scaled_wide", "scaled_deep"), ("scaled_large", "scaled_resnet")


def _smaller(measurement: type, smoke: Budget, quick: Budget, *, ball: bool = True) -> Reduction:
    return Reduction(
        On(_SMALLER, measurements=(measurement,), also=_of_no_curve),
        Version(smoke_network, smoke, threat=smoke_ball if ball else None),
        Version(quick_network, quick, unless=_quick_leaves),
        Version(full_network),
        level=Version(level_network, unless=_has_no_level),
    )


def _larger(on: On, smoke: Version | None, full: Budget = WHOLE) -> Reduction:
    return Reduction(on, smoke, None, Version(full_network, full))


def _cost(models: tuple[str, ...], smoke: int, quick: int, quick_budget: Budget = WHOLE) -> Reduction:
    """Timings: of networks up to these widths."""
    return Reduction(
        On(models, measurements=(Cost,)),
        Version(smoke_network, Budget(repeats=3), unless=lambda e: e.subject.model.width > smoke),
        Version(budget=quick_budget, unless=lambda e: e.subject.model.width > quick),
    )


_CERTIFIED = Version(smoke_network, Budget(points=40), threat=smoke_ball)
_CLEAN = Version(smoke_network, Budget(points=100))

REDUCTIONS = (
    _smaller(Accuracy, Budget(points=100), WHOLE, ball=False),
    _smaller(Certificate, Budget(points=40), Budget(points=1_000)),
    _smaller(CascadeBound, Budget(points=15, searched=10, steps=3), Budget(points=500, searched=40, steps=20)),
    _smaller(Estimated, Budget(points=20, repeats=3), Budget(points=50)),
    _smaller(Groups, Budget(points=60), Budget(points=1_000)),
    _smaller(TrainingCurve, WHOLE, WHOLE, ball=False),
    Reduction(
        On(_SMALLER, measurements=(Certificate,), also=_of_a_curve),
        replace(_CERTIFIED, unless=_smoke_leaves_curve),
        Version(_quick_curve, Budget(points=1_000), unless=_quick_leaves_curve),
    ),
    _larger(On(_LARGER, measurements=(Accuracy,)), _CLEAN),
    _larger(On(("scaled_large",), measurements=(Certificate,)), _CERTIFIED),
    # Certificates of the residual network alone would take longer than the rest of the paper.
    _larger(On(("scaled_resnet",), measurements=(Certificate,)), None),
    _larger(On(_LARGER, ("mnist",), (CascadeBound,)), None),
    _larger(On(_LARGER, ("cifar10",), (CascadeBound,)), None, Budget(points=500)),
    _cost(("scaled_small",), smoke=16, quick=32),
    _cost(("scaled_single",), smoke=2, quick=32),
    _cost(("scaled_wide",), smoke=2, quick=4),
    _cost(("scaled_large",), smoke=32, quick=32, quick_budget=Budget(repeats=3)),
    _cost(("scaled_resnet",), smoke=0, quick=0),
    # One figure is about a network of the earlier paper.
    Reduction(
        On(("wong_dense",), measurements=(Groups,)), Version(polytope.smoke_network, Budget(points=40)), Version()
    ),
)
