"""Interval bounds: a box for every layer, the cheapest certificate and the loosest (Gowal et al. 2018, section 3)."""

from __future__ import annotations

import torch
from torch import Tensor

from .operations import Add, Graph, Greater, Input, Relu
from .region import Region


def interval_bounds(graph: Graph, region: Region) -> list[Region]:
    """Box of each node: center +- radius, (N, *shape), which contains its values over the region."""
    boxes: list[Region] = []
    for node in graph.nodes:
        before = [boxes[i] for i in node.inputs]
        operation = node.operation
        if isinstance(operation, Input):
            boxes.append(Region(region.center, region.radius))
        elif isinstance(operation, Greater):
            (low, high), (low_, high_) = ends(before[0]), ends(before[2])
            boxes.append(_between(torch.maximum(low, low_), torch.maximum(high, high_)))
        elif isinstance(operation, Add):
            boxes.append(Region(before[0].center + before[1].center, before[0].radius + before[1].radius))
        elif isinstance(operation, Relu):
            boxes.append(_between(*operation.range_of(*ends(before[0]))))
        else:
            boxes.append(Region(operation.forward(before[0].center), operation.spread(before[0].radius)))
    return boxes


def _between(lower: Tensor, upper: Tensor) -> Region:
    return Region((lower + upper) / 2, (upper - lower) / 2)


def ends(box: Region) -> tuple[Tensor, Tensor]:
    """Lower and upper ends of a box."""
    return box.center - box.radius, box.center + box.radius
