"""What evaluate and the measurements accept and refuse: the same contract as the attacks', and a suite's own rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robustlib.attacks import auto_attack, deepfool
from robustlib.attacks.suite import Apgd, CarliniWagner, Clean, DeepFool, Fab, Fgsm, Jsma, MiFgsm, Noise, Pgd, Square
from robustlib.data import Split
from robustlib.evaluate import (
    convergence,
    diagnose,
    distances_under,
    evaluate,
    final_losses,
    loss_traces,
    outcomes_under,
    standard,
)
from robustlib.evaluate.hinge import hinge_risks
from robustlib.evaluate.saturation import amplitudes
from robustlib.evaluate.targeted import correct_rows, targeted_attempts
from robustlib.threat import Ball, FeatureBox, L2Ball, LinfBall
from tests.attacks.calls import Gives, refused

BALL = LinfBall(0.1)
QUICK: dict[str, Any] = {"converge": False}


def net(classes: int = 10, dtype: torch.dtype = torch.float32) -> nn.Module:
    generator = torch.Generator().manual_seed(classes)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, classes))
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float32)
    return model.to(dtype).eval()


def inputs(model: nn.Module, n: int = 12) -> tuple[Tensor, Tensor]:
    dtype = next(model.parameters()).dtype
    x = torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float32).to(dtype)
    with torch.no_grad():
        return x, model(x).argmax(1)


# The suite -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("classes", "threat"), [(2, L2Ball(0.1)), (3, BALL), (6, LinfBall(0.05, None)), (12, BALL)], ids=str
)
def test_the_default_suite_fits_the_number_of_classes(
    classes: int, threat: Ball, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = standard(threat, classes=classes)
    fab = [] if threat.domain is None else [min(9, classes - 1)]
    assert [attack.target_classes for attack in whole if isinstance(attack, Fab)] == fab
    wanted = Apgd(loss="margin") if classes < 4 else Apgd(target_classes=min(9, classes - 1))
    assert [attack for attack in whole if isinstance(attack, Apgd) and attack != Apgd()] == [wanted]
    asked = []

    def short(threat: Ball, *, classes: int) -> Any:
        asked.append(classes)
        return standard(threat, steps=3, queries=5, classes=classes)

    monkeypatch.setattr("robustlib.evaluate.suite.standard", short)
    model = net(classes)
    x, y = inputs(model, 6)
    lines = evaluate(model, x, y, threat, **QUICK).lines
    assert asked == [classes]
    assert sorted(str(type(line.attack)) for line in lines[1:]) == sorted(str(type(attack)) for attack in whole)
    # A suite made without knowing the classes tries as many as there are.
    if classes >= 4:
        assert evaluate(model, x, y, threat, standard(threat, steps=3, queries=5), **QUICK).worst.shape == (6,)


@pytest.mark.parametrize(
    ("shape", "threat", "missing"),
    [
        ((3, 4), BALL, (Square,)),
        ((1, 3, 2, 2), L2Ball(0.1), (Square,)),
        ((12,), FeatureBox(0.1, budgets=(1.0,) * 12), (Fab, Square)),
        ((12,), LinfBall(0.1, None), (Fab,)),
        ((12,), BALL, ()),
    ],
    ids=str,
)
def test_what_does_not_apply_is_left_out_and_reported(
    shape: tuple[int, ...], threat: Ball, missing: tuple[type, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = standard(threat, steps=3, queries=5, targets=2)
    monkeypatch.setattr("robustlib.evaluate.suite.standard", lambda *_, **__: short)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5)).eval()
    x = torch.rand(6, *shape, generator=torch.Generator().manual_seed(0))
    report = evaluate(model, x, model(x).argmax(1), threat, **QUICK)
    run = {type(line.attack) for line in report.lines}
    assert {Fab, Square} - run == set(missing)
    found = {finding.name: finding.text for finding in report.findings}
    assert all(kind.__name__ in found["attacks left out"] for kind in missing)
    assert bool(missing) == ("attacks left out" in found)


def test_auto_attack_refuses_inputs_that_square_cannot_take_before_it_asks_the_model() -> None:
    never = nn.Flatten().eval()
    x = torch.rand(3, 4, 3)
    refused(lambda: auto_attack(never, x, torch.zeros(3).long(), BALL, generator=torch.Generator()), "(N, C, H, W)")


def test_infinite_slopes_are_a_finding_and_stop_no_attack() -> None:
    class Absolute(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return inner(x.square().sqrt())

    inner = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    x = torch.rand(20, 12, generator=torch.Generator().manual_seed(0))
    x[::2, :3] = 0.0
    model, threat = Absolute().eval(), L2Ball(0.5)
    suite: Any = [Fgsm(), MiFgsm(4), Pgd(4, 0.2), Apgd(5), Fab(5, 2), DeepFool(5), CarliniWagner(10)]
    report = evaluate(model, x, model(x).argmax(1), threat, suite, **QUICK)
    assert "non-finite gradients" in {finding.name for finding in report.findings}
    found = deepfool(model, x, model(x).argmax(1), steps=20)
    assert torch.isfinite(found).all()
    assert (found != x).flatten(1).any(1)[::2].all()


BAD: Any = [
    {"steps": (40, 10)},
    {"restarts": (2, 1)},
    {"restarts": ()},
    {"steps": (0, 1)},
    {"steps": (1.5,)},
    {"points": 0},
]


@pytest.mark.parametrize("change", BAD, ids=str)
def test_budgets_of_convergence_rise(change: dict[str, Any]) -> None:
    model = net()
    x, y = inputs(model)
    generator = torch.Generator()
    refused(lambda: convergence(model, x, y, BALL, generator=generator, **change), f"{next(iter(change))}=")
    refused(lambda: convergence(model, x[:0], y[:0], BALL, generator=generator), "no points")
    once = convergence(model, x, y, BALL, generator=generator, steps=(1,))
    refused(lambda: once.last_doubling, "steps=(1,)")


def test_the_default_suite_is_what_it_was_where_classes_are_many() -> None:
    assert standard(BALL) == standard(BALL, classes=10) == standard(BALL, classes=1000)
    refused(lambda: standard(BALL, classes=1), "classes=1")
    refused(lambda: standard(0.3), "threat=0.3")  # type: ignore[arg-type]


@pytest.mark.parametrize("threat", [LinfBall(0.0), L2Ball(0.0), LinfBall(0.0, None)], ids=str)
def test_at_no_budget_every_line_is_the_clean_one_and_nothing_is_run(threat: Ball) -> None:
    model = net(6)
    x, y = inputs(model)
    y[:4] = (y[:4] + 1) % 6
    for attacks in (None, [Pgd(5, 0.1), Fgsm(), Noise(), Square(5), Fab(3, 2)]):
        report = evaluate(model, x, y, threat, attacks, sources={"other": net(6)})
        assert {line.accuracy for line in report.lines} == {8 / 12}
        assert all(line.cost.forwards == line.cost.backwards == 0 for line in report.lines[1:])
        assert len(report.lines) > 2
        assert report.findings == ()
        assert report.convergence is None


def test_robust_accuracy_is_at_most_clean_accuracy_whatever_the_labels() -> None:
    model = net(4)
    x, _ = inputs(model, 40)
    with torch.no_grad():
        y = model(x).topk(2).indices[:, 1]
        y[::2] = model(x).argmax(1)[::2]
    report = evaluate(model, x, y, LinfBall(0.4), [Noise(), Fgsm(), Pgd(4, 0.1), Pgd(4, 0.1, targeted=True)], **QUICK)
    standing = torch.stack([line.standing for line in report.lines])
    assert bool((standing[1:] <= standing[:-1]).all())


SUITES: list[tuple[Any, tuple[str, ...]]] = [
    (["pgd"], ("did you mean 'Pgd'", "Pgd(steps=20, step_size=0.01)")),
    (["PGD"], ("did you mean 'Pgd'",)),
    ([Pgd], ("Pgd is a class", "Pgd(steps=20, step_size=0.01)")),
    ([Fgsm(), None], ("attack=None",)),
    ([Fgsm(), 3], ("attack=3",)),
    ([Jsma()], ("Jsma(",)),
    ("pgd", ("'Pgd'", "Pgd(steps=20, step_size=0.01)")),
    (Pgd, ("Pgd is a class",)),
    (Fgsm(), ("Fgsm(", "give a sequence")),
    (3, ("attack=3",)),
]


@pytest.mark.parametrize(("attacks", "words"), SUITES, ids=lambda value: str(value)[:30])
def test_a_suite_of_other_things_is_refused_with_an_example(attacks: Any, words: tuple[str, ...]) -> None:
    model = net()
    x, y = inputs(model)
    refused(lambda: evaluate(model, x, y, BALL, attacks, **QUICK), *words)


def test_a_suite_may_be_an_iterator_or_empty() -> None:
    model = net()
    x, y = inputs(model)

    def two() -> Iterator[Any]:
        yield Noise()
        yield Fgsm()

    assert [line.name for line in evaluate(model, x, y, BALL, two(), **QUICK).lines] == ["clean", "Noise", "Fgsm"]
    assert [line.name for line in evaluate(model, x, y, BALL, (), **QUICK).lines] == ["clean"]
    described = [Clean(), Pgd(np.int64(2), np.float32(0.05)), DeepFool(2)]  # type: ignore[arg-type]
    assert len(evaluate(model, x, y, BALL, described, **QUICK).lines) == 4


# Sources -------------------------------------------------------------------------------------------------------


def test_a_source_in_train_mode_is_refused_and_stays_so() -> None:
    model, other = net(), net()
    x, y = inputs(model)
    other[2].train()
    modes = [part.training for part in other.modules()]
    refused(lambda: evaluate(model, x, y, BALL, [Fgsm()], sources={"near": other}, **QUICK), "sources['near']", "(2)")
    assert [part.training for part in other.modules()] == modes
    other.eval()
    asked = [p.requires_grad for p in other.parameters()]
    evaluate(model, x, y, BALL, [Fgsm()], sources={"near": other}, **QUICK)
    assert [p.requires_grad for p in other.parameters()] == asked
    assert all(p.grad is None for p in other.parameters())
    assert not any(part.training or part._forward_hooks for part in other.modules())


def test_sources_are_networks_by_name() -> None:
    model = net()
    x, y = inputs(model)
    for sources, words in (
        ([net()], ("sources is a list",)),
        (net(), ("sources is a Sequential",)),
        ({"a": "network"}, ("sources['a'] is a str",)),
        ({"a": net(7)}, ("surrogate has 7 classes",)),
        ({"a": Gives(lambda z: (z, z), net()).eval()}, ("surrogate gives a tuple",)),
    ):
        refused(lambda sources=sources: evaluate(model, x, y, LinfBall(0.001), [], sources=sources, **QUICK), *words)


# The contract, for all measurements ----------------------------------------------------------------------------


def split_of(x: Tensor, y: Tensor) -> Split:
    return Split((x * 255).round().to(torch.uint8), y)


Measure = Callable[[nn.Module, Tensor, Tensor], Any]
DRAW = {"name": "a"}
ON_TENSORS: dict[str, Measure] = {
    "evaluate": lambda m, x, y: evaluate(m, x, y, BALL, [Noise(), Fgsm(), Pgd(2, 0.05)]),
    "diagnose": lambda m, x, y: diagnose(m, x, y, BALL, generator=torch.Generator().manual_seed(0)),
    "convergence": lambda m, x, y: convergence(
        m, x, y, BALL, generator=torch.Generator().manual_seed(0), steps=(1, 2), restarts=(1, 2)
    ),
}
ON_SPLITS: dict[str, Measure] = {
    "outcomes": lambda m, x, y: outcomes_under(m, split_of(x, y), torch.arange(len(x)), Fgsm(), BALL, name="a"),
    "clean outcomes": lambda m, x, y: outcomes_under(m, split_of(x, y), torch.arange(len(x)), Clean(), None, name="a"),
    "distances": lambda m, x, y: distances_under(
        m, split_of(x, y), torch.arange(len(x)), DeepFool(2), norm="l2", domain=(0.0, 1.0), name="a"
    ),
    "traces": lambda m, x, y: loss_traces(
        m, split_of(x, y), torch.arange(2), BALL, steps=2, step_size=0.05, runs=2, name="a"
    ),
    "final losses": lambda m, x, y: final_losses(
        m, split_of(x, y), torch.arange(2), BALL, steps=2, step_size=0.05, starts=2, name="a"
    ),
    "hinge": lambda m, x, y: hinge_risks(
        m, split_of(x, y), torch.arange(len(x)), BALL, steps=2, step_size=0.05, scale=1.0, name="a"
    ),
    "attempts": lambda m, x, y: targeted_attempts(
        m, split_of(x, y), torch.arange(3), Jsma(features=4), domain=(0.0, 1.0)
    ),
    "correct rows": lambda m, x, y: correct_rows(m, split_of(x, y), 4),
    "amplitudes": lambda m, x, y: amplitudes(m, x),
}
ALL = ON_TENSORS | ON_SPLITS


@pytest.mark.parametrize("name", ALL)
def test_every_measurement_refuses_what_gives_no_logits(name: str) -> None:
    model = net(2)
    x, y = inputs(model)
    for change, word in (
        (lambda z: z[:, :1], "one logit"),
        (lambda z: (z, z), "a tuple"),
        (lambda z: {"logits": z}, "a dict"),
        (lambda z: z[:, 0], "(N, classes)"),
        (lambda z: z * torch.nan, "not finite"),
    ):
        refused(lambda change=change: ALL[name](Gives(change, net(2)).eval(), x, y * 0), word)


@pytest.mark.parametrize("name", ALL)
def test_every_measurement_refuses_train_mode_and_other_precisions(name: str) -> None:
    model = net(2)
    x, y = inputs(model)
    model[1].train()
    refused(lambda: ALL[name](model, x, y), "model is in train mode (1)")
    refused(lambda: ALL[name](nn.Linear, x, y), "model is a Linear")  # type: ignore[arg-type]
    refused(lambda: ALL[name](net(2).double(), x, y), "float64", "float32")


def _same(one: Any, other: Any) -> bool:
    if hasattr(one, "lines"):
        return all(torch.equal(a.standing, b.standing) for a, b in zip(one.lines, other.lines, strict=True))
    if isinstance(one, tuple):
        return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, Tensor | np.ndarray):
        return np.array_equal(np.asarray(one), np.asarray(other))
    return str(one) == str(other)


@pytest.mark.parametrize("name", ALL)
def test_the_gradient_mode_changes_no_measurement(name: str) -> None:
    model = net(2)
    x, y = inputs(model)
    usual = ALL[name](model, x, y)
    with torch.no_grad():
        assert _same(ALL[name](model, x, y), usual)
    with torch.inference_mode():
        assert _same(ALL[name](model, x * 1, y * 1), usual)
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


@pytest.mark.parametrize("name", ON_TENSORS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_every_precision_is_measured(name: str, dtype: torch.dtype) -> None:
    model = net(5, dtype)
    x, y = inputs(model)
    ON_TENSORS[name](model, x, y)
    if name == "evaluate":
        for threat in (BALL, L2Ball(0.4)):
            suite = standard(threat, steps=2, queries=4, classes=5)
            assert evaluate(model, x, y, threat, suite, **QUICK).worst.shape == (12,)


@pytest.mark.parametrize("name", ON_TENSORS)
def test_inputs_are_refused_by_name_and_forgiven_a_rounding(name: str) -> None:
    model = net(5)
    x, y = inputs(model)
    measure = ON_TENSORS[name]
    refused(lambda: measure(model, x.numpy(), y), "x is a numpy.ndarray", "torch.from_numpy(x)")  # type: ignore[arg-type]
    refused(lambda: measure(model, x, y.numpy()), "y is a numpy.ndarray")  # type: ignore[arg-type]
    refused(lambda: measure(model, x, y + 5), "y holds the label", "5 classes")
    refused(lambda: measure(model, x + 0.5, y), "outside the threat's domain")
    x[0, 0, 0, 0] = 1 + 1.2e-7
    measure(model, x, y)
    usual = measure(model, x, y)
    torch.set_default_dtype(torch.float64)
    try:
        assert _same(measure(model, x, y), usual)
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_hinge_bound_is_for_two_classes() -> None:
    model = net(3)
    x, y = inputs(model)
    refused(lambda: ON_SPLITS["hinge"](model, x, y), "3 classes")


# What has a scale and what has none ----------------------------------------------------------------------------


@pytest.mark.parametrize("power", [-20, 20])
def test_the_size_of_the_logits_is_no_sign_of_masking(power: int) -> None:
    """Small gradients are a sign where the softmax makes them small, not where all logits are."""
    model = net(5)
    x, y = inputs(model, 60)
    scaled = Gives(lambda z: z * 2.0**power, model).eval()
    generator = torch.Generator().manual_seed(0)
    names = {finding.name for finding in diagnose(scaled, x, y, LinfBall(0.3), generator=generator)}
    assert "tiny gradients" not in names
    assert "random outputs" not in names
    assert ("zero gradients" in names) is (power > 0)


def test_gradients_that_a_softmax_makes_tiny_are_a_sign_in_any_unit() -> None:
    """Margins of about 40 on inputs of size 1 and of size 2^20."""
    for width in (1.0, 2.0**20, 2.0**-20):
        model = nn.Linear(10, 2).eval()
        with torch.no_grad():
            model.weight.copy_(torch.tensor([[8.0], [-8.0]]) / width * torch.ones(2, 10))
            model.bias.copy_(torch.tensor([-20.0, 20.0]))
        x = (0.5 + 0.01 * torch.rand(30, 10, generator=torch.Generator().manual_seed(0))) * width
        threat = LinfBall(0.01 * width, (0.0, width))
        names = {f.name for f in diagnose(model, x, model(x).argmax(1), threat, generator=torch.Generator())}
        assert "tiny gradients" in names
