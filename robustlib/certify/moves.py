"""Rules of operators that move values: views, cuts, copies, zeros around a map, and values set side by side.

What such an operator does is not read off its name: it is run on the numbers of its input's values, and each number of
the result says whose copy stands there. Zero is the number of none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .builder import Call, Held, Laid, Unbounded
from .operations import Affine, Conv, Take
from .rows import Kernel, Shape

MOVES = (
    "view",
    "_unsafe_view",
    "_reshape_alias",
    "alias",
    "detach",
    "clone",
    "lift",
    "lift_fresh",
    "t",
    "transpose",
    "permute",
    "movedim",
    "unsqueeze",
    "squeeze",
    "expand",
    "repeat",
    "slice",
    "select",
    "as_strided",
    "split",
    "split_with_sizes",
    "unsafe_split",
    "unbind",
    "flip",
    "roll",
    "rot90",
    "index",
    "index_select",
    "gather",
    "unfold",
    "im2col",
    "pixel_shuffle",
    "pixel_unshuffle",
    "channel_shuffle",
    "native_channel_shuffle",
    "diagonal",
    *(f"{kind}{axes}d" for kind in ("upsample_nearest", "_upsample_nearest_exact") for axes in (1, 2, 3)),
    *(f"{kind}_pad{axes}d" for kind in ("reflection", "replication") for axes in (1, 2, 3)),
    "tril",
    "triu",
)
"""Operators each of whose results is a copy of one of their inputs, or zero."""
SCATTERED = (
    "as_strided_scatter",
    "slice_scatter",
    "select_scatter",
    "diagonal_scatter",
    "scatter",
    "index_copy",
    "index_put",
)
LARGEST_KERNEL = 3
"""Side up to which a cut is a convolution that picks one cell: its rows stay on windows."""


def numbers(value: Tensor) -> Tensor:
    """1, 2, ... in the value's shape."""
    device = torch.device("cpu") if value.is_meta else value.device
    return torch.arange(1, value.numel() + 1, dtype=torch.float64, device=device).view(value.shape)


def move(call: Call) -> Held | list[Held]:
    """The values of the first argument, in other places."""
    held, subject = call.alone(), call.subject
    if call.operator == "as_strided" and (not subject.is_contiguous() or subject.storage_offset()):
        raise Unbounded("takes values by their places in memory, where they are not in order")
    before = held if isinstance(held, Laid) else Laid(held, numbers(subject))
    # Whether a view is possible depends on where values are in memory; where their numbers are is another matter.
    size = call.get("size") if call.operator in ("view", "_unsafe_view") else None
    found = call.again(before.numbers) if size is None else before.numbers.reshape(size)
    if isinstance(found, Tensor):
        return laid(call, replace(before, numbers=found), subject)
    return [laid(call, replace(before, numbers=part), subject) for part in found]


def laid(call: Call, value: Laid, like: Tensor) -> Held:
    """The value as a node, where its examples stand along the first axis; otherwise itself."""
    builder, found = call.builder, value.numbers
    try:
        shape = builder.example(found.shape)
        # Views, by far the most of these, leave the order as it is.
        whole = builder.rows * math.prod(builder.nodes[value.place].shape)
        if found.numel() == whole and torch.equal(found.flatten(), numbers(found).flatten()):
            return builder.reshape(value.place, shape)
        return moved(call, value.place, found, like)
    except Unbounded:
        return value


def moved(call: Call, place: int, found: Tensor, subject: Tensor) -> int:
    """A node with the values of the node ``place``, of the kind of ``subject``, where ``found`` has their numbers.

    Raises:
        Unbounded: an example has values of another, or not the same ones as the others.
    """
    builder = call.builder
    before, after = builder.nodes[place].shape, builder.example(found.shape)
    own = math.prod(before)
    first = torch.arange(builder.rows, device=found.device)[:, None] * own
    of_each = found.reshape(builder.rows, -1).long() - 1 - first
    none = found.reshape(builder.rows, -1) == 0
    if not bool((none | ((of_each >= 0) & (of_each < own))).all()):
        raise Unbounded("mixes the examples of a batch")
    index = of_each.masked_fill(none, -1)
    if not torch.equal(index, index[:1].expand_as(index)):
        raise Unbounded("moves the values of one example otherwise than those of another")
    return put(call, place, index[0], before, after, subject)


def put(
    call: Call, place: int, index: Tensor, before: Shape, after: Shape, like: Tensor, *, largest: int = LARGEST_KERNEL
) -> int:
    """A node of shape ``after`` whose flat places are those of node ``place`` that ``index`` lists; -1: zero.

    ``largest`` is the side up to which a cut is a convolution.
    """
    builder = call.builder
    if torch.equal(index, torch.arange(torch.Size(before).numel(), device=index.device)):
        return builder.reshape(place, after)
    operation: Affine | None = _as_convolution(index.cpu(), before, after, like, largest)
    return builder.note(operation or Take(index.to(like.device), after), (place,), after)


def cells(call: Call, place: int, lines: Tensor, columns: Tensor, like: Tensor) -> int:
    """A map whose cell (i, j) is that of (lines[i], columns[j]) in node ``place``; -1: zero."""
    c, h, w = call.builder.nodes[place].shape
    found = torch.arange(c)[:, None, None] * (h * w) + lines[:, None] * w + columns
    index = found.masked_fill((lines < 0)[:, None] | (columns < 0), -1).flatten()
    return put(call, place, index, (c, h, w), (c, len(lines), len(columns)), like)


