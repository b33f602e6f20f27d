"""Certificates: lower bounds on the margins of one class over the others, and the conclusions that they allow."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ..errors import RobustlibError, suggest
from ..threat import Ball, check_labels
from .dual import Relaxation, carried, carry, check_slopes, pre_activation_bounds, relaxation, width
from .interval import ends, interval_bounds, interval_sizes
from .memory import elements
from .operations import Add, Graph, Input, Product, Relu
from .region import Region
from .rows import Dense
from .trace import check_model, exact, predictions, trace

METHODS = ("dual", "interval", "hybrid")
KINDS = ("active", "dead", "unstable")
ROUNDING = 20
"""Machine epsilons, times the sum of the magnitudes of a bound's terms, by which a margin must be positive."""


@dataclass(frozen=True)
class Layer:
    """States of one activation's units by their bounds, counted for each example.

    Attributes:
        name: of the activation in the model.
        units: number of its units.
        active, dead, unstable: (N,) units with l >= 0; with u <= 0; with l < 0 < u. Without corners, all are unstable.
    """

    name: str
    units: int
    active: Tensor
    dead: Tensor
    unstable: Tensor


@dataclass(frozen=True)
class Certificate:
    """Proven lower bounds for one batch; nothing in it is an estimate.

    Attributes:
        labels: (N,) the classes that were certified.
        margins: (N, K) lower bounds on logit[label] - logit[k] over the region; 0 at k = label.
        slack: (N, K) bound on the rounding in them, stated and not proven.
        layers: statistics of every activation.
    """

    labels: Tensor
    margins: Tensor
    slack: Tensor
    layers: tuple[Layer, ...]

    @property
    def certified(self) -> Tensor:
        """(N,) bool: no point of the region has another class (Wong & Kolter 2018, Corollary 1)."""
        sure = self.margins > self.slack
        return sure.scatter(1, self.labels[:, None], True).all(1)


def begin(model: nn.Module, x: Tensor, y: Tensor | None, threat: Ball) -> tuple[Graph, Tensor]:
    """The model's graph, and x in a form that bounds can be differentiated with.

    Raises:
        RobustlibError: naming the argument, unless the call makes sense; as :func:`robustlib.certify.trace.trace`.
    """
    check_model(model, x)
    if not isinstance(threat, Ball):
        raise RobustlibError(f"threat is a {type(threat).__name__}; give a LinfBall or an L2Ball")
    x = threat.within_rounding(x)
    graph = trace(model, x, threat)
    if y is not None:
        check_labels(x, y, classes=graph.classes)
    if x.is_inference():
        with torch.inference_mode(False):
            x = x.clone()
    return graph, x


def objectives(y: Tensor, classes: int, like: Tensor) -> Dense:
    """Rows e_y - e_k for every class k: (N, K, K), the matrix e_y 1' - I of Theorem 2."""
    eye = torch.eye(classes, dtype=like.dtype, device=like.device)
    return Dense(eye[y][:, None] - eye)


def margins_in(
    graph: Graph, y: Tensor, region: Region, *, method: str, slopes: str, sized: bool = False
) -> tuple[Tensor, Tensor | float, dict[int, Relaxation]]:
    """(N, K) lower bounds over the region, the sums of their terms' magnitudes if ``sized``, and the relaxations."""
    if method not in METHODS:
        raise RobustlibError(suggest("method", method, METHODS))
    check_slopes(slopes)
    last = len(graph.nodes) - 1
    rows = objectives(y, graph.classes, region.center)
    if method == "dual":
        held = None if torch.is_grad_enabled() else elements(region.center)
        relaxations = pre_activation_bounds(graph, region, slopes=slopes, elements=held, sized=sized)
        lower, _, size = carry(graph, rows, last, relaxations, region, sized=sized)
        return lower, size, relaxations
    boxes = interval_bounds(graph, region)
    inputs = {i: graph.nodes[i].inputs for i in graph.relaxed}
    relaxations = {i: relaxation(graph, i, [ends(boxes[j]) for j in before], slopes) for i, before in inputs.items()}
    sizes = interval_sizes(graph, boxes) if sized else []
    if sized:
        relaxations = {i: at.with_sizes([sizes[j] for j in inputs[i]]) for i, at in relaxations.items()}
    if method == "hybrid":
        lower, _, size = carry(graph, rows, last, relaxations, region, sized=sized)
        return lower, size, relaxations
    # The last operation is merged with the objective: two logits share their inputs, which their boxes would forget.
    node, tail = graph.nodes[last], Graph((graph.nodes[0],))
    if not isinstance(node.operation, Add | Relu | Product | Input):
        tail = Graph((graph.nodes[node.inputs[0]], replace(node, inputs=(0,))))
    start = last - len(tail.nodes) + 1 if len(tail.nodes) == 1 else node.inputs[0]
    lower, _, size = carry(tail, rows, len(tail.nodes) - 1, {}, boxes[start], sized=sized)
    if sized:
        # Rounding in the box that the last operation begins from.
        box = Region(torch.zeros_like(sizes[start]), sizes[start])
        least, greatest, _ = carry(tail, rows, len(tail.nodes) - 1, {}, box)
        size = size + (greatest - least) / 2
    return lower, size, relaxations


