"""TRADES beyond its tables: its figures, its inner loop, and two experiments of this book's own.

The plane, the lender and the checkpoints are small: a CPU runs them as they are, under the full profile.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from ...catalogue.base import Cell, cell
from ...evaluate.inner_loop import InnerLoop
from ...evaluate.lending import Lending
from ...evaluate.pictures import DecisionMap, Pictures
from ...models import ModelSpec
from ...spec.evaluation import Evaluation, Subset
from ...spec.network import Network
from ...threat import FeatureBox, LinfBall
from ...training import Schedule, Standard, Trades
from .networks import INNER, PAPER, SMALL_THREAT, STARTED, THREATS, network, under
from .theory import counterexample

PLANE = LinfBall(0.05)
METHODS = {"natural training": None, "TRADES, 1/λ 6": 6.0}

LENDER = FeatureBox(1.0, budgets=(0.0, 0.0, 0.0, 0.05, 0.05, 0.05, 0.3, 0.3))
"""Group, age and history are fixed; income, debt and savings are costly to move; statements are free within reason."""
LENDER_BETAS = (0.0, 0.3, 1.0, 3.0, 10.0, 30.0)
LENDER_SEEDS = (0, 1, 2)
MONEY = {"honest": "money, honest", "edited": "money, edited"}

PARTS, ROWS = 10, 1_000
"""The checkpoints: a training in so many parts of four epochs each, on so few images that it can over-fit."""


def plane(beta: float | None) -> Evaluation:
    """The 20 points and the network's map; ``beta`` None is natural training."""
    trained = Trades(PLANE, 10, 0.0125, beta=beta, eps_warmup=0.5) if beta else Standard()
    schedule = Schedule(2_500, batch=20, lr=1e-2, shape="one_cycle")
    return Evaluation(Network("plane", ModelSpec("wong_dense", 128, depth=2), trained, schedule), DecisionMap(PLANE))


def lender(beta: float, *, seed: int = 0) -> Evaluation:
    """Money and approvals at that 1/lambda; 0 is natural training."""
    trained = Trades(LENDER, 10, 0.25, beta=beta) if beta else Standard()
    schedule = Schedule(1_000, batch=128, lr=5e-3, shape="one_cycle")
    subject = Network("lender", ModelSpec("wong_dense", 64, depth=2), trained, schedule, seed=seed)
    return Evaluation(subject, Lending(LENDER, 20, 0.25))


def checkpoint(part: int) -> Network:
    """The network after so many parts of its training; each part begins with the weights of the one before."""
    schedule = Schedule(4 * ROWS // 50, batch=50, lr=2e-3)
    return Network(
        "mnist",
        ModelSpec("small_cnn", 8),
        Trades(SMALL_THREAT, 10, 0.02, beta=6.0),
        schedule,
        rows=(0, ROWS),
        seed=part,
        parents=(checkpoint(part - 1),) if part > 1 else (),
    )


def judged(part: int, split: str) -> Evaluation:
    """Robust accuracy of a checkpoint on 1,000 images of "validation" or of "test"."""
    robust = under(checkpoint(part), STARTED["mnist"], threat=SMALL_THREAT)
    return Evaluation(robust.subject, robust.measurement, Subset(1_000, split))


def loop(dataset: str) -> Evaluation:
    """KL along algorithm 1's inner loop."""
    return Evaluation(network(dataset), InnerLoop(THREATS[dataset], *INNER[dataset]), Subset(200))


def shown(dataset: str, method: str) -> Evaluation:
    """A few test points before and after FGSM^k."""
    few = Subset(5 if dataset == "mnist" else 2)
    return Evaluation(network(dataset, method), Pictures(STARTED[dataset], THREATS[dataset], broken=False), few)


PICTURED = {"mnist": ("natural", "PGD", "TRADES"), "cifar10": ("natural", "TRADES")}


_POINTS = "the points are this book's own: those of the paper are not known here"


def cells() -> Iterator[Cell]:
    """Cells of the figures, of algorithm 1, and of this book's own items."""
    x, eta = counterexample()
    turns = x[1:][np.diff(eta) != 0]
    line = {
        "share of [0, 1] on which η = 1": float(eta.mean()),
        "times that η changes, with ten cells": float(len(turns)),
        "largest distance between two changes, in ε": float(10 * np.diff(turns).max()),
    }
    for row, value in line.items():
        yield Cell(f"{PAPER}/counterexample", row, "value", derived=partial(float, value), unit="")
    yield from (
        cell(f"{PAPER}/decision-boundary", (row, f"{kind} error"), plane(beta), kind, unknown=_POINTS)
        for row, beta in METHODS.items()
        for kind in ("natural", "boundary", "robust")
    )
    for column, metric in (
        ("largest gradient at x' = x", "gradient_at_x"),
        ("KL after the kick", "kl_of_kick"),
        ("KL after the last step", "kl"),
        ("the same without the kick", "kl_from_x"),
    ):
        yield cell(f"{PAPER}/algorithm-1", ("SmallCNN, 1/λ 6", column), loop("mnist"), metric)
    for dataset, method in ((dataset, method) for dataset, methods in PICTURED.items() for method in methods):
        place = (f"{method} training", "right after the attack")
        yield cell(f"{PAPER}/adversarial-examples/{dataset}", place, shown(dataset, method))
    why = "the data of the unrestricted challenge are not among this book's"
    yield Cell(f"{PAPER}/adversarial-examples/bird-bicycle", "TRADES", "image", unit="", unavailable=why)
    yield from (
        cell(
            f"{PAPER}/checkpoints",
            (f"after epoch {4 * part}", f"robust accuracy, {split}"),
            judged(part, split),
            note="the seeds number the parts of one training",
        )
        for part in range(1, PARTS + 1)
        for split in ("validation", "test")
    )
    for beta in LENDER_BETAS:
        runs = tuple(lender(beta, seed=seed) for seed in LENDER_SEEDS)
        row = f"1/λ {beta:g}" if beta else "natural"
        for state, column in MONEY.items():
            yield cell(f"{PAPER}/lender", (row, column), runs, f"money_{state}")
            for group in (0, 1):
                column = f"approved of group {group}, {state}"
                yield cell(f"{PAPER}/lender", (row, column), runs, f"approved_{state}_{group}")
