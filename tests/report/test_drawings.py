"""What every figure of every paper keeps to: its records' profile at its foot, alt text, nothing without records."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from robustlib.catalogue.base import PACKAGE, papers
from robustlib.experiments.store import Store
from robustlib.papers.wong2018scaling.networks import COLOUR
from robustlib.report.plots import style
from robustlib.report.plots.brackets import every_bracket
from robustlib.report.plots.records import MISSING, Drawing
from tests.report.legible import drawn_figure, faults

Draw = Callable[..., Drawing]
ARGUMENTS: dict[str, list[dict[str, Any]]] = {
    "madry2018.figures.loss_during_pgd": [{}, {"examples": 5}],
    "madry2018.inside_figures.transfer": [{"angles": True}, {"angles": False}],
    "papernot2016.figures.adversarial_samples": [{"dataset": "mnist"}, {"dataset": "cifar10"}],
    "papernot2016.figures.class_samples": [{"dataset": "mnist"}, {"dataset": "cifar10"}],
    "wong2018scaling.figures.results": [{"item": "wong2018scaling/results"}],
    "wong2018scaling.figures.cascade_growth": [{"line": COLOUR}],
    "wong2018scaling.figures.groups": [{"names": dict.fromkeys(("MNIST", "CIFAR10", "HAR"), tuple("0123456789"))}],
    "zhang2019.figures.aged": [{"dataset": "mnist"}],
    "zhang2019.figures.adversarial_examples": [{"dataset": "mnist"}, {"dataset": "cifar10"}],
}
"""What figures take besides profile and store; a figure that is not here takes nothing else."""
UNDRAWN = {"papernot2016.maps.hardness"}
"""Figures whose stand-in records hold nothing to draw; they give the reason instead."""


def _found() -> Iterator[tuple[str, Callable[..., Drawing]]]:
    """Every public function of a paper's package that returns a drawing, by its address below ``papers``."""
    for paper in papers():
        package = importlib.import_module(f"{PACKAGE}.{paper}")
        for info in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{package.__name__}.{info.name}")
            for name, function in inspect.getmembers(module, inspect.isfunction):
                own = function.__module__ == module.__name__ and not name.startswith("_")
                if own and function.__annotations__.get("return") == "Drawing":
                    yield f"{paper}.{info.name}.{name}", function


FOUND = dict(_found())
FROM_RECORDS: dict[str, Draw] = {"every_bracket": every_bracket} | {
    f"{name}{f' {place}' if place else ''}": partial(function, **options)
    for name, function in FOUND.items()
    if "store" in inspect.signature(function).parameters
    for place, options in enumerate(ARGUMENTS.get(name, [{}]))
}
PUBLISHED = {n: function for n, function in FOUND.items() if not inspect.signature(function).parameters}


def _is_text(alt: str) -> bool:
    return len(alt) > 40 and alt.endswith(".") and "nan" not in alt.replace("nant", "") and "None" not in alt


def test_all_figures_are_covered() -> None:
    assert len(FOUND) > 40
    assert set(ARGUMENTS) <= set(FOUND)
    assert {name.split()[0] for name in FROM_RECORDS} | set(PUBLISHED) == {*FOUND, "every_bracket"}


@pytest.mark.parametrize("name", FROM_RECORDS)
def test_a_figure_names_its_records_at_its_foot_and_has_alt_text(name: str, committed: Store) -> None:
    drawing = FROM_RECORDS[name](profile="smoke", store=committed)
    if name in UNDRAWN:
        assert isinstance(drawing, str)
        assert drawing != MISSING
        return
    figure, alt = drawn_figure(drawing)
    evidence, _, networks = " ".join(figure.get_supxlabel().split()).partition("; networks: ")
    assert evidence == "evidence: stand-in (digits stand-in)"
    assert networks == "" or networks.split()[0] in {"DIGITS", "PLANE", "LENDER", "TOY"}
    assert figure.axes
    assert _is_text(alt), alt


@pytest.mark.parametrize("name", FROM_RECORDS)
def test_stand_in_records_never_reach_a_published_figure(name: str, committed: Store) -> None:
    figure, alt = drawn_figure(FROM_RECORDS[name](profile="best", store=committed))
    assert "digits stand-in" not in alt
    foot = " ".join(figure.get_supxlabel().split())
    assert foot.startswith("evidence: ")
    assert "digits" not in foot
    assert faults(figure) == []
    phone = style.narrowed(figure)
    assert phone is not None
    assert " ".join(phone.get_supxlabel().split()) == foot
    assert faults(phone) == []


def test_without_records_there_is_no_figure(tmp_path: Path) -> None:
    empty = Store(tmp_path)
    found = {name: draw(profile="best", store=empty) for name, draw in FROM_RECORDS.items()}
    assert found == dict.fromkeys(FROM_RECORDS, MISSING)


@pytest.mark.parametrize("name", PUBLISHED)
def test_figures_without_records_have_alt_text_and_no_profile(name: str) -> None:
    figure, alt = drawn_figure(PUBLISHED[name]())
    assert figure.get_supxlabel() == ""
    assert _is_text(alt), alt
