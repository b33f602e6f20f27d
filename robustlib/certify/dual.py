"""The convex dual bound, layer by layer (Wong & Kolter 2018, Theorem 1 and Algorithm 1), on any traced graph.

A linear function of a layer is carried back to the input as rows; at a ReLU with pre-activation in [l, u] it meets the
relaxation: nothing where u <= 0, the identity where l >= 0, and where l < 0 < u the upper line u (z - l) / (u - l) for
entries below zero and a lower line through the origin for the others. In the paper's signs rows are -nu.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from ..errors import RobustlibError, suggest
from .curves import Curve
from .operations import Add, Graph, Greater, Input, Relu, Reshape, Scale, Take
from .region import Region
from .rows import Rows, Shape, Unit, plus

SLOPES = ("fixed", "adaptive")
HIDDEN = 0.1
"""Share of its terms' magnitudes by which a hidden bound of four terms counts as rounded, where the last bound counts
whole."""
BOTH = 2.05
"""More than the largest slopes of a curve and of its lines together, in slopes of the curve."""


def hidden_share(region: Region) -> float:
    """:data:`HIDDEN`, and less of more inputs: what many terms are off by does not add up, but grows as their root."""
    return HIDDEN * min(1.0, 2 / math.sqrt(max(1, region.center[:1].numel())))


@dataclass(frozen=True)
class Relaxation:
    """One activation's lines: a ReLU's z is above ``low`` zhat and below ``slope`` (zhat - floor).

    Attributes:
        lower, upper: (N, *shape) bounds l and u on zhat.
        slope: 0 where dead, 1 where active, u / (u - l) between.
        floor: l where l < 0 < u, else 0.
        low: slopes of the lower line, in [0, 1] where l < 0 < u and ``slope`` elsewhere; None: ``slope`` itself.
        under, over: of a curve, whose z is between ``slope`` zhat + under and ``slope`` zhat + over; of a ReLU None.
        steep: by how much z, or a line, moves at most for a unit of zhat.
        size: what rounding may have cut off ``lower`` and ``upper``, a share of their terms' magnitudes; None: it was
            not asked for.
    """

    lower: Tensor
    upper: Tensor
    slope: Tensor
    floor: Tensor
    low: Tensor | None
    under: Tensor | None = None
    over: Tensor | None = None
    steep: Tensor | float = 1.0
    size: Tensor | None = None

    @property
    def crossing(self) -> Tensor:
        """(N, *shape) bool: l < 0 < u; of a curve, whose lines are exact nowhere, always."""
        return (
            (self.lower < 0) & (self.upper > 0) if self.under is None else torch.ones_like(self.lower, dtype=torch.bool)
        )

    @property
    def active(self) -> Tensor:
        """(N, *shape) bool: a ReLU is the identity."""
        return (self.lower >= 0) & ~self.crossing

    @property
    def dead(self) -> Tensor:
        """(N, *shape) bool: a ReLU is zero."""
        return (self.upper <= 0) & (self.lower < 0) & ~self.crossing

    @property
    def band(self) -> tuple[Tensor, Tensor]:
        """(N, *shape) middle of the band between its lines above ``slope`` zhat, for one slope; half its height."""
        if self.under is None or self.over is None:
            half = -self.slope * self.floor / 2
            return half, half
        return (self.over + self.under) / 2, (self.over - self.under) / 2


def relax(lower: Tensor, upper: Tensor, slopes: str = "fixed", activation: Relu | None = None) -> Relaxation:
    """The relaxation for bounds l <= u.

    Args:
        lower, upper: (N, *shape).
        activation: whose; None: a ReLU. Those of a curve are parallel, whatever ``slopes`` says.
        slopes: "fixed" gives the lower line the upper one's slope u / (u - l), so that one set of rows bounds both
            ways (Wong & Kolter 2018, Algorithm 1); "adaptive" takes 1 where u > -l and else 0, the line that leaves
            the smaller area (Zhang et al. 2018, "CROWN", section 3.3).
    """
    if isinstance(activation, Curve):
        slope, under, over = activation.lines(lower, upper)
        steep = BOTH * activation.steepness(lower, upper)
        return Relaxation(lower, upper, slope, torch.zeros_like(slope), None, under, over, steep)
    crossing = (lower < 0) & (upper > 0)
    zero, one = torch.zeros_like(lower), torch.ones_like(lower)
    # The quotient is formed on crossing units alone: 0 / 0 has no derivative either.
    rise = torch.where(crossing, upper, one) / torch.where(crossing, upper - lower, one)
    slope = torch.where(crossing, rise, torch.where(lower >= 0, one, zero))
    # A bound that is no number proves nothing; in comparisons it would look like a unit that is never positive.
    slope = torch.where(lower.isnan() | upper.isnan(), torch.nan, slope)
    low = torch.where(crossing, (upper > -lower).to(lower), slope) if slopes == "adaptive" else None
    return Relaxation(lower, upper, slope, torch.where(crossing, lower, zero), low)


@dataclass
class Bound:
    """Sums accumulated on the way back: terms common to both ends, and the intercepts of each."""

    common: Tensor | float = 0.0
    below: Tensor | float = 0.0
    above: Tensor | float = 0.0
    size: Tensor | float = 0.0
    """Sum of the terms' magnitudes, from which rounding is judged; only where it was requested."""


