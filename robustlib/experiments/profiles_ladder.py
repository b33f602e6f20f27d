"""What papers without reductions of their own still have: each profile as one function.

``smoke``   scikit-learn's digits in place of every dataset, seconds on a CPU: proves that the code runs.
``quick``   the real datasets under a reduced protocol, at most 30 minutes a paper on two CPU cores.
``full``    the paper's own protocol; the largest networks under a scaled one, which their records say.

What a profile changes is written into each record by comparing the two specifications field by field.
"""

from __future__ import annotations

from dataclasses import replace

from ..attacks.suite import Fab, Pgd, Square
from ..errors import RobustlibError
from ..models import ModelSpec
from ..training import FgsmTraining, PgdTraining, Schedule, Standard
from ..training.inner import Inner
from . import (
    profiles_certified,
    profiles_comparison,
    profiles_distilled,
    profiles_full,
    profiles_madry,
    profiles_scaling,
    profiles_small,
)
from .probes import InnerLoop, Pictures, Targeted
from .specs import (
    Accuracy,
    AccuracyVariation,
    Attacked,
    Directions,
    Distances,
    Evaluation,
    HingeBound,
    LocalMaxima,
    LossTrace,
    Network,
    Subset,
    TrainingCurve,
    WorstCase,
)

# smoke: everything on digits ---------------------------------------------------------------------------------


def _smoke_network(network: Network) -> Network:
    if network.model.name in profiles_distilled.MODELS:
        return profiles_distilled.smoke_network(network)
    defence = network.defence
    if isinstance(defence, Inner):
        defence = replace(defence, ramp=(3,), eps_warmup=0.3)
    model = replace(network.model, width=min(network.model.width, 8))
    if model.name == "wide_resnet":
        model = replace(model, width=1, depth=10)
    elif model.name == "resnet18":
        model = replace(model, width=2)
    elif model.name == profiles_madry.NAME:
        model = profiles_madry.stand_in(network.model)
    steps = 200 if model.name in ("madry_cnn", "small_cnn") else 8 if model.name == "resnet18" else 80
    return replace(
        network,
        dataset="digits",
        model=model,
        defence=defence,
        schedule=Schedule(steps=steps, batch=64, lr=2e-3, shape="one_cycle"),
        rows=None,
    )


def _fewer(attack: Pgd) -> Pgd:
    """At most ten steps and two restarts of PGD, of steps that reach as far."""
    steps = min(attack.steps, 10)
    return replace(
        attack, steps=steps, restarts=min(attack.restarts, 2), step_size=attack.step_size * attack.steps / steps
    )


def _smoke(evaluation: Evaluation) -> Evaluation | None:
    if evaluation.subject.model.name == profiles_madry.NAME and not profiles_madry.runs(evaluation):
        return None
    if profiles_small.small(evaluation):
        return profiles_small.smoke(evaluation)
    if profiles_comparison.compared(evaluation):
        return profiles_comparison.smoke(evaluation)
    if evaluation.subject.model.name in profiles_certified.MODELS:
        return profiles_certified.smoke(evaluation)
    if evaluation.subject.model.name in profiles_scaling.MODELS:
        return profiles_scaling.smoke(evaluation)
    what = evaluation.measurement
    n: int | None = min(100, evaluation.subset.n or 100)
    if isinstance(what, Accuracy):
        attack = what.attack
        if isinstance(attack, Pgd):
            attack = _fewer(attack)
        elif isinstance(attack, Square | Fab):
            attack = _shorter(attack, 100, 10, 2)
        source = None if what.source is None else _smoke_network(what.source)
        what = replace(what, attack=attack, source=source)
    elif isinstance(what, Attacked):
        attacks = tuple(_fewer(attack) if isinstance(attack, Pgd) else attack for attack in what.attacks)
        what = replace(what, attacks=attacks, sources=tuple(map(_smoke_network, what.sources)))
    elif isinstance(what, Directions):
        what = replace(what, attack=_fewer(what.attack), source=_smoke_network(what.source), stops=6)
        n = min(20, evaluation.subset.n or 20)
    elif isinstance(what, Pictures):
        what = replace(what, attack=_fewer(what.attack))
    elif isinstance(what, Distances):
        what, n = replace(what, attack=replace(what.attack, steps=50)), 20
    elif isinstance(what, WorstCase):
        what, n = replace(what, steps=10, queries=100, target_classes=2), 40
    elif isinstance(what, HingeBound | InnerLoop):
        n = 60
    elif isinstance(what, LossTrace):
        what = replace(what, steps=20, step_size=5 * what.step_size, runs=5)
    elif isinstance(what, LocalMaxima):
        what = replace(what, steps=20, step_size=5 * what.step_size, starts=50)
    elif isinstance(what, TrainingCurve):
        what, n = replace(what, blocks=50), evaluation.subset.n
    elif isinstance(what, AccuracyVariation):
        what, n = replace(what, baseline=_smoke_network(what.baseline)), None
    elif isinstance(what, Targeted):
        # 64 features: budgets keep their share of the image.
        cap = max(2, round(64 * what.cap / profiles_distilled.FEATURES[evaluation.subject.dataset]))
        features = 64 if what.attack.features > what.cap else cap
        what, n = replace(what, attack=replace(what.attack, features=features), cap=cap), 20
    return Evaluation(_smoke_network(evaluation.subject), what, replace(evaluation.subset, n=n))


