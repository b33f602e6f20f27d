"""Bounds on hidden layers estimated from random columns, in memory linear in the units (Wong et al. 2018, section 3.2).

A layer's exact bounds need ||a||_1 of one row a for each of its units. Random columns are pushed forward instead: for a
standard Cauchy column R, a . R is Cauchy with the scale ||a||_1, whose median size is that scale. The result is an
estimate, above or below the bound; it steers training, and no certificate is made from it.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from itertools import repeat

import torch
from torch import Tensor, nn

from ..errors import RobustlibError, suggest
from ..threat import Ball
from .certificate import begin, objectives
from .dual import Ends, Relaxation, carry, relaxation, unit
from .memory import MOST
from .operations import Add, Affine, Conv, Graph, Input, Linear, Product, Relu, Scale
from .region import Region
from .trace import exact, predictions

ESTIMATORS = ("median", "geometric", "pooled")
NORMAL = -1
"""Source of the Gaussian columns; a Cauchy source is the position of its node."""


@dataclass(frozen=True)
class Estimate:
    """Estimated margins of one batch, from random projections. It proves nothing and never becomes a certificate.

    Attributes:
        labels: (N,) the classes whose margins were estimated.
        margins: (N, K) estimates of the dual bounds on logit[label] - logit[k]; 0 at k = label.
    """

    labels: Tensor
    margins: Tensor

    @property
    def standing(self) -> Tensor:
        """(N,) bool: all margins are positive by this estimate."""
        return (self.margins > 0).scatter(1, self.labels[:, None], True).all(1)


def _median(columns: Tensor) -> Tensor:
    """(N, r, ...) to the median over r of the sizes; of two in the middle the lower, as in the authors' code."""
    return columns.abs().movedim(1, -1).contiguous().median(-1).values


def _geometric(columns: Tensor) -> Tensor:
    """Exp of the mean log size: E log|C| = 0 for a standard Cauchy variable."""
    return columns.abs().clamp_min(1e-30).log().mean(1).exp()


def _linear(operation: Affine) -> Affine:
    """The operation without its additive constant."""
    if isinstance(operation, Scale):
        return replace(operation, shift=torch.zeros_like(operation.shift))
    return replace(operation, bias=None) if isinstance(operation, Linear | Conv) else operation


@dataclass(frozen=True)
class _Pushed:
    """At one node: (N, *shape) where the middle of the bounds lies, and (N, r, *shape) columns by their source."""

    middle: Tensor
    columns: dict[int, Tensor]

    def through(self, operation: Affine) -> _Pushed:
        apart = _linear(operation)
        columns = {}
        for source, values in self.columns.items():
            columns[source] = apart.forward(values.flatten(0, 1)).unflatten(0, values.shape[:2])
        return _Pushed(operation.forward(self.middle), columns)

    def plus(self, other: _Pushed) -> _Pushed:
        columns = dict(self.columns)
        for source, values in other.columns.items():
            columns[source] = columns[source] + values if source in columns else values
        return _Pushed(self.middle + other.middle, columns)


@dataclass(frozen=True)
class _Projector:
    """Draws columns and reads reaches off them."""

    projections: int
    estimator: str
    generator: torch.Generator

    def source(self, position: int) -> int:
        """Name under which a node's Cauchy columns are kept: one for all of them where they are pooled."""
        return 0 if self.estimator == "pooled" else position

    def columns(self, radius: Tensor) -> Tensor:
        """(N, r, *shape) Cauchy columns times radius (N, *shape); examples share them."""
        shape = (1, self.projections, *radius.shape[1:])
        drawn = torch.empty(shape, dtype=radius.dtype, device=radius.device).cauchy_(generator=self.generator)
        return drawn * radius[:, None]

    def start(self, region: Region) -> _Pushed:
        """Columns of the region: Cauchy ones times the half widths of a box; Gaussian ones for a Euclidean ball."""
        if region.x is None or region.eps is None:
            return _Pushed(region.center, {0: self.columns(region.radius)})
        shape = (1, self.projections, *region.x.shape[1:])
        drawn = torch.randn(shape, dtype=region.x.dtype, device=region.x.device, generator=self.generator)
        wide = region.eps.view(-1, *[1] * region.x.dim())
        return _Pushed(region.x, {NORMAL: drawn * wide})

    def reach(self, pushed: _Pushed) -> Tensor:
        """(N, *shape) estimated distance from the middle to either bound."""
        size = _geometric if self.estimator == "geometric" else _median
        total = torch.zeros_like(pushed.middle)
        for source, values in pushed.columns.items():
            root = values.square().mean(1).clamp_min(1e-30).sqrt() if source == NORMAL else size(values)
            total = total + root
        return total

    def past_relu(self, pushed: _Pushed, at: Relaxation, position: int) -> _Pushed:
        """Onto the band between its parallel lines: the middle, and half the height as columns."""
        middle, height = at.band
        columns = {source: values * at.slope[:, None] for source, values in pushed.columns.items()}
        found = _Pushed(at.slope * pushed.middle + middle, columns)
        fresh = {self.source(position): self.columns(height)}
        return found.plus(_Pushed(torch.zeros_like(height), fresh))


