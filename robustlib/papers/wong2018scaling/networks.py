"""Networks and evaluations of Wong et al. 2018, "Scaling provable adversarial defenses".

Source: arXiv 1805.12514, as the slide deck reprints its main table; the authors' code (locuslab/convex_adversarial,
v0.4, scripts ``mnist``, ``cifar`` and ``runtime``). Radii are in pixels of [0, 1]; the networks normalise inside.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from ...attacks.suite import Clean
from ...data.registry import facts_of
from ...evaluate.accuracy import Accuracy
from ...evaluate.cascades import CascadeBound, Estimated
from ...evaluate.certificates import Certificate
from ...evaluate.groups import Groups
from ...evaluate.losses import TrainingCurve
from ...evaluate.update_time import Cost
from ...models import ModelSpec
from ...spec.evaluation import Evaluation, Subset
from ...spec.network import Network, authors_network
from ...threat import Ball, L2Ball, LinfBall
from ...training import Certified, Schedule, Standard
from ..wong2018 import networks as polytope

EPOCHS, RAMP, BATCH = 60, 20, 50
STAGES = 3
PROJECTIONS = 50
MODELS = {
    "Small": ModelSpec("scaled_small", 16),
    "Large": ModelSpec("scaled_large", 32),
    "Resnet": ModelSpec("scaled_resnet", 16),
}
KINDS = {"Wide": (1, 2, 4, 8, 16), "Deep": (1, 2, 3)}
DATASETS = {"MNIST": "mnist", "CIFAR10": "cifar10"}
OPEN = "the authors keep the epoch with the least verified error on the test set; here the last one is measured"


@dataclass(frozen=True)
class Line:
    """A line of a results table.

    Args:
        data, model, eps: as the paper prints them.
        norm: "linf" or "l2".
        exact: trained on exact bounds, not on projections.
    """

    data: str
    model: str
    eps: str
    norm: str = "linf"
    exact: bool = False

    @property
    def row(self) -> str:
        """Its name in published.csv."""
        return f"Dataset={self.data};Model={self.model}{', Exact' * self.exact};Epsilon={self.eps}"

    @property
    def threat(self) -> Ball:
        """The line's ball: cut to the images' range on MNIST with l_inf, as in the authors' code; elsewhere not."""
        eps = float(Fraction(self.eps))
        if self.norm == "l2":
            return L2Ball(eps, domain=None)
        return LinfBall(eps, domain=facts_of("mnist").domain if self.data == "MNIST" else None)


LINES = (
    Line("MNIST", "Small", "0.1", exact=True),
    *(Line("MNIST", model, eps) for eps in ("0.1", "0.3") for model in ("Small", "Large")),
    *(Line("CIFAR10", model, eps) for eps in ("2/255", "8/255") for model in MODELS),
)
EUCLIDEAN = (
    Line("MNIST", "Small", "1.58", "l2", exact=True),
    *(Line("MNIST", model, "1.58", "l2") for model in ("Small", "Large")),
    *(Line("CIFAR10", model, "36/255", "l2") for model in MODELS),
)
SMALL = {"exact": LINES[0], "projected": LINES[1]}
HARD, COLOUR = LINES[3], LINES[5]
"""MNIST at 0.3, whose cascade the authors released; CIFAR-10 at 2/255, whose cascade the paper draws."""


