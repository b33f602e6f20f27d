"""What the contract refuses, by name and in one line, and what it leaves alone, for every attack in every norm."""

from __future__ import annotations

import copy
import importlib
import inspect
import itertools
import pkgutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import robustlib.attacks
from robustlib.attacks import suite
from robustlib.attacks.contract import ATTACKS, under_contract
from robustlib.attacks.description import Description
from robustlib.registry import subclasses
from robustlib.threat import Ball, FeatureBox, LinfBall, ball

from .calls import (
    ASKING,
    CALLS,
    SHAPE,
    Call,
    Gives,
    asking,
    direct,
    every,
    inputs,
    net,
    once,
    refused,
    steered,
    targeted,
    within,
)

# All of them are here ------------------------------------------------------------------------------------------


def test_no_public_attack_goes_around_the_contract() -> None:
    """What takes a model, inputs and labels is under the contract; ``ascend`` is the bare loop that training runs."""
    bare = {"ascend"}
    for name in robustlib.attacks.__all__:
        function = getattr(robustlib.attacks, name)
        assert "model" not in inspect.signature(function).parameters or ATTACKS[name] is function, name
    for module in pkgutil.iter_modules(robustlib.attacks.__path__):
        if module.name.startswith("_"):
            continue
        members = vars(importlib.import_module(f"robustlib.attacks.{module.name}"))
        for name, function in members.items():
            if name.startswith("_") or not inspect.isfunction(function) or name in bare:
                continue
            known = inspect.signature(function).parameters
            if {"model", "x", "y"} <= known.keys() and function.__module__.startswith("robustlib.attacks."):
                home = function.__module__.removeprefix("robustlib.attacks.")
                assert home.startswith("_") or ATTACKS.get(name) is function, f"{home}.{name}"
    for function in (kind.function for kind in subclasses(Description) if kind is not suite.Clean):
        assert ATTACKS[function.__name__] is function


def test_a_new_attack_has_the_contract_by_its_decorator_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robustlib.attacks.contract.ATTACKS", {})

    @under_contract
    def brighter(model: nn.Module, x: Tensor, y: Tensor, threat: Ball, *, steps: int = 1) -> Tensor:
        return threat.project(x + steps, x)

    model = net()
    x, y = inputs(model)
    assert not brighter(model, x.requires_grad_(), y, LinfBall(0.1), steps=np.int64(1)).requires_grad
    refused(lambda: brighter(model, x.detach().numpy(), y, LinfBall(0.1)), "x is a numpy.ndarray")  # type: ignore[arg-type]
    refused(lambda: brighter(model, x, y, LinfBall(0.1), steps=1.5), "steps=1.5")  # type: ignore[arg-type]

    @under_contract
    def longer(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return x.double()

    refused(lambda: longer(model, x, y), "longer returned torch.float64")


# What the model gives ------------------------------------------------------------------------------------------


@asking
def test_what_goes_wrong_inside_the_model_is_raised_as_it_is(call: Call) -> None:
    fault = RuntimeError("the user's own")

    def fail(_: Tensor) -> Tensor:
        raise fault

    x, y = inputs(net())
    with pytest.raises(RuntimeError, match="the user's own") as caught:
        call(Gives(fail).eval(), x, y)
    assert caught.value is fault


@once
def test_where_no_gradient_passes_only_attacks_without_one_run(call: Call) -> None:
    hard = Gives(lambda z: z.detach()).eval()
    x, y = inputs(hard)
    if call.gradients and "AutoAttack" not in call.name and "auto_attack" not in call.name:
        refused(lambda: call(hard, x, y), "no gradient")
    elif not call.gradients:
        assert call(hard, x, y).shape == x.shape


# Targets -------------------------------------------------------------------------------------------------------


@targeted
def test_a_row_already_of_the_targets_class_is_returned_as_it_is(call: Call) -> None:
    model = net(5)
    x, told = inputs(model)
    assert torch.equal(call(model, x, (told + 1) % 5, target=told), x)


# Knobs ---------------------------------------------------------------------------------------------------------

KNOBS: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("pgd linf", {"steps": 0}, "steps=0"),
    ("pgd linf", {"step_size": 0.0}, "step_size"),
    ("pgd linf", {"restarts": -1}, "restarts"),
    ("pgd linf", {"loss": "cross_entorpy"}, "cross_entropy"),
    ("pgd linf", {"best_by": "los"}, "loss"),
    ("pgd linf", {"target_classes": -1}, "target_classes=-1"),
    ("pgd linf targeted", {"target_classes": 2}, "give one of them"),
    ("pgd linf", {"generator": None}, "generator"),
    ("apgd linf", {"steps": 0}, "steps=0"),
    ("apgd linf", {"loss": "drl"}, "dlr"),
    ("apgd linf", {"target_classes": -1}, "target_classes=-1"),
    ("carlini_wagner l2", {"steps": 0}, "steps=0"),
    ("carlini_wagner l2", {"binary_steps": 0}, "binary_steps=0"),
    ("carlini_wagner l2", {"initial_c": 0.0}, "initial_c=0.0"),
    ("carlini_wagner l2", {"kappa": -1.0}, "kappa=-1.0"),
    ("carlini_wagner l2", {"lr": 2.0}, "lr=2.0"),
    ("lbfgs linf", {"steps": 0}, "steps=0"),
    ("lbfgs linf", {"binary_steps": 0}, "binary_steps=0"),
    ("lbfgs linf", {"initial_c": 0.0}, "initial_c=0.0"),
    ("deepfool linf", {"steps": 0}, "steps=0"),
    ("deepfool linf", {"overshoot": -0.1}, "overshoot"),
    ("deepfool linf", {"candidates": 1}, "candidates=1"),
    ("jsma linf targeted", {"features": 0}, "features=0"),
    ("jsma linf targeted", {"fill": 2.0}, "fill=2.0"),
    ("jsma linf targeted", {"fill": 0.0}, "fill=0.0"),
    ("jsma linf targeted", {"temperature": 0.0}, "temperature"),
    ("jsma linf targeted", {"outputs": "logit"}, "logits"),
)


