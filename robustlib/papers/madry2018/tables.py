"""Madry et al. 2018: what each table and figure needs, in the paper's own protocol; here those on MNIST.

Source: arXiv 1706.06083v4 and the code of the authors' MNIST challenge; facts in ``book/ledger``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...attacks.suite import Attack, Clean, Fgsm
from ...catalogue.base import Cell, Predicate, published_of
from ...evaluate.losses import TrainingCurve
from ...spec.evaluation import Evaluation
from ...spec.records import Record
from . import cifar as madry2018_cifar
from . import inside as madry2018_inside
from .networks import (
    ATTACKS,
    CW,
    CW_PLUS,
    OVER,
    PANELS,
    PGD_40,
    PGD_100,
    PGD_100_RESTARTS,
    SCALES,
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
_TARGET_NOTE = "the paper does not say how target classes were chosen; here uniformly among the wrong ones"
_KAPPA_NOTE = "kappa of the CW row is not printed; here 0"


# Method, steps, restarts and source as published.csv writes them; the attack; which network steers it.
_TABLE_1: tuple[tuple[str, str, str, str, Attack, str], ...] = (
    ("Natural", "-", "-", "-", Clean(), ""),
    ("FGSM", "-", "-", "A", Fgsm(), ""),
    ("PGD", "40", "1", "A", PGD_40, ""),
    ("PGD", "100", "1", "A", PGD_100, ""),
    ("PGD", "40", "20", "A", replace(PGD_40, restarts=20), ""),
    ("PGD", "100", "20", "A", PGD_100_RESTARTS, ""),
    ("Targeted", "40", "1", "A", replace(PGD_40, targeted=True), _TARGET_NOTE),
    ("CW", "40", "1", "A", CW, _KAPPA_NOTE),
    ("CW+", "40", "1", "A", CW_PLUS, ""),
    ("FGSM", "-", "-", "A'", Fgsm(), ""),
    ("PGD", "40", "1", "A'", PGD_40, ""),
    ("PGD", "100", "20", "A'", PGD_100_RESTARTS, ""),
    ("CW", "40", "1", "A'", CW, _KAPPA_NOTE),
    ("CW+", "40", "1", "A'", CW_PLUS, ""),
    ("FGSM", "-", "-", "B", Fgsm(), _B_NOTE),
    ("PGD", "40", "1", "B", PGD_40, _B_NOTE),
    ("CW+", "-", "-", "B", CW_PLUS, _B_NOTE + "; steps not printed, here 40"),
)


def _table_1() -> list[Cell]:
    cells, numbers = [], published_of("madry2018/table-1")
    for method, steps, restarts, letter, attack, note in _TABLE_1:
        label = f"{method} {steps}/{restarts}" if steps != "-" else method
        cells.append(
            Cell(
                item="madry2018/table-1",
                row=label if letter == "-" else f"{label}, source {letter}",
                column="Accuracy",
                published=numbers[f"Method={method};Steps={steps};Restarts={restarts};Source={letter}", "Accuracy"],
                evaluations=tuple(
                    accuracy(network(seed=seed), attack, source=source_of(letter, seed)) for seed in SEEDS
                ),
                protocol_known=not note,
                note=note,
            )
        )
    return cells


def _losses(item: str, kind: str) -> list[Cell]:
    make = trace if kind == "trace" else maxima
    return [
        Cell(
            item=item,
            row=f"{regime} training",
            column="mean final loss",
            evaluations=(make(regime),),
            metric="final_loss",
            scale=1.0,
            unit="nats",
        )
        for regime in ("natural", "PGD")
    ]


def _capacity() -> list[Cell]:
    item, cells = "madry2018/capacity/mnist", []
    for number in published_of("madry2018/capacity").values():
        panel, _, scale = number.row.partition("; capacity scale ")
        unit, factor, metric, seeds, unavailable, note = "%", 100.0, "accuracy", SEEDS[:3], "", ""
        evaluations: tuple[Evaluation, ...] = ()
        if number.column.startswith("error bar"):
            unavailable = "the paper does not say what its error bars are"
        elif panel.startswith("(d)"):
            named = number.column.removeprefix("cross-entropy, ").removesuffix(" training")
            regime = named.replace("Natural", "natural")
            unit, factor, metric, note = "nats", 1.0, "final_loss", OVER
            evaluations = tuple(
                Evaluation(network(regime, scale=int(scale), seed=seed), TrainingCurve()) for seed in seeds
            )
        else:
            regime = next(name for name, title in PANELS.items() if title == panel)
            attack = ATTACKS[number.column.removeprefix("accuracy on ").removesuffix(" inputs")]
            evaluations = tuple(accuracy(network(regime, scale=int(scale), seed=seed), attack) for seed in seeds)
        cells.append(
            Cell(
                item=item,
                row=number.row,
                column=number.column,
                published=number,
                evaluations=evaluations,
                metric=metric,
                scale=factor,
                unit=unit,
                unavailable=unavailable,
                protocol_known=not note,
                note=note,
            )
        )
    return cells


def _accuracy_vs_eps() -> list[Cell]:
    cells = []
    for number in published_of("madry2018/accuracy-vs-eps").values():
        panel, _, eps_text = number.row.partition("; eps=")
        if "MNIST" not in panel:
            continue
        norm, eps = ("linf" if "linf" in panel else "l2"), float(eps_text)
        regime = "natural" if number.column.endswith("standard") else "PGD"
        decision = number.column.startswith("DBA")
        cells.append(
            Cell(
                item="madry2018/accuracy-vs-eps/mnist",
                row=number.row,
                column=number.column,
                published=number,
                evaluations=(distances(regime, norm) if decision else sweep(regime, norm, eps),),
                metric=f"accuracy@{eps:g}" if decision else "accuracy",
                protocol_known=not decision,
                note="settings of the decision boundary attack beyond its steps are not printed" if decision else "",
            )
        )
    return cells


def _training_loss() -> list[Cell]:
    return [
        Cell(
            item="madry2018/training-loss/mnist",
            row="PGD training",
            column="loss, last 5 % of training",
            evaluations=(Evaluation(network(), TrainingCurve()),),
            metric="final_loss",
            scale=1.0,
            unit="nats",
        )
    ]


def cells() -> list[Cell]:
    """Every cell of the paper that this edition knows how to measure, or can say why it does not."""
    return [
        *_table_1(),
        *_losses("madry2018/loss-during-pgd/mnist", "trace"),
        *_losses("madry2018/more-loss-curves/mnist", "trace"),
        *_losses("madry2018/local-maxima/mnist", "maxima"),
        *_capacity(),
        *_accuracy_vs_eps(),
        *_training_loss(),
        *madry2018_cifar.cells(),
        *madry2018_inside.cells(),
    ]


# What the figures claim ---------------------------------------------------------------------------------------


def _value(record: Record, metric: str) -> float:
    return record.metrics[metric].value


def _below(records: Sequence[Record]) -> bool:
    natural, robust = records
    return _value(robust, "final_loss") < _value(natural, "final_loss")


def _plateau(records: Sequence[Record]) -> bool:
    """Each run gains over its first half at least four times what it gains over its second."""
    gains = []
    for record in records:
        for runs in record.series.values():
            curve = np.asarray(runs, float).mean(0)
            middle = len(curve) // 2
            gains.append((curve[middle] - curve[0]) >= 4 * (curve[-1] - curve[middle]))
    return bool(np.mean(gains) >= 0.8)


def _concentrated(records: Sequence[Record]) -> bool:
    """No start ends above twice the median of its example, on the robust network."""
    (robust,) = records
    ratios = [metric.value for name, metric in robust.metrics.items() if name.startswith("max_over_median")]
    return max(ratios) < 2


def _falls(records: Sequence[Record]) -> bool:
    loss = np.asarray(records[0].series["loss"], float)
    tenth = max(1, len(loss) // 10)
    return bool(loss[-tenth:].mean() < 0.5 * loss[:tenth].mean())


def predicates() -> list[Predicate]:
    """The statements that each figure makes, as tests over records."""
    pgd = {s: accuracy(network("PGD", scale=s), PGD_40) for s in SCALES}
    fgsm = {s: accuracy(network("FGSM", scale=s), PGD_40) for s in SCALES}
    natural = {s: accuracy(network("natural", scale=s), PGD_40) for s in SCALES}

    def at_most(limit: float) -> object:
        return lambda records: all(_value(r, "accuracy") <= limit for r in records)

    robust, plain = sweep("PGD", "linf", 0.3), sweep("natural", "linf", 0.3)
    decision, gradient = distances("PGD", "l2"), sweep("PGD", "l2", 2.0)
    rows = [
        (
            "loss-during-pgd/mnist",
            "The loss on the adversarially trained network ends below the natural one's",
            (trace("natural"), trace("PGD")),
            _below,
        ),
        (
            "loss-during-pgd/mnist",
            "The loss rises quickly and then plateaus",
            (trace("natural"), trace("PGD")),
            _plateau,
        ),
        (
            "more-loss-curves/mnist",
            "On five examples, adversarial training lowers the loss that PGD reaches",
            (trace("natural"), trace("PGD")),
            _below,
        ),
        (
            "local-maxima/mnist",
            "Final losses of adversarially trained networks lie below those of natural ones",
            (maxima("natural"), maxima("PGD")),
            _below,
        ),
        (
            "local-maxima/mnist",
            "Final losses are concentrated, without outliers, on the robust network",
            (maxima("PGD"),),
            _concentrated,
        ),
        (
            "capacity/mnist",
            "Networks trained naturally or with FGSM have at most 5 % accuracy under PGD at every scale",
            (*natural.values(), *fgsm.values()),
            at_most(0.05),
        ),
        (
            "capacity/mnist",
            "The smallest network cannot be trained against PGD: it stays below 30 % under PGD",
            (pgd[1],),
            at_most(0.3),
        ),
        (
            "capacity/mnist",
            "Under PGD training, robust accuracy grows from scale 4 to 16",
            (pgd[4], pgd[8], pgd[16]),
            lambda r: bool(np.all(np.diff([_value(x, "accuracy") for x in r]) > 0)),
        ),
        (
            "accuracy-vs-eps/mnist",
            "At eps 0.3 (l_inf) PGD training keeps over half its points, natural training none",
            (plain, robust),
            lambda r: _value(r[0], "accuracy") < 0.05 and _value(r[1], "accuracy") > 0.5,
        ),
        (
            "accuracy-vs-eps/mnist",
            "In l_2 PGD overestimates robustness: the boundary attack breaks far more at eps 2",
            (gradient, decision),
            lambda r: _value(r[1], "accuracy@2") < _value(r[0], "accuracy") - 0.2,
        ),
        (
            "training-loss/mnist",
            "The adversarial training loss falls by half or more",
            (Evaluation(network(), TrainingCurve()),),
            _falls,
        ),
    ]
    mnist = [Predicate(f"madry2018/{item}", text, tuple(needs), test) for item, text, needs, test in rows]  # type: ignore[arg-type]
    return [*mnist, *madry2018_cifar.predicates(), *madry2018_inside.predicates()]
