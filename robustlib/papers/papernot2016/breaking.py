"""Attacks that broke defensive distillation: cells of arXiv 1607.04311 and 1608.04644, and of this book's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ...catalogue.base import OWN_NOTE, Cell, Published, cell, published_of
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
    item: str, at: Published | tuple[str, str], runs: Evaluation | Sequence[Evaluation], metric: str = "", **more: Any
) -> Cell:
    """A cell of one dataset's panel; no setting of the paper is fully known, and the note says why."""
    first = runs if isinstance(runs, Evaluation) else runs[0]
    if metric.startswith("rho"):
        more["unit"] = "% of features"
    return cell(f"{PAPER}/{item}", at, runs, metric or "accuracy", unknown=_OPEN[first.subject.dataset], **more)


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
                yield panel_cell(item, (label, column), evaluation, metric, note=OWN_NOTE)
        for label in BROKEN:
            for norm, name in (("l2", "L2"), ("linf", "Linf")):
                run = (nearest(dataset, label, norm),)
                printed = (f"Our {name}; Best Case {short}", "mean distance / success %")
                number = numbers[printed] if label == "T=100" else None
                note = f"{far}; {_MISPRINT}" if number and number.id == _DOUBTFUL else far if number else OWN_NOTE
                yield panel_cell(
                    item, (label, f"C&W {norm}: mean distance"), run, "mean_distance", number=number, note=note
                )
                yield panel_cell(item, (label, f"C&W {norm}: points broken"), run, "broken", note=OWN_NOTE)
            yield panel_cell(item, (label, "accuracy in the worst case"), worst_case(dataset, label), note=OWN_NOTE)
    for label, which in ((NONE, "undistilled"), ("T=100", "distilled T=100")):
        number = numbers[f"MNIST logits L1 mean (std), {which}", "value"]
        yield panel_cell(
            "breaking/mnist", (label, "mean size of a logit"), outputs("mnist", label), "logit_size", number=number
        )
        number = numbers[f"MNIST {which}, modified JSMA", "targeted success / mean pixels changed"]
        column = "JSMA on logits / T, one feature at a time"
        yield panel_cell("breaking/mnist", (label, column), modified(label), "success", number=number)
        yield panel_cell("breaking/mnist", (label, f"{column}: features changed"), modified(label), "features")
    for label, row, column in (
        (NONE, "MNIST / CIFAR10 undistilled re-implementation", "test accuracy"),
        ("T=100", "MNIST accuracy", "baseline / distilled"),
    ):
        yield panel_cell("breaking/mnist", (label, column), outputs("mnist", label), number=numbers[row, column])
    for number in numbers.values():
        if "Our L0" in number.row or "Average" in number.row or "Worst" in number.row or "overfit" in number.row:
            panel = "mnist" if "MNIST" in number.row else "cifar10"
            why = "Carlini and Wagner's own attacks towards nine classes, on their own networks"
            yield cell(f"{PAPER}/breaking/{panel}", number, (), unavailable=why)
