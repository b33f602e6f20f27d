"""One contract for every public attack and for ``evaluate``; whatever is decorated as an attack is held to it."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import robustlib.attacks as public
from robustlib.attacks.contract import ATTACKS
from robustlib.attacks.suite import Boundary, DeepFool, Jsma, Pgd, find_nearest, run_attack, run_targeted
from robustlib.errors import RobustlibError
from robustlib.evaluate import evaluate
from robustlib.threat import L2Ball, LinfBall

KNOBS: dict[str, Any] = {
    "steps": 4,
    "step_size": 0.05,
    "queries": 12,
    "target_classes": 2,
    "restarts": 2,
    "binary_steps": 2,
    "features": 4,
    "candidates": 3,
    "threat": LinfBall(0.1),
    "domain": (0.0, 1.0),
    "norm": "linf",
}
"""What an attack is called with, wherever it has an argument of that name."""
LEFT = {("pgd", "target_classes")}
"""Arguments that stay at their default: PGD that aims at classes takes no target."""
SUITE: dict[str, Any] = {"run_attack": Pgd(3, 0.05), "find_nearest": DeepFool(4), "run_targeted": Jsma(features=4)}
"""Descriptions for the functions that run one."""
NOT_ATTACKS = {"cross_entropy", "dlr", "margin_loss"}
"""What ``robustlib.attacks`` offers besides attacks."""


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def net(classes: int = 4, features: int = 6) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(classes)
        return nn.Sequential(nn.Linear(features, 12), nn.ReLU(), nn.Linear(12, classes)).eval()


def batch(model: nn.Module, n: int = 8, features: int = 6) -> tuple[Tensor, Tensor]:
    x = torch.rand(n, features, generator=_generator())
    with torch.no_grad():
        return x, model(x).argmax(1)


def call(name: str, model: nn.Module, x: Any, y: Any, **given: Any) -> Any:
    """The attack with small knobs, and the points it returns."""
    function = ATTACKS[name]
    knobs: dict[str, Any] = {}
    for argument, parameter in inspect.signature(function).parameters.items():
        if argument in ("model", "x", "y"):
            continue
        if argument == "generator":
            knobs[argument] = _generator()
        elif argument == "attack":
            knobs[argument] = SUITE[name]
        elif argument == "target" and parameter.default is inspect.Parameter.empty:
            knobs[argument] = None
        elif argument in KNOBS and (name, argument) not in LEFT:
            knobs[argument] = KNOBS[argument]
    knobs |= given
    if knobs.get("target", 0) is None:
        knobs["target"] = (y + 1) % 2 if bool((y < 2).all()) else torch.where(y == 0, 1, 0)
    found = function(model=model, x=x, y=y, **knobs)
    return found[1] if isinstance(found, tuple) else found


NAMES = sorted(ATTACKS)
AIMED = [name for name in NAMES if "target" in inspect.signature(ATTACKS[name]).parameters]
STEERED = [name for name in NAMES if "surrogate" in inspect.signature(ATTACKS[name]).parameters]
TRACES = {"pgd_trace"}
"""Shows where its iterates go, and judges none."""


def refused(name: str, words: str, model: Any, x: Any, y: Any, **given: Any) -> None:
    with pytest.raises(RobustlibError, match=words) as error:
        call(name, model, x, y, **given)
    assert "\n" not in str(error.value)


def attempted(name: str, words: str, model: Any, x: Any, y: Any, **given: Any) -> Tensor | None:
    """The points, or None where the attack refuses the call in these words."""
    try:
        points: Tensor = call(name, model, x, y, **given)
    except RobustlibError as error:
        said = str(error)
    else:
        return points
    assert words in said
    return None


# What a model may give -----------------------------------------------------------------------------------------


class Giving(nn.Module):
    def __init__(self, inner: nn.Module, form: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.inner, self.form = inner, form

    def forward(self, x: Tensor) -> Any:
        return self.form(self.inner(x))


FORMS: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "a tuple": (lambda z: (z, z), "tuple"),
    "a list": (lambda z: [z], "list"),
    "a dictionary": (lambda z: {"logits": z}, "dict"),
    "nothing": (lambda z: None, "NoneType"),
    "one axis": (lambda z: z[:, 0], r"shape"),
    "a map": (lambda z: z[..., None, None], r"shape"),
    "one logit": (lambda z: z[:, :1], "one logit.*zero"),
    "one row": (lambda z: z[:1].expand(3, -1), "shape"),
    "not finite": (lambda z: z * float("nan"), "not finite"),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", FORMS)
def test_what_is_no_batch_of_logits_is_refused(name: str, form: str) -> None:
    make, words = FORMS[form]
    x, y = batch(net())
    if form == "one logit":
        y = torch.zeros_like(y)
    refused(name, words, Giving(net(), make).eval(), x, y)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [2, 3, 9])
def test_few_classes_are_enough(name: str, classes: int) -> None:
    model = net(classes)
    x, y = batch(model)
    given = {"target_classes": 0} if name == "apgd" and classes < 4 else {}
    points = call(name, model, x, y, **given)
    assert points.shape == x.shape


@pytest.mark.parametrize("name", AIMED)
def test_a_target_is_another_class_of_the_model(name: str) -> None:
    x, y = batch(net())
    refused(name, "target", net(), x, y, target=torch.full_like(y, 4))
    refused(name, "target", net(), x, y, target=(y + 1).clamp(max=3) - 4)
    refused(name, r"target equals y in", net(), x, y, target=y)
    half = torch.where(torch.arange(len(y)) < 4, y, (y + 1) % 4)
    refused(name, r"target equals y in", net(), x, y, target=half)
    refused(name, "target", net(), x, y, target=y[:3])
    refused(name, "target", net(), x, y, target=[1] * len(y))


def test_restarts_count_what_reaches_the_target() -> None:
    """A start that ends in some third class is no reason to stop."""
    model, goal, reached = net(6), None, []
    for restarts in (1, 8):
        x, y = batch(model, 60)
        goal = (y + 2) % 6
        points = public.pgd(
            model, x, y, LinfBall(0.35), steps=3, step_size=0.15, restarts=restarts, target=goal, generator=_generator()
        )
        reached.append(int((model(points).argmax(1) == goal).sum()))
    assert reached[1] > reached[0]


# Modes and layouts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", ["float64 by default", "no_grad", "inference_mode", "x asks for gradients"])
def test_the_callers_modes_change_nothing(name: str, mode: str) -> None:
    model = net()
    x, y = batch(model)
    expected = call(name, model, x, y)
    contexts = {"no_grad": torch.no_grad, "inference_mode": torch.inference_mode}
    try:
        torch.set_default_dtype(torch.float64 if mode == "float64 by default" else torch.float32)
        with contexts.get(mode, torch.enable_grad)():
            found = call(name, model, x.clone().requires_grad_(mode == "x asks for gradients"), y.clone())
    finally:
        torch.set_default_dtype(torch.float32)
    assert found.dtype == x.dtype
    assert not found.requires_grad
    assert torch.equal(found, expected)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_draws_do_not_depend_on_how_x_lies_in_memory(name: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 4)).eval()
    x = torch.rand(4, 3, 6, 6, generator=_generator())
    y = model(x).argmax(1)
    plain = call(name, model, x, y)
    spaced = torch.zeros(4, 3, 6, 12)[..., ::2].copy_(x)
    turned = x.transpose(2, 3).contiguous().transpose(2, 3)
    for other in (x.contiguous(memory_format=torch.channels_last), spaced, turned):
        torch.testing.assert_close(call(name, model, other, y), plain, rtol=0, atol=1e-5)


# Domains and radii ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_without_a_domain_it_runs_or_asks_for_one(name: str) -> None:
    model = net()
    x, y = batch(model)
    bounded = "threat" in inspect.signature(ATTACKS[name]).parameters
    given = {"threat": LinfBall(0.1, None)} if bounded else {"domain": None}
    points = attempted(name, "domain", model, x, y, **given)
    assert points is None or bool(torch.isfinite(points).all())


@pytest.mark.parametrize("name", NAMES)
def test_a_ball_of_no_radius_holds_x_alone(name: str) -> None:
    model = net()
    x, y = batch(model)
    if "threat" not in inspect.signature(ATTACKS[name]).parameters:
        pytest.skip("has no ball")
    for threat in (LinfBall(0.0), L2Ball(0.0)):
        assert torch.equal(call(name, model, x, y, threat=threat), x)
    assert call(name, model, x[:0], y[:0]).shape == (0, 6)


@pytest.mark.parametrize("name", NAMES)
def test_a_radius_in_other_units_is_refused(name: str) -> None:
    if "threat" in inspect.signature(ATTACKS[name]).parameters:
        x, y = batch(net())
        refused(name, "diagonal|wider", net(), x, y, threat=L2Ball(2.46))
        call(name, net(), x, y, threat=L2Ball(6**0.5))


# Misclassified inputs -------------------------------------------------------------------------------------------


class Pit(nn.Module):
    """Wrong in a narrow pit around 0.5 and right all around: a step leads out of it."""

    def forward(self, x: Tensor) -> Tensor:
        off = (x[:, 0] - 0.5).abs()
        right = torch.where(off < 0.05, 20 * off - 0.4, 0.7 - off)
        far = torch.full_like(right, -9.0)
        return torch.stack([right, torch.zeros_like(right), far, far], 1)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in TRACES])
def test_no_attack_puts_a_misclassified_input_right(name: str) -> None:
    model, x, y = Pit().eval(), torch.full((40, 1), 0.5), torch.zeros(40, dtype=torch.int64)
    given: dict[str, Any] = {"threat": LinfBall(0.3)} if "threat" in inspect.signature(ATTACKS[name]).parameters else {}
    for goal in (None, 2) if name in AIMED else (None,):
        aimed = {} if goal is None else {"target": torch.full_like(y, goal)}
        points = call(name, model, x, y, **given, **aimed)
        assert not bool((model(points).argmax(1) == y).any())


@pytest.mark.parametrize("name", ["pgd", "fgsm", "uniform_noise"])
def test_the_last_iterate_counts_where_a_paper_counts_it(name: str) -> None:
    model, x, y = Pit().eval(), torch.full((40, 1), 0.53), torch.zeros(40, dtype=torch.int64)
    x[:20] = 0.505
    assert bool((model(x).argmax(1) != y)[:20].all())
    points = call(name, model, x, y, threat=LinfBall(0.3), last_iterate=True)
    assert bool((model(points).argmax(1) == y)[:20].any())


# Transfer and descriptions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STEERED)
def test_a_source_is_checked_and_left_as_it_was(name: str) -> None:
    model, source = net(), net(4, 6)
    x, y = batch(model)
    before = copy.deepcopy(source.state_dict())
    call(name, model, x, y, surrogate=source)
    assert all(torch.equal(value, before[key]) for key, value in source.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in source.parameters())
    source.train()
    refused(name, "surrogate is in train mode", model, x, y, surrogate=source)
    assert source.training
    refused(name, "surrogate", model, x, y, surrogate=Giving(net(), lambda z: (z, z)).eval())


@pytest.mark.parametrize("runner", [run_attack, find_nearest, run_targeted, evaluate])
@pytest.mark.parametrize("wrong", ["pgd", "Pgd", Pgd, 3, None, public.pgd, Boundary])
def test_an_attack_is_given_as_a_description(runner: Any, wrong: Any) -> None:
    model = net()
    x, y = batch(model)
    box: dict[str, Any] = {"domain": (0.0, 1.0)}
    calls: dict[Any, Callable[[], object]] = {
        evaluate: lambda: evaluate(model, x, y, LinfBall(0.1), [wrong]),
        run_attack: lambda: run_attack(wrong, model, x, y, LinfBall(0.1), generator=_generator()),
        find_nearest: lambda: find_nearest(wrong, model, x, y, norm="l2", generator=_generator(), **box),
        run_targeted: lambda: run_targeted(wrong, model, x, y, (y + 1) % 4, **box),
    }
    with pytest.raises(RobustlibError, match="attack"):
        calls[runner]()
