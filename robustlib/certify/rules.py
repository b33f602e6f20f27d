"""Rules that translate PyTorch's operators into operations that bounds are known for.

A rule sees one call that the model made: the arguments that depend on the input, the values of the others, and the
result. It writes nodes and says which of them is the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .activations import ACTIVATIONS, Rule
from .attention import PRODUCTS
from .axes import AXES
from .builder import Call, Unbounded
from .curves import Curve
from .maps import MAPS
from .moves import MOVES, SCATTERED, choose, fill, move, moved, numbers, replaced, scattered, side_by_side
from .norms import NORMS
from .operations import Linear

SUPPORTED = (
    "Linear, convolutions, their transposes, batch norm, average and max pools and Upsample over one, two or three "
    "axes, adaptive pools, ReLU, Flatten, Dropout, Identity, Hardtanh, Hardsigmoid, ReLU6, LeakyReLU, PReLU, Sigmoid, "
    "LogSigmoid, Tanh, ELU, CELU, SELU, SiLU, GELU, Mish, Softplus, Hardswish, GLU, Softmax, LogSoftmax, Softshrink, "
    "LayerNorm, GroupNorm, InstanceNorm, RMSNorm, LocalResponseNorm, MultiheadAttention, TransformerEncoder, RNN, "
    "LSTM, GRU, matmul, einsum, cdist, exp, log, sqrt, square, sin, cos, erf, atan, sinh, cosh, abs, clamp, pads, "
    "PixelShuffle, view, permute, slices, cat, stack, split and what else moves or copies values, means, sums, running "
    "sums, products, variances, norms, logsumexp and the greatest or least value over axes, sums, differences, "
    "products and quotients of two branches, the greater or lesser of them, and +, -, *, / with a constant"
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


Operand = int | Tensor
"""A node, or a constant as one example sees it."""


def _operand(call: Call, value: Any) -> Operand:
    place = whole(call, value, call.output.shape) if isinstance(value, Tensor) else None
    return call.constant(value, call.output.shape) if place is None else place


def _plus(call: Call, one: Operand, two: Operand) -> Operand:
    if isinstance(one, Tensor):
        return one + two if isinstance(two, Tensor) else _plus(call, two, one)
    if isinstance(two, Tensor):
        return call.builder.scale(one, torch.ones_like(two), two, call.output)
    return call.builder.sum(one, two)


def _times(call: Call, one: Operand, two: Operand | float) -> Operand:
    if isinstance(one, Tensor):
        return _times(call, two, one) if isinstance(two, int) else one * two
    if isinstance(two, int):
        return call.builder.product(one, two)
    shift = torch.zeros_like(two) if isinstance(two, Tensor) else 0.0
    return call.builder.scale(one, two, shift, call.output)


def _through(call: Call, kind: str, one: Operand) -> Operand:
    return Curve(kind).forward(one) if isinstance(one, Tensor) else call.builder.curve(one, kind)


def combined(call: Call) -> Operand:
    """Two or three values, any of which may be constant: a + w (b - a), a + v b c, a + v b / c, and others."""
    a, name = call.arguments, call.operator
    one, two, *rest = (_operand(call, value) for value in list(a.values())[: 3 if len(a) > 2 else 2])
    if name == "lerp":
        return _plus(call, one, _times(call, rest[0], _plus(call, two, _times(call, one, -1.0))))
    if name in ("addcmul", "addcdiv"):
        other = rest[0] if name == "addcmul" else _times(call, _through(call, "minus_reciprocal", rest[0]), -1.0)
        return _plus(call, one, _times(call, _times(call, two, other), float(a["value"])))
    if name == "xlogy":
        return _times(call, one, _through(call, "log", two))
    if name == "hypot":
        return _through(call, "sqrt", _plus(call, _through(call, "square", one), _through(call, "square", two)))
    # log(e^a + e^b) is a less the logarithm of the sigmoid of a - b; PyTorch's softplus is another function above 20.
    apart = _plus(call, one, _times(call, two, -1.0))
    return _plus(call, one, _times(call, _through(call, "log_sigmoid", apart), -1.0))


def neg(call: Call) -> int:
    """-z."""
    return call.builder.scale(call.one(), -1.0, 0.0, call.output)


RULES: dict[str, Rule] = {
    **ACTIVATIONS,
    **NORMS,
    **PRODUCTS,
    **AXES,
    **MAPS,
    **dict.fromkeys(MOVES, move),
    **dict.fromkeys(("add", "sub", "rsub", "mul", "div", "maximum", "minimum"), arithmetic),
    **dict.fromkeys(("cat", "stack"), side_by_side),
    **dict.fromkeys(("constant_pad_nd", "masked_fill"), fill),
    "where": choose,
    **dict.fromkeys(SCATTERED, scattered),
    **dict.fromkeys(("copy", "fill", "zero"), replaced),
    **dict.fromkeys(("lerp", "addcmul", "addcdiv", "xlogy", "hypot", "logaddexp"), combined),
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
