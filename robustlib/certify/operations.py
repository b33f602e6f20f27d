"""The operations that bounds are known for: each forward, on magnitudes, and carrying rows back.

An affine operation z = W z' + b sends a . z to (W' a) . z' + a . b. Activations and products are relaxed; their part of
the bound is in :mod:`robustlib.certify.dual`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from .rows import Kernel, Rows, Shape


@dataclass(frozen=True)
class Linear:
    """W z + b along the last axis, W (out, in)."""

    weight: Tensor
    bias: Tensor | None

    def forward(self, z: Tensor) -> Tensor:
        return functional.linear(z, self.weight, self.bias)

    def spread(self, radius: Tensor) -> Tensor:
        """|W| radius: how far the output moves when each input moves so far."""
        return functional.linear(radius, self.weight.abs())

    def back(self, rows: Rows, before: Shape, after: Shape) -> Rows:
        """Rows on the output as rows on the input."""
        return rows.linear(self.weight, after)

    def offset(self, after: Shape) -> Tensor | None:
        """(1, *after) constant that is added; None: nothing."""
        return None if self.bias is None else self.bias.expand(1, *after)


@dataclass(frozen=True)
class Conv:
    """A convolution or an average pool, with zeros around the map."""

    kernel: Kernel
    bias: Tensor | None

    def forward(self, z: Tensor) -> Tensor:
        found = self.kernel.forward(z)
        return found if self.bias is None else found + self.bias[:, None, None]

    def spread(self, radius: Tensor) -> Tensor:
        k = self.kernel
        return Kernel(k.weight.abs(), k.stride, k.padding, k.dilation, k.groups).forward(radius)

    def back(self, rows: Rows, before: Shape, after: Shape) -> Rows:
        return rows.conv(self.kernel, before, after)

    def offset(self, after: Shape) -> Tensor | None:
        return None if self.bias is None else self.bias[None, :, None, None].expand(1, *after)


@dataclass(frozen=True)
class Scale:
    """Factor z + shift, elementwise: batch norm in eval mode, normalisation; both (n,), (C, 1, 1) or (C, H, W)."""

    factor: Tensor
    shift: Tensor

    def forward(self, z: Tensor) -> Tensor:
        return z * self.factor + self.shift

    def spread(self, radius: Tensor) -> Tensor:
        return radius * self.factor.abs()

    def back(self, rows: Rows, before: Shape, after: Shape) -> Rows:
        return rows.times(self.factor[None])

    def offset(self, after: Shape) -> Tensor | None:
        return self.shift[None].expand(1, *after)


@dataclass(frozen=True)
class Reshape:
    """Change of one example's shape; the values stay."""

    shape: Shape

    def forward(self, z: Tensor) -> Tensor:
        return z.reshape(-1, *self.shape)

    def spread(self, radius: Tensor) -> Tensor:
        return self.forward(radius)

    def back(self, rows: Rows, before: Shape, after: Shape) -> Rows:
        return rows.reshape(before, after)

    def offset(self, after: Shape) -> Tensor | None:
        return None


@dataclass(frozen=True)
class Take:
    """Copies of values in other places.

    Attributes:
        index: flat place before of each value after, in order; -1: it is zero.
        shape: of one example's output.
    """

    index: Tensor
    shape: Shape

    def forward(self, z: Tensor) -> Tensor:
        found = z.flatten(1).index_select(1, self.index.clamp_min(0)).masked_fill(self.index < 0, 0)
        return found.view(-1, *self.shape)

    def spread(self, radius: Tensor) -> Tensor:
        return self.forward(radius)

    def back(self, rows: Rows, before: Shape, after: Shape) -> Rows:
        return rows.dense(after).put(self.index, before)

    def offset(self, after: Shape) -> Tensor | None:
        return None


@dataclass(frozen=True)
class Add:
    """The sum of two branches."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return left + right


@dataclass(frozen=True)
class Greater(Add):
    """The greater of z and z', as the sum of z and relu(z' - z).

    Its third input is z' itself: no term of the sum, it only tells intervals what the sum is.
    """


@dataclass(frozen=True)
class Relu:
    """max(z, 0)."""

    def forward(self, z: Tensor) -> Tensor:
        return z.clamp_min(0)

    def range_of(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Least and greatest value over [lower, upper]."""
        return lower.clamp_min(0), upper.clamp_min(0)

    def steepness(self, lower: Tensor, upper: Tensor) -> Tensor | float:
        """Largest size of the derivative over [lower, upper]."""
        return 1.0


