"""The networks that the authors released, in a bracket: what today's bounds prove and today's attacks do not break.

Each on its whole test set at its own radius. The ball is cut to the inputs' range, as attacks in use today have it;
the paper's own certificate, of a ball that is not cut, holds in the cut one too. Where this book has a network of the
same architecture for the same radius, it stands below under the same evaluation: what still differs is the training.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ...attacks.suite import Apgd, Attack, AutoAttack, Pgd
from ...catalogue.base import OWN_NOTE, STAGED_NOTE, Cell, cell, published_of
from ...data.registry import facts_of
from ...evaluate.bracket import BOUNDS, Bracket
from ...evaluate.certificates import Certificate
from ...evaluate.exact import Exact
from ...evaluate.suite_accuracy import WorstCase
from ...spec.evaluation import Evaluation, Subset
from ...spec.network import Network
from ...threat import Ball
from ..wong2018 import networks as polytope
from ..wong2018scaling import networks as scaling
from ..zhang2019 import networks as trades

PAPER = "comparison"
ITEM = f"{PAPER}/released-networks"
AUTHORS, OURS = "authors' network", "ours"
WHOLE = AutoAttack()
"""Cross-entropy and targeted APGD of 100 steps, FAB, and Square of 5,000 queries."""


@dataclass(frozen=True)
class Released:
    """A released network, and how it is evaluated.

    Args:
        network: the authors'; of a cascade its first network, since a cascade's answer depends on certificates.
        threat: ball of the bracket.
        printed: (item, row, column) of the published bound on the error; None where the paper prints none.
        ours: networks of the same architecture, one a seed.
        bounds: tried, see :data:`robustlib.evaluate.bracket.BOUNDS`.
        attack: on the points left open.
        solved: the solver is asked about every open point.
        sampled: (radius, number of points) of further balls, which the dual bound with adaptive slopes is asked about
            where it takes too long for every point.
    """

    network: Network
    threat: Ball
    printed: tuple[str, str, str] | None = None
    ours: tuple[Network, ...] = ()
    bounds: tuple[str, ...] = tuple(BOUNDS)
    attack: Attack = WHOLE
    solved: bool = False
    sampled: tuple[tuple[float, int], ...] = ()


def _polytope(problem: str, seeds: tuple[int, ...], *, solved: bool) -> Released:
    line = polytope.PROBLEMS[problem]
    return Released(
        polytope.released(problem),
        line.clipped,
        ("wong2018/table-1", f"PROBLEM={problem};ROBUST=✓;ϵ={line.eps:g}", "ROBUST ERROR BOUND"),
        tuple(polytope.network(problem, robust=True, seed=seed) for seed in seeds),
        solved=solved,
    )


def _scaled(line: scaling.Line) -> Released:
    (network,) = scaling.released(line, 1)
    threat = replace(line.threat, domain=facts_of(network.dataset).domain)
    table = f"wong2018scaling/{'l2-' * (line.norm == 'l2')}results"
    return Released(network, threat, (table, line.row, "Single model error: Robust"))


NETWORKS = {
    "polytope, MNIST, ε 0.1": _polytope("MNIST", (0,), solved=True),
    "polytope, Fashion-MNIST, ε 0.1": _polytope("FASHION-MNIST", (0,), solved=False),
    "polytope, HAR, ε 0.05": _polytope("HAR", polytope.SEEDS, solved=True),
    "scaling, MNIST, ε 0.3": _scaled(scaling.HARD),
    "scaling, CIFAR-10, ε 8/255": _scaled(scaling.Line("CIFAR10", "Small", "8/255")),
    "scaling, CIFAR-10, l2, ε 36/255": _scaled(scaling.Line("CIFAR10", "Small", "36/255", "l2")),
    "TRADES, MNIST, ε 0.3": Released(
        trades.released("mnist"),
        trades.THREATS["mnist"],
        bounds=("interval",),
        attack=Apgd(steps=100),
        sampled=((0.3, 20), (0.1, 50), (0.05, 50)),
    ),
}
"""Released networks by name. Of AutoAttack the last is given the first part, since all of it on every point is hours,
and so are rows through its convolutions and pools: on every point it is left to intervals."""

COLUMNS = {
    "clean": "clean",
    "PGD-20": "after first",
    "unbroken": "accuracy",
    "certified": "certified",
    "unbroken, least class": "unbroken_class",
    "certified, least class": "certified_class",
    "unbroken, least person": "unbroken_person",
    "certified, least person": "certified_person",
}
"""Columns of a bracket's record, and their metrics."""
SOLVER = {"exact: proven": "certified", "exact: undecided": "undecided"}
"""Columns that a solver adds."""


