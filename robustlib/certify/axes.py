"""Rules of what one number is made of along some axes: sums and means, spreads, lengths, the greatest value."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .builder import Call, Unbounded
from .moves import moved, numbers
from .norms import axis_back, axis_last, log_total
from .operations import Conv, Linear, average_pool


def axes_of(call: Call) -> list[int]:
    """The axes that are reduced, in order; none named: all."""
    given, axes = call.get("dim"), call.subject.dim()
    named = [given] if isinstance(given, int) else given
    return sorted({axis % axes for axis in named or range(axes)})


def _lines(call: Call) -> tuple[int, int]:
    """(node, k): the values of the first argument in lines of k, each of those that make one number."""
    subject, place, axes = call.subject, call.one(), axes_of(call)
    if 0 in axes:
        raise Unbounded("mixes the examples of a batch")
    rest = [axis for axis in range(subject.dim()) if axis not in axes]
    lines = numbers(subject).permute(*rest, *axes).flatten(len(rest))
    return moved(call, place, lines, subject), lines.shape[-1]


def _weighed(call: Call, place: int, weight: Tensor) -> int:
    """Lines times a matrix."""
    shape = (*call.builder.nodes[place].shape[:-1], len(weight))
    return call.builder.note(Linear(weight, None), (place,), shape)


def _sum(call: Call, place: int, k: int, factor: float = 1.0) -> int:
    return _weighed(call, place, call.first.new_full((1, k), factor))


def _finished(call: Call, place: int) -> int:
    return call.builder.reshape(place, call.builder.example(call.first.shape))


def total(call: Call) -> int:
    """A mean or a sum; over all places of each channel it is a pool."""
    subject, builder, axes = call.subject, call.builder, axes_of(call)
    count = math.prod(subject.shape[axis] for axis in axes)
    if axes == [2, 3] and len(builder.nodes[call.one()].shape) == 3:
        operation: Conv = average_pool(subject, tuple(subject.shape[2:]), (1, 1), (0, 0))
        found = builder.note(operation, (call.one(),), (subject.shape[1], 1, 1))
        return _finished(call, found if call.operator == "mean" else builder.scale(found, count, 0.0, subject))
    place, k = _lines(call)
    return _finished(call, _sum(call, place, k, 1 / k if call.operator == "mean" else 1.0))


def _variance(call: Call) -> int:
    place, k = _lines(call)
    correction = call.get("correction")
    freedom = k - (1 if correction is None else correction)
    if freedom <= 0:
        raise Unbounded(f"divides by {freedom:g}, of {k} values")
    centred = _weighed(call, place, torch.eye(k).to(call.first) - 1 / k)
    return _sum(call, call.builder.curve(centred, "square"), k, 1 / freedom)


def variance(call: Call) -> int:
    """Mean square of the distance from the mean."""
    return _finished(call, _variance(call))


def deviation(call: Call) -> int:
    """Its root."""
    return _finished(call, call.builder.curve(_variance(call), "sqrt"))


def _and_mean(spread: Callable[[Call], int]) -> Callable[[Call], list[int]]:
    def rule(call: Call) -> list[int]:
        place, k = _lines(call)
        return [spread(call), _finished(call, _sum(call, place, k, 1 / k))]

    return rule


def greatest(call: Call) -> Any:
    """The greatest or the least value, two at a time: itself, but no bound of where it is."""
    builder, like = call.builder, call.first
    (place, k), sign = _lines(call), 1.0 if call.operator in ("max", "amax") else -1.0
    found = _greatest(call, place, k, sign)
    last = _finished(call, found if sign == 1 else builder.scale(found, sign, 0.0, like))
    return last if isinstance(call.output, Tensor) else [last, None]


def _greatest(call: Call, place: int, k: int, sign: float = 1.0) -> int:
    """Of the values of each line, or of their opposites."""
    return _pairwise(call, place, k, lambda one, two: call.builder.greater(one, two, call.first), sign)


def _pairwise(call: Call, place: int, k: int, joined: Callable[[int, int], int], sign: float = 1.0) -> int:
    """The values of each line, joined two at a time."""
    found = [_weighed(call, place, pick[None]) for pick in torch.eye(k).to(call.first) * sign]
    while len(found) > 1:
        one, two, *rest = found
        found = [*rest, joined(one, two)]
    return found[0]


def product(call: Call) -> int:
    """The product of the values of each line."""
    return _finished(call, _pairwise(call, *_lines(call), call.builder.product))


def running_total(call: Call) -> int:
    """Of each value, the sum of those up to it."""
    lines, k = axis_last(call)
    return axis_back(call, _weighed(call, lines, torch.ones(k, k).tril().to(call.first)))


def log_sum_exp(call: Call) -> int:
    """z_1 + log sum_j exp(z_j - z_1)."""
    builder, like = call.builder, call.first
    place, k = _lines(call)
    _, total = log_total(builder, place, k, like)
    return _finished(call, builder.sum(_weighed(call, place, torch.eye(k).to(like)[:1]), total))


def length(call: Call) -> int:
    """The l_1, l_2 or l_inf norm."""
    builder, like, order = call.builder, call.first, call.get("ord", "p")
    if order == 2:
        place, k = _lines(call)
        return _finished(call, builder.curve(_sum(call, builder.curve(place, "square"), k), "sqrt"))
    if order in (1, math.inf):
        place, k = _lines(call)
        sizes = builder.leak(place, -1.0, like)
        return _finished(call, _sum(call, sizes, k) if order == 1 else _greatest(call, sizes, k))
    raise Unbounded(f"is another norm than l_1, l_2 and l_inf: {order}")


AXES: dict[str, Callable[[Call], Any]] = {
    **dict.fromkeys(("mean", "sum"), total),
    "var": variance,
    "std": deviation,
    "var_mean": _and_mean(variance),
    "std_mean": _and_mean(deviation),
    **dict.fromkeys(("max", "min", "amax", "amin"), greatest),
    "logsumexp": log_sum_exp,
    **dict.fromkeys(("linalg_vector_norm", "norm"), length),
    "prod": product,
    "cumsum": running_total,
}
"""Rules by the name of the operator, as in :data:`robustlib.certify.rules.RULES`."""