def _shorter(attack: Square | Fab, queries: int, steps: int, classes: int) -> Square | Fab:
    if isinstance(attack, Square):
        return replace(attack, queries=queries)
    return replace(attack, steps=steps, target_classes=classes)


# quick: real data, reduced protocol --------------------------------------------------------------------------

# Updates of PGD training (batch) for each capacity scale of Madry et al.'s family; 16 is network A.
# Chosen on the 5,000 training images that the paper's recipe holds out, never on the test set.
_PGD_UPDATES = {1: (800, 128), 2: (800, 128), 4: (1_000, 128), 8: (1_200, 128), 16: (8_500, 64)}


# Networks of TRADES: what is trained in place of each, and for how many updates. Chosen on 5,000 training images that
# the trials held out.
_TRADES = {
    "small_cnn": (ModelSpec("small_cnn", 32, init="kaiming_uniform"), 1_500, 1.5e-3),
    "trades_net": (ModelSpec("trades_net", 10), 600, 3e-3),
    "trades_binary": (ModelSpec("trades_binary", 10), 600, 3e-3),
    "wide_resnet": (ModelSpec("madry_cnn", 4, init="kaiming_uniform"), 1_500, 1.5e-3),
}


def _quick_network(network: Network) -> Network:
    defence, width = network.defence, network.model.width
    if network.model.name in _TRADES:
        model, steps, lr = _TRADES[network.model.name]
        if isinstance(defence, Inner):
            defence = replace(defence, ramp=(3, 5, 7), eps_warmup=0.15)
        schedule = Schedule(steps=steps, batch=128, lr=lr, shape="one_cycle", precision="bfloat16")
        return replace(network, model=model, defence=defence, schedule=schedule)
    schedule = Schedule(steps=860, batch=128, lr=1.5e-3, shape="one_cycle", precision="bfloat16")
    if isinstance(defence, FgsmTraining):
        defence = replace(defence, eps_warmup=0.3)
    elif isinstance(defence, PgdTraining):
        defence = replace(defence, ramp=(3, 5, 7), eps_warmup=0.15)
        steps, batch = _PGD_UPDATES[min(_PGD_UPDATES, key=lambda known: abs(known - width))]
        schedule = replace(schedule, steps=steps, batch=batch)
    elif not isinstance(defence, Standard):
        raise RobustlibError(f"the quick profile has no protocol for the defence {defence}; add one in profiles.py")
    model = replace(network.model, init="kaiming_uniform")
    return replace(network, model=model, defence=defence, schedule=schedule)


def _quick_points(evaluation: Evaluation) -> int:
    """Points for a measurement: fewer where each one costs more."""
    what = evaluation.measurement
    if isinstance(what, Distances):
        return 100
    if isinstance(what, Accuracy) and isinstance(what.attack, Pgd):
        # A sweep over radii scales its step with eps; it repeats one attack at dozens of radii.
        sweep = (
            what.threat is not None and abs(what.attack.steps * what.attack.step_size - 2.5 * what.threat.eps) < 1e-9
        )
        return 200 if sweep or what.attack.restarts > 1 or what.attack.steps > 100 else 1000
    return 1000


def _halved(network: Network) -> Network:
    """Half the filters and units: the very large network of the transfer figure takes minutes a seed as it is."""
    return replace(network, model=replace(network.model, width=network.model.width // 2))


def _quick(evaluation: Evaluation) -> Evaluation | None:
    name = evaluation.subject.model.name
    if profiles_small.small(evaluation):
        return evaluation
    if profiles_comparison.compared(evaluation):
        return profiles_comparison.quick(evaluation)
    if name in profiles_certified.MODELS:
        return profiles_certified.quick(evaluation)
    if name in profiles_scaling.MODELS:
        return profiles_scaling.quick(evaluation)
    if name in profiles_distilled.MODELS:
        return profiles_distilled.quick(evaluation)
    if name == profiles_madry.NAME:
        return profiles_madry.quick(evaluation)
    if evaluation.subject.dataset != "mnist" and name not in _TRADES:
        return None
    what, subject = evaluation.measurement, evaluation.subject
    subset = evaluation.subset
    n: int | None = min(_quick_points(evaluation), subset.n or 10**9)
    if isinstance(what, Accuracy):
        source = None if what.source is None else _quick_network(what.source)
        attack, search = what.attack, "bfloat16" if isinstance(what.attack, Pgd) else what.search
        if isinstance(attack, Square | Fab):
            attack, n = _shorter(attack, 1_000, 20, 3), 200
        what = replace(what, attack=attack, source=source, search=search)
    elif isinstance(what, WorstCase):
        # On 200 points of network A the classes that rank fourth and later and the queries beyond the first
        # thousand broke nothing that the rest had left, in most of the suite's time.
        what, n = replace(what, queries=1_000, target_classes=3, search="bfloat16"), 500
    elif isinstance(what, LocalMaxima):
        what = replace(what, starts=100, search="bfloat16")
    elif isinstance(what, TrainingCurve):
        n = subset.n
    elif isinstance(what, Attacked):
        subject, n = _halved(subject), 500
        what = replace(what, sources=tuple(_quick_network(_halved(source)) for source in what.sources))
    elif isinstance(what, Directions):
        subject, n, what = _halved(subject), 200, replace(what, source=_quick_network(_halved(what.source)))
    return Evaluation(_quick_network(subject), what, Subset(n, subset.split, subset.seed))


LADDER = {"smoke": _smoke, "quick": _quick, "full": profiles_full.full}
