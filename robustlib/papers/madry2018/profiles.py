"""Reduced profiles of PGD training: shorter trainings on MNIST, small convolutional networks on CIFAR-10.

On CIFAR-10 "simple" and "wide" become capacity scales 2 and 4 of the paper's own MNIST family: on a CPU core a
residual network of either kind is hours away from its first useful epoch. The level profile trains the simple one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...attacks.suite import Clean, Fgsm, Pgd
from ...budget import WHOLE, Budget
from ...errors import RobustlibError
from ...evaluate.accuracy import Accuracy, Attacked
from ...evaluate.directions import Directions
from ...evaluate.distances import Distances
from ...evaluate.losses import LocalMaxima, LossTrace, TrainingCurve
from ...evaluate.pictures import Pictures
from ...evaluate.suite_accuracy import WorstCase
from ...evaluate.weights import FirstLayer
from ...experiments.profiles import On, Reduction, Scale, Version, scaled
from ...models import ModelSpec
from ...spec.evaluation import Evaluation
from ...spec.network import Network
from ...training import FgsmTraining, PgdTraining, Schedule, Standard
from ...training.inner import Inner
from . import cifar
from .networks import L2_GRID, LINF_GRID, sweep
from .small import EVALUATIONS as SMALL_NETWORKS

SCALED = {"madry_resnet": Scale(4, cycle=True)}
full_network = scaled(SCALED)

# smoke ------------------------------------------------------------------------------------------------------------


def on_digits(network: Network, model: ModelSpec, steps: int) -> Network:
    """A network of that architecture, trained on digits for so many updates; an adversary of three steps."""
    defence = network.defence
    if isinstance(defence, Inner):
        defence = replace(defence, ramp=(3,), eps_warmup=0.3)
    schedule = Schedule(steps=steps, batch=64, lr=2e-3, shape="one_cycle")
    return replace(network, dataset="digits", model=model, defence=defence, schedule=schedule, rows=None)


def _smoke_mnist(network: Network) -> Network:
    model = replace(network.model, width=min(network.model.width, 8))
    return on_digits(network, model, 200 if model.name == "madry_cnn" else 80)


def _smoke_cifar(network: Network) -> Network:
    return on_digits(network, _stand_in(network.model), 200)


# quick ------------------------------------------------------------------------------------------------------------

# Updates of PGD training (batch) for each capacity scale of the family; 16 is network A. Chosen on the 5,000 training
# images that the paper's recipe holds out, never on the test set.
_PGD_UPDATES = {1: (800, 128), 2: (800, 128), 4: (1_000, 128), 8: (1_200, 128), 16: (8_500, 64)}
_SCALES = {1: 2, 10: 4}


def _stand_in(model: ModelSpec) -> ModelSpec:
    """The small network for a residual one."""
    return ModelSpec("madry_cnn", _SCALES[model.width], init="kaiming_uniform")


def _quick_mnist(network: Network) -> Network:
    defence, width = network.defence, network.model.width
    schedule = Schedule(steps=860, batch=128, lr=1.5e-3, shape="one_cycle", precision="bfloat16")
    if isinstance(defence, FgsmTraining):
        defence = replace(defence, eps_warmup=0.3)
    elif isinstance(defence, PgdTraining):
        defence = replace(defence, ramp=(3, 5, 7), eps_warmup=0.15)
        steps, batch = _PGD_UPDATES[min(_PGD_UPDATES, key=lambda known: abs(known - width))]
        schedule = replace(schedule, steps=steps, batch=batch)
    elif not isinstance(defence, Standard):
        raise RobustlibError(f"{defence} has no shorter training in this profile; add one to the paper's profiles.py")
    model = replace(network.model, init="kaiming_uniform")
    return replace(network, model=model, defence=defence, schedule=schedule)


def _short(network: Network) -> Network:
    """As many updates as the smallest networks of the capacity figure have here; how they are made stays."""
    steps, batch = _PGD_UPDATES[network.model.width]
    schedule = replace(network.schedule, steps=steps, batch=batch, reduction="mean", precision="bfloat16")
    return replace(network, schedule=schedule)


def _halved(network: Network) -> Network:
    """Half the filters and units: the very large network of the transfer figure takes minutes a seed as it is."""
    return _quick_mnist(replace(network, model=replace(network.model, width=network.model.width // 2)))


def _quick_cifar(network: Network) -> Network:
    defence = network.defence
    if isinstance(defence, FgsmTraining):
        defence = replace(defence, eps_warmup=0.3, crafting="eval")
    elif isinstance(defence, PgdTraining):
        defence = replace(defence, ramp=(3, 5, 7), eps_warmup=0.15, crafting="eval")
    schedule = Schedule(steps=800, batch=128, lr=1.5e-3, shape="one_cycle", precision="bfloat16")
    return replace(network, model=_stand_in(network.model), defence=defence, schedule=schedule)


# level ------------------------------------------------------------------------------------------------------------

_EPOCHS, _EPOCH = 20, -(-50_000 // 128)


def level_cifar(network: Network) -> Network:
    """The paper's simple network for 20 of its 205 epochs: one cycle of the rate, and an adversary of fewer steps."""
    defence = network.defence
    if isinstance(defence, Inner):
        # Two steps of length eps from a random start keep clear of the collapse of single-step training.
        defence = replace(defence, ramp=(2, 2, 3))
    schedule = replace(
        network.schedule, steps=_EPOCHS * _EPOCH, lr=0.2, shape="one_cycle", decay=(), precision="bfloat16"
    )
    return replace(network, defence=defence, schedule=schedule)