def _past_relu(rows: Rows, at: Relaxation, bound: Bound, *, sized: bool) -> Rows:
    """Rows on z = relu(zhat) as rows on zhat, with the intercepts of the upper lines: sum of l [nu]_+ in the paper."""
    if sized and at.size is not None:
        # What rounding may have cut off [l, u].
        bound.size = bound.size + rows.map(torch.abs).pair(at.steep * at.size)
    if at.under is not None and at.over is not None:
        (falls_over, rises_over), (falls_under, rises_under) = rows.by_sign(at.over), rows.by_sign(at.under)
        bound.below = bound.below + falls_over + rises_under
        bound.above = bound.above + falls_under + rises_over
        if sized:
            # The intercepts are differences of values of this size.
            reach = at.over.abs() + at.under.abs() + at.slope.abs() * torch.maximum(at.lower.abs(), at.upper.abs())
            bound.size = bound.size + rows.map(torch.abs).pair(reach)
        return rows.times(at.slope)
    if at.low is None:
        rows = rows.times(at.slope)
    else:
        falling, rising = rows.map(partial(torch.clamp, max=0)), rows.map(partial(torch.clamp, min=0))
        rows = plus(falling.times(at.slope), rising.times(at.low), tuple(at.slope.shape[1:]))
    below, above = rows.by_sign(at.floor)
    bound.below, bound.above = bound.below - below, bound.above - above
    if sized:
        bound.size = bound.size + below - above
    return rows


def carry(
    graph: Graph, rows: Rows, at: int, relaxations: dict[int, Relaxation], region: Region, *, sized: bool = False
) -> tuple[Tensor, Tensor, Tensor | float]:
    """Bounds over the region on linear functions of node ``at``.

    Args:
        graph: of the network.
        rows: the functions.
        at: position of the node that they are functions of.
        relaxations: of every ReLU before it.
        region: where the input may be.
        sized: also add up the magnitudes of all terms.

    Returns:
        (N, rows) lower bounds; upper bounds, which hold for "fixed" slopes alone; and sums of magnitudes, 0 where
        not ``sized``.
    """
    waiting, bound = {at: rows}, Bound()

    for position in range(at, 0, -1):
        if position not in waiting:
            continue
        rows, node = waiting.pop(position), graph.nodes[position]
        if isinstance(node.operation, Relu):
            rows = _past_relu(rows, relaxations[position], bound, sized=sized)
        elif not isinstance(node.operation, Add | Input):
            offset = node.operation.offset(node.shape)
            if offset is not None:
                bound.common = bound.common + rows.pair(offset)
                if sized:
                    bound.size = bound.size + rows.map(torch.abs).pair(offset.abs())
            rows = node.operation.back(rows, graph.nodes[node.inputs[0]].shape, node.shape)
        for place in node.terms:
            waiting[place] = plus(waiting[place], rows, graph.nodes[place].shape) if place in waiting else rows
    least, greatest = region.range_of(waiting[0])
    if sized:
        bound.size = bound.size + waiting[0].map(torch.abs).pair(region.center.abs() + region.radius)
    return least + bound.common + bound.below, greatest + bound.common + bound.above, bound.size


def unit(shape: Shape, part: slice, like: Tensor) -> Unit:
    """The rows that pick the units ``part`` of a layer."""
    return Unit(like.new_ones(1, shape[0], *[1] * (len(shape) - 1)), shape, part)