def _as_convolution(
    index: Tensor, before: Shape, after: Shape, like: Tensor, largest: int = LARGEST_KERNEL
) -> Conv | None:
    """The same as a small convolution: channels in any order, of a map cut, thinned out or padded with zeros."""
    if len(before) != 3 or len(after) != 3:
        return None
    (c, h, w), places = before, index.view(after)
    there = places >= 0
    channels, lines, columns = places // (h * w), places % (h * w) // w, places % w
    kept = there.flatten(1).any(1)
    vertical, horizontal = _progression(lines, there, 1), _progression(columns, there, 2)
    if vertical is None or horizontal is None:
        return None
    (down, top), (right, left) = vertical, horizontal
    of_channel = torch.where(there, channels, -1).flatten(1).amax(1)
    line, column = top + down * torch.arange(after[1]), left + right * torch.arange(after[2])
    seen = ((line >= 0) & (line < h))[:, None] & ((column >= 0) & (column < w))
    expected = of_channel[:, None, None] * (h * w) + line[:, None] * w + column
    if not torch.equal(places, torch.where(seen & kept[:, None, None], expected, -1)):
        return None
    padding = [
        max(0, -a, a + s * (n - 1) - (m - 1))
        for a, s, n, m in zip((top, left), (down, right), after[1:], (h, w), strict=True)
    ]
    size = [m + 2 * p - s * (n - 1) for m, p, s, n in zip((h, w), padding, (down, right), after[1:], strict=True)]
    if max(size) > largest:
        return None
    at = (padding[0] + top, padding[1] + left)
    whole = c == after[0] and bool((of_channel == torch.arange(c)).all())
    weight = like.new_zeros(after[0], 1 if whole else c, *size)
    chosen = kept.nonzero()[:, 0]
    weight[chosen, torch.zeros_like(chosen) if whole else of_channel[chosen], at[0], at[1]] = 1
    kernel = Kernel(weight, (down, right), (padding[0], padding[1]), groups=c if whole else 1)
    return Conv(kernel, None)


def _progression(places: Tensor, there: Tensor, axis: int) -> tuple[int, int] | None:
    """(step >= 1, first) of the places along an axis, read off two of them; None: they do not rise."""
    seen = there.movedim(axis, 0).flatten(1)
    known = seen.any(1).nonzero()[:, 0]
    if not len(known):
        return None
    values = places.movedim(axis, 0).flatten(1)
    one, two = (int(values[i][seen[i]][0]) for i in (known[0], known[-1]))
    apart = int(known[-1] - known[0])
    step = (two - one) // apart if apart else 1
    return (step, one - step * int(known[0])) if step >= 1 else None


def fill(call: Call) -> int:
    """A constant around the values, or in place of some of them."""
    call.one()
    value = call.get("value")
    none = torch.zeros_like(value) if isinstance(value, Tensor) else 0
    rest = value if isinstance(value, Tensor) or value else None
    return _assembled(call, [call.subject], lambda parts: call.again(parts[0], value=none), rest)


def side_by_side(call: Call) -> int:
    """Several values along one axis, or along a new one."""
    return _assembled(call, next(iter(call.arguments.values())), call.again)


def scattered(call: Call) -> int:
    """Values written over some of others, at places that are constant."""
    names = "self", next(name for name in ("src", "source", "values") if name in call.arguments)
    if call.get("accumulate", "reduce"):
        raise Unbounded("adds to what is there; multiply by a constant matrix")
    parts = [call.arguments[name] for name in names]
    if any(call.place_of(value) is not None for name, value in call.arguments.items() if name == "index"):
        raise Unbounded("has weights or positions that depend on the input")

    def run(values: list[Tensor]) -> Tensor:
        # A copy: the operator may work in place.
        given = dict(zip(names, (values[0].clone(), *values[1:]), strict=True))
        found: Tensor = call.func(**{**call.arguments, **given})
        return found

    return _assembled(call, parts, run)


def replaced(call: Call) -> int:
    """A value written over another, whatever that was."""
    builder, shape = call.builder, call.output.shape
    value: Any = 0.0 if call.operator == "zero" else call.get("src", "value")
    place = call.place_of(value)
    if place is not None:
        return place if value.shape == shape else moved(call, place, numbers(value).expand(shape), value)
    constant = call.constant(value, shape)
    place = call.place_of(call.subject)
    assert place is not None
    return builder.scale(place, torch.zeros_like(constant), constant, call.output)


def choose(call: Call) -> int:
    """Of two values, one or the other in each place, whatever the input is."""
    a = call.arguments
    if call.place_of(a["condition"]) is not None:
        raise Unbounded("chooses by what depends on the input")
    return _assembled(call, [a["self"], a["other"]], lambda parts: call.func(a["condition"], *parts))


def _assembled(call: Call, parts: Sequence[Tensor], run: Callable[[list[Tensor]], Tensor], rest: Any = None) -> int:
    """The sum of each part in its places, with zeros elsewhere.

    Args:
        call: the operator's.
        parts: its arguments that have values in its result, constants among them.
        run: the operator on other parts, zeros where none of them stands.
        rest: a number that stands there instead.
    """
    places = [call.place_of(part) for part in parts]
    blank = [torch.zeros_like(numbers(part)) for part in parts]
    found: int | None = None
    for i, (part, place) in enumerate(zip(parts, places, strict=True)):
        if place is not None:
            alone = run([numbers(part) if j == i else other for j, other in enumerate(blank)])
            node = moved(call, place, alone, part)
            found = node if found is None else call.builder.sum(found, node)
    if found is None:
        raise Unbounded("has weights or positions that depend on the input")
    shift = run([part if place is None else torch.zeros_like(part) for part, place in zip(parts, places, strict=True)])
    if rest is not None:
        shift = shift + torch.where(run([torch.ones_like(part) for part in parts]) == 0, rest, 0)
    if None in places or rest is not None:
        shift = call.constant(shift, call.output.shape)
        found = call.builder.scale(found, torch.ones_like(shift), shift, call.output)
    return found
