"""Floating-point operations of a forward pass, an attack's step, a certificate and a training update.

Counted on PyTorch's "meta" device, which knows shapes and computes nothing: matrix products and convolutions alone,
2 operations to a multiply-add.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ..certify.certificate import margins_in, objectives
from ..certify.dual import carry
from ..certify.projection import projected_bounds
from ..certify.region import Region
from ..certify.trace import trace
from ..data.registry import facts_of
from ..models import ModelSpec, build
from ..spec.network import Network
from ..threat import LinfBall

What = tuple[ModelSpec, tuple[int, ...], int]
"""Model, shape of its inputs, number of classes: all that the operations depend on."""
BALL = LinfBall(0.1)
"""Ball in place of any other: radius and norm hardly change the operations."""
LANES, IMAGES = 16, (1, 3)
"""Numbers in a vector, and numbers of channels for which convolutions have a special implementation."""
EXAMPLES = 2
"""Batch that is counted; a single example takes short cuts."""


class Counter(TorchDispatchMode):
    """Operations of each matrix product and convolution called in the block, by the formulas of torch's flop counter.

    ``FlopCounterMode`` itself cannot run code that looks at values or draws random numbers, and takes three times as
    long.

    Attributes:
        flops: those that the arithmetic needs.
        issued: those that a device does for them: a convolution of fewer channels than a vector has lanes leaves the
            others idle.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        from torch.utils.flop_counter import flop_registry  # imports a compiler

        self.formulas = flop_registry
        self.flops: list[float] = []
        self.issued: list[float] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default and args[0].is_meta:
            return 0  # the value of a tensor that has none: mostly a test whether inputs and labels are in range
        # Functions that would draw random numbers on this device take no generator of a real one.
        kwargs = {name: None if name == "generator" else value for name, value in (kwargs or {}).items()}
        result = func(*args, **kwargs)
        if count := self.formulas.get(func._overloadpacket):
            self.flops.append(float(count(*args, **kwargs, out_val=result)))
            narrow = args[1].shape[:2] if func._overloadpacket is torch.ops.aten.convolution else ()
            idle = math.prod(LANES * math.ceil(n / LANES) / n for n in narrow if n not in IMAGES)
            self.issued.append(self.flops[-1] * idle)
        return result


@functools.cache
def _network(what: What) -> nn.Module:
    """The model on the device that computes nothing."""
    model, shape, classes = what
    with torch.device("meta"):
        return build(model, input_shape=shape, classes=classes, generator=torch.Generator()).eval()


@contextmanager
def _shapes(what: What) -> Iterator[tuple[nn.Module, Tensor, Tensor]]:
    """The model and a batch there, and new tensors too."""
    with torch.device("meta"):
        yield _network(what), torch.empty(EXAMPLES, *what[1]), torch.zeros(EXAMPLES, dtype=torch.int64)


@functools.cache
def _forward(what: What) -> tuple[float, float, float]:
    """Operations of a forward pass, of its first layer, and those issued, for one example."""
    with _shapes(what) as (model, x, _), torch.no_grad(), Counter() as counter:
        model(x)
    total, first, issued = sum(counter.flops), counter.flops[0], sum(counter.issued)
    return total / EXAMPLES, first / EXAMPLES, issued / EXAMPLES


@functools.cache
def _certificate(what: What, method: str, slopes: str, projections: int) -> float:
    """Operations of lower bounds on all margins of one example."""
    generator = torch.Generator()
    with _shapes(what) as (model, x, y):
        with Counter():
            graph, region = trace(model, x), Region.around(x, BALL)
        with Counter() as counter:
            if projections:
                found = projected_bounds(
                    graph, region, projections=projections, estimator="median", generator=generator
                )
                carry(graph, objectives(y, graph.classes, x), len(graph.nodes) - 1, found, region)
            else:
                margins_in(graph, y, region, method=method, slopes=slopes)
    return sum(counter.flops) / EXAMPLES


@dataclass(frozen=True)
class Price:
    """Operations for one example, as measurements and trainings add them up.

    Args:
        issued: with those of idle lanes, in proportion to a forward pass: for estimates of time.
    """

    issued: bool = False

    def _times(self, network: Network, operations: float) -> float:
        total, _, issued = _forward(_what(network))
        return operations * issued / total if self.issued else operations

    def forward(self, network: Network) -> float:
        """A forward pass."""
        return self._times(network, _forward(_what(network))[0])

    def step(self, network: Network) -> float:
        """One pass of an attack, as ``passes`` counts them: a step is two, forward and back to the input."""
        return self.forward(network)

    def certificate(
        self, network: Network, *, method: str = "dual", slopes: str = "fixed", projections: int = 0
    ) -> float:
        """Lower bounds on all margins; with projections, their estimate."""
        return self._times(network, _certificate(_what(network), method, slopes, projections))

    def update(self, network: Network) -> float:
        """The mean update of a training, of its whole batch."""
        defence, (forward, first, _) = network.defence, _forward(_what(network))
        # A gradient takes twice the operations of its function.
        example = 3 * sum(share * _certificate(_what(network), *how) for share, *how in defence.bounds if share)
        if not defence.bounds:
            # Backwards to the weights and to the input take as much as forwards, but the data ask for no gradient.
            example = (3 * forward - first) * defence.points + 2 * forward * defence.mean_steps
        return self._times(network, example) * network.schedule.batch


def _what(network: Network) -> What:
    return network.model, facts_of(network.dataset).shape, network.outputs
