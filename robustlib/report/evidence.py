"""Grades of evidence: how near the measurement behind a record comes to the paper's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from ..experiments.profiles import profile
from ..registry import class_of
from ..spec.keys import is_recipe
from ..spec.records import Record

Evidence = Literal["authors' network", "paper's protocol", "as specified", "other recipe", "stand-in"]
EVERY: tuple[Evidence, ...] = get_args(Evidence)
"""Strongest first, with what an evaluation of this book's own is called where nothing of it is reduced."""
AS_SPECIFIED: Evidence = "as specified"
GRADES: tuple[Evidence, ...] = tuple(name for name in EVERY if name != AS_SPECIFIED)
"""Grades of what a paper measures, strongest first."""
INVENTED = ("plane", "lender")
"""Data sets that this book made up."""
MEANING: dict[Evidence, str] = {
    "authors' network": "the network that the authors released, under our code: the paper's attack or certificate on "
    "its whole test set",
    "paper's protocol": "a network that we trained as the paper trained it, measured as the paper measured",
    "as specified": "an experiment of this book's own, or on points of its own, run whole",
    "other recipe": "the paper's architecture, data, threat, attack and test set; another recipe of training",
    "stand-in": "a smaller network, other data, fewer points or a shortened attack: it shows a pattern and never "
    "judges a number",
}


def grade(records: Iterable[Record], *, own: bool = False) -> Evidence:
    """The weakest grade among records.

    Args:
        records: at least one.
        own: the evaluation is this book's own, so that no paper's protocol is followed in it.
    """
    found = list(records)
    weakest = max(map(_grade_of, found), key=GRADES.index)
    made_up = own or any(record.dataset["name"] in INVENTED for record in found)
    return AS_SPECIFIED if made_up and weakest == "paper's protocol" else weakest


def _grade_of(record: Record) -> Evidence:
    if profile(record.profile).suffix:
        return "stand-in"
    if getattr(class_of(record.training["defence"]["type"]), "released", False):
        return "stand-in" if record.deviations else "authors' network"
    if not record.deviations:
        return "paper's protocol"
    return "other recipe" if all(map(is_recipe, record.deviations)) else "stand-in"
