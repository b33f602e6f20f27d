"""Attacks that broke defensive distillation: cells of arXiv 1607.04311 and 1608.04644, and of this book's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...catalogue.base import OWN_NOTE, Cell, cell, published_of
from ...spec.evaluation import Evaluation
from .networks import (
    BROKEN,
    DATASETS,
    LABELS,
    NONE,
    PAPER,
    attempts,
    fgsm,
    modified,
    nearest,
    network,
    on_logits,
    outputs,
    undone,
    worst_case,
)

_OPEN = {
    "mnist": "padding and initial weights are not printed; here no padding, Glorot uniform weights",
    "cifar10": "padding, initial weights and preprocessing are not printed; here no padding, Glorot uniform weights, "
    "and [0, 1] mapped onto the printed range [-2.22, 2.62]",
}
_DOUBTFUL = f"{PAPER}-245"
_MISPRINT = "0.002 is likely a misprint: the same table has 0.023 for the average and 0.038 for the worst of nine"


def panel_cell(
    item: str, dataset: str, row: str, column: str, evaluations: tuple[Evaluation, ...], metric: str, **more: Any
) -> Cell:
    """A cell of one dataset's panel; no setting of the paper is fully known, and the note says why."""
    return cell(f"{PAPER}/{item}", row, column, evaluations, metric, unknown=_OPEN[dataset], **more)


def cells() -> Iterator[Cell]:
    """Every attack that broke the defence, on both datasets."""
    numbers = published_of(f"{PAPER}/breaking")
    far = "prints the mean over points and the share broken; ours goes to the nearest class, theirs to the best of nine"
    for paper, dataset in DATASETS.items():
        item, short = f"breaking/{paper.lower()}", paper.removesuffix("10")
        for label in LABELS:
            for column, evaluation, metric in (
                ("JSMA on softmax outputs", attempts(network(dataset, label)), "success"),
                ("JSMA on logits", on_logits(dataset, label), "success"),
                ("JSMA on logits / T", undone(dataset, label), "success"),
                ("accuracy under FGSM", fgsm(dataset, label), "accuracy"),
                ("same decision at T and at 1", outputs(dataset, label), "same_decision"),
            ):
                yield panel_cell(item, dataset, label, column, (evaluation,), metric, note=OWN_NOTE)
        for label in BROKEN:
            for norm, name in (("l2", "L2"), ("linf", "Linf")):
                run = (nearest(dataset, label, norm),)
                number = (
                    numbers[f"Our {name}; Best Case {short}", "mean distance / success %"] if label == "T=100" else None
                )
                yield panel_cell(
                    item,
                    dataset,
                    label,
                    f"C&W {norm}: mean distance",
                    run,
                    "mean_distance",
                    number=number,
                    unit=norm,
                    scale=1.0,
                    note=f"{far}; {_MISPRINT}" if number and number.id == _DOUBTFUL else far if number else OWN_NOTE,
                )
                yield panel_cell(item, dataset, label, f"C&W {norm}: points broken", run, "broken", note=OWN_NOTE)
            yield panel_cell(
                item,
                dataset,
                label,
                "accuracy in the worst case",
                (worst_case(dataset, label),),
                "accuracy",
                note=OWN_NOTE,
            )
    for label, which in ((NONE, "undistilled"), ("T=100", "distilled T=100")):
        number = numbers[f"MNIST logits L1 mean (std), {which}", "value"]
        yield panel_cell(
            "breaking/mnist",
            "mnist",
            label,
            "mean size of a logit",
            (outputs("mnist", label),),
            "logit_size",
            number=number,
            unit="logits",
            scale=1.0,
        )
        number = numbers[f"MNIST {which}, modified JSMA", "targeted success / mean pixels changed"]
        for column, metric, unit, scale in (
            ("JSMA on logits / T, one feature at a time", "success", "%", 100.0),
            ("JSMA on logits / T, one feature at a time: features changed", "features", "features", 1.0),
        ):
            yield panel_cell(
                "breaking/mnist",
                "mnist",
                label,
                column,
                (modified(label),),
                metric,
                unit=unit,
                scale=scale,
                number=number if metric == "success" else None,
            )
    for label, row, column in (
        (NONE, "MNIST / CIFAR10 undistilled re-implementation", "test accuracy"),
        ("T=100", "MNIST accuracy", "baseline / distilled"),
    ):
        yield panel_cell(
            "breaking/mnist",
            "mnist",
            label,
            column,
            (outputs("mnist", label),),
            "accuracy",
            number=numbers[row, column],
        )
    for number in numbers.values():
        if "Our L0" in number.row or "Average" in number.row or "Worst" in number.row or "overfit" in number.row:
            panel = "mnist" if "MNIST" in number.row else "cifar10"
            yield Cell(
                item=f"{PAPER}/breaking/{panel}",
                row=number.row,
                column=number.column,
                published=number,
                unavailable="Carlini and Wagner's own attacks towards nine classes, on their own networks",
            )