def _level_leaves_cifar(evaluation: Evaluation) -> bool:
    """True where one of the networks is a wide one, which takes days of a core, or another copy of the simple one."""
    return any(network.model.width > 1 or network.seed for network in evaluation.lineage)


def _simple(network: Network) -> Network:
    """The simple network in a wide one's place, for what the paper shows of the wide one alone."""
    return level_cifar(replace(network, model=replace(network.model, width=1)))


# Measurements ------------------------------------------------------------------------------------------------------

SWEEP = frozenset(
    sweep(regime, norm, eps)
    for regime in ("natural", "PGD")
    for norm, grid in (("linf", LINF_GRID), ("l2", L2_GRID))
    for eps in grid
    if eps
)
"""One attack at dozens of radii on MNIST; radius 0 is left out, since other items share its clean accuracy."""
CIFAR_SWEEP = frozenset(cifar.sweep(norm, eps) for norm, grid in cifar.GRIDS.items() for eps in grid if eps)
_SHOWN = {"linf": (2, 4, 8, 12, 16, 24), "l2": (20, 40, 80)}
CIFAR_SHOWN = frozenset(cifar.sweep(norm, eps) for norm, radii in _SHOWN.items() for eps in radii)
"""Points of the curves against eps that a reduced profile runs."""


def _blind_starts(attack: Pgd) -> bool:
    return attack.restarts > 1 and attack.best_by == "loss"


def _asking_starts(attack: Pgd) -> bool:
    return attack.restarts > 1 and attack.best_by == "success"


def _many_transfers(evaluation: Evaluation) -> bool:
    """Transfers of many starts: an hour of a core for 1,000 points, in float32 where the source says what is kept."""
    attacked: Any = evaluation.measurement
    return attacked.source is not None and attacked.attack.restarts > 1


def _no_many_transfers(evaluation: Evaluation) -> bool:
    return not _many_transfers(evaluation)


def _on(*measurements: type, attacks: tuple[type, ...] = ()) -> On:
    return On((), (), measurements, attacks)


def _mnist(on: On, smoke: Budget, quick: Budget, full: Budget = WHOLE, *, half: bool = False) -> Reduction:
    on = replace(on, models=("madry_cnn", "madry_very_large"), datasets=("mnist",))
    return Reduction(
        on,
        Version(_smoke_mnist, smoke),
        Version(_halved if half else _quick_mnist, quick),
        Version(budget=full),
        level=Version(_quick_mnist) if half else None,
    )


_OWN_SIZE = Version(level_cifar, unless=_level_leaves_cifar, uncompared=True)


def _of_simple(budget: Budget) -> Version:
    return Version(_simple, budget, uncompared=True)


def _cifar(
    on: On, smoke: Budget | None, quick: Budget | None, full: Budget = WHOLE, *, level: Version = _OWN_SIZE
) -> Reduction:
    return Reduction(
        replace(on, models=("madry_resnet",), datasets=("cifar10",)),
        None if smoke is None else Version(_smoke_cifar, smoke),
        None if quick is None else Version(_quick_cifar, quick),
        Version(full_network, full),
        level=level,
    )


