"""Madry et al. 2018, inside its MNIST networks: transfer, gradient angles, filters, softmax layer, images, seeds.

Figures 3, 8, 9, 10 and 12 of arXiv 1706.06083v4, the challenges' leaderboards, and this book's own: many seeds of one
small network, the bracket.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...attacks.suite import Fgsm
from ...catalogue.base import OWN_NOTE, STAGED_NOTE, STAGES, Cell, cell, published, published_of
from ...evaluate.accuracy import Attacked
from ...evaluate.directions import Directions
from ...evaluate.pictures import Pictures
from ...evaluate.weights import FirstLayer
from ...spec.evaluation import Evaluation, Subset
from ...spec.network import Network
from ...threat import L2Ball
from .cifar import white as cifar_white
from .networks import ATTACKS, DEFENCES, PAPER, PGD_40, PGD_100, SCALES, THREAT, accuracy, network, sweep, worst_case

KINDS = {"Large": "madry_cnn", "Very large": "madry_very_large"}
REGIMES = ("natural", "FGSM")
INSIDE = {"natural": ("natural", 0), "PGD": ("PGD", 0), "PGD, a second seed": ("PGD", 1)}
"""Networks of figures 9 and 10: the paper's natural, public and secret ones."""
MANY, MANY_SCALE = tuple(range(12)), 4
"""Seeds of one capacity, the smallest that the paper's recipe trains."""
RADIUS = 4.0
"""l_2 radius of figure 12."""

_OTHER = "the challenge's own network, trained as the paper's was; here network A"


def instance(kind: str, regime: str, seed: int = 0) -> Network:
    """A network of figure 8, or with seed 1 its independent copy."""
    return network(regime, seed=seed, model=KINDS[kind])


def steered(kind: str, regime: str, *, transfer: bool) -> Evaluation:
    """Clean, FGSM and PGD inputs of :data:`ATTACKS` made on a network, met by itself or by its copy."""
    made_on = instance(kind, regime)
    subject, sources = (instance(kind, regime, 1), (made_on,)) if transfer else (made_on, ())
    return Evaluation(subject, Attacked(tuple(ATTACKS.values()), THREAT, sources))


def angles(kind: str, regime: str) -> Evaluation:
    """Angles between the copies' gradients, and the loss on the way to points made on either."""
    return Evaluation(instance(kind, regime, 1), Directions(THREAT, PGD_40, instance(kind, regime)))


def layer(name: str, index: int) -> Evaluation:
    """Weights of a layer of one of :data:`INSIDE`."""
    regime, seed = INSIDE[name]
    return Evaluation(network(regime, seed=seed), FirstLayer(layer=index))


def images() -> Evaluation:
    """Adversarial images at l_2 radius 4, the attack of figure 6."""
    run = sweep("PGD", "l2", RADIUS)
    attack = getattr(run.measurement, "attack")  # noqa: B009
    return Evaluation(run.subject, Pictures(attack, L2Ball(RADIUS)), Subset(n=50))


def many() -> tuple[Evaluation, ...]:
    """PGD-40 on PGD-trained networks of one capacity, one evaluation a seed."""
    return tuple(accuracy(network(scale=MANY_SCALE, seed=seed), PGD_40) for seed in MANY)


def _transfer() -> Iterator[Cell]:
    item, order = f"{PAPER}/transferability", list(ATTACKS)
    for number in published_of(item).values():
        kind, regime = number.where["panel"].split(", ")
        run = steered(kind, regime, transfer=number.column == "Transfer")
        place = order.index(number.where["row"].replace("Clean", "Natural"))
        metric = f"accuracy {place} 0" if number.column == "Transfer" else f"accuracy {place}"
        yield cell(item, number, run, metric)
    for kind in KINDS:
        for regime in REGIMES:
            yield cell(item, (f"{kind}, {regime}", "mean angle between gradients"), angles(kind, regime), "angle")


def _layers() -> Iterator[Cell]:
    for name in INSIDE:
        for index, what in enumerate(("first", "second")):
            for metric, column in (
                ("near_zero", "weights near zero"),
                ("empty", "filters without any other"),
                ("single", "filters with one other"),
            ):
                at, note = (f"{name}, {what} layer", column), "near zero: under 1 % of the layer's largest weight"
                yield cell(f"{PAPER}/filters", at, layer(name, index), metric, note=note)
        last = layer(name, -1)
        yield cell(f"{PAPER}/softmax-layer", (name, "standard deviation of the ten biases"), last, "bias_spread")
        yield cell(f"{PAPER}/softmax-layer", (name, "weights near zero"), last, "near_zero")


def _boards() -> Iterator[Cell]:
    """Attacks submitted to the challenges; rows whose attack is one of ours are run on our network."""
    ours = {
        ("mnist", "FGSM xent"): (accuracy(network(), Fgsm()), "accuracy"),
        ("mnist", "PGD-100 xent"): (accuracy(network(), PGD_100), "accuracy"),
        ("cifar10", "FGSM xent"): (cifar_white("Wide", "PGD"), "accuracy 1"),
    }
    for number in published():
        if number.item != f"{PAPER}/leaderboards":
            continue
        board = number.table.partition(" ")[0].lower()
        run, metric = ours.get((board, number.row), (None, "accuracy")) if "white" in number.table else (None, "")
        row = f"{number.table.rpartition(' ')[2]}: {number.row}"
        item = f"{PAPER}/leaderboards/{board}"
        if run is None:
            yield Cell(item, row, number.column, number, unavailable="an attack on the challenge's own network")
        else:
            yield cell(item, (row, number.column), run, metric, number=number, unknown=_OTHER)


def _bracket() -> Iterator[Cell]:
    for regime in DEFENCES:
        for scale in SCALES:
            for column, metric in STAGES.items():
                at = (f"{regime} training, scale {scale}", column)
                yield cell(f"{PAPER}/bracket", at, worst_case(regime, scale), metric, note=STAGED_NOTE)


def cells() -> Iterator[Cell]:
    """Cells of the figures that look into MNIST networks, of the leaderboards and of the seeds."""
    yield from _transfer()
    yield from _layers()
    yield from _boards()
    yield from _bracket()
    for metric, column in (("accuracy", "accuracy under PGD"), ("length", "mean l_2 length")):
        yield cell(f"{PAPER}/l2-examples", ("PGD training, radius 4", column), images(), metric)
    at = (f"PGD training, scale {MANY_SCALE}", "accuracy under 40 steps of PGD")
    note = f"{OWN_NOTE}: the paper has one network of each capacity"
    yield cell(f"{PAPER}/seeds", at, many(), distribution=True, note=note)
    yield Cell(
        f"{PAPER}/decision-sketch",
        "twelve points in the plane",
        "decision regions",
        unavailable="two small networks, trained in the chapter, which keeps no record",
    )
