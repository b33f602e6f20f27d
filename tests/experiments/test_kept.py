"""Evaluations in slots: each goes on where the last one stopped, and what they find is what one run finds."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robustlib.attacks.suite import Clean, Fgsm, Pgd
from robustlib.evaluate import kept, outcomes
from robustlib.evaluate.accuracy import Attacked
from robustlib.evaluate.bracket import Bracket
from robustlib.evaluate.exact import Exact
from robustlib.evaluate.kept import Kept, keep
from robustlib.evaluate.suite_accuracy import WorstCase
from robustlib.experiments.exchange import collect, copying
from robustlib.experiments.runner import Interrupted, Summary
from robustlib.experiments.store import Store
from robustlib.interrupt import Stopped
from robustlib.models import ModelSpec
from robustlib.spec.evaluation import Evaluation, Subset
from robustlib.spec.keys import key
from robustlib.threat import LinfBall
from tests.experiments.tiny import BALL, DISTANCES, MAXIMA, NETWORK, PGD, TRANSFER, Made, content, execute

SMALL = replace(NETWORK, model=ModelSpec("wong_dense", width=10))
FEW = Subset(n=40)
WORST = Evaluation(NETWORK, WorstCase(BALL, steps=2, queries=5, target_classes=1), FEW)
BOTH = Evaluation(SMALL, Bracket(LinfBall(0.01), Fgsm(), Pgd(2, 0.005)), FEW)
SOLVED = Evaluation(SMALL, Exact(LinfBall(0.05), Pgd(2, 0.02), 20), FEW)
TWO = Evaluation(NETWORK, Attacked((Clean(), Fgsm()), BALL), FEW)
IN_PARTS = (PGD, TRANSFER, DISTANCES, MAXIMA, WORST, BOTH, SOLVED, TWO)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "CHUNK", 7)


@pytest.fixture
def folder(made: Made, tmp_path: Path) -> Path:
    """Networks, and no record."""
    shutil.copytree(made.folder / "networks", tmp_path / "networks")
    return tmp_path


@pytest.fixture
def one_chunk_a_slot(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Has Ctrl-C come in every chunk; the names of all chunks that were made."""
    made: list[str] = []
    real = Kept.of

    def interrupted(self: Kept, name: str, work: Callable[[], np.ndarray]) -> np.ndarray:
        def noted() -> np.ndarray:
            made.append(name)
            found = work()
            os.kill(os.getpid(), signal.SIGINT)
            return found

        return real(self, name, noted)

    monkeypatch.setattr(Kept, "of", interrupted)
    return made


def slot(folder: Path, evaluation: Evaluation, **options: Any) -> Summary:
    """One run, which may end by Ctrl-C."""
    try:
        return execute(folder, evaluation, **options)
    except Interrupted as stopped:
        return stopped.summary


@pytest.mark.parametrize("evaluation", IN_PARTS, ids=lambda evaluation: evaluation.name)
def test_slots_of_one_chunk_find_what_one_run_finds(
    evaluation: Evaluation, folder: Path, request: pytest.FixtureRequest
) -> None:
    (whole,) = execute(folder, evaluation).written
    shutil.rmtree(folder / "results")
    chunks = request.getfixturevalue("one_chunk_a_slot")
    part = folder / "networks" / f"{key(evaluation)}.part"
    slots = 1
    while not (summary := slot(folder, evaluation)).written:
        assert (summary.unfinished, summary.failed, part.exists()) == (1, [], True)
        slots += 1
    assert len(chunks) == len(set(chunks)) == slots
    assert slots > 1
    assert not part.exists()
    (record,) = summary.written
    *findings, last = record.findings
    assert last.startswith(f"measured in {slots} runs: {record.device}, {record.commit[:8]}, ")
    assert content(replace(record, findings=findings)) == content(whole)


def test_the_time_of_all_slots_counts(
    folder: Path, one_chunk_a_slot: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Kept.save

    def slow(self: Kept) -> None:
        slot = self.slot()
        self.slot = lambda: slot | {"device": f"device {len(self.slots)}", "wall_s": 100.0, "cpu_s": 10.0}
        real(self)

    monkeypatch.setattr(Kept, "save", slow)
    while not (summary := slot(folder, PGD)).written:
        pass
    (record,) = summary.written
    earlier = len(one_chunk_a_slot) - 1
    assert earlier * 100 <= record.wall_s < earlier * 100 + 50
    assert earlier * 10 <= record.cpu_s < earlier * 10 + 5
    assert record.device.split(", ")[:earlier] == [f"device {i}" for i in range(earlier)]


def test_measuring_again_and_other_weights_begin_anew(folder: Path, one_chunk_a_slot: list[str]) -> None:
    slot(folder, PGD)
    slot(folder, PGD)
    assert len(set(one_chunk_a_slot)) == 2
    path = folder / "networks" / f"{key(PGD)}.part"
    other = Kept(path, {"evaluation": key(PGD), "weights": "others"}, stop=lambda: False, slot=dict)
    assert (other.slots, other._done) == ([], {})
    slot(folder, PGD, recompute=True)
    assert len(one_chunk_a_slot) == 3
    assert len(set(one_chunk_a_slot)) == 2
    path.write_bytes(b"half a file")
    slot(folder, PGD)
    assert len(set(one_chunk_a_slot)) == 2


def test_what_takes_little_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "some.part"
    mine = Kept(path, {}, stop=lambda: False, slot=dict)
    with mine.used():
        assert keep(lambda: np.arange(3), "a name", 1).tolist() == [0, 1, 2]
        assert not path.exists()
        monkeypatch.setattr(kept, "UNSAVED_SECONDS", -1.0)
        keep(lambda: np.arange(4), "a name", 2)
        assert path.exists()
        assert keep(lambda: np.zeros(0), "a name", 1).tolist() == [0, 1, 2]
    again = Kept(path, {}, stop=lambda: True, slot=dict)
    with again.used():
        assert len(keep(lambda: np.zeros(0), "a name", 2)) == 4
        with pytest.raises(Stopped, match="stopped after 2 parts"):
            keep(lambda: np.zeros(0), "another name", 2)
    assert keep(lambda: np.ones(1), "another name", 2).tolist() == [1.0]


@pytest.mark.usefixtures("one_chunk_a_slot")
def test_it_travels_as_a_checkpoint_does(folder: Path, tmp_path: Path) -> None:
    cache, out, home = folder / "networks", tmp_path / "out", tmp_path / "home"
    name = f"{key(PGD)}.part"

    def copied() -> None:
        with copying(out, folder, cache, every=60):
            slot(folder, PGD)

    copied()
    assert f"networks/{name}" in collect(out, home, home / "networks").filed
    first = (home / "networks" / name).read_bytes()
    copied()
    collect(out, home, home / "networks")
    second = (home / "networks" / name).read_bytes()
    assert len(second) > len(first)
    (out / "networks" / name).write_bytes(first)
    collect(out, home, home / "networks")
    assert (home / "networks" / name).read_bytes() == second
    (out / "networks" / name).write_bytes(b"nothing")
    assert any("it is no part of an evaluation" in line for line in collect(out, home, home / "networks").refused)
    while Store(folder).find(PGD, "smoke") is None:
        copied()
    assert not (out / "networks" / name).exists()
