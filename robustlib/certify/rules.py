"""Rules that translate PyTorch's operators into operations that bounds are known for.

A rule sees one call that the model made: the arguments that depend on the input, the values of the others, and the
result. It writes nodes and says which of them is the result. Functions with corners are made of ReLUs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .builder import Call, Unbounded
from .operations import Conv, Linear, average_pool
from .rows import Kernel

SUPPORTED = (
    "Linear, Conv2d, ReLU, BatchNorm1d, BatchNorm2d, AvgPool2d, AdaptiveAvgPool2d(1), MaxPool2d, AdaptiveMaxPool2d(1), "
    "Flatten, view, reshape, Dropout, Identity, Hardtanh, ReLU6, LeakyReLU, PReLU, abs, clamp, sums and differences of "
    "two branches, the greater or lesser of them, and +, -, *, / with a constant"
)


def constant(call: Call, value: Any, shape: Sequence[int]) -> Tensor:
    """A constant as one example of ``shape`` (batch included) sees it: (), (C, 1, ...) or the example's whole shape."""
    like, example = (call.subject if isinstance(call.subject, Tensor) else call.output, call.builder.example(shape))
    found = torch.as_tensor(value, device=call.output.device).to(call.output.dtype)
    trailing = (1,) * (len(example) - 1)
    inner = found[0] if found.dim() == len(shape) and found.shape[0] == 1 else found
    folded = len(example) == len(shape)
    # One number for each channel stays so; anything else is written out for every value.
    if inner.numel() == 1:
        return inner.reshape(1, *trailing).expand(example[0], *trailing)
    if not folded and inner.shape == (example[0], *trailing):
        return inner
    whole = found.expand(*shape).reshape(call.builder.rows, *example)
    if not like.is_meta and not torch.equal(whole, whole[:1].expand_as(whole)):
        raise Unbounded("uses a constant that differs from row to row of a batch")
    return whole[0]


# Moving values ---------------------------------------------------------------------------------------


def move(call: Call) -> int:
    """An operator that may move values, where it leaves them in their order: it is run on their numbers."""
    place, builder, subject = call.one(), call.builder, call.subject
    device = torch.device("cpu") if subject.is_meta else subject.device
    numbers = torch.arange(subject.numel(), dtype=torch.float64, device=device).view(subject.shape)
    found = call.again(numbers)
    if not isinstance(found, Tensor) or not torch.equal(found.flatten(), numbers.flatten()):
        raise Unbounded("takes values apart or puts them into another order")
    return builder.reshape(place, builder.example(found.shape))


def same(call: Call) -> int:
    """A copy in the same precision; another one is refused with the result's type."""
    return call.one()


def whole(call: Call, value: Tensor, shape: Sequence[int]) -> int | None:
    """The node of a value that is as large as the result; None: it does not depend on the input."""
    place = call.place_of(value)
    if place is not None and tuple(value.shape) != tuple(shape):
        raise Unbounded("repeats a value that depends on the input")
    return place


# Linear ----------------------------------------------------------------------------------------------


def mean(call: Call) -> int:
    """A mean over all places of each channel, which are kept as axes: a pool."""
    subject, axes = call.subject, call.get("dim")
    shape = call.builder.example(subject.shape)
    if len(shape) != 3 or subject.dim() != 4 or not call.get("keepdim") or sorted(a % 4 for a in axes or ()) != [2, 3]:
        raise Unbounded("is not a mean over height and width, kept as axes, such as AdaptiveAvgPool2d(1)")
    operation = average_pool(subject, tuple(subject.shape[2:]), (1, 1), (0, 0))
    return call.builder.note(operation, (call.one(),), call.builder.example(call.output.shape))


def convolution(call: Call) -> int:
    """A convolution in two dimensions, with zeros around the map."""
    a, place = call.arguments, call.one()
    if call.subject.dim() != 4 or a["transposed"] or len(call.builder.nodes[place].shape) != 3:
        raise Unbounded("is not a plain Conv2d of one map for each example")
    stride, padding, dilation = ((int(a[name][0]), int(a[name][-1])) for name in ("stride", "padding", "dilation"))
    kernel = Kernel(a["weight"], stride, padding, dilation, a["groups"])
    return call.builder.note(Conv(kernel, a["bias"]), (place,), call.builder.example(call.output.shape))


