"""What a forward pass, an update or a certificate costs, counted by making one: no rule of thumb knows their operators.

Everything is made of shapes alone, on PyTorch's "meta" device, where nothing is computed.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from ..attacks._model import frozen
from ..attacks.losses import cross_entropy
from ..attacks.pgd import ascend
from ..certify import estimated_margins
from ..certify.certificate import margins_in
from ..certify.region import Region
from ..certify.trace import trace
from ..data.registry import facts_of
from ..models import ModelSpec, build
from ..spec.network import Network
from ..threat import LinfBall
from ..training import Certified, Defence, Distillation, Standard, objective
from ..training.inner import Inner

Call = Callable[[nn.Module, Tensor, Tensor, torch.Generator], object]
BALL = LinfBall(0.1)
"""Stands for any: radius and norm change few operators."""
LANES = 16
IMAGES = (1, 3)
"""Channels that convolutions have a way of their own for."""
WEIGHTS = {torch.ops.aten.convolution: 1, torch.ops.aten.convolution_backward: 2}
"""Where the weights stand among the arguments of operators whose lanes are channels."""
ALIKE = dict.fromkeys(("step_size", "beta", "scale", "weight", "temperature"), 1.0) | {"eps_warmup": 0.0, "start": 0.0}
"""Fields of defences whose values change no operator either."""


@dataclass(frozen=True)
class Work:
    """Floating-point operations (2 to a multiply-add), bytes that operators read and write, kernels started.

    Args:
        flops: those that the arithmetic needs.
        issued: those that a device does for them: vectors have 16 lanes, and a convolution of fewer channels leaves
            the others idle.
    """

    flops: float = 0.0
    issued: float = 0.0
    read: float = 0.0
    written: float = 0.0
    kernels: float = 0.0

    @property
    def bytes(self) -> float:
        """Both ways."""
        return self.read + self.written

    def __add__(self, other: Work) -> Work:
        return Work(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Work)))

    def __radd__(self, other: float) -> Work:
        return self

    def __mul__(self, times: float) -> Work:
        return Work(*(getattr(self, f.name) * times for f in fields(Work)))


@dataclass(frozen=True)
class Batch:
    """The work of a batch: what it takes whatever its size, and what each example adds."""

    fixed: Work
    each: Work

    def of(self, n: float) -> Work:
        """All of a batch of n."""
        return self.fixed + self.each * n

    def plus(self, other: Batch, times: float) -> Batch:
        """Another's work as well, so many times."""
        return Batch(self.fixed + other.fixed * times, self.each + other.each * times)


