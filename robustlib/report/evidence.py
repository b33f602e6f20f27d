"""Grades of evidence: how near the measurement behind a record comes to the paper's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from ..experiments.profiles import profile
from ..spec.keys import is_recipe
from ..spec.records import Record

Evidence = Literal["authors' network", "paper's protocol", "other recipe", "stand-in"]
GRADES: tuple[Evidence, ...] = get_args(Evidence)
"""Strongest first."""
MEANING: dict[Evidence, str] = {
    "authors' network": "the network that the authors released, under our code: the paper's attack or certificate on "
    "its whole test set",
    "paper's protocol": "a network that we trained as the paper trained it, measured as the paper measured",
    "other recipe": "the paper's architecture, data, threat, attack and test set; another recipe of training",
    "stand-in": "a smaller network, other data, fewer points or a shortened attack: it shows a pattern and never "
    "judges a number",
}


def grade(records: Iterable[Record]) -> Evidence:
    """The weakest grade among records."""
    found = [_grade_of(record) for record in records]
    return max(found, key=GRADES.index)


def _grade_of(record: Record) -> Evidence:
    if profile(record.profile).suffix:
        return "stand-in"
    if not record.deviations:
        return "paper's protocol"
    return "other recipe" if all(map(is_recipe, record.deviations)) else "stand-in"
