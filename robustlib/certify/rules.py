"""Rules that translate PyTorch's operators into operations that bounds are known for.

A rule sees one call that the model made: the arguments that depend on the input, the values of the others, and the
result. It writes nodes and says which of them is the result.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .activations import ACTIVATIONS, Rule
from .attention import PRODUCTS
from .axes import AXES
from .builder import Call, Unbounded
from .moves import MOVES, cells, choose, fill, move, moved, numbers, side_by_side
from .norms import NORMS
from .operations import Conv, Linear, average_pool
from .rows import Kernel, Pair

SUPPORTED = (
    "Linear, Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d, ReLU, BatchNorm1d, BatchNorm2d, AvgPool2d, MaxPool2d, "
    "AdaptiveAvgPool2d, AdaptiveMaxPool2d(1), Flatten, Dropout, Identity, Hardtanh, Hardsigmoid, ReLU6, LeakyReLU, "
    "PReLU, Sigmoid, LogSigmoid, Tanh, ELU, CELU, SELU, SiLU, GELU, Mish, Softplus, Hardswish, GLU, Softmax, "
    "LogSoftmax, Softshrink, LayerNorm, GroupNorm, InstanceNorm, MultiheadAttention, TransformerEncoder, matmul, "
    "einsum, erf, atan, exp, log, sqrt, square, abs, clamp, ZeroPad2d and other pads, PixelShuffle, Upsample, view, "
    "permute, slices, cat, stack, split and what else moves or copies values, RNN, LSTM, GRU, means, sums, variances, "
    "l_1 and l_2 norms, logsumexp and the greatest or least value over axes, sums, differences, products and quotients "
    "of two branches, the greater or lesser of them, and +, -, *, / with a constant"
)


def same(call: Call) -> int:
    """A copy in the same precision; another one is refused with the result's type."""
    return call.one()


def whole(call: Call, value: Tensor, shape: Sequence[int]) -> int | None:
    """The node of a value, repeated to the result's shape; None: it does not depend on the input."""
    place = call.place_of(value)
    if place is None or tuple(value.shape) == tuple(shape):
        return place
    return moved(call, place, numbers(value).expand(*shape), value)


# Linear ----------------------------------------------------------------------------------------------


def convolution(call: Call) -> int:
    """A convolution over one or two axes, with zeros around the map, or the transpose of one."""
    a, builder, place = call.arguments, call.builder, call.one()
    axes, weight = call.subject.dim() - 2, a["weight"]
    if axes not in (1, 2) or len(builder.nodes[place].shape) != axes + 1:
        raise Unbounded("is not over one map for each example")
    after = builder.example(call.output.shape)
    stride, padding, dilation = ([int(a[name][0]), int(a[name][-1])] for name in ("stride", "padding", "dilation"))
    if axes == 1:
        # A line is a map one cell high.
        stride[0], padding[0], dilation[0], weight = 1, 0, 1, weight[:, :, None]
        place = builder.reshape(place, (builder.nodes[place].shape[0], 1, *builder.nodes[place].shape[1:]))
    shape = after if axes == 2 else (after[0], 1, after[1])
    kernel = Kernel(weight, _pair(stride), _pair(padding), _pair(dilation), a["groups"])
    if a["transposed"]:
        place, kernel = _transposed(call, place, kernel, shape[1:])
    return builder.reshape(builder.note(Conv(kernel, a["bias"]), (place,), shape), after)


def _pair(values: Sequence[int]) -> tuple[int, int]:
    return values[0], values[-1]


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
    a, builder, place = call.arguments, call.builder, call.one()
    size, padding = _pair(a["kernel_size"]), _pair(a["padding"])
    stride = _pair(a["stride"]) if a["stride"] else size
    if a["ceil_mode"] or call.subject.dim() != 4 or len(builder.nodes[place].shape) != 3:
        return channelwise(call)
    operation = average_pool(call.subject, size, stride, padding)
    found = builder.note(operation, (place,), builder.example(call.output.shape))
    if a["divisor_override"]:
        return builder.scale(found, size[0] * size[1] / a["divisor_override"], 0.0, call.subject)
    if any(padding) and not a["count_include_pad"]:
        inside = 1 / operation.forward(torch.ones_like(call.subject[:1]))[0]
        return builder.scale(found, inside, torch.zeros_like(inside), call.subject)
    return found


