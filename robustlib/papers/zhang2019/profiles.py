"""Reduced profiles of TRADES: shorter trainings, small networks in place of the residual ones."""

from __future__ import annotations

from dataclasses import replace

from ...attacks.suite import Clean, Fab, Fgsm, MiFgsm, Pgd, Square
from ...budget import WHOLE, Budget
from ...evaluate.accuracy import Accuracy
from ...evaluate.distances import Distances
from ...evaluate.hinge import HingeBound
from ...evaluate.inner_loop import InnerLoop
from ...evaluate.lending import Lending
from ...evaluate.pictures import DecisionMap, Pictures
from ...evaluate.suite_accuracy import WorstCase
from ...experiments.profiles import On, Reduction, Scale, Version, scaled
from ...models import ModelSpec
from ...spec.evaluation import Evaluation
from ...spec.network import Network
from ...training import Schedule
from ...training.inner import Inner
from ..madry2018.profiles import QUICK, QUICK_PGD, QUICK_SUITE, SMOKE, SMOKE_PGD, SMOKE_SUITE, level_cifar, on_digits
from .networks import defence
from .own import PARTS, judged

SCALED = {"wide_resnet": Scale(4, cycle=True), "resnet18": Scale(32, cycle=True)}
full_network = scaled(SCALED)

_SMALLEST = {"wide_resnet": (1, 10), "resnet18": (2, 0)}
"""Width and depth on digits."""
_UPDATES = {"small_cnn": 200, "resnet18": 8}


def smoke_network(network: Network) -> Network:
    """A network's smoke version: on digits, in seconds."""
    model = network.model
    width, depth = _SMALLEST.get(model.name, (min(model.width, 8), model.depth))
    return on_digits(network, replace(model, width=width, depth=depth), _UPDATES.get(model.name, 80))


# Network in place of each one, number of updates and learning rate. Chosen on 5,000 training images that the trials
# held out.
_QUICK = {
    "small_cnn": (ModelSpec("small_cnn", 32, init="kaiming_uniform"), 1_500, 1.5e-3),
    "trades_net": (ModelSpec("trades_net", 10), 600, 3e-3),
    "trades_binary": (ModelSpec("trades_binary", 10), 600, 3e-3),
    "wide_resnet": (ModelSpec("madry_cnn", 4, init="kaiming_uniform"), 1_500, 1.5e-3),
}


def quick_network(network: Network) -> Network:
    """A network's quick version: on the paper's data, in minutes."""
    model, steps, lr = _QUICK[network.model.name]
    defence = network.defence
    if isinstance(defence, Inner):
        defence = replace(defence, ramp=(3, 5, 7), eps_warmup=0.15)
    schedule = Schedule(steps=steps, batch=128, lr=lr, shape="one_cycle", precision="bfloat16")
    return replace(network, model=model, defence=defence, schedule=schedule)


def level_sweep(network: Network) -> Network:
    """Table 4's network after ten of its hundred epochs; after quick's few updates lambda has changed little."""
    quick = quick_network(network)
    return replace(quick, schedule=replace(quick.schedule, steps=10 * 469))


_LEVELS = (defence("cifar10", "PGD"), defence("cifar10", "TRADES", 6.0))
"""Defences of CIFAR-10 that a core trains on the simple network, two hours each."""


def level_simple(network: Network) -> Network:
    """Madry's simple network by his chapter's recipe, in the wide one's place."""
    return level_cifar(replace(network, model=ModelSpec("madry_resnet", 1)))


def _has_no_level(evaluation: Evaluation) -> bool:
    return any(network.defence not in _LEVELS for network in evaluation.lineage)


def _simple(budget: Budget = WHOLE) -> Version:
    return Version(level_simple, budget, unless=_has_no_level, uncompared=True)


# Small by themselves: generated data, and a training in parts on few images -----------------------------------------

CHECKPOINTS = frozenset(judged(part, split) for part in range(1, PARTS + 1) for split in ("validation", "test"))


def _short(network: Network) -> Network:
    return replace(network, schedule=replace(network.schedule, steps=50))


def _short_parts(network: Network) -> Network:
    return replace(
        network,
        dataset="digits",
        rows=(0, 200),
        parents=tuple(map(_short_parts, network.parents)),
        model=replace(network.model, width=4),
        schedule=replace(network.schedule, steps=5),
    )


