"""Operators on values whose examples do not stand along the first axis, as ``nn.MultiheadAttention`` lays them.

Most operators treat every line of a value alike, or every number. What such a one does to lines in any order it does
to them example by example as well: its rule sees the lines in that order, and its result is laid as the operator's is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from .activations import ACTIVATIONS, Rule
from .axes import AXES, axes_of
from .builder import Call, Held, Laid, Unbounded
from .moves import MOVES, laid, moved, numbers
from .norms import instance_norm

MIXED = "mixes the examples of a batch"
SINGLE = (set(ACTIVATIONS) - {"glu"}) | {"add", "sub", "rsub", "mul", "div", "maximum", "minimum", "neg", "_to_copy"}
"""Operators on every number alone, of one value or of several that are broadcast together."""


def by_examples(call: Call, rule: Rule) -> Any:
    """What the rule makes of the call, whose arguments may be laid in any way."""
    parts = [part for value in call.arguments.values() for part in (value if isinstance(value, list) else [value])]
    found = next((held for part in parts if isinstance(held := call.held_of(part), Laid)), None)
    name = call.operator
    in_front = name == "stack" and call.arguments["dim"] % (parts[0].dim() + 1) == 0
    if in_front and found is None:
        return _along(call, rule)
    if found is None or name in MOVES:
        return rule(call)
    if name in SINGLE:
        result = _singly(call, rule)
    elif name in LINES:
        result = _in_lines(call, LINES[name](call, rule))
    elif name in ("cat", "stack"):
        result = _along(call, rule)
    else:
        return rule(call)

    def named(value: Any) -> Any:
        return replace(value, where=found.where) if isinstance(value, Laid) else value

    return [named(value) for value in result] if isinstance(result, list) else named(result)


def _numbers(call: Call, tensor: Tensor) -> tuple[int, Tensor] | None:
    """The node of a value and the numbers of its own values; None: it does not depend on the input."""
    held = call.held_of(tensor)
    if held is None:
        return None
    return (held.place, held.numbers) if isinstance(held, Laid) else (held, numbers(tensor))


def _examples(call: Call, place: int, lines: Tensor) -> Tensor:
    """Of each line of numbers the example that it belongs to."""
    own = math.prod(call.builder.nodes[place].shape)
    of_each = torch.where(lines > 0, (lines - 1).div(own, rounding_mode="floor"), -1)
    example = of_each.amax(1)
    if bool((example < 0).any()) or bool(((of_each >= 0) & (of_each != example[:, None])).any()):
        raise Unbounded(MIXED)
    return example


@dataclass(frozen=True)
class _Order:
    """Lines (m, k) of a value along some axes, example by example."""

    axes: tuple[int, ...]
    order: Tensor

    def lines(self, value: Tensor) -> Tensor:
        """(m, k) of a value that has them along these axes."""
        return _lines(value, self.axes)[self.order.to(value.device)]

    def back(self, lines: Tensor, shape: Sequence[int]) -> Tensor:
        """The value of this shape that has these lines; where the axes are gone they are single numbers."""
        found = torch.empty_like(lines)
        found[self.order.to(lines.device)] = lines
        axes = self.axes if lines.dim() == 2 else ()
        rest = [axis for axis in range(len(shape)) if axis not in axes]
        turned = [*rest, *axes]
        return found.reshape([shape[axis] for axis in turned]).permute(
            [turned.index(axis) for axis in range(len(shape))]
        )


def _lines(value: Tensor, axes: Sequence[int]) -> Tensor:
    rest = [axis for axis in range(value.dim()) if axis not in axes]
    k = math.prod(value.shape[axis] for axis in axes)
    return value.permute(*rest, *axes).reshape(-1, k)


def _ordered(call: Call, given: Sequence[tuple[int, Tensor]], axes: Sequence[int]) -> _Order:
    """The order of the lines along these axes that the values, of one shape, have in common."""
    first, *others = [_examples(call, place, _lines(found, axes)) for place, found in given]
    if any(not torch.equal(first, other) for other in others):
        raise Unbounded(MIXED)
    return _Order(tuple(axes), first.argsort(stable=True))


def _applied(call: Call, rule: Rule, nodes: dict[int, int], arguments: dict[str, Any], output: Tensor) -> Any:
    """The rule's result on other arguments, of which some, by identity, are nodes."""
    rest = [] if isinstance(call.output, Tensor) else list(call.output[1:])
    whole = [output, *rest] if rest else output
    return rule(Call(call.builder, call.func, arguments, lambda tensor: nodes.get(id(tensor)), whole))