def updates(data: str, epochs: int) -> int:
    """Updates in so many epochs of a training set."""
    return epochs * (facts_of(DATASETS[data]).n_train // BATCH)


def schedule(data: str, epochs: int = EPOCHS) -> Schedule:
    """The rate is halved every ten epochs, counted from the end of the ramp."""
    decay = tuple((updates(data, epoch), 0.5 ** (i + 1)) for i, epoch in enumerate(range(RAMP + 10, epochs, 10)))
    steps = updates(data, epochs)
    if data == "MNIST":
        return Schedule(steps, BATCH, 1e-3, decay=decay)
    return Schedule(
        steps, BATCH, 0.05, optimiser="sgd", momentum=0.9, weight_decay=5e-4, decay=decay, crop=4, flip=True, clip=1.0
    )


def first_radius(data: str) -> float:
    """Radius at which the ramp begins; on CIFAR-10 0.001 after the division by 0.225."""
    return 0.01 if data == "MNIST" else 0.001 * 0.225


def stage(line: Line, number: int = 1) -> Network:
    """The network of a line, or the ``number``-th one of its cascade."""
    defence = Certified(
        line.threat, start=first_radius(line.data), ramp=RAMP / EPOCHS, projections=0 if line.exact else PROJECTIONS
    )
    earlier = tuple(stage(line, place) for place in range(1, number))
    name, model = DATASETS[line.data], MODELS[line.model]
    return Network(name, model, defence, schedule(line.data), earlier=earlier)


RELEASED = {
    ("MNIST", "0.3"): ("scaled_mnist_small_0_3", 3),
    ("CIFAR10", "8/255"): ("scaled_cifar_small_8px", 3),
    ("CIFAR10", "36/255"): ("scaled_l2_cifar_small_36px", 2),
}
"""Files of the small cascades that the authors released, and their stages, by data and radius."""


def released(line: Line, number: int = 0) -> tuple[Network, ...]:
    """The authors' own network of a line, the ``number``-th of its cascade or, for 0, the last; () where none is."""
    if line.model != "Small" or line.exact or (line.data, line.eps) not in RELEASED:
        return ()
    name, stages = RELEASED[line.data, line.eps]
    return (authors_network(name, number or stages, threat=line.threat),)


def shaped(kind: str, k: int) -> Network:
    """Wide(k) or Deep(k) on MNIST at 0.1, trained as the small network."""
    base = stage(SMALL["projected"])
    model = ModelSpec("scaled_wide", k) if kind == "Wide" else ModelSpec("scaled_deep", 8, depth=k)
    return replace(base, model=model)


# Evaluations of them ----------------------------------------------------------------------------------------------


def clean(subject: Network) -> Evaluation:
    """Test accuracy."""
    return Evaluation(subject, Accuracy(Clean()))


def bound(subject: Network, threat: Ball, *, split: str = "test") -> Evaluation:
    """The share without a certificate, always from exact bounds."""
    return Evaluation(subject, Certificate(threat), Subset(split=split))


def over_intervals(line: Line) -> Evaluation:
    """The share without a certificate of a line's network, with interval instead of dual bounds on hidden layers."""
    return Evaluation(stage(line), Certificate(line.threat, method="hybrid"))


def cascade(line: Line, stages: int = STAGES) -> Evaluation:
    """The first ``stages`` networks as a cascade; a search for points in the ball that overturn its verdicts."""
    return judged(stage(line, stages), line)


def judged(last: Network, line: Line) -> Evaluation:
    """The cascade that ends with a network."""
    return Evaluation(last, CascadeBound(line.threat, searched=200))


def curve(line: Line, number: int) -> Evaluation:
    """The robust loss of a stage on its training batches."""
    return Evaluation(stage(line, number), TrainingCurve(blocks=60))


# Robust error over epochs: each mark is a network that goes on from the one before it.

COLUMNS = (1, 3, 10, 50)
MARKS = (10, 20, 40, 60)


def marked(projections: int, mark: int) -> Network:
    """The small MNIST network after ``MARKS[mark]`` epochs, trained with so many random columns (0: exactly)."""
    line = SMALL["exact"]
    first, end = (0, *MARKS)[mark], MARKS[mark]
    whole, start = line.threat.eps, first_radius("MNIST")
    reached = [start + (whole - start) * min(1.0, epoch / RAMP) for epoch in (first, end)]
    rate = 1e-3 * schedule("MNIST").factor(updates("MNIST", first))
    defence = Certified(replace(line.threat, eps=reached[1]), start=reached[0], ramp=1.0, projections=projections)
    parents = (marked(projections, mark - 1),) if mark else ()
    plan = Schedule(updates("MNIST", end - first), BATCH, rate)
    return Network("mnist", MODELS["Small"], defence, plan, parents=parents)


# Cost: ten points, one update ------------------------------------------------------------------------------------

BALL = LinfBall(0.08)
"""Ball of the authors' timing script."""
FILTERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)


def unit_cost(model: ModelSpec, projections: int) -> Evaluation:
    """Seconds of one update on ten points of MNIST, a network that has seen one batch."""
    network = Network("mnist", model, Standard(), Schedule(1, BATCH, 1e-3))
    return Evaluation(network, Cost(BALL, projections, batch=10), Subset(n=10))


def epoch_cost(data: str, name: str) -> Evaluation:
    """Seconds of one projected update on a batch of the paper's size."""
    line = Line(data, name, "0.1" if data == "MNIST" else "2/255")
    network = Network(DATASETS[data], MODELS[name], Standard(), Schedule(1, BATCH, 1e-3))
    return Evaluation(network, Cost(line.threat, PROJECTIONS, batch=BATCH), Subset(n=BATCH))


# Scatter of estimates, and certified shares of groups ---------------------------------------------------------------


def estimated(projections: int, estimator: str) -> Evaluation:
    """Estimated margins of the exactly trained small network, twenty draws."""
    line = SMALL["exact"]
    what = Estimated(line.threat, projections=projections, estimator=estimator, repeats=20)
    return Evaluation(stage(line), what, Subset(n=100))


def groups() -> dict[str, Evaluation]:
    """Certified shares by class on MNIST and CIFAR-10, by person on HAR."""
    har = polytope.network("HAR", robust=True)
    found = {line.data: Evaluation(stage(line), Groups(line.threat)) for line in (SMALL["projected"], COLOUR)}
    return found | {"HAR": Evaluation(har, Groups(polytope.PROBLEMS["HAR"].threat))}