SMOKE = Budget(points=100)
SMOKE_PGD = replace(SMOKE, steps=10, restarts=2)
SMOKE_SUITE = Budget(points=40, steps=10, queries=100, target_classes=2)
QUICK = Budget(points=1_000)
QUICK_PGD = replace(QUICK, search="bfloat16")
# On 200 points of network A the classes that rank fourth and later and the queries beyond the first thousand broke
# nothing that the rest had left, in most of the suite's time.
QUICK_SUITE = Budget(points=500, queries=1_000, target_classes=3, search="bfloat16")
_WAYS = replace(SMOKE_PGD, points=20, stops=6)
_TRACE, _MAXIMA = replace(SMOKE, steps=20, starts=5), replace(SMOKE, steps=20, starts=50)
_FEW_STARTS = Budget(starts=10_000, search=None)
"""A histogram of ten thousand ends shows the same shape as one of a hundred thousand."""

REDUCTIONS = (
    _mnist(replace(_on(Accuracy, attacks=(Clean, Fgsm)), outside=SMALL_NETWORKS), SMOKE, QUICK),
    _mnist(
        replace(_on(Accuracy, attacks=(Pgd,)), outside=SWEEP | SMALL_NETWORKS, also=_no_many_transfers),
        SMOKE_PGD,
        QUICK_PGD,
    ),
    Reduction(replace(_on(Accuracy), among=SMALL_NETWORKS), Version(_smoke_mnist, SMOKE_PGD), Version(_short)),
    *(
        _mnist(
            replace(_on(Accuracy, attacks=(Pgd,)), settings=starts, also=_many_transfers),
            SMOKE_PGD,
            replace(budget, points=200),
        )
        for starts, budget in ((_asking_starts, QUICK_PGD), (_blind_starts, QUICK))
    ),
    _mnist(replace(_on(Accuracy), among=SWEEP), SMOKE_PGD, replace(QUICK_PGD, points=200)),
    _mnist(_on(Attacked), SMOKE_PGD, replace(QUICK, points=500), half=True),
    _mnist(_on(Directions), _WAYS, replace(QUICK, points=200), half=True),
    _mnist(_on(Distances), Budget(points=20, steps=50), replace(QUICK, points=20)),
    _mnist(_on(FirstLayer), SMOKE, QUICK),
    _mnist(_on(Pictures), SMOKE_PGD, QUICK),
    _mnist(_on(LossTrace), _TRACE, QUICK),
    _mnist(_on(LocalMaxima), _MAXIMA, replace(QUICK_PGD, starts=100), _FEW_STARTS),
    _mnist(_on(TrainingCurve), Budget(blocks=50), WHOLE),
    _mnist(_on(WorstCase), SMOKE_SUITE, QUICK_SUITE),
    _cifar(_on(Accuracy, attacks=(Clean,)), SMOKE, QUICK, level=_of_simple(WHOLE)),
    _cifar(replace(_on(Accuracy, attacks=(Pgd,)), outside=CIFAR_SWEEP), SMOKE_PGD, QUICK, Budget(search="bfloat16")),
    _cifar(
        replace(_on(Accuracy), among=CIFAR_SHOWN),
        SMOKE_PGD,
        replace(QUICK, points=200),
        Budget(points=500, search="bfloat16"),
        level=_of_simple(QUICK_PGD),
    ),
    _cifar(replace(_on(Accuracy), among=CIFAR_SWEEP - CIFAR_SHOWN), None, None, Budget(points=500, search="bfloat16")),
    _cifar(_on(Attacked), SMOKE_PGD, QUICK),
    _cifar(_on(Directions), _WAYS, WHOLE),
    _cifar(_on(LossTrace), _TRACE, Budget(starts=5), level=_of_simple(WHOLE)),
    _cifar(
        _on(LocalMaxima),
        _MAXIMA,
        Budget(starts=100),
        replace(_FEW_STARTS, search="bfloat16"),
        level=_of_simple(Budget(starts=200, search="bfloat16")),
    ),
    _cifar(_on(TrainingCurve), Budget(blocks=50), WHOLE),
)
