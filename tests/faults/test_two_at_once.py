"""Interruptions and neighbours, with real processes: Ctrl-C in the middle of a training, two runs at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from robustlib.experiments.store import Store, weights_path
from robustlib.spec.keys import key
from robustlib.spec.records import read
from robustlib.training import Schedule
from tests.experiments.tiny import CLEAN, FGSM, NETWORK, PGD, accuracy, content, execute, one_thread

RUN = """
import json, os, sys, time
from pathlib import Path
from tests.experiments.tiny import execute
from tests.faults.test_two_at_once import EXPERIMENTS

folder, marker, wait_at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])

def tick(what, done, total):
    if what.startswith("train") and done == wait_at:
        print("waiting", flush=True)
        while not marker.exists():
            time.sleep(0.005)

print("ready", flush=True)
if wait_at == 0:
    while not marker.exists():
        time.sleep(0.005)
summary = execute(folder, *EXPERIMENTS, tick=tick)
print(json.dumps([[r.evaluation_key for r in summary.written], summary.present, summary.unfinished]))
"""
LONG = replace(NETWORK, schedule=Schedule(steps=100, batch=64, lr=5e-3))
EXPERIMENTS = [replace(evaluation, subject=LONG) for evaluation in (CLEAN, FGSM, PGD)] + [accuracy(NETWORK)]


def start(root: Path, folder: Path, marker: Path, wait_at: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder), str(marker), str(wait_at)],
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == word:
            return
    pytest.fail(f"the run ended before it said {word!r}: {process.stderr and process.stderr.read()}")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    with one_thread():
        written = execute(tmp_path_factory.mktemp("undisturbed"), *EXPERIMENTS).written
    return {record.evaluation_key: content(record) for record in written}


@dataclass(frozen=True)
class Ended:
    """A run that was stopped in the middle of its training."""

    folder: Path
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def ended(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """Two runs, at the same time to save time: one was told to stop, one was killed."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("interrupted", "killed")}
    processes = {name: start(root, folder, folder / "marker", 37) for name, folder in folders.items()}
    for name, process in processes.items():
        until(process, "waiting")
        process.send_signal(signal.SIGINT if name == "interrupted" else signal.SIGKILL)
        (folders[name] / "marker").touch()
    said = {name: process.communicate(timeout=240) for name, process in processes.items()}
    return {name: Ended(folders[name], process.returncode, *said[name]) for name, process in processes.items()}


def test_ctrl_c_in_a_training_leaves_a_checkpoint_and_no_trace(
    ended: dict[str, Ended], undisturbed: dict[str, object]
) -> None:
    run = ended["interrupted"]
    assert run.code not in (0, -signal.SIGINT), "the run did not stop"
    assert "stopping at the next checkpoint; Ctrl-C again stops at once" in run.out
    assert f"Interrupted: stopped; {len(EXPERIMENTS)} evaluations are left, run again to go on" in run.err
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


def test_two_runs_at_once_write_each_record_once_and_agree(
    root: Path, tmp_path: Path, undisturbed: dict[str, object]
) -> None:
    marker = tmp_path / "marker"
    processes = [start(root, tmp_path, marker, 0) for _ in range(2)]
    for process in processes:
        until(process, "ready")
    marker.touch()
    ends = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ends
    counts = [json.loads(out.splitlines()[-1]) for out, _ in ends]
    written = [name for names, _, _ in counts for name in names]
    assert sorted(written) == sorted(key(evaluation) for evaluation in EXPERIMENTS)
    assert [len(names) + present for names, present, _ in counts] == [len(EXPERIMENTS)] * 2
    store = Store(tmp_path)
    assert store.faults == {}
    assert {record.evaluation_key: content(record) for record in store.records()} == undisturbed
    left = [path for path in tmp_path.rglob("*") if path.is_file() and "results" in path.parts]
    assert len(left) == len(EXPERIMENTS)
    assert all(read(path) for path in left)
