"""Papernot et al. 2016, defensive distillation: cells of its tables and figures.

Source: arXiv 1511.04508v2. Settings that the paper leaves open are named in each cell's note.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...attacks.suite import Clean
from ...catalogue.base import OWN_NOTE, Cell, Published, cell, published, published_of
from ...evaluate.accuracy import Accuracy
from ...evaluate.weights import Recipe
from ...spec.evaluation import Evaluation
from . import breaking
from .breaking import panel_cell
from .networks import (
    DATASETS,
    LABELS,
    LEGITIMATE,
    NONE,
    PAPER,
    SEEDS,
    SHOWN,
    amplitudes,
    attempts,
    baseline,
    minimal,
    network,
    outputs,
    teacher,
    temperature_of,
    variation,
)


def _extra(identity: str) -> Published:
    """A number of the text, which belongs to no table or figure."""
    return next(number for number in published() if number.id == f"{PAPER}-{identity}")


def _settings() -> Iterator[Cell]:
    """Tables I and II, read off our networks."""
    for table in ("table-1", "table-2"):
        for number in published_of(f"{PAPER}/{table}").values():
            dataset, name = DATASETS[number.row], number.column
            absent = "the rate does not decay on MNIST" if number.text == "-" else ""
            yield cell(
                f"{PAPER}/{table}/{number.row.lower()}",
                (number.row, name),
                () if absent else Evaluation(baseline(dataset), Recipe()),
                name,
                number=number,
                unit="",
                unavailable=absent,
                note="ours: channels, units or side of the pool" if table == "table-1" else "",
            )


def _pictures() -> Iterator[Cell]:
    """Figures 1 to 6, drawn from our networks; their cells name these, with their accuracy or the attack's success."""
    for paper, dataset in DATASETS.items():
        plain, panel = baseline(dataset), f"/{paper.lower()}"
        yield panel_cell(
            f"class-samples{panel}",
            (paper, "clean accuracy of the undistilled network"),
            Evaluation(plain, Accuracy(Clean())),
        )
        yield panel_cell(f"adversarial-examples{panel}", (NONE, "attempts that succeed"), attempts(plain), "success")
        place = (NONE, "samples shown that succeed")
        yield panel_cell(f"adversarial-examples{panel}", place, SHOWN[dataset], "success")
        for part, run in LEGITIMATE[dataset].items():
            yield panel_cell(f"class-samples{panel}", (f"{paper}, {part}", "images shown"), run, "kept", unit="")
    for label in (NONE, "T=100"):
        yield panel_cell("network-overview", (label, "mean size of a logit"), outputs("mnist", label), "logit_size")
        yield panel_cell("hardness", (label, "robustness rho_adv"), minimal(network("mnist", label)), "rho")
        yield panel_cell(
            "crafting-framework", (label, "attempts that succeed"), attempts(network("mnist", label)), "success"
        )
        yield panel_cell(
            "distillation-overview",
            (label, "largest output at the training's T"),
            outputs("mnist", label),
            "max_output_at_T",
        )


_TEXT = {("MNIST", NONE): "079", ("MNIST", "T=20"): "080", ("CIFAR10", NONE): "081", ("CIFAR10", "T=20"): "082"}


def _success_rate() -> Iterator[Cell]:
    numbers = published_of(f"{PAPER}/success-rate")
    for paper, dataset in DATASETS.items():
        for label in LABELS:
            row = f"Distillation Temperature={label.removeprefix('T=').replace('no', 'No')}"
            runs = tuple(attempts(network(dataset, label, seed)) for seed in SEEDS)
            found = {label: numbers[row, f"{paper} Adversarial Samples Success Rate (%)"]}
            if text := _TEXT.get((paper, label)):
                found[f"{label}, text of section V.B"] = _extra(text)
            for row, number in found.items():
                item = f"success-rate/{paper.lower()}"
                yield panel_cell(item, (row, "attempts that succeed"), runs, "success", number=number)


