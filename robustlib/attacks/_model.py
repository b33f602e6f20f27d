"""What every attack does with a model: check the call, borrow it frozen, differentiate to the input only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..errors import RobustlibError
from ..threat import Ball

Loss = Callable[[Tensor, Tensor], Tensor]


def check_eval(model: nn.Module, *, name: str = "model") -> nn.Module:
    """The model itself; raise RobustlibError when any part of it is in train mode."""
    training = [part or "all of it" for part, module in model.named_modules() if module.training]
    if training:
        raise RobustlibError(f"{name} is in train mode ({training[0]}); call .eval() before an attack")
    return model


def check_call(model: nn.Module, x: Tensor, y: Tensor, threat: Ball) -> None:
    """Raise RobustlibError, naming the argument, unless the call makes sense."""
    check_eval(model)
    check_labels(x, y)
    threat.check_inputs(x)


def check_labels(x: Tensor, y: Tensor, *, name: str = "y") -> None:
    """Raise RobustlibError unless y holds one non-negative int64 class for each row of x."""
    if x.dim() < 2:
        raise RobustlibError(f"x has shape {tuple(x.shape)}; give a batch, (N, ...)")
    if y.dtype != torch.int64 or y.shape != x.shape[:1]:
        raise RobustlibError(
            f"{name} has shape {tuple(y.shape)} and dtype {y.dtype}; give {len(x)} int64 class labels"
        )
    if y.numel() and int(y.min()) < 0:
        raise RobustlibError(f"{name} holds the label {int(y.min())}; labels start at 0")


def check_steps(**counts: int) -> None:
    """Raise RobustlibError for a count below 1."""
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise RobustlibError(f"{name}={value!r}; give a whole number, 1 or more")


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Parameters ask for no gradient inside the block; afterwards each asks for what it asked before."""
    asked = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for parameter in asked:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in asked:
            parameter.requires_grad_(True)


def logits_of(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """model(x), checked: (N, K) with K above every label."""
    logits = model(x)
    if logits.dim() != 2 or len(logits) != len(x):
        raise RobustlibError(
            f"model gives shape {tuple(logits.shape)} for {len(x)} inputs; expected (N, classes)"
        )
    if y.numel() and int(y.max()) >= logits.shape[1]:
        raise RobustlibError(f"y holds the label {int(y.max())}, the model has {logits.shape[1]} classes")
    return logits


def input_gradient(model: nn.Module, x: Tensor, y: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
    """Gradient of the summed loss to x, and the (N,) losses at x. The parameters' ``.grad`` is never touched."""
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        losses = loss(model(x), y)
        (gradient,) = torch.autograd.grad(losses.sum(), x)
    return gradient, losses.detach()
