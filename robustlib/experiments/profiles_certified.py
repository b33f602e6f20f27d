"""The reduced profiles of certified networks: digits for smoke, interval bounds before the dual for quick."""

from __future__ import annotations

from dataclasses import replace

from ..attacks.suite import Pgd
from ..training import Certified, Schedule, Standard
from .probes import Certificate, CertifiedRadii, OutputSet, Relaxed
from .specs import Accuracy, Evaluation, Network, TrainingCurve

MODELS = ("wong_conv", "wong_dense")
_WIDTHS = {"wong_conv": 4, "wong_dense": 32}

# Updates (batch) on interval bounds, then on the dual; and the peak rates of their cycles.
# A first guess: no trial on held-out training images has been finished, and no record made.
_INTERVAL = Schedule(4_600, batch=128, lr=2e-3, shape="one_cycle")
_DUAL = Schedule(300, batch=50, lr=1e-3, shape="one_cycle")


def _smoke_network(network: Network) -> Network:
    model = replace(network.model, width=_WIDTHS[network.model.name])
    # A network that the paper leaves untrained stays so.
    schedule = Schedule(min(200, network.schedule.steps), 50, 5e-3, shape="one_cycle")
    plain = replace(network, dataset="digits", model=model, defence=Standard(), schedule=schedule)
    if not isinstance(network.defence, Certified):
        return plain
    # From fresh weights the robust loss stays at chance for longer than a smoke run may last.
    defence, schedule = replace(network.defence, start=0.0), replace(schedule, steps=50)
    return replace(plain, defence=defence, schedule=schedule, parents=(plain,))


def smoke(evaluation: Evaluation) -> Evaluation:
    """On digits, seconds."""
    what, n = evaluation.measurement, 40
    if isinstance(what, Accuracy) and isinstance(what.attack, Pgd):
        what = replace(what, attack=replace(what.attack, steps=10, step_size=0.1))
    elif isinstance(what, Relaxed):
        n = 3
    elif isinstance(what, CertifiedRadii):
        n = 20
    elif isinstance(what, TrainingCurve):
        what = replace(what, blocks=50)
    elif isinstance(what, OutputSet):
        # Two of the digits: only two outputs can be drawn.
        two = replace(_smoke_network(evaluation.subject), classes=(3, 7))
        return Evaluation(two, replace(what, samples=500, kept=100), evaluation.subset)
    return Evaluation(_smoke_network(evaluation.subject), what, replace(evaluation.subset, n=n))


def _quick_network(network: Network) -> Network:
    defence = network.defence
    if not isinstance(defence, Certified):
        return replace(network, schedule=Schedule(1_200, 128, 2e-3, shape="one_cycle"))
    first = replace(network, defence=Certified(defence.threat, interval=1.0), schedule=_INTERVAL)
    return replace(network, defence=Certified(defence.threat, ramp=0.0), schedule=_DUAL, parents=(first,))


def quick(evaluation: Evaluation) -> Evaluation | None:
    """MNIST and Fashion-MNIST in minutes, one network each; the paper's own protocol where it takes no longer."""
    subject = evaluation.subject
    if subject.dataset in ("har", "toy"):
        return evaluation
    if subject.dataset not in ("mnist", "fashion_mnist") or subject.seed:
        return None
    what, subset = evaluation.measurement, evaluation.subset
    if isinstance(what, Accuracy | Certificate) and what.threat is not None:
        subset = replace(subset, n=1_000)
    elif isinstance(what, CertifiedRadii):
        subset = replace(subset, n=100)
    elif isinstance(what, Relaxed):
        subset = replace(subset, n=5)
    return Evaluation(_quick_network(subject), what, subset)
