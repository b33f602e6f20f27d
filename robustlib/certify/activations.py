"""Rules of activations and of other functions of one value: curves, and functions with corners, made of ReLUs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .builder import Call, Unbounded
from .curves import SOFTPLUS_THRESHOLD
from .moves import moved, numbers

Rule = Callable[[Call], Any]


def relu(call: Call) -> int:
    """max(z, 0)."""
    return call.builder.relu(call.one())


def curve(call: Call) -> int:
    """An activation without corners."""
    name = call.operator
    if name == "gelu" and call.get("approximate") == "tanh":
        name = "gelu_tanh"
    return call.builder.curve(call.one(), name)


def elu(call: Call) -> int:
    """The plain one, e, of s z, and of other slopes at 0 a corner: a e(s z) + (1 - a s) relu(z), all times a scale."""
    builder, like, place = call.builder, call.output, call.one()
    alpha = float(call.get("alpha"))
    scale, inner = (1.0, 1 / alpha) if call.operator == "celu" else (call.get("scale"), call.get("input_scale"))
    if inner <= 0:
        raise Unbounded(f"bends the other way at input_scale={inner:g}; use a positive one")
    bent = builder.curve(place if inner == 1 else builder.scale(place, inner, 0.0, like), "elu")
    if alpha * scale != 1:
        bent = builder.scale(bent, alpha * scale, 0.0, like)
    corner = 0.0 if call.operator == "celu" else scale * (1 - alpha * inner)
    if corner == 0:
        return bent
    return builder.sum(bent, builder.scale(builder.relu(place), corner, 0.0, like))


def softplus(call: Call) -> int:
    """log(1 + e^(b z)) / b."""
    builder, like, place = call.builder, call.output, call.one()
    beta, threshold = float(call.get("beta")), float(call.get("threshold"))
    if threshold != SOFTPLUS_THRESHOLD or beta <= 0:
        raise Unbounded(f"jumps at threshold={threshold:g}; use {SOFTPLUS_THRESHOLD:g}")
    if beta == 1:
        return builder.curve(place, "softplus")
    return builder.scale(builder.curve(builder.scale(place, beta, 0.0, like), "softplus"), 1 / beta, 0.0, like)


def log_sigmoid(call: Call) -> list[int | None]:
    """Log of the sigmoid, and a buffer."""
    return [call.builder.curve(call.one(), "log_sigmoid"), None]


def hard_swish(call: Call) -> int:
    """A parabola that goes on straight, less half a ReLU at each corner."""
    builder, like, place = call.builder, call.output, call.one()
    found = builder.curve(place, "hard_swish_inside")
    for sign in (1.0, -1.0):
        corner = builder.relu(builder.scale(place, sign, -3.0, like))
        found = builder.sum(found, builder.scale(corner, -0.5, 0.0, like))
    return found


def power(call: Call) -> int:
    """Products of z and squares; a root, exp(p log z) or the reciprocal of one, bounded where z is positive."""
    exponent = 2 if call.operator == "square" else call.get("exponent")
    builder, like = call.builder, call.output
    if isinstance(exponent, Tensor):
        return _exponential(call, exponent)
    place = call.one()
    if exponent == 0.5:
        return builder.curve(place, "sqrt")
    if exponent != int(exponent):
        return builder.curve(builder.scale(builder.curve(place, "log"), exponent, 0.0, like), "exp")
    if exponent == 0:
        return builder.scale(place, 0.0, 1.0, like)
    found, square, left = None, place, abs(int(exponent))
    while left:
        if left % 2:
            found = square if found is None else builder.product(found, square)
        left //= 2
        square = builder.curve(square, "square") if left else square
    assert found is not None
    return found if exponent > 0 else builder.reciprocal(found, like)


def _exponential(call: Call, exponent: Tensor) -> int:
    """exp(p log z) of an exponent p that depends on the input, or that is one for each value."""
    builder, like, base = call.builder, call.output, call.get("self")
    if call.place_of(exponent) is None:
        logs = builder.curve(call.one(), "log")
        powers = call.constant(exponent, like.shape)
        return builder.curve(builder.scale(logs, powers, torch.zeros_like(powers), like), "exp")
    if isinstance(base, Tensor):
        raise Unbounded("is a power of a tensor that depends on the input; give a number as its base")
    place = call.place_of(exponent)
    assert place is not None
    if base <= 0:
        raise Unbounded(f"is a power of {base:g}; give a positive base")
    return builder.curve(builder.scale(place, math.log(base), 0.0, like), "exp")


LOGARITHMS = {"log2": (math.log(2), 0.0), "log10": (math.log(10), 0.0), "log1p": (1.0, 1.0)}
"""By what the logarithm of z and a shift is divided, and the shift."""


def logarithm(call: Call) -> int:
    """log(z + shift) over a number."""
    builder, like, (base, shift) = call.builder, call.output, LOGARITHMS[call.operator]
    place = builder.scale(call.one(), 1.0, shift, like) if shift else call.one()
    found = builder.curve(place, "log")
    return found if base == 1 else builder.scale(found, 1 / base, 0.0, like)


def exponential(call: Call) -> int:
    """2^z, and e^z - 1."""
    builder, like, place = call.builder, call.output, call.one()
    if call.operator == "exp2":
        return builder.curve(builder.scale(place, math.log(2), 0.0, like), "exp")
    return builder.scale(builder.curve(place, "exp"), 1.0, -1.0, like)


def hyperbolic(call: Call) -> int:
    """(e^z - e^-z) / 2, and with a plus."""
    builder, like, place = call.builder, call.output, call.one()
    rising, falling = (builder.curve(builder.scale(place, sign, 0.0, like), "exp") for sign in (1.0, -1.0))
    sign = -0.5 if call.operator == "sinh" else 0.5
    return builder.sum(builder.scale(rising, 0.5, 0.0, like), builder.scale(falling, sign, 0.0, like))


def logit(call: Call) -> int:
    """The logarithm of z less that of 1 - z, z kept from 0 and 1 where the operator does so."""
    builder, like, place, eps = call.builder, call.output, call.one(), call.get("eps")
    if eps is not None:
        place = builder.clip(place, eps, 1 - eps, like)
    less = builder.curve(builder.scale(place, -1.0, 1.0, like), "log")
    return builder.sum(builder.curve(place, "log"), builder.scale(less, -1.0, 0.0, like))


def glu(call: Call) -> int:
    """One half times the sigmoid of the other."""
    place, subject = call.one(), call.subject
    halves = (moved(call, place, half, subject) for half in numbers(subject).chunk(2, call.get("dim")))
    one, other = (call.builder.reshape(half, call.builder.example(call.output.shape)) for half in halves)
    return call.builder.product(one, call.builder.curve(other, "sigmoid"))


def hard_sigmoid(call: Call) -> int:
    """A clipped line: min(max(z / 6 + 1/2, 0), 1)."""
    like = call.output
    return call.builder.clip(call.builder.scale(call.one(), 1 / 6, 0.5, like), 0.0, 1.0, like)


def clip(call: Call) -> int:
    """Between two constants, or on one side of one."""
    ends = [call.get("min", "min_val"), call.get("max", "max_val")]
    place = call.one()
    low, high = (call.constant(e, call.output.shape) if isinstance(e, Tensor) else e for e in ends)
    return call.builder.clip(place, low, high, call.output)


def soft_shrink(call: Call) -> int:
    """The value less what is left of it between two corners."""
    place, like, width = call.one(), call.output, float(call.get("lambd"))
    inner = call.builder.clip(place, -width, width, like)
    return call.builder.sum(place, call.builder.scale(inner, -1.0, 0.0, like))


def leak(call: Call) -> int:
    """A slope below zero: one number, or one for each channel."""
    name, place = call.operator, call.one()
    slope = -1.0 if name == "abs" else call.get("negative_slope", "weight")
    value = call.constant(slope, call.output.shape) if isinstance(slope, Tensor) else float(slope)
    return call.builder.leak(place, value, call.output)


ACTIVATIONS: dict[str, Rule] = {
    "relu": relu,
    **dict.fromkeys(("clamp", "clamp_min", "clamp_max", "hardtanh"), clip),
    **dict.fromkeys(("leaky_relu", "_prelu_kernel", "abs"), leak),
    **dict.fromkeys(("sigmoid", "tanh", "silu", "gelu", "mish", "erf", "atan", "exp", "log", "sqrt", "sin"), curve),
    **dict.fromkeys(("elu", "celu"), elu),
    **dict.fromkeys(("pow", "square"), power),
    "cos": lambda call: call.builder.curve(call.builder.scale(call.one(), 1.0, math.pi / 2, call.output), "sin"),
    "erfc": lambda call: call.builder.scale(call.builder.curve(call.one(), "erf"), -1.0, 1.0, call.output),
    "nan_to_num": lambda call: call.one(),
    **dict.fromkeys(LOGARITHMS, logarithm),
    **dict.fromkeys(("exp2", "expm1"), exponential),
    **dict.fromkeys(("sinh", "cosh"), hyperbolic),
    "logit": logit,
    "reciprocal": lambda call: call.builder.reciprocal(call.one(), call.output),
    "rsqrt": lambda call: call.builder.scale(call.builder.curve(call.one(), "minus_rsqrt"), -1.0, 0.0, call.output),
    "softplus": softplus,
    "log_sigmoid_forward": log_sigmoid,
    "hardsigmoid": hard_sigmoid,
    "hardswish": hard_swish,
    "softshrink": soft_shrink,
    "glu": glu,
}
"""Rules by the name of the operator, as in :data:`robustlib.certify.rules.RULES`."""