def bracket(name: str, network: Network) -> Evaluation:
    """Both ends for the released network of a line, or for one of ours."""
    line = NETWORKS[name]
    return Evaluation(network, Bracket(line.threat, Pgd(20, line.threat.eps / 8), line.attack, line.bounds))


def exact(name: str, network: Network) -> Evaluation:
    """Attack, bounds, and the solver on every point that they leave open."""
    threat = NETWORKS[name].threat
    return Evaluation(network, Exact(threat, Pgd(40, threat.eps / 10, restarts=10), facts_of(network.dataset).n_test))


def sample(name: str, eps: float, n: int) -> Evaluation:
    """The dual bound with adaptive slopes, on a few points of a released network's line and in a ball of that size."""
    line = NETWORKS[name]
    return Evaluation(line.network, Certificate(replace(line.threat, eps=eps), slopes="adaptive"), Subset(n))


def printed(name: str) -> float | None:
    """The share in per cent that the paper's printed bound certifies; None where none was found in the paper."""
    line = NETWORKS[name].printed
    number = None if line is None else published_of(line[0])[line[1:]]
    return None if number is None or number.value is None or not number.verified else 100 - number.value


def drawn() -> dict[str, dict[str, tuple[Evaluation, float | None]]]:
    """What the figure shows, by line and network: of several of ours each, named by its seed."""
    found: dict[str, dict[str, tuple[Evaluation, float | None]]] = {}
    for name, whose, networks in rows():
        share = printed(name) if whose == AUTHORS else None
        for network in networks:
            one = f"{whose}, seed {network.seed}" if len(networks) > 1 else whose
            found.setdefault(name, {})[one] = bracket(name, network), share
    return found


def rows() -> Iterator[tuple[str, str, tuple[Network, ...]]]:
    """(name of a line, whose network, the networks), each line's released one first."""
    for name, line in NETWORKS.items():
        yield name, AUTHORS, (line.network,)
        if line.ours:
            yield name, OURS, line.ours


def _note(name: str) -> str:
    line = NETWORKS[name]
    if line.attack == WHOLE:
        return f"{OWN_NOTE}: AutoAttack on every point that PGD and the bounds leave open"
    return f"{OWN_NOTE}: of AutoAttack its first part alone, APGD of 100 steps on the cross-entropy"


def cells() -> Iterator[Cell]:
    """Both ends of each network, and what the solver decides; a row is of one network, hence of one profile."""
    for name, whose, networks in rows():
        line, row = NETWORKS[name], f"{name}, {whose}"
        for column, metric in COLUMNS.items():
            if column.endswith("person") and not facts_of(line.network.dataset).groups:
                continue
            runs = tuple(bracket(name, network) for network in networks)
            yield cell(ITEM, (row, column), runs, metric, note=_note(name), whole_row=True)
        if line.attack != WHOLE:
            suite = Evaluation(line.network, WorstCase(line.threat))
            yield cell(ITEM, (row, "unbroken, the whole suite"), suite, note=STAGED_NOTE)
        for eps, n in line.sampled:
            column = f"certified at ε {eps:g}, {n} points"
            yield cell(ITEM, (row, column), sample(name, eps, n), "certified", note=OWN_NOTE)
        for column, metric in SOLVER.items() if line.solved else ():
            alone = f"; of seed {networks[0].seed} alone" if len(networks) > 1 else ""
            yield cell(ITEM, (row, column), exact(name, networks[0]), metric, note=f"{OWN_NOTE}{alone}")
