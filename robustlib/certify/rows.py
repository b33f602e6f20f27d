"""Linear functions of a layer, carried back towards the input: one row for each unit that is bounded.

Three forms, by what is cheapest. :class:`Unit` is the identity, never written out. :class:`Patches` are the rows of a
convolution's units, each kept on the window that it can see, so that a unit costs its receptive field and not the
image. :class:`Dense` rows cover the whole layer. A leading 1 in place of N means that all examples share them: so
the first layer's bounds are sums over |W|.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

Pair = tuple[int, int]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Kernel:
    """A convolution without its bias: weight (o, c / groups, kh, kw) as PyTorch keeps it, zeros around the map."""

    weight: Tensor
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def forward(self, z: Tensor) -> Tensor:
        """(N, c, H, W) to (N, o, H', W')."""
        return functional.conv2d(z, self.weight, None, self.stride, self.padding, self.dilation, self.groups)

    def transpose(self, a: Tensor, size: Shape | None = None) -> Tensor:
        """(B, o, H', W') back to (B, c, H, W) with (H, W) = ``size``; None: all that is seen, padding included."""
        reach = [self.dilation[i] * (self.weight.shape[2 + i] - 1) + 1 for i in (0, 1)]
        seen = [(a.shape[2 + i] - 1) * self.stride[i] + reach[i] for i in (0, 1)]
        size, padding = (tuple(seen), (0, 0)) if size is None else (size, self.padding)
        if self.stride != (1, 1) and self.dilation == (1, 1) and self.groups == 1 and self.weight.shape[1] <= 4:
            return self._by_phase(a, size, padding)
        extra = [size[i] - seen[i] + 2 * padding[i] for i in (0, 1)]
        return functional.conv_transpose2d(
            a, self.weight, None, self.stride, padding, extra, self.groups, self.dilation
        )

    def _by_phase(self, a: Tensor, size: Shape, padding: Pair) -> Tensor:
        """Transpose as one convolution that gives all cells of a stride at once: for few channels far the faster."""
        (o, c, *kernel), (sh, sw) = self.weight.shape, self.stride
        blocks = [-(-kernel[i] // self.stride[i]) for i in (0, 1)]
        whole = functional.pad(self.weight, (0, blocks[1] * sw - kernel[1], 0, blocks[0] * sh - kernel[0]))
        phases = whole.view(o, c, blocks[0], sh, blocks[1], sw).permute(3, 5, 1, 0, 2, 4).flip(4, 5)
        weight = phases.reshape(sh * sw * c, o, *blocks).contiguous(memory_format=torch.channels_last)
        found = functional.conv2d(a, weight, None, 1, (blocks[0] - 1, blocks[1] - 1)).permute(0, 2, 3, 1)
        cells = found.unflatten(3, (sh, sw, c)).transpose(2, 3).flatten(1, 2).flatten(2, 3).permute(0, 3, 1, 2)
        after = [padding[i] + size[i] - cells.shape[2 + i] for i in (0, 1)]
        return functional.pad(cells, (-padding[1], after[1], -padding[0], after[0]))


def _by_sign(a: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """(B, R) sums of the negative and of the positive entries of a (B or 1, R, n) times values (B, n).

    Where few values differ from zero, as at the units that cross it, only their entries are read.
    """
    most = int((values != 0).sum(1).max()) if values.numel() else 0
    if 4 * most < values.shape[1]:
        where = (values != 0).to(torch.uint8).topk(most, 1).indices
        values = values.gather(1, where)
        a = a.expand(len(values), -1, -1).gather(2, where[:, None].expand(-1, a.shape[1], -1))
    falling = (a.clamp(max=0) @ values[..., None]).squeeze(-1)
    return falling, (a @ values[..., None]).squeeze(-1) - falling


def _channels_last(a: Tensor) -> Tensor:
    """(N, M, C, H, W) laid out with C innermost, where transposed convolutions are several times faster."""
    return a.movedim(2, -1).contiguous().movedim(-1, 2) if a.dim() == 5 else a


@dataclass(frozen=True)
class Dense:
    """Rows over a whole layer: a (N or 1, M, *shape)."""

    a: Tensor

    def linear(self, weight: Tensor, after: Shape) -> Rows:
        return Dense(self.a @ weight)

    def conv(self, kernel: Kernel, before: Shape, after: Shape) -> Rows:
        return Dense(kernel.transpose(self.a.flatten(0, 1), before[1:]).unflatten(0, self.a.shape[:2]))

    def times(self, values: Tensor) -> Rows:
        return Dense(self.a * _channels_last(values[:, None]))

    def reshape(self, before: Shape, after: Shape) -> Rows:
        return Dense(_channels_last(self.a.reshape(*self.a.shape[:2], *before)))

    def put(self, index: Tensor, before: Shape) -> Rows:
        """Rows on copies as rows on what they are copies of: a sum over those of each value."""
        kept = index >= 0
        whole = self.a.new_zeros(*self.a.shape[:2], math.prod(before))
        found = whole.index_add(2, index[kept], self.a.flatten(2)[..., kept])
        return Dense(_channels_last(found.unflatten(2, before)))

    def map(self, function: Callable[[Tensor], Tensor]) -> Rows:
        return Dense(function(self.a))

    def _flat(self, values: Tensor) -> tuple[Tensor, Tensor]:
        a, values = self.a, values.expand(-1, *self.a.shape[2:])
        if a.dim() == 5:
            a, values = a.movedim(2, -1), values.movedim(1, -1)
        return a.flatten(2), values.flatten(1)

    def pair(self, values: Tensor) -> Tensor:
        a, values = self._flat(values)
        return values @ a[0].T if len(a) == 1 else (a @ values[..., None]).squeeze(-1)

    def by_sign(self, values: Tensor) -> tuple[Tensor, Tensor]:
        return _by_sign(*self._flat(values))

    def dense(self, shape: Shape) -> Dense:
        return self


@dataclass(frozen=True)
class Patches:
    """Rows of units (C, H, W), each on its own window of a (c, h, w) map.

    Unit (., i, j) sees the k x k cells that begin at (i s - p, j s - p); those outside the map count as zero
    wherever values are paired or multiplied.

    Attributes:
        a: (N or 1, H or 1, W or 1, C, c, k, k); 1 for H and W where all positions share their rows.
        stride, padding: s and p, one for each direction.
        units: (H, W).
        clipped: entries outside the map are zero already.
    """

    a: Tensor
    stride: Pair
    padding: Pair
    units: Pair
    clipped: bool

    def windows(self, values: Tensor) -> Tensor:
        """(n, c, h, w) values as seen by each unit: (n, H, W, c, k, k), zero outside the map."""
        size = self.a.shape[5:]
        need = [(self.units[i] - 1) * self.stride[i] + size[i] - self.padding[i] - values.shape[2 + i] for i in (0, 1)]
        padded = functional.pad(values, (self.padding[1], need[1], self.padding[0], need[0]))
        seen = padded.unfold(2, size[0], self.stride[0]).unfold(3, size[1], self.stride[1])
        return seen.permute(0, 2, 3, 1, 4, 5).contiguous()

    def linear(self, weight: Tensor, after: Shape) -> Rows:
        return self.dense(after).linear(weight, after)

    def conv(self, kernel: Kernel, before: Shape, after: Shape) -> Rows:
        size = self.a.shape[5:]
        if size.numel() >= after[1] * after[2]:
            return self.dense(after).conv(kernel, before, after)
        rows = self if self.clipped else self.times(self.a.new_ones(1, *after))
        # One small matrix, from a window of the later map to the window of the earlier map that it sees.
        cells = torch.eye(after[0] * size.numel(), dtype=self.a.dtype, device=self.a.device)
        local = kernel.transpose(cells.view(-1, after[0], *size))
        a = (rows.a.flatten(4) @ local.flatten(1)).unflatten(-1, local.shape[1:])
        stride = (self.stride[0] * kernel.stride[0], self.stride[1] * kernel.stride[1])
        padding = tuple(self.padding[i] * kernel.stride[i] + kernel.padding[i] for i in (0, 1))
        return Patches(a, stride, (padding[0], padding[1]), self.units, clipped=padding == (0, 0))

    def times(self, values: Tensor) -> Patches:
        if values.shape[2:] == (1, 1):
            return replace(self, a=self.a * values[:, None, None, None])
        return replace(self, a=self.a * self.windows(values)[:, :, :, None], clipped=True)

    def reshape(self, before: Shape, after: Shape) -> Rows:
        return self.dense(after).reshape(before, after)

    def map(self, function: Callable[[Tensor], Tensor]) -> Rows:
        return replace(self, a=function(self.a))

    def pair(self, values: Tensor) -> Tensor:
        if self.a.shape[:3] == (1, 1, 1):
            found = Kernel(self.a[0, 0, 0], self.stride, self.padding).forward(values)
            return found[..., : self.units[0], : self.units[1]].flatten(1)
        found = (self.a.flatten(4) @ self.windows(values).flatten(3)[..., None]).squeeze(-1)
        return found.permute(0, 3, 1, 2).flatten(1)

    def by_sign(self, values: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.windows(values).flatten(3)
        a = self.a.flatten(4).expand(len(seen), *self.units, -1, -1)
        found = _by_sign(a.flatten(0, 2), seen.flatten(0, 2))
        falling, rising = (part.unflatten(0, seen.shape[:3]).permute(0, 3, 1, 2).flatten(1) for part in found)
        return falling, rising

    def dense(self, shape: Shape) -> Dense:
        (height, width), (n, _, _, units, c, kh, kw) = self.units, self.a.shape
        seen = [(self.units[i] - 1) * self.stride[i] + self.a.shape[5 + i] for i in (0, 1)]
        size = [max(seen[i], self.padding[i] + shape[1 + i]) for i in (0, 1)]
        full = self.a.new_zeros(n, units, height, width, c, *size)
        # A view in which a step to the next unit is also a step of its window.
        step = list(full.stride())
        step[2] += self.stride[0] * step[5]
        step[3] += self.stride[1] * step[6]
        full.as_strided((n, units, height, width, c, kh, kw), step).copy_(self.a.permute(0, 3, 1, 2, 4, 5, 6))
        top, left = self.padding
        return Dense(_channels_last(full[..., top : top + shape[1], left : left + shape[2]].flatten(1, 3)))


@dataclass(frozen=True)
class Unit:
    """Rows of the identity times a factor: units ``part`` (of the leading dimension) of a layer.

    Attributes:
        factor: (N or 1, n) or (N or 1, C, H or 1, W or 1).
        shape: of the layer.
        part: which leading positions are bounded.
    """

    factor: Tensor
    shape: Shape
    part: slice

    def linear(self, weight: Tensor, after: Shape) -> Rows:
        if len(after) > 1:
            return self.dense(after).linear(weight, after)
        return Dense((self.factor[..., None] * weight)[:, self.part])

    def conv(self, kernel: Kernel, before: Shape, after: Shape) -> Rows:
        cells = torch.eye(after[0], dtype=self.factor.dtype, device=self.factor.device)
        local = kernel.transpose(cells[..., None, None])[self.part]
        a = (self._positions() * local).contiguous()
        return Patches(a, kernel.stride, kernel.padding, (after[1], after[2]), clipped=kernel.padding == (0, 0))

    def _positions(self) -> Tensor:
        return self.factor.permute(0, 2, 3, 1)[..., self.part, None, None, None]

    def times(self, values: Tensor) -> Rows:
        return replace(self, factor=self.factor * values)

    def reshape(self, before: Shape, after: Shape) -> Rows:
        if self.part == slice(None):
            return Unit(self.factor.expand(-1, *after).reshape(-1, *before), before, self.part)
        return self.dense(after).reshape(before, after)

    def map(self, function: Callable[[Tensor], Tensor]) -> Rows:
        return replace(self, factor=function(self.factor))

    def pair(self, values: Tensor) -> Tensor:
        return (self.factor * values).expand(-1, *self.shape)[:, self.part].flatten(1)

    def by_sign(self, values: Tensor) -> tuple[Tensor, Tensor]:
        return self.map(lambda a: a.clamp(max=0)).pair(values), self.map(lambda a: a.clamp(min=0)).pair(values)

    def dense(self, shape: Shape) -> Dense:
        full = torch.diag_embed(self.factor.expand(-1, *shape).flatten(1)).unflatten(1, shape)[:, self.part]
        return Dense(_channels_last(full.reshape(len(full), -1, *shape)))

    def patches(self) -> Patches:
        """These rows as patches, each on a window of one cell."""
        cells = torch.eye(self.shape[0], dtype=self.factor.dtype, device=self.factor.device)
        a = self._positions() * cells[self.part, :, None, None]
        return Patches(a, (1, 1), (0, 0), (self.shape[1], self.shape[2]), clipped=True)


Rows = Unit | Patches | Dense


def plus(left: Rows, right: Rows, shape: Shape) -> Rows:
    """Sum of the rows of two branches that begin at one layer of this shape."""
    if isinstance(left, Unit) and isinstance(right, Unit):
        return replace(left, factor=left.factor + right.factor)
    pair = [rows.patches() if isinstance(rows, Unit) and len(shape) == 3 else rows for rows in (left, right)]
    one, two = pair
    if isinstance(one, Patches) and isinstance(two, Patches) and one.stride == two.stride:
        padding = tuple(max(one.padding[i], two.padding[i]) for i in (0, 1))
        end = tuple(max(rows.a.shape[5 + i] - rows.padding[i] for rows in (one, two)) for i in (0, 1))
        total: Tensor | int = 0
        for rows in (one, two):
            (top, left_), size = rows.padding, rows.a.shape[5:]
            total = total + functional.pad(
                rows.a, (padding[1] - left_, end[1] + left_ - size[1], padding[0] - top, end[0] + top - size[0])
            )
        assert isinstance(total, Tensor)
        return Patches(total, one.stride, (padding[0], padding[1]), one.units, one.clipped and two.clipped)
    return Dense(one.dense(shape).a + two.dense(shape).a)