@dataclass(frozen=True)
class Product:
    """The product of two branches."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return left * right

    def range_of(self, left: tuple[Tensor, Tensor], right: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Least and greatest value over two intervals, each (lower, upper)."""
        first, *corners = (one * other for one in left for other in right)
        low = high = first
        for corner in corners:
            low, high = torch.minimum(low, corner), torch.maximum(high, corner)
        return low, high


@dataclass(frozen=True)
class Input:
    """The network's input."""

    def forward(self, z: Tensor) -> Tensor:
        return z


Affine = Linear | Conv | Scale | Reshape | Take
Operation = Affine | Add | Relu | Product | Input


def average_pool(before: Tensor, size: Shape, stride: tuple[int, int], padding: tuple[int, int]) -> Conv:
    """The mean over cells of the (N, C, H, W) values before, zeros of the padding included."""
    channels = before.shape[1]
    weight = torch.full((channels, 1, *size), 1 / (size[0] * size[1]), dtype=before.dtype, device=before.device)
    return Conv(Kernel(weight, stride, padding, groups=channels), None)


def by_sign(operation: Linear | Conv) -> tuple[Linear | Conv, Linear | Conv]:
    """The operation with its positive weights alone, and with its negative ones; both without what it adds."""
    if isinstance(operation, Linear):
        weight = operation.weight
        return Linear(weight.clamp_min(0), None), Linear(weight.clamp_max(0), None)
    kernel = operation.kernel
    rising, falling = (
        replace(kernel, weight=part) for part in (kernel.weight.clamp_min(0), kernel.weight.clamp_max(0))
    )
    return Conv(rising, None), Conv(falling, None)


_Kept = TypeVar("_Kept")


def converted(operation: _Kept, dtype: torch.dtype) -> _Kept:
    """The operation with its floating-point constants in another precision."""
    changed: dict[str, Any] = {}
    for field in fields(operation):  # type: ignore[arg-type]
        value = getattr(operation, field.name)
        if isinstance(value, Tensor) and value.is_floating_point():
            changed[field.name] = value.to(dtype)
        elif isinstance(value, Kernel):
            changed[field.name] = converted(value, dtype)
    return replace(operation, **changed)  # type: ignore[type-var]


@dataclass(frozen=True)
class Node:
    """One operation: its name in the model, the positions of its inputs, the shape of one example's output."""

    name: str
    operation: Operation
    inputs: tuple[int, ...]
    shape: Shape

    @property
    def terms(self) -> tuple[int, ...]:
        """Positions of the inputs that the output is computed from."""
        return self.inputs[:2]


@dataclass(frozen=True)
class Graph:
    """Nodes in an order in which inputs come first: node 0 is the network's input, the last its (K,) logits."""

    nodes: tuple[Node, ...]

    @property
    def relus(self) -> list[int]:
        """Positions of the ReLUs, and of other activations that are relaxed."""
        return [i for i, node in enumerate(self.nodes) if isinstance(node.operation, Relu)]

    @property
    def relaxed(self) -> list[int]:
        """Positions of the activations and the products."""
        return [i for i, node in enumerate(self.nodes) if isinstance(node.operation, Relu | Product)]

    def activation(self, at: int) -> Relu:
        """The activation at one of :attr:`relus`."""
        operation = self.nodes[at].operation
        assert isinstance(operation, Relu)
        return operation

    def range_of(self, at: int, ends: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """Least and greatest value of one of :attr:`relaxed`, for the bounds (lower, upper) of each of its inputs."""
        operation = self.nodes[at].operation
        return operation.range_of(*ends) if isinstance(operation, Product) else self.activation(at).range_of(*ends[0])

    @property
    def classes(self) -> int:
        """K, the number of logits."""
        return self.nodes[-1].shape[0]

    def values(self, x: Tensor) -> list[Tensor]:
        """Every node's output, in order, on a batch x of shape (n, *input)."""
        found = [x]
        for node in self.nodes[1:]:
            found.append(node.operation.forward(*[found[i] for i in node.terms]))
        return found

    def __call__(self, x: Tensor) -> Tensor:
        return self.values(x)[-1]

    def to(self, dtype: torch.dtype) -> Graph:
        """The graph with its operations' constants in another precision."""
        return Graph(tuple(replace(node, operation=converted(node.operation, dtype)) for node in self.nodes))


def ancestry(nodes: Sequence[Node], last: int) -> Graph:
    """The graph of the nodes that ``last`` depends on; branches that lead elsewhere are left out."""
    needed = {0, last}
    for position in range(last, 0, -1):
        if position in needed:
            needed.update(nodes[position].inputs)
    kept = sorted(needed)
    place = {position: i for i, position in enumerate(kept)}
    return Graph(tuple(replace(nodes[i], inputs=tuple(place[j] for j in nodes[i].inputs)) for i in kept))
