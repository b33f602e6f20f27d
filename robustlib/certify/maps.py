"""Rules of operators on maps, over one, two or three axes: convolutions, pools, and what is linear in each channel."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .builder import Call, Unbounded
from .moves import cells, put
from .operations import Conv, Linear
from .rows import Kernel, Pair, Shape


def _map(call: Call, *axes: int) -> tuple[int, Shape]:
    """The first argument's node and its shape (C, ...) over one of so many axes."""
    place = call.one()
    shape = call.builder.nodes[place].shape
    if call.subject.dim() != len(shape) + 1 or len(shape) - 1 not in axes:
        raise Unbounded("is not over one map for each example")
    return place, shape


def _of(values: Sequence[int], axes: int) -> tuple[int, ...]:
    """A number for each axis, where one may be given for all."""
    return tuple(values) * axes if len(values) == 1 else tuple(values)


def convolution(call: Call) -> int:
    """A convolution with zeros around the map, or the transpose of one."""
    a = call.arguments
    place, (_, *size) = _map(call, 1, 2, 3)
    stride, padding, dilation = (_of(a[name], len(size)) for name in ("stride", "padding", "dilation"))
    return _convolved(call, place, a["weight"], a["bias"], stride, padding, dilation, a["groups"], a["transposed"])


def _convolved(
    call: Call,
    place: int,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
    transposed: bool = False,
) -> int:
    """The same of a map: a line is a map one cell high, a volume has a channel for each of its slices."""
    builder = call.builder
    shape, after = builder.nodes[place].shape, builder.example(call.first.shape)
    slices, slices_after = (shape[1], after[1]) if len(shape) == 4 else (1, 1)
    if len(shape) == 2:
        stride, padding, dilation, weight = (1, *stride), (0, *padding), (1, *dilation), weight[:, :, None]
    elif len(shape) == 4:
        step = stride[0], padding[0], dilation[0]
        weight = _of_slices(weight, slices, slices_after, *step, transposed=transposed)
        bias = None if bias is None else bias.repeat_interleave(slices_after)
        stride, padding, dilation = stride[1:], padding[1:], dilation[1:]

    def flat(shape: Shape, slices: int) -> Shape:
        return (shape[0], 1, shape[1]) if len(shape) == 2 else (shape[0] * slices, *shape[-2:])

    place = builder.reshape(place, flat(shape, slices))
    kernel = Kernel(weight, _pair(stride), _pair(padding), _pair(dilation), groups)
    if transposed:
        place, kernel = _transposed(call, place, kernel, flat(after, slices_after)[1:])
    return builder.reshape(builder.note(Conv(kernel, bias), (place,), flat(after, slices_after)), after)


def _pair(values: Sequence[int]) -> Pair:
    return values[0], values[-1]


def _of_slices(
    weight: Tensor, before: int, after: int, stride: int, padding: int, dilation: int, *, transposed: bool
) -> Tensor:
    """(o, c / groups, kd, kh, kw) of a volume's convolution as (o after, c / groups before, kh, kw) of its slices'.

    The transpose has its weight, and ``before`` and ``after``, the other way round.
    """
    (one, other, depth), cell = weight.shape[:3], weight.shape[3:]
    # A transposed convolution goes from the slices that a plain one would lead to.
    small, large = (before, after) if transposed else (after, before)
    found = weight.new_zeros(one, small, other, large, *cell)
    for i, k in itertools.product(range(small), range(depth)):
        at = i * stride - padding + k * dilation
        if 0 <= at < large:
            found[:, i, :, at] = weight[:, :, k]
    return found.reshape(one * small, other * large, *cell)