@pytest.mark.parametrize(("name", "change", "word"), KNOBS, ids=str)
def test_a_bad_knob_is_refused_by_name(name: str, change: dict[str, Any], word: str) -> None:
    x, y = inputs(net())
    refused(lambda: CALLS[name](net(), x, y, **change), word)


def test_few_classes_are_named() -> None:
    x, y = inputs(net(2))
    refused(lambda: CALLS["apgd linf"](net(2), x, y, loss="dlr"), "needs 3 classes")
    refused(lambda: CALLS["apgd linf"](net(2), x, y, target_classes=1), "needs 4 classes")


@pytest.mark.parametrize("name", ["carlini_wagner l2", "lbfgs linf", "deepfool l2", "deepfool linf"])
def test_what_cannot_be_broken_comes_back_as_it_is(name: str) -> None:
    """A constant model has no boundary; equal logits do not confuse a ranking either."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(32, 3)).eval()
    nn.init.zeros_(model[1].weight)  # type: ignore[arg-type]
    x, _ = inputs(net())
    assert torch.equal(CALLS[name](model, x, torch.zeros(5, dtype=torch.int64), classes=3), x)


# Precision -----------------------------------------------------------------------------------------------------

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


@every
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_precision_runs(call: Call, dtype: torch.dtype) -> None:
    model = net(5, dtype=dtype)
    x, y = inputs(model)
    found = call(model, x, y, classes=5)
    assert found.dtype == dtype
    assert bool(torch.isfinite(found).all())
    assert bool(((found >= 0) & (found <= 1)).all())
    if "threat" in call.parameters:
        assert bool(ball(call.norm, 0.3).contains(found, x).all())


class Casting(nn.Module):
    def __init__(self, held: nn.Module, to: torch.dtype) -> None:
        super().__init__()
        self.held, self.to_dtype = held, to

    def forward(self, x: Tensor) -> Tensor:
        return self.held(x.to(self.to_dtype))


@direct
def test_two_precisions_are_named_or_both_served(call: Call) -> None:
    """A model that casts inside takes any input; one that does not is refused, with both dtypes in the message."""
    for inner, outer in itertools.permutations(DTYPES, 2):
        model = net(5, dtype=inner)
        x, y = inputs(model, 3)
        assert call(Casting(model, inner).eval(), x.to(outer), y, classes=5).dtype == outer
        names = [str(kind).removeprefix("torch.") for kind in (inner, outer)]
        refused(lambda model=model, x=x, y=y, to=outer: call(model, x.to(to), y, classes=5), *names)


# Numbers and arrays --------------------------------------------------------------------------------------------


@once
def test_numpy_scalars_are_numbers(call: Call) -> None:
    model = net(5)
    x, y = inputs(model)
    given = call.arguments(model, x, y, classes=5)
    plain = {name: given.get(name, parameter.default) for name, parameter in call.parameters.items()}
    numbers = {name: value for name, value in plain.items() if isinstance(value, bool | int | float)}
    scalars = {bool: np.bool_, int: np.int64, float: np.float64}
    found = call(model, x, y, classes=5, **{name: scalars[type(value)](value) for name, value in numbers.items()})
    assert torch.equal(found, call(model, x, y, classes=5, **numbers))
    refusals: dict[type, tuple[Any, ...]] = {
        bool: (1, "yes", None),
        int: (2.5, True, np.float32(2), "3", None),
        float: (True, float("nan"), np.inf, "a", [0.1]),
    }
    for name, value in numbers.items():
        for wrong in refusals[type(value)]:
            refused(lambda name=name, wrong=wrong: call(model, x, y, classes=5, **{name: wrong}), name)


@every
def test_numpy_numbers_make_a_threat(call: Call) -> None:
    model = net(5)
    x, y = inputs(model)
    domain = (np.float32(0), np.float64(1))
    plain = call(model, x, y, classes=5, eps=0.25)
    assert torch.equal(call(model, x, y, classes=5, eps=np.float32(0.25), domain=domain), plain)


@every
@pytest.mark.parametrize("size", [0, 1])
def test_tiny_batches(call: Call, size: int) -> None:
    x, y = inputs(net(5), size)
    assert call(net(5), x, y, classes=5).shape == (size, *SHAPE)


WRONG: dict[str, tuple[Callable[[Tensor, Tensor], tuple[Any, Any]], tuple[str, ...]]] = {
    "array": (lambda x, y: (x.numpy(), y), ("x is a numpy.ndarray", "torch.from_numpy(x)")),
    "list": (lambda x, y: (x.tolist(), y), ("x is a list", "torch.as_tensor(x)")),
    "label array": (lambda x, y: (x, y.numpy()), ("y is a numpy.ndarray", "torch.from_numpy(y)")),
    "label list": (lambda x, y: (x, y.tolist()), ("y is a list",)),
    "int32 labels": (lambda x, y: (x, y.int()), ("y has", "torch.int32")),
    "columns of labels": (lambda x, y: (x, y[:, None]), ("y has shape (5, 1)",)),
    "negative labels": (lambda x, y: (x, y - 10), ("y holds the label -",)),
    "fewer labels": (lambda x, y: (x, y[:3]), ("y has shape (3,)",)),
    "integers": (lambda x, y: (x.long(), y), ("x has dtype torch.int64",)),
    "bytes": (lambda x, y: ((x * 255).byte(), y), ("x has dtype torch.uint8",)),
    "complex": (lambda x, y: (x.to(torch.complex64), y), ("x has dtype torch.complex64",)),
    "float8": (lambda x, y: (x.to(torch.float8_e4m3fn), y), ("x has dtype torch.float8",)),
    "sparse": (lambda x, y: (x.to_sparse(), y), ("x has the layout", "to_dense")),
    "no batch": (lambda x, y: (x[:, 0, 0, 0], y), ("x has shape (5,)",)),
    "no numbers": (lambda x, y: (x[:, :0], y), ("x has shape (5, 0, 4, 4)",)),
    "not finite": (lambda x, y: (x / 0, y), ("x holds values that are not finite",)),
}


@once
def test_inputs_and_labels_are_refused_by_name(call: Call) -> None:
    model = net()
    x, y = inputs(model)
    target = (y + 1) % 10
    for change, words in WRONG.values():
        refused(lambda change=change: call(model, *change(x, y), target=target), *words)
    if call.name in ASKING:
        refused(lambda: call(model, x, y + 10, target=target), "y holds the label 1", "10 classes")


@once
def test_other_arguments_are_refused_by_name(call: Call) -> None:
    model = net()
    x, y = inputs(model)
    refused(lambda: call(lambda x: x, x, y), "model is a function", "nn.Module")  # type: ignore[arg-type]
    refused(lambda: call(nn.Linear, x, y), "model is a Linear")  # type: ignore[arg-type]
    model[0].train()
    refused(lambda: call(model, x, y), "model is in train mode (0)")
    model.eval()
    if "generator" in call.parameters:
        refused(lambda: call(model, x, y, generator=0), "generator=0")
    if "threat" in call.parameters:
        refused(lambda: call(model, x, y, threat=0.3), "threat=0.3", "LinfBall")
    if "domain" in call.parameters:
        for domain in (1.0, (0.0,), (0.0, 0.5, 1.0), "01", (0.0, "b")):
            refused(lambda domain=domain: call(model, x, y, domain=domain), "domain=")
    if "norm" in call.parameters:
        for norm in (2, "l3", ["l2"]):
            refused(lambda norm=norm: call(model, x, y, norm=norm), "norm")
    if "loss" in call.parameters:
        refused(lambda: call(model, x, y, loss=["dlr"]), "loss=")
        refused(lambda: call(net(2), x, y % 2, loss="dlr", target=1 - y % 2), "loss='dlr' needs 3 classes")
    if "lead" in call.parameters:
        refused(lambda: call(model, x, y, lead=-1.0), "lead=-1.0")
    if "kappa" in call.parameters:
        refused(lambda: call(model, x, y, loss="margin", kappa=-1.0), "kappa=-1.0")


@within
def test_boxes_of_features_run_or_are_refused(call: Call) -> None:
    model, x = nn.Linear(4, 3).eval(), torch.rand(5, 4, generator=torch.Generator().manual_seed(0))
    y, threat = model(x).argmax(1), FeatureBox(0.2, budgets=(1.0, 0.5, 0.0, 1.0))
    run = lambda: call(model, x, y, threat=threat, classes=3)  # noqa: E731
    # L-BFGS knows the Euclidean norm alone, and what it finds counts where it lies in the box.
    norms = (suite.Square, suite.AutoAttack, *(set(subclasses(suite.MinimumNorm)) - {suite.Lbfgs}))
    if isinstance(call.attack, norms) or call.function in (robustlib.attacks.square, robustlib.attacks.auto_attack):
        refused(run)
    else:
        assert bool(threat.contains(run(), x).all())


# The domain ----------------------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize("domain", [(0.0, 1.0), (-2.1179039301310043, 2.64)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_rounding_may_put_inputs_outside_and_nothing_else_may(
    call: Call, domain: tuple[float, float], dtype: torch.dtype
) -> None:
    model = net(5, dtype=dtype)
    x, _ = inputs(model)
    x = (x * (domain[1] - domain[0]) + domain[0]).clamp(*domain)
    high = torch.tensor(domain[1], dtype=dtype)
    x[0, 0, 0, 0] = torch.nextafter(torch.nextafter(high, high * 2), high * 2)
    with torch.no_grad():
        y = model(x).argmax(1)
    eps = 0.1 * (domain[1] - domain[0])
    found = call(model, x, y, classes=5, domain=domain, eps=eps)
    edges = torch.tensor(domain, dtype=dtype)
    assert bool(((found >= edges[0]) & (found <= edges[1])).all())
    x[1, 0, 0, 0] = domain[1] * 1.25
    refused(lambda: call(model, x, y, classes=5, domain=domain, eps=eps), "outside the threat's domain", "rescale")


# Modes, layouts and what is left behind ------------------------------------------------------------------------


@once
def test_a_model_made_in_inference_mode_is_refused(call: Call) -> None:
    with torch.inference_mode():
        model = net()
    x, y = inputs(net())
    refused(lambda: call(model, x, y), "model", "inference mode")


@every
def test_points_are_detached_and_the_callers_model_and_tensors_untouched(call: Call) -> None:
    model = nn.Sequential(nn.BatchNorm2d(2), nn.Dropout(0.3), *net(5)).eval()
    x, y = inputs(model)
    for place, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(place % 2 == 0)
    asked = [parameter.requires_grad for parameter in model.parameters()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    y[::3] = (y[::3] + 1) % 5
    kept, labels, drawn = x.clone(), y.clone(), torch.get_rng_state()
    x.requires_grad_()
    found = call(model, x, y, classes=5)
    assert not found.requires_grad
    assert not found.is_inference()
    found.add_(1.0)
    assert torch.equal(x, kept)
    assert torch.equal(y, labels)
    assert x.grad is None
    assert torch.equal(torch.get_rng_state(), drawn)
    assert [parameter.requires_grad for parameter in model.parameters()] == asked
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module.training for module in model.modules())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    # A graph to x may hang on the inputs themselves, as in a generator that is being trained.
    assert not call(model, x * 1, y, classes=5).requires_grad


# Misclassified inputs ------------------------------------------------------------------------------------------


@every
def test_accuracy_after_an_attack_is_at_most_accuracy_before_it(call: Call) -> None:
    """Half of the labels are the runner-up, which an attack's path crosses."""
    model = net(4)
    x, y = inputs(model, 40)
    with torch.no_grad():
        y[::2] = model(x).topk(2).indices[::2, 1]
        wrong = model(x).argmax(1) != y
        found = call(model, x, y, classes=4, eps=0.4)
        assert not bool((model(found).argmax(1) == y)[wrong].any())
    if not call.targeted:
        assert torch.equal(found[wrong], x[wrong])


