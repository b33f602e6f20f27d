"""Madry et al. 2018 on CIFAR-10: networks, evaluations and cells.

Source: arXiv 1706.06083v4, tables 2 to 5, figures 1, 2, 4, 5, 6, 7 and 11, and the code of the authors' CIFAR-10
challenge; facts in ``book/ledger``. Radii and steps are the paper's, of 255.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...attacks.suite import Attack, Clean, Fgsm, Pgd
from ...catalogue.base import Cell, cell, published_of
from ...evaluate.accuracy import Accuracy, Attacked
from ...evaluate.directions import Directions
from ...evaluate.losses import LocalMaxima, LossTrace, TrainingCurve
from ...models import ModelSpec
from ...spec.evaluation import Evaluation
from ...spec.network import Network
from ...threat import Ball, L2Ball, LinfBall
from ...training import Defence, FgsmTraining, PgdTraining, Schedule, Standard
from .networks import EXAMPLES, OVER, PAPER

THREAT = LinfBall(8 / 255)
STEP = 2 / 255
WIDTHS = {"Simple": 1, "Wide": 10}
REGIMES = ("natural", "FGSM", "PGD")
DEFENCES: dict[str, Defence] = {
    "natural": Standard(),
    "FGSM": FgsmTraining(THREAT, crafting="train"),
    "PGD": PgdTraining(THREAT, steps=7, step_size=STEP, crafting="train"),
}
PGD_7, PGD_20 = Pgd(steps=7, step_size=STEP), Pgd(steps=20, step_size=STEP)
CW_30 = Pgd(steps=30, step_size=STEP, loss="margin", kappa=50.0)
WHITE: dict[str, Attack] = {
    "Natural": Clean(),
    "FGSM": Fgsm(),
    "FGSM random": Fgsm(random_step=4 / 255),
    "PGD (7 steps)": PGD_7,
    "PGD (20 steps)": PGD_20,
}
"""Columns of table 5, in the order of one record's metrics."""
BLACK: dict[str, Attack] = {"table-3": Fgsm(), "table-4": PGD_7}
NETWORKS = tuple((size, regime) for size in WIDTHS for regime in REGIMES)
"""(size, regime) of each network, in the order of tables 3 to 5."""
PANELS = {"linf": "(c) CIFAR10 linf (of 255)", "l2": "(d) CIFAR10 l2 (of 255)"}
GRIDS = {"linf": tuple(range(31)), "l2": tuple(range(0, 100, 5))}
LANDSCAPE = {"natural": "natural", "PGD": "PGD"}
ALONG = {"Simple, natural training": ("Simple", "natural"), "Wide, PGD training": ("Wide", "PGD")}
"""Rows of figure 7."""
WAYS = {
    "white Fgsm": "white-box FGSM",
    "white Pgd": "white-box PGD",
    "black Fgsm": "black-box FGSM",
    "black Pgd": "black-box PGD",
}
"""Metrics and series of :class:`Directions`."""

_RANDOM = "the length of the random step is not printed; here eps / 2"
_CW = "kappa of the CW row is not printed; here 50, as in the authors' code"
_UNIT = "the paper prints no unit for this axis; 1/255, which ours has, is unlikely to be the paper's (see the ledger)"
_SIZE = "the paper does not say which of its networks it shows; its wide one is taken to be meant"


def network(size: str = "Wide", regime: str = "PGD", *, seed: int = 0) -> Network:
    """A network trained as the authors' code does: 80,000 updates of 128, SGD, crops and flips.

    Args:
        size: "Simple" or "Wide".
        regime: "natural", "FGSM" or "PGD".
        seed: seed 1 is the paper's A'.
    """
    schedule = Schedule(
        steps=80_000,
        batch=128,
        lr=0.1,
        optimiser="sgd",
        momentum=0.9,
        weight_decay=2e-4,
        decayed="weights",
        decay=((40_000, 0.1), (60_000, 0.01)),
        crop=2,
        flip=True,
    )
    return Network("cifar10", ModelSpec("madry_resnet", WIDTHS[size]), DEFENCES[regime], schedule, seed=seed)


def accuracy(subject: Network, attack: Attack, *, source: Network | None = None) -> Evaluation:
    """Accuracy on the whole test set under one attack."""
    return Evaluation(subject, Accuracy(attack, THREAT, source=source))


def white(size: str, regime: str) -> Evaluation:
    """A row of table 5: every attack of :data:`WHITE`."""
    return Evaluation(network(size, regime), Attacked(tuple(WHITE.values()), THREAT))


def black(size: str, regime: str) -> Evaluation:
    """A row of tables 3 and 4; where source and target are of one kind, the source is an independent copy."""
    target = network(size, regime)
    sources = (network(*kind, seed=int(kind == (size, regime))) for kind in NETWORKS)
    return Evaluation(target, Attacked(tuple(BLACK.values()), THREAT, tuple(sources)))


def sweep(norm: str, eps: int) -> Evaluation:
    """PGD of 100 steps of size 2.5 eps / 100 on the wide PGD-trained network, ``eps`` of 255."""
    threat: Ball = LinfBall(eps / 255) if norm == "linf" else L2Ball(eps / 255)
    attack: Attack = Pgd(steps=100, step_size=round(2.5 * threat.eps / 100, 10)) if eps else Clean()
    return Evaluation(network(), Accuracy(attack, threat if eps else None))


