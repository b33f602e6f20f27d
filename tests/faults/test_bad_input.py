"""Bad input on the command line: exit code 2, one line with the nearest name, and nothing is touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from robustlib.catalogue import plan
from robustlib.cli import main
from robustlib.experiments.store import Store
from tests.experiments.tiny import PGD, file

PROFILE = "unknown profile 'quik'; did you mean 'quick'? known: full, level, quick, smoke"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "the following arguments are required: command; see robustlib --help"),
        ("itms", "unknown command 'itms'; did you mean 'items'?"),
        ("items --papr madry2018", "unknown option '--papr'; did you mean '--paper'?"),
        ("items --jsn=1", "unknown option '--jsn'; did you mean '--json'?"),
        ("--rot . items", "unknown "),
        ("items --paper madri2018", "unknown paper 'madri2018'; did you mean 'madry2018'?"),
        ("items extra", "unexpected argument 'extra'"),
        ("run madry2018/tabel-1", "unknown item 'madry2018/tabel-1'; did you mean 'madry2018/table-1'?"),
        ("run madri2018", "unknown item 'madri2018'; did you mean 'madry2018"),
        ("run madry2018 --profile quik", PROFILE),
        ("run wong2018 --profile quik", PROFILE),
        ("run madry2018 --profile quik --dry-run", PROFILE),
        ("run madry2018 --jobs 0", "'0' is not a number of processes, 1 or more"),
        ("run madry2018 --jobs two", "'two' is not a number of processes"),
        ("run madry2018 --time-budget -5", "'-5' is negative; give seconds, 0 or more"),
        ("run madry2018 --time-budget nan", "'nan' is not a"),
        ("run madry2018 --time-budget soon", "'soon' is not a number"),
        ("run madry2018/table-1 --device cdua", "unknown device 'cdua'; did you mean 'cuda'?"),
        ("run --jobs", "argument --jobs: expected one argument"),
        ("reproduce madri2018", "unknown paper 'madri2018'; did you mean 'madry2018'?"),
        ("reproduce madry2018 --profile quik", PROFILE),
        ("reproduce wong2018 --profile quik", PROFILE),
        ("verify madry2018/tabel-1", "did you mean 'madry2018/table-1'?"),
        ("verify madry2018/table-1 --profile quik", PROFILE),
        ("verify madry2018/table-1 --tolerance x", "invalid float value: 'x'"),
        ("export madry2018/tabel-1", "did you mean 'madry2018/table-1'?"),
        ("export madry2018", "unknown item 'madry2018'"),
        ("export madry2018/table-1 --format cvs", "unknown format 'cvs'; did you mean 'csv'?"),
        ("export madry2018/table-1 --profile quik", PROFILE),
        ("export madry2018/filters --profile quik --format bibtex", PROFILE),
        ("data lsit", "unknown action 'lsit'; did you mean 'list'?"),
        ("data list mnsit", "unknown dataset 'mnsit'; did you mean 'mnist'?"),
        ("data verify mnsit digits", "unknown dataset 'mnsit'; did you mean 'mnist'?"),
        ("data fetch mnsit", "unknown dataset 'mnsit'; did you mean 'mnist'?"),
        ("--root /there/is/no/such check", "--root /there/is/no/such is no folder; give the one that holds results/"),
    ],
)
def test_a_mistake_is_one_line_and_2(
    arguments: str, words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("robustlib: ")
    assert words in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_help_is_no_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["run", "--help"])
    assert caught.value.code == 0
    assert "--time-budget" in capsys.readouterr().out


def test_a_dry_run_touches_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file(tmp_path, PGD)
    broken = Store(tmp_path).path_of(PGD, "full").with_name("broken-00000000.json")
    broken.write_text("{")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert main(["--root", str(tmp_path), "run", "madry2018/table-1", "--profile", "smoke", "--dry-run"]) == 0
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    lines = capsys.readouterr().out.splitlines()
    to_run = [line for line in lines[:-1] if line.startswith("to run   digits-madry_cnn8-pgd-s0/")]
    # The network and the two that transfers start from.
    trainings = [line for line in lines[:-1] if line.startswith("train digits-")]
    assert (len(to_run), len(trainings), len(lines)) == (19, 3, 23)
    assert all(" operations, about " in line for line in [*trainings, *to_run])
    assert lines[-1].startswith("19 evaluations, 19 to run, 3 networks: about ")
    assert "an estimate" in lines[-1]
    assert main(["--root", str(tmp_path), "run", "madry2018/table-1", "--profile", "quik"]) == 2
    assert broken.exists()


def test_a_dry_run_tells_what_is_there_and_what_recompute_would_repeat(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["run", "madry2018/table-1", "--profile", "smoke", "--dry-run"]
    assert main(arguments) == 0
    assert "19 evaluations, 0 to run, 0 networks: about 0 s on " in capsys.readouterr().out
    assert main([*arguments, "--recompute"]) == 0
    assert "19 evaluations, 19 to run" in capsys.readouterr().out


def test_check_lists_one_line_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file(tmp_path, PGD)
    for index, text in enumerate(("", "{", "[]")):
        (Store(tmp_path).path_of(PGD, "full").with_name(f"x{index}.json")).write_text(text)
    assert main(["--root", str(tmp_path), "check"]) == 1
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_an_unmeasured_paper_has_nothing_to_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = str(tmp_path / "out")
    monkeypatch.setattr(plan, "jobs", lambda chosen, profile: [])
    assert main(["reproduce", "wong2018", "--profile", "smoke", "--out", out]) == 0
    assert "wong2018: nothing to run in the smoke profile" in capsys.readouterr().out


def test_a_bare_checkout_runs_as_a_module(root: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-m", "robustlib", "items", "--json", "--paper", "madry2018"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    listed = json.loads(done.stdout)
    assert {item["paper"] for item in listed} == {"madry2018"}
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_leaves_early_is_no_error(root: Path) -> None:
    command = f"{sys.executable} -m robustlib items | head -1"
    done = subprocess.run(command, shell=True, cwd=root, capture_output=True, text=True, check=False)
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""