def _ends(
    graph: Graph, region: Region, found: dict[int, Relaxation], draw: _Projector, place: int, pushed: _Pushed
) -> Ends:
    """Bounds of a node's values: estimated, or exact where nothing before it is relaxed."""
    if any(isinstance(earlier.operation, Relu | Product) for earlier in graph.nodes[: place + 1]):
        reach = draw.reach(pushed)
        return pushed.middle - reach, pushed.middle + reach
    shape = graph.nodes[place].shape
    lower, upper, _ = carry(graph, unit(shape, slice(None), region.center), place, found, region)
    return lower.unflatten(1, shape), upper.unflatten(1, shape)


def projected_bounds(
    graph: Graph, region: Region, *, projections: int, estimator: str, generator: torch.Generator
) -> dict[int, Relaxation]:
    """The relaxation of every activation and product from estimated bounds; before the first they are exact, at no more
    cost."""
    if estimator not in ESTIMATORS:
        raise RobustlibError(suggest("estimator", estimator, ESTIMATORS))
    if projections < 1:
        raise RobustlibError(f"projections={projections}; give 1 random column or more")
    draw = _Projector(projections, estimator, generator)
    pushed: list[_Pushed] = []
    found: dict[int, Relaxation] = {}
    for position, node in enumerate(graph.nodes[: max(graph.relaxed, default=-1) + 1]):
        before = [pushed[i] for i in node.terms]
        if isinstance(node.operation, Input):
            pushed.append(draw.start(region))
        elif isinstance(node.operation, Add):
            pushed.append(before[0].plus(before[1]))
        elif isinstance(node.operation, Relu | Product):
            ends = [_ends(graph, region, found, draw, place, pushed[place]) for place in node.inputs]
            found[position] = relaxation(graph, position, ends)
            first, *others = map(draw.past_relu, before, found[position].parts, repeat(position))
            pushed.append(functools.reduce(_Pushed.plus, others, first))
        else:
            pushed.append(before[0].through(node.operation))
    return found


def estimated_margins(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Ball,
    *,
    projections: int = 50,
    estimator: str = "median",
    generator: torch.Generator,
) -> Tensor:
    """The dual's margins with hidden bounds estimated, differentiable to the weights: for training.

    Args:
        model, x, y, threat: as for :func:`robustlib.certify.margins`.
        projections: random columns, >= 1; memory grows with them and not with the square of the units.
        estimator: "median" of the columns' sizes, for each ReLU's term and the input's apart (the paper's);
            "geometric", their geometric mean; "pooled", a median over columns of all terms together, which is one
            forward pass, as a sum of Cauchy variables is again one. The input's term of an l_2 ball is Gaussian.
        generator: draws the columns, on the device of x.

    Returns:
        (N, K) estimates in logits, 0 at k = y: not bounds.

    Raises:
        RobustlibError: as :func:`robustlib.certify.margins`; an unknown estimator, projections below 1.

    Source: Wong et al. 2018, section 3.2; the objective itself is carried back exactly, as in the authors' code.
    """
    graph, x = begin(model, x, y, threat)
    with exact(x):
        return _margins(graph, x, y, threat, projections, estimator, generator)


def _margins(
    graph: Graph, x: Tensor, y: Tensor, threat: Ball, projections: int, estimator: str, generator: torch.Generator
) -> Tensor:
    region, last = Region.around(x, threat), len(graph.nodes) - 1
    found = projected_bounds(graph, region, projections=projections, estimator=estimator, generator=generator)
    return carry(graph, objectives(y, graph.classes, x), last, found, region)[0]


def estimate(
    model: nn.Module,
    x: Tensor,
    y: Tensor | None,
    threat: Ball,
    *,
    projections: int = 50,
    estimator: str = "median",
    generator: torch.Generator,
    chunk: int | None = None,
) -> Estimate:
    """Estimate the margins of a batch by :func:`estimated_margins`, a few examples at a time.

    Args:
        model, x, threat, projections, estimator, generator: as there.
        y: (N,) int64 labels; None: the classes that the model predicts at x.
        chunk: examples at a time; None: as many as fit MOST numbers.
    """
    graph, x = begin(model, x, y, threat)
    if chunk is None:
        widest = max(math.prod(node.shape) for node in graph.nodes)
        # Each part draws separate columns: their number must not depend on the machine.
        chunk = max(1, MOST // (widest * max(1, projections) * max(1, len(graph.relaxed))))
    y = predictions(model, x, chunk) if y is None else y
    with exact(x), torch.no_grad():
        parts = [
            _margins(graph, xs, ys, threat, projections, estimator, generator)
            for xs, ys in zip(x.split(chunk), y.split(chunk), strict=True)
        ]
    return Estimate(y, torch.cat(parts))
