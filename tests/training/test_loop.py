"""The training loop: it learns, repeats, resumes bit for bit, and says when something went wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustlib.attacks.losses import cross_entropy
from robustlib.data import Split, load
from robustlib.errors import RobustlibError
from robustlib.models import ModelSpec, build
from robustlib.spec.keys import key
from robustlib.threat import LinfBall
from robustlib.training import (
    Defence,
    FgsmTraining,
    Fit,
    PgdTraining,
    Schedule,
    Standard,
    Trades,
    TrainingDiverged,
    fit,
)
from robustlib.training.loop import load_checkpoint, save_checkpoint

SHORT = Schedule(steps=12, batch=16, lr=1e-3)
PGD = PgdTraining(LinfBall(0.1), steps=2, step_size=0.06)
DEFENCES: list[Defence] = [
    Standard(),
    FgsmTraining(LinfBall(0.1)),
    PGD,
    replace(PGD, ramp=(1, 2), eps_warmup=0.5),
    Trades(LinfBall(0.1), 2, 0.06, beta=6.0),
]


@pytest.fixture(scope="module")
def digits() -> Split:
    return load("digits").train


def _model(name: str = "madry_cnn") -> nn.Module:
    depth = 10 if name == "wide_resnet" else 0
    generator = torch.Generator().manual_seed(0)
    return build(ModelSpec(name, 1, depth=depth), input_shape=(1, 8, 8), classes=10, generator=generator)


def _weights(model: nn.Module) -> list[Tensor]:
    return [value.clone() for value in model.state_dict().values()]


def _same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(_weights(one), _weights(other), strict=True))


def test_overfits_64_points(digits: Split) -> None:
    model = build(
        ModelSpec("madry_cnn", 2, init="kaiming_uniform"),
        input_shape=(1, 8, 8),
        classes=10,
        generator=torch.Generator().manual_seed(0),
    )
    rows = torch.arange(64)
    fit(model, digits, rows, Standard(), Schedule(steps=250, batch=64, lr=1e-2, shape="one_cycle"), seed=0)
    assert bool((model(digits.images(rows)).argmax(1) == digits.y[rows]).all())
    assert not model.training


@pytest.mark.parametrize("defence", DEFENCES, ids=str)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["madry_cnn", "architecture_b", "trades_net", "wide_resnet"])
def test_resuming_is_bit_exact(digits: Split, tmp_path: Path, defence: Defence, precision: str, name: str) -> None:
    schedule, rows = replace(SHORT, precision=precision), torch.arange(200)
    undisturbed, stopped = _model(name), _model(name)
    whole = fit(undisturbed, digits, rows, defence, schedule, seed=3)
    path, seen = tmp_path / "c", []
    part = fit(
        stopped,
        digits,
        rows,
        defence,
        schedule,
        seed=3,
        checkpoint=path,
        stop=lambda: len(seen) >= 5,
        progress=lambda *_: seen.append(1),
    )
    assert not part.finished
    assert part.step == 5
    fresh = _model(name)
    rest = fit(fresh, digits, rows, defence, schedule, seed=3, checkpoint=path)
    assert rest.finished
    assert _same(undisturbed, fresh)
    assert rest.loss == whole.loss
    assert rest.accuracy == whole.accuracy


def test_pgd_training_at_eps_zero_is_standard_training(digits: Split) -> None:
    one, other = _model(), _model()
    rows = torch.arange(200)
    fit(one, digits, rows, Standard(), SHORT, seed=1)
    fit(other, digits, rows, PgdTraining(LinfBall(0.0), steps=3, step_size=0.1), SHORT, seed=1)
    assert _same(one, other)


def test_another_seed_is_another_network_and_the_same_the_same(digits: Split) -> None:
    models = [_model() for _ in range(3)]
    for model, seed in zip(models, (1, 1, 2), strict=True):
        fit(model, digits, torch.arange(200), PGD, SHORT, seed=seed)
    assert _same(models[0], models[1])
    assert not _same(models[0], models[2])


def test_a_kill_while_saving_leaves_the_old_checkpoint(
    digits: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, path = _model(), tmp_path / "c"
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    save_checkpoint(path, model, optimiser, Fit(step=4, loss=[1.0] * 4, accuracy=[0.5] * 4))
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(RobustlibError, match="free some space"):
        save_checkpoint(path, model, optimiser, Fit(step=5))
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["c"]


def test_a_corrupt_checkpoint_is_set_aside(tmp_path: Path) -> None:
    path, model = tmp_path / "c", _model()
    path.write_bytes(b"not a checkpoint")
    found = load_checkpoint(path, model, torch.optim.Adam(model.parameters(), lr=1e-3))
    assert found.step == 0
    assert not path.exists()
    assert (tmp_path / "c.bad").exists()


def _stopped(path: Path, digits: Split, model: nn.Module, schedule: Schedule = SHORT) -> None:
    seen: list[int] = []
    fit(
        model,
        digits,
        torch.arange(100),
        Standard(),
        schedule,
        seed=3,
        checkpoint=path,
        stop=lambda: len(seen) >= 2,
        progress=lambda *_: seen.append(1),
    )


def _mlp(width: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))


@pytest.mark.parametrize("keys", [("model",), ("optimiser",)])
def test_training_starts_anew_from_the_weights_given(digits: Split, tmp_path: Path, keys: tuple[str, ...]) -> None:
    path = tmp_path / "c"
    _stopped(path, digits, _mlp(8, seed=0))
    state = torch.load(path, weights_only=True)
    if keys == ("model",):
        state["model"] = _mlp(9, seed=1).state_dict() | {"1.bias": state["model"]["1.bias"]}
    else:
        state["optimiser"]["param_groups"] *= 2
    torch.save(state, path)
    model = _mlp(8, seed=5)
    fit(model, digits, torch.arange(100), Standard(), SHORT, seed=3, checkpoint=path)
    fresh = _mlp(8, seed=5)
    fit(fresh, digits, torch.arange(100), Standard(), SHORT, seed=3)
    assert _same(model, fresh)
    assert path.with_name("c.bad").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 4}, "seed was 3 and is 4"),
        ({"defence": PGD}, "defence was Standard and is PgdTraining"),
        ({"schedule": replace(SHORT, steps=1)}, f"schedule.steps was {SHORT.steps} and is 1"),
        ({"schedule": replace(SHORT, weight_decay=0.5)}, "schedule.weight_decay was 0.0 and is 0.5"),
        ({"schedule": replace(SHORT, optimiser="sgd")}, "schedule.optimiser was 'adam' and is 'sgd'"),
        ({"rows": torch.arange(99)}, "number of rows was 100 and is 99"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(
    digits: Split, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    path, model = tmp_path / "c", _mlp(8, seed=5)
    _stopped(path, digits, _mlp(8, seed=0))
    knobs = {"rows": torch.arange(100), "defence": Standard(), "schedule": SHORT, "seed": 3} | change
    with pytest.raises(RobustlibError, match="of another training") as caught:
        fit(model, digits, checkpoint=path, **knobs)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert _same(model, _mlp(8, seed=5))
    assert path.exists()


def test_a_checkpoint_that_does_not_say_what_it_is_of_is_resumed(digits: Split, tmp_path: Path) -> None:
    path, model = tmp_path / "c", _mlp(8, seed=0)
    _stopped(path, digits, _mlp(8, seed=0))
    state = torch.load(path, weights_only=True)
    del state["training"]
    torch.save(state, path)
    log = fit(model, digits, torch.arange(100), Standard(), SHORT, seed=3, checkpoint=str(path))
    fresh = _mlp(8, seed=0)
    assert log.loss == fit(fresh, digits, torch.arange(100), Standard(), SHORT, seed=3).loss
    assert _same(model, fresh)


def test_a_folder_is_no_checkpoint(digits: Split, tmp_path: Path) -> None:
    with pytest.raises(RobustlibError, match="is no file"):
        fit(_mlp(8, seed=0), digits, torch.arange(100), Standard(), SHORT, seed=3, checkpoint=tmp_path)
    assert tmp_path.exists()


class _Dropping(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.kind, self.first, self.last = kind, nn.Linear(64, 16), nn.Linear(16, 10)
        self.extra = nn.Dropout(0.5) if kind == "module" else nn.RReLU() if kind == "rrelu" else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.extra(self.first(x.flatten(1)))
        return self.last(F.dropout(hidden, 0.5, self.training) if self.kind == "function" else hidden)


@pytest.mark.parametrize("kind", ["module", "function", "rrelu"])
def test_the_seed_covers_every_draw_and_leaves_the_callers_generator(digits: Split, kind: str) -> None:
    models = [_Dropping(kind) for _ in range(2)]
    for place, model in enumerate(models):
        torch.manual_seed(place)
        before = torch.get_rng_state()
        fit(model, digits, torch.arange(100), Standard(), SHORT, seed=0)
        assert torch.equal(torch.get_rng_state(), before)
    assert _same(*models)


def test_a_loss_that_is_not_finite_stops_with_its_log(digits: Split) -> None:
    with pytest.raises(TrainingDiverged, match="lower the learning rate") as caught:
        fit(_model(), digits, torch.arange(200), Standard(), replace(SHORT, lr=1e30), seed=0)
    assert 1 <= len(caught.value.fit.loss) <= SHORT.steps


def test_alarms() -> None:
    stuck = Fit(loss=[2.31] * 100, accuracy=[0.1] * 100)
    assert "stuck at chance" in stuck.alarms(10)[0]
    collapsed = Fit(loss=[0.5] * 100, accuracy=[0.9] * 50 + [0.5] * 50)
    assert "fell from 90.0%" in collapsed.alarms(10)[0]
    assert Fit(loss=[0.1] * 100, accuracy=[0.9] * 100).alarms(10) == []


def test_schedules_and_defences_refuse_nonsense() -> None:
    for change in ({"shape": "cosin"}, {"reduction": "max"}, {"precision": "fp8"}, {"steps": -1}, {"lr": 0.0}):
        with pytest.raises(RobustlibError):
            replace(SHORT, **change)  # type: ignore[arg-type]
    with pytest.raises(RobustlibError, match="steps are 1 or more"):
        PgdTraining(LinfBall(0.1), steps=0, step_size=0.1)


def test_one_cycle_rises_and_ends_near_zero() -> None:
    schedule = Schedule(steps=100, batch=1, lr=1.0, shape="one_cycle")
    rates = [schedule.rate(step) for step in range(100)]
    assert max(rates) == pytest.approx(1.0, abs=0.01)
    assert rates.index(max(rates)) in (28, 29)
    assert rates[-1] == pytest.approx(0.0, abs=1e-9)


def test_sum_and_mean_agree_under_plain_gradients(digits: Split) -> None:
    """The two reductions differ by the batch size, no more."""
    model = _model()
    x, y = digits.images(torch.arange(8)), digits.y[:8]
    losses = cross_entropy(model(x), y).detach()
    assert float(losses.sum()) == pytest.approx(8 * float(losses.mean()), rel=1e-5)


SGD = Schedule(
    steps=12, batch=16, lr=0.05, optimiser="sgd", momentum=0.9, weight_decay=0.01, decay=((4, 0.1), (8, 0.01))
)


def test_the_rate_falls_at_its_milestones() -> None:
    assert [SGD.rate(step) for step in (0, 3, 4, 7, 8, 11)] == pytest.approx([0.05, 0.05, 5e-3, 5e-3, 5e-4, 5e-4])
    cycle = replace(SGD, shape="one_cycle")
    assert cycle.rate(8) == pytest.approx(0.01 * replace(cycle, decay=()).rate(8))


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("decayed", ["all", "weights"])
def test_sgd_is_written_out(digits: Split, nesterov: bool, decayed: str) -> None:
    """Each parameter by hand, six updates: v <- m v + (g + d w); w <- w - rate v, or rate (g + d w + m v)."""
    schedule = replace(SGD, steps=6, nesterov=nesterov, decayed=decayed)
    trained, ours = _model(), _model().train()
    rows = torch.arange(16)
    fit(trained, digits, rows, Standard(), schedule, seed=5)
    velocity = [torch.zeros_like(p) for p in ours.parameters()]
    for step in range(6):
        losses = cross_entropy(ours(digits.images(rows)), digits.y[rows])
        gradients = torch.autograd.grad(losses.mean(), [*ours.parameters()])
        with torch.no_grad():
            for p, g, v in zip(ours.parameters(), gradients, velocity, strict=True):
                full = g + 0.01 * p if decayed == "all" or p.dim() > 1 else g
                v.mul_(0.9).add_(full)
                p.sub_(schedule.rate(step) * (full + 0.9 * v if nesterov else v))
    for one, other in zip(trained.parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_sgd_resumes_bit_for_bit(digits: Split, tmp_path: Path) -> None:
    undisturbed, stopped, fresh, seen = _model(), _model(), _model(), []
    rows = torch.arange(200)
    fit(undisturbed, digits, rows, PGD, SGD, seed=3)
    fit(
        stopped,
        digits,
        rows,
        PGD,
        SGD,
        seed=3,
        checkpoint=tmp_path / "c",
        stop=lambda: len(seen) >= 5,
        progress=lambda *_: seen.append(1),
    )
    assert fit(fresh, digits, rows, PGD, SGD, seed=3, checkpoint=tmp_path / "c").finished
    assert _same(undisturbed, fresh)


@pytest.mark.parametrize(
    "change",
    [
        {"optimiser": "rmsprop"},
        {"momentum": 1.0},
        {"weight_decay": -1.0},
        {"nesterov": True, "momentum": 0.0},
        {"decay": ((8, 0.1), (4, 0.01))},
        {"decay": ((4, 0.0),)},
        {"optimiser": "adam"},
        {"decayed": "biases"},
    ],
)
def test_an_optimiser_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(RobustlibError):
        replace(SGD, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_long_gradient_is_shortened_as_a_whole(digits: Split, precision: str) -> None:
    """One update of plain SGD is the rate times the gradient: its length over all weights is what is cut."""
    once, rows = Schedule(1, 16, 0.5, optimiser="sgd", precision=precision), torch.arange(16)
    moved = []
    for clip in (0.0, 1e-2, 1e3):
        model = _model()
        before = torch.nn.utils.parameters_to_vector(model.parameters()).detach().clone()
        fit(model, digits, rows, Standard(), replace(once, clip=clip), seed=0)
        moved.append(before - torch.nn.utils.parameters_to_vector(model.parameters()).detach())
    free, short, long = moved
    assert float(free.norm()) > 10 * 0.5 * 1e-2
    assert float(short.norm()) == pytest.approx(0.5 * 1e-2, rel=1e-3)
    torch.testing.assert_close(short / short.norm(), free / free.norm(), rtol=1e-2, atol=1e-4)
    assert torch.equal(long, free)
    assert key(once) == key(replace(once, clip=0.0)) != key(replace(once, clip=1.0))
    with pytest.raises(RobustlibError, match="clip are 0 or more"):
        replace(once, clip=-1.0)