def pre_activation_bounds(
    graph: Graph, region: Region, *, slopes: str = "fixed", elements: int | None = None, sized: bool = False
) -> dict[int, Relaxation]:
    """The relaxation of every ReLU, its bounds found from those before it (Algorithm 1).

    Args:
        graph: of the network.
        region: where the input may be.
        slopes: as for :func:`relax`.
        elements: rows are taken in parts that hold about so many numbers; None: all at once.
        sized: also add up the magnitudes of each bound's terms.
    """
    check_slopes(slopes)
    found: dict[int, Relaxation] = {}
    known: dict[int, Ends] = {}
    share = hidden_share(region)

    def bounded(place: int) -> Ends:
        """Ends of a node's values, and the sums of their terms' magnitudes."""
        shape = graph.nodes[place].shape
        held = len(region.center) * width(graph, place)
        step = shape[0] if elements is None else max(1, elements * shape[0] // max(1, held))
        ends = []
        for first in range(0, shape[0], step):
            rows = unit(shape, slice(first, first + step) if step < shape[0] else slice(None), region.center)
            lower, upper, size = carry(graph, rows, place, found, region, sized=sized)
            if slopes == "adaptive":
                # Lower lines differ by the sign of an entry: -z has separate rows.
                upper, _, other = carry(graph, rows.map(torch.neg), place, found, region, sized=sized)
                upper, size = -upper, size + other
            ends.append((lower, upper, torch.zeros_like(lower) + size if sized else lower))
        lower, upper, sizes = (torch.cat(parts, 1).unflatten(1, shape) for parts in zip(*ends, strict=True))
        return lower, upper, sizes

    def source(place: int) -> Ends:
        if place in found:
            at = found[place]
            low, high = graph.activation(place).range_of(at.lower, at.upper)
            reach = torch.maximum(low.abs(), high.abs())
            return low, high, at.steep * at.size / share + reach if at.size is not None else low
        return bounded(place)

    for position in graph.relus:
        before = graph.nodes[position].inputs[0]
        for place in carried(graph, before):
            if place not in known:
                known[place] = source(place)
        lower, upper, sizes = _composed(graph, before, known)
        at = relax(lower, upper, slopes, graph.activation(position))
        found[position] = replace(at, size=share * sizes) if sized else at
    return found


Ends = tuple[Tensor, Tensor, Tensor]
COPIES = 4
"""A sum of copies of so many times fewer values is bounded by the bounds of these: looser, since it forgets what they
have in common, and cheaper."""


def _sources(graph: Graph, at: int, used: Tensor) -> Iterator[tuple[int, Tensor, bool]]:
    """Nodes of whose values the ``used`` ones of node ``at`` are copies, scaled and added up; which; are any added?"""
    node = graph.nodes[at]
    if isinstance(node.operation, Greater) or not isinstance(node.operation, Take | Reshape | Scale | Add):
        yield at, used, False
        return
    if isinstance(node.operation, Take):
        used = node.operation.index[used]
        used = used[used >= 0].unique()
    for place in node.terms:
        for source, values, added in _sources(graph, place, used):
            yield source, values, added or len(node.terms) > 1


def carried(graph: Graph, at: int) -> set[int]:
    """Nodes from whose bounds those of node ``at`` are found: itself, or those that it is made of many copies of."""
    units = math.prod(graph.nodes[at].shape)
    sources = list(_sources(graph, at, torch.arange(units)))
    few, copies = sum(len(values) for _, values, _ in sources), any(added for *_, added in sources)
    return {place for place, *_ in sources} if few * (COPIES if copies else 1) < units else {at}


def _composed(graph: Graph, at: int, known: dict[int, Ends]) -> Ends:
    """Ends of a node's values from those of the nodes that it is made of."""
    if at in known:
        return known[at]
    node = graph.nodes[at]
    (lower, upper, size), *others = (_composed(graph, place, known) for place in node.terms)
    operation = node.operation
    if isinstance(operation, Add):
        ((low, high, more),) = others
        return lower + low, upper + high, size + more
    if isinstance(operation, Scale):
        factor, shift = operation.factor, operation.shift
        rising, falling = factor.clamp_min(0), factor.clamp_max(0)
        ends = lower * rising + upper * falling + shift, upper * rising + lower * falling + shift
        return *ends, size * factor.abs() + shift.abs()
    assert isinstance(operation, Take | Reshape)
    return operation.forward(lower), operation.forward(upper), operation.forward(size)


def check_slopes(slopes: str) -> None:
    """Raise RobustlibError unless this is one of :data:`SLOPES`."""
    if slopes not in SLOPES:
        raise RobustlibError(suggest("slopes", slopes, SLOPES))


def width(graph: Graph, at: int) -> int:
    """Numbers that the rows of a node's units hold at their widest, for one example.

    At the node itself they hold none: a unit's row is a place.
    """
    return math.prod(graph.nodes[at].shape) * max((math.prod(node.shape) for node in graph.nodes[:at]), default=1)
