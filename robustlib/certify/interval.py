"""Interval bounds: a box for every layer, the cheapest certificate and the loosest (Gowal et al. 2018, section 3)."""

from __future__ import annotations

import torch
from torch import Tensor

from .dual import hidden_share
from .operations import Add, Graph, Greater, Input, Product, Relu, Reshape, Take
from .region import Region


def interval_sizes(graph: Graph, boxes: list[Region]) -> list[Tensor]:
    """What rounding may have cut off each box, (N, *shape), a share of its ends' terms' magnitudes."""
    sizes: list[Tensor] = []
    share = hidden_share(boxes[0])
    for node, box in zip(graph.nodes, boxes, strict=True):
        before = [sizes[i] for i in node.inputs]
        operation, here = node.operation, share * (box.center.abs() + box.radius)
        if isinstance(operation, Input):
            sizes.append(here)
        elif isinstance(operation, Greater):
            sizes.append(before[0] + before[2])
        elif isinstance(operation, Add):
            sizes.append(before[0] + before[1])
        elif isinstance(operation, Relu):
            sizes.append(operation.steepness(*ends(boxes[node.inputs[0]])) * before[0] + here)
        elif isinstance(operation, Product):
            left, right = (boxes[i].center.abs() + boxes[i].radius for i in node.inputs)
            sizes.append(right * before[0] + left * before[1] + here)
        elif isinstance(operation, Reshape | Take):
            sizes.append(operation.spread(before[0]))
        else:
            offset = operation.offset(node.shape)
            inner = boxes[node.inputs[0]]
            size = operation.spread(before[0] + share * (inner.center.abs() + inner.radius))
            sizes.append(size if offset is None else size + share * offset.abs())
    return sizes


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
        elif isinstance(operation, Product):
            boxes.append(_between(*operation.range_of(ends(before[0]), ends(before[1]))))
        else:
            boxes.append(Region(operation.forward(before[0].center), operation.spread(before[0].radius)))
    return boxes


def _between(lower: Tensor, upper: Tensor) -> Region:
    return Region((lower + upper) / 2, (upper - lower) / 2)


def ends(box: Region) -> tuple[Tensor, Tensor]:
    """Lower and upper ends of a box."""
    return box.center - box.radius, box.center + box.radius
