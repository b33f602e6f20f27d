"""Builder of a graph's nodes, and the view that a rule has of one call of an operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .curves import Curve
from .operations import Add, Greater, Node, Operation, Product, Relu, Reshape, Scale
from .rows import Shape


class Unbounded(Exception):
    """Raised by a rule, with the fault of the call."""


@dataclass(frozen=True)
class Laid:
    """A value that is no node: copies of a node's values, but the examples do not stand along its first axis.

    Attributes:
        place: of the node.
        numbers: 1, 2, ... of the node's values, example by example, where they stand; 0: a zero.
        where: the operation that laid them so.
    """

    place: int
    numbers: Tensor
    where: str = ""


Held = int | Laid


@dataclass
class Builder:
    """The nodes so far.

    Attributes:
        rows: how many examples the model is called with.
        device: of the examples.
        name: of the next nodes.
    """

    rows: int
    device: torch.device
    nodes: list[Node] = field(default_factory=list)
    name: str = "x"

    def example(self, shape: Sequence[int]) -> Shape:
        """Shape of one example's part of a value; its leading axis holds the examples, or their rows, in turn."""
        if not shape or shape[0] % self.rows or not shape[0]:
            raise Unbounded("mixes the examples of a batch")
        inner = tuple(shape[1:])
        return inner or (1,) if shape[0] == self.rows else (shape[0] // self.rows, *inner)

    def note(self, operation: Operation, inputs: tuple[int, ...], shape: Shape) -> int:
        """Add a node and return its position."""
        self.nodes.append(Node(self.name, operation, inputs, shape))
        return len(self.nodes) - 1

    def relu(self, place: int) -> int:
        """max(z, 0)."""
        return self.note(Relu(), (place,), self.nodes[place].shape)

    def curve(self, place: int, kind: str) -> int:
        """One of the curves of :data:`robustlib.certify.curves.FORMS`."""
        return self.note(Curve(kind), (place,), self.nodes[place].shape)

    def scale(self, place: int, factor: Tensor | float, shift: Tensor | float, like: Tensor) -> int:
        """Factor z + shift, each a number, one for each channel, or one for each value."""
        shape = self.nodes[place].shape
        plain = (shape[0], *[1] * (len(shape) - 1))
        both = [value if isinstance(value, Tensor) else like.new_full(plain, value) for value in (factor, shift)]
        if both[0].shape != both[1].shape:
            both = [value.expand(shape) for value in both]
        return self.note(Scale(both[0], both[1]), (place,), shape)

    def sum(self, left: int, right: int) -> int:
        """Sum of two nodes of one shape."""
        return self.note(Add(), (left, right), self.nodes[left].shape)

    def product(self, left: int, right: int) -> int:
        """Product of two nodes of one shape; of a node with itself, z^2."""
        if left == right:
            return self.curve(left, "square")
        return self.note(Product(), (left, right), self.nodes[left].shape)

    def reciprocal(self, place: int, like: Tensor) -> int:
        """1 / z, bounded where z is shown to be positive."""
        return self.scale(self.curve(place, "minus_reciprocal"), -1.0, 0.0, like)

    def greater(self, left: int, right: int, like: Tensor) -> int:
        """The greater of two nodes of one shape."""
        more = self.relu(self.sum(right, self.scale(left, -1.0, 0.0, like)))
        return self.note(Greater(), (left, more, right), self.nodes[left].shape)

    def reshape(self, place: int, shape: Shape) -> int:
        """Reshape a node's values; a node of that shape is itself the result."""
        return place if self.nodes[place].shape == shape else self.note(Reshape(shape), (place,), shape)

    def clip(self, place: int, low: Tensor | float | None, high: Tensor | float | None, like: Tensor) -> int:
        """min(max(z, low), high): high - relu(high - low - relu(z - low))."""
        if low is None and high is None:
            return place
        if low is None:
            return self.scale(self.relu(self.scale(place, -1.0, _number(high), like)), -1.0, _number(high), like)
        place = self.relu(self.scale(place, 1.0, -_number(low), like))
        if high is None:
            return self.scale(place, 1.0, _number(low), like)
        place = self.relu(self.scale(place, -1.0, _number(high) - _number(low), like))
        return self.scale(place, -1.0, _number(high), like)

    def leak(self, place: int, slope: Tensor | float, like: Tensor) -> int:
        """Leaky ReLU, with ``slope`` where z < 0: slope z + (1 - slope) relu(z); |z| has slope -1."""
        straight = self.scale(place, slope, torch.zeros_like(slope) if isinstance(slope, Tensor) else 0.0, like)
        rest = 1 - slope
        bent = self.relu(place)
        bent = self.scale(bent, rest, torch.zeros_like(rest) if isinstance(rest, Tensor) else 0.0, like)
        return self.sum(straight, bent)


def _number(value: Any) -> Any:
    return value if isinstance(value, Tensor) else float(value)


@dataclass(frozen=True)
class Call:
    """One call of an operator.

    Attributes:
        builder: takes the nodes.
        func: the operator.
        arguments: by their names in its schema.
        held_of: the node that a tensor is, or how one is laid in it; None: it does not depend on the input.
        output: the operator's result.
    """

    builder: Builder
    func: Any
    arguments: dict[str, Any]
    held_of: Callable[[Any], Held | None]
    output: Any

    def place_of(self, tensor: Any) -> int | None:
        """Position of the node that a tensor is; None: it does not depend on the input."""
        held = self.held_of(tensor)
        if isinstance(held, Laid):
            raise Unbounded(f"takes no examples along another axis than the first, where {held.where} laid them")
        return held

    def get(self, *names: str) -> Any:
        """The first of these arguments that the operator has."""
        return next((self.arguments[name] for name in names if name in self.arguments), None)

    @property
    def operator(self) -> str:
        """Its name, without the underscore of the form that works in place."""
        name: str = self.func.overloadpacket.__name__
        return name.rstrip("_")

    @property
    def first(self) -> Tensor:
        """The result, or the first of several."""
        found: Tensor = self.output if isinstance(self.output, Tensor) else self.output[0]
        return found

    @property
    def subject(self) -> Tensor:
        """The first argument, which depends on the input."""
        first: Tensor = next(iter(self.arguments.values()))
        return first

    def one(self) -> int:
        """Position of the first argument, where nothing else depends on the input."""
        place = self.place_of(self.subject)
        self.alone()
        assert place is not None
        return place

    def alone(self) -> Held:
        """The first argument, however it is laid, where nothing else depends on the input."""
        held = self.held_of(self.subject)
        rest = list(self.arguments.values())[1:]
        parts = [part for value in rest for part in (value if isinstance(value, list | tuple) else [value])]
        if held is None or any(self.held_of(part) is not None for part in parts):
            raise Unbounded("has weights or positions that depend on the input")
        return held

    def again(self, subject: Any, **others: Any) -> Any:
        """The operator's value with another first argument, and others by their names."""
        return self.func(**{**self.arguments, next(iter(self.arguments)): subject, **others})

    def constant(self, value: Any, shape: Sequence[int]) -> Tensor:
        """A constant as one example of ``shape`` (batch included) sees it: (), (C, 1, ...) or the whole shape."""
        example, rows = self.builder.example(shape), self.builder.rows
        found = torch.as_tensor(value, dtype=self.first.dtype, device=self.first.device)
        trailing = (1,) * (len(example) - 1)
        inner = found[0] if found.dim() == len(shape) and found.shape[0] == 1 else found
        folded = len(example) == len(shape)
        # One number for each channel stays so; anything else is written out for every value.
        if inner.numel() == 1:
            return inner.reshape(1, *trailing).expand(example[0], *trailing)
        if not folded and inner.shape == (example[0], *trailing):
            return inner
        whole = found.expand(*shape).reshape(rows, *example)
        if not self.first.is_meta and not torch.equal(whole, whole[:1].expand_as(whole)):
            raise Unbounded("uses a constant that differs from row to row of a batch")
        return whole[0]
