"""The page on extending the library does what it says: its changes are made in a copy and its code is run there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BLOCK = re.compile(
    r"^```(?:\{code-block\} (?P<kind>\w+)\n:caption: (?P<file>\S+) \((?P<how>\w+)\)\n\n|python\n)(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def changed(text: str, diff: str) -> str:
    """The text with the lines that begin with - replaced by those that begin with +."""
    lines = diff.splitlines()
    old, new = ("\n".join(line[1:] for line in lines if line.startswith(sign)) for sign in "-+")
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times where the page changes it"
    return text.replace(old, new)


def blocks(root: Path) -> list[re.Match[str]]:
    text = (root / "book/extend.md").read_text(encoding="utf-8")
    found = list(BLOCK.finditer(text))
    assert len(found) == len(re.findall("^```$", text, re.MULTILINE)), "a block of the page is of no known kind"
    return found


def test_every_example_of_the_page_runs_in_a_changed_copy(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "robustlib", tmp_path / "robustlib", ignore=shutil.ignore_patterns("__pycache__"))
    code, known = [], {"new", "change", "append"}
    for block in blocks(root):
        if block["file"] is None:
            code.append(block["body"])
            continue
        path = tmp_path / block["file"]
        assert block["how"] in known
        assert path.exists() == (block["how"] != "new"), path
        if block["how"] == "change":
            path.write_text(changed(path.read_text(encoding="utf-8"), block["body"]), encoding="utf-8")
        else:
            with path.open("a", encoding="utf-8") as file:
                file.write(block["body"])
    assert len(code) == 4
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    script = "\n".join([*code, "import robustlib", "print(robustlib.__file__)"])
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert ended.stdout.splitlines()[-1].startswith(str(tmp_path))


def test_a_change_that_no_longer_fits_is_noticed() -> None:
    assert changed("a\nb\n", "-b\n+b\n+c\n") == "a\nb\nc\n"
    with pytest.raises(AssertionError, match="0 times"):
        changed("a\n", "-b\n+c\n")
