"""Shared parts of attacks: a frozen model, checked logits, gradients to the input, the examples still correct."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ..batches import per_example
from ..errors import RobustlibError
from ..threat import parse_number

Loss = Callable[[Tensor, Tensor], Tensor]

Form = tuple[torch.Size, torch.dtype]
GRAPHS = 4
"""Shapes that are captured for one model, at most; survivors come in many, and each graph holds memory."""
_GRAPHS: WeakKeyDictionary[nn.Module, dict[Form, Callable[[Tensor], Tensor]]] = WeakKeyDictionary()

ROUNDING = 1e-5
"""Share of the largest float32 logit by which a wrong class must lead before a point counts as broken."""
HALF_ULPS = 4
"""The lead for float16 and bfloat16, in machine epsilons: their sums run in float32, and round once a layer."""
FAR = 1e3
"""Times the two largest logits that another one is as large, so that it is no part of the same sums: a masked class.
Times their spread that all logits are as large, so that most of each is one number added to all."""
PAIR = 1e-3
"""Share of the two largest logits by which a wrong class must lead, at most, where another logit is so large."""


def check_eval(model: nn.Module, *, name: str = "model") -> nn.Module:
    """The model itself; raise RobustlibError when any part of it is in train mode."""
    training = [part or "all of it" for part, module in model.named_modules() if module.training]
    if training:
        raise RobustlibError(f"{name} is in train mode ({training[0]}); call .eval() before an attack")
    return model


def check_steps(**counts: int) -> None:
    """Raise RobustlibError for a count below 1."""
    for name, value in counts.items():
        if value < 1:
            raise RobustlibError(f"{name}={value!r}; give a whole number, 1 or more")


def check_lead(lead: float | None) -> None:
    """Raise RobustlibError for a lead that is negative."""
    if lead is not None:
        parse_number(lead, name="lead", least=0)


def check_temperature(value: object) -> float:
    """A softmax temperature T as a float; raise RobustlibError unless it is a finite number above 0."""
    if isinstance(value, str):
        raise RobustlibError(f"temperature={value!r} is text; give a number above 0, such as 20.0")
    return parse_number(value, name="temperature", above=0)


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Freeze the parameters inside the block; afterwards each requires a gradient where it did before."""
    asked = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for parameter in asked:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in asked:
            parameter.requires_grad_(True)


def logits_of(
    model: nn.Module,
    x: Tensor,
    y: Tensor | None = None,
    *,
    target: Tensor | None = None,
    name: str = "model",
    under: str = "",
) -> Tensor:
    """model(x), checked: finite (N, K) logits with K >= 2 and above every label in y and target.

    Args:
        model, x: the network, and the batch that it is called on.
        y, target: (N,) labels that the model must have.
        name, under: of the model and of the attack that made x, for messages.

    Raises:
        RobustlibError: something else comes back, or the model's weights are of another dtype or device than x.
    """
    logits = check_finite(check_logits(_forward(model, x, name), len(x), name=name), name=name, under=under)
    for labels, of in ((y, "y"), (target, "target")):
        if labels is not None and labels.numel() and int(labels.max()) >= logits.shape[1]:
            raise RobustlibError(
                f"{of} holds the label {int(labels.max())}, the {name} has {logits.shape[1]} classes, from 0"
            )
    return logits


_IN_PLACE = (
    "{} changes its inputs in place, as Normalize(inplace=True) does; let it work on a copy, x = x.clone() first"
)


