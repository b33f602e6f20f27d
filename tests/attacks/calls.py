"""Every public attack as a call on any model and inputs, built from its own signature, so that none is left out."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import robustlib.attacks
from robustlib.attacks import suite
from robustlib.attacks.contract import ATTACKS
from robustlib.attacks.description import Description
from robustlib.errors import RobustlibError
from robustlib.registry import subclasses
from robustlib.threat import ball

for module in pkgutil.iter_modules(robustlib.attacks.__path__):
    importlib.import_module(f"robustlib.attacks.{module.name}")

SHORT: dict[str, Any] = {
    "steps": 2,
    "step_size": 0.06,
    "queries": 6,
    "binary_steps": 2,
    "restarts": 2,
    "features": 8,
    "random_step": 0.02,
    "outputs": "logits",
}
"""Knobs that keep a call short, for whichever attack has them."""


DESCRIBED = {
    name: kind(**{f.name: SHORT[f.name] for f in dataclasses.fields(kind) if f.name in SHORT.keys() - {"random_step"}})
    for name, kind in ((kind.__name__, kind) for kind in subclasses(Description))
}
"""One short description of each type that the library knows."""
RUNNERS: dict[str, tuple[type, ...]] = {
    "run_attack": (suite.Clean, suite.Noise, suite.Pgd, suite.Square, suite.Fab),
    "find_nearest": (suite.Boundary, suite.Lbfgs),
    "run_targeted": (suite.Jsma,),
}
"""Descriptions for each function that runs one; the attacks themselves are all called directly."""


@dataclass(frozen=True)
class Call:
    """One way to call one attack.

    Args:
        name: for ids.
        function: under the contract.
        norm: of the threat, or of what is minimised.
        targeted: a target is given, the class after y.
        attack: the description, where the function runs one.
    """

    name: str
    function: Callable[..., Any]
    norm: str
    targeted: bool = False
    attack: Any = None

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        return dict(inspect.signature(self.function).parameters)

    @property
    def gradients(self) -> bool:
        """Whether the model's gradient is used."""
        kind = self.function.__name__ if self.attack is None else type(self.attack).__name__
        return kind.lower() not in ("square", "boundary", "uniform_noise", "noise", "clean")

    def arguments(self, model: nn.Module, x: Any, y: Any, **changes: Any) -> dict[str, Any]:
        """Keywords of the call; ``eps``, ``domain`` and ``classes`` also count where the attack takes a threat."""
        names = self.parameters
        eps, domain = changes.pop("eps", 0.3), changes.pop("domain", (0.0, 1.0))
        classes = changes.pop("classes", 10)
        given: dict[str, Any] = {"model": model, "x": x, "y": y, "attack": self.attack, "norm": self.norm}
        given |= {k: v for k, v in SHORT.items() if k in names and self.attack is None}
        if "threat" in names:
            given["threat"] = ball(self.norm, eps, domain)
        elif "domain" in names:
            given["domain"] = domain
        if "generator" in names:
            given["generator"] = torch.Generator().manual_seed(3)
        if self.targeted:
            given["target"] = (torch.as_tensor(y) + 1) % classes
        return {name: value for name, value in (given | changes).items() if name in names}

    def __call__(self, model: nn.Module, x: Any, y: Any, **changes: Any) -> Tensor:
        """The points that the attack returns."""
        found = self.function(**self.arguments(model, x, y, **changes))
        return found[1] if isinstance(found, tuple) else found


def _calls() -> Iterator[Call]:
    for name, function in sorted(ATTACKS.items()):
        parameters = inspect.signature(function).parameters
        if "attack" in parameters:
            for kind in RUNNERS[name]:
                targeted = kind is suite.Jsma
                yield Call(f"{name} {kind.__name__}", function, "linf", targeted, DESCRIBED[kind.__name__])
            continue
        for norm in ("linf", "l2") if {"threat", "norm"} & parameters.keys() else ("linf",):
            needed = "target" in parameters and parameters["target"].default is inspect.Parameter.empty
            if not needed:
                yield Call(f"{name} {norm}", function, norm)
            if "target" in parameters:
                yield Call(f"{name} {norm} targeted", function, norm, targeted=True)


CALLS = {call.name: call for call in _calls()}
TARGETED = {name: call for name, call in CALLS.items() if call.targeted}
every = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
LINF = {name: call for name, call in CALLS.items() if call.norm == "linf"}
once = pytest.mark.parametrize("call", LINF.values(), ids=LINF)
"""Each attack in one norm, for what happens before the norm counts."""
targeted = pytest.mark.parametrize("call", TARGETED.values(), ids=TARGETED)
ASKING = {name: call for name, call in LINF.items() if not isinstance(call.attack, suite.Clean)}
asking = pytest.mark.parametrize("call", ASKING.values(), ids=ASKING)
"""All that ask the model anything."""
DIRECT = {name: call for name, call in CALLS.items() if call.attack is None}
direct = pytest.mark.parametrize("call", DIRECT.values(), ids=DIRECT)
WITHIN = {name: call for name, call in CALLS.items() if "threat" in call.parameters}
within = pytest.mark.parametrize("call", WITHIN.values(), ids=WITHIN)
STEERED = {name: call for name, call in CALLS.items() if "surrogate" in call.parameters}
steered = pytest.mark.parametrize("call", STEERED.values(), ids=STEERED)
SHAPE = (2, 4, 4)


def net(classes: int = 10, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A small network whose classes change within a ball of 0.3."""
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, classes))
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float32)
    return model.to(dtype).eval()


def inputs(model: nn.Module, n: int = 5, *, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Inputs in the model's dtype, and the classes that it gives them."""
    dtype = next(model.parameters()).dtype
    x = torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float32).to(dtype)
    with torch.no_grad():
        return x, model(x).argmax(1)


class Gives(nn.Module):
    """A network whose output is changed on the way out."""

    def __init__(self, change: Callable[[Tensor], Any], inner: nn.Module | None = None) -> None:
        super().__init__()
        self.inner, self.change = inner or net(), change

    def forward(self, x: Tensor) -> Any:
        return self.change(self.inner(x))


def refused(run: Callable[[], object], *words: str) -> None:
    """One line of our own that holds the words, with no other library's exception behind it."""
    with pytest.raises(RobustlibError) as caught:
        run()
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__