def _result(call: Call, found: Any, output: Tensor, back: Callable[[Tensor], Tensor]) -> Any:
    """What a rule made of lines, as the operator lays it."""
    place, *rest = found if isinstance(found, list) else [found]
    held: Held = laid(call, Laid(place, back(numbers(output))), output)
    return [held, *rest] if isinstance(found, list) else held


def _singly(call: Call, rule: Rule) -> Any:
    """An operator on every number alone; along the last axis they stay together where they are of one example."""
    shape = call.first.shape
    tensors = {name: value for name, value in call.arguments.items() if isinstance(value, Tensor)}
    given = {
        name: (found[0], found[1].expand(shape))
        for name, value in tensors.items()
        if (found := _numbers(call, value)) is not None
    }
    try:
        order = _ordered(call, list(given.values()), [len(shape) - 1])
    except Unbounded:
        order = _ordered(call, list(given.values()), [])
    nodes, arguments = {}, dict(call.arguments)
    for name, value in tensors.items():
        if name in given or value.numel() > 1:
            arguments[name] = order.lines(value.expand(shape))
        if name in given:
            place, where = given[name]
            nodes[id(arguments[name])] = moved(call, place, order.lines(where), arguments[name])
    output = order.lines(call.first)
    made = _applied(call, rule, nodes, arguments, output)
    return _result(call, made, output, lambda found: order.back(found, shape))


@dataclass(frozen=True)
class _Lines:
    """How an operator treats each line of one argument alike.

    Attributes:
        name: of the argument.
        axes: along which its lines run.
        rule: of the operator on lines (m, k).
        others: its further arguments there.
        each: those that are one number for each line.
        gone: whether the axes are gone from the result.
        parts: where each part, along the first axis, is treated in its own way: how many there are. The rule has
            (examples x parts, lines, k), by the name ``self``.
    """

    name: str
    axes: Sequence[int]
    rule: Rule
    others: dict[str, Any] = field(default_factory=dict)
    each: tuple[str, ...] = ()
    gone: bool = False
    parts: int = 0


def _in_lines(call: Call, way: _Lines) -> Any:
    """An operator on every line alone."""
    subject, first, rows = call.arguments[way.name], call.first, call.builder.rows
    known = _numbers(call, subject)
    rest = [value for name, value in call.arguments.items() if name != way.name]
    if known is None or any(call.held_of(value) is not None for value in rest):
        raise Unbounded("has weights or positions that depend on the input")
    order = _ordered(call, [known], [axis % subject.dim() for axis in way.axes])
    at = order.order.to(first.device)
    lines, found = order.lines(subject), order.lines(known[1])
    output = first.reshape(-1)[at] if way.gone else order.lines(first)
    flat = output.shape
    if way.parts:
        part = (order.order * way.parts).div(len(lines), rounding_mode="floor").reshape(rows, way.parts, -1)
        if not torch.equal(part, torch.arange(way.parts, device=part.device)[:, None].expand_as(part)):
            raise Unbounded(MIXED)
        lines, found, output = (v.reshape(rows * way.parts, -1, v.shape[-1]) for v in (lines, found, output))
    arguments = {**call.arguments, **way.others, "self" if way.parts else way.name: lines}
    arguments.update({name: arguments[name][at] for name in way.each if arguments[name] is not None})
    nodes = {id(lines): moved(call, known[0], found, lines)}
    made = _applied(call, way.rule, nodes, arguments, output)
    return _result(call, made, output, lambda numbers: order.back(numbers.reshape(flat), first.shape))