def _forward(model: nn.Module, x: Tensor, name: str) -> object:
    # Whether x is written to costs nothing to know; what is made in inference mode does not count it.
    written = None if x.is_inference() else x._version
    try:
        logits = model(x)
    except RuntimeError as error:
        if x.requires_grad and "leaf Variable" in str(error):
            raise RobustlibError(_IN_PLACE.format(name)) from None
        # Torch's messages name neither tensor. Whatever else goes wrong in there is the model's own affair.
        clash = re.search(r"\b(d?type|device)s?\b", str(error)) is not None
        weights = [w for w in chain(model.parameters(), model.buffers()) if w.is_floating_point()]
        for what in ("dtype", "device"):
            others = sorted({str(getattr(w, what)).removeprefix("torch.") for w in weights})
            own = str(getattr(x, what)).removeprefix("torch.")
            if clash and others and own not in others:
                raise RobustlibError(
                    f"x has {what} {own}, the {name}'s weights {', '.join(others)}; convert one of them with .to()"
                ) from None
        raise
    if written is not None and x._version != written:
        raise RobustlibError(_IN_PLACE.format(name))
    return logits


def check_logits(logits: object, n: int, *, name: str = "model") -> Tensor:
    """The logits themselves; raise RobustlibError unless they are one floating (n, K) tensor with K >= 2."""
    if not isinstance(logits, Tensor):
        raise RobustlibError(
            f"{name} gives a {type(logits).__name__}; wrap it in a module that returns its logits alone, (N, classes)"
        )
    if logits.dim() != 2 or len(logits) != n or logits.shape[1] == 0 or not logits.is_floating_point():
        raise RobustlibError(
            f"{name} gives {logits.dtype} of shape {tuple(logits.shape)} for {n} inputs; expected (N, classes) logits"
        )
    if logits.shape[1] == 1:
        raise RobustlibError(
            f"{name} gives one logit, which no class can overtake; give two, a fixed zero beside it: "
            "torch.cat([torch.zeros_like(z), z], 1)"
        )
    return logits


def check_finite(logits: Tensor, *, name: str = "model", under: str = "") -> Tensor:
    """The logits themselves; raise RobustlibError unless they are finite."""
    if not bool(torch.isfinite(logits).all()):
        when = f" under {under}" if under else ""
        raise RobustlibError(f"{name} gives logits that are not finite{when}; its weights or its arithmetic are broken")
    return logits


def look(
    model: nn.Module,
    surrogate: nn.Module | None,
    x: Tensor,
    y: Tensor,
    *,
    target: Tensor | None = None,
    rows: int | None,
) -> Tensor:
    """The model's checked logits at the first ``rows`` inputs (None: all); the surrogate is checked on one of them.

    Raises:
        RobustlibError: as :func:`logits_of`, or the surrogate has another number of classes.
    """
    with frozen(model), torch.no_grad():
        # A copy, which a model that works in place may spoil; it is refused.
        logits = logits_of(model, x[:rows].clone(), y, target=target)
    if surrogate is not None:
        with frozen(surrogate), torch.no_grad():
            theirs = logits_of(surrogate, x[:1].clone(), y, name="surrogate").shape[1]
        if theirs != logits.shape[1]:
            raise RobustlibError(
                f"surrogate has {theirs} classes and the model {logits.shape[1]}; give a network of the same classes"
            )
    return logits


