"""What an update on certificates costs, counted by making one: no rule of thumb knows how rows are batched."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from ..data.registry import facts_of
from ..models import ModelSpec, build
from ..training import Certified, objective
from .specs import Network


class Calls(TorchDispatchMode):
    """Counts the operators that are called, and the bytes that they give."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kernels, self.bytes = 0, 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.kernels += 1
            for tensor in result if isinstance(result, tuple | list) else (result,):
                if isinstance(tensor, torch.Tensor):
                    self.bytes += tensor.numel() * tensor.element_size()
        return result


@dataclass(frozen=True)
class Update:
    """Loss and gradients of one batch: operations and bytes written for each example, and for the batch kernels and
    the bytes that do not grow with it."""

    flops: float
    bytes: float
    kernels: float
    fixed_bytes: float

    def mixed(self, other: Update, share: float) -> Update:
        """The mean update where ``share`` of them are like the other one."""
        mine, theirs = ((u.flops, u.bytes, u.kernels, u.fixed_bytes) for u in (self, other))
        return Update(*(a + share * (b - a) for a, b in zip(mine, theirs, strict=True)))


def certified_update(network: Network) -> Update:
    """The mean update of a training on certificates, counted on batches of one and two examples."""
    defence, shape = network.defence, facts_of(network.dataset).shape
    assert isinstance(defence, Certified)
    # Radius and share of interval bounds change no operator: networks that differ in them alone are counted once.
    plain = replace(defence, threat=replace(defence.threat, eps=0.1), start=0.0, ramp=0.0, interval=0.0)
    found = _counted(network.model, shape, network.outputs, plain)
    if not defence.interval:
        return found
    first = _counted(network.model, shape, network.outputs, replace(plain, interval=1.0))
    return found.mixed(first, defence.interval)


@functools.cache
def _counted(model: ModelSpec, shape: tuple[int, ...], classes: int, defence: Certified) -> Update:
    generator = torch.Generator().manual_seed(0)
    network = build(model, input_shape=shape, classes=classes, generator=generator)
    counts = []
    for n in (1, 2):
        x, y = torch.full((n, *shape), 0.5), torch.zeros(n, dtype=torch.int64)
        with FlopCounterMode(display=False) as flops, Calls() as calls:
            progress = 0.0 if defence.interval else 1.0
            objective(defence, network, x, y, progress=progress, generator=generator)[0].sum().backward()
        counts.append((float(flops.get_total_flops()), calls.bytes, float(calls.kernels)))
    (flops_1, bytes_1, _), (flops_2, bytes_2, kernels) = counts
    return Update(flops_2 - flops_1, bytes_2 - bytes_1, kernels, 2 * bytes_1 - bytes_2)
