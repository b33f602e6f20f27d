"""Zhang et al. 2019 (TRADES): cells of its tables, leaderboards and challenge."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ...attacks.suite import CarliniWagner, Clean, DeepFool, Fab, Fgsm, Lbfgs, MiFgsm, MinimumNorm, Square
from ...catalogue.base import STAGED_NOTE, STAGES, Cell, Published, published, published_of
from ...evaluate.suite_accuracy import WorstCase
from ...spec.evaluation import Evaluation
from ...spec.network import Network
from . import own
from .networks import BASELINES, FGSM_K, PAPER, SEEDS, THREATS, bound, nearest, network, sweep, under, worst_case
from .theory import PSI, SURROGATES, psi_transform, table_1

# Table 5 and the released networks' leaderboards --------------------------------------------------------------

Measure = Callable[[Network], Evaluation]

_OTHERS = "another team's defence, quoted by the paper; this book has no network of it"
_FOOLBOX = "the authors ran foolbox with its defaults; here this library's attack of that name"
_ARTEFACT = _FOOLBOX + "; it shortens l_2 and its result is held against an l_inf radius, which says little"


def _artefact(attack: MinimumNorm) -> Measure:
    return lambda subject: nearest(subject, attack, "l2", 0.031, measured="linf")


_ATTACKS: dict[str, tuple[Measure, str, str]] = {
    "FGSM ²⁰ (PGD)": (lambda net: under(net, FGSM_K["cifar10"]), "accuracy", ""),
    "FGSM ⁴⁰ (PGD)": (lambda net: under(net, FGSM_K["mnist"]), "accuracy", ""),
    "FGSM ^{1,000} (PGD)": (
        lambda net: under(net, replace(FGSM_K[net.dataset], steps=1000)),
        "accuracy",
        "step size of the 1,000 steps not printed; here that of the shorter attack",
    ),
    "DeepFool (ℓ_∞)": (
        lambda net: nearest(net, DeepFool(steps=100, protocol=1), "linf", 0.031),
        "accuracy@0.031",
        _FOOLBOX,
    ),
    "LBFGSAttack": (_artefact(Lbfgs(protocol=1)), "accuracy@0.031", _ARTEFACT),
    "MI-FGSM": (
        lambda net: under(net, MiFgsm(20, FGSM_K["cifar10"].step_size)),
        "accuracy",
        _FOOLBOX + ", 20 steps of 0.003",
    ),
    "C&W": (_artefact(CarliniWagner(protocol=1)), "accuracy@0.031", _ARTEFACT),
}
_CW_MNIST = (lambda net: nearest(net, CarliniWagner(protocol=1), "l2", 0.005), "accuracy@0.005", _FOOLBOX)


def _table_5() -> list[Cell]:
    cells = []
    for number in published_of(f"{PAPER}/table-5").values():
        row = number.where
        name, attack = row["Defense"].replace("1/ λ = ", "1/λ "), row["Under which attack"]
        dataset = row["Dataset"].lower()
        robust = "rob" in number.column
        made: Callable[[int], Network] | None = None
        notes = []
        if name.startswith("TRADES"):
            beta = float(name.rpartition(" ")[2].rstrip(")"))
            made = lambda seed, dataset=dataset, beta=beta: network(dataset, "TRADES", beta, seed=seed)  # noqa: E731
        elif name == "[MMS ⁺ 18]":
            made = lambda seed, dataset=dataset: network(dataset, "PGD", seed=seed)  # noqa: E731
            notes.append("network and training of this row are not printed; here PGD training of TRADES' own network")
        measure, metric, note = _CW_MNIST if (dataset, attack) == ("mnist", "C&W") else _ATTACKS.get(attack, _CW_MNIST)
        if not robust:
            measure, metric, note = (lambda net: under(net, Clean())), "accuracy", ""
        notes += [note] if note else []
        seeds = SEEDS[dataset] if made else ()
        cells.append(
            Cell(
                item=f"{PAPER}/table-5/{dataset}",
                row=f"{name}, {attack}, {row['Distance']}",
                column="robust accuracy" if robust else "natural accuracy",
                published=number,
                evaluations=tuple(measure(made(seed)) for seed in seeds if made),
                metric=metric,
                protocol_known=not notes,
                note="; ".join(notes),
                unavailable="" if made else _OTHERS,
                spread=dataset == "mnist" and attack.startswith("FGSM ⁴⁰"),
            )
        )
    return cells


_LEADERBOARD: dict[str, tuple[Measure, str]] = {
    "FGSM": (lambda net: under(net, Fgsm()), "accuracy"),
    "FGSM-20": (lambda net: under(net, FGSM_K[net.dataset]), "accuracy"),
    "FGSM-40": (lambda net: under(net, FGSM_K[net.dataset]), "accuracy"),
    "FGSM-1,000": (lambda net: under(net, replace(FGSM_K[net.dataset], steps=1000)), "accuracy"),
    "MI-FGSM": (_ATTACKS["MI-FGSM"][0], "accuracy"),
    "DeepFool (L_inf)": (_ATTACKS["DeepFool (ℓ_∞)"][0], "accuracy@0.031"),
    "DeepFool (L_2)": (_artefact(DeepFool(steps=100, protocol=1)), "accuracy@0.031"),
    "CW": (_ATTACKS["C&W"][0], "accuracy@0.031"),
    "LBFGSAttack": (_ATTACKS["LBFGSAttack"][0], "accuracy@0.031"),
    "FAB": (lambda net: under(net, Fab()), "accuracy"),
    "Square Attack": (lambda net: under(net, Square()), "accuracy"),
    "AutoAttack": (lambda net: Evaluation(net, WorstCase(THREATS[net.dataset])), "accuracy"),
}


def _leaderboards() -> list[Cell]:
    cells = []
    for number in published():
        if number.item != f"{PAPER}/leaderboards":
            continue
        dataset = "mnist" if number.table.startswith("MNIST") else "cifar10"
        measure, metric = _LEADERBOARD.get(number.row, (None, "accuracy"))
        cells.append(
            Cell(
                item=f"{PAPER}/leaderboards/{dataset}",
                row=number.row,
                column=number.column,
                published=number,
                evaluations=(measure(network(dataset)),) if measure else (),
                metric=metric,
                protocol_known=False,
                note="published for the network that the authors released, ours for a network of this book",
                unavailable="" if measure else "another team's attack, which this book does not have",
            )
        )
    return cells


# The other tables ---------------------------------------------------------------------------------------------

_SWEEP_NOTE = {
    "mnist": "network and eps of this column are not known here; the authors' small Net at eps 0.1",
    "cifar10": "network of this column is not printed with it; ResNet-18",
}


def _table_4() -> list[Cell]:
    cells = []
    for number in published_of(f"{PAPER}/table-4").values():
        dataset, column = number.column.split(" ", 1)
        dataset, beta = dataset.lower(), number.where["1/lambda"]
        spread = column.endswith("std")
        cells.append(
            Cell(
                item=f"{PAPER}/table-4/{dataset}",
                row=number.row,
                column=column,
                published=number,
                evaluations=()
                if spread
                else tuple(sweep(dataset, beta, robust="rob" in column, seed=seed) for seed in SEEDS[dataset][:3]),
                protocol_known=False,
                note=_SWEEP_NOTE[dataset],
                unavailable="our own spread over seeds stands with our mean" if spread else "",
            )
        )
    return cells


def _table_3() -> list[Cell]:
    metrics = {"A_rob(f)": "accuracy", "R_phi(f)": "risk", "Delta = Delta_RHS - Delta_LHS": "gap"}
    return [
        Cell(
            item=f"{PAPER}/table-3",
            row=number.row,
            column=number.column,
            published=number,
            evaluations=tuple(bound(number.where["lambda"], seed=seed) for seed in SEEDS["mnist"]),
            metric=metrics[number.column],
            scale=100.0 if metrics[number.column] == "accuracy" else 1.0,
            unit="%" if metrics[number.column] == "accuracy" else "",
        )
        for number in published_of(f"{PAPER}/table-3").values()
    ]


def _black_box(item: str, dataset: str, beta: float) -> list[Cell]:
    def cell(number: Published) -> Cell:
        words = number.where["row"].split()
        target, source = ({"Madry": "PGD"}.get(words[i], words[i]) for i in (0, 2))
        return Cell(
            item=f"{PAPER}/{item}",
            row=number.where["row"],
            column=number.column,
            published=number,
            evaluations=tuple(
                under(
                    network(dataset, target, beta, seed=seed),
                    FGSM_K[dataset],
                    source=network(dataset, source, beta, seed=seed),
                )
                for seed in SEEDS[dataset]
            ),
            protocol_known=False,
            note=f"1/lambda is not known, here {beta:g}; Madry's is PGD training of the same network",
        )

    return [cell(number) for number in published_of(f"{PAPER}/{item}").values()]


def _computed() -> list[Cell]:
    cells = []
    for number in published_of(f"{PAPER}/table-1").values():
        value = {"R_nat": "natural", "R_bdy": "boundary", "R_rob": "robust"}[number.column]
        cells.append(
            Cell(
                item=f"{PAPER}/table-1",
                row=number.row,
                column=number.column,
                published=number,
                unit="",
                scale=1.0,
                derived=functools.partial(_risk, number.row, value),
                note="counted on the counterexample itself, with ten cells of width eps",
            )
        )
    for name in SURROGATES:
        for column, compute in (
            ("ψ(1/2), from the definition", _half_way),
            ("largest distance from the printed ψ on [0, 1]", _from_printed),
        ):
            derived = functools.partial(compute, name)
            cells.append(Cell(f"{PAPER}/table-2", name, column, derived=derived, unit="", scale=1.0))
    return cells


def _risk(row: str, kind: str) -> float:
    return float(getattr(table_1()[row], kind))


@functools.cache
def _half_way(name: str) -> float:
    return float(np.interp(0.5, *psi_transform(SURROGATES[name])))


@functools.cache
def _from_printed(name: str) -> float:
    t, psi = psi_transform(SURROGATES[name])
    return float(np.abs(psi - PSI[name](t)).max())


def _challenge() -> list[Cell]:
    return [
        Cell(
            item=f"{PAPER}/challenge",
            row=number.row,
            column=number.column,
            published=number,
            unit=number.unit,
            scale=1.0,
            unavailable="a competition on Tiny ImageNet in 2018: drawn from the published numbers",
        )
        for number in published_of(f"{PAPER}/challenge").values()
    ]


def _baselines() -> list[Cell]:
    return [
        Cell(
            item=f"{PAPER}/baselines",
            row=name,
            column=column,
            evaluations=(worst_case(name),),
            metric=metric,
            note=STAGED_NOTE,
        )
        for name in BASELINES
        for column, metric in STAGES.items()
    ]


def cells() -> list[Cell]:
    """Every cell of the paper that this edition knows how to measure, or can say why it does not."""
    return [
        *_computed(),
        *_table_3(),
        *_table_4(),
        *_table_5(),
        *_black_box("table-6", "mnist", 6.0),
        *_black_box("table-7", "cifar10", 1.0),
        *_leaderboards(),
        *_challenge(),
        *_baselines(),
        *own.cells(),
    ]
