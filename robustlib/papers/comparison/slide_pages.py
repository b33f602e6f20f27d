"""The slides, claim by claim: each line of both decks with a verdict that the records compute where they can."""

from __future__ import annotations

import itertools
from collections import Counter

from ...catalogue.base import papers
from ...experiments.store import Store
from ...report.citations import filled
from ...report.display import record_target
from ...report.join import Statement, stated
from .slides import QUESTION, VERDICTS, Line, find_claim, lines


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
            why = f"{filled(line.why, profile, store)} {_evidence(evidence[line.id])}".strip()
            parts += [f"* - {line.statement}", f"  - {_badge(words[line.id])}", f"  - {why}"]
        parts += ["```", ""]
    parts += ["## The discussion, answered from measurements", ""]
    for line in lines():
        if line.verdict == QUESTION:
            # Chapters mark the place where they answer the deck's questions.
            more = f" [The chapter's answer](#answers-{line.paper})." if line.paper else ""
            parts += [f"**{line.statement}** {filled(line.why, profile, store)}{more}", ""]
    return "\n".join(parts)
