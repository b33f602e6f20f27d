"""A network as a graph of the operations that bounds are known for, traced from an ordinary nn.Module.

Weights are those of the module itself, so that bounds differentiate to them. An operation outside the list is
refused by its name: a bound that skipped it would certify another network.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from ..errors import RobustlibError
from .operations import Add, Conv, Input, Linear, Operation, Relu, Reshape, Scale, affine, average_pool
from .rows import Kernel, Pair, Shape

SUPPORTED = (
    "Linear, Conv2d, ReLU, BatchNorm1d, BatchNorm2d, AvgPool2d, AdaptiveAvgPool2d(1), Flatten, view, reshape, Dropout, "
    "Identity, Hardtanh, ReLU6, LeakyReLU, the sum of two branches, abs, and +, -, *, / with a constant"
)


@dataclass(frozen=True)
class Node:
    """One operation: its name in the model, the positions of its inputs, the shape of one example's output."""

    name: str
    operation: Operation
    inputs: tuple[int, ...]
    shape: Shape


@dataclass(frozen=True)
class Graph:
    """Nodes in an order in which inputs come first: node 0 is the network's input, the last its (K,) logits."""

    nodes: tuple[Node, ...]

    @property
    def relus(self) -> list[int]:
        """Positions of the ReLUs."""
        return [i for i, node in enumerate(self.nodes) if isinstance(node.operation, Relu)]

    def __call__(self, x: Tensor) -> Tensor:
        values = [x]
        for node in self.nodes[1:]:
            values.append(node.operation.forward(*[values[i] for i in node.inputs]))
        return values[-1]


def _pair(value: Any) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _batch_norm(module: nn.BatchNorm1d | nn.BatchNorm2d, name: str, before: Tensor) -> Scale:
    if module.running_mean is None or module.running_var is None:
        raise RobustlibError(f"{name} has no running statistics; make it with track_running_stats=True")
    factor = (module.running_var + module.eps).rsqrt()
    factor = factor if module.weight is None else factor * module.weight
    shift = -module.running_mean * factor
    shift = shift if module.bias is None else shift + module.bias
    form = (-1, *[1] * (before.dim() - 2))
    return Scale(factor.view(form), shift.view(form))


def _conv(module: nn.Conv2d, name: str) -> Conv:
    if isinstance(module.padding, str) or module.padding_mode != "zeros":
        raise RobustlibError(f"{name} pads by {module.padding!r} with {module.padding_mode}; give a number and zeros")
    stride, padding, dilation = (_pair(value) for value in (module.stride, module.padding, module.dilation))
    return Conv(Kernel(module.weight, stride, padding, dilation, module.groups), module.bias)


def _pool(module: nn.AvgPool2d | nn.AdaptiveAvgPool2d, name: str, before: Tensor) -> Conv:
    if isinstance(module, nn.AdaptiveAvgPool2d):
        if module.output_size not in (1, (1, 1)):
            raise RobustlibError(f"{name} pools to {module.output_size}; only AdaptiveAvgPool2d(1) is supported")
        return average_pool(before, tuple(before.shape[2:]), (1, 1), (0, 0))
    size, padding = _pair(module.kernel_size), _pair(module.padding)
    if module.ceil_mode or module.divisor_override or (padding != (0, 0) and not module.count_include_pad):
        raise RobustlibError(f"{name} averages over cells of several sizes; use a plain AvgPool2d(kernel, stride)")
    return average_pool(before, size, _pair(module.stride), padding)


def _of_module(module: nn.Module, name: str, before: Tensor, after: Tensor) -> Operation | None:
    """The operation of a leaf module; None: nothing changes."""
    kept = isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.Dropout | nn.Dropout2d)
    if kept and module.training:
        raise RobustlibError(f"{name} is in train mode; call model.eval() before certifying")
    match module:
        case nn.Linear():
            return Linear(module.weight, module.bias)
        case nn.Conv2d():
            return _conv(module, name)
        case nn.ReLU():
            return Relu()
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            return _batch_norm(module, name, before)
        case nn.AvgPool2d() | nn.AdaptiveAvgPool2d():
            return _pool(module, name, before)
        case nn.Flatten():
            return Reshape(tuple(after.shape[1:]))
        case nn.Dropout() | nn.Dropout2d() | nn.Identity():
            return None
    raise _unsupported(name)


def _unsupported(name: str) -> RobustlibError:
    return RobustlibError(f"{name} has no bound here; supported are {SUPPORTED}")


_ADD = (operator.add, operator.iadd, torch.add, "add", "add_")
_SUBTRACT, _MULTIPLY = (operator.sub, torch.sub, "sub"), (operator.mul, torch.mul, "mul")
_DIVIDE = (operator.truediv, torch.div, "div")
_ABS = (operator.abs, torch.abs, "abs")
_RELU = (functional.relu, torch.relu, "relu", "relu_")
_RESHAPE = (torch.flatten, torch.reshape, "flatten", "view", "reshape")


def _with_constant(target: Any, left: Any, right: Any, before: Tensor) -> Scale | None:
    """Arithmetic of a value (given as None) with a constant on one side."""
    constant = torch.as_tensor(right if left is None else left).to(before)
    shape, trailing = tuple(before.shape[1:]), (1,) * (before.dim() - 2)
    constant = constant[0] if constant.dim() == before.dim() else constant
    # One number for each channel stays so; anything else is written out for every value.
    compact = constant.numel() == 1 or constant.shape == (shape[0], *trailing)
    constant = constant.reshape(-1, *trailing).expand(shape[0], *trailing) if compact else constant.expand(shape)
    one, zero = torch.ones_like(constant), torch.zeros_like(constant)
    if target in _ADD:
        return Scale(one, constant)
    if target in _MULTIPLY:
        return Scale(constant, zero)
    if target in _SUBTRACT:
        return Scale(one, -constant) if left is None else Scale(-one, constant)
    return Scale(1 / constant, zero) if target in _DIVIDE and left is None else None


