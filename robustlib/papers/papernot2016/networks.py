"""Networks and evaluations of Papernot et al. 2016, and of the attacks that broke their defence.

Source: arXiv 1511.04508v2, tables I and II and section V; arXiv 1607.04311 and 1608.04644.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...attacks.suite import CarliniWagner, Fgsm, Jsma
from ...evaluate.accuracy import Accuracy, AccuracyVariation
from ...evaluate.distances import Distances
from ...evaluate.pictures import Samples
from ...evaluate.saturation import Amplitudes, Outputs
from ...evaluate.suite_accuracy import WorstCase
from ...evaluate.targeted import Targeted
from ...models import ModelSpec
from ...models.papernot import CIFAR_RANGE
from ...spec.evaluation import Evaluation, Subset
from ...spec.network import Network
from ...threat import LinfBall
from ...training import Distillation, Schedule, Standard

PAPER = "papernot2016"
TEMPERATURES = (1, 2, 5, 10, 20, 30, 40, 50, 100)
NONE = "no distillation"
SEEDS = (0, 1, 2)
DATASETS = {"MNIST": "mnist", "CIFAR10": "cifar10"}
FEATURES = {"mnist": 784, "cifar10": 3072}
FILL = {"mnist": 1.0, "cifar10": (2 - CIFAR_RANGE[0]) / (CIFAR_RANGE[1] - CIFAR_RANGE[0])}
"""A chosen feature becomes 1 on MNIST and 2 on CIFAR10 as preprocessed there, here in units of [0, 1]."""
RADII = {"mnist": 0.3, "cifar10": 8 / 255}
"""l_inf radii of today's evaluations; the paper has none."""

_EPOCH = 390
SCHEDULES = {
    "mnist": Schedule(steps=50 * 468, batch=128, lr=0.1, optimiser="sgd", momentum=0.5),
    "cifar10": Schedule(
        steps=50 * _EPOCH,
        batch=128,
        lr=0.01,
        optimiser="sgd",
        momentum=0.9,
        momentum_decay=True,
        decay=tuple((10 * i * _EPOCH, 0.5**i) for i in range(1, 5)),
    ),
}
"""Table II. An epoch leaves out the last, short batch."""
MODELS = {"mnist": ModelSpec("papernot_mnist", width=32), "cifar10": ModelSpec("papernot_cifar", width=64)}
LEAST_ACCURACY = {"mnist": 0.9, "cifar10": 0.5}


def baseline(dataset: str, seed: int = 0) -> Network:
    """The undistilled network of table II."""
    return Network(dataset, MODELS[dataset], Standard(), SCHEDULES[dataset], seed=seed)


def teacher(dataset: str, temperature: float, seed: int = 0) -> Network:
    """The first network, trained on classes at T, from separate initial weights."""
    defence = Standard(temperature=temperature)
    return Network(dataset, MODELS[dataset], defence, SCHEDULES[dataset], seed=seed + 10)


def student(dataset: str, temperature: float, seed: int = 0) -> Network:
    """The distilled network: the same architecture and recipe at the same T, on the first one's outputs."""
    return Network(
        dataset,
        MODELS[dataset],
        Distillation(temperature, LEAST_ACCURACY[dataset]),
        SCHEDULES[dataset],
        seed=seed,
        parents=(teacher(dataset, temperature, seed),),
    )


def network(dataset: str, label: str, seed: int = 0) -> Network:
    """The network of a figure's label, "no distillation" or "T=20"."""
    return baseline(dataset, seed) if label == NONE else student(dataset, temperature_of(label), seed)


def temperature_of(label: str) -> float:
    """T of a label; that of an undistilled network is 1."""
    return 1.0 if label == NONE else float(label.removeprefix("T="))


LABELS = (NONE, *(f"T={t}" for t in TEMPERATURES))


def attempts(subject: Network, *, outputs: str = "softmax", temperature: float = 1.0, pairs: bool = True) -> Evaluation:
    """JSMA from 100 points to all nine other classes, at most 112 features: 900 attempts."""
    attack = Jsma(fill=FILL[subject.dataset], outputs=outputs, temperature=temperature, pairs=pairs, protocol=1)
    return Evaluation(subject, Targeted(attack), Subset(n=100))


def minimal(subject: Network) -> Evaluation:
    """The least number of features on every test point, without the cap of 112 on the attack."""
    attack = Jsma(features=FEATURES[subject.dataset], fill=FILL[subject.dataset], protocol=1)
    return Evaluation(subject, Targeted(attack, correct_only=False))


def variation(dataset: str, label: str, seed: int = 0) -> Evaluation:
    """Accuracy on the test set against that of the undistilled network."""
    return Evaluation(network(dataset, label, seed), AccuracyVariation(baseline(dataset, seed)))


def outputs(dataset: str, label: str) -> Evaluation:
    """Confidence and logits of a network, and softmax(z / T) at the same points."""
    return Evaluation(network(dataset, label), Outputs(temperature_of(label)))


def amplitudes(dataset: str, label: str) -> Evaluation:
    """Sizes of the outputs' derivatives on every test point."""
    return Evaluation(network(dataset, label), Amplitudes())


def samples(dataset: str, classes: Sequence[int], *, attacked: bool = True) -> Evaluation:
    """A test point of each class, before and after JSMA on the undistilled network."""
    attack = Jsma(fill=FILL[dataset], protocol=1) if attacked else None
    return Evaluation(baseline(dataset), Samples(tuple(classes), attack), Subset(n=100))


SHOWN = {"mnist": samples("mnist", range(10)), "cifar10": samples("cifar10", range(4))}
"""Attacked points; of CIFAR-10 as many as a record has room for."""
LEGITIMATE = {
    "mnist": {"all classes": SHOWN["mnist"]},
    "cifar10": {"four classes": SHOWN["cifar10"], "the other six": samples("cifar10", range(4, 10), attacked=False)},
}
"""Points of all ten classes, by the name of their part."""


# Attacks that broke it ----------------------------------------------------------------------------------------

BROKEN = (NONE, "T=1", "T=20", "T=100")
"""Networks under the attacks that cost more."""


def undone(dataset: str, label: str) -> Evaluation:
    """JSMA on softmax(z / T): the temperature that was taken away is put back."""
    return attempts(network(dataset, label), temperature=temperature_of(label))


def on_logits(dataset: str, label: str) -> Evaluation:
    """JSMA on z."""
    return attempts(network(dataset, label), outputs="logits")


def modified(label: str) -> Evaluation:
    """The attack of arXiv 1607.04311: one feature at a time on softmax(z / T)."""
    return attempts(network("mnist", label), temperature=temperature_of(label), pairs=False)


def fgsm(dataset: str, label: str) -> Evaluation:
    """One signed step, which needs the gradient's signs alone."""
    return Evaluation(network(dataset, label), Accuracy(Fgsm(), LinfBall(RADII[dataset])))


def nearest(dataset: str, label: str, norm: str) -> Evaluation:
    """Carlini and Wagner's attack in that norm, towards any other class."""
    grid = {"l2": (0.5, 1.0, 2.0, 3.0), "linf": (0.03, 0.1, 0.2, 0.3)}[norm]
    return Evaluation(network(dataset, label), Distances(CarliniWagner(protocol=1), norm, grid))


def worst_case(dataset: str, label: str) -> Evaluation:
    """Noise, FGSM, PGD, AutoAttack."""
    return Evaluation(network(dataset, label), WorstCase(LinfBall(RADII[dataset])))
