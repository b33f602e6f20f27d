"""The reduced profiles of Wong et al. 2018: digits for smoke, interval bounds before the dual for quick."""

from __future__ import annotations

from dataclasses import replace

from ..evaluate.accuracy import Accuracy
from ..evaluate.cascades import CascadeBound, Estimated
from ..evaluate.certificates import Certificate
from ..evaluate.groups import Groups
from ..evaluate.update_time import Cost
from ..spec.evaluation import Evaluation
from ..spec.network import Network
from ..threat import Ball, L2Ball, LinfBall
from ..training import Certified, Schedule, Standard

MODELS = ("scaled_small", "scaled_large", "scaled_resnet", "scaled_wide", "scaled_deep", "scaled_single")


def _marked(network: Network) -> bool:
    """Whether it is one mark of a curve over epochs: those alone raise their radius until their end."""
    return isinstance(network.defence, Certified) and network.defence.ramp == 1.0


def _reduced(evaluation: Evaluation, points: dict[type, int], searched: int, steps: int) -> Evaluation:
    """On fewer points, with a shorter search."""
    what, subset = evaluation.measurement, evaluation.subset
    if isinstance(what, CascadeBound):
        what = replace(what, searched=min(what.searched, searched), steps=steps)
    return replace(evaluation, measurement=what, subset=replace(subset, n=points.get(type(what), subset.n)))


# smoke ------------------------------------------------------------------------------------------------------------

_FEW = {Accuracy: 100, Certificate: 40, CascadeBound: 15, Estimated: 20, Groups: 60}


def _smoke_ball(threat: Ball) -> Ball:
    return LinfBall(0.1) if threat.norm == "linf" else L2Ball(0.2, domain=None)


def _smoke_network(network: Network) -> Network:
    defence, model = network.defence, network.model
    model = replace(model, width=min(model.width, 2), depth=min(model.depth, 2))
    plain = replace(network, dataset="digits", model=model, parents=(), earlier=(), schedule=Schedule(1, 50, 5e-3))
    if not isinstance(defence, Certified):
        return plain
    start = replace(plain, defence=Standard(), schedule=Schedule(100, 50, 5e-3, shape="one_cycle"))
    parents = tuple(_smoke_network(parent) for parent in network.parents) or (start,)
    robust = Certified(_smoke_ball(defence.threat), ramp=defence.ramp, projections=min(defence.projections, 10))
    earlier = tuple(_smoke_network(stage) for stage in network.earlier[:1])
    return replace(plain, defence=robust, schedule=Schedule(20, 50, 5e-3), parents=parents, earlier=earlier)


def smoke(evaluation: Evaluation) -> Evaluation | None:
    """On digits, seconds: two stages, two kinds of bound, the smallest widths."""
    subject, what = evaluation.subject, evaluation.measurement
    defence, small = subject.defence, subject.model.width <= 2
    # Certificates of the residual network alone would take longer than the rest of the paper.
    if subject.model.name == "scaled_resnet" and not isinstance(what, Accuracy):
        return None
    if subject.model.name == "scaled_large" and isinstance(what, CascadeBound):
        return None
    if _marked(subject) and isinstance(defence, Certified) and (defence.projections > 1 or len(subject.lineage) < 4):
        return None
    if isinstance(what, Cost):
        if subject.model.name in ("scaled_wide", "scaled_single") and not small:
            return None
        what = replace(what, repeats=3)
    elif isinstance(what, Estimated):
        what = replace(what, threat=_smoke_ball(what.threat), repeats=3)
    elif isinstance(what, Certificate | CascadeBound | Groups):
        what = replace(what, threat=_smoke_ball(what.threat))
    return _reduced(replace(evaluation, subject=_smoke_network(subject), measurement=what), _FEW, 10, 3)


# quick ------------------------------------------------------------------------------------------------------------

