"""The reduced profiles of certified networks: digits for smoke, cheaper bounds for quick."""

from __future__ import annotations

from dataclasses import replace

from ..attacks.suite import Pgd
from ..evaluate.accuracy import Accuracy
from ..evaluate.certificates import Certificate, CertifiedRadii, OutputSet, Relaxed
from ..evaluate.losses import TrainingCurve
from ..spec.evaluation import Evaluation
from ..spec.network import Network
from ..training import Certified, Schedule, Standard

MODELS = ("wong_conv", "wong_dense")
_WIDTHS = {"wong_conv": 4, "wong_dense": 32}

# On clean images, then on interval bounds, then on one dual pass over them. Tried on 1,000 of the first 5,000 training
# images of MNIST, held out: interval bounds from fresh weights stay at chance; on them alone the dual certifies less
# than they do; 300 updates on the full dual, five times as dear, gain nothing; 1,500 on the one pass gain a quarter.
_CLEAN = Schedule(1_200, batch=128, lr=2e-3, shape="one_cycle")
_INTERVAL = Schedule(6_000, batch=128, lr=2e-3, shape="one_cycle")
_HYBRID = Schedule(2_500, batch=128, lr=1e-3, shape="one_cycle")


def smoke_network(network: Network) -> Network:
    """On digits: narrow, briefly trained; a certified one begins with a trained one."""
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
        two = replace(smoke_network(evaluation.subject), classes=(3, 7))
        return Evaluation(two, replace(what, samples=500, kept=100), evaluation.subset)
    return Evaluation(smoke_network(evaluation.subject), what, replace(evaluation.subset, n=n))


def quick_network(network: Network) -> Network:
    """Trained on clean images and, to be certified, then on interval bounds, then on the hybrid ones."""
    clean, defence = replace(network, defence=Standard(), schedule=_CLEAN), network.defence
    if not isinstance(defence, Certified):
        return clean
    first = replace(network, defence=Certified(defence.threat, interval=1.0), schedule=_INTERVAL, parents=(clean,))
    last = Certified(defence.threat, ramp=0.0, method="hybrid")
    return replace(network, defence=last, schedule=_HYBRID, parents=(first,))


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
    return Evaluation(quick_network(subject), what, subset)