def trace(regime: str) -> Evaluation:
    """Twenty PGD runs of 100 steps on each of five examples."""
    return Evaluation(network("Wide", regime), LossTrace(THREAT, steps=100, step_size=STEP, runs=20), EXAMPLES)


def maxima(regime: str) -> Evaluation:
    """Final losses of PGD from 1e5 random starts on each of five examples."""
    what = LocalMaxima(THREAT, steps=100, step_size=STEP, starts=100_000, edges=None)
    return Evaluation(network("Wide", regime), what, EXAMPLES)


def curve(size: str = "Wide", regime: str = "PGD") -> Evaluation:
    """Loss on the batches of training."""
    return Evaluation(network(size, regime), TrainingCurve())


def along(size: str, regime: str) -> Evaluation:
    """Loss on the way to FGSM and PGD points (figure 7: 100 steps of 0.3, five starts), five examples."""
    attack = Pgd(steps=100, step_size=0.3 / 255, restarts=5)
    return Evaluation(network(size, regime), Directions(THREAT, attack, network(size, regime, seed=1)), EXAMPLES)


_METHODS: dict[str, Attack] = {"Natural": Clean(), "FGSM": Fgsm(), "CW": CW_30, "PGD": PGD_20}


def metric_of(attack: Attack) -> str:
    """Metric of one of the attacks of :data:`WHITE`."""
    return f"accuracy {list(WHITE.values()).index(attack)}"


def _tables() -> Iterator[Cell]:
    wide = ("Wide", "PGD")
    for number in published_of(f"{PAPER}/table-2").values():
        source, method = number.where["Source"].replace(" _{nat}", " natural"), number.where["Method"]
        attack = _METHODS[method]
        if number.where["Steps"] == 7:
            attack = PGD_7
        if method == "CW":
            copy = network(*wide, seed=1) if source == "A'" else None
            run, metric = accuracy(network(*wide), attack, source=copy), "accuracy"
        elif source in ("A", "-"):
            run, metric = white(*wide), metric_of(attack)
        else:
            kind = wide if source == "A'" else ("Wide", "natural")
            run, metric = (black(*wide), f"accuracy {list(BLACK.values()).index(attack)} {NETWORKS.index(kind)}")
        yield cell(f"{PAPER}/table-2", number, run, metric, unknown=_CW if method == "CW" else "")
    names = {f"{size} ({regime})": (size, regime) for size, regime in NETWORKS}
    for i, item in enumerate(BLACK):
        for number in published_of(f"{PAPER}/{item}").values():
            target, source = number.where["row"], number.where["column"]
            place = NETWORKS.index(names[source])
            yield cell(f"{PAPER}/{item}", number, black(*names[target]), f"accuracy {i} {place}")
    for number in published_of(f"{PAPER}/table-5").values():
        note = _RANDOM if number.column == "FGSM random" else ""
        yield cell(f"{PAPER}/table-5", number, white(*names[number.row]), metric_of(WHITE[number.column]), unknown=note)
    attacks: dict[str, Attack] = {"Natural": Clean(), "FGSM": Fgsm(), "PGD": PGD_20}
    for number in published_of(f"{PAPER}/capacity-cifar10").values():
        row, (panel, _, size) = number.row.partition("=")[2], number.column.partition(" / ")
        if panel.startswith("(d)"):
            loss = curve(size, row.replace("Natural", "natural"))
            yield cell(f"{PAPER}/capacity-cifar10", number, loss, "final_loss", unknown=OVER)
        else:
            regime = {"(a)": "natural", "(b)": "FGSM", "(c)": "PGD"}[panel[:3]]
            yield cell(f"{PAPER}/capacity-cifar10", number, white(size, regime), metric_of(attacks[row]))


def _figures() -> Iterator[Cell]:
    for size, regime in NETWORKS:
        yield cell(
            f"{PAPER}/capacity/cifar10",
            (f"{size}, {regime} training", "accuracy under 20 steps of PGD"),
            white(size, regime),
            metric_of(PGD_20),
            note="its published number stands in the table of the same figure",
        )
    for number in published_of(f"{PAPER}/accuracy-vs-eps").values():
        panel, eps = number.where["panel"], int(number.where["eps"])
        if panel in PANELS.values():
            norm = "linf" if panel == PANELS["linf"] else "l2"
            note = _UNIT if norm == "l2" else ""
            yield cell(f"{PAPER}/accuracy-vs-eps/cifar10", number, sweep(norm, eps), unknown=note)
    yield cell(f"{PAPER}/training-loss/cifar10", ("PGD training", "loss, last 5 % of training"), curve(), "final_loss")
    for item, make in (("loss-during-pgd", trace), ("more-loss-curves", trace), ("local-maxima", maxima)):
        for regime in LANDSCAPE:
            at = (f"{regime} training", "mean final loss")
            yield cell(f"{PAPER}/{item}/cifar10", at, make(regime), "final_loss", unknown=_SIZE)
    for row, kind in ALONG.items():
        for name, column in WAYS.items():
            at = (row, f"loss at the end, {column}")
            yield cell(f"{PAPER}/loss-along-directions", at, along(*kind), f"end {name}")


def cells() -> Iterator[Cell]:
    """Every cell on CIFAR-10."""
    yield from _tables()
    yield from _figures()
