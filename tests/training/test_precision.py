"""Copies in another arithmetic: gradients that every optimiser applies to the right weights, chosen by a trial."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from robustlib.attacks.losses import cross_entropy
from robustlib.attacks.suite import Pgd
from robustlib.data import Split, load
from robustlib.environment import ARITHMETIC
from robustlib.errors import RobustlibError
from robustlib.evaluate import outcomes_under
from robustlib.models import ModelSpec, build
from robustlib.threat import LinfBall
from robustlib.training import Certified, Defence, Fit, PgdTraining, Schedule, SteeringCopy, fit, precision
from robustlib.training.precision import LOW, PLAIN, Arithmetic, fastest, in_arithmetic, noting


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(16, 1, 28, 28, generator=generator), torch.randint(10, (16,), generator=generator)


def _network() -> torch.nn.Module:
    generator = torch.Generator().manual_seed(1)
    return build(ModelSpec("madry_cnn", 2), input_shape=(1, 28, 28), classes=10, generator=generator)


def test_gradients_have_the_layout_of_the_weights(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, y = batch
    master = _network()
    copy = SteeringCopy(master)
    cross_entropy(copy(x), y).mean().backward()
    copy.hand_over_gradients()
    for name, parameter in master.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.stride() == parameter.stride(), name


def test_fused_adam_moves_the_same_weights_as_plain_adam(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    """With a channels_last gradient it does not: the fused CPU kernel ignores strides."""
    x, y = batch
    results = []
    for fused in (True, False):
        master = _network()
        copy = SteeringCopy(master)
        optimiser = torch.optim.Adam(master.parameters(), lr=1e-2, fused=fused)
        cross_entropy(copy(x), y).mean().backward()
        copy.hand_over_gradients()
        optimiser.step()
        results.append([parameter.detach().clone() for parameter in master.parameters()])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_low_precision_gradients_point_where_full_precision_ones_do(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, y = batch
    full, low = _network(), _network()
    copy = SteeringCopy(low)
    cross_entropy(full(x), y).mean().backward()
    cross_entropy(copy(x), y).mean().backward()
    copy.hand_over_gradients()
    for (name, one), other in zip(full.named_parameters(), low.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        cosine = torch.nn.functional.cosine_similarity(one.grad.flatten(), other.grad.flatten(), dim=0)
        assert cosine > 0.98, f"{name}: cosine {cosine:.3f}"


# The choice ----------------------------------------------------------------------------------------------------

LAST = Arithmetic("float32", "channels_last")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[Arithmetic, float]:
    """Seconds of a pass in each arithmetic, in place of measured ones; nothing is remembered from other tests."""
    seconds = {PLAIN: 1.0, LAST: 1.0, LOW: 1.0}

    class Contestant:
        def __init__(self, model: torch.nn.Module, arithmetic: Arithmetic) -> None:
            self.arithmetic = arithmetic

        def seconds(self, x: torch.Tensor) -> float:
            return seconds[self.arithmetic]

    monkeypatch.setattr(precision, "_Contestant", Contestant)
    monkeypatch.setattr(precision, "_chosen", {})
    monkeypatch.delenv(ARITHMETIC, raising=False)
    return seconds


def choice(kind: str = "float32", passes: float = 1e6) -> Arithmetic:
    return fastest(_network(), torch.rand(60, 1, 28, 28), precision=kind, passes=passes)


@pytest.mark.parametrize(
    ("last", "low", "full", "search"),
    [(0.5, 0.3, LAST, LOW), (0.5, 0.9, LAST, LAST), (0.95, 2.0, PLAIN, LAST), (2.0, 0.5, PLAIN, LOW)],
)
def test_the_cheapest_allowed_arithmetic_is_taken(
    clock: dict[Arithmetic, float], last: float, low: float, full: Arithmetic, search: Arithmetic
) -> None:
    clock.update({LAST: last, LOW: low})
    assert choice() == full
    assert choice("bfloat16") == search


def test_a_gain_too_small_for_a_clock_changes_nothing(clock: dict[Arithmetic, float]) -> None:
    clock[LAST] = 0.91
    assert choice() == PLAIN


def test_short_work_is_done_as_usual(clock: dict[Arithmetic, float]) -> None:
    clock[LAST] = 0.1
    passes = 2 * precision.TRIAL_POINTS * precision.WORTH_SECONDS
    assert choice(passes=0.99 * passes) == PLAIN
    assert choice("bfloat16", passes=0.99 * passes) == LOW
    assert choice(passes=1.01 * passes) == LAST


def test_a_choice_holds_for_the_process(clock: dict[Arithmetic, float]) -> None:
    clock[LAST] = 0.1
    assert choice() == LAST
    clock[LAST] = 9.0
    assert choice() == LAST


def test_the_environment_decides_where_the_precision_allows_it(
    clock: dict[Arithmetic, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock[LAST] = 0.1
    monkeypatch.setenv(ARITHMETIC, "float32 contiguous")
    assert choice() == choice("bfloat16") == PLAIN
    monkeypatch.setenv(ARITHMETIC, "bfloat16 channels_last")
    assert choice() == PLAIN
    assert choice("bfloat16", passes=0) == LOW
    monkeypatch.setenv(ARITHMETIC, "usual")
    assert choice() == PLAIN
    assert choice("bfloat16") == LOW
    monkeypatch.setenv(ARITHMETIC, "float16 channels_last")
    with pytest.raises(RobustlibError, match=f"unknown {ARITHMETIC} 'float16 channels_last'"):
        choice()
    with pytest.raises(RobustlibError, match="unknown precision of a search 'float64'"):
        choice("float64")


def test_what_cannot_be_copied_or_is_no_image_steers_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ARITHMETIC)

    class Stubborn(torch.nn.Linear):
        def __deepcopy__(self, memo: object) -> object:
            raise TypeError("one of a kind")

    for network, x in ((Stubborn(4, 2), torch.rand(3, 4, 1, 1)), (torch.nn.Linear(4, 2), torch.rand(3, 4))):
        assert fastest(network, x, precision="float32", passes=1e9) == PLAIN
    assert fastest(_network().double(), torch.rand(3, 1, 28, 28).double(), precision="float32", passes=1e9) == PLAIN


@pytest.mark.parametrize("arithmetic", [LAST, LOW])
def test_a_copy_is_the_same_network(arithmetic: Arithmetic, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    master, (x, _) = _network().eval(), batch
    copy = in_arithmetic(master, arithmetic)
    assert copy is not None
    assert not copy.training
    near = 1e-5 if arithmetic.precision == "float32" else 0.05
    torch.testing.assert_close(copy(x), master(x), atol=near, rtol=near)
    assert in_arithmetic(master, PLAIN) is None


def test_a_real_trial_leaves_the_network_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_chosen", {})
    monkeypatch.delenv(ARITHMETIC)
    network = build(ModelSpec("resnet18", 2), input_shape=(3, 32, 32), classes=10, generator=torch.Generator()).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with noting() as used:
        found = fastest(network, torch.rand(4, 3, 32, 32), precision="bfloat16", passes=1e9)
    assert used == {str(found)}
    assert network.training
    assert all(value.requires_grad and value.grad is None for value in network.parameters())
    torch.testing.assert_close(network.state_dict(), before, atol=0, rtol=0)


# Where it is used ----------------------------------------------------------------------------------------------


def trained(defence: Defence, steps: int = 6, checkpoint: Path | None = None, stop_at: int = 0) -> Fit:
    digits = load("digits")
    spec = ModelSpec("madry_cnn" if isinstance(defence, PgdTraining) else "wong_conv", 2)
    model = build(spec, input_shape=(1, 8, 8), classes=10, generator=torch.Generator().manual_seed(0))
    calls = iter(range(1, steps + 1))
    return fit(
        model,
        digits.train,
        torch.arange(64),
        defence,
        Schedule(steps=steps, batch=16, lr=1e-3),
        seed=0,
        checkpoint=checkpoint,
        stop=lambda: next(calls) == stop_at,
    )


def test_a_training_takes_it_and_goes_on_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clock: dict[Arithmetic, float]
) -> None:
    defence, place = PgdTraining(LinfBall(0.1), steps=2, step_size=0.1), tmp_path / "a.checkpoint"
    assert trained(defence).arithmetic == str(PLAIN)
    monkeypatch.setattr(precision, "WORTH_SECONDS", 0.0)
    clock[LAST] = 0.1
    whole = trained(defence)
    assert whole.arithmetic == str(LAST)
    assert not trained(defence, checkpoint=place, stop_at=3).finished
    # On a machine that would choose otherwise the training goes on as it began.
    clock[LAST] = 9.0
    precision._chosen.clear()
    resumed = trained(defence, checkpoint=place)
    assert (resumed.arithmetic, resumed.loss) == (str(LAST), whole.loss)


def test_a_certified_training_runs_on_the_network_itself(
    monkeypatch: pytest.MonkeyPatch, clock: dict[Arithmetic, float]
) -> None:
    monkeypatch.setattr(precision, "WORTH_SECONDS", 0.0)
    clock[LAST] = 0.1
    assert trained(Certified(LinfBall(0.01), ramp=0.0), steps=2).arithmetic == str(PLAIN)


def test_an_evaluation_takes_it_and_the_network_itself_judges(
    monkeypatch: pytest.MonkeyPatch, clock: dict[Arithmetic, float]
) -> None:
    digits = load("digits")
    split = Split(digits.test.x[:40], digits.test.y[:40])
    model = build(ModelSpec("madry_cnn", 2), input_shape=(1, 8, 8), classes=10, generator=torch.Generator()).eval()
    steps: list[int] = []
    forward = SteeringCopy.forward
    monkeypatch.setattr(SteeringCopy, "forward", lambda copy, x: (steps.append(len(x)), forward(copy, x))[1])

    def standing() -> tuple[object, set[str], int]:
        steps.clear()
        with noting() as used:
            found = outcomes_under(model, split, torch.arange(40), Pgd(5, 0.05), LinfBall(0.2), name="a")
        return found.tolist(), used, len(steps)

    plain = standing()
    assert plain[1:] == ({str(PLAIN)}, 0)
    monkeypatch.setattr(precision, "WORTH_SECONDS", 0.0)
    clock[LAST] = 0.1
    steered = standing()
    assert steered[1] == {str(LAST)}
    assert steered[2] >= 5
    assert steered[0] == plain[0]


def test_records_without_it_stay_as_they_are(root: Path) -> None:
    from robustlib.spec.records import dumps, loads

    path = min((root / "results/quick").glob("*/clean-*.json"))
    text = path.read_text(encoding="utf-8")
    old = loads(text)
    assert old.arithmetic == {}
    assert dumps(old) == text
    new = replace(old, arithmetic={"search": [str(LAST)], "training": [str(PLAIN)]})
    assert loads(dumps(new)) == new


class _Mean(nn.Module):
    """Subtracts a running mean of its own, in place or as a new tensor, and a constant."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.in_place = in_place
        self.register_buffer("mean", torch.zeros(1, 4, 1, 1))
        self.register_buffer("constant", torch.full((1, 4, 1, 1), 0.1234567))
        self.register_buffer("none", None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            now = (0.9 * self.mean + 0.1 * x.detach().mean((0, 2, 3), keepdim=True)).to(self.mean.dtype)
            self.mean = self.mean.copy_(now) if self.in_place else now
        return x - self.mean - self.constant


@pytest.mark.parametrize("arithmetic", [LAST, LOW], ids=str)
@pytest.mark.parametrize("part", ["instance norm", "in place", "anew", "spectral norm"])
def test_buffers_that_training_moves_reach_the_network(arithmetic: Arithmetic, part: str) -> None:
    def network() -> nn.Module:
        torch.manual_seed(0)
        first: nn.Module = nn.Conv2d(1, 4, 3)
        middle = {"instance norm": lambda: nn.InstanceNorm2d(4, track_running_stats=True)}
        if part == "spectral norm":
            first = nn.utils.parametrizations.spectral_norm(first)
        last = middle.get(part, lambda: _Mean(part == "in place"))()
        return nn.Sequential(first, last, nn.Flatten(), nn.Linear(144, 10)).train()

    x = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    plain, master = network(), network()
    before = {name: value.clone() for name, value in master.named_buffers()}
    steered = SteeringCopy(master, arithmetic).train()
    for _ in range(3):
        plain(x)
        steered(x).sum().backward()
        steered.hand_over_gradients()
    for name, value in master.named_buffers():
        wanted = dict(plain.named_buffers())[name]
        assert value.dtype == wanted.dtype
        torch.testing.assert_close(value, wanted, rtol=0.05, atol=0.02)
        assert torch.equal(value, wanted) or not torch.equal(value, before[name]), name
    if "1.constant" in before:
        assert torch.equal(dict(master.named_buffers())["1.constant"], before["1.constant"])
