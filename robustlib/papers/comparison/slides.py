"""The two slide decks that this book began with: every factual statement and question, and the claims that decide it.

The lines are data, in ``slides.csv``. A line's ``claims`` are texts of predicates, either a paper's or one of
:data:`CLAIMS`; its reason has places for numbers, see :mod:`robustlib.report.citations`.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from dataclasses import dataclass

from ...catalogue.base import Predicate, claim, items, papers, read_rows
from ...catalogue.plan import predicates_of
from ...errors import RobustlibError, suggest
from ...experiments.store import Store
from ...report.citations import filled_alike
from ...report.display import record_target
from ...report.join import Statement, stated
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
        lambda v: v[1] < 2 * v[0],
        "mean_distance",
    ),
    claim(
        "papernot2016/gradient-amplitudes",
        "On both data sets the median amplitude is smaller at T = 100 than without distillation",
        [papernot.amplitudes(data, label) for data in papernot.DATASETS.values() for label in (papernot.NONE, _HOT)],
        lambda v: v[1] < v[0] and v[3] < v[2],
        "median_log10",
    ),
    claim(
        "papernot2016/gradient-amplitudes",
        "On MNIST float32 leaves over half the points without any derivative at T = 100",
        [papernot.amplitudes("mnist", _HOT)],
        lambda v: v[0] > 0.5,
        "zero_float32",
    ),
    claim(
        "papernot2016/breaking",
        "With the temperature put back JSMA succeeds more often at T = 100 than as deployed, by over 20 points",
        [papernot.attempts(papernot.network("mnist", _HOT)), papernot.undone("mnist", _HOT)],
        lambda v: v[1] > v[0] + 0.2,
        "success",
    ),
    claim(
        "papernot2016/breaking",
        "The suite leaves at most 5 % of the network distilled at T = 100",
        [papernot.worst_case("mnist", _HOT)],
        lambda v: v[0] <= 0.05,
    ),
    claim(
        "wong2018/table-1/mnist",
        "PGD leaves under half of the standard and over half of the robust MNIST network",
        [
            wong.attacked(wong.network("MNIST", robust=robust), wong.PGD, wong.PROBLEMS["MNIST"].threat)
            for robust in (False, True)
        ],
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


def verdict(line: Line, found: list[Statement]) -> str:
    """The line's verdict: as it is written while all its claims hold, and otherwise what follows.

    A claim that cannot be tested yet leaves the line "not run". One that fails turns "holds" and "qualified" into
    "fails"; under "fails" the claims are the counter-evidence, and without it the line is "qualified".
    """
    states = {statement.state for statement in found}
    if "not run" in states:
        return "not run"
    if states & {"fails", "contradicted"}:
        return "qualified" if line.verdict == "fails" else "fails"
    return line.verdict


def _evidence(found: list[Statement]) -> str:
    parts = []
    for statement in found:
        links = ", ".join(f"[record](#{record_target(path)})" for path in statement.records[:3])
        where = f" ({statement.evidence}: {links})" if links else ""
        parts.append(f"*{statement.text}*: {statement.state}{where}.")
    return " ".join(parts)


def _badge(word: str) -> str:
    return f"[{word}]{{.verdict .verdict-{word.replace(' ', '-')}}}"


def _heading(line: Line) -> str:
    return papers()[line.paper].title if line.paper else "What adversarial samples are"


def page(profile: str, store: Store) -> str:
    """Tally, statements by deck and paper, then questions with their answers; MyST, seen from ``book/``.

    Args:
        profile: whose records are looked at, such as "best".
        store: the records.
    """
    evidence = {line.id: [stated(find_claim(text), profile, store) for text in line.claims] for line in lines()}
    told = [line for line in lines() if line.verdict != QUESTION]
    words = {line.id: verdict(line, evidence[line.id]) for line in told}
    counts = Counter(words.values())
    computed = sum(bool(line.claims) for line in told)
    tally = ", ".join(f"{_badge(word)} {counts[word]}" for word in VERDICTS if counts[word])
    parts = [f"Of {len(told)} statements: {tally}. The verdicts of {computed} are computed from records.", ""]
    for (deck, heading), group in itertools.groupby(told, lambda line: (line.deck, _heading(line))):
        parts += [
            f"## {deck.capitalize()} deck: {heading}",
            "",
            "```{list-table}",
            ":header-rows: 1",
            ":widths: 34 12 54",
            ":class: reasons",
            "",
            "* - the slide says",
            "  - verdict",
            "  - why",
        ]
        for line in group:
            why = f"{filled_alike(line.why, profile, store)} {_evidence(evidence[line.id])}".strip()
            parts += [f"* - {line.statement}", f"  - {_badge(words[line.id])}", f"  - {why}"]
        parts += ["```", ""]
    parts += ["## The discussion, answered from measurements", ""]
    for line in lines():
        if line.verdict == QUESTION:
            # Chapters mark the place where they answer the deck's questions.
            more = f" [The chapter's answer](#answers-{line.paper})." if line.paper else ""
            parts += [f"**{line.statement}** {filled_alike(line.why, profile, store)}{more}", ""]
    return "\n".join(parts)
