"""The two slide decks that this book began with: every factual statement and question, and the claims that decide it.

The lines are data, in ``slides.csv``. A line's ``claims`` are texts of predicates, either a paper's or one of
:data:`CLAIMS`; its reason has places for numbers, see :mod:`robustlib.report.citations`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from ...catalogue.base import Predicate, claim, items, read_rows
from ...catalogue.plan import predicates_of
from ...errors import RobustlibError, suggest
from ..papernot2016 import networks as papernot
from ..wong2018 import networks as wong
from . import tables as comparison

VERDICTS = ("holds", "qualified", "fails", "not testable", "not run")
QUESTION = "question"
"""Entry in place of a verdict for a question of the deck; its reason is the answer."""


@dataclass(frozen=True)
class Line:
    """One statement or question of a deck, in our words; ``why`` is Markdown with places for numbers."""

    id: str
    deck: str
    slide: str
    paper: str
    statement: str
    verdict: str
    claims: tuple[str, ...]
    why: str


@functools.cache
def lines() -> tuple[Line, ...]:
    """Every line of both decks, in their order."""
    return tuple(
        Line(**{**row, "claims": tuple(filter(None, row["claims"].split(" | ")))})  # type: ignore[arg-type]
        for row in read_rows(comparison.PAPER, "slides.csv")
    )


_HOT = "T=100"

CLAIMS = (
    claim(
        "papernot2016/breaking",
        "Distillation at T = 100 does not double the mean l_2 distance of Carlini and Wagner's attack",
        [papernot.nearest("mnist", label, "l2") for label in (papernot.NONE, _HOT)],
        "mean_distance",
        lambda v: v[1] < 2 * v[0],
    ),
    claim(
        "papernot2016/breaking",
        "With the temperature put back JSMA succeeds more often at T = 100 than as deployed, by over 20 points",
        [papernot.attempts(papernot.network("mnist", _HOT)), papernot.undone("mnist", _HOT)],
        "success",
        lambda v: v[1] > v[0] + 0.2,
    ),
    claim(
        "papernot2016/breaking",
        "The suite leaves at most 5 % of the network distilled at T = 100",
        [papernot.worst_case("mnist", _HOT)],
        "accuracy",
        lambda v: v[0] <= 0.05,
    ),
    claim(
        "wong2018/table-1/mnist",
        "PGD leaves under half of the standard and over half of the robust MNIST network",
        [
            wong.attacked(wong.network("MNIST", robust=robust), wong.PGD, wong.PROBLEMS["MNIST"].threat)
            for robust in (False, True)
        ],
        "accuracy",
        lambda v: v[0] < 0.5 < v[1],
    ),
)
"""Claims of the decks that no figure of a paper makes."""


@functools.cache
def find_claim(text: str) -> Predicate:
    """The predicate of that text.

    Raises:
        RobustlibError: none has it; names the nearest.
    """
    known = {p.text: p for item in items() for p in predicates_of(item.id)} | {p.text: p for p in CLAIMS}
    if text not in known:
        raise RobustlibError(suggest("claim", text, known))
    return known[text]
