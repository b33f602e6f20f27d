"""The benchmark's own machinery, on toy contestants; no other library is needed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks import attacks, campaign, certify, peers, report, rounds, training, works
from benchmarks.works import THREAT, Work
from robustlib.catalogue import plan
from robustlib.catalogue.base import find_item
from robustlib.certify import margins
from robustlib.environment import repository
from robustlib.errors import RobustlibError
from robustlib.evaluate.kept import Kept
from robustlib.experiments.store import Store
from robustlib.spec.keys import key
from robustlib.threat import LinfBall
from robustlib.training import Defence, PgdTraining, Trades, objective
from tests.experiments.tiny import CLEAN, PGD, file, jobs

SEEN = ("work", "library", "ratio_to_floor", "robust_accuracy", "mean_distance")


@pytest.fixture
def at() -> attacks.Setting:
    """Ten points of two features at 0.5; class 0 below a first feature of 0.6, class 1 above; one label is wrong."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))
        model[1].bias.copy_(torch.tensor([0.6, -0.6]))
    y = torch.zeros(10, dtype=torch.int64)
    y[9] = 1
    return attacks.Setting(model.eval(), torch.full((10, 1, 1, 2), 0.5), y, 1 - y)


def _moved(by: float) -> peers.Attack:
    def attack(x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        x_adv = x.clone()
        x_adv[..., 0] += by
        return x_adv

    return attack


def _rows(at: attacks.Setting, contestants: dict[str, peers.Attack], **settings: object) -> dict[str, dict]:
    work = Work("toy", 2, lambda model: contestants, **settings)  # type: ignore[arg-type]
    found = attacks.measure(work, at, rounds=2)
    assert json.loads(json.dumps(found)) == found
    assert all(set(SEEN) <= set(row) for row in found)
    return {row["library"]: row for row in found}


def test_rounds_divide_by_the_floor_of_the_same_round(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, calls = [0.0], []
    monkeypatch.setattr(rounds.time, "process_time", lambda: clock[0])

    def worker(name: str, cost: float):
        def work(block: int) -> int:
            calls.append(name)
            clock[0] += cost * block
            return block

        return work

    contestants = {"floor": worker("floor", 1.0), "slow": worker("slow", 3.0), "once": worker("once", 2.0)}
    found = rounds.interleave(contestants, [1, 10, 100], floor="floor", warm_up=1, limits={"once": 1})
    assert found["slow"].ratios == [3.0, 3.0, 3.0]
    assert found["floor"].ratio == 1.0
    assert found["once"].results == [1], "a slow contestant takes part in the first rounds alone"
    assert found["slow"].results == [1, 10, 100]
    assert calls == ["floor", "slow", "once", "floor", "slow", "once", "slow", "floor", "floor", "slow"]


def test_rows_count_what_was_broken_inside_the_ball(at: attacks.Setting) -> None:
    rows = _rows(at, {"robustlib": _moved(0.2), "weak": _moved(0.05), "outside": _moved(0.4)})
    assert rows["floor"]["ratio_to_floor"] == 1.0
    assert rows["floor"]["robust_accuracy"] is None
    # The point whose label is wrong to begin with turns right when it is moved.
    assert (rows["robustlib"]["robust_accuracy"], rows["robustlib"]["success"]) == (0.1, 1.0)
    assert rows["robustlib"]["mean_distance"] == pytest.approx(0.2, abs=1e-4)
    assert (rows["weak"]["robust_accuracy"], rows["weak"]["success"]) == (0.9, 0.0)
    assert rows["weak"]["mean_distance"] is None
    assert (rows["outside"]["robust_accuracy"], rows["outside"]["success"]) == (0.9, 0.0)
    # Nine points fall to the one and not to the other, the tenth the other way round.
    assert (rows["weak"]["robustlib_higher_by"], rows["weak"]["noise"]) == (-0.8, pytest.approx(0.3162, abs=1e-4))
    assert all(row["points"] == 10 and row["rounds"] == 2 for row in rows.values())


def test_distances_are_compared_on_the_same_points(at: attacks.Setting) -> None:
    def half(x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        x_adv = _moved(0.3)(x, y, target)
        x_adv[::2] = x[::2]
        return x_adv

    rows = _rows(at, {"robustlib": _moved(0.15), "half": half}, threat=None, norm="l2")
    assert rows["half"]["success"] == pytest.approx(4 / 9, abs=1e-4)
    assert rows["half"]["mean_distance"] == pytest.approx(0.3, abs=1e-4)
    assert rows["half"]["robustlib_there"] == pytest.approx(0.15, abs=1e-4)
    with pytest.raises(RobustlibError, match="left the domain"):
        _rows(at, {"robustlib": _moved(0.6)}, threat=None, norm="l2")


def test_a_targeted_success_is_the_target(at: attacks.Setting) -> None:
    rows = _rows(at, {"robustlib": _moved(0.2), "still": _moved(0.0)}, threat=None, norm="l0", targeted=True)
    # The tenth point is its target to begin with.
    assert rows["robustlib"]["success"] == 1.0
    assert rows["robustlib"]["mean_distance"] == 1.0
    assert rows["still"]["success"] == 0.0


def test_rounds_must_divide_the_points(at: attacks.Setting) -> None:
    with pytest.raises(RobustlibError, match="rounds=3"):
        attacks.measure(Work("toy", 1, lambda model: {}), at, rounds=3)


def test_later_restarts_see_only_what_stands(at: attacks.Setting) -> None:
    sizes = []

    def half(x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        sizes.append(len(x))
        x_adv = _moved(0.2)(x, y, target)
        x_adv[len(x) // 2 :] = x[len(x) // 2 :]
        return x_adv

    nine = at.x[:9], at.y[:9], at.target[:9]
    x_adv = peers.restarted(half, at.model, 3)(*nine)
    assert sizes == [9, 5, 3]
    assert (at.model(x_adv).argmax(1) != nine[1]).sum() == 7


def test_every_work_of_the_issue_is_there() -> None:
    assert {
        "FGSM",
        "PGD-40",
        "PGD-40 x 20 restarts",
        "MI-FGSM-20",
        "APGD-40",
        "C&W l2, 40 steps",
        "DeepFool l2",
        "JSMA",
    } <= set(works.WORKS)
    for work in works.WORKS.values():
        assert work.points % work.rounds == 0
        assert work.threat in (None, THREAT)


def test_kept_rows_replace_those_of_the_same_work_and_machine(tmp_path: Path) -> None:
    old = {"work": "A", "library": "x", "ratio_to_floor": 2.0, "device": "d", "torch": "t", "rounds": 3}
    report.keep([old, old | {"work": "B"}], tmp_path)
    report.keep([old | {"ratio_to_floor": 1.5}, old | {"device": "e", "ratio_to_floor": 1.0}], tmp_path)
    kept = json.loads((tmp_path / "attacks.json").read_text())
    assert [(row["work"], row["device"], row["ratio_to_floor"]) for row in kept] == [
        ("B", "d", 2.0),
        ("A", "d", 1.5),
        ("A", "e", 1.0),
    ]
    text = (tmp_path / "attacks.md").read_text()
    assert "| x | 1.5 |" in text
    assert "robust_accuracy" not in text, "columns that no row has are left out"


def test_bad_arguments_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert attacks.main(["--work", "PGD-41", "--json"]) == 2
    assert "PGD-40" in capsys.readouterr().err


def test_a_missing_library_is_named() -> None:
    with pytest.raises(RobustlibError, match="no_such_library is not installed"):
        peers._library("no_such_library")


# Certificates ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two noise images a round, a tiny network, and our own bound in the other library's place."""
    tiny = [replace(work, sizes=(1, 2, 3), batch=2, rounds=2) for work in certify.WORKS]
    monkeypatch.setattr(certify, "WORKS", tuple(tiny))
    noise = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(certify, "batches", lambda work: [(noise, torch.tensor([0, 1]))] * work.rounds)
    monkeypatch.setattr(certify, "peak", lambda name, library: {"robustlib": 20.0}.get(library, 80.0))
    ours = SimpleNamespace(RobustBounds=lambda model, eps, **estimate: lambda x, y: -margins(model, x, y, certify.BALL))
    monkeypatch.setattr(certify, "_library", lambda name: ours)
    monkeypatch.setattr(certify, "ALONE", {})


def test_growth_is_the_slope_of_log_time_over_log_units() -> None:
    measured = [{"milliseconds": 7e-3 * units**1.5} for units in certify.WIDE]
    assert certify.exponent(measured) == pytest.approx(1.5)


def test_certificates_are_rows_with_the_peer_as_one(small_works: None) -> None:
    found = certify.rows()
    by = {(row["work"], row["library"]): row for row in found}
    for work in certify.WORKS:
        assert by[work.name, certify.PEER]["ratio"] == 1.0
        assert by[work.name, "robustlib"]["ratio"] > 0
        # What takes the time is said of bounds alone: a step's time goes into gradients as well.
        assert ("products" in by[work.name, "robustlib"]) == work.name.startswith("exact bounds")
        assert 0 < by[work.name, "robustlib"].get("products", 0.5) < 1
    for work in certify.WORKS[:2]:
        assert by[work.name, "robustlib"]["peak_ratio"] == 0.25
    assert by[certify.GROWTH, certify.PEER]["ratio"] == 1.0
    assert by[certify.RESIDUAL, "robustlib"]["peak_mb"] == 20
    assert (certify.RESIDUAL, certify.PEER) not in by
    # What was asked stands beside every row that it is asked of, and no other.
    lines = certify.table(found).splitlines()
    for work, goals in certify.ASKED.items():
        (line,) = (line for line in lines if line.startswith(f"| {work} | robustlib |"))
        assert all(f"| {goal} |" in line for goal in goals.values()), work
    assert certify.table(found).count("\n") == len(found) + 2


def test_bounds_that_differ_stop_the_benchmark(small_works: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def off(model: nn.Module, eps: float, **estimate: Any) -> Any:
        return lambda x, y: 1 - margins(model, x, y, certify.BALL)

    other = SimpleNamespace(RobustBounds=off)
    monkeypatch.setattr(certify, "_library", lambda name: other)
    with pytest.raises(RobustlibError, match="robustlib is off by 1"):
        certify.rows()


def test_certificates_without_the_other_library(
    small_works: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert certify.main(["--library", "robustlib", "--json", "--out", str(tmp_path)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "certify.json").read_text())
    assert {row["library"] for row in printed} == {"robustlib"}
    assert "| robustlib | 1.0 |" in (tmp_path / "certify.md").read_text()


@pytest.mark.parametrize("method", ["TRADES", "PGD"])
def test_the_published_loop_computes_what_ours_does(method: str) -> None:
    """On a linear model, whose worst point does not depend on the start when steps reach the corner of the ball."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).train()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        model[1].weight.copy_(torch.randn(2, 4, generator=generator))
    x, y = 0.4 + 0.2 * torch.rand(20, 1, 2, 2, generator=generator), torch.zeros(20, dtype=torch.int64)
    ball = LinfBall(0.1)
    if method == "TRADES":
        theirs = peers.published_trades(model, x, y, eps=0.1, alpha=0.05, steps=20)
        defence: Defence = Trades(ball, 20, 0.05, beta=6.0)
    else:
        theirs = peers.published_pgd(model, x, y, eps=0.1, alpha=0.05, steps=20)
        defence = PgdTraining(ball, 20, 0.05)
    ours = objective(defence, model, x, y, progress=1.0, generator=generator)[0].mean()
    if method == "PGD":
        assert float(ours.detach()) == pytest.approx(float(theirs.detach()), rel=1e-5)
    else:
        # KL is larger towards one side of x: which of the two maxima is found depends on the noise.
        assert float(ours.detach()) == pytest.approx(float(theirs.detach()), rel=0.2)
        assert float(theirs.detach()) > 1.2 * float(nn.functional.cross_entropy(model(x), y).detach())


def test_rows_of_a_training_step_name_their_contestants() -> None:
    # The third needs torchattacks, which only the environment of the benchmarks has.
    for contest in training.contests()[:2]:
        found = training.rows(contest, 1, batch=2)
        assert [row["library"] for row in found] == ["floor", "robustlib", "robustlib, bfloat16", contest.library]
        assert found[0]["ratio_to_floor"] == 1
        assert all(row["work"] == contest.work and row["ratio_to_floor"] > 0 for row in found)


def test_evaluations_that_are_half_done_travel_with_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = campaign.Task("smoke", "*", "*", "a test")
    monkeypatch.setattr(campaign, "tasks", lambda: [task])
    monkeypatch.setattr(campaign, "parts", lambda task: [campaign.Part(task, "some", tuple(jobs(CLEAN, PGD)))])
    root, here, there = tmp_path / "root", tmp_path / "here", tmp_path / "there"
    for evaluation in (CLEAN, PGD):
        half = Kept(here / f"{key(evaluation)}.part", {}, stop=lambda: False, slot=dict)
        half.of("a chunk", lambda: np.ones(3))
        half.save()
    for name, size, seconds in (("a", 1, 9_000.0), ("b", campaign.LARGEST, 9_000.0), ("c", 1, 60.0)):
        half_trained = {"step": 3, "cpu_seconds": seconds, "weights": torch.zeros(size, dtype=torch.uint8)}
        torch.save(half_trained, here / f"{name}.checkpoint")
    campaign.keep(root, here)
    for _ in range(2):
        campaign.work(root, there, 0)
        found = sorted(path.name for path in there.iterdir())
        assert found == sorted(["a.checkpoint", *(f"{key(evaluation)}.part" for evaluation in (CLEAN, PGD))])
    file(root, PGD, "smoke")
    (here / f"{key(PGD)}.part").unlink()
    (here / "a.checkpoint").rename(here / "a.safetensors")
    campaign.keep(root, here)
    assert [path.stem for path in (root / campaign.PARTS).iterdir()] == [key(CLEAN)]


def test_numbers_without_a_verdict_are_offered_with_what_they_lack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign, "items", lambda: [find_item("wong2018/table-1/har")])
    assert campaign.offers(Store(repository())) == []
    found = campaign.offers(Store(tmp_path))
    numbers = [cell for cell in plan.cells_of("wong2018/table-1/har") if cell.published]
    assert {number for offer in found for number in offer.numbers} == {(c.item, c.row, c.column) for c in numbers}
    assert [offer.minutes_each for offer in found] == sorted(offer.minutes_each for offer in found)
    for offer in found:
        assert offer.minutes_each > 0
        assert {evaluation.subject.seed for evaluation in offer.evaluations} == {0, 1, 2}
