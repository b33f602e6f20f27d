"""Interruptions and neighbours, with real processes: Ctrl-C in the middle of a training, two runs at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from robustlib.experiments.keys import key
from robustlib.experiments.records import read
from robustlib.experiments.store import Store, weights_path
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
        cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


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


def test_ctrl_c_in_a_training_leaves_a_checkpoint_and_no_trace(
    root: Path, tmp_path: Path, undisturbed: dict[str, object]
) -> None:
    marker = tmp_path / "marker"
    process = start(root, tmp_path, marker, 37)
    until(process, "waiting")
    process.send_signal(signal.SIGINT)
    marker.touch()
    out, err = process.communicate(timeout=120)
    assert process.returncode not in (0, -signal.SIGINT), "the run did not stop"
    assert "stopping at the next checkpoint; Ctrl-C again stops at once" in out
    assert f"KeyboardInterrupt: stopped; {len(EXPERIMENTS)} evaluations are left, run again to go on" in err
    assert weights_path(tmp_path / "networks", LONG).with_suffix(".checkpoint").exists()
    assert not any(tmp_path.glob("results/*/*/*"))
    with one_thread():
        summary = execute(tmp_path, *EXPERIMENTS)
    assert {record.evaluation_key: content(record) for record in summary.written} == undisturbed


def test_a_killed_run_costs_what_came_after_its_last_record(
    root: Path, tmp_path: Path, undisturbed: dict[str, object]
) -> None:
    process = start(root, tmp_path, tmp_path / "never", 37)
    until(process, "waiting")
    process.kill()
    process.communicate(timeout=120)
    with one_thread():
        summary = execute(tmp_path, *EXPERIMENTS)
    assert {record.evaluation_key: content(record) for record in summary.written} == undisturbed
    assert Store(tmp_path).faults == {}


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
