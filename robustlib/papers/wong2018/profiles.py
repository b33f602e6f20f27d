"""Reduced profiles of certified networks: digits for smoke, cheaper bounds for quick."""

from __future__ import annotations

from dataclasses import replace

from ...attacks.suite import Clean, Fgsm, Pgd
from ...budget import WHOLE, Budget
from ...evaluate.accuracy import Accuracy
from ...evaluate.certificates import Certificate, CertifiedRadii, OutputSet, Relaxed
from ...evaluate.losses import TrainingCurve
from ...evaluate.vanishing import AccuracyWithoutSubnormals, VanishingGradients
from ...evaluate.weights import FirstLayer
from ...experiments.profiles import On, Reduction, Version
from ...spec.evaluation import Evaluation
from ...spec.network import Network
from ...training import Certified, Schedule, Standard
from .networks import network

_WIDTHS = {"wong_conv": 4, "wong_dense": 32}

# On clean images, then on interval bounds, then on one dual pass over them. Tried on 1,000 of the first 5,000 training
# images of MNIST, held out: interval bounds from fresh weights stay at chance; on them alone the dual certifies less
# than they do; 300 updates on the full dual, five times as dear, gain nothing; 1,500 on the one pass gain a quarter.
_CLEAN = Schedule(1_200, batch=128, lr=2e-3, shape="one_cycle")
_INTERVAL = Schedule(6_000, batch=128, lr=2e-3, shape="one_cycle")
_HYBRID = Schedule(2_500, batch=128, lr=1e-3, shape="one_cycle")
# The paper's own loss at last, so that a level is that of its method; its price is about half a second an update.
_EXACT = Schedule(300, batch=50, lr=2e-4, shape="one_cycle")


def smoke_network(network: Network) -> Network:
    """A network's smoke version: narrow, briefly trained on digits; a certified one begins with a trained one."""
    model = replace(network.model, width=_WIDTHS[network.model.name])
    # A network that the paper leaves untrained stays so.
    schedule = Schedule(min(200, network.schedule.steps), 50, 5e-3, shape="one_cycle")
    plain = replace(network, dataset="digits", model=model, defence=Standard(), schedule=schedule)
    if not isinstance(network.defence, Certified):
        return plain
    # From fresh weights the robust loss stays at chance for longer than a smoke run may last.
    defence, schedule = replace(network.defence, start=0.0), replace(schedule, steps=50)
    return replace(plain, defence=defence, schedule=schedule, parents=(plain,))


def _two_digits(network: Network) -> Network:
    """Two classes of digits: only two outputs can be drawn."""
    return replace(smoke_network(network), classes=(3, 7))


def quick_network(network: Network) -> Network:
    """Trained on clean images and, to be certified, then on interval bounds, then on the hybrid ones."""
    clean, defence = replace(network, defence=Standard(), schedule=_CLEAN), network.defence
    if not isinstance(defence, Certified):
        return clean
    first = replace(network, defence=Certified(defence.threat, interval=1.0), schedule=_INTERVAL, parents=(clean,))
    last = Certified(defence.threat, ramp=0.0, method="hybrid")
    return replace(network, defence=last, schedule=_HYBRID, parents=(first,))


def level_network(network: Network) -> Network:
    """Quick's certified network, trained on for a quarter of an epoch on the exact bound, the paper's own loss."""
    defence = network.defence
    assert isinstance(defence, Certified)
    last = replace(defence, start=0.0, ramp=0.0)
    return replace(network, defence=last, schedule=_EXACT, parents=(quick_network(network),))


def tabled(network: Network) -> bool:
    """True where the network is trained as one of table 1: on clean inputs, or on the exact bound, and by itself."""
    defence = network.defence
    certified = isinstance(defence, Certified) and not (defence.projections or network.earlier)
    return certified or defence == Standard()


def _own(evaluation: Evaluation) -> bool:
    return tabled(evaluation.subject)


def _another_seed(evaluation: Evaluation) -> bool:
    return evaluation.subject.seed > 0


def _has_no_level(evaluation: Evaluation) -> bool:
    """Undefended networks, whose level is a matter of how long they are trained, and those of other papers."""
    return not (tabled(evaluation.subject) and isinstance(evaluation.subject.defence, Certified))


LEVEL = Version(level_network, unless=_has_no_level)


def _compares_lengths(evaluation: Evaluation) -> bool:
    """Fashion-MNIST trained for one length and for several times as long; quick would train both networks alike."""
    subject, table = evaluation.subject, network("FASHION-MNIST", robust=False)
    vanishing = isinstance(evaluation.measurement, VanishingGradients | AccuracyWithoutSubnormals)
    return subject.dataset == table.dataset and (vanishing or subject.schedule.steps > table.schedule.steps)


def _has_no_quick(evaluation: Evaluation) -> bool:
    return _another_seed(evaluation) or _compares_lengths(evaluation)


def _images(*measurements: type, attacks: tuple[type, ...] = (), smoke: Budget, quick: Budget = WHOLE) -> Reduction:
    """Reduction on MNIST and Fashion-MNIST, where quick trains one network of each kind, in minutes."""
    on = On(("wong_conv", "wong_dense"), ("mnist", "fashion_mnist"), measurements, attacks, also=_own)
    once = Version(quick_network, quick, unless=_has_no_quick)
    return Reduction(on, Version(smoke_network, smoke), once, level=LEVEL)


def _small(*measurements: type, attacks: tuple[type, ...] = (), smoke: Version) -> Reduction:
    """Reduction on HAR and in the plane, where the paper's own protocol takes minutes and quick keeps it."""
    return Reduction(On(("wong_dense",), ("har", "toy"), measurements, attacks), smoke, quick=Version())


_FEW = Budget(points=40)
_CURVE, _PGD = replace(_FEW, blocks=50), replace(_FEW, steps=10)

REDUCTIONS = (
    _images(Accuracy, attacks=(Clean,), smoke=_FEW),
    _images(Accuracy, attacks=(Fgsm,), smoke=_FEW, quick=Budget(points=1_000)),
    _images(Accuracy, attacks=(Pgd,), smoke=_PGD, quick=Budget(points=1_000)),
    _images(Certificate, smoke=_FEW, quick=Budget(points=1_000)),
    _images(CertifiedRadii, smoke=Budget(points=20), quick=Budget(points=100)),
    _images(Relaxed, smoke=Budget(points=3), quick=Budget(points=5)),
    _images(TrainingCurve, smoke=_CURVE),
    _images(VanishingGradients, smoke=replace(_FEW, steps=10), quick=Budget(points=1_000)),
    _images(AccuracyWithoutSubnormals, smoke=replace(_FEW, steps=10), quick=Budget(points=1_000)),
    _images(FirstLayer, smoke=_FEW),
    _small(Accuracy, attacks=(Clean, Fgsm), smoke=Version(smoke_network, _FEW)),
    _small(Accuracy, attacks=(Pgd,), smoke=Version(smoke_network, _PGD)),
    _small(Certificate, smoke=Version(smoke_network, _FEW)),
    _small(TrainingCurve, smoke=Version(smoke_network, _CURVE)),
    _small(OutputSet, smoke=Version(_two_digits, Budget(samples=500, kept=100))),
)
