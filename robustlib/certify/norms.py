"""Rules of normalisations: by running statistics, by an example's own, and softmax."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .builder import Builder, Call, Unbounded
from .moves import moved, numbers
from .operations import Linear, Take


def batch_norm(call: Call) -> list[int | None]:
    """Batch norm with running statistics: a factor and a shift for each channel."""
    a = call.arguments
    mean, variance = call.get("running_mean"), call.get("running_var")
    if call.get("training") or mean is None or variance is None:
        raise Unbounded("has no running statistics; make it with track_running_stats=True and call model.eval()")
    weight, bias = call.get("weight"), call.get("bias")
    factor = (variance + call.get("eps", "epsilon")).rsqrt()
    factor = factor if weight is None else factor * weight
    shift = -mean * factor
    shift = shift if bias is None else shift + bias
    place = call.one()
    shape = call.builder.nodes[place].shape
    if a["input"].shape[0] != call.builder.rows:
        raise Unbounded("normalises rows of an example as if they were examples")
    form = (-1, *[1] * (len(shape) - 1))
    scaled = call.builder.scale(place, factor.view(form), shift.view(form), a["input"])
    return [scaled, *[None] * (len(call.output) - 1)]


def layer_norm(call: Call) -> list[int | None]:
    """Less the mean, over the deviation, of the last axes; then a factor and a shift for each of their values."""
    return _by_own_statistics(call, math.prod(call.get("normalized_shape")), lambda values: values.reshape(1, -1))


def group_norm(call: Call) -> list[int | None]:
    """The same of groups of channels; factor and shift are one for each channel."""
    a = call.arguments
    if a["input"].shape[0] != call.builder.rows:
        raise Unbounded("normalises rows of an example as if they were examples")
    groups, each = a["group"], a["HxW"]
    size = a["C"] * each // groups
    return _by_own_statistics(call, size, lambda values: values[:, None].expand(-1, each).reshape(groups, size))


def instance_norm(call: Call) -> list[int | None]:
    """The same of lines (m, k); factor and shift are one for each line."""
    shape = call.arguments["input"].shape
    return _by_own_statistics(call, shape[1], lambda values: call.constant(values[:, None].expand(shape), shape))


def _by_own_statistics(call: Call, size: int, laid: Callable[[Tensor], Tensor]) -> list[int | None]:
    """Values in turn, ``size`` at a time, less their mean and over the root of their variance and eps.

    Args:
        call: the operator's.
        size: of a line of values.
        laid: the operator's factor, or its shift, as the lines have it.
    """
    builder, like, place = call.builder, call.subject, call.one()
    shape = builder.nodes[place].shape
    form = (math.prod(shape) // size, size)
    less = torch.eye(size).to(like) - 1 / size
    centred = builder.note(Linear(less, None), (builder.reshape(place, form),), form)
    mean = like.new_full((1, size), 1 / size)
    variance = builder.note(Linear(mean, None), (builder.curve(centred, "square"),), (form[0], 1))
    root = builder.curve(builder.scale(variance, 1.0, call.get("eps"), like), "minus_rsqrt")
    line = torch.arange(form[0], device=like.device).repeat_interleave(size)
    copies = builder.note(Take(line, form), (builder.scale(root, -1.0, 0.0, like),), form)
    found = builder.product(centred, copies)
    given = [(call.get("weight"), 1.0), (call.get("bias"), 0.0)]
    factor, shift = (like.new_full(form, none) if value is None else laid(value).expand(form) for value, none in given)
    found = builder.reshape(builder.scale(found, factor, shift, like), shape)
    return [found, *[None] * (len(call.output) - 1)]


def axis_last(call: Call) -> tuple[int, int]:
    """(node, classes): the first argument, its one axis last."""
    subject, place = call.subject, call.one()
    axis = call.get("dim") % subject.dim()
    if subject.dim() < 2 or axis == 0:
        raise Unbounded("mixes the examples of a batch")
    return moved(call, place, numbers(subject).movedim(axis, -1), subject), subject.shape[axis]


def axis_back(call: Call, place: int) -> int:
    """That axis where it was."""
    output, axis = call.output, call.get("dim")
    now = torch.empty(output.movedim(axis, -1).shape, dtype=output.dtype, device=output.device)
    return moved(call, place, numbers(now).movedim(-1, axis), now)


def shares(builder: Builder, place: int, k: int, like: Tensor, seen: Tensor | None = None) -> int:
    """Softmax over a node's last axis: 1 / sum_j exp(z_j - z_i), since differences are bounded more closely.

    ``seen``, of the node's shape, is 1 where a value takes part and 0 where its share is none.
    """
    if k == 1:
        return builder.scale(place, 0.0, 1.0, like)
    shape, one = builder.nodes[place].shape, torch.eye(k).to(like)
    # z_j - z_i for i < j alone; the others are these with the other sign.
    i, j = torch.triu_indices(k, k, 1)
    lines, pairs = math.prod(shape[:-1]), len(i)
    apart = builder.note(Linear(one[j] - one[i], None), (place,), (*shape[:-1], pairs))
    at, sign = torch.full((k, k), -1), one.new_zeros(k, k)
    at[i, j] = at[j, i] = torch.arange(pairs)
    sign[i, j], sign[j, i] = 1, -1
    index = torch.where(at < 0, -1, at + pairs * torch.arange(lines)[:, None, None]).flatten()
    whole = (*shape, k)
    copied = builder.note(Take(index.to(like.device), whole), (apart,), whole)
    signs = sign.expand(whole).contiguous()
    terms = builder.curve(builder.scale(copied, signs, torch.zeros_like(signs), like), "exp")
    if seen is not None:
        among = seen[..., None, :].expand(*shape, k).contiguous()
        terms = builder.scale(terms, among, torch.zeros_like(among), like)
    total = builder.note(Linear(like.new_ones(1, k), None), (terms,), (*shape, 1))
    found = builder.reshape(builder.reciprocal(total, like), shape)
    return found if seen is None else builder.scale(found, seen, torch.zeros_like(seen), like)


def softmax(call: Call) -> int:
    """:func:`shares` over any axis but the first."""
    place, k = axis_last(call)
    return axis_back(call, shares(call.builder, place, k, call.output))


def log_total(builder: Builder, place: int, k: int, like: Tensor) -> tuple[int, int]:
    """Along a node's last axis z_i - z_1, and log sum_j exp(z_j - z_1)."""
    shape = builder.nodes[place].shape
    less = torch.eye(k).to(like)
    less[:, 0] -= 1
    apart = builder.note(Linear(less, None), (place,), shape)
    total = builder.note(Linear(like.new_ones(1, k), None), (builder.curve(apart, "exp"),), (*shape[:-1], 1))
    return apart, builder.curve(total, "log")


def log_softmax(call: Call) -> int:
    """z_i - z_1 - log sum_j exp(z_j - z_1): what all classes share cancels in their differences."""
    builder, like = call.builder, call.output
    place, k = axis_last(call)
    apart, total = log_total(builder, place, k, like)
    shared = builder.note(Linear(like.new_full((k, 1), -1.0), None), (total,), builder.nodes[place].shape)
    return axis_back(call, builder.sum(apart, shared))


RUNNING = ("native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm", "_native_batch_norm_legit_no_training")
NORMS: dict[str, Callable[[Call], Any]] = {
    **dict.fromkeys(RUNNING, batch_norm),
    "native_layer_norm": layer_norm,
    "native_group_norm": group_norm,
    **dict.fromkeys(("_softmax", "_safe_softmax"), softmax),
    "_log_softmax": log_softmax,
}
"""Rules by the name of the operator, as in :data:`robustlib.certify.rules.RULES`."""