def pool(call: Call) -> int:
    """An average pool of whole cells, as a convolution."""
    a, place = call.arguments, call.one()
    size = (a["kernel_size"][0], a["kernel_size"][-1])
    stride = (a["stride"][0], a["stride"][-1]) if a["stride"] else size
    padding = (a["padding"][0], a["padding"][-1])
    uneven = a["ceil_mode"] or a["divisor_override"] or (padding != (0, 0) and not a["count_include_pad"])
    if uneven or call.subject.dim() != 4 or len(call.builder.nodes[place].shape) != 3:
        raise Unbounded("averages over cells of several sizes; use a plain AvgPool2d(kernel, stride)")
    operation = average_pool(call.subject, size, stride, padding)
    return call.builder.note(operation, (place,), call.builder.example(call.output.shape))


def _layer(call: Call, value: Tensor, weight: Tensor, bias: Tensor | None) -> int:
    place = call.place_of(value)
    if place is None or call.place_of(weight) is not None or call.place_of(bias) is not None:
        raise Unbounded("has weights that depend on the input")
    if bias is not None and bias.dim() > 1:
        bias = bias[0] if len(bias) == 1 else bias.expand(call.output.shape)
        if bias.dim() > 1:
            shift = constant(call, bias, call.output.shape)
            return call.builder.scale(_layer(call, value, weight, None), 1.0, shift, value)
    return call.builder.note(Linear(weight, bias), (place,), call.builder.example(call.output.shape))


def mm(call: Call) -> int:
    """Values times a matrix."""
    return _layer(call, call.arguments["self"], call.get("mat2", "other").t(), None)


def addmm(call: Call) -> int:
    """Values times a matrix, and a bias."""
    a = call.arguments
    if a["beta"] != 1 or a["alpha"] != 1:
        raise Unbounded(f"has beta={a['beta']}, alpha={a['alpha']}; give 1 and 1")
    return _layer(call, a["mat1"], a["mat2"].t(), a["self"])


def linear(call: Call) -> int:
    """Values times a transposed matrix and a bias, where PyTorch keeps them together."""
    return _layer(call, call.arguments["input"], call.arguments["weight"], call.arguments["bias"])


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


# Arithmetic and corners --------------------------------------------------------------------------------------------


def arithmetic(call: Call) -> int:
    """+, -, *, / and the greater or lesser of two: of two branches, or of one with a constant."""
    name, shape, builder, like = call.operator, call.output.shape, call.builder, call.output
    left, right = list(call.arguments.values())[:2]
    if name == "rsub":
        left, right, name = right, left, "sub"
    if call.get("rounding_mode") is not None:
        raise Unbounded("rounds")
    alpha = float(call.arguments.get("alpha", 1))
    one, two = whole(call, left, shape), whole(call, right, shape)
    if one is not None and two is not None:
        return _branches(call, name, one, two, alpha)
    place = one if one is not None else two
    assert place is not None
    value = constant(call, left if one is None else right, shape)
    if name in ("add", "sub"):
        sign = 1.0 if name == "add" else -1.0
        if one is None:
            return builder.scale(place, torch.full_like(value, sign * alpha), value, like)
        return builder.scale(place, torch.ones_like(value), sign * alpha * value, like)
    if name == "mul":
        return builder.scale(place, value, torch.zeros_like(value), like)
    if name == "div" and one is not None:
        return builder.scale(place, 1 / value, torch.zeros_like(value), like)
    if name in ("maximum", "minimum"):
        low, high = (value, None) if name == "maximum" else (None, value)
        return builder.clip(place, low, high, like)
    raise Unbounded("divides by what depends on the input")


def _branches(call: Call, name: str, one: int, two: int, alpha: float) -> int:
    builder, like = call.builder, call.output
    if name in ("maximum", "minimum"):
        more = 1.0 if name == "maximum" else -1.0
        # min(a, b) is -max(-a, -b).
        a, b = (place if more == 1 else builder.scale(place, more, 0.0, like) for place in (one, two))
        greater = builder.greater(a, b, like)
        return greater if more == 1 else builder.scale(greater, more, 0.0, like)
    if name in ("add", "sub"):
        sign = alpha if name == "add" else -alpha
        if one == two:
            return builder.scale(one, 1 + sign, 0.0, like)
        return builder.sum(one, two if sign == 1 else builder.scale(two, sign, 0.0, like))
    raise Unbounded("multiplies or divides two values that depend on the input")


