"""Madry et al. 2018: cells of the tables and figures on MNIST, in the paper's own protocol.

Source: arXiv 1706.06083v4 and the code of the authors' MNIST challenge; facts in ``book/ledger``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from ...attacks.suite import Attack, Clean, Fgsm
from ...catalogue.base import Cell, cell, published_of
from ...evaluate.losses import TrainingCurve
from ...spec.evaluation import Evaluation
from . import cifar as madry2018_cifar
from . import inside as madry2018_inside
from . import small
from .networks import (
    ATTACKS,
    CW,
    CW_PLUS,
    EACH_TARGET,
    OVER,
    PANELS,
    PAPER,
    PGD_40,
    PGD_100,
    PGD_100_RESTARTS,
    PGD_100_TRANSFER,
    SEEDS,
    accuracy,
    distances,
    maxima,
    network,
    source_of,
    sweep,
    trace,
)

_B_NOTE = "the paper does not say how source network B was trained; here naturally"
_TARGET_NOTE = (
    "the paper does not say how target classes were chosen; here each of the nine wrong ones, and a point counts as "
    "broken when any of them breaks it"
)
_DECISION_NOTE = (
    "settings of the decision boundary attack beyond its steps are not printed; here those of its reference "
    "implementation, with up to 25 directions a step"
)
_STARTS_NOTE = (
    "the paper does not say which of 20 starts of a transfer attack counts; here the one of highest loss on the source"
)
_KAPPA_NOTE = "kappa of the CW row is not printed; here 0"


# Method, steps, restarts and source as published.csv writes them; the attack; which network steers it.
_TABLE_1: tuple[tuple[str, str, str, str, Attack, str], ...] = (
    ("Natural", "-", "-", "-", Clean(), ""),
    ("FGSM", "-", "-", "A", Fgsm(), ""),
    ("PGD", "40", "1", "A", PGD_40, ""),
    ("PGD", "100", "1", "A", PGD_100, ""),
    ("PGD", "40", "20", "A", replace(PGD_40, restarts=20), ""),
    ("PGD", "100", "20", "A", PGD_100_RESTARTS, ""),
    ("Targeted", "40", "1", "A", EACH_TARGET, _TARGET_NOTE),
    ("CW", "40", "1", "A", CW, _KAPPA_NOTE),
    ("CW+", "40", "1", "A", CW_PLUS, ""),
    ("FGSM", "-", "-", "A'", Fgsm(), ""),
    ("PGD", "40", "1", "A'", PGD_40, ""),
    ("PGD", "100", "20", "A'", PGD_100_TRANSFER, _STARTS_NOTE),
    ("CW", "40", "1", "A'", CW, _KAPPA_NOTE),
    ("CW+", "40", "1", "A'", CW_PLUS, ""),
    ("FGSM", "-", "-", "B", Fgsm(), _B_NOTE),
    ("PGD", "40", "1", "B", PGD_40, _B_NOTE),
    ("CW+", "-", "-", "B", CW_PLUS, _B_NOTE + "; steps not printed, here 40"),
)
# Rows of this book's own, each behind the row of the paper that it varies: row, source, attack, note.
_BESIDE: dict[str, tuple[str, str, Attack, str]] = {
    "Targeted 40/1, source A": (
        "Targeted 40/1, one class, source A",
        "A",
        replace(PGD_40, targeted=True),
        "this book's own: towards one class alone, drawn uniformly among the wrong ones",
    ),
    "PGD 100/20, source A'": (
        "PGD 100/20, asking A, source A'",
        "A'",
        PGD_100_RESTARTS,
        "this book's own: after each start the target says whether it is broken, which a transfer attack does not know",
    ),
}


def _table_1() -> Iterator[Cell]:
    numbers = published_of(f"{PAPER}/table-1")
    for method, steps, restarts, letter, attack, note in _TABLE_1:
        label = f"{method} {steps}/{restarts}" if steps != "-" else method
        row = label if letter == "-" else f"{label}, source {letter}"
        yield cell(
            f"{PAPER}/table-1",
            (row, "Accuracy"),
            _each_seed(attack, letter),
            number=numbers[f"Method={method};Steps={steps};Restarts={restarts};Source={letter}", "Accuracy"],
            unknown=note,
        )
        if row in _BESIDE:
            ours, letter, attack, note = _BESIDE[row]
            yield cell(f"{PAPER}/table-1", (ours, "Accuracy"), _each_seed(attack, letter), note=note)


def _each_seed(attack: Attack, letter: str) -> tuple[Evaluation, ...]:
    """Accuracy of network A of each seed under an attack that is made on the named source."""
    return tuple(accuracy(network(seed=seed), attack, source=source_of(letter, seed)) for seed in SEEDS)


def _losses(item: str, make: Callable[[str], Evaluation]) -> list[Cell]:
    return [
        cell(item, (f"{regime} training", "mean final loss"), make(regime), "final_loss")
        for regime in ("natural", "PGD")
    ]


def _capacity() -> Iterator[Cell]:
    item = f"{PAPER}/capacity/mnist"
    for number in published_of(f"{PAPER}/capacity").values():
        panel, scale = number.where["panel"], int(number.where["capacity scale"])
        metric, seeds, unavailable, note = "accuracy", SEEDS[:3], "", ""
        evaluations: tuple[Evaluation, ...] = ()
        if number.column.startswith("error bar"):
            unavailable = "the paper does not say what its error bars are"
        elif panel.startswith("(d)"):
            named = number.column.removeprefix("cross-entropy, ").removesuffix(" training")
            regime = named.replace("Natural", "natural")
            metric, note = "final_loss", OVER
            evaluations = tuple(Evaluation(network(regime, scale=scale, seed=seed), TrainingCurve()) for seed in seeds)
        else:
            regime = next(name for name, title in PANELS.items() if title == panel)
            attack = ATTACKS[number.column.removeprefix("accuracy on ").removesuffix(" inputs")]
            evaluations = tuple(accuracy(network(regime, scale=scale, seed=seed), attack) for seed in seeds)
        yield cell(item, number, evaluations, metric, unavailable=unavailable, unknown=note)


def _accuracy_vs_eps() -> Iterator[Cell]:
    for number in published_of(f"{PAPER}/accuracy-vs-eps").values():
        panel, eps = number.where["panel"], number.where["eps"]
        if "MNIST" not in panel:
            continue
        norm = "linf" if "linf" in panel else "l2"
        regime = "natural" if number.column.endswith("standard") else "PGD"
        decision = number.column.startswith("DBA")
        yield cell(
            f"{PAPER}/accuracy-vs-eps/mnist",
            number,
            distances(regime, norm) if decision else sweep(regime, norm, eps),
            f"accuracy@{eps:g}" if decision else "accuracy",
            unknown=_DECISION_NOTE if decision else "",
        )


def cells() -> list[Cell]:
    """Every cell of the paper that this edition knows how to measure, or can say why it does not."""
    curve = Evaluation(network(), TrainingCurve())
    return [
        *_table_1(),
        *_losses(f"{PAPER}/loss-during-pgd/mnist", trace),
        *_losses(f"{PAPER}/more-loss-curves/mnist", trace),
        *_losses(f"{PAPER}/local-maxima/mnist", maxima),
        *_capacity(),
        *_accuracy_vs_eps(),
        cell(f"{PAPER}/training-loss/mnist", ("PGD training", "loss, last 5 % of training"), curve, "final_loss"),
        *madry2018_cifar.cells(),
        *madry2018_inside.cells(),
        *small.cells(),
    ]