class _Recorder(fx.Interpreter):
    """Runs a traced model on one example and writes down each operation on the way."""

    def __init__(self, module: nn.Module, graph: fx.Graph) -> None:
        super().__init__(module, graph=graph)
        self.nodes: list[Node] = []
        self.places: dict[fx.Node, int] = {}
        """Position of what carries the input; sizes and constants have none."""
        self.last = 0

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        inputs = [arg for arg in n.all_input_nodes if arg in self.places]
        if n.op == "placeholder":
            self._note(n, Input(), (), value)
        elif n.op == "output":
            if not isinstance(value, Tensor):
                raise RobustlibError("the model returns more than one tensor; give one that returns its logits")
            self.last = self.places[inputs[0]]
        elif inputs and isinstance(value, Tensor):
            before = self.env[inputs[0]]
            module = self.submodules[str(n.target)] if n.op == "call_module" else None
            if isinstance(module, nn.Hardtanh):
                self._note_clip(n, float(module.min_val), float(module.max_val), value)
            elif isinstance(module, nn.LeakyReLU):
                self._note_leak(n, float(module.negative_slope), value)
            elif module is None and n.target in _ABS:
                self._note_leak(n, -1.0, value)
            elif (operation := self._operation(n, inputs, before, value)) is None:
                self.places[n] = self.places[inputs[0]]
            else:
                self._note(n, operation, tuple(self.places[arg] for arg in inputs), value)
        return value

    def _note(self, n: fx.Node, operation: Operation, inputs: tuple[int, ...], value: Tensor) -> None:
        self.places[n] = len(self.nodes)
        name = str(n.target) if n.op == "call_module" else n.name
        self.nodes.append(Node(name, operation, inputs, tuple(value.shape[1:])))

    def _note_clip(self, n: fx.Node, low: float, high: float, value: Tensor) -> None:
        """Hard tanh as two ReLUs in a row: high - relu(high - low - relu(z - low))."""
        for factor, shift in ((1.0, -low), (-1.0, high - low), (-1.0, high)):
            before = self.places.get(n, self.places[n.all_input_nodes[0]])
            if factor < 0:
                self._note(n, Relu(), (before,), value)
                before = self.places[n]
            self._note(n, affine(factor, shift, value), (before,), value)

    def _note_leak(self, n: fx.Node, leak: float, value: Tensor) -> None:
        """Of a slope below zero: leak z + (1 - leak) relu(z); |z| has -1."""
        start = self.places[n.all_input_nodes[0]]
        self._note(n, affine(leak, 0.0, value), (start,), value)
        straight = self.places[n]
        self._note(n, Relu(), (start,), value)
        self._note(n, affine(1 - leak, 0.0, value), (self.places[n],), value)
        self._note(n, Add(), (straight, self.places[n]), value)

    def _operation(self, n: fx.Node, inputs: list[fx.Node], before: Tensor, after: Tensor) -> Operation | None:
        if n.op == "call_module":
            module = self.submodules[str(n.target)]
            return _of_module(module, f"{n.target} ({type(module).__name__})", before, after)
        if n.target in _RELU:
            return Relu()
        if n.target in _RESHAPE and len(after) == len(before):
            return Reshape(tuple(after.shape[1:]))
        operands = [n.args[0], n.args[1]] if len(n.args) == 2 and not n.kwargs else []
        if len(inputs) == 2 and operands == inputs and n.target in _ADD:
            if self.env[inputs[0]].shape == self.env[inputs[1]].shape:
                return Add()
        elif len(inputs) == 1 and len(operands) == 2 and operands[0] is not operands[1]:
            left, right = (None if arg in self.places else self._constant(arg) for arg in operands)
            found = _with_constant(n.target, left, right, before)
            if found is not None and after.shape == before.shape:
                return found
        raise _unsupported(f"{n.name} ({getattr(n.target, '__name__', n.target)})")

    def _constant(self, argument: Any) -> Any:
        return self.env[argument] if isinstance(argument, fx.Node) else argument


def trace(model: nn.Module, x: Tensor) -> Graph:
    """The graph of a model, recorded on the first example of x and checked to give the model's own logits there.

    Args:
        model: (N, ...) inputs to (N, K) logits; batch norm and dropout in eval mode.
        x: (N, ...) inputs.

    Raises:
        RobustlibError: an operation without a bound, a layer in train mode, control flow that depends on values.
    """
    tracer = fx.Tracer()
    root = nn.Sequential(model) if tracer.is_leaf_module(model, "") else model
    sample = x[:1].detach() if len(x) else x.new_zeros(1, *x.shape[1:])
    try:
        # A GraphModule would compile code that is run once.
        recorder = _Recorder(root, tracer.trace(root))
    except (fx.proxy.TraceError, TypeError) as error:
        raise RobustlibError(f"model cannot be traced: {error}; branch on no values of the input") from error
    logits = recorder.run(sample)
    if logits.dim() != 2:
        raise RobustlibError(f"model gives shape {tuple(logits.shape)} for one input; expected (1, classes)")
    graph = Graph(tuple(recorder.nodes[: recorder.last + 1]))
    with torch.no_grad():
        off = float((graph(sample) - logits).abs().amax())
        if not off <= 1e-4 * (1 + float(logits.abs().amax())):
            raise RobustlibError(f"the traced network is off by {off:.3g} at x[0]; its operations are not understood")
    return graph