def _matrix(call: Call, rule: Rule) -> _Lines:
    """Lines times a matrix."""
    name = next(name for name in ("mat1", "input", "self") if name in call.arguments)
    bias = call.get("bias") if name == "input" else call.arguments["self"] if name == "mat1" else None
    if bias is not None and bias.dim() > 1 and len(bias) > 1:
        raise Unbounded("adds a constant to each of its lines")
    return _Lines(name, [-1], rule)


def _matrices(call: Call, rule: Rule) -> _Lines:
    """Values times constant matrices, from the right or from the left."""
    one, other = call.arguments["self"], call.arguments["mat2"]
    right = call.held_of(other) is None
    constant = other if right else one.transpose(1, 2)
    if bool((constant == constant[:1]).all()):
        constant = constant[:1]
    each = {"mat2": constant.repeat(call.builder.rows, 1, 1)}
    return _Lines("self" if right else "mat2", [-1] if right else [-2], rule, each, parts=len(constant))


def _normed(call: Call, rule: Rule) -> _Lines:
    """Layer norm over the last axes."""
    axes = len(call.arguments["normalized_shape"])
    k = math.prod(call.arguments["normalized_shape"])
    flat = {
        name: None if call.arguments[name] is None else call.arguments[name].flatten() for name in ("weight", "bias")
    }
    return _Lines("input", list(range(-axes, 0)), rule, {"normalized_shape": [k], **flat})


def _by_channels(call: Call, rule: Rule) -> _Lines:
    """Instance norm, which PyTorch writes as batch norm of one example that has the channels of all."""
    if not call.arguments["training"]:
        raise Unbounded(MIXED)
    axes = [axis for axis in range(call.arguments["input"].dim()) if axis != 1]
    return _Lines("input", axes, instance_norm, each=("weight", "bias"))


def _reduced(call: Call, rule: Rule) -> _Lines:
    """One number of each line."""
    single = isinstance(call.arguments["dim"], int)
    return _Lines("self", axes_of(call), rule, {"dim": 1 if single else [1], "keepdim": False}, gone=True)


def _last(call: Call, rule: Rule) -> _Lines:
    """A softmax."""
    return _Lines("self", [call.arguments["dim"]], rule, {"dim": 1})


LINES: dict[str, Callable[[Call, Rule], _Lines]] = {
    **dict.fromkeys(("mm", "addmm", "linear"), _matrix),
    "bmm": _matrices,
    "native_layer_norm": _normed,
    "native_batch_norm": _by_channels,
    **dict.fromkeys(AXES, _reduced),
    **dict.fromkeys(("_softmax", "_safe_softmax", "_log_softmax"), _last),
}
"""Operators on every line alone: how they do it."""


def _along(call: Call, rule: Rule) -> Any:
    """Values set side by side, all of whose examples stand along one axis."""
    parts = call.arguments["tensors"]
    known = [_numbers(call, part) for part in parts]
    axis = max((axis for found in known if found and (axis := _axis(call, found)) is not None), default=None)
    dim = call.arguments["dim"] % (parts[0].dim() + (call.operator == "stack"))
    new = call.operator == "stack"
    if axis is None or (dim == axis and not new):
        raise Unbounded(MIXED)
    turned = [part.movedim(axis, 0) for part in parts]
    nodes = {
        id(part): moved(call, found[0], found[1].movedim(axis, 0), part)
        for part, found in zip(turned, known, strict=True)
        if found is not None
    }
    where = axis + (new and dim <= axis)
    output = call.output.movedim(where, 0)
    among = dim - (dim > where) + 1
    made = _applied(call, rule, nodes, {"tensors": turned, "dim": among}, output)
    return _result(call, made, output, lambda found: found.movedim(0, where))


def _axis(call: Call, known: tuple[int, Tensor]) -> int | None:
    """The axis along which a value has its examples, one after the other."""
    place, found = known
    for axis in range(found.dim()):
        try:
            example = _examples(call, place, found.movedim(axis, 0).flatten(1))
        except Unbounded:
            continue
        if torch.equal(example, torch.arange(call.builder.rows, device=example.device)):
            return axis
    return None