def input_gradient(model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
    """Gradient of the summed loss to x, and the (N,) losses at x. The parameters' ``.grad`` is never touched."""
    gradient, losses, _ = gradient_and_logits(model, x, y, loss)
    return gradient, losses


def gradient_and_logits(
    model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, loss: Loss
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradient and losses of :func:`input_gradient`, and the (N, K) logits at x, from the same forward pass."""
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        logits = check_gradient(model(x))
        losses = loss(logits, y)
        gradient = slope_of(losses.sum(), x)
    return gradient, losses.detach(), logits.detach()


def check_gradient(logits: Tensor) -> Tensor:
    """The logits themselves; raise RobustlibError where no gradient passes from them to the input."""
    if not logits.requires_grad:
        raise RobustlibError(
            "model lets no gradient pass to x (a detach, a no_grad or a hard decision inside); use the Square or the "
            "boundary attack, which need none"
        )
    return logits


def slope_of(value: Tensor, x: Tensor, *, retain_graph: bool = False) -> Tensor:
    """Gradient of a sum over examples to x, zero where x has no part in it."""
    return torch.autograd.grad(value, x, retain_graph=retain_graph, materialize_grads=True)[0]


def usable(gradient: Tensor) -> Tensor:
    """The gradient with 0 where it is NaN, as that of sqrt(x^2) is at 0: a coordinate without a slope stays.

    Infinite ones become the largest number. :func:`robustlib.evaluate.diagnose` reports such gradients.
    """
    return torch.nan_to_num(gradient)


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


class Standing:
    """The examples of a batch that remain correct; broken ones leave with the point that broke them.

    A search may be steered by another network than the one under attack (a transfer source, a copy in low
    precision), so success is always decided by ``model`` itself, at points where the steering network sees one.

    Attributes:
        found: (N, ...) the points to return: one that broke the example, else the last one put there, else x.
        rows: (M,) positions in the batch of the remaining examples: at first, those that the model gets right.
    """

    def __init__(self, model: nn.Module, x: Tensor, y: Tensor, logits: Tensor) -> None:
        self.model, self.y = model, y
        self.found = x.clone()
        self.rows = (logits.argmax(1) == y).nonzero().flatten()

    def leave(self, points: Tensor, logits: Tensor) -> Tensor:
        """File those of the (M, ...) points that break their example; (M,) bool: which examples stay.

        Args:
            points: one for each remaining example.
            logits: (M, K) of the steering network, which say at which points the model is evaluated.
        """
        labels = self.y[self.rows]
        stays = logits.argmax(1) == labels
        asked = (~stays).nonzero().flatten()
        if len(asked):
            stays[asked] = ~lost(self.model, points[asked], labels[asked])
            self.found[self.rows[~stays]] = points[~stays]
            self.rows = self.rows[stays]
        return stays


def asked(logits: Tensor, lead: float | None) -> Tensor:
    """(N,) logits by which another class must lead: ``lead``, or for None those that rounding could reverse."""
    return rounding(logits) if lead is None else torch.full_like(logits[:, 0], lead)


def rounding(logits: Tensor) -> Tensor:
    """(N,) leads, in logits, that rounding could reverse in another batch size: a share of the largest logit.

    A logit that is far from the two largest ones, and a number that is added to all, do not count in full.
    """
    eps, single = torch.finfo(logits.dtype).eps, torch.finfo(torch.float32).eps
    share, size = HALF_ULPS * eps if eps > single else ROUNDING * eps / single, logits.abs().amax(1)
    lead, two = share * size, logits.topk(2, 1).values.abs().amax(1)
    lead = torch.where(size > FAR * two, torch.minimum(lead, max(share, PAIR) * two), lead)
    if logits.shape[1] == 2:
        # Between two logits that nearly agree there is no telling what was added to both.
        return lead
    return torch.where(size > FAR * (logits.amax(1) - logits.amin(1)), HALF_ULPS * eps * size, lead)


def beaten(logits: Tensor, y: Tensor, lead: float | None = None) -> Tensor:
    """(N,) bool: another class than y leads by more than rounding, or than ``lead`` logits."""
    others = logits.scatter(1, y[:, None], float("-inf")).amax(1)
    return others - logits.gather(1, y[:, None]).squeeze(1) > asked(logits, lead)


@torch.no_grad()
def lost(model: nn.Module, points: Tensor, y: Tensor, lead: float | None = None) -> Tensor:
    """(N,) bool: misclassified by more than rounding, so that another batch size gives the same answer."""
    return beaten(logits_of(model, points, y), y, lead)


def unless_wrong(points: Tensor, x: Tensor, y: Tensor, logits: Tensor) -> Tensor:
    """The points, but x itself where its logits are wrong already: no attack puts a misclassified input right."""
    return torch.where(per_example(logits.argmax(1) != y, x), x, points)
