"""What every attack does with a model: check the call, borrow it frozen, differentiate to the input only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ..errors import RobustlibError
from ..threat import Ball, check_labels, parse_number

Loss = Callable[[Tensor, Tensor], Tensor]

Form = tuple[torch.Size, torch.dtype]
GRAPHS = 4
"""Shapes that are captured for one model, at most; survivors come in many, and each graph holds memory."""
_GRAPHS: WeakKeyDictionary[nn.Module, dict[Form, Callable[[Tensor], Tensor]]] = WeakKeyDictionary()

ROUNDING = 1e-5
"""Share of the largest logit by which a wrong class must lead before a point counts as broken."""


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


def check_steps(**counts: int) -> None:
    """Raise RobustlibError for a count below 1."""
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise RobustlibError(f"{name}={value!r}; give a whole number, 1 or more")


def check_temperature(value: object) -> float:
    """A softmax temperature T as a float; raise RobustlibError unless it is a finite number above 0."""
    if isinstance(value, str):
        raise RobustlibError(f"temperature={value!r} is text; give a number above 0, such as 20.0")
    return parse_number(value, name="temperature", above=0)


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
    if not bool(torch.isfinite(logits).all()):
        raise RobustlibError(
            "model gives logits that are not finite; its weights or its arithmetic are broken"
        )
    return logits


def input_gradient(model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
    """Gradient of the summed loss to x, and the (N,) losses at x. The parameters' ``.grad`` is never touched."""
    gradient, losses, _ = gradient_and_logits(model, x, y, loss)
    return gradient, losses


def gradient_and_logits(
    model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, loss: Loss
) -> tuple[Tensor, Tensor, Tensor]:
    """As :func:`input_gradient`, and the (N, K) logits at x, from the same forward pass."""
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        logits = model(x)
        losses = loss(logits, y)
        (gradient,) = torch.autograd.grad(losses.sum(), x)
    return gradient, losses.detach(), logits.detach()


def captured(model: nn.Module, x: Tensor) -> Callable[[Tensor], Tensor]:
    """The frozen model for many calls at x's shape: on a GPU its passes are CUDA graphs, elsewhere itself.

    A graph reads the parameters where they lie, so that it stays right while training updates them in place.
    """
    graphs, form = _GRAPHS.setdefault(model, {}), (x.shape, x.dtype)
    if not x.is_cuda or (form not in graphs and len(graphs) == GRAPHS):
        return model
    if form not in graphs:
        sample = x.detach().clone().requires_grad_(True)
        passes: Any = torch.cuda.make_graphed_callables(lambda inputs: model(inputs), (sample,))
        graphs[form] = passes
    return graphs[form]


def per_example(values: Tensor, like: Tensor) -> Tensor:
    """(N,) values shaped to broadcast over ``like`` (N, ...)."""
    return values.view(-1, *[1] * (like.dim() - 1))


class Standing:
    """The examples of a batch that nothing has broken yet; broken ones leave with the point that broke them.

    A search may be steered by another network than the one under attack (a transfer source, a copy in low
    precision), so success is always asked of ``model`` itself, and only about points that look like one.

    Attributes:
        found: (N, ...) the points to return: what broke an example, else what was last put there, else x.
        rows: (M,) positions in the batch of those that stand.
    """

    def __init__(self, model: nn.Module, x: Tensor, y: Tensor) -> None:
        self.model, self.y = model, y
        self.found = x.clone()
        self.rows = torch.arange(len(x), device=x.device)

    def leave(self, points: Tensor, logits: Tensor) -> Tensor:
        """File those of the (M, ...) points that break their example; (M,) bool: which examples stay.

        Args:
            points: one for each standing example.
            logits: (M, K) of the steering network, which say what is worth asking.
        """
        labels = self.y[self.rows]
        stays = logits.argmax(1) == labels
        asked = (~stays).nonzero().flatten()
        if len(asked):
            stays[asked] = ~lost(self.model, points[asked], labels[asked])
            self.found[self.rows[~stays]] = points[~stays]
            self.rows = self.rows[stays]
        return stays


@torch.no_grad()
def lost(model: nn.Module, points: Tensor, y: Tensor) -> Tensor:
    """(N,) bool: misclassified by more than rounding, so that another batch size gives the same answer."""
    logits = logits_of(model, points, y)
    others = logits.scatter(1, y[:, None], float("-inf")).amax(1)
    return others - logits.gather(1, y[:, None]).squeeze(1) > ROUNDING * logits.abs().amax(1)
