"""Consoles that know few characters: what they lack arrives as an escape, never as a traceback."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from robustlib.cli import main

NAME = "größe-ε≤8∕255-😀"
ITEM = "wong2018/table-1/mnist"


class Console(io.TextIOWrapper):
    """A stream of some encoding that raises where a character does not fit, as stdout does."""

    def __init__(self, encoding: str, errors: str = "strict") -> None:
        super().__init__(io.BytesIO(), encoding=encoding, errors=errors)

    def text(self) -> str:
        self.flush()
        content = self.buffer.getvalue()  # type: ignore[attr-defined]
        assert isinstance(content, bytes)
        return content.decode(self.encoding)


def said(
    arguments: list[str], encoding: str, monkeypatch: pytest.MonkeyPatch, errors: str = "strict"
) -> tuple[int, str]:
    console, complaints = Console(encoding, errors), Console(encoding)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", console)
        patch.setattr(sys, "stderr", complaints)
        code = main(arguments)
    assert complaints.text() == ""
    return code, console.text()


@pytest.fixture
def root_(tmp_path: Path) -> str:
    """A folder without records whose name few consoles can show."""
    folder = tmp_path / NAME
    folder.mkdir()
    return str(folder)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_what_a_console_lacks_is_escaped(encoding: str, root_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out = said(["--root", root_, "check"], encoding, monkeypatch)
    assert code == 1
    assert NAME.encode(encoding, "backslashreplace").decode(encoding) in out
    command = ["--root", root_, "export", ITEM, "--format", "markdown"]
    code, out = said(command, encoding, monkeypatch)
    whole = said(command, "utf-8", monkeypatch)[1]
    assert not whole.isascii(), "choose an item with some letter beyond ASCII"
    assert (code, out) == (0, whole.encode(encoding, "backslashreplace").decode(encoding))


@pytest.mark.parametrize("form", ["csv", "json", "latex", "markdown", "bibtex"])
@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_every_format_comes_through(form: str, errors: str, root_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["--root", root_, "export", ITEM, "--format", form]
    code, out = said(command, "ascii", monkeypatch, errors)
    assert code == 0
    assert len(out) > 80
    if form == "json":
        rows = json.loads(said(command, "utf-8", monkeypatch)[1])
        assert json.loads(out) == rows
        assert any(not str(row).isascii() for row in rows)


def test_a_choice_of_the_user_stays(root_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, out = said(["--root", root_, "export", ITEM, "--format", "markdown"], "ascii", monkeypatch, "replace")
    assert "\\u" not in out
    assert "?" in out


def test_streams_that_are_closed_are_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["data", "list"]) == 0
    assert main(["data", "lsit"]) == 2


# The commands are left out: they take seconds to import, and it is the interpreter's own streams that count.
PROCESS = """
import sys, types
sys.modules["robustlib.commands"] = types.SimpleNamespace(doctor=lambda args: print(args.root) or 0)
from robustlib.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "", None])
def test_a_real_process_in_the_c_locale(encoding: str | None, root: Path, root_: str) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(root),
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "ROBUSTLIB_ROOT": root_,
    }
    environment.pop("PYTHONIOENCODING", None)
    if encoding is not None:
        environment["PYTHONIOENCODING"] = encoding
    command = [sys.executable, "-c", PROCESS, "doctor"]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"255-" in done.stdout.rstrip()
    done.stdout.decode(encoding or "ascii")
