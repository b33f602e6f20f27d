"""Headline claims of the papers, then and now: lines of ``aged.csv``, with places for numbers as in the slides."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from ...catalogue.base import read_rows
from ...experiments.store import Store
from ...report.citations import PLACE, of_one_profile
from ...report.join import rows
from ...report.rows import Row
from .tables import PAPER

FATES = ("held", "held, then surpassed", "qualified", "broken")


@dataclass(frozen=True)
class Aged:
    """One claim, in our words; Markdown with places for numbers see :mod:`robustlib.report.citations`.

    Args:
        paper, claim: whose it is, and in which quantity.
        published, ours: the paper's number, and ours for the same quantity.
        strongest: the quantity under today's attacks.
        fate: one of :data:`FATES`.
        later: keys of the papers that changed it, separated by commas; "" for none.
        why: cause of the change.
    """

    paper: str
    claim: str
    published: str
    ours: str
    strongest: str
    fate: str
    later: str
    why: str

    @property
    def text(self) -> str:
        """All that has places for numbers."""
        return " ".join((self.claim, self.published, self.ours, self.strongest, self.why))


def in_this_book(line: Aged, profile: str, store: Store) -> str:
    """What this book's records say of a claim's number: its verdict, or why they judge nothing.

    The verdict is on the authors' network where it is measured, and otherwise on the number that the line shows. The
    claim's fate in the literature is another matter, and rests on other measurements.
    """
    found = []
    shown = of_one_profile(line.ours, profile, store)
    for kind, address in PLACE.findall(line.ours):
        item, _, place = address.partition(":")
        label, column = place.split("|")[:2]
        if kind in ("ours", "row"):
            best, ours = (
                next(row for row in rows(item, one, store) if (row.label, row.column) == (label, column))
                for one in (profile, shown)
            )
            found.append(best if best.authors is not None and best.authors.verdict.compares else ours)
    return ", ".join(dict.fromkeys(map(_said, found)))


def _said(row: Row) -> str:
    """A row's verdict on the authors' network, else on ours, else that there is none."""
    if row.authors is not None and row.authors.verdict.compares:
        return f"{row.authors.verdict.name} on the authors' network"
    return "stand-in only" if row.evidence == "stand-in" else row.verdict.name


@functools.cache
def aged() -> tuple[Aged, ...]:
    """Every claim, paper by paper."""
    return tuple(Aged(**row) for row in read_rows(PAPER, "aged.csv"))