def _accuracy_variation() -> Iterator[Cell]:
    numbers = published_of(f"{PAPER}/accuracy-variation")
    plain = {"MNIST": _extra("030"), "CIFAR10": _extra("031")}
    for paper, dataset in DATASETS.items():
        item = f"accuracy-variation/{paper.lower()}"
        runs = tuple(Evaluation(baseline(dataset, seed), Accuracy(Clean())) for seed in SEEDS)
        yield panel_cell(item, (NONE, "accuracy"), runs, number=plain[paper])
        for label in LABELS[1:]:
            runs = tuple(variation(dataset, label, seed) for seed in SEEDS)
            yield panel_cell(
                item,
                (label, "accuracy variation"),
                runs,
                "variation",
                number=numbers[f"{paper} {label}", "accuracy variation"],
                spread=True,
            )
            text = {("MNIST", "T=20"): "075", ("CIFAR10", "T=20"): "076"}.get((paper, label))
            # Of the records of the variation, so that both are about the same networks.
            yield panel_cell(item, (label, "accuracy"), runs, number=_extra(text) if text else None, spread=True)
            teachers = (teacher(dataset, temperature_of(label), seed) for seed in SEEDS)
            first = [Evaluation(one, Accuracy(Clean())) for one in teachers]
            yield panel_cell(item, (label, "accuracy of the teacher"), first)


def _gradients() -> Iterator[Cell]:
    for number in published_of(f"{PAPER}/gradient-amplitudes").values():
        label, _, borders = number.row.removeprefix("CIFAR10 ").partition("; bin ")
        low, high = (float(border) for border in borders.split(" - "))
        yield panel_cell("gradient-amplitudes", number, amplitudes("cifar10", label), f"share {low:g} - {high:g}")
    for paper, dataset in DATASETS.items():
        for label in LABELS:
            for column, metric in (
                ("points whose float32 derivatives are all exactly zero", "zero_float32"),
                ("median amplitude", "median_log10"),
            ):
                yield panel_cell(
                    "gradient-amplitudes",
                    (f"{paper} {label}", column),
                    amplitudes(dataset, label),
                    metric,
                    note=OWN_NOTE,
                )


_CAP = "points that need more than 112 features, or are never broken, count as 112"


def _robustness() -> Iterator[Cell]:
    numbers = published_of(f"{PAPER}/robustness")
    # The text repeats two points of the figure, and gives others in its summary.
    text = {
        ("MNIST", "T=20"): [("section V.D", "033")],
        ("MNIST", "T=40"): [("summary on page 10", "083")],
        ("CIFAR10", "T=50"): [("section V.D", "035"), ("summary on page 10", "084")],
    }
    for paper, dataset in DATASETS.items():
        item = f"robustness/{paper.lower()}"
        for label in LABELS:
            run = (minimal(network(dataset, label)),)
            rows = {"robustness rho_adv": numbers.get((f"{paper} {label}", "robustness rho_adv"))}
            rows |= {f"robustness rho_adv, {where}": _extra(n) for where, n in text.get((paper, label), ())}
            for column, number in rows.items():
                yield panel_cell(item, (label, column), run, "rho", number=number, note=_CAP)
            yield panel_cell(
                item,
                (label, "without the cap"),
                run,
                "rho_uncapped",
                note="points that are never broken count as all features",
            )
            yield panel_cell(
                item, (label, "points beyond 112 features or never broken"), run, "censored", note=OWN_NOTE
            )


def _confidence() -> Iterator[Cell]:
    numbers = published_of(f"{PAPER}/confidence")
    text = {"T=1": "085", "T=20": "086", "T=40": "087"}
    for paper, dataset in DATASETS.items():
        for label in LABELS:
            run, row = (outputs(dataset, label),), f"{paper} {label}"
            printed = paper == "CIFAR10"
            number = numbers.get((label, "mean confidence C")) if printed else None
            yield panel_cell("confidence", (row, "mean confidence C"), run, "confidence", number=number)
            average = _extra(text[label]) if printed and label in text else None
            yield panel_cell(
                "confidence",
                (row, "largest output at the training's T"),
                run,
                "max_output_at_T",
                number=average,
                unit="",
            )


def _class_matrix() -> Iterator[Cell]:
    for label in (NONE, "T=100"):
        run = (attempts(network("mnist", label)),)
        yield panel_cell("class-matrix", (label, "attempts that succeed"), run, "success", note=OWN_NOTE)
        yield panel_cell("class-matrix", (label, "robustness rho_adv of these points"), run, "rho", note=OWN_NOTE)


def cells() -> list[Cell]:
    """Every cell of the paper that this edition knows how to measure, or can say why it does not."""
    return [
        *_settings(),
        *_pictures(),
        *_success_rate(),
        *_accuracy_variation(),
        *_gradients(),
        *_robustness(),
        *_confidence(),
        *_class_matrix(),
        *breaking.cells(),
    ]
