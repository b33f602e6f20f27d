"""Reduced profiles of the comparison across papers: one small network under every defence.

Standard and certified networks are those of Wong & Kolter 2018's table; the others have budgets near theirs. Nothing
here was tuned: the settings are those that other papers' profiles chose on held-out training images.
"""

from __future__ import annotations

from dataclasses import replace

from ...budget import Budget
from ...evaluate.accuracy import Attacked
from ...evaluate.bracket import Bracket
from ...evaluate.cascades import CascadeBound
from ...evaluate.certificates import Certificate
from ...evaluate.exact import Exact
from ...evaluate.suite_accuracy import WorstCase
from ...experiments.profiles import On, Reduction, Version
from ...spec.network import Network
from ...training import Certified, Distillation, FgsmTraining, Schedule, Standard
from ...training.inner import Inner
from ..wong2018 import profiles as table

_ATTACKED = Schedule(1_500, batch=128, lr=1.5e-3, shape="one_cycle", precision="bfloat16")
_PROJECTED = Schedule(150, batch=50, lr=2e-4, shape="one_cycle")
_ROWS = (0, 6_000)
"""Training rows of which the first stage of a cascade leaves some to the second."""


def smoke_network(network: Network) -> Network:
    """A network's smoke version: on digits, in seconds."""
    if table.tabled(network):
        return table.smoke_network(network)
    plain = table.smoke_network(replace(network, defence=Standard(), parents=(), earlier=()))
    defence = network.defence
    if isinstance(defence, Certified):
        defence = replace(defence, start=0.0, projections=min(defence.projections, 10))
        earlier = tuple(smoke_network(stage) for stage in network.earlier)
        return replace(
            plain, defence=defence, schedule=Schedule(20, 50, 5e-3), parents=earlier or (plain,), earlier=earlier
        )
    if isinstance(defence, Distillation | Standard):
        parents = tuple(smoke_network(parent) for parent in network.parents)
        return replace(
            plain,
            defence=defence,
            schedule=replace(plain.schedule, steps=300),
            parents=(*parents, replace(plain, seed=0)),
        )
    if isinstance(defence, Inner):
        defence = replace(defence, ramp=(3,), eps_warmup=0.3)
    return replace(plain, defence=defence)


def quick_network(network: Network) -> Network:
    """A network's quick version: in minutes, from the networks of Wong & Kolter's table where that helps."""
    if table.tabled(network):
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
        parents = tuple(quick_network(parent) for parent in network.parents)
        return replace(clean, defence=defence, parents=(*parents, clean), seed=network.seed)
    if isinstance(defence, Inner):
        defence = replace(defence, ramp=(3, 5, 7), eps_warmup=0.15)
    elif isinstance(defence, FgsmTraining):
        defence = replace(defence, eps_warmup=0.3)
    return replace(network, defence=defence, schedule=_ATTACKED)


_SMOKE = Budget(points=40)
_QUICK = Budget(points=1_000)
"""All measurements on the same points, those of Wong & Kolter's tables."""


def _reduction(measurement: type, smoke: Budget, quick: Budget) -> Reduction:
    on = On(("wong_conv",), ("mnist",), (measurement,))
    return Reduction(on, Version(smoke_network, smoke), Version(quick_network, quick), level=table.LEVEL)


REDUCTIONS = (
    _reduction(
        WorstCase,
        replace(_SMOKE, steps=10, queries=100, target_classes=2),
        replace(_QUICK, steps=50, queries=500, target_classes=3, search="bfloat16"),
    ),
    _reduction(Attacked, replace(_SMOKE, steps=10, restarts=2), replace(_QUICK, steps=40, restarts=3)),
    _reduction(Certificate, _SMOKE, _QUICK),
    _reduction(CascadeBound, replace(_SMOKE, searched=10, steps=3), _QUICK),
    # With about a tenth of the points, the solver decides a tenth as many.
    _reduction(
        Exact, replace(_SMOKE, steps=10, restarts=2, tried=0.1), replace(_QUICK, steps=40, restarts=3, tried=0.1)
    ),
    # Whole: these stand beside the authors' networks, on the same points and under the same attack.
    Reduction(
        On(("wong_conv",), ("mnist", "fashion_mnist"), (Bracket,)),
        Version(smoke_network, replace(_SMOKE, steps=10, queries=100, target_classes=2)),
        Version(quick_network),
    ),
    Reduction(
        On(("wong_dense",), ("har",), (Bracket, Exact)),
        Version(table.smoke_network, replace(_SMOKE, steps=10, restarts=2, queries=100, target_classes=2, tried=0.1)),
        Version(),
    ),
)
