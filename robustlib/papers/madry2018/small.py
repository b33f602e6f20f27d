"""Madry et al. 2018: why the paper's small networks fail, one factor of the training at a time (this book's own item).

The paper's networks of capacity scales 1 and 2 end at a constant output (figure 4). Here they are trained by another
recipe, and by the same with a single factor as the paper has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ...attacks.suite import Clean
from ...catalogue.base import OWN_NOTE, Cell, cell
from ...spec.evaluation import Evaluation
from ...spec.network import Network
from ...training import PgdTraining
from .networks import PAPER, PGD_40, THREAT, accuracy, network

ITEM = f"{PAPER}/small-networks"
SMALL = (1, 2)
"""Capacity scales that stay at a constant output in the paper."""
SEEDS = (0, 1, 2)
RECIPE = "this book's recipe"
WEIGHTS, WARM_UP, RATE, SHAPE = (
    "the paper's initial weights",
    "no warm-up of the radius",
    "the paper's rate",
    "a constant rate",
)
ROWS = (RECIPE, WEIGHTS, WARM_UP, RATE, SHAPE)
"""The recipe, and each factor that is changed back to the paper's by itself."""

_NOTE = (
    f"{OWN_NOTE}: weights as PyTorch draws them, a radius that grows over the first 15 % of the "
    "updates, a rate that rises to 1.5e-3 and falls again; in each further row one of these is the paper's, and all "
    "else is the same, the 3, 5 and then 7 steps of PGD in training among it"
)


ATTACKED, CLEAN = "40 steps of PGD", "clean"
"""Columns."""


def label(row: str, scale: int) -> str:
    """A row of the recipe or of a factor, as the table names it."""
    return f"scale {scale}, {row}"


def trained(row: str, scale: int, seed: int = 0) -> Network:
    """The network of a row, as many updates long as the paper's."""
    own = network("PGD", scale=scale, seed=seed)
    return replace(
        own,
        model=replace(own.model, init="paper" if row == WEIGHTS else "kaiming_uniform"),
        defence=PgdTraining(
            THREAT, steps=40, step_size=0.01, eps_warmup=0.0 if row == WARM_UP else 0.15, ramp=(3, 5, 7)
        ),
        schedule=replace(
            own.schedule,
            lr=own.schedule.lr if row == RATE else 1.5e-3,
            shape="constant" if row == SHAPE else "one_cycle",
        ),
    )


def under_pgd(row: str, scale: int, seed: int = 0) -> Evaluation:
    """Accuracy of that network under the attack of the paper's figure, on the whole test set."""
    return accuracy(trained(row, scale, seed), PGD_40)


def clean(row: str, scale: int, seed: int = 0) -> Evaluation:
    """Its accuracy without an attack."""
    return accuracy(trained(row, scale, seed), Clean())


EVALUATIONS = frozenset(
    make(row, scale, seed) for make in (under_pgd, clean) for row in ROWS for scale in SMALL for seed in SEEDS
)
"""All of them, which the profiles shorten less than others of their kind."""


def cells() -> Iterator[Cell]:
    """Both accuracies of each row, all seeds."""
    for row in ROWS:
        for scale in SMALL:
            for column, make in ((ATTACKED, under_pgd), (CLEAN, clean)):
                yield cell(
                    ITEM,
                    (label(row, scale), column),
                    [make(row, scale, seed) for seed in SEEDS],
                    spread=True,
                    note=_NOTE,
                )
