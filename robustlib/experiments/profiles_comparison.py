"""The reduced profiles of the comparison across papers: one small network under every defence.

Standard and certified networks are those of Wong & Kolter 2018's table; the others get budgets near theirs. Nothing
here was tuned: the settings are those that other papers' profiles chose on held-out training images.
"""

from __future__ import annotations

from dataclasses import replace

from ..attacks.suite import Attack, Pgd
from ..evaluate.accuracy import Attacked
from ..evaluate.cascades import CascadeBound
from ..evaluate.certificates import Certificate
from ..evaluate.exact import Exact
from ..evaluate.worst_case import WorstCase
from ..spec.evaluation import Evaluation
from ..spec.network import Network
from ..training import Certified, Distillation, FgsmTraining, Schedule, Standard
from ..training.inner import Inner
from . import profiles_certified as table

_ATTACKED = Schedule(1_500, batch=128, lr=1.5e-3, shape="one_cycle", precision="bfloat16")
_PROJECTED = Schedule(150, batch=50, lr=2e-4, shape="one_cycle")
_ROWS = (0, 6_000)
"""Training rows of which the first stage of a cascade leaves some to the second."""
_POINTS = 1_000


def compared(evaluation: Evaluation) -> bool:
    """Whether it is of the comparison alone: a defence or a measurement that Wong & Kolter's tables do not have."""
    subject, what = evaluation.subject, evaluation.measurement
    if subject.model.name != "wong_conv":
        return False
    return isinstance(what, WorstCase | Attacked | CascadeBound | Exact) or not _tabled(subject)


def _tabled(network: Network) -> bool:
    defence = network.defence
    certified = isinstance(defence, Certified) and not (defence.projections or network.earlier)
    return certified or defence == Standard()


def _fewer(attack: Attack, steps: int, restarts: int) -> Attack:
    """At most so many steps and restarts of PGD, of steps that reach as far."""
    if not isinstance(attack, Pgd):
        return attack
    steps = min(attack.steps, steps)
    return replace(
        attack, steps=steps, restarts=min(attack.restarts, restarts), step_size=attack.step_size * attack.steps / steps
    )


# smoke ------------------------------------------------------------------------------------------------------------


def _smoke_network(network: Network) -> Network:
    if _tabled(network):
        return table.smoke_network(network)
    plain = table.smoke_network(replace(network, defence=Standard(), parents=(), earlier=()))
    defence = network.defence
    if isinstance(defence, Certified):
        defence = replace(defence, start=0.0, projections=min(defence.projections, 10))
        earlier = tuple(_smoke_network(stage) for stage in network.earlier)
        return replace(
            plain, defence=defence, schedule=Schedule(20, 50, 5e-3), parents=earlier or (plain,), earlier=earlier
        )
    if isinstance(defence, Distillation | Standard):
        parents = tuple(_smoke_network(parent) for parent in network.parents)
        return replace(
            plain,
            defence=defence,
            schedule=replace(plain.schedule, steps=300),
            parents=(*parents, replace(plain, seed=0)),
        )
    if isinstance(defence, Inner):
        defence = replace(defence, ramp=(3,), eps_warmup=0.3)
    return replace(plain, defence=defence)


def smoke(evaluation: Evaluation) -> Evaluation:
    """On digits, seconds."""
    what = evaluation.measurement
    if isinstance(what, WorstCase):
        what = replace(what, steps=10, queries=100, target_classes=2)
    elif isinstance(what, Attacked):
        what = replace(what, attacks=tuple(_fewer(attack, 10, 2) for attack in what.attacks))
    elif isinstance(what, CascadeBound):
        what = replace(what, searched=10, steps=3)
    elif isinstance(what, Exact):
        what = replace(what, attack=_fewer(what.attack, 10, 2), tried=what.tried // 10)
    return Evaluation(_smoke_network(evaluation.subject), what, replace(evaluation.subset, n=40))


# quick ------------------------------------------------------------------------------------------------------------


def _quick_network(network: Network) -> Network:
    if _tabled(network):
        return table.quick_network(network)
    clean = table.quick_network(replace(network, defence=Standard(), parents=(), earlier=(), seed=0))
    defence = network.defence
    if isinstance(defence, Certified):
        tabled = table.quick_network(replace(network, defence=replace(defence, projections=0), earlier=(), seed=0))
        if network.earlier:
            # From fresh weights the few rows that are left would teach nothing.
            return replace(tabled, rows=_ROWS, parents=(tabled,), earlier=(tabled,), seed=network.seed)
        last = Certified(defence.threat, ramp=0.0, projections=defence.projections)
        return replace(tabled, defence=last, schedule=_PROJECTED)
    if isinstance(defence, Distillation | Standard):
        # Teacher and student begin with the undistilled network: at a high T the gradient is 1/T of what it is at 1.
        parents = tuple(_quick_network(parent) for parent in network.parents)
        return replace(clean, defence=defence, parents=(*parents, clean), seed=network.seed)
    if isinstance(defence, Inner):
        defence = replace(defence, ramp=(3, 5, 7), eps_warmup=0.15)
    elif isinstance(defence, FgsmTraining):
        defence = replace(defence, eps_warmup=0.3)
    return replace(network, defence=defence, schedule=_ATTACKED)


def quick(evaluation: Evaluation) -> Evaluation:
    """On 1,000 points, all measurements on the same ones, those of Wong & Kolter's tables; a shorter suite for it."""
    what = evaluation.measurement
    if isinstance(what, WorstCase):
        what = replace(what, steps=50, queries=500, target_classes=3, search="bfloat16")
    elif isinstance(what, Attacked):
        what = replace(what, attacks=tuple(_fewer(attack, 40, 3) for attack in what.attacks))
    elif isinstance(what, Exact):
        # Of a tenth of the points a tenth.
        what = replace(what, attack=_fewer(what.attack, 40, 3), tried=what.tried // 10)
    elif not isinstance(what, Certificate | CascadeBound):
        return Evaluation(_quick_network(evaluation.subject), what, evaluation.subset)
    return Evaluation(_quick_network(evaluation.subject), what, replace(evaluation.subset, n=_POINTS))
