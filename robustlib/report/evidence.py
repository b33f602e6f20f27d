"""Grades of evidence: how near the measurement behind a record comes to the paper's own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, get_args

from ..registry import class_of
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

_NETWORK = r"(subject|measurement\.(source|baseline|sources\[\d+\]))(\.(parents|earlier)\[\d+\])*"
_RECIPE = re.compile(rf"{_NETWORK}\.(schedule\.\w+|model\.init|parents|defence\.(eps_warmup|ramp|start))")
"""Fields that say how a network is trained, and neither what it is nor what is measured on it."""


def is_recipe(deviation: str) -> bool:
    """True where a deviation such as ``"subject.schedule.steps: 900 -> 300"`` is one of the training recipe alone."""
    return _RECIPE.fullmatch(deviation.partition(":")[0]) is not None


def grade(records: Iterable[Record]) -> Evidence:
    """The weakest grade among records."""
    found = [_grade_of(record) for record in records]
    return max(found, key=GRADES.index)


def _grade_of(record: Record) -> Evidence:
    if getattr(class_of(record.training["defence"]["type"]), "released", False):
        return "stand-in" if record.deviations else "authors' network"
    if not record.deviations:
        return "paper's protocol"
    return "other recipe" if all(map(is_recipe, record.deviations)) else "stand-in"