class Calls(TorchDispatchMode):
    """Adds up the work of the operators that are called."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.work = Work()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            # A number is asked of a tensor that holds none: whether inputs and labels are in range, mostly.
            return 0
        # Shapes are not drawn: what would draw them takes no generator of a real device.
        kwargs = {name: None if name == "generator" else value for name, value in (kwargs or {}).items()}
        result = func(*args, **kwargs)
        if not func.is_view:
            count = flop_registry.get(func._overloadpacket)
            flops = float(count(*args, **kwargs, out_val=result)) if count else 0.0
            read, written = (sum(map(_held, tree_leaves(side))) for side in ((args, kwargs), result))
            self.work += Work(flops, flops * _filling(func, args), read, written, 1)
        return result


def _filling(func: Any, args: Any) -> float:
    """How many lanes are issued for each that has a channel."""
    if func._overloadpacket not in WEIGHTS:
        return 1.0
    channels = args[WEIGHTS[func._overloadpacket]].shape[:2]
    return math.prod(LANES * math.ceil(n / LANES) / n for n in channels if n not in IMAGES)


def _held(leaf: object) -> int:
    """Bytes of a tensor; what is only spread over many places counts once."""
    if not isinstance(leaf, Tensor):
        return 0
    return leaf.element_size() * math.prod(n for n, step in zip(leaf.shape, leaf.stride(), strict=True) if step)


def _count(model: ModelSpec, shape: tuple[int, ...], classes: int, call: Call, *, train: bool = False) -> Batch:
    """Counted on batches of two and three: single examples take short cuts."""
    found, generator = [], torch.Generator().manual_seed(0)
    for n in (2, 3):
        with torch.device("meta"):
            network = build(model, input_shape=shape, classes=classes, generator=generator).train(train)
            x, y = torch.empty(n, *shape), torch.zeros(n, dtype=torch.int64)
            with Calls() as calls:
                call(network, x, y, generator)
        found.append(calls.work)
    two, three = found
    return Batch(two * 3 + three * -2, three + two * -1)


@functools.cache
def weights_of(model: ModelSpec, shape: tuple[int, ...], classes: int) -> int:
    """How many numbers are trained."""
    with torch.device("meta"):
        network = build(model, input_shape=shape, classes=classes, generator=torch.Generator())
    return sum(parameter.numel() for parameter in network.parameters())


@functools.cache
def forward_of(model: ModelSpec, shape: tuple[int, ...], classes: int) -> Batch:
    """A forward pass that keeps nothing for a backward one."""

    def call(network: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> None:
        with torch.no_grad():
            network(x)

    return _count(model, shape, classes, call)


@functools.cache
def step_of(model: ModelSpec, shape: tuple[int, ...], classes: int) -> Batch:
    """A step of an attack: a gradient to the input, and what is made of it."""

    def call(network: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> None:
        with frozen(network):
            ascend(network, x, y, BALL, start=x, steps=1, step_size=0.1, loss=cross_entropy)

    return _count(model, shape, classes, call)


@functools.cache
def certificate_of(
    model: ModelSpec, shape: tuple[int, ...], classes: int, method: str, slopes: str, projections: int
) -> Batch:
    """Margins with their slack, all rows at once; with projections, an estimate of the margins."""

    def call(network: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> None:
        if projections:
            estimated_margins(network, x, y, BALL, projections=projections, generator=generator)
        else:
            margins_in(trace(network, x), y, Region.around(x, BALL), method=method, slopes=slopes, sized=True)

    return _count(model, shape, classes, call)


@functools.cache
def _gradient_of(model: ModelSpec, shape: tuple[int, ...], classes: int, defence: Defence, progress: float) -> Batch:
    """Loss and gradients of an update."""

    def call(network: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> None:
        labels = torch.empty(len(x), classes) if isinstance(defence, Distillation) else y
        objective(defence, network, x, labels, progress=progress, generator=generator)[0].sum().backward()

    return _count(model, shape, classes, call, train=True)


def _plain(defence: Defence) -> Defence:
    """With values that change no operator set alike: defences that differ in them alone are counted once."""
    names = {field.name for field in fields(defence)}
    alike: dict[str, Any] = {name: value for name, value in ALIKE.items() if name in names}
    if not isinstance(defence, Standard | Distillation):
        alike["threat"] = replace(defence.threat, eps=BALL.eps)
    return replace(defence, **alike)


def gradient(network: Network) -> Batch:
    """Loss and gradients of the mean update of a training."""
    what = (network.model, facts_of(network.dataset).shape, network.outputs)
    defence = _plain(network.defence)
    if isinstance(defence, Inner):
        once = _gradient_of(*what, replace(defence, steps=1, ramp=()), 1.0)
        return once.plus(step_of(*what), defence.mean_steps - 1)
    if isinstance(defence, Certified):
        share, defence = defence.interval, replace(defence, ramp=0.0, interval=0.0)
        if share:
            first, late = _gradient_of(*what, replace(defence, interval=1.0), 0.0), _gradient_of(*what, defence, 1.0)
            return Batch(Work(), Work()).plus(first, share).plus(late, 1 - share)
    return _gradient_of(*what, defence, 1.0)
