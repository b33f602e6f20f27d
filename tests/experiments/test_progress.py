"""What a run says while it runs: counts, time to go, lines in a log, the table in a terminal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from robustlib.experiments.cost import evaluation_seconds, training_seconds
from robustlib.experiments.forecast import estimates
from robustlib.experiments.progress import Board, duration, label
from tests.experiments.tiny import CLEAN, FGSM, NETWORK, TRANSFER, execute

TRAIN, MEASURE = label(NETWORK), label(CLEAN)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_estimates_name_every_training_once_and_every_measurement() -> None:
    found = estimates([CLEAN, FGSM, TRANSFER], "cpu")
    assert found[TRAIN] == training_seconds(NETWORK, "cpu")
    assert found[MEASURE] == evaluation_seconds(CLEAN, "cpu")
    assert len(found) == 5  # the transfer's source is trained too


def test_time_to_go_follows_the_pace_and_not_the_estimate_alone() -> None:
    clock = Clock()
    board = Board({TRAIN: 60.0, MEASURE: 40.0}, live=False, clock=clock)
    assert board.to_go() == ", about 2 min to go in all"  # nothing is known but the estimate
    clock.now = 90
    board.tick(TRAIN, 30, 60)  # three times slower than thought
    assert board.to_go() == f", about {duration(70 * 3)} to go in all"
    board.tick(TRAIN, 60, 60)
    board.tick(MEASURE, 1, 1)
    assert board.to_go() == ""


def test_a_network_that_was_found_is_not_waited_for() -> None:
    clock = Clock()
    board = Board({TRAIN: 1000.0, MEASURE: 10.0, label(FGSM): 10.0}, live=False, clock=clock)
    clock.now = 10
    board.tick(MEASURE, 1, 1)
    board.tick(TRAIN, 60, 60)  # as a run says of it
    assert board.to_go() == ", about 0 s to go in all"  # 1,010 of 1,020 estimated seconds are behind


def test_a_log_has_a_line_every_half_minute_of_a_job(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    board = Board({TRAIN: 100.0, MEASURE: 10.0}, live=False, clock=clock)
    for second in range(0, 100, 5):
        clock.now = float(second)
        board.tick(TRAIN, second, 100)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1].split(",")[0] for line in lines] == [" 35 of 100", " 70 of 100"]
    assert all("to go" in line for line in lines)


def test_a_terminal_has_a_bar_for_each_running_job_and_one_for_all(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rich")
    board = Board({TRAIN: 1.0, MEASURE: 1.0, label(FGSM): 1.0}, live=True)
    with board.shown():
        board.tick(TRAIN, 30, 60)
        board.tick(MEASURE, 1, 2)
        board.tick(MEASURE, 1, 1)
        board.say("a line that stays")
        shown = {task.description.partition(",")[0]: (task.completed, task.total) for task in board._bars.tasks}
    assert shown == {"evaluations": (1, 2), TRAIN: (30, 60)}
    assert "a line that stays, about" in capsys.readouterr().out


def test_a_bar_is_drawn_at_most_four_times_a_second_and_at_once_when_it_ends() -> None:
    pytest.importorskip("rich")
    clock = Clock()
    board = Board({TRAIN: 1.0, MEASURE: 1.0}, live=True, clock=clock)
    seen = []
    with board.shown():
        for step in range(1, 11):
            clock.now = step / 20
            board.tick(TRAIN, step, 100)
            seen.append(next(task.completed for task in board._bars.tasks if task.description == TRAIN))
        board.tick(TRAIN, 100, 100)
        assert [task.description for task in board._bars.tasks if task.description == TRAIN] == []
    assert seen == [1, 1, 1, 1, 1, 1, 7, 7, 7, 7]


def test_without_rich_there_are_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    clock = Clock()
    board = Board({TRAIN: 100.0}, live=True, clock=clock)
    with board.shown():
        clock.now = 31
        board.tick(TRAIN, 31, 100)
    assert capsys.readouterr().err.startswith(f"  {TRAIN}: 31 of 100, about")


def test_a_run_reports_trainings_and_measurements_to_their_end(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    execute(tmp_path, CLEAN, FGSM, tick=lambda *event: told.append(event))
    last = {what: (done, total) for what, done, total in told}
    assert last == {TRAIN: (60, 60), MEASURE: (1, 1), label(FGSM): (1, 1)}
    again: list[tuple[str, int, int]] = []
    execute(tmp_path, CLEAN, recompute=False, cache=tmp_path / "networks", tick=lambda *event: again.append(event))
    assert again == []


BARE = """
import sys
for name in {missing!r}:
    sys.modules[name] = None
from robustlib.cli import main
for arguments in (["run", "madry2018/table-1", "--profile", "smoke", "--dry-run"],
                  ["run", "madry2018/table-1", "--profile", "smoke", "--device", "cpu", "--time-budget", "0",
                   "--recompute", "--cache", {folder!r}, "--out", {folder!r}], ["items"]):
    if (code := main(["--root", {root!r}, *arguments])):
        sys.exit(code)
sys.exit(main(["--root", {root!r}, "run", "madry2018/loss-during-pgd/mnist", "--profile", "smoke", "--device", "cpu",
               "--time-budget", "30", "--out", {folder!r}, "--cache", {folder!r}]))
"""


def test_the_runner_needs_nothing_that_a_bare_gpu_machine_lacks(root: Path, tmp_path: Path) -> None:
    missing = {
        "tqdm",
        "rich",
        "distributed",
        "dask",
        "matplotlib",
        "seaborn",
        "torchvision",
        "pooch",
        "IPython",
        "papermill",
        "jupytext",
        "jupyter_book",
        "nbformat",
        "yaml",
        "bs4",
        "pytest",
    }
    (tmp_path / "weights").mkdir()
    script = BARE.format(missing=missing, folder=str(tmp_path / "out"), root=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
