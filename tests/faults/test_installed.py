"""A wheel, without a checkout around it: nothing is written beside the package, and each command says what it lacks."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from robustlib import commands, environment
from robustlib.book import pages as generate
from robustlib.cli import main
from robustlib.experiments.runner import Summary
from robustlib.experiments.store import Store

NAMED = "robustlib: records are in {}; --root or ROBUSTLIB_ROOT names another folder\n"


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if "__pycache__" not in path.parts)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder of somebody who installed the package."""
    for name in ("ROBUSTLIB_ROOT", "ROBUSTLIB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("site-packages/robustlib", "here", "home"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(environment, "PACKAGE", tmp_path / "site-packages" / "robustlib")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def test_a_run_of_an_installed_copy_files_its_records_where_it_was_started(root: Path, tmp_path: Path) -> None:
    site, here = tmp_path / "site-packages", tmp_path / "here"
    shutil.copytree(root / "robustlib", site / "robustlib", ignore=shutil.ignore_patterns("__pycache__"))
    here.mkdir()
    before = files(site)
    environment = {
        **os.environ,
        "PYTHONPATH": str(site),
        "PYTHONSAFEPATH": "1",
        "OMP_NUM_THREADS": "1",
        "HOME": str(tmp_path),
        "ROBUSTLIB_ROOT": "",
        "ROBUSTLIB_CACHE": " ",
        "XDG_CACHE_HOME": "relative",
    }
    command = [sys.executable, "-m", "robustlib", "run", "wong2018/toy-2d", "--device", "cpu"]
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == NAMED.format(f"{here / 'results'} (none there yet)")
    assert files(site) == before
    assert [path.name for path in here.iterdir()] == ["results"]
    assert len(Store(here).records("smoke")) == 4
    assert any((tmp_path / ".cache" / "robustlib" / "networks").glob("*.safetensors"))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("items --paper wong2018", 0, NAMED.format("{here}/results (none there yet)")),
        ("items --paper wong2018 --json", 0, NAMED.format("{here}/results (none there yet)")),
        ("export wong2018/table-1/mnist", 0, NAMED.format("{here}/results (none there yet)")),
        ("run wong2018/toy-2d --dry-run", 0, NAMED.format("{here}/results (none there yet)")),
        ("doctor", 0, NAMED.format("{here}/results (none there yet)")),
        ("data list", 0, ""),
        ("check", 1, ""),
        ("migrate", 2, "robustlib: {here}/results is not there; --root or ROBUSTLIB_ROOT names"),
        (
            "verify wong2018/table-1/mnist",
            2,
            "robustlib: wong2018/table-1/mnist has no record in the quick profile whose weights",
        ),
        ("collect .", 2, "robustlib: . holds no results/ or networks/; give the folder that `run --out` wrote"),
    ],
)
def test_every_command_says_where_it_looked_and_writes_nothing(
    arguments: str, code: int, words: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments.split()) == code
    out, err = capsys.readouterr()
    assert err.count("\n") == (words != "")
    assert err.startswith(words.replace("{here}", str(here)))
    assert files(here.parent) == ["here", "home", "site-packages", "site-packages/robustlib"]
    if arguments == "check":
        assert out == (
            f"{here / 'results'} holds no records to check; --root or ROBUSTLIB_ROOT names the folder of results/\n"
        )


def test_a_root_that_was_named_is_not_explained(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(here), "items", "--paper", "wong2018"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("lacking", ["notebook", "papermill"])
def test_a_chapter_that_cannot_be_executed_is_left_out_and_said_so_before_anything_is_measured(
    lacking: str, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before: list[str] = []

    def measure(jobs: Any, **options: Any) -> Summary:
        before.append(capsys.readouterr().out)
        return Summary(present=len(jobs))

    monkeypatch.setattr(commands, "run", measure)
    monkeypatch.setattr(generate, "generate", lambda *arguments, **options: None)
    if lacking == "papermill":
        (here / "notebooks").mkdir()
        (here / "notebooks" / "02_convex_polytope.py").touch()
        monkeypatch.setitem(sys.modules, "papermill", None)
    assert main(["reproduce", "wong2018", "--out", "out"]) == 0
    (said,) = before
    assert "leaves the notebook out: " in said
    assert ("papermill is not installed" if lacking == "papermill" else "02_convex_polytope.py is not there") in said
    assert "executed notebook" not in capsys.readouterr().out


def test_a_missing_extra_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(args: object) -> int:
        importlib.import_module(wanted)
        return 0

    monkeypatch.setattr(commands, "export_item", draw)
    monkeypatch.setitem(sys.modules, "seaborn", None)
    wanted = "seaborn"
    assert main(["export", "madry2018/table-1"]) == 2
    said = "robustlib: this needs seaborn, which is not installed; pip install 'robustlib[book]'\n"
    assert capsys.readouterr().err == said
    wanted = "robustlib.no_such_module"  # a fault of our own
    with pytest.raises(ModuleNotFoundError):
        main(["export", "madry2018/table-1"])


@pytest.mark.parametrize("option", ["--root=", "--root= ", "--root=~nobody-of-that-name"])
def test_a_folder_that_cannot_be_meant_is_refused(option: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([option, "items"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith("robustlib: argument --root: ")


def test_a_folder_may_be_short_for_home_and_no_file_is_a_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root=~", "migrate"]) == 2
    assert str(here.parent / "home" / "results") in capsys.readouterr().err
    (here / "file").touch()
    for arguments in ("reproduce wong2018 --out file", "run wong2018/toy-2d --out file/x"):
        assert main(arguments.split()) == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert re.fullmatch(r"robustlib: .*file(/x)?: .*; give another path, or change its permissions", last), last