def channelwise(call: Call) -> int:
    """A linear operator on each channel's map, the same on all of them: a matrix, read off the map's unit vectors."""
    subject, builder, place = call.subject, call.builder, call.one()
    if subject.dim() != 4 or len(builder.nodes[place].shape) != 3:
        raise Unbounded("is not over one map for each example")
    c, h, w = builder.nodes[place].shape
    units = torch.eye(h * w, dtype=subject.dtype, device=subject.device).view(h * w, 1, h, w)
    weight = call.again(units).flatten(1).t().contiguous()
    found = builder.note(Linear(weight, None), (builder.reshape(place, (c, h * w)),), (c, len(weight)))
    return builder.reshape(found, builder.example(call.output.shape))


def _layer(call: Call, value: Tensor, weight: Tensor, bias: Tensor | None) -> int:
    place = call.place_of(value)
    if place is None or call.place_of(weight) is not None or call.place_of(bias) is not None:
        raise Unbounded("has weights that depend on the input")
    if bias is not None and bias.dim() > 1:
        bias = bias[0] if len(bias) == 1 else bias.expand(call.output.shape)
        if bias.dim() > 1:
            shift = call.constant(bias, call.output.shape)
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


# Arithmetic --------------------------------------------------------------------------------------------


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
    value = call.constant(left if one is None else right, shape)
    if name in ("add", "sub"):
        sign = 1.0 if name == "add" else -1.0
        if one is None:
            return builder.scale(place, torch.full_like(value, sign * alpha), value, like)
        return builder.scale(place, torch.ones_like(value), sign * alpha * value, like)
    if name == "mul":
        return builder.scale(place, value, torch.zeros_like(value), like)
    if name == "div":
        # A constant is divided by the branch, or the branch by it.
        place, value = (builder.reciprocal(place, like), value) if one is None else (place, 1 / value)
        return builder.scale(place, value, torch.zeros_like(value), like)
    low, high = (value, None) if name == "maximum" else (None, value)
    return builder.clip(place, low, high, like)


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
    return builder.product(one, two if name == "mul" else builder.reciprocal(two, like))


def neg(call: Call) -> int:
    """-z."""
    return call.builder.scale(call.one(), -1.0, 0.0, call.output)


def max_pool(call: Call) -> list[int | None]:
    """The greatest value of each cell, two at a time: the place itself, but no bound of where it is."""
    a, place = call.arguments, call.one()
    if call.subject.dim() != 4 or len(call.builder.nodes[place].shape) != 3:
        raise Unbounded("is not over one map for each example")
    if "kernel_size" in a:
        size, padding, dilation = (_pair(a[name]) for name in ("kernel_size", "padding", "dilation"))
        stride = _pair(a["stride"]) if a["stride"] else size
        if any(padding) or a["ceil_mode"]:
            place = _repeated(call, place, size, stride, padding, dilation)
    elif any(side != 1 for side in a["output_size"]):
        raise Unbounded("is over cells of several sizes; use AdaptiveMaxPool2d(1) or a plain MaxPool2d(kernel, stride)")
    else:
        size, stride, dilation = _pair(call.subject.shape[2:]), (1, 1), (1, 1)
    builder, like = call.builder, call.output[0]
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


def _repeated(call: Call, place: int, size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> int:
    """The map with its border repeated as far as the cells reach: their greatest values stay."""
    if dilation != (1, 1):
        raise Unbounded("has cells that reach beyond the map, and gaps in them; use padding=0 or dilation=1")
    lines = []
    for i in (0, 1):
        reach = stride[i] * (call.output[0].shape[2 + i] - 1) + size[i]
        lines.append((torch.arange(reach) - padding[i]).clamp(0, call.subject.shape[2 + i] - 1))
    return cells(call, place, lines[0], lines[1], call.subject)


CHANNELWISE = ("_adaptive_avg_pool2d", "adaptive_avg_pool2d", "upsample_bilinear2d", "upsample_bicubic2d")
RULES: dict[str, Rule] = {
    **ACTIVATIONS,
    **NORMS,
    **PRODUCTS,
    **AXES,
    **dict.fromkeys(MOVES, move),
    **dict.fromkeys(("add", "sub", "rsub", "mul", "div", "maximum", "minimum"), arithmetic),
    "convolution": convolution,
    "avg_pool2d": pool,
    **dict.fromkeys(("max_pool2d_with_indices", "adaptive_max_pool2d"), max_pool),
    **dict.fromkeys(("cat", "stack"), side_by_side),
    **dict.fromkeys(("constant_pad_nd", "masked_fill"), fill),
    "where": choose,
    **dict.fromkeys(CHANNELWISE, channelwise),
    "mm": mm,
    "addmm": addmm,
    "linear": linear,
    "neg": neg,
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
