"""The slides, claim by claim: each line of both decks with a verdict that the records compute where they can."""

from __future__ import annotations

import itertools
import re
from collections import Counter

from ...catalogue.base import find_item, papers, published
from ...errors import RobustlibError
from ...experiments.store import Store
from ...report.display import cite, record_target
from ...report.join import Statement, item_verdicts, stated
from .slides import NUMBERS, QUESTION, VERDICTS, Line, claim, lines

PLACE = re.compile(r"\{(ours|paper|tally):([^}]+)\}")
"""Where a reason has a number."""


def verdict(line: Line, found: list[Statement]) -> str:
    """The line's verdict: as it is written while all its claims hold, and otherwise what follows.

    A claim that cannot be tested yet leaves the line "not run". One that fails turns "holds" and "qualified" into
    "fails"; under "fails" the claims are the counter-evidence, and without it the line is "qualified".
    """
    states = {statement.state for statement in found}
    if "not run" in states:
        return "not run"
    if "fails" in states:
        return "qualified" if line.verdict == "fails" else "fails"
    return line.verdict


def filled(text: str, profile: str, store: Store) -> str:
    """A reason with its numbers: ``{ours:NAME}``, ``{paper:ID}``, ``{tally:ITEM}``.

    A sentence whose measurement is not there yet is left out, and a note says so.

    Raises:
        RobustlibError: a name that nothing has.
    """
    kept, missing = [], False
    # None of our sentences ends within a number or a name.
    for sentence in re.split(r"(?<=[.!?]) (?=[A-Z$])", text):
        values = {(kind, name): _value(kind, name, profile, store) for kind, name in PLACE.findall(sentence)}
        if any(place[0] == "ours" and value == "not run" for place, value in values.items()):
            missing = True
        else:
            kept.append(PLACE.sub(lambda match, values=values: values[match.groups()], sentence))
    return " ".join([*kept, *(["*(Its numbers are not run yet.)*"] if missing else [])])


def _value(kind: str, name: str, profile: str, store: Store) -> str:
    if kind == "ours" and name in NUMBERS:
        evaluation, metric = NUMBERS[name]
        return cite(evaluation, profile, store, metric=metric)
    if kind == "tally":
        counts = item_verdicts(find_item(name), profile, store)
        return ", ".join(f"{word} {count}" if count else word for word, count in sorted(counts.items()))
    number = next((n for n in published() if kind == "paper" and n.id == name), None)
    if number is None:
        raise RobustlibError(f"slides.csv names {kind}:{name}: no such number; see papers/slides.py")
    # A few numbers of the papers' prose carry no unit of their own.
    return f"{number.text} {number.unit.split(' (')[0]}".strip() + ("" if number.verified else " (unverified)")


def _evidence(found: list[Statement]) -> str:
    parts = []
    for statement in found:
        links = ", ".join(f"[record](#{record_target(path)})" for path in statement.records[:3])
        where = f" ({statement.profile}: {links})" if links else ""
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
    evidence = {line.id: [stated(claim(text), profile, store) for text in line.claims] for line in lines()}
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
