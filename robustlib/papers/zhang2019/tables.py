"""Zhang et al. 2019 (TRADES): cells of its tables, leaderboards and challenge."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from ...attacks.suite import CarliniWagner, Clean, DeepFool, Fab, Fgsm, Lbfgs, MiFgsm, MinimumNorm, Square
from ...catalogue.base import OWN_NOTE, STAGED_NOTE, STAGES, Cell, cell, published, published_of
from ...evaluate.suite_accuracy import WorstCase
from ...spec.evaluation import Evaluation
from ...spec.network import Network
from . import own
from .networks import (
    BASELINES,
    FGSM_K,
    PAPER,
    RELEASED,
    SEEDS,
    STARTED,
    THREATS,
    bound,
    nearest,
    network,
    released,
    sweep,
    under,
    worst_case,
)
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


DRAWS = 3
"""Of a random attack on the network that the authors released."""


def _on_theirs(measure: Measure, dataset: str) -> tuple[Evaluation, ...]:
    """The same on the authors' network, once, or for each draw of an attack that begins at or moves by chance."""
    if dataset not in RELEASED:
        return ()
    attack: object = getattr(measure(released(dataset)).measurement, "attack", None)
    chance = getattr(attack, "random_start", False) or isinstance(attack, Square)
    return tuple(measure(released(dataset, draw)) for draw in range(DRAWS if chance else 1))


def _table_5() -> Iterator[Cell]:
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
        theirs = _on_theirs(measure, dataset) if name == "TRADES (1/λ 6)" else ()
        seeds = SEEDS[dataset] if made else ()
        yield cell(
            f"{PAPER}/table-5/{dataset}",
            (f"{name}, {attack}, {row['Distance']}", "robust accuracy" if robust else "natural accuracy"),
            [measure(made(seed)) for seed in seeds if made],
            metric,
            number=number,
            unavailable="" if made else _OTHERS,
            spread=dataset == "mnist" and attack.startswith("FGSM ⁴⁰"),
            released=theirs,
            released_open=note,
            unknown="; ".join(notes),
        )


def _with_a_start() -> Iterator[Cell]:
    """What the random start changes that the authors' later scripts draw, and those of the printed numbers do not."""
    for dataset, short in (("mnist", "FGSM ⁴⁰"), ("cifar10", "FGSM ²⁰")):
        for name, attack in ((short, STARTED[dataset]), ("FGSM ^{1,000}", replace(STARTED[dataset], steps=1000))):
            measure: Measure = functools.partial(under, attack=attack)
            yield cell(
                f"{PAPER}/table-5/{dataset}",
                (f"TRADES (1/λ 6), {name} (PGD) from a random start", "robust accuracy"),
                [measure(network(dataset, seed=seed)) for seed in SEEDS[dataset]],
                spread=name == "FGSM ⁴⁰",
                note=OWN_NOTE,
                released=_on_theirs(measure, dataset),
            )


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


_UNPRINTED = {
    "FGSM-1,000": _ATTACKS["FGSM ^{1,000} (PGD)"][2],
    "FAB": "settings not printed with the number; here 100 iterations towards each other class",
    "Square Attack": "settings not printed with the number; here 5,000 queries",
    "AutoAttack": "one draw, and not its authors' code; noise, FGSM and PGD come before it here",
}
"""What the leaderboard leaves open of an attack."""


def _leaderboards() -> Iterator[Cell]:
    for number in published():
        if number.item != f"{PAPER}/leaderboards":
            continue
        dataset = "mnist" if number.table.startswith("MNIST") else "cifar10"
        measure, metric = _LEADERBOARD.get(number.row, (None, "accuracy"))
        yield cell(
            f"{PAPER}/leaderboards/{dataset}",
            number,
            (measure(network(dataset)),) if measure else (),
            metric,
            unavailable="" if measure else "another team's attack, which this book does not have",
            released=_on_theirs(measure, dataset) if measure else (),
            released_open=_UNPRINTED.get(number.row, ""),
            unknown="published for the network that the authors released, ours for a network of this book",
        )


# The other tables ---------------------------------------------------------------------------------------------

_SWEEP_NOTE = {
    "mnist": "network and eps of this column are not known here; the authors' small Net at eps 0.1, PGD from a random "
    "start",
    "cifar10": "network of this column is not printed with it; ResNet-18, PGD from a random start",
}


def _table_4() -> Iterator[Cell]:
    for number in published_of(f"{PAPER}/table-4").values():
        dataset, column = number.column.split(" ", 1)
        dataset, beta = dataset.lower(), number.where["1/lambda"]
        spread = column.endswith("std")
        seeds = () if spread else SEEDS[dataset][:3]
        yield cell(
            f"{PAPER}/table-4/{dataset}",
            (number.row, column),
            [sweep(dataset, beta, robust="rob" in column, seed=seed) for seed in seeds],
            number=number,
            unavailable="our own spread over seeds stands with our mean" if spread else "",
            unknown=_SWEEP_NOTE[dataset],
        )


def _table_3() -> list[Cell]:
    metrics = {"A_rob(f)": "accuracy", "R_phi(f)": "risk", "Delta = Delta_RHS - Delta_LHS": "gap"}
    return [
        cell(
            f"{PAPER}/table-3",
            number,
            [bound(number.where["lambda"], seed=seed) for seed in SEEDS["mnist"]],
            metrics[number.column],
            unit=None if metrics[number.column] == "accuracy" else "",
        )
        for number in published_of(f"{PAPER}/table-3").values()
    ]


def _black_box(item: str, dataset: str, beta: float) -> Iterator[Cell]:
    unknown = f"1/lambda is not known, here {beta:g}; Madry's is PGD training of the same network"
    for number in published_of(f"{PAPER}/{item}").values():
        row = number.where["row"]
        names = [{"Madry": "PGD"}.get(word, word) for word in row.split()[::2]]
        pairs = [[network(dataset, name, beta, seed=seed) for name in names] for seed in SEEDS[dataset]]
        runs = [under(target, FGSM_K[dataset], source=source) for target, source in pairs]
        yield cell(f"{PAPER}/{item}", (row, number.column), runs, number=number, unknown=unknown)


def _computed() -> Iterator[Cell]:
    for number in published_of(f"{PAPER}/table-1").values():
        value = {"R_nat": "natural", "R_bdy": "boundary", "R_rob": "robust"}[number.column]
        derived = functools.partial(_risk, number.row, value)
        note = "counted on the counterexample itself, with ten cells of width eps"
        yield cell(f"{PAPER}/table-1", number, (), derived=derived, unit="", note=note)
    for name in SURROGATES:
        for column, compute in (
            ("ψ(1/2), from the definition", _half_way),
            ("largest distance from the printed ψ on [0, 1]", _from_printed),
        ):
            derived = functools.partial(compute, name)
            yield cell(f"{PAPER}/table-2", (name, column), (), derived=derived, unit="")


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
    why = "a competition on Tiny ImageNet in 2018: drawn from the published numbers"
    return [
        cell(f"{PAPER}/challenge", number, (), unit=number.unit, scale=1.0, unavailable=why)
        for number in published_of(f"{PAPER}/challenge").values()
    ]


def _baselines() -> list[Cell]:
    return [
        cell(f"{PAPER}/baselines", (name, column), worst_case(name), metric, note=STAGED_NOTE)
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
        *_with_a_start(),
        *_black_box("table-6", "mnist", 6.0),
        *_black_box("table-7", "cifar10", 1.0),
        *_leaderboards(),
        *_challenge(),
        *_baselines(),
        *own.cells(),
    ]
