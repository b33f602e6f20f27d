"""Ctrl-C at any moment of a process: one line and exit code 130, whatever it interrupts."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from robustlib import commands
from robustlib.cli import main
from robustlib.errors import RobustlibError
from robustlib.experiments.runner import Interrupted, Summary
from robustlib.interrupt import asking, raising

# Sends itself Ctrl-C when a module is looked for.
STARTING = """
import importlib.abc, os, signal, sys

class Finger(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finger())
sys.argv = ["robustlib", "items"]
from {entry} import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("entry", "module"),
    [
        ("robustlib.__main__", "argparse"),
        ("robustlib.__main__", "numpy.exceptions"),  # numpy makes a RecursionError of it
        ("robustlib.__main__", "torch.functional"),
        ("robustlib.__main__", "robustlib.spec.keys"),
        ("robustlib.cli", "numpy.exceptions"),  # a script of an earlier installation
    ],
)
def test_it_may_come_while_modules_are_imported(entry: str, module: str, root: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STARTING.format(entry=entry, module=module)],
        cwd=tmp_path,
        check=False,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        encoding="utf-8",
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "robustlib: interrupted\n")


def test_the_console_script_and_the_module_start_alike(root: Path) -> None:
    import tomllib

    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"robustlib": "robustlib.__main__:main"}


def test_help_and_mistakes_import_nothing_heavy(root: Path, tmp_path: Path) -> None:
    script = (
        "import sys\nfrom robustlib.cli import main\n"
        "code = main(sys.argv[1:])\nprint(sorted({'torch', 'numpy', 'pandas'} & set(sys.modules)), code)"
    )
    for arguments in (["itms"], ["run", "--jobs", "0"], ["--root", "/there/is/no/such", "check"]):
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            cwd=tmp_path,
            check=True,
            env={**os.environ, "PYTHONPATH": str(root)},
            capture_output=True,
            encoding="utf-8",
        )
        assert done.stdout == "[] 2\n"


def ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def as_another_exception() -> None:
    try:
        ctrl_c()
    except KeyboardInterrupt as error:
        raise ImportError("a part of it could not be imported") from error


def without_a_trace() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        ctrl_c()
    raise RobustlibError("something is missing")


def at_a_checkpoint() -> None:
    with asking(Event()):
        ctrl_c()
    raise Interrupted(Summary(unfinished=3))


def twice() -> None:
    try:
        with asking(Event()):
            ctrl_c()
            ctrl_c()
    except KeyboardInterrupt:
        raise RuntimeError from None


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (ctrl_c, "interrupted"),
        (as_another_exception, "interrupted"),
        (without_a_trace, "interrupted"),
        (at_a_checkpoint, "stopped; 3 evaluations are left, run again to go on"),
        (twice, "interrupted"),
    ],
)
def test_it_may_come_in_the_middle_of_a_command(
    work: Callable[[], None], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(commands, "list_items", lambda args: work())
    assert main(["items"]) == 130
    assert capsys.readouterr().err == f"robustlib: {words}\n"
    assert signal.getsignal(signal.SIGINT) is before


def test_a_fault_of_our_own_is_no_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(args: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(commands, "list_items", broken)
    with pytest.raises(ZeroDivisionError):
        main(["items"])


def test_who_was_told_to_ignore_it_goes_on() -> None:
    before, flag = signal.signal(signal.SIGINT, signal.SIG_IGN), Event()
    try:
        with raising(flag):
            ctrl_c()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert not flag.is_set()


def test_runs_side_by_side_all_end_at_a_checkpoint(root: Path, tmp_path: Path) -> None:
    """Ctrl-C reaches the first process alone, which passes it on once and waits."""
    cache = tmp_path / "networks"
    options = ["--profile", "smoke", "--device", "cpu", "--jobs", "2", "--cache", str(cache)]
    parent = subprocess.Popen(
        [sys.executable, "-m", "robustlib", "--root", str(tmp_path), "run", "madry2018/table-1", *options],
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        encoding="utf-8",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 240
    while not [path for path in cache.glob("*.lock") if not path.name.endswith(".evaluation.lock")]:
        assert parent.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    parent.send_signal(signal.SIGINT)
    out, err = parent.communicate(timeout=240)
    assert parent.returncode == 130, out + err
    assert err.startswith("robustlib: stopped; ")
    assert "2| " in out
    assert list(cache.glob("*.checkpoint"))
    assert not list(tmp_path.glob("results/*/*/*"))
