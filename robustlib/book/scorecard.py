"""The front page: each paper's fate, its numbers and claims here, and the verdicts of every table and figure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import starmap
from pathlib import Path

from ..catalogue.base import OWN, Item, items, papers
from ..experiments.store import Store
from ..papers.comparison.aged import FATES, aged, in_this_book
from ..report.evidence import EVERY
from ..report.join import item_verdicts, rows, statements
from ..report.rows import Row, networks_of, with_authors
from ..report.verdicts import COMPARING, NAMES

STYLES = {"held": "holds", "held, then surpassed": "holds", "qualified": "qualified", "broken": "fails"}
"""Verdict whose style a fate's badge takes."""


def anchors(folder: Path) -> dict[str, str]:
    """Name of the first table of each item, by the item's id, or else of its parent, in the committed chapters.

    Args:
        folder: of the notebooks; an item that none of them shows is left out.
    """
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.ipynb")))
    names = list(dict.fromkeys(re.findall(r":name: table-([a-z0-9-]+)", text)))
    known = {item.slug.lower() for item in items()}
    found: dict[str, str] = {}
    for item in items():
        slug, panel = item.slug.lower(), item.id.rpartition("/")[2]
        parts = [name for name in names if name.startswith(f"{slug}-") and name not in known]
        panels = [name for name in names if name.startswith(f"{slug}-on-")]
        beside = f"{item.parent.replace('/', '-')}-{panel}".lower()
        same = [name for name in (slug, beside) if name in names and (name == slug or item.parent)]
        first = next(iter([*same, *panels, *parts]), found.get(item.parent))
        if first is not None:
            found[item.id] = first.removeprefix("table-")
    return found


def _claims(item: Item, profile: str, store: Store) -> str:
    found = [s for s in statements(item.id, profile, store) if not s.check]
    if not found:
        return ""
    holding = sum(s.state == "holds" for s in found)
    run = sum(s.state != "not run" for s in found)
    alone = " (stand-in)" if all(s.evidence == "stand-in" for s in found if s.evidence) else ""
    return f"{holding} of {run}{alone}" if run else f"{len(found)} not run"


def _badge(name: str, count: int, style: str = "") -> str:
    # A space that does not break keeps the count beside its word.
    return f"[{name}]{{.verdict .verdict-{(style or name).replace(' ', '-')}}}\u00a0{count}"


def _scorecard_row(item: Item, profile: str, store: Store, link: str) -> str:
    tally, theirs = item_verdicts(item, profile, store), Counter(_verdicts(rows(item.id, profile, store)))
    words = " ".join(_badge(name, count) for name, count in sorted(tally.items()))
    words += f"; authors' network: {' '.join(starmap(_badge, sorted(theirs.items())))}" if theirs else ""
    number = "↳" if item.parent else "own" if item.source == OWN else item.number.replace("-", "–")
    return f"| {number} | [{item.title}]({link}) | {words} | {_claims(item, profile, store)} |"


def _verdicts(found: Iterable[Row]) -> list[str]:
    """Verdicts on checked published numbers by the authors' networks; a number that several rows print counts once."""
    told = {
        (row.authors.records, row.column, row.published): row.authors.verdict.name
        for row in found
        if row.authors is not None and row.published is not None and row.verified
    }
    return list(told.values())


def scorecard(profile: str, store: Store, tables: Mapping[str, str]) -> str:
    """One table a paper: every item with the verdicts of its cells and of its claims.

    Args:
        profile: whose records are read, such as "best".
        store: the records.
        tables: from :func:`anchors`; an item without one links to its chapter.
    """
    parts = []
    for paper, about in papers().items():
        parts += [
            f"### {about.title}",
            "",
            "| item | what | verdicts (numbers) | claims that hold |",
            "|---|---|---|---|",
        ]
        for item in items():
            if item.paper == paper:
                link = f"#table-{tables[item.id]}" if item.id in tables else f"{about.chapter}.ipynb"
                parts.append(_scorecard_row(item, profile, store, link))
        parts.append("")
    return "\n".join(parts)


@dataclass(frozen=True)
class Standing:
    """What has become of the published numbers and of the claims of some items.

    Args:
        numbers: cells with a published number, by verdict.
        evidence: those that are measured, by grade.
        networks: folders of the networks behind verdicts that compare, seeds left out.
        own: measured cells of which the paper prints no number, and those of this book's own items.
        claims: claims of the papers, without checks of the code, by state and whether stand-ins carry them.
        released: numbers measured on the network that the authors released, by verdict.
    """

    numbers: Counter[str]
    evidence: Counter[str]
    networks: frozenset[str]
    own: int
    claims: Counter[tuple[str, bool]]
    released: Counter[str] = field(default_factory=Counter)

    @property
    def told(self) -> str:
        """Claims in words: those that stand-ins carry are told apart."""
        parts = []
        for stand_in in (False, True):
            found = [f"{self.claims[state, stand_in]} {word}" for state, word in STATES if self.claims[state, stand_in]]
            if found:
                parts.append(("on stand-ins " if stand_in else "") + ", ".join(found))
        return "; ".join(parts) or "none tested"


STATES = (("holds", "hold"), ("fails", "fail"), ("contradicted", "contradicted"))


