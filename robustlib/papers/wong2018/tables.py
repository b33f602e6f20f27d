"""Wong & Kolter 2018, the convex outer adversarial polytope: cells of its tables and figures.

Source: arXiv 1711.00851 and the authors' code. The paper's balls are not cut to the inputs' range, so attacks here
are not clipped either, except in rows that say so. Settings that the paper leaves open are in each cell's note.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

from ...attacks.suite import Attack
from ...catalogue.base import OWN_NOTE, Cell, Factor, cell, published_of
from ...evaluate.certificates import CertifiedRadii
from ...evaluate.losses import TrainingCurve
from ...evaluate.weights import FirstLayer
from ...spec.evaluation import Evaluation
from ...spec.network import Network
from ...threat import LinfBall
from .networks import (
    EVALUATED,
    FGSM,
    LONGER,
    OPEN,
    PGD,
    POLYTOPE_RADII,
    PROBLEMS,
    RADII,
    RELEASED,
    SEEDS,
    TOY_BALL,
    attacked,
    bound,
    clean,
    network,
    pair,
    programmed,
    random_polytope,
    released,
    shallow,
    toy,
    toy_curve,
    vanishing,
    without_subnormals,
)

PAPER = "wong2018"

Measure = Callable[[Network], Evaluation]
_KINDS = {"standard": False, "robust": True}
_MARKS = {False: "×", True: "✓"}


def _epochs(problem: str, column: str, measure: Measure) -> tuple[Factor, ...]:
    """More epochs of the standard network where the paper's are not known, for the columns that the paper prints.

    Fashion-MNIST's bound is 100 % in the paper and here, and is left out.
    """
    printed = column.isupper() and (column != "ROBUST ERROR BOUND" or problem == "HAR")
    if problem not in LONGER or not printed:
        return ()
    times, name, seeds = LONGER[problem]
    longer = (network(problem, robust=False, seed=seed, times=times) for seed in seeds)
    return (Factor(name, tuple(map(measure, longer))),)


def _table() -> Iterator[Cell]:
    """Table 1, and beside it the clipped attacks, the clipped bound, and bounds of other kinds."""
    numbers = published_of(f"{PAPER}/table-1")
    for problem, line in PROBLEMS.items():
        item = f"{PAPER}/table-1/{problem.lower()}"
        for robust, mark in _MARKS.items():
            row = f"PROBLEM={problem};ROBUST={mark};ϵ={line.eps:g}"
            nets = [network(problem, robust=robust, seed=seed) for seed in SEEDS]
            theirs = [released(problem)] if robust and problem in RELEASED else []
            if problem == "SVHN":
                for number in (number for (name, _), number in numbers.items() if name == row):
                    yield cell(item, number, (), unavailable="the official files of SVHN were not at hand")
                continue
            measures: dict[str, Measure] = {
                "TEST ERROR": clean,
                "FGSM ERROR": functools.partial(attacked, attack=FGSM, threat=line.threat),
                "PGD ERROR": functools.partial(attacked, attack=PGD, threat=line.threat),
                "FGSM error, clipped": functools.partial(attacked, attack=FGSM, threat=line.clipped),
                "PGD error, clipped": functools.partial(attacked, attack=PGD, threat=line.clipped),
                "ROBUST ERROR BOUND": functools.partial(bound, threat=line.threat),
                "bound, clipped": functools.partial(bound, threat=line.clipped),
                "bound, slopes of CROWN": functools.partial(bound, threat=line.threat, slopes="adaptive"),
                "bound, intervals": functools.partial(bound, threat=line.threat, method="interval"),
            }
            for column, measure in measures.items():
                bounded = "bound" in column.lower()
                yield cell(
                    item,
                    (row, column),
                    map(measure, nets),
                    "bound" if bounded else "accuracy",
                    number=numbers.get((row, column)),
                    unknown=OPEN[problem],
                    note="" if column.isupper() else OWN_NOTE,
                    ablation=() if robust else _epochs(problem, column, measure),
                    released=tuple(map(measure, theirs)),
                    released_batch=EVALUATED,
                    complement=not bounded,
                )


def _mnist(kind: str) -> Network:
    return network("MNIST", robust=_KINDS[kind])


def radii(kind: str) -> Evaluation:
    """Largest certified radii of the MNIST networks."""
    return Evaluation(_mnist(kind), CertifiedRadii())


def _figures() -> Iterator[Cell]:
    ball = PROBLEMS["MNIST"].threat
    for kind, robust in _KINDS.items():
        net = _mnist(kind)
        certified = (bound(net, ball),)
        at = (kind, "two classes: robust error bound")
        yield cell(f"{PAPER}/polytope-sketch", at, bound(pair(robust=robust), ball), "bound", note=OWN_NOTE)
        yield cell(f"{PAPER}/relu-relaxation", (kind, "units with l < 0 < u"), certified, "unstable", note=OWN_NOTE)
        for name in ("unstable", "dead", "active"):
            yield cell(f"{PAPER}/unstable-units", (kind, f"{name} units at eps 0.1"), certified, name)
        at, note = (
            (kind, "loss at the end of training"),
            "on the batches of training, the robust loss of the robust network; counts are of updates, not of points",
        )
        yield cell(f"{PAPER}/training-curves", at, Evaluation(net, TrainingCurve()), "final_loss", note=note)
        for name, column in (("near_zero", "weights near zero"), ("empty", "filters without any other")):
            note = "near zero: under 1 % of the largest weight's size"
            yield cell(f"{PAPER}/filters", (kind, column), Evaluation(net, FirstLayer()), name, note=note)
        for name in ("radius", "median_radius", "radius_right"):
            yield cell(f"{PAPER}/certified-radius", (kind, name.replace("_", " ")), radii(kind), name)


def _tightness() -> Iterator[Cell]:
    """One hidden layer: the bound against PGD at several radii; and against the linear program of its relaxation."""
    for kind, robust in _KINDS.items():
        net = shallow(robust=robust)
        for eps in RADII:
            run, row = programmed(net, eps), f"{kind}, eps {eps:g}"
            threat = LinfBall(eps, domain=None)
            note = "the radii and the network's training are not known; here eps 0.1 as in table 1"
            item = f"{PAPER}/bound-tightness"
            yield cell(item, (row, "PGD error"), attacked(net, PGD, threat), unknown=note, complement=True)
            yield cell(item, (row, "robust error bound"), bound(net, threat), "bound", unknown=note)
            for name, column in (("dual", "dual bound"), ("program", "linear program"), ("attack", "under PGD")):
                at, unknown = (row, f"least margin, {column}"), "on the network with one hidden layer"
                yield cell(f"{PAPER}/dual-vs-lp", at, run, name, unknown=unknown)


def _plane() -> Iterator[Cell]:
    """Two dimensions: losses along the training on twelve points, and the outputs of a random network."""
    note = (
        "the published loss is an output of the authors' notebook examples/2D.ipynb, not a number of the paper; "
        "ours has its points and labels, and initial weights of our own"
    )
    runs = {robust: [toy(robust=robust, seed=seed) for seed in SEEDS] for robust in _KINDS.values()}
    for number in published_of(f"{PAPER}/toy-2d").values():
        nets, name = runs["robust" in number.column], number.column.split()[-1]
        metric = f"{name}@{number.where['step']:g}"
        yield cell(f"{PAPER}/toy-2d", number, map(toy_curve, nets), metric, unit="", note=note)
    for kind, robust in _KINDS.items():
        at, bounds = (f"2D toy, {kind}", "robust error bound at the end"), [bound(n, TOY_BALL) for n in runs[robust]]
        yield cell(f"{PAPER}/toy-2d", at, bounds, "bound", note=OWN_NOTE)
    for eps in POLYTOPE_RADII:
        for metric, column in (("fixed", "the paper's bound"), ("adaptive", "slopes that adapt")):
            at, drawn = (f"eps {eps:g}", f"area over the samples' hull, {column}"), map(random_polytope, SEEDS)
            unknown = "the paper's weights and point are not known"
            yield cell(f"{PAPER}/true-polytope", at, drawn, f"{metric}@{eps:g}", unit="times", unknown=unknown)


VANISHING = f"{PAPER}/vanishing-gradients"
_NATURAL = {
    "MNIST, 100 epochs": ("MNIST", 1),
    "Fashion-MNIST, 20 epochs": ("FASHION-MNIST", 1),
    "Fashion-MNIST, 100 epochs": ("FASHION-MNIST", 5),
}
"""Standard networks: the problem, and how many times its epochs."""


def natural(row: str, seed: int = 0) -> Evaluation:
    """The gradients of a standard network; the row is one of the item's."""
    problem, times = _NATURAL[row]
    return vanishing(network(problem, robust=False, seed=seed, times=times), PROBLEMS[problem].threat)


