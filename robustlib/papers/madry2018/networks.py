"""Madry et al. 2018: networks and evaluations on MNIST, in the paper's own protocol.

Source: arXiv 1706.06083v4 and the code of the authors' MNIST challenge; facts in ``book/ledger``.
"""

from __future__ import annotations

from dataclasses import replace

from ...attacks.suite import Attack, Boundary, Clean, Fgsm, Pgd
from ...evaluate.accuracy import Accuracy
from ...evaluate.distances import Distances
from ...evaluate.losses import LocalMaxima, LossTrace
from ...evaluate.suite_accuracy import WorstCase
from ...models import ModelSpec
from ...spec.evaluation import Evaluation, Subset
from ...spec.network import Network
from ...threat import Ball, L2Ball, LinfBall
from ...training import Defence, FgsmTraining, PgdTraining, Schedule, Standard

PAPER = "madry2018"
THREAT = LinfBall(0.3)
SEEDS = (0, 1, 2, 3, 4)
SCALES = (1, 2, 4, 8, 16)
OVER = "the paper does not print over which batches the training loss is averaged; here over the last twentieth"
EXAMPLES = Subset(n=5)
"""The paper does not name its five examples; these are fixed, class-balanced ones."""

LINF_GRID = tuple(round(0.03 * i, 2) for i in range(15))
L2_GRID = tuple(round(0.5 * i, 1) for i in range(13))

DEFENCES: dict[str, Defence] = {
    "natural": Standard(),
    "FGSM": FgsmTraining(THREAT),
    "PGD": PgdTraining(THREAT, steps=40, step_size=0.01),
}


def network(regime: str = "PGD", *, scale: int = 16, seed: int = 0, model: str = "madry_cnn") -> Network:
    """A network trained as the paper's: Adam 1e-4, 100,000 updates of 50, summed loss, 55,000 images.

    Args:
        regime: "natural", "FGSM" or "PGD".
        scale: capacity scale s; 16 is network A.
        seed: a different seed is the paper's A'.
        model: "madry_cnn", or "architecture_b" for the source network B.
    """
    return Network(
        dataset="mnist",
        model=ModelSpec(model, width=scale),
        defence=DEFENCES[regime],
        schedule=Schedule(steps=100_000, batch=50, lr=1e-4, reduction="sum"),
        rows=(5_000, 60_000),
        seed=seed,
    )


def accuracy(
    subject: Network, attack: Attack, threat: Ball | None = THREAT, *, source: Network | None = None
) -> Evaluation:
    """Accuracy on the whole test set under an attack."""
    return Evaluation(subject, Accuracy(attack, None if isinstance(attack, Clean) else threat, source=source))


PGD_40, PGD_100 = Pgd(steps=40, step_size=0.01), Pgd(steps=100, step_size=0.01)
PGD_100_RESTARTS = replace(PGD_100, restarts=20)
PGD_100_TRANSFER = replace(PGD_100_RESTARTS, best_by="loss")
"""Made on a source network: of twenty starts the one that ends at its highest loss; the target is not asked."""
EACH_TARGET = replace(PGD_40, target_classes=9)
CW, CW_PLUS = (replace(PGD_40, loss="margin", kappa=kappa) for kappa in (0.0, 50.0))


def source_of(letter: str, seed: int) -> Network | None:
    """Source network of a row: none for A itself, A' the network of the neighbouring seed, B natural."""
    if letter == "A'":
        return network(seed=seed ^ 1)
    if letter == "B":
        return network("natural", seed=seed, model="architecture_b")
    return None


def trace(regime: str) -> Evaluation:
    """Twenty PGD runs of 100 steps on each of five examples."""
    return Evaluation(network(regime), LossTrace(THREAT, steps=100, step_size=0.01, runs=20), EXAMPLES)


def maxima(regime: str) -> Evaluation:
    """Final losses of PGD from 1e5 random starts on each of five examples."""
    what = LocalMaxima(THREAT, steps=100, step_size=0.01, starts=100_000, edges=None)
    return Evaluation(network(regime), what, EXAMPLES)


PANELS = {"natural": "(a) standard training", "FGSM": "(b) FGSM training", "PGD": "(c) PGD training"}
ATTACKS: dict[str, Attack] = {"Natural": Clean(), "FGSM": Fgsm(), "PGD": PGD_40}


def sweep(regime: str, norm: str, eps: float) -> Evaluation:
    """PGD of 100 steps of size 2.5 eps / 100 at one radius (arXiv v4, figure 6); eps = 0 is a clean evaluation."""
    if eps == 0:
        return accuracy(network(regime), Clean())
    threat = LinfBall(eps) if norm == "linf" else L2Ball(eps)
    return accuracy(network(regime), Pgd(steps=100, step_size=round(2.5 * eps / 100, 10)), threat)


def distances(regime: str, norm: str) -> Evaluation:
    """Decision boundary attack of 2,000 steps of up to 25 directions, read at every radius of the figure."""
    grid = LINF_GRID if norm == "linf" else L2_GRID
    return Evaluation(network(regime), Distances(Boundary(steps=2_000), norm, grid))


def worst_case(regime: str, scale: int, *, seed: int = 0) -> Evaluation:
    """The whole suite on one network, at the paper's threat."""
    return Evaluation(network(regime, scale=scale, seed=seed), WorstCase(THREAT))
