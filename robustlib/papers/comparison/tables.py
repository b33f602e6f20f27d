"""Across the papers: one network and one data set under every defence, every attack and every certificate.

No paper has this table. The network, its schedule and the radius are those of Wong & Kolter 2018's MNIST row, since
certificates reach there; the ball is cut to the inputs' range, for all. Defences are the five papers'.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ...attacks.suite import Pgd
from ...catalogue.base import Cell, cell
from ...evaluate.accuracy import Attacked
from ...evaluate.cascades import CascadeBound
from ...evaluate.exact import Exact
from ...evaluate.suite_accuracy import WorstCase
from ...spec.evaluation import Evaluation
from ...spec.network import Network
from ...training import Certified, Distillation, FgsmTraining, PgdTraining, Standard, Trades
from ..wong2018 import networks as wong
from . import released

PAPER = "comparison"
ITEM = f"{PAPER}/grand-table"
THREAT = wong.PROBLEMS["MNIST"].clipped
TEMPERATURE = 100.0
CASCADE = "cascade"

_STANDARD, _CERTIFIED = (wong.network("MNIST", robust=robust) for robust in (False, True))
_TEACHER = replace(_STANDARD, defence=Standard(temperature=TEMPERATURE), seed=10)
_PROJECTED = Certified(wong.PROBLEMS["MNIST"].threat, start=wong.PROBLEMS["MNIST"].start, projections=50)

NETWORKS: dict[str, Network] = {
    "standard": _STANDARD,
    "FGSM training": replace(_STANDARD, defence=FgsmTraining(THREAT)),
    "PGD training": replace(_STANDARD, defence=PgdTraining(THREAT, 40, 0.01)),
    "TRADES, 1/λ 6": replace(_STANDARD, defence=Trades(THREAT, 40, 0.01, beta=6.0)),
    "distilled, T 100": replace(_STANDARD, defence=Distillation(TEMPERATURE, 0.9), parents=(_TEACHER,)),
    "certified, exact": _CERTIFIED,
    "certified, projected": replace(_CERTIFIED, defence=_PROJECTED),
    CASCADE: replace(_CERTIFIED, seed=1, earlier=(_CERTIFIED,)),
}
"""Networks by the name of their row; the cascade by its last stage."""

SUITE = {"clean": "after clean", "noise": "after Noise", "FGSM": "after Fgsm", "worst case": "accuracy"}
"""Columns that the suite fills, each attack on what those before it left, and their metrics."""
LONGER = {"PGD-40": Pgd(40, 0.01), "PGD-40, 10 starts": Pgd(40, 0.01, restarts=10)}
"""Columns of PGD by itself."""
EXACT = {"exact: proven": "certified", "exact: undecided": "undecided"}
"""Columns that a solver adds to the bounds, and their metrics."""
ASKED = {"PGD training": 120, "TRADES, 1/λ 6": 120, "certified, exact": 10_000, "certified, projected": 10_000}
"""Open points given to the solver: all of a network trained on a bound, those nearest to a proof of others."""
BOUNDS = {
    "certified: intervals": ("interval", "fixed"),
    "certified: hybrid": ("hybrid", "fixed"),
    "certified: slopes of the paper": ("dual", "fixed"),
    "certified: slopes of CROWN": ("dual", "adaptive"),
}
"""Columns of certificates: method and slopes."""
COLUMNS = ("clean", "noise", "FGSM", *LONGER, "worst case", *EXACT, *BOUNDS)

_EACH = "each attack of the suite is run on what the attacks before it left"
_NO_ATTACK = "a cascade answers by certificates, which no attack of the suite follows; a search of its own stands below"
_OUT_OF_REACH = "the bounds are far from a proof of most points: a solver would have to search over all units' signs"
_NEAREST = "the solver was asked about those open points alone that are nearest to a proof"
_ONE_NETWORK = "the solver's program is of one network, and a cascade's answer depends on several"
_ONE_BOUND = "the cascade's stages answer by the paper's bound alone"


def suite(name: str) -> Evaluation:
    """Noise, FGSM, PGD, AutoAttack on one of :data:`NETWORKS`."""
    return Evaluation(NETWORKS[name], WorstCase(THREAT))


def longer(name: str) -> Evaluation:
    """PGD of 40 steps, from one start and from ten."""
    return Evaluation(NETWORKS[name], Attacked(tuple(LONGER.values()), THREAT))


def bound(name: str, column: str) -> Evaluation:
    """One of :data:`BOUNDS`; exact for every network, whatever it was trained on."""
    method, slopes = BOUNDS[column]
    return wong.bound(NETWORKS[name], THREAT, method=method, slopes=slopes)


def exact(name: str) -> Evaluation:
    """Attack, bounds and solver on one of :data:`ASKED`."""
    return Evaluation(NETWORKS[name], Exact(THREAT, LONGER["PGD-40, 10 starts"], ASKED[name]))


def cascade() -> Evaluation:
    """The cascade's certificates, and a search on every point that the authors' rule counts."""
    return Evaluation(NETWORKS[CASCADE], CascadeBound(THREAT, searched=10_000))


def column_of(name: str, column: str) -> tuple[Evaluation, str] | None:
    """(evaluation, metric) of a network's column; None where it has none."""
    if name == CASCADE or (column in EXACT and name not in ASKED):
        return None
    if column in SUITE:
        return suite(name), SUITE[column]
    if column in LONGER:
        return longer(name), f"accuracy {list(LONGER).index(column)}"
    return (exact(name), EXACT[column]) if column in EXACT else (bound(name, column), "certified")


def _cascade_cells() -> Iterator[Cell]:
    run = (cascade(),)
    counted = "slopes of the paper"
    for column in COLUMNS:
        if column == "clean":
            yield cell(ITEM, (CASCADE, column), run, "error", complement=True)
        elif column.endswith(counted):
            note = "the strict rule: the cascade gives this class at every point of the ball"
            yield cell(ITEM, (CASCADE, column), run, "strict_bound", note=note, complement=True)
        else:
            why = _ONE_NETWORK if column in EXACT else _ONE_BOUND if column in BOUNDS else _NO_ATTACK
            yield Cell(ITEM, CASCADE, column, unavailable=why)
    note = "not a certificate of the cascade: it speaks of the stage that answers"
    yield cell(ITEM, (CASCADE, "counted by the authors' rule"), run, "bound", note=note, complement=True)
    yield cell(ITEM, (CASCADE, "of those, broken by a search"), run, "broken")
    yield cell(ITEM, (CASCADE, "answered by the second stage"), run, "answered_2")


def cells() -> list[Cell]:
    """Every network under every column, then the cascade's own; a row is of one network, hence of one profile."""
    found: list[Cell] = []
    for name in NETWORKS:
        for column in COLUMNS:
            if (known := column_of(name, column)) is not None:
                note = _EACH if column in SUITE and column != "clean" else ""
                note = _NEAREST if column == "exact: undecided" and ASKED[name] < 10_000 else note
                found.append(cell(ITEM, (name, column), known[:1], known[1], note=note))
            elif name != CASCADE:
                found.append(Cell(ITEM, name, column, unavailable=_OUT_OF_REACH))
    return [*(replace(cell, whole_row=True) for cell in (*found, *_cascade_cells())), *released.cells()]