@once
def test_a_tie_is_lost_to_the_first_class_and_stays_lost(call: Call) -> None:
    """All logits equal: class 0 is told, and no attack may hand back points that put label 1 right."""

    class Flat(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            near = (x - 0.5).flatten(1).abs().amax(1)
            z = torch.where(near < 0.01, near * 0, near - 0.01)
            return torch.stack([0 * z, z, -z, -z], 1)

    x, y = torch.full((8, *SHAPE), 0.5), torch.ones(8, dtype=torch.int64)
    found = call(Flat().eval(), x, y, classes=4)
    assert not bool((Flat()(found).argmax(1) == y).any())


# Other networks ------------------------------------------------------------------------------------------------


@steered
def test_a_surrogate_is_checked_and_left_as_it_was(call: Call) -> None:
    if (not call.gradients and "quare" not in call.name) or (
        isinstance(call.attack, suite.MinimumNorm) and (not isinstance(call.attack, suite.Fab))
    ):
        pytest.skip("asks no surrogate")
    model = net(5)
    x, y = inputs(model)
    refused(lambda: call(model, x, y, classes=5, surrogate=net(7)), "surrogate has 7 classes", "5")
    refused(lambda: call(model, x, y, classes=5, surrogate=Gives(lambda z: (z,)).eval()), "surrogate gives a tuple")
    refused(lambda: call(model, x, y, classes=5, surrogate=net(5).double()), "surrogate", "float64", "float32")
    refused(lambda: call(model, x, y, classes=5, surrogate=torch.sigmoid), "surrogate is a builtin_function")
    source = net(5, seed=1)
    before = copy.deepcopy(source.state_dict())
    call(model, x, y, classes=5, surrogate=source)
    assert all(torch.equal(value, before[name]) for name, value in source.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in source.parameters())
    source.train()
    refused(lambda: call(model, x, y, classes=5, surrogate=source), "surrogate is in train mode")
    assert source.training


# Descriptions --------------------------------------------------------------------------------------------------


def test_a_description_of_another_kind_is_refused() -> None:
    model = net()
    x, y = inputs(model)
    find: dict[str, Any] = {"norm": "l2", "domain": (0.0, 1.0), "generator": torch.Generator()}
    refused(lambda: suite.run_attack(suite.Jsma(), model, x, y, LinfBall(0.1), generator=torch.Generator()), "Jsma")  # type: ignore[arg-type]
    refused(lambda: suite.find_nearest(suite.Fgsm(), model, x, y, **find), "Fgsm()")  # type: ignore[arg-type]
    refused(lambda: suite.run_targeted(suite.Fab(), model, x, y, (y + 1) % 10, domain=(0.0, 1.0)), "Fab(")  # type: ignore[arg-type]