def neg(call: Call) -> int:
    """-z."""
    return call.builder.scale(call.one(), -1.0, 0.0, call.output)


def relu(call: Call) -> int:
    """max(z, 0)."""
    return call.builder.relu(call.one())


def clip(call: Call) -> int:
    """Between two constants, or on one side of one."""
    ends = [call.get("min", "min_val"), call.get("max", "max_val")]
    place = call.one()
    low, high = (constant(call, e, call.output.shape) if isinstance(e, Tensor) else e for e in ends)
    return call.builder.clip(place, low, high, call.output)


def leak(call: Call) -> int:
    """A slope below zero: one number, or one for each channel."""
    name, place = call.operator, call.one()
    slope = -1.0 if name == "abs" else call.get("negative_slope", "weight")
    value = constant(call, slope, call.output.shape) if isinstance(slope, Tensor) else float(slope)
    return call.builder.leak(place, value, call.output)


def max_pool(call: Call) -> list[int | None]:
    """The greatest value of each cell, two at a time: the place itself, but no bound of where it is."""
    a = call.arguments
    if call.subject.dim() != 4:
        raise Unbounded("is not over one map for each example")
    if "kernel_size" in a:
        size = (a["kernel_size"][0], a["kernel_size"][-1])
        stride = (a["stride"][0], a["stride"][-1]) if a["stride"] else size
        dilation = (a["dilation"][0], a["dilation"][-1])
        if a["ceil_mode"] or any(a["padding"]):
            raise Unbounded("has cells that reach beyond the map; use a plain MaxPool2d(kernel, stride)")
    elif any(side != 1 for side in a["output_size"]):
        raise Unbounded("is over cells of several sizes; use AdaptiveMaxPool2d(1) or a plain MaxPool2d(kernel, stride)")
    else:
        size, stride, dilation = (call.subject.shape[2], call.subject.shape[3]), (1, 1), (1, 1)
    builder, place, like = call.builder, call.one(), call.output[0]
    shape, channels = builder.example(like.shape), like.shape[1]

    def part(weight: Tensor) -> int:
        kernel = Kernel(weight.expand(channels, 1, *size), stride, (0, 0), dilation, channels)
        return builder.note(Conv(kernel, None), (place,), shape)

    # Depthwise convolutions that pick one place of each cell.
    found = [part(pick) for pick in torch.eye(size[0] * size[1]).to(like).view(-1, 1, *size)]
    while len(found) > 1:
        one, two, *rest = found
        found = [*rest, builder.greater(one, two, like)]
    return [found[0], None]


Rule = Callable[[Call], Any]
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
    "unsqueeze",
    "squeeze",
    "expand",
    "slice",
)
NORMS = ("native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm", "_native_batch_norm_legit_no_training")
RULES: dict[str, Rule] = {
    **dict.fromkeys(MOVES, move),
    **dict.fromkeys(("add", "sub", "rsub", "mul", "div", "maximum", "minimum"), arithmetic),
    **dict.fromkeys(NORMS, batch_norm),
    **dict.fromkeys(("clamp", "clamp_min", "clamp_max", "hardtanh"), clip),
    **dict.fromkeys(("leaky_relu", "_prelu_kernel", "abs"), leak),
    "convolution": convolution,
    "avg_pool2d": pool,
    **dict.fromkeys(("max_pool2d_with_indices", "adaptive_max_pool2d"), max_pool),
    "mean": mean,
    "mm": mm,
    "addmm": addmm,
    "linear": linear,
    "neg": neg,
    "relu": relu,
    "_to_copy": same,
}
"""Rules by the name of the operator, without the underscore of its form that works in place."""
CONSTANTS = frozenset(
    {
        "zeros_like",
        "ones_like",
        "full_like",
        "empty_like",
        "new_zeros",
        "new_ones",
        "new_full",
        "new_empty",
        "new_empty_strided",
        "sym_size",
        "sym_stride",
        "sym_numel",
        "is_same_size",
    }
)
"""Operators that read only the shape of an argument."""
