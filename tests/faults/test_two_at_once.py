"""Interruptions and neighbours, with real processes: Ctrl-C in the middle of a training, two runs at once."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
import uuid
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from robustlib.experiments.store import Store, weights_path
from robustlib.spec.keys import key
from robustlib.spec.records import read
from robustlib.training import Schedule
from tests.experiments.tiny import CLEAN, FGSM, NETWORK, PGD, accuracy, content, execute, one_thread
from tests.processes import forked

LONG = replace(NETWORK, schedule=Schedule(steps=100, batch=64, lr=5e-3))
EXPERIMENTS = [replace(evaluation, subject=LONG) for evaluation in (CLEAN, FGSM, PGD)] + [accuracy(NETWORK)]


def work(folder: Path, marker: Path, wait_at: int, said: Path, answers: Connection) -> None:
    """In a process: run the experiments, but wait for the marker at a step of a training, or before all."""

    def wait(word: str) -> None:
        answers.send(word)
        while not marker.exists():
            time.sleep(0.005)

    def tick(what: str, done: int, total: int) -> None:
        if what.startswith("train") and done == wait_at:
            wait("waiting")

    with said.open("w", encoding="utf-8") as sys.stdout, one_thread():
        sys.stderr = sys.stdout
        try:
            if wait_at == 0:
                wait("ready")
            summary = execute(folder, *EXPERIMENTS, tick=tick)
            answers.send(([record.evaluation_key for record in summary.written], summary.present))
        except BaseException:
            traceback.print_exc()
            sys.exit(1)


class Started:
    """A process at work, and what it has to say."""

    def __init__(self, folder: Path, marker: Path, wait_at: int) -> None:
        self.said = folder / f"said-{uuid.uuid4().hex}"
        self._answers, theirs = forked().Pipe()
        self.process = forked().Process(target=work, args=(folder, marker, wait_at, self.said, theirs))
        self.process.start()
        theirs.close()

    def answer(self) -> Any:
        assert self._answers.poll(240), "it does not answer"
        try:
            return self._answers.recv()
        except EOFError:
            pytest.fail(f"the run ended before it said a word: {self.said.read_text(encoding='utf-8')}")

    def end(self) -> tuple[int | None, str]:
        """Its exit code and what it printed."""
        self.process.join(240)
        return self.process.exitcode, self.said.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    with one_thread():
        written = execute(tmp_path_factory.mktemp("undisturbed"), *EXPERIMENTS).written
    return {record.evaluation_key: content(record) for record in written}


@dataclass(frozen=True)
class Ended:
    """A run that was stopped in the middle of its training."""

    folder: Path
    code: int | None
    said: str


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """Two runs, at the same time to save time: one was told to stop, one was killed."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("interrupted", "killed")}
    runs = {name: Started(folder, folder / "marker", 37) for name, folder in folders.items()}
    for name, run in runs.items():
        assert run.answer() == "waiting"
        os.kill(run.process.pid or 0, signal.SIGINT if name == "interrupted" else signal.SIGKILL)
        (folders[name] / "marker").touch()
    return {name: Ended(folders[name], *run.end()) for name, run in runs.items()}


def test_ctrl_c_in_a_training_leaves_a_checkpoint_and_no_trace(
    ended: dict[str, Ended], undisturbed: dict[str, object]
) -> None:
    run = ended["interrupted"]
    assert run.code == 1, "the run did not stop"
    assert "stopping at the next checkpoint; Ctrl-C again stops at once" in run.said
    assert f"Interrupted: stopped; {len(EXPERIMENTS)} evaluations are left, run again to go on" in run.said
    checkpoint = weights_path(run.folder / "networks", LONG).with_suffix(".checkpoint")
    assert checkpoint.exists()
    assert not any(run.folder.glob("results/*/*/*"))
    with one_thread():
        summary = execute(run.folder, *EXPERIMENTS)
    assert not checkpoint.exists()
    assert {record.evaluation_key: content(record) for record in summary.written} == undisturbed


def test_a_killed_run_is_made_good_by_the_next(ended: dict[str, Ended], undisturbed: dict[str, object]) -> None:
    run = ended["killed"]
    assert run.code == -signal.SIGKILL
    with one_thread():
        summary = execute(run.folder, *EXPERIMENTS)
    assert {record.evaluation_key: content(record) for record in summary.written} == undisturbed
    assert Store(run.folder).faults == {}


def test_two_runs_at_once_write_each_record_once_and_agree(tmp_path: Path, undisturbed: dict[str, object]) -> None:
    marker = tmp_path / "marker"
    runs = [Started(tmp_path, marker, 0) for _ in range(2)]
    assert [run.answer() for run in runs] == ["ready"] * 2
    marker.touch()
    counts = [run.answer() for run in runs]
    assert [run.end() for run in runs] == [(0, "")] * 2
    written = [name for names, _ in counts for name in names]
    assert sorted(written) == sorted(key(evaluation) for evaluation in EXPERIMENTS)
    assert [len(names) + present for names, present in counts] == [len(EXPERIMENTS)] * 2
    store = Store(tmp_path)
    assert store.faults == {}
    assert {record.evaluation_key: content(record) for record in store.records()} == undisturbed
    left = [path for path in tmp_path.rglob("*") if path.is_file() and "results" in path.parts]
    assert len(left) == len(EXPERIMENTS)
    assert all(read(path) for path in left)
