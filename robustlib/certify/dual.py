"""The convex dual bound, layer by layer (Wong & Kolter 2018, Theorem 1 and Algorithm 1), on any traced graph.

A linear function of a layer is carried back to the input as rows; at a ReLU with pre-activation in [l, u] it meets the
relaxation: nothing where u <= 0, the identity where l >= 0, and where l < 0 < u the upper line u (z - l) / (u - l) for
entries below zero and a lower line through the origin for the others. In the paper's signs rows are -nu. At a product
they meet two planes, and go on to both factors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from ..errors import RobustlibError, suggest
from .curves import Curve
from .operations import Add, Conv, Graph, Greater, Input, Linear, Product, Relu, Reshape, Scale, Take, by_sign
from .region import Region
from .rows import Rows, Shape, Unit, plus

SLOPES = ("fixed", "adaptive")
Ends = tuple[Tensor, Tensor]
"""Lower and upper bounds."""
Sized = tuple[Tensor, Tensor, Tensor]
"""The same, and the sums of their terms' magnitudes."""
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
        other: of a product, the lines of its second factor, whose terms are added; else None.
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
    other: Relaxation | None = None

    @property
    def parts(self) -> tuple[Relaxation, ...]:
        """The lines of each input."""
        return (self,) if self.other is None else (self, self.other)

    def with_sizes(self, sizes: Sequence[Tensor]) -> Relaxation:
        """The same with ``size`` of each input."""
        other = None if self.other is None else replace(self.other, size=sizes[1])
        return replace(self, size=sizes[0], other=other)

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


def planes(left: Ends, right: Ends) -> Relaxation:
    """A product x y around the middles x0, y0 of its factors' bounds: y0 x + x0 y - x0 y0, give or take rx ry.

    Args:
        left, right: (lower, upper) of each factor, (N, *shape); rx and ry are half their widths.

    Source: the mean of the two planes below, and of the two above, of McCormick (1976), "Computability of global
    solutions to factorable nonconvex programs, part I", which makes them parallel.
    """
    (x0, rx), (y0, ry) = (((upper + lower) / 2, (upper - lower) / 2) for lower, upper in (left, right))
    middle, half, none = -x0 * y0, rx * ry, torch.zeros_like(x0)
    steep = [BOTH * torch.maximum(lower.abs(), upper.abs()) for lower, upper in (right, left)]
    second = Relaxation(*right, x0, none, None, none, none, steep[1])
    return Relaxation(*left, y0, none, None, middle - half, middle + half, steep[0], other=second)


def relaxation(graph: Graph, at: int, ends: Sequence[Ends], slopes: str = "fixed") -> Relaxation:
    """The relaxation of one of ``graph.relaxed``, for the bounds (lower, upper) of each of its inputs."""
    if isinstance(graph.nodes[at].operation, Product):
        return planes(*ends)
    return relax(*ends[0], slopes, graph.activation(at))


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
        relaxations: of every activation and product before it.
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
        parts = [rows] * len(node.terms)
        if isinstance(node.operation, Relu | Product):
            parts = [_past_relu(rows, at, bound, sized=sized) for at in relaxations[position].parts]
        elif not isinstance(node.operation, Add | Input):
            offset = node.operation.offset(node.shape)
            if offset is not None:
                bound.common = bound.common + rows.pair(offset)
                if sized:
                    bound.size = bound.size + rows.map(torch.abs).pair(offset.abs())
            parts = [node.operation.back(rows, graph.nodes[node.inputs[0]].shape, node.shape)]
        for place, part in zip(node.terms, parts, strict=True):
            waiting[place] = plus(waiting[place], part, graph.nodes[place].shape) if place in waiting else part
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
    """The relaxation of every activation and product, its bounds found from those before it (Algorithm 1).

    Args:
        graph: of the network.
        region: where the input may be.
        slopes: as for :func:`relax`.
        elements: rows are taken in parts that hold about so many numbers; None: all at once.
        sized: also add up the magnitudes of each bound's terms.
    """
    check_slopes(slopes)
    found: dict[int, Relaxation] = {}
    known: dict[int, Sized] = {}
    share = hidden_share(region)

    def bounded(place: int) -> Sized:
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

    def range_of(place: int) -> Sized | None:
        """Range of an activation or a product, and of the input; None: of other nodes."""
        if place == 0:
            low, high = region.center - region.radius, region.center + region.radius
            return low, high, region.center.abs() + region.radius
        if place not in found:
            return None
        parts = found[place].parts
        low, high = graph.range_of(place, [(at.lower, at.upper) for at in parts])
        size = torch.maximum(low.abs(), high.abs())
        for at in parts if sized else ():
            size = size + at.steep * at.size / share  # type: ignore[operator]
        return low, high, size

    for position in graph.relaxed:
        inputs = graph.nodes[position].inputs
        for place in (place for before in inputs for place in carried(graph, before)):
            if place not in known:
                # A product's factors may have much in common, which its bounds as a function of the input keep.
                alone = place in found and found[place].other is None
                known[place] = (range_of(place) if alone else None) or bounded(place)
        ends = [_composed(graph, before, known.get) for before in inputs]
        operation = graph.nodes[position].operation
        if isinstance(operation, Curve) and operation.positive:
            # Lines let a sum of squares or of exponentials fall below zero; the ranges of its terms do not.
            ends = [_narrower(ends[0], _composed(graph, inputs[0], range_of))]
        at = relaxation(graph, position, [(lower, upper) for lower, upper, _ in ends], slopes)
        found[position] = at.with_sizes([share * sizes for *_, sizes in ends]) if sized else at
    return found


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


def _narrower(one: Sized, other: Sized) -> Sized:
    """What both say; one that overflowed says nothing."""
    return torch.fmax(one[0], other[0]), torch.fmin(one[1], other[1]), torch.fmax(one[2], other[2])


def _composed(graph: Graph, at: int, known: Callable[[int], Sized | None]) -> Sized:
    """Ends of a node's values from those that are known of the nodes that it is made of."""
    already = known(at)
    if already is not None:
        return already
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
    if isinstance(operation, Linear | Conv):
        # Not middle and half width: in float32 their difference may be zero, where a sum of exponentials is large.
        positive, negative = by_sign(operation)
        offset, size = operation.offset(node.shape), operation.spread(size)
        low, high = (positive.forward(a) + negative.forward(b) for a, b in ((lower, upper), (upper, lower)))
        return (low, high, size) if offset is None else (low + offset, high + offset, size + offset.abs())
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
