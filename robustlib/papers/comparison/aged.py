"""Headline claims of the papers, then and now: lines of ``aged.csv``, with places for numbers as in the slides."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from ...catalogue.base import read_rows
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


@functools.cache
def aged() -> tuple[Aged, ...]:
    """Every claim, paper by paper."""
    return tuple(Aged(**row) for row in read_rows(PAPER, "aged.csv"))
