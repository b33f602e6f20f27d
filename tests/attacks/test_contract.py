"""One contract for every public attack and for ``evaluate``; whatever is decorated as an attack is held to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import robustlib.attacks as public
from robustlib.attacks.suite import Boundary, Pgd, find_nearest, run_attack, run_targeted
from robustlib.errors import RobustlibError
from robustlib.evaluate import evaluate
from robustlib.threat import L2Ball, LinfBall

from .calls import CALLS, Call, Gives, asking, inputs, net, once, refused, targeted, within


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


# What a model may give -----------------------------------------------------------------------------------------

FORMS: dict[str, tuple[Callable[[Tensor], Any], tuple[str, ...]]] = {
    "a tuple": (lambda z: (z, z), ("tuple",)),
    "a list": (lambda z: [z], ("list",)),
    "a dictionary": (lambda z: {"logits": z}, ("dict",)),
    "nothing": (lambda z: None, ("NoneType",)),
    "one axis": (lambda z: z[:, 0], ("shape",)),
    "a map": (lambda z: z[..., None, None], ("shape",)),
    "one logit": (lambda z: z[:, :1], ("one logit", "zero")),
    "one row": (lambda z: z[:1].expand(3, -1), ("shape",)),
    "not finite": (lambda z: z * float("nan"), ("not finite",)),
}


@asking
def test_a_model_that_works_in_place_is_refused_and_spoils_nothing(call: Call) -> None:
    class Moved(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return net()(x.sub_(0.5))

    x, y = inputs(net())
    # Without a domain x itself reaches the attack, and no copy that was cut to it.
    free = "threat" in call.parameters and call.attack is None
    before, domain = x.clone(), None if free else (0.0, 1.0)
    refused(lambda: call(Moved().eval(), x, y, domain=domain), "in place", "clone()")
    assert torch.equal(x, before)


@asking
def test_what_is_no_batch_of_logits_is_refused(call: Call) -> None:
    x, y = inputs(net())
    for form, (make, words) in FORMS.items():
        labels = torch.zeros_like(y) if form == "one logit" else y
        refused(lambda make=make, labels=labels: call(Gives(make).eval(), x, labels), *words)


@once
def test_few_classes_are_enough(call: Call) -> None:
    for classes in (2, 3, 9):
        x, y = inputs(net(classes))
        assert call(net(classes), x, y, classes=classes).shape == x.shape


@targeted
def test_a_target_is_another_class_of_the_model(call: Call) -> None:
    model = net(4)
    x, y = inputs(model)
    half = torch.where(torch.arange(len(y)) < 2, y, (y + 1) % 4)
    for target in (y, half):
        refused(lambda target=target: call(model, x, y, target=target), "target equals y in")
    for target in (torch.full_like(y, 4), (y + 1).clamp(max=3) - 4, y[:3], [1] * len(y)):
        refused(lambda target=target: call(model, x, y, target=target), "target")


def test_restarts_count_what_reaches_the_target() -> None:
    """A start that ends in some third class is no reason to stop."""
    model, reached = net(6), []
    x, y = inputs(model, 60)
    goal = (y + 2) % 6
    for restarts in (1, 8):
        points = public.pgd(
            model, x, y, LinfBall(0.35), steps=3, step_size=0.15, restarts=restarts, target=goal, generator=_generator()
        )
        reached.append(int((model(points).argmax(1) == goal).sum()))
    assert reached[1] > reached[0]


# Modes and layouts ---------------------------------------------------------------------------------------------


@once
def test_the_callers_modes_change_nothing(call: Call) -> None:
    model = net()
    x, y = inputs(model)
    expected = call(model, x, y)
    for mode in (torch.enable_grad, torch.no_grad, torch.inference_mode):
        try:
            # With gradients as they are, another default type; a graph to x is tried with the refusals.
            torch.set_default_dtype(torch.float64 if mode is torch.enable_grad else torch.float32)
            with mode():
                found = call(model, x.clone(), y.clone())
        finally:
            torch.set_default_dtype(torch.float32)
        assert found.dtype == x.dtype
        assert torch.equal(found, expected)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


@once
def test_draws_do_not_depend_on_how_x_lies_in_memory(call: Call) -> None:
    model = net()
    x, y = inputs(model)
    plain = call(model, x, y)
    spaced = torch.zeros(*x.shape[:3], 8)[..., ::2].copy_(x)
    turned = x.transpose(2, 3).contiguous().transpose(2, 3)
    for other in (x.contiguous(memory_format=torch.channels_last), spaced, turned):
        torch.testing.assert_close(call(model, other, y), plain, rtol=0, atol=1e-5)


# Domains and radii ------------------------------------------------------------------------------------------------


@once
def test_without_a_domain_it_runs_or_asks_for_one(call: Call) -> None:
    model = net()
    x, y = inputs(model)
    said = "a domain"
    try:
        points = call(model, x, y, domain=None)
    except RobustlibError as error:
        said, points = str(error), x
    assert "domain" in said
    assert bool(torch.isfinite(points).all())


@within
def test_a_ball_holds_x_alone_where_it_has_no_radius_and_is_no_larger_than_the_domain(call: Call) -> None:
    model = net()
    x, y = inputs(model)
    assert torch.equal(call(model, x, y, eps=0.0, random_step=0.0), x)
    refused(lambda: call(model, x, y, threat=L2Ball(5.67)), "diagonal")
    call(model, x, y, threat=L2Ball(32**0.5))


# Misclassified inputs -------------------------------------------------------------------------------------------


class Pit(nn.Module):
    """Wrong in a narrow pit around 0.5 and right all around: a step leads out of it."""

    def forward(self, x: Tensor) -> Tensor:
        off = (x[:, 0] - 0.5).abs()
        right = torch.where(off < 0.05, 20 * off - 0.4, 0.7 - off)
        far = torch.full_like(right, -9.0)
        return torch.stack([right, torch.zeros_like(right), far, far], 1)


@once
def test_no_attack_puts_a_misclassified_input_right(call: Call) -> None:
    if call.function is public.pgd_trace:
        pytest.skip("shows where its iterates go, and judges none")
    model, x, y = Pit().eval(), torch.full((40, 1), 0.5), torch.zeros(40, dtype=torch.int64)
    for goal in (1, 2) if call.targeted else (None,):
        aimed = {} if goal is None else {"target": torch.full_like(y, goal)}
        points = call(model, x, y, classes=4, **aimed)
        assert not bool((model(points).argmax(1) == y).any())


@pytest.mark.parametrize("name", ["pgd", "fgsm", "uniform_noise"])
def test_the_last_iterate_counts_where_a_paper_counts_it(name: str) -> None:
    model, x, y = Pit().eval(), torch.full((40, 1), 0.53), torch.zeros(40, dtype=torch.int64)
    x[:20] = 0.505
    assert bool((model(x).argmax(1) != y)[:20].all())
    points = CALLS[f"{name} linf"](model, x, y, last_iterate=True)
    assert bool((model(points).argmax(1) == y)[:20].any())


# Descriptions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["pgd", "Pgd", Pgd, 3, None, public.pgd, Boundary])
def test_an_attack_is_given_as_a_description(wrong: Any) -> None:
    model = net()
    x, y = inputs(model)
    box: dict[str, Any] = {"domain": (0.0, 1.0)}
    calls: list[Callable[[], object]] = [
        lambda: evaluate(model, x, y, LinfBall(0.1), [wrong]),
        lambda: run_attack(wrong, model, x, y, LinfBall(0.1), generator=_generator()),
        lambda: find_nearest(wrong, model, x, y, norm="l2", generator=_generator(), **box),
        lambda: run_targeted(wrong, model, x, y, (y + 1) % 4, **box),
    ]
    for run in calls:
        with pytest.raises(RobustlibError, match="attack"):
            run()
