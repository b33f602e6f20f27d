"""Networks and evaluations of Wong & Kolter 2018.

Source: arXiv 1711.00851, table 1; the authors' code of that paper (locuslab/convex_adversarial, v0.2 and issues 2, 5).
"""

from __future__ import annotations

from dataclasses import dataclass

from ...attacks.suite import Attack, Clean, Fgsm, Pgd
from ...data.registry import facts_of
from ...evaluate.accuracy import Accuracy
from ...evaluate.certificates import Certificate, OutputSet, Relaxed
from ...evaluate.losses import TrainingCurve
from ...evaluate.vanishing import AccuracyWithoutSubnormals, VanishingGradients
from ...models import ModelSpec
from ...spec.evaluation import Evaluation, Subset
from ...spec.network import Network, authors_network
from ...threat import LinfBall
from ...training import Certified, Schedule, Standard

SEEDS = (0, 1, 2)
FGSM = Fgsm()
PGD = Pgd(steps=100, step_size=0.01, random_start=False)
RADII = (0.02, 0.05, 0.1)
"""Radii of the table with one hidden layer; the paper's are not known."""


@dataclass(frozen=True)
class Problem:
    """A line pair of table 1.

    Args:
        dataset: ours.
        eps, start: radius, and the one that training begins with.
        model: the network.
        epochs, batch: of Adam at 1e-3.
    """

    dataset: str
    eps: float
    start: float
    model: ModelSpec
    epochs: int
    batch: int = 50

    @property
    def threat(self) -> LinfBall:
        """The paper's ball, which is not cut to the inputs' range."""
        return LinfBall(self.eps, domain=None)

    @property
    def clipped(self) -> LinfBall:
        """The part of it that are inputs."""
        return LinfBall(self.eps, domain=facts_of(self.dataset).domain)


_CONV, _DENSE = ModelSpec("wong_conv", 16), ModelSpec("wong_dense", 500)
PROBLEMS = {
    "MNIST": Problem("mnist", 0.1, 0.05, _CONV, 100),
    "FASHION-MNIST": Problem("fashion_mnist", 0.1, 0.05, _CONV, 20),
    "HAR": Problem("har", 0.05, 0.025, _DENSE, 20),
    "SVHN": Problem("svhn", 0.01, 0.001, _CONV, 20, batch=20),
}
_DEFAULT = (
    "the paper's epochs and first radius are not known; records of its protocol have the code's default of 20 epochs, "
    "from half the radius"
)
LONGER = {"HAR": (2, "twice the epochs", (0,)), "FASHION-MNIST": (5, "five times the epochs", SEEDS)}
"""Where the epochs are not known: how many times as many a further standard network is trained, and its seeds."""
OPEN = {
    "MNIST": "",
    "FASHION-MNIST": _DEFAULT,
    "HAR": _DEFAULT,
    "SVHN": "the paper's epochs are not known; records of its protocol have the code's default of 20",
}
"""Open settings of each recipe, as a note."""


def network(problem: str, *, robust: bool, seed: int = 0, times: int = 1) -> Network:
    """The network of a line: cross-entropy on clean inputs, or the robust loss with its radius rising for half.

    ``times`` multiplies its epochs.
    """
    line = PROBLEMS[problem]
    updates = times * line.epochs * (facts_of(line.dataset).n_train // line.batch)
    defence = Certified(line.threat, start=line.start) if robust else Standard()
    return Network(line.dataset, line.model, defence, Schedule(updates, line.batch, 1e-3), seed=seed)


RELEASED = {"MNIST": "polytope_mnist", "FASHION-MNIST": "polytope_fashion", "HAR": "polytope_har"}
"""Files of the robust networks that the authors released, but for SVHN's, whose data are not at hand."""


EVALUATED = 50
"""Points of a batch, over whose errors the authors' ``evaluate_robust`` takes the mean."""


def released(problem: str) -> Network:
    """The authors' own robust network of a line."""
    return authors_network(RELEASED[problem], threat=PROBLEMS[problem].threat)


def shallow(*, robust: bool) -> Network:
    """MNIST with one hidden layer of 500 units, trained as the table's."""
    line = PROBLEMS["MNIST"]
    defence = Certified(line.threat, start=line.start) if robust else Standard()
    return Network("mnist", _DENSE, defence, Schedule(20 * 1200, 50, 1e-3))


def pair(*, robust: bool) -> Network:
    """The table's MNIST network with two classes, whose outputs can be drawn: threes and sevens."""
    line = PROBLEMS["MNIST"]
    defence = Certified(line.threat, start=line.start) if robust else Standard()
    return Network("mnist", _CONV, defence, Schedule(20 * 240, 50, 1e-3), classes=(3, 7))


_PLANE = ModelSpec("wong_dense", 100, depth=4)
TOY_BALL = LinfBall(0.08, domain=None)
TOY_STEPS = tuple(range(0, 1000, 100))
"""Updates at which the authors' notebook prints losses."""
POLYTOPE_RADII = (0.05, 0.1, 0.25)


def toy(*, robust: bool, seed: int = 0) -> Network:
    """The example in the plane: twelve points at once, 1,000 times."""
    defence = Certified(TOY_BALL, start=TOY_BALL.eps, ramp=0.0) if robust else Standard()
    return Network("toy", _PLANE, defence, Schedule(1_000, 12, 1e-3), seed=seed)


def toy_curve(subject: Network) -> Evaluation:
    """Its losses along the way."""
    return Evaluation(subject, TrainingCurve(blocks=100, at=TOY_STEPS))


def random_polytope(seed: int = 0) -> Evaluation:
    """Outputs of the untrained network in the plane over balls around one point."""
    untrained = Network("toy", _PLANE, Standard(), Schedule(0, 12, 1e-3), seed=seed)
    return Evaluation(untrained, OutputSet(POLYTOPE_RADII), Subset(n=1))


def clean(subject: Network) -> Evaluation:
    """Test accuracy."""
    return Evaluation(subject, Accuracy(Clean()))


def attacked(subject: Network, attack: Attack, threat: LinfBall) -> Evaluation:
    """Accuracy under FGSM or under the paper's PGD: 100 steps of 0.01 from the point itself."""
    return Evaluation(subject, Accuracy(attack, threat))


def vanishing(subject: Network, threat: LinfBall) -> Evaluation:
    """Points whose gradient is zero in float32, and which of them the paper's PGD breaks in float64."""
    return Evaluation(subject, VanishingGradients(threat, PGD))


def without_subnormals(subject: Network, attack: Attack, threat: LinfBall) -> Evaluation:
    """Accuracy under FGSM or PGD in arithmetic that rounds subnormal numbers to zero."""
    return Evaluation(subject, AccuracyWithoutSubnormals(attack, threat))


def bound(subject: Network, threat: LinfBall, *, method: str = "dual", slopes: str = "fixed") -> Evaluation:
    """The share of the test set without a certificate."""
    return Evaluation(subject, Certificate(threat, method, slopes))


def programmed(subject: Network, eps: float) -> Evaluation:
    """The dual bound, the linear program and PGD on 20 points."""
    return Evaluation(subject, Relaxed(LinfBall(eps, domain=None)), Subset(n=20))
