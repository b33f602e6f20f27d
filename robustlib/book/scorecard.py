"""Tables of the front page: the fate of each paper's headline claims, and the verdicts of every table and figure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..catalogue.base import OWN, Item, items, papers
from ..experiments.store import Store
from ..papers.comparison.aged import FATES, aged
from ..report.join import item_verdicts, statements

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
    found = statements(item.id, profile, store)
    if not found:
        return ""
    holding = sum(s.state == "holds" for s in found)
    run = sum(s.state != "not run" for s in found)
    return f"{holding} of {run}" if run else f"{len(found)} not run"


def _badge(name: str, count: int, style: str = "") -> str:
    # A space that does not break keeps the count beside its word.
    return f"[{name}]{{.verdict .verdict-{(style or name).replace(' ', '-')}}}\u00a0{count}"


def _scorecard_row(item: Item, profile: str, store: Store, link: str) -> str:
    tally = item_verdicts(item, profile, store)
    words = " ".join(_badge(name, count) for name, count in sorted(tally.items()))
    number = "↳" if item.parent else "own" if item.source == OWN else item.number.replace("-", "–")
    return f"| {number} | [{item.title}]({link}) | {words} | {_claims(item, profile, store)} |"


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


def fates(profile: str, store: Store) -> str:
    """A line a paper: its idea, the fates of its headline claims, and the share of it that is measured."""
    lines = ["| paper | the idea | headline claims, today | claims of figures | numbers |", "|---|---|---|---|---|"]
    for paper, about in papers().items():
        if not about.idea:
            continue
        count = Counter(line.fate for line in aged() if line.paper == paper)
        words = " ".join(_badge(fate, count[fate], STYLES[fate]) for fate in FATES if count[fate])
        own = [item for item in items() if item.paper == paper and not item.parent]
        states = _states(own, profile, store)
        tally = _tally(own, profile, store)
        measured = sum(tally.values()) - tally["not run"]
        lines.append(
            f"| {{cite:t}}`{paper}`, [chapter]({about.chapter}.ipynb) | {about.idea} | {words} "
            f"| {states['holds']} of {states['holds'] + states['fails']} hold "
            f"| {measured:,} of {sum(tally.values()):,} measured |"
        )
    return "\n".join([*lines, ""])


def _states(own: Sequence[Item], profile: str, store: Store) -> Counter[str]:
    return Counter(s.state for item in own for s in statements(item.id, profile, store))


def _tally(own: Sequence[Item], profile: str, store: Store) -> Counter[str]:
    return sum((Counter(item_verdicts(item, profile, store)) for item in own), Counter())


def summary(profile: str, store: Store) -> str:
    """Three sentences with the counts of measured items, verdicts and claims, from the records."""
    top = [item for item in items() if not item.parent]
    tallies = {item: Counter(item_verdicts(item, profile, store)) for item in top}
    printed = [tally for item, tally in tallies.items() if item.source != OWN]
    started = sum(bool(set(tally) - {"not run"}) for tally in printed)
    found = _states(top, profile, store)
    cells = ", ".join(f"{count} {name}" for name, count in sorted(sum(tallies.values(), Counter()).items()))
    return (
        f"Of {len(printed)} tables and figures, this edition measures {started} in whole or in part. "
        f"Their numbers: {cells}. Of {sum(found.values())} claims that the figures make, "
        f"{found['holds'] + found['fails']} were tested and {found['holds']} hold.\n"
    )