def slack_of(lower: Tensor, size: Tensor | float) -> Tensor:
    """(N, K) allowance for rounding in bounds whose terms have these magnitudes."""
    return ROUNDING * torch.finfo(lower.dtype).eps * (torch.zeros_like(lower) + size)


def examples_at_a_time(graph: Graph, x: Tensor, chunk: int | None) -> int:
    """``chunk``, or as many examples like x as fit the free memory."""
    if chunk is None:
        before = {place for i in graph.relaxed for place in graph.nodes[i].inputs}
        places = {source for place in before for source in carried(graph, place)}
        widest = max((width(graph, place) for place in places), default=1)
        return max(1, elements(x) // widest)
    if not isinstance(chunk, int) or chunk < 1:
        raise RobustlibError(f"chunk={chunk!r}; give 1 example at a time or more")
    return chunk


def margins(
    model: nn.Module, x: Tensor, y: Tensor, threat: Ball, *, method: str = "dual", slopes: str = "fixed"
) -> Tensor:
    """Lower bounds on logit[y] - logit[k] over each example's ball, differentiable to the weights.

    ``cross_entropy(-margins(model, x, y, threat), y)`` is the robust loss, an upper bound on the worst cross-entropy
    in the ball (Wong & Kolter 2018, Theorem 2); it differentiates through activation bounds and slopes, all but the
    choice of which units cross zero.

    Args:
        model: (N, ...) inputs to (N, K) logits, of the operations in ``robustlib.certify.SUPPORTED``.
        x: (N, ...) inputs in the threat's domain.
        y: (N,) int64 labels.
        threat: l_inf or l_2 ball; domain None gives the unclipped ball of the paper.
        method: "dual"; "interval" for the looser and cheaper interval bounds; or "hybrid", one pass of the dual over
            the interval bounds of the layers, nearly as cheap (Zhang et al. 2020, "CROWN-IBP", section 3.2).
        slopes: of the dual's lower lines, "fixed" (the paper's) or "adaptive" (CROWN's).

    Returns:
        (N, K) lower bounds in logits, 0 at k = y.

    Raises:
        RobustlibError: an operation without a bound, or arguments that do not fit.
    """
    if y is None:
        raise RobustlibError("y of margins is None; give (N,) int64 labels, such as model(x).argmax(1)")
    graph, x = begin(model, x, y, threat)
    with exact(x):
        return margins_in(graph, y, Region.around(x, threat), method=method, slopes=slopes)[0]


def certify(
    model: nn.Module,
    x: Tensor,
    y: Tensor | None,
    threat: Ball,
    *,
    method: str = "dual",
    slopes: str = "fixed",
    chunk: int | None = None,
) -> Certificate:
    """Certificates for a batch, in bounded memory.

    Args:
        model, x, threat, method, slopes: as for :func:`margins`.
        y: (N,) int64 labels; None: the classes that the model predicts at x.
        chunk: examples at a time; None: as many as fit the free memory.

    Returns:
        Margins, their slack and the statistics of each activation, detached.

    Raises:
        RobustlibError: as :func:`margins`; chunk below 1.

    Source: Wong & Kolter 2018, Theorem 1, Algorithm 1 and Corollary 1.
    """
    graph, x = begin(model, x, y, threat)
    chunk = examples_at_a_time(graph, x, chunk)
    y = predictions(model, x, chunk) if y is None else y
    with exact(x), torch.no_grad():
        parts = [
            _certificate(graph, xs, ys, threat, method, slopes)
            for xs, ys in zip(x.split(chunk), y.split(chunk), strict=True)
        ]
    layers = tuple(
        Layer(same[0].name, same[0].units, *(torch.cat([getattr(layer, kind) for layer in same]) for kind in KINDS))
        for same in zip(*(part.layers for part in parts), strict=True)
    )
    bounds, slack = (torch.cat([getattr(part, name) for part in parts]) for name in ("margins", "slack"))
    return Certificate(y, bounds, slack, layers)


def _certificate(graph: Graph, x: Tensor, y: Tensor, threat: Ball, method: str, slopes: str) -> Certificate:
    region = Region.around(x, threat)
    lower, size, relaxations = margins_in(graph, y, region, method=method, slopes=slopes, sized=True)
    layers = []
    for position in graph.relus:
        at = relaxations[position]
        counts = [kind.flatten(1).sum(1) for kind in (at.active, at.dead, at.crossing)]
        layers.append(Layer(graph.nodes[position].name, at.lower[:1].numel(), *counts))
    return Certificate(y, lower, slack_of(lower, size), tuple(layers))
