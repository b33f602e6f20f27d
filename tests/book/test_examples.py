"""The pages on using and on extending the library do what they say: their code is run, in a copy with its changes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

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


def blocks(page: Path) -> list[re.Match[str]]:
    text = page.read_text(encoding="utf-8")
    found = list(BLOCK.finditer(text))
    assert len(found) == len(re.findall("^```$", text, re.MULTILINE)), "a block of the page is of no known kind"
    return found


def test_every_example_of_the_page_runs_in_a_copy_with_its_files(root: Path, tmp_path: Path) -> None:
    """Nothing that was there is changed, but for the table of contents; the new chapter shows the new paper."""
    shutil.copytree(root / "robustlib", tmp_path / "robustlib", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "_toc.yml", tmp_path / "_toc.yml")
    (tmp_path / "notebooks").mkdir()
    code, changes = [], []
    for block in blocks(root / "book/extend.md"):
        if block["file"] is None:
            code.append(block["body"])
            continue
        path = tmp_path / block["file"]
        assert path.exists() == (block["how"] != "new"), path
        if block["how"] == "change":
            changes.append(block["file"])
            path.write_text(changed(path.read_text(encoding="utf-8"), block["body"]), encoding="utf-8")
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(block["body"], encoding="utf-8")
    assert changes == ["_toc.yml"]
    assert len(code) == 4
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1", "ROBUSTLIB_ROOT": str(tmp_path)}

    def run(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        ended = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", check=False
        )
        assert ended.returncode == 0, ended.stderr[-2000:]
        return ended.stdout

    said = run("-c", "\n".join([*code, "import robustlib", "print(robustlib.__file__)"]))
    assert said.splitlines()[-1].startswith(str(tmp_path))
    run("-m", "robustlib.report.notebooks", "execute", "07_mine", "--to", "out", "-p", "profile=smoke")
    page = (tmp_path / "out/07_mine.ipynb").read_text(encoding="utf-8")
    assert "Table 1 of the paper: Corners against one step (digits stand-in)" in page
    assert "**holds**: Corners break fewer points than FGSM" in page
    assert "One bar: the network gives the right class" in page


def test_a_model_of_ones_own_is_attacked_and_certified_as_its_page_says(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = blocks(root / "book/own_model.md")
    assert [block["file"] for block in found] == [None] * 3
    with torch.random.fork_rng(devices=[]):
        exec(compile("\n".join(block["body"] for block in found), "own_model.md", "exec"), {"__name__": "page"})
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said[:2]] == ["after clean", "after Noise"]
    lower, upper = (int(share) for share in re.findall(r"(\d+)%", said[-1]))
    assert 50 < lower <= upper <= 100


def test_a_change_that_no_longer_fits_is_noticed() -> None:
    assert changed("a\nb\n", "-b\n+b\n+c\n") == "a\nb\nc\n"
    with pytest.raises(AssertionError, match="0 times"):
        changed("a\n", "-b\n+c\n")