def standing(chosen: Sequence[Item], profile: str, store: Store) -> Standing:
    """What has become of these items' numbers and claims."""
    found = [row for item in chosen for row in rows(item.id, profile, store)]
    printed = [row for row in found if row.published is not None]
    theirs = [item for item in chosen if item.source != OWN]
    stated = [s for item in theirs for s in statements(item.id, profile, store) if not s.check]
    return Standing(
        numbers=Counter(row.verdict.name for row in printed),
        evidence=Counter(row.evidence for row in printed if row.evidence is not None),
        networks=frozenset(networks_of(row for row in printed if row.verdict.compares)),
        own=sum(row.published is None and bool(row.values) for row in found),
        claims=Counter((s.state, s.evidence == "stand-in") for s in stated),
        released=Counter(_verdicts(printed)),
    )


def _top(*papers_: str) -> list[Item]:
    return [item for item in items() if not item.parent and item.paper in papers_]


def fates(profile: str, store: Store) -> str:
    """A line a paper: its idea, the fate of its headline claims in the literature and in this book, and what this
    book's networks say of all its numbers and claims.
    """
    heads = ("paper", "the idea", "in the literature", "in this book", "its numbers here", "its claims here")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for paper, about in papers().items():
        if not about.idea:
            continue
        headlines = [line for line in aged() if line.paper == paper]
        count = Counter(line.fate for line in headlines)
        here = Counter(in_this_book(line, profile, store) for line in headlines)
        words = " ".join(_badge(fate, count[fate], STYLES[fate]) for fate in FATES if count[fate])
        found = standing(_top(paper), profile, store)
        lines.append(
            f"| {{cite:t}}`{paper}`, [chapter]({about.chapter}.ipynb) | {about.idea} | {words} "
            f"| {'; '.join(f'{count} {state}' for state, count in here.items())} "
            f"| {_numbers(found)} | {found.told} |"
        )
    return "\n".join([*lines, ""])


def _numbers(found: Standing) -> str:
    """Verdicts that compare as badges, those on authors' networks first; then how many only stand-ins speak of, or
    nothing does.
    """
    badges = [_badge(name, found.numbers[name]) for name in COMPARING if found.numbers[name]]
    judged = f"{' '.join(badges)} from {_counted(len(found.networks), 'network')}; " if badges else ""
    theirs = " ".join(_badge(name, found.released[name]) for name in NAMES if found.released[name])
    judged = f"authors' network: {theirs}; {judged}" if theirs else judged
    counts = {"on stand-ins alone": found.evidence["stand-in"], "not run": found.numbers["not run"]}
    plain = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    return f"{judged}of {found.numbers.total():,}: {plain or 'all told'}"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def summary(profile: str, store: Store) -> str:
    """A paragraph: published numbers confirmed on the authors' own networks, then by verdict on ours, the networks
    behind them, claims, and this book's own numbers.
    """
    of_papers = [paper for paper, about in papers().items() if about.idea]
    ours = [paper for paper in papers() if paper not in of_papers]
    found, own = standing(_top(*of_papers), profile, store), standing(_top(*ours), profile, store)
    total, numbers = found.numbers.total(), found.numbers
    decided = ", ".join(f"{numbers[name]:,} {name}" for name in COMPARING if numbers[name])
    plain = ", ".join(f"{numbers[name]:,} {name}" for name in NAMES if name not in COMPARING and numbers[name])
    measured = sum(found.evidence.values())
    printed = [item for item in items() if not item.parent and item.source != OWN]
    started = sum(any(row.values for row in rows(item.id, profile, store)) for item in printed)
    return (
        f"{_released(found.released)}"
        f"Of {len(printed)} tables, figures and lists, this edition measures {started} in whole or in part. "
        f"Of {total:,} numbers that the five papers, their defences' leaderboards and a notebook of the authors print, "
        f"{measured:,} are measured here, {found.evidence['stand-in']:,} of them on stand-ins that judge nothing. "
        "A number that two tables print counts in both. "
        f"Compared with the paper, by {_counted(len(found.networks), 'network')} whose seeds are counted once: "
        f"{decided or 'none'}. "
        f"The others: {plain}. Of the papers' claims: {found.told}. "
        f"This book measures {found.own + own.own:,} further numbers, of which no paper prints a value.\n"
    )


def _released(verdicts: Counter[str]) -> str:
    """The sentence on the networks that the authors released; "" where none is measured."""
    if not verdicts:
        return ""
    told = {name: "differ" if name == "differs" and count > 1 else name for name, count in verdicts.items()}
    others = ", ".join(f"{verdicts[name]:,} {told[name]}" for name in sorted(verdicts) if name != "confirmed")
    return (
        f"**On the networks that the authors released, {verdicts['confirmed']:,} of {verdicts.total():,} published "
        f"numbers are confirmed** by this book's code{f' ({others})' if others else ''}. "
    )


def drawn(profile: str, store: Store) -> list[Row]:
    """Measured rows with a checked published percentage, on our networks and on the authors', for the front page's
    picture: weakest evidence first.
    """
    of_papers = [paper for paper, about in papers().items() if about.idea]
    found = (row for item in _top(*of_papers) for row in with_authors(rows(item.id, profile, store)))
    kept = [row for row in found if row.published is not None and row.verified and row.evidence and row.unit == "%"]
    return sorted(kept, key=lambda row: -EVERY.index(row.evidence))