def _transposed(call: Call, place: int, kernel: Kernel, size: Sequence[int]) -> tuple[int, Kernel]:
    """A transposed convolution as a plain one of the turned kernel, on a map with zeros between and around its cells.

    ``kernel`` has its weight as the transposed one keeps it: (c, o / groups, kh, kw).
    """
    lines = []
    for i in (0, 1):
        reach = kernel.dilation[i] * (kernel.weight.shape[2 + i] - 1)
        at = torch.arange(size[i] + reach) - reach + kernel.padding[i]
        last = kernel.stride[i] * (call.builder.nodes[place].shape[1 + i] - 1)
        there = (at >= 0) & (at <= last) & (at % kernel.stride[i] == 0)
        lines.append(torch.where(there, at // kernel.stride[i], -1))
    place = cells(call, place, lines[0], lines[1], call.subject)
    weight = kernel.weight.unflatten(0, (kernel.groups, -1)).transpose(1, 2).flatten(0, 1).flip(2, 3)
    return place, Kernel(weight, (1, 1), (0, 0), kernel.dilation, kernel.groups)


def pool(call: Call) -> int:
    """An average pool, as a convolution; then a factor where another number than that of a cell's places divides."""
    a, builder = call.arguments, call.builder
    if a["ceil_mode"]:
        return channelwise(call)
    place, (channels, *size) = _map(call, 2, 3)
    kernel, padding = _of(a["kernel_size"], len(size)), _of(a["padding"], len(size))
    stride = _of(a["stride"], len(size)) if a["stride"] else kernel
    weight = call.subject.new_full((channels, 1, *kernel), 1 / math.prod(kernel))
    found = _convolved(call, place, weight, None, stride, padding, (1,) * len(size), channels)
    if a["divisor_override"]:
        return builder.scale(found, math.prod(kernel) / a["divisor_override"], 0.0, call.subject)
    if any(padding) and not a["count_include_pad"]:
        ones = torch.ones_like(call.subject[:1])
        inside = (call.again(ones) / call.again(ones, count_include_pad=True))[0]
        return builder.scale(found, inside, torch.zeros_like(inside), call.subject)
    return found


def channelwise(call: Call) -> int:
    """A linear operator on each channel's map, the same on all of them: a matrix, read off the map's unit vectors."""
    return _by_units(call, call.again)


def _by_units(call: Call, run: Callable[[Tensor], Tensor]) -> int:
    subject, builder = call.subject, call.builder
    place, (c, *size) = _map(call, 1, 2, 3)
    units = torch.eye(math.prod(size), dtype=subject.dtype, device=subject.device)
    weight = run(units.view(-1, 1, *size)).flatten(1).t().contiguous()
    found = builder.note(Linear(weight, None), (builder.reshape(place, (c, len(units))),), (c, len(weight)))
    return builder.reshape(found, builder.example(call.first.shape))


def sampled(call: Call) -> int:
    """Values of each map between its cells, at places that are constant."""
    grid = call.arguments["grid"]
    if not torch.equal(grid, grid[:1].expand_as(grid)):
        raise Unbounded("moves the values of one example otherwise than those of another")
    return _by_units(call, lambda units: call.again(units, grid=grid[:1].expand(len(units), *grid.shape[1:])))


def max_pool(call: Call) -> list[int | None]:
    """The greatest value of each cell, two at a time: the place itself, but no bound of where it is."""
    builder, like = call.builder, call.first
    place, (channels, *size) = _map(call, 2, 3)
    after = builder.example(like.shape)
    along = [_cells(call, axis, n, m) for axis, (n, m) in enumerate(zip(size, after[1:], strict=True))]
    reach = max(int((one.amax(1) - one.amin(1)).max()) for one in along) + 1
    found = []
    # One place of each cell at a time.
    for picks in itertools.product(*(one.unbind(1) for one in along)):
        index = torch.arange(channels)
        for n, pick in zip(size, picks, strict=True):
            index = index[..., None] * n + pick
        found.append(put(call, place, index.flatten(), (channels, *size), after, like, largest=reach))
    while len(found) > 1:
        one, two, *rest = found
        found = [*rest, builder.greater(one, two, like)]
    return [found[0], None]


def _cells(call: Call, axis: int, n: int, m: int) -> Tensor:
    """(m, k) places along one axis, of n, of each of m cells; where one has fewer than k some stand twice."""
    a = call.arguments
    if "kernel_size" not in a:
        cell = torch.arange(m)
        first, beyond = cell * n // m, -(-(cell + 1) * n // m)
        return torch.minimum(first[:, None] + torch.arange(int((beyond - first).max())), beyond[:, None] - 1)
    axes = call.subject.dim() - 2
    kernel, padding, dilation = (_of(a[name], axes)[axis] for name in ("kernel_size", "padding", "dilation"))
    stride = _of(a["stride"], axes)[axis] if a["stride"] else kernel
    at = stride * torch.arange(m)[:, None] - padding + dilation * torch.arange(kernel)
    inside = (at >= 0) & (at < n)
    if not bool(inside.any(1).all()):
        raise Unbounded("has cells that lie beyond the map")
    return torch.where(inside, at, at.gather(1, inside.to(torch.uint8).argmax(1, keepdim=True)))


CHANNELWISE = (
    "_adaptive_avg_pool2d",
    "adaptive_avg_pool2d",
    "_adaptive_avg_pool3d",
    "upsample_linear1d",
    "upsample_bilinear2d",
    "_upsample_bilinear2d_aa",
    "upsample_bicubic2d",
    "_upsample_bicubic2d_aa",
    "upsample_trilinear3d",
)
MAPS: dict[str, Callable[[Call], Any]] = {
    "convolution": convolution,
    **dict.fromkeys(("avg_pool2d", "avg_pool3d"), pool),
    **dict.fromkeys(CHANNELWISE, channelwise),
    **dict.fromkeys(("grid_sampler_2d", "grid_sampler_3d"), sampled),
    **dict.fromkeys(
        ("max_pool2d_with_indices", "max_pool3d_with_indices", "adaptive_max_pool2d", "adaptive_max_pool3d"), max_pool
    ),
}
"""Rules by the name of the operator, as in :data:`robustlib.certify.rules.RULES`."""
