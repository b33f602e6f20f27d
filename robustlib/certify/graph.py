"""A network as a graph of the operations that bounds are known for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .operations import Operation, Relu, converted
from .rows import Shape


@dataclass(frozen=True)
class Node:
    """One operation: its name in the model, the positions of its inputs, the shape of one example's output."""

    name: str
    operation: Operation
    inputs: tuple[int, ...]
    shape: Shape


@dataclass(frozen=True)
class Graph:
    """Nodes in an order in which inputs come first: node 0 is the network's input, the last its (K,) logits."""

    nodes: tuple[Node, ...]

    @property
    def relus(self) -> list[int]:
        """Positions of the ReLUs."""
        return [i for i, node in enumerate(self.nodes) if isinstance(node.operation, Relu)]

    @property
    def classes(self) -> int:
        """K, the number of logits."""
        return self.nodes[-1].shape[0]

    def __call__(self, x: Tensor) -> Tensor:
        values = [x]
        for node in self.nodes[1:]:
            values.append(node.operation.forward(*[values[i] for i in node.inputs]))
        return values[-1]

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