# Measurements ------------------------------------------------------------------------------------------------------


def _brief(attack: Pgd) -> bool:
    return attack.steps <= 100


def _long(attack: Pgd) -> bool:
    return attack.steps > 100


def _on(*measurements: type, attacks: tuple[type, ...] = ()) -> On:
    return On((), (), measurements, attacks, outside=CHECKPOINTS)


def _mnist(on: On, smoke: Budget, quick: Budget) -> Reduction:
    on = replace(on, models=("small_cnn", "trades_binary"))
    return Reduction(on, Version(smoke_network, smoke), Version(quick_network, quick))


def _swept(on: On, smoke: Budget, quick: Budget) -> Reduction:
    made = _mnist(on, smoke, quick)
    return replace(made, on=replace(on, models=("trades_net",)), level=Version(level_sweep, uncompared=True))


def _cifar(
    on: On, smoke: Budget, quick: Budget | None, full: Budget = WHOLE, *, model: str, level: Version | None = None
) -> Reduction:
    return Reduction(
        replace(on, models=(model,)),
        Version(smoke_network, smoke),
        None if quick is None else Version(quick_network, quick),
        Version(full_network, full),
        level=level,
    )


_CLEAN = _on(Accuracy, attacks=(Clean, Fgsm, MiFgsm))
_ANY_PGD = _on(Accuracy, attacks=(Pgd,))
_PGD, _LONG_PGD = (replace(_ANY_PGD, settings=steps) for steps in (_brief, _long))
_OTHER = _on(Accuracy, attacks=(Square, Fab))
_SMOKE_OTHER = Budget(points=100, queries=100, steps=10, target_classes=2)
_SMOKE_NEAREST = Budget(points=20, steps=50)
_QUICK_SUITE = replace(QUICK_SUITE, points=QUICK.points)
"""As many points as the attacks that the leaderboard of CIFAR-10 sets beside it."""
_FEW = Budget(points=500)
"""Budget on CIFAR-10 of measurements that cost hundreds of passes a point or more."""
_LOW = Budget(search="bfloat16")

REDUCTIONS = (
    Reduction(On(datasets=("plane", "lender"), measurements=(DecisionMap, Lending)), Version(_short), Version()),
    Reduction(On(among=CHECKPOINTS), Version(_short_parts, Budget(points=100, steps=10, reach=False)), Version()),
    _mnist(_CLEAN, SMOKE, QUICK),
    _swept(_CLEAN, SMOKE, QUICK),
    _mnist(_ANY_PGD, SMOKE_PGD, QUICK_PGD),
    _swept(_ANY_PGD, SMOKE_PGD, QUICK_PGD),
    # At full length, which takes half an hour of a core on a thousand points.
    _mnist(_OTHER, _SMOKE_OTHER, Budget(points=200)),
    _mnist(_on(Distances), _SMOKE_NEAREST, QUICK),
    _mnist(_on(Pictures), SMOKE_PGD, QUICK),
    _mnist(_on(HingeBound, InnerLoop), Budget(points=60), QUICK),
    _mnist(_on(WorstCase), SMOKE_SUITE, QUICK_SUITE),
    _cifar(_CLEAN, SMOKE, None, model="resnet18"),
    _cifar(_PGD, SMOKE_PGD, None, _LOW, model="resnet18"),
    _cifar(_CLEAN, SMOKE, QUICK, model="wide_resnet", level=_simple()),
    _cifar(_PGD, SMOKE_PGD, QUICK_PGD, _LOW, model="wide_resnet", level=_simple(_LOW)),
    _cifar(
        _LONG_PGD, SMOKE_PGD, QUICK_PGD, replace(_FEW, search="bfloat16"), model="wide_resnet", level=_simple(QUICK_PGD)
    ),
    _cifar(_OTHER, _SMOKE_OTHER, QUICK, _FEW, model="wide_resnet"),
    _cifar(_on(Distances), _SMOKE_NEAREST, QUICK, _FEW, model="wide_resnet"),
    _cifar(_on(Pictures), SMOKE_PGD, QUICK, model="wide_resnet"),
    _cifar(
        _on(WorstCase),
        SMOKE_SUITE,
        _QUICK_SUITE,
        replace(_FEW, search="bfloat16"),
        model="wide_resnet",
        level=_simple(_QUICK_SUITE),
    ),
)
