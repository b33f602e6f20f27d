"""Wong et al. 2018, "Scaling provable adversarial defenses": cells of its tables.

Source: arXiv 1805.12514, whose main table the slide deck reprints, and the authors' code. Rows that are known from
memory alone are marked unverified in published.csv and decide nothing. Open settings are in the cells' notes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ...catalogue.base import OWN_NOTE, Cell, cell, published_of
from ...certify.trace import trace
from ...data.registry import facts_of
from ...errors import RobustlibError
from ...models import ModelSpec, build, count_parameters
from ...spec.evaluation import Evaluation
from .networks import (
    DATASETS,
    EUCLIDEAN,
    KINDS,
    LINES,
    MODELS,
    OPEN,
    SMALL,
    STAGES,
    Line,
    bound,
    cascade,
    clean,
    epoch_cost,
    judged,
    released,
    shaped,
    stage,
    updates,
)
from .panels import PAPER
from .panels import cells as figure_cells

_COUNTED = "the published count is remembered, not read; ours is counted from the authors' architecture"
_FIRST_STAGE = (
    "the file holds the authors' cascade, and its first stage need not be the network of this row: their code goes on "
    "from a stage's last epoch, while of a run without a cascade it keeps the epoch with the least verified error"
)
_CASCADE = f"{STAGES} stages; the authors' script trains up to six"


def _results(item: str, lines: Sequence[Line]) -> Iterator[Cell]:
    """A table of networks and cascades: the share without a certificate, and the error."""
    numbers = published_of(f"{PAPER}/{item}")
    for line in lines:
        panel = f"{PAPER}/{item}/{DATASETS[line.data]}"
        # Once each: since the authors chose an epoch on the test set, no number of seeds could reproduce theirs.
        single, whole = stage(line), [cascade(line)]
        first, last = released(line, 1), [judged(net, line) for net in released(line)]
        proven = [bound(net, line.threat) for net in first]
        columns: list[tuple[str, Sequence[Evaluation], str, Sequence[Evaluation]]] = [
            ("Single model error: Robust", [bound(single, line.threat)], "bound", proven),
            ("Single model error: Standard", [clean(single)], "accuracy", list(map(clean, first))),
            ("Cascade error: Robust", whole, "bound", last),
            ("Cascade error: Standard", whole, "error", last),
        ]
        for column, runs, metric, theirs in columns:
            number = numbers.get((line.row, column))
            if number is not None and number.value is None:
                yield cell(panel, number, (), unavailable="the paper trains no cascade on exact bounds")
                continue
            yield cell(
                panel,
                (line.row, column),
                runs,
                metric,
                number=number,
                unknown=OPEN,
                note=_CASCADE if runs is whole else "",
                complement=metric == "accuracy",
                released=tuple(theirs),
                released_open=_FIRST_STAGE if column.startswith("Single") else "",
            )
        if numbers.get((line.row, "Cascade error: Robust"), None) is None or line.exact:
            continue
        searched = "share of the points searched, of those that the released rule counts as robust"
        for column, metric, what in (
            ("cascade, guarded rule", "guarded_bound", _CASCADE),
            ("cascade, strict rule", "strict_bound", _CASCADE),
            ("cascade, verdicts overturned by a search", "broken", f"{_CASCADE}; {searched}"),
        ):
            note = f"{OWN_NOTE}; {what}"
            yield cell(panel, (line.row, column), whole, metric, note=note, released=tuple(last))


class _Units(TorchDispatchMode):
    """Counts the units behind every ReLU that is called in the block."""

    units = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.relu.default:
            self.units += result.numel()
        return result


@functools.cache
def sizes(model: ModelSpec, dataset: str) -> tuple[int, int]:
    """(hidden units, parameters) of an untrained network."""
    shape = facts_of(dataset).shape
    # Shapes are enough: nothing is computed.
    with torch.device("meta"), torch.no_grad():
        net = build(model, input_shape=shape, classes=10, generator=torch.Generator())
        with _Units() as counted:  # type: ignore[no-untyped-call]
            net(torch.zeros(1, *shape))
    return counted.units, count_parameters(net)


def size(model: ModelSpec, dataset: str, place: int) -> float:
    """One of the :func:`sizes`."""
    return float(sizes(model, dataset)[place])


def _sizes() -> Iterator[Cell]:
    numbers = published_of(f"{PAPER}/model-sizes")
    for data, dataset in DATASETS.items():
        for name, model in MODELS.items():
            row, item = f"{name} {data}", f"{PAPER}/model-sizes/{dataset}"
            for place, column in enumerate(("hidden units", "parameters")):
                number, derived = numbers[row, column], functools.partial(size, model, dataset, place)
                yield Cell(item, row, column, number, derived=derived, unit=number.unit, note=_COUNTED)
            yield cell(
                item,
                numbers[row, "time per epoch"],
                epoch_cost(data, name),
                "seconds",
                scale=float(updates(data, 1)),
                note="one projected update times those of an epoch; the authors had four GPUs",
            )


def _shapes() -> Iterator[Cell]:
    item = f"{PAPER}/width-depth"
    numbers = published_of(item)
    ball = SMALL["projected"].threat
    for kind, sizes_ in KINDS.items():
        for k in sizes_:
            row, net = f"{kind} {k}", shaped(kind, k)
            yield cell(item, numbers[row, "Robust error"], bound(net, ball), "bound", unknown=OPEN)
            yield cell(item, numbers[row, "Standard error"], clean(net), unknown=OPEN, complement=True)


class _Skip(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.inner(x)


OPERATIONS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(2, 2),
    "convolution": lambda: nn.Conv2d(1, 1, 2),
    "flatten, reshape": nn.Flatten,
    "identity, skip connection": _Skip,
    "ReLU": nn.ReLU,
    "batch norm, fixed statistics": lambda: nn.BatchNorm2d(1),
    "average pooling": lambda: nn.AvgPool2d(2),
    "max pooling": lambda: nn.MaxPool2d(2),
    "hardtanh": nn.Hardtanh,
    "leaky ReLU": lambda: nn.LeakyReLU(0.1),
    "sigmoid": nn.Sigmoid,
}
"""The sheet's list of dual operations, each in a module of 1 x 2 x 2 inputs."""


@functools.cache
def supported(name: str) -> bool:
    """True where the library bounds a network with this operation; otherwise it refuses it by name."""
    with torch.random.fork_rng(devices=[]):
        body = nn.Sequential(OPERATIONS[name](), nn.Flatten())
        size = body.eval()(torch.zeros(1, 1, 2, 2)).shape[1]
        net = nn.Sequential(body, nn.Linear(size, 2)).eval()
    try:
        trace(net, torch.zeros(1, 1, 2, 2))
    except RobustlibError:
        return False
    return True


def _bounded(name: str) -> float:
    return float(supported(name))


def _operations() -> Iterator[Cell]:
    for name in OPERATIONS:
        column, derived = "bounded here (1: yes, 0: refused by name)", functools.partial(_bounded, name)
        yield Cell(f"{PAPER}/dual-operations", name, column, derived=derived, unit="")


def cells() -> list[Cell]:
    """Every cell of the paper that this edition knows how to measure, or can say why it does not."""
    return [
        *_results("results", LINES),
        *_results("l2-results", EUCLIDEAN),
        *_sizes(),
        *_shapes(),
        *_operations(),
        *figure_cells(),
    ]
