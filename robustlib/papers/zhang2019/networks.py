"""Zhang et al. 2019 (TRADES): the networks and evaluations that the paper's tables and figures need.

Sources: the paper's Table 5 and algorithm 1, the code of yaodongyu/TRADES; facts in ``book/ledger``. The direction of
lambda: small lambda, large 1/lambda, more robust. Networks here are named by 1/lambda = beta, but for Table 3's,
whose lambda divides f(x) f(x').
"""

from __future__ import annotations

from dataclasses import replace

from ...attacks.suite import Attack, Clean, MinimumNorm, Pgd
from ...evaluate.accuracy import Accuracy
from ...evaluate.distances import Distances
from ...evaluate.hinge import HingeBound
from ...evaluate.suite_accuracy import WorstCase
from ...models import ModelSpec
from ...spec.evaluation import Evaluation
from ...spec.network import Network, authors_network
from ...threat import Ball, LinfBall
from ...training import BinaryTrades, Defence, LogitPairing, PgdTraining, Schedule, Standard, Trades

PAPER = "zhang2019"
SEEDS = {"mnist": (0, 1, 2, 3, 4), "cifar10": (0,)}
"""One Wide-ResNet of each kind: it is a GPU's half hour."""
THREATS: dict[str, Ball] = {"mnist": LinfBall(0.3), "cifar10": LinfBall(0.031)}
INNER = {"mnist": (40, 0.01), "cifar10": (10, 0.007)}
"""Steps and step size in training."""
FGSM_K = {"mnist": Pgd(40, 0.01, random_start=False), "cifar10": Pgd(20, 0.003, random_start=False)}
"""FGSM^40 and FGSM^20, the paper's names for PGD from the image itself: the authors' first scripts draw no start, their
later ones do, and the released MNIST network has the printed accuracy, to the last point, under the first."""
STARTED = {data: replace(attack, random_start=True) for data, attack in FGSM_K.items()}
"""The same from a random start: for the sweeps of lambda, whose script is not known, and this book's own items."""
SMALL_THREAT, BINARY_THREAT = LinfBall(0.1), LinfBall(0.1)
LAMBDAS = (2.0, 3.0, 4.0, 5.0)
CLASSES = (1, 3)
PAIRING = 0.5

_EPOCH = {"mnist": 469, "cifar10": 391}
_RECIPE = {
    "mnist": Schedule(
        steps=100 * 469,
        batch=128,
        lr=0.01,
        optimiser="sgd",
        momentum=0.9,
        decay=((54 * 469, 0.1), (74 * 469, 0.01), (89 * 469, 0.001)),
    ),
    "cifar10": Schedule(
        steps=76 * 391,
        batch=128,
        lr=0.1,
        optimiser="sgd",
        momentum=0.9,
        weight_decay=2e-4,
        decay=((74 * 391, 0.1),),
        crop=4,
        flip=True,
    ),
}
_MODEL = {"mnist": ModelSpec("small_cnn", 32), "cifar10": ModelSpec("wide_resnet", 10)}


def defence(dataset: str, method: str, beta: float = 6.0, threat: Ball | None = None) -> Defence:
    """Defence by name: "natural", "PGD", "ALP" or "TRADES" (``beta`` = 1 / lambda); by default the paper's threat."""
    inner = (threat or THREATS[dataset], *INNER[dataset])
    made: dict[str, Defence] = {
        "natural": Standard(),
        "PGD": PgdTraining(*inner),
        "ALP": LogitPairing(*inner, weight=PAIRING),
        "TRADES": Trades(*inner, beta=beta),
    }
    return made[method]


def network(
    dataset: str, method: str = "TRADES", beta: float = 6.0, *, seed: int = 0, model: ModelSpec | None = None
) -> Network:
    """A network trained as the authors' code trains TRADES on that dataset, whatever the method.

    Args:
        dataset: "mnist" (SmallCNN) or "cifar10" (Wide-ResNet-34-10, 76 epochs: just after the rate first falls).
        method, beta: see :func:`defence`.
        seed: of the network.
        model: another architecture.
    """
    return Network(dataset, model or _MODEL[dataset], defence(dataset, method, beta), _RECIPE[dataset], seed=seed)


RELEASED = {"mnist": "mnist_small_cnn"}
"""Files of the networks that the authors released; CIFAR-10's is no longer at a public address."""


def released(dataset: str, draw: int = 0) -> Network:
    """The authors' own network with 1/lambda 6; ``draw`` names one of a random attack."""
    return authors_network(RELEASED[dataset], threat=THREATS[dataset], seed=draw)


def sweep_network(dataset: str, beta: float, *, seed: int = 0) -> Network:
    """Network of Table 4: ResNet-18 on CIFAR-10; on MNIST the authors' small Net, against eps 0.1."""
    if dataset == "cifar10":
        return network(dataset, "TRADES", beta, seed=seed, model=ModelSpec("resnet18", 64))
    trained = Trades(SMALL_THREAT, 20, 0.01, beta=beta)
    return Network(dataset, ModelSpec("trades_net", 10), trained, _RECIPE[dataset], seed=seed)


def binary_network(scale: float, *, seed: int = 0) -> Network:
    """Network of Table 3: digits 1 and 3, hinge, 30 epochs of 101 batches; ``scale`` is lambda."""
    trained = BinaryTrades(BINARY_THREAT, 20, 0.01, scale=scale)
    schedule = Schedule(steps=30 * 101, batch=128, lr=0.01, optimiser="sgd", momentum=0.9)
    return Network("mnist", ModelSpec("trades_binary", 10), trained, schedule, seed=seed, classes=CLASSES)


def under(subject: Network, attack: Attack, *, threat: Ball | None = None, source: Network | None = None) -> Evaluation:
    """Accuracy on the whole test set under an attack within the dataset's threat, or another."""
    allowed = None if isinstance(attack, Clean) else threat or THREATS[subject.dataset]
    return Evaluation(subject, Accuracy(attack, allowed, source=source))


def nearest(subject: Network, attack: MinimumNorm, norm: str, eps: float, *, measured: str = "") -> Evaluation:
    """Accuracy at eps from the shortest perturbation found in ``norm``, its length taken in ``measured``."""
    return Evaluation(subject, Distances(attack, norm, (eps,), measured=measured))


def sweep(dataset: str, beta: float, *, robust: bool, seed: int = 0) -> Evaluation:
    """One cell of Table 4."""
    subject = sweep_network(dataset, beta, seed=seed)
    threat = SMALL_THREAT if dataset == "mnist" else THREATS[dataset]
    return under(subject, STARTED[dataset] if robust else Clean(), threat=threat)


def bound(scale: float, *, seed: int = 0) -> Evaluation:
    """Both sides of Theorem 3.1 on the binary network of that lambda."""
    return Evaluation(binary_network(scale, seed=seed), HingeBound(BINARY_THREAT, 20, 0.01, scale))


BASELINES: dict[str, tuple[str, float]] = {
    "natural": ("natural", 0.0),
    "PGD training": ("PGD", 0.0),
    "logit pairing": ("ALP", 0.0),
    "TRADES, 1/λ 1": ("TRADES", 1.0),
    "TRADES, 1/λ 6": ("TRADES", 6.0),
}


def worst_case(name: str) -> Evaluation:
    """The whole suite on one of :data:`BASELINES`, all of one network and budget."""
    return Evaluation(network("mnist", *BASELINES[name]), WorstCase(THREATS["mnist"]))
