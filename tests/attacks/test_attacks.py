"""What every attack promises, in one table: budget, domain, an untouched model, repeatability, closed forms."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from robustlib.attacks import apgd, auto_attack, boundary, fgsm, mi_fgsm, pgd, square, uniform_noise
from robustlib.attacks.losses import dlr, dlr_targeted, margin, margin_loss
from robustlib.attacks.suite import (
    Apgd,
    AutoAttack,
    Boundary,
    CarliniWagner,
    Clean,
    DeepFool,
    Fab,
    Fgsm,
    Lbfgs,
    MiFgsm,
    Noise,
    Pgd,
    Square,
    find_nearest,
    random_targets,
    run_attack,
)
from robustlib.budget import Budget
from robustlib.errors import RobustlibError
from robustlib.evaluate.counting import counted
from robustlib.threat import Ball, L2Ball, LinfBall, ball

from .models import Saturated, batch, batch_norm, linear, small_cnn

Attack = Callable[[nn.Module, Tensor, Tensor, Ball], Tensor]


def _generator(seed: int = 7) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _pgd(**knobs: Any) -> Attack:
    options = {"steps": 5, "step_size": 0.05, **knobs}
    return lambda m, x, y, t: pgd(m, x, y, t, generator=_generator(), **options)


ATTACKS: dict[str, Attack] = {
    "noise": lambda m, x, y, t: uniform_noise(m, x, y, t, generator=_generator()),
    "fgsm": lambda m, x, y, t: fgsm(m, x, y, t),
    "fgsm random": lambda m, x, y, t: fgsm(m, x, y, t, random_step=t.eps / 2, generator=_generator()),
    "pgd": _pgd(),
    "pgd restarts": _pgd(restarts=3),
    "pgd margin": _pgd(loss="margin"),
    "pgd margin 50": _pgd(loss="margin", kappa=50.0),
    "pgd targeted": lambda m, x, y, t: pgd(
        m, x, y, t, steps=5, step_size=0.05, target=(y + 1) % 10, generator=_generator()
    ),
    "mi-fgsm": lambda m, x, y, t: mi_fgsm(m, x, y, t, steps=4),
    "apgd": lambda m, x, y, t: apgd(m, x, y, t, steps=9, restarts=2, generator=_generator()),
    "apgd dlr": lambda m, x, y, t: apgd(m, x, y, t, steps=9, loss="dlr", generator=_generator()),
    "apgd targeted": lambda m, x, y, t: apgd(m, x, y, t, steps=6, target_classes=3, generator=_generator()),
    "apgd surrogate": lambda m, x, y, t: apgd(m, x, y, t, steps=6, generator=_generator(), surrogate=build_other()),
    "square": lambda m, x, y, t: square(m, x, y, t, queries=30, generator=_generator()),
    "square surrogate": lambda m, x, y, t: square(
        m, x, y, t, queries=30, generator=_generator(), surrogate=build_other()
    ),
    "autoattack": lambda m, x, y, t: auto_attack(
        m, x, y, t, steps=4, queries=10, target_classes=2, generator=_generator()
    ),
    "pgd by loss": _pgd(restarts=3, best_by="loss"),
    "pgd every target": _pgd(target_classes=9),
    "pgd surrogate": lambda m, x, y, t: pgd(
        m, x, y, t, steps=5, step_size=0.05, generator=_generator(), surrogate=small_cnn()
    ),
}
THREATS = [LinfBall(0.1), L2Ball(0.8), LinfBall(0.3), LinfBall(0.1, None)]


@pytest.mark.parametrize("name", ATTACKS)
def test_stays_inside_the_threat(name: str) -> None:
    x, y = batch()
    for threat in THREATS:
        assert bool(threat.contains(ATTACKS[name](batch_norm(), x, y, threat), x).all()), threat


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    model, (x, y) = batch_norm(), batch()
    whole = pgd(model, x, y, LinfBall(0.1), steps=4, step_size=0.03, random_start=False)
    alone = pgd(model, x[3:4], y[3:4], LinfBall(0.1), steps=4, step_size=0.03, random_start=False)
    torch.testing.assert_close(whole[3:4], alone)


def test_fgsm_and_pgd_equal_the_closed_form_on_a_linear_model() -> None:
    """The worst l_inf perturbation of a two-class linear model moves each pixel by eps against the margin."""
    model, (x, _) = linear(2), batch(20, shape=(1, 3, 4))
    x = 0.4 + 0.2 * x
    y = model(x).argmax(1)
    weight = model[1].weight.detach()
    direction = (weight[1 - y] - weight[y]).sign().reshape(x.shape)
    expected = x + 0.1 * direction
    torch.testing.assert_close(fgsm(model, x, y, LinfBall(0.1)), expected)
    torch.testing.assert_close(
        pgd(model, x, y, LinfBall(0.1), steps=10, step_size=0.04, generator=_generator()), expected
    )
    unit = weight[1 - y] - weight[y]
    l2 = x + 0.1 * (unit / unit.norm(dim=1, keepdim=True)).reshape(x.shape)
    found = pgd(model, x, y, L2Ball(0.1), steps=30, step_size=0.05, generator=_generator())
    torch.testing.assert_close(found, l2, atol=2e-3, rtol=0)


def test_one_step_of_full_length_from_x_is_fgsm() -> None:
    model, (x, y) = small_cnn(), batch()
    one = pgd(model, x, y, LinfBall(0.2), steps=1, step_size=0.2, random_start=False)
    torch.testing.assert_close(one, fgsm(model, x, y, LinfBall(0.2)))


def _right(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        return model(x).argmax(1) == y


def test_more_restarts_never_break_fewer_points() -> None:
    model, (x, _) = small_cnn(), batch(60)
    y = model(x).argmax(1)
    kept = [
        _right(model, pgd(model, x, y, LinfBall(0.05), steps=3, step_size=0.02, restarts=r, generator=_generator()), y)
        for r in (1, 2, 5)
    ]
    for fewer, more in itertools.pairwise(kept):
        assert bool((more <= fewer).all())


def test_iterating_is_at_least_as_strong_as_one_step_and_noise() -> None:
    model, (x, _) = small_cnn(), batch(60)
    y = model(x).argmax(1)
    threat = LinfBall(0.08)
    noise, step, many = (
        float(_right(model, found, y).float().mean())
        for found in (
            uniform_noise(model, x, y, threat, generator=_generator()),
            fgsm(model, x, y, threat),
            pgd(model, x, y, threat, steps=20, step_size=0.01, restarts=2, generator=_generator()),
        )
    )
    assert many <= step + 1e-9 <= noise + 1e-9
    assert many < noise


def test_success_grows_with_eps_and_is_complete_without_bound() -> None:
    model, (x, _) = small_cnn(), batch(40)
    y = model(x).argmax(1)
    shares = [
        float(
            (~_right(model, pgd(model, x, y, LinfBall(e), steps=20, step_size=e / 8, generator=_generator()), y))
            .float()
            .mean()
        )
        for e in (0.02, 0.1, 1.0)
    ]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_a_planted_broken_defence_falls_and_a_masked_one_shows() -> None:
    """Saturation stops gradient attacks on cross-entropy; the margin loss and decisions still break it."""
    inner, (x, _) = small_cnn(), batch(30)
    masked = Saturated(inner).eval()
    y = inner(x).argmax(1)
    options: dict[str, Any] = {"steps": 20, "step_size": 0.02, "random_start": False}
    ce = _right(masked, pgd(masked, x, y, LinfBall(0.2), **options), y).float().mean()
    cw = _right(masked, pgd(masked, x, y, LinfBall(0.2), loss="margin", kappa=1e9, **options), y).float().mean()
    plain = _right(inner, pgd(inner, x, y, LinfBall(0.2), **options), y).float().mean()
    assert plain < 0.1
    assert cw < 0.1
    assert ce > plain + 0.3, "the positive control does not mask gradients any more"


@pytest.mark.parametrize("loss", ["cross_entropy", "margin", "dlr"])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_every_loss_leads_to_a_class_far_behind(loss: str, norm: str) -> None:
    model, (x, _) = small_cnn(), batch(20)
    logits = model(x).detach()
    y, third = logits.argmax(1), logits.topk(3, 1).indices[:, 2]
    threat = ball(norm, 0.3 if norm == "linf" else 2.0)
    options: dict[str, Any] = {"steps": 20, "step_size": threat.eps / 8, "random_start": False, "loss": loss}
    reached = model(pgd(model, x, y, threat, target=third, **options)).argmax(1) == third
    broken = model(pgd(model, x, y, threat, target_classes=3, **options)).argmax(1) != y
    assert reached.float().mean() > 0.5
    assert broken.float().mean() > 0.9


def test_the_targeted_dlr_loss_needs_four_classes() -> None:
    x, y = torch.rand(4, 12), torch.zeros(4, dtype=torch.int64)
    with pytest.raises(RobustlibError, match="targeted DLR loss needs 4 classes"):
        pgd(linear(), x, y, LinfBall(0.1), steps=2, step_size=0.1, random_start=False, loss="dlr", target=y + 1)


def test_dlr_losses_are_of_float32_at_least() -> None:
    logits, y = torch.tensor([[-40_000.0, 0.0, -40_000.0, 30_000.0]]).half(), torch.zeros(1, dtype=torch.int64)
    assert torch.isfinite(dlr(logits, y)).all()
    assert torch.isfinite(dlr_targeted(logits, torch.stack([y, y + 1], 1))).all()


def test_margin_holds_for_negative_logits() -> None:
    logits, y = torch.tensor([[-5.0, -1.0, -3.0], [2.0, 2.0, -9.0]]), torch.tensor([0, 1])
    assert margin(logits, y).tolist() == [-4.0, 0.0]
    assert margin_loss(1.0)(logits, y).tolist() == [0.0, -1.0]


def test_targets_are_never_the_label_and_cover_all_others() -> None:
    y = torch.arange(10).repeat(200)
    target = random_targets(y, 10, generator=_generator())
    assert not bool((target == y).any())
    assert len(torch.unique(target[y == 3])) == 9


def test_a_transfer_follows_the_source_and_is_judged_on_the_target() -> None:
    model, (x, y) = small_cnn(), batch()
    source = build_other()
    a = fgsm(model, x, y, LinfBall(0.1), surrogate=source, last_iterate=True)
    torch.testing.assert_close(a, fgsm(source, x, y, LinfBall(0.1), last_iterate=True))
    # What the target gets wrong already needs no example of the source's.
    wrong = model(x).argmax(1) != y
    assert wrong.any()
    assert torch.equal(fgsm(model, x, y, LinfBall(0.1), surrogate=source)[wrong], x[wrong])


@pytest.mark.parametrize("last_iterate", [False, True])
def test_a_transfer_by_loss_never_asks_the_target_about_a_point_that_it_made(last_iterate: bool) -> None:
    source, (x, y) = build_other(), batch()
    options: dict[str, Any] = {"steps": 4, "step_size": 0.05, "restarts": 5, "best_by": "loss"}
    found = {}
    for name, target in {"one target": small_cnn(), "another": build_other(), "none": source}.items():
        with counted(target) as cost:
            found[name] = pgd(
                target,
                x,
                y,
                LinfBall(0.1),
                generator=_generator(),
                surrogate=None if target is source else source,
                last_iterate=True if target is source else last_iterate,
                **options,
            )
        if target is not source:
            assert cost.forwards == (1 if last_iterate else len(x))
    right = small_cnn()(x).argmax(1) == y
    rows = torch.ones_like(right) if last_iterate else right
    # The points are those of the source, whoever they are meant for: of five starts the one of its highest loss.
    torch.testing.assert_close(found["one target"][rows], found["none"][rows])
    generator, losses = _generator(), []
    for _ in range(5):
        end = pgd(source, x, y, LinfBall(0.1), steps=4, step_size=0.05, generator=generator, last_iterate=True)
        losses.append(nn.functional.cross_entropy(source(end), y, reduction="none"))
    best = nn.functional.cross_entropy(source(found["none"]), y, reduction="none")
    torch.testing.assert_close(best, torch.stack(losses).amax(0))


def test_every_target_is_the_worst_of_each() -> None:
    model, (x, _) = small_cnn(), batch(30)
    y = model(x).argmax(1)
    options: dict[str, Any] = {"steps": 5, "step_size": 0.02, "random_start": False}
    threat = LinfBall(0.06)
    alone = []
    for rank in range(9):
        order = model(x).scatter(1, y[:, None], float("-inf")).argsort(1, descending=True)
        alone.append(model(pgd(model, x, y, threat, target=order[:, rank], **options)).argmax(1) == y)
    left = {m: model(pgd(model, x, y, threat, target_classes=m, **options)).argmax(1) == y for m in (1, 3, 9, 50)}
    assert torch.equal(left[1], alone[0])
    assert torch.equal(left[3], torch.stack(alone[:3]).all(0))
    assert torch.equal(left[9], torch.stack(alone).all(0))
    assert torch.equal(left[50], left[9])
    assert 0 < int(left[9].sum()) <= int(left[1].sum()) < 30, "an attack that breaks all or nothing shows nothing"


def build_other() -> nn.Module:
    from robustlib.models import ModelSpec, build

    return build(ModelSpec("madry_cnn", 2), input_shape=(1, 8, 8), classes=10, generator=_generator(11))


DESCRIPTIONS = [
    Clean(),
    Noise(),
    Fgsm(),
    Pgd(2, 0.05),
    Pgd(2, 0.05, targeted=True),
    Pgd(2, 0.05, restarts=2, best_by="loss"),
    Pgd(2, 0.05, target_classes=3),
    MiFgsm(3),
    Apgd(5),
    Apgd(5, target_classes=2),
    Square(10),
    AutoAttack(3, 5, 2),
    Boundary(20),
    DeepFool(5),
    CarliniWagner(5),
    Lbfgs(3, 2),
    Fab(5, 2),
]


@pytest.mark.parametrize("attack", DESCRIPTIONS, ids=str)
@pytest.mark.parametrize("threat", [LinfBall(0.1), L2Ball(1.0)], ids=str)
def test_descriptions_run_inside_their_threat_and_cost_what_they_say(attack: Any, threat: Ball) -> None:
    model, (x, _) = small_cnn(), batch()
    y = model(x).argmax(1)
    with counted(model) as cost:
        found = run_attack(attack, model, x, y, threat, generator=_generator())
    assert bool(threat.contains(found, x).all())
    # Verdicts and the look at one input come on top of the search; backwards are part of it.
    assert cost.backwards <= attack.passes * len(x)
    assert cost.forwards <= (attack.passes + 45) * len(x)


def test_boundary_attack_nears_the_closed_form_and_repeats() -> None:
    model, (x, _) = linear(2), batch(16, shape=(1, 3, 4))
    y = model(x).argmax(1)
    weight, logits = model[1].weight.detach(), model(x).detach()
    gap = (logits[:, 0] - logits[:, 1]).abs()
    found = boundary(model, x, y, steps=600, generator=_generator())
    distance = (found - x).flatten(1).norm(dim=1)
    ratio = (distance / (gap / (weight[0] - weight[1]).norm())).median()
    assert 1.0 - 1e-4 <= ratio < 1.25
    few = boundary(model, x, y, steps=20, generator=_generator())
    assert torch.equal(few, boundary(model, x, y, steps=20, generator=_generator()))
    assert float(distance.mean()) < float((few - x).flatten(1).norm(dim=1).mean())


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_boundary_points_stay_broken_in_other_batch_sizes_and_in_the_domain(norm: str) -> None:
    model, (x, _) = small_cnn(), batch(9)
    y = model(x).argmax(1)
    found = boundary(model, x, y, norm=norm, steps=60, generator=_generator())
    broken = model(found).argmax(1) != y
    alone = torch.cat([model(row[None]).argmax(1) for row in found]) != y
    assert torch.equal(broken, alone)
    assert bool(((found >= 0) & (found <= 1)).all())
    assert bool(broken.any())


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_an_example_takes_the_same_boundary_walk_alone_and_among_others(norm: str) -> None:
    """Directions are shared and tried several at once where few examples are left; neither changes an answer."""
    model, (x, _) = linear(2), batch(70, shape=(1, 3, 4))
    y = model(x).argmax(1)
    together = boundary(model, x, y, norm=norm, steps=60, generator=_generator())
    for row in (0, 33, 69):
        alone = boundary(model, x[row : row + 1], y[row : row + 1], norm=norm, steps=60, generator=_generator())
        torch.testing.assert_close(alone[0], together[row])


def test_a_protocol_that_is_gone_is_not_run_under_its_name() -> None:
    model, (x, y) = small_cnn(), batch(4)
    for protocol in (1, 2):
        with pytest.raises(RobustlibError, match=f"protocol={protocol} of Boundary is run no longer; take protocol 3"):
            run_attack(Boundary(2, protocol=protocol), model, x, y, L2Ball(1.0), generator=_generator())


class Decisions(nn.Module):
    """Logits of a rule on points, and how many points it was asked about."""

    def __init__(self, wrong: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.wrong, self.asked = wrong, 0

    def forward(self, x: Tensor) -> Tensor:
        self.asked += len(x)
        wrong = self.wrong(x).to(x.dtype)
        return torch.stack([1 - wrong, wrong], 1)


def test_a_boundary_step_tries_25_directions_and_no_more() -> None:
    x, y = torch.full((1, 4), 0.5), torch.zeros(1, dtype=torch.int64)
    stuck: list[Tensor] = []

    def wrong(points: Tensor) -> Tensor:
        # Of another class is the starting point alone, so that no step finds a better one.
        if not stuck and bool((points != x).any()):
            stuck.append(points[0].clone())
        return (points == stuck[0]).all(1) if stuck else torch.zeros(len(points), dtype=torch.bool)

    costs = {}
    for steps in (1, 3, 10, 20):
        stuck.clear()
        model = Decisions(wrong).eval()
        boundary(model, x, y, steps=steps, generator=_generator())
        costs[steps] = model.asked
    assert costs[3] - costs[1] == 2 * 25
    # Where no point before its step inwards is misclassified, the tenth step asks about none behind it.
    assert costs[10] - costs[3] == 7 * 25
    assert costs[20] - costs[10] == 10 * 25


def test_boundary_attack_ignores_masking_and_keeps_points_already_lost() -> None:
    inner, (x, _) = small_cnn(), batch(10)
    masked = Saturated(inner).eval()
    y = inner(x).argmax(1)
    y[0] = (y[0] + 1) % 10
    found = boundary(masked, x, y, steps=60, generator=_generator())
    assert torch.equal(found[0], x[0])
    assert bool((masked(found).argmax(1) != y).float().mean() > 0.8)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU, and there is none here")
def test_a_captured_search_equals_an_eager_one() -> None:
    model, (x, y) = small_cnn().cuda(), (values.cuda() for values in batch())
    options: dict[str, Any] = {"steps": 20, "step_size": 0.01, "random_start": False}
    found = pgd(model, x, y, LinfBall(0.1), **options).cpu()
    torch.testing.assert_close(found, pgd(model.cpu(), x.cpu(), y.cpu(), LinfBall(0.1), **options))


@settings(max_examples=40, deadline=None)
@given(eps=st.floats(0, 0.9), norm=st.sampled_from(["linf", "l2"]), seed=st.integers(0, 10**6), clipped=st.booleans())
def test_projection_and_random_start_stay_inside(eps: float, norm: str, seed: int, clipped: bool) -> None:
    from robustlib.threat import ball

    threat, generator = ball(norm, eps, (0.0, 1.0) if clipped else None), _generator(seed)
    x = torch.rand(6, 1, 4, 4, generator=generator)
    wild = x + 3 * torch.randn(x.shape, generator=generator)
    for point in (threat.project(wild, x), threat.random_start(x, generator=generator)):
        assert bool(threat.contains(point, x).all())
    again = threat.project(threat.project(wild, x), x)
    torch.testing.assert_close(again, threat.project(wild, x), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (Budget(), Pgd(5, 0.007, restarts=20)),
        (Budget(restarts=2), Pgd(5, 0.007, restarts=2)),
        (Budget(steps=10), Pgd(5, 0.007, restarts=20)),
        (Budget(steps=2, restarts=50), Pgd(2, 0.007 * 5 / 2, restarts=20)),
        (Budget(steps=2, reach=False), Pgd(2, 0.007, restarts=20)),
    ],
)
def test_pgd_keeps_what_a_budget_does_not_limit(budget: Budget, expected: Pgd) -> None:
    """Equal to the last bit: another step size would be another key."""
    assert Pgd(5, 0.007, restarts=20).within(budget) == expected


@pytest.mark.parametrize("attack", [DeepFool(20), CarliniWagner(15), Lbfgs(10, 3)], ids=str)
def test_logits_that_cease_to_be_finite_on_the_way_are_refused(attack: Any) -> None:
    class Holed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            logits = small_cnn()(x)
            near = (x - start).flatten(1).abs().amax(1) < 1e-3
            return torch.where(near[:, None], logits, torch.nan)

    start, _ = batch(6)
    y = small_cnn()(start).argmax(1)
    with pytest.raises(RobustlibError, match="not finite"):
        find_nearest(attack, Holed().eval(), start, y, norm="l2", domain=(0.0, 1.0), generator=_generator())