def flushed(row: str, attack: Attack, seed: int = 0) -> Evaluation:
    """The same network under an attack in arithmetic that rounds subnormal numbers to zero."""
    problem, times = _NATURAL[row]
    subject = network(problem, robust=False, seed=seed, times=times)
    return without_subnormals(subject, attack, PROBLEMS[problem].threat)


def _vanishing() -> Iterator[Cell]:
    for row in _NATURAL:
        for column, metric in (
            ("gradient zero in float32", "zero"),
            ("gradient zero without subnormal numbers", "subnormal"),
            ("loss zero in float32", "zero_loss"),
            ("zero in float32, broken by PGD in float64", "hidden"),
        ):
            runs = [natural(row, seed) for seed in SEEDS]
            yield cell(VANISHING, (row, column), runs, metric, note=OWN_NOTE, spread=True)
        for name, attack in (("FGSM", FGSM), ("PGD", PGD)):
            runs = [flushed(row, attack, seed) for seed in SEEDS]
            column = f"error under {name} without subnormal numbers"
            yield cell(VANISHING, (row, column), runs, note=OWN_NOTE, spread=True, complement=True)


def cells() -> list[Cell]:
    """Every cell of the paper that this edition knows how to measure, or can say why it does not."""
    return [*_table(), *_figures(), *_tightness(), *_plane(), *_vanishing()]
