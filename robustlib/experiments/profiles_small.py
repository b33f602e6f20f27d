"""Experiments that are small by themselves: generated data, and a training in ten parts on few images.

``full`` and ``quick`` run them as they are, in minutes; ``smoke`` makes them shorter still.
"""

from __future__ import annotations

from dataclasses import replace

from ..attacks.suite import Pgd
from ..evaluate.accuracy import Accuracy
from ..spec.evaluation import Evaluation
from ..spec.network import Network

GENERATED = ("plane", "lender")
FEW_ROWS = 2_000
"""A network that is trained on the first so many rows, or fewer, counts as small."""


def small(evaluation: Evaluation) -> bool:
    """Whether two CPU cores run this evaluation as it is."""
    rows = evaluation.subject.rows
    return evaluation.subject.dataset in GENERATED or (rows is not None and rows[1] <= FEW_ROWS)


def _smoke_network(network: Network) -> Network:
    if network.dataset in GENERATED:
        return replace(network, schedule=replace(network.schedule, steps=50))
    return replace(
        network,
        dataset="digits",
        rows=(0, 200),
        parents=tuple(_smoke_network(parent) for parent in network.parents),
        model=replace(network.model, width=4),
        schedule=replace(network.schedule, steps=5),
    )


def smoke(evaluation: Evaluation) -> Evaluation:
    """Seconds."""
    what, subset = evaluation.measurement, evaluation.subset
    if isinstance(what, Accuracy) and isinstance(what.attack, Pgd):
        what, subset = replace(what, attack=replace(what.attack, steps=10)), replace(subset, n=100)
    return Evaluation(_smoke_network(evaluation.subject), what, subset)