_PLAIN = {
    "mnist": Schedule(800, 128, 2e-3, shape="one_cycle"),
    "cifar10": Schedule(1_500, 128, 2e-3, shape="one_cycle"),
}
# From fresh weights interval bounds stay at chance for thousands of updates, from a trained network they do not.
_INTERVAL = replace(_PLAIN["mnist"], steps=2_000)
_DUAL = Schedule(40, 50, 2e-4, shape="one_cycle")
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
"""Training rows that earlier stages are asked about, exactly, before a later stage is trained."""
_POINTS = {Certificate: 1_000, CascadeBound: 500, Estimated: 50, Groups: 1_000}


def _quick_network(network: Network) -> Network:
    defence, narrow = network.defence, replace(network.model, width=max(1, network.model.width // 4))
    if not isinstance(defence, Certified):
        return network
    if _marked(network):
        plan = network.schedule
        plan = replace(plan, steps=plan.steps // 120, lr=2 * plan.lr)
        parents = tuple(_quick_network(parent) for parent in network.parents)
        return replace(network, model=narrow, schedule=plan, rows=(0, 2_000), parents=parents)
    stages = network.earlier[:1] if network.dataset == "cifar10" else network.earlier
    rows = (0, _ROWS[network.dataset]) if stages else None
    direct, far = defence.threat.norm == "l2", defence.threat.norm == "linf" and defence.threat.eps >= 0.3
    base = replace(network, model=narrow if direct or far else network.model)
    plain = replace(base, defence=Standard(), schedule=_PLAIN[network.dataset], earlier=())
    base = replace(base, rows=rows, earlier=tuple(_quick_network(stage) for stage in stages))
    columns = defence.projections
    if direct:
        robust = Certified(defence.threat, ramp=2 / 3, projections=columns)
        return replace(base, defence=robust, schedule=_DIRECT, parents=(plain,))
    if far:
        loose = Certified(defence.threat, start=0.01, ramp=0.95, interval=1.0)
        first = replace(base, defence=loose, schedule=_FAR_INTERVAL, parents=(plain,))
        robust = Certified(defence.threat, start=0.15, ramp=0.4, method="hybrid")
        return replace(base, defence=robust, schedule=_FAR_HYBRID, parents=(first,))
    loose = Certified(defence.threat, interval=1.0)
    first = replace(base, defence=loose, schedule=_INTERVAL, parents=(plain,))
    robust = Certified(defence.threat, ramp=0.0, projections=columns)
    return replace(base, defence=robust, schedule=_DUAL, parents=(first,))


def _too_long(subject: Network) -> bool:
    """Networks that a few minutes on two cores do not train, and marks of curves that are left out."""
    defence, model = subject.defence, subject.model
    if model.name in ("scaled_large", "scaled_resnet") or (model.name == "scaled_wide" and model.width > 4):
        return True
    if not isinstance(defence, Certified) or model.depth > 2:
        return model.depth > 2
    if _marked(subject):
        return len(subject.lineage) == 1 or defence.projections == 3
    return subject.dataset == "cifar10" and (defence.threat.norm == "l2" or defence.threat.eps > 0.01)


def quick(evaluation: Evaluation) -> Evaluation | None:
    """The small networks; cascades on MNIST at 0.3 and CIFAR-10; curves on few rows; timings."""
    subject, what = evaluation.subject, evaluation.measurement
    defence, model = subject.defence, subject.model
    if isinstance(what, Cost):
        if model.name == "scaled_resnet" or model.width > 32 or (model.name == "scaled_wide" and model.width > 4):
            return None
        what = replace(what, repeats=3) if model.name == "scaled_large" else what
    elif _too_long(subject):
        return None
    elif isinstance(what, CascadeBound) or subject.earlier:
        # Elsewhere the stages before would have to certify too many rows.
        eps, norm = (defence.threat.eps, defence.threat.norm) if isinstance(defence, Certified) else (0.0, "")
        if norm == "l2" or (subject.dataset == "mnist" and eps < 0.3):
            return None
    return _reduced(replace(evaluation, subject=_quick_network(subject), measurement=what), _POINTS, 40, 20)
