"""Measurements: fixed chunks, randomness that belongs to names, intervals, what a measurement refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robustlib.attacks.suite import Boundary, Clean, Fgsm, Noise, Pgd
from robustlib.data import Split
from robustlib.errors import RobustlibError
from robustlib.evaluate import chunk_generator, distances_under, final_losses, loss_traces, outcomes_under
from robustlib.evaluate import outcomes as evaluate
from robustlib.spec.measurement import share
from robustlib.spec.records import Metric
from robustlib.statistics import wilson
from robustlib.threat import L2Ball, LinfBall

CPU = torch.device("cpu")
BALL = LinfBall(0.1)
N = 40


class Threshold(nn.Module):
    """Two classes: the mean of an input is above one half or not."""

    def forward(self, x: Tensor) -> Tensor:
        score = 20 * (x.flatten(1).mean(1) - 0.5)
        return torch.stack([-score, score], 1)


@pytest.fixture(scope="module")
def split() -> Split:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (N, 1, 4, 4), generator=generator, dtype=torch.uint8)
    return Split(pixels, (pixels.float().flatten(1).mean(1) > 127.5).long())


@pytest.fixture
def model() -> nn.Module:
    return Threshold().eval()


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "CHUNK", 7)


ROWS = torch.arange(N)


def under(model: nn.Module, split: Split, rows: Tensor = ROWS, **changes: Any) -> np.ndarray:
    options: dict[str, Any] = {"attack": Noise(), "threat": LinfBall(0.2), "name": "a"} | changes
    attack, threat = options.pop("attack"), options.pop("threat")
    return outcomes_under(model, split, rows, attack, threat, **options)


# Outcomes -----------------------------------------------------------------------------------------------------


def test_outcomes_are_those_of_the_points_in_their_order(model: nn.Module, split: Split) -> None:
    wrong = Split(split.x, split.y.clone())
    wrong.y[3] = 1 - wrong.y[3]
    outcome = under(model, wrong, attack=Clean(), threat=None)
    assert outcome.dtype == bool
    assert np.flatnonzero(~outcome).tolist() == [3]
    assert under(model, wrong, torch.tensor([9, 3]), attack=Clean(), threat=None).tolist() == [True, False]


def test_an_attack_breaks_what_lies_near_the_boundary(model: nn.Module, split: Split) -> None:
    distance = (split.images().flatten(1).mean(1) - 0.5).abs().numpy()
    # Away from 0 and 1 the sign step moves the mean by eps; clipping can only make it less.
    outcome = under(model, split, attack=Fgsm(), threat=LinfBall(0.05))
    assert outcome[distance > 0.05].all()
    assert not outcome[distance < 0.03].any()


@pytest.mark.usefixtures("small_chunks")
def test_progress_changes_nothing_and_counts_points(model: nn.Module, split: Split) -> None:
    seen: list[tuple[int, int]] = []
    quiet, loud = under(model, split), under(model, split, progress=lambda *counts: seen.append(counts))
    np.testing.assert_array_equal(quiet, loud)
    assert seen == [(0, 40), (7, 40), (14, 40), (21, 40), (28, 40), (35, 40)]  # before each chunk


@pytest.mark.usefixtures("small_chunks")
def test_randomness_belongs_to_the_name(split: Split) -> None:
    seen: list[Tensor] = []

    class Watch(Threshold):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x)
            return super().forward(x)

    def points(name: str) -> Tensor:
        seen.clear()
        under(Watch().eval(), split, name=name)
        return torch.cat(seen)

    first = points("a")
    before = torch.random.get_rng_state()
    assert torch.equal(points("a"), first)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not torch.equal(points("b"), first)
    # Chunks draw for themselves: two chunks of equal points do not get equal noise.
    same = Split(split.x[:1].repeat(14, 1, 1, 1), split.y[:1].repeat(14))
    seen.clear()
    outcomes_under(Watch().eval(), same, torch.arange(14), Noise(), BALL, name="a")
    assert not torch.equal(seen[0], seen[1])


def test_generators_of_chunks_differ() -> None:
    seeds = {chunk_generator(name, index, CPU).initial_seed() for name in ("a", "b") for index in range(50)}
    assert len(seeds) == 100
    assert chunk_generator("a", 3, CPU).initial_seed() == chunk_generator("a", 3, CPU).initial_seed()


@pytest.mark.usefixtures("small_chunks")
def test_a_transfer_is_steered_by_its_source_and_judged_on_the_model(model: nn.Module, split: Split) -> None:
    class Reversed(Threshold):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).flip(1)

    strong = LinfBall(0.5)
    own = under(model, split, attack=Fgsm(), threat=strong)
    misled = under(model, split, attack=Fgsm(), threat=strong, source=Reversed().eval())
    assert own.sum() < misled.sum() == N
    np.testing.assert_array_equal(under(model, split, attack=Fgsm(), threat=strong, source=Threshold().eval()), own)


def test_low_precision_only_steers(split: Split) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).eval()
    attack = Pgd(3, 0.02)
    outcome = under(network, split, attack=attack, threat=BALL, search="bfloat16")
    # A point that falls in low precision would count as standing if it stands in float32: verdicts are float32.
    assert outcome.dtype == bool
    assert next(network.parameters()).dtype == torch.float32
    with pytest.raises(RobustlibError, match="precision of a search 'bf16'"):
        under(network, split, attack=attack, search="bf16")


def test_what_cannot_be_measured_is_said(model: nn.Module, split: Split) -> None:
    with pytest.raises(RobustlibError, match="threat is missing"):
        under(model, split, attack=Fgsm(), threat=None)
    with pytest.raises(RobustlibError, match="train mode"):
        under(model.train(), split)
    broken = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).eval()
    with torch.no_grad():
        broken[1].weight.fill_(torch.nan)
    with pytest.raises(RobustlibError, match="logits that are not finite under Clean"):
        under(broken, split, attack=Clean(), threat=None)


def test_no_points_are_no_outcomes(model: nn.Module, split: Split) -> None:
    nothing = torch.arange(0)
    assert under(model, split, nothing).shape == (0,)
    options: dict[str, Any] = {"norm": "linf", "domain": (0.0, 1.0), "name": "a"}
    assert distances_under(model, split, nothing, Boundary(3), **options).shape == (0,)


def test_the_interval_is_wilsons() -> None:
    outcome = np.arange(200) < 183
    assert share(outcome) == Metric(183 / 200, 200, *wilson(183, 200))
    assert share(np.ones(50, bool)) == Metric(1.0, 50, wilson(50, 50)[0], 1.0)


# Distances ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_distances_are_to_the_other_class(norm: str, model: nn.Module, split: Split) -> None:
    wrong = Split(split.x, split.y.clone())
    wrong.y[3] = 1 - wrong.y[3]
    options: dict[str, Any] = {"norm": norm, "domain": (0.0, 1.0), "name": "a"}
    distance = distances_under(model, wrong, ROWS, Boundary(50), **options)
    exact = (split.images().flatten(1).mean(1) - 0.5).abs().numpy() * (1 if norm == "linf" else 4)
    assert distance[3] == 0
    others = np.arange(N) != 3
    assert (distance[others] >= exact[others] - 1e-6).all()
    assert np.median(distance[others] / exact[others]) < 20
    np.testing.assert_array_equal(distance, distances_under(model, wrong, ROWS, Boundary(50), **options))


def test_boundary_attacks_need_a_domain(model: nn.Module, split: Split) -> None:
    with pytest.raises(RobustlibError, match="domain is missing for Boundary"):
        distances_under(model, split, ROWS, Boundary(2), norm="linf", domain=None, name="a")


def test_a_point_without_another_class_is_infinitely_far(split: Split) -> None:
    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.tensor([[5.0, 0.0]]).repeat(len(x), 1)

    zeros = Split(split.x, torch.zeros_like(split.y))
    distance = distances_under(Constant().eval(), zeros, ROWS, Boundary(2), norm="l2", domain=(0.0, 1.0), name="a")
    assert np.isinf(distance).all()


# Losses -------------------------------------------------------------------------------------------------------


def test_traces_begin_at_random_starts_and_repeat(model: nn.Module, split: Split) -> None:
    rows = torch.tensor([2, 5])
    options: dict[str, Any] = {"steps": 6, "step_size": 0.02, "runs": 3, "name": "a"}
    traces = loss_traces(model, split, rows, BALL, **options)
    assert traces.shape == (2, 3, 7)
    assert len(np.unique(traces[:, :, 0])) == 6
    assert (np.diff(traces, axis=2) >= -1e-6).all()  # on a linear model every step climbs
    np.testing.assert_array_equal(traces, loss_traces(model, split, rows, BALL, **options))
    assert not np.array_equal(traces, loss_traces(model, split, rows, BALL, **{**options, "name": "b"}))


@pytest.mark.usefixtures("small_chunks")
def test_final_losses_are_of_every_start(model: nn.Module, split: Split) -> None:
    rows, seen = torch.tensor([2, 5, 8]), []
    options: dict[str, Any] = {"steps": 3, "step_size": 0.02, "starts": 10, "name": "a"}
    losses = final_losses(model, split, rows, BALL, **options)
    assert losses.shape == (3, 10)
    assert losses.dtype == np.float32
    assert all(len(np.unique(row)) == 10 for row in losses)
    again = final_losses(model, split, rows, BALL, **options, progress=lambda *counts: seen.append(counts))
    np.testing.assert_array_equal(losses, again)
    assert seen == [(7, 30), (10, 30), (17, 30), (20, 30), (27, 30), (30, 30)]
    rough = final_losses(model, split, rows, BALL, **options, search="bfloat16")
    np.testing.assert_allclose(rough, losses, rtol=0.2)


def test_l2_measurements_stay_in_the_ball(model: nn.Module, split: Split) -> None:
    assert under(model, split, attack=Pgd(4, 0.2), threat=L2Ball(0.5)).shape == (N,)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (torch.tensor([N]), "the split has 40"),
        (torch.tensor([-1]), "from -1"),
        (torch.tensor([0.0]), "float32"),
        (torch.arange(N) < 3, "bool"),
    ],
    ids=str,
)
def test_rows_are_positions_in_the_split(model: nn.Module, split: Split, rows: Tensor, words: str) -> None:
    path: dict[str, Any] = {"steps": 2, "step_size": 0.1, "name": "a"}
    for call in (
        lambda: under(model, split, rows),
        lambda: distances_under(model, split, rows, Boundary(2), norm="l2", domain=(0.0, 1.0), name="a"),
        lambda: loss_traces(model, split, rows, BALL, runs=2, **path),
        lambda: final_losses(model, split, rows, BALL, starts=2, **path),
    ):
        with pytest.raises(RobustlibError, match=words):
            call()


def test_attacks_are_descriptions_and_no_rows_leave_no_traces(model: nn.Module, split: Split) -> None:
    with pytest.raises(RobustlibError, match="give a description"):
        under(model, split, attack="pgd")
    with pytest.raises(RobustlibError, match="give a Split"):
        under(model, (split.x, split.y))  # type: ignore[arg-type]
    nothing = loss_traces(model, split, ROWS[:0], BALL, steps=3, step_size=0.1, runs=2, name="a")
    assert nothing.shape == (0, 2, 4)
