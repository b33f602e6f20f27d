"""A full or read-only disk in the middle of a run: a clear error, nothing half-written, nothing lost."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from robustlib import files
from robustlib.cli import main
from robustlib.errors import RobustlibError
from robustlib.experiments import networks
from robustlib.experiments.store import Store, weights_path
from robustlib.spec.keys import key
from tests.experiments.tiny import CLEAN, CURVE, FGSM, NETWORK, PGD, Made, content, execute, one_thread


def fill_disk(monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    """Files of that suffix no longer fit on the disk."""
    real = os.replace

    def replace(source: Any, target: Any) -> None:
        if str(target).endswith(suffix):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(source, target)

    monkeypatch.setattr(files.os, "replace", replace)


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.endswith((".tmp", ".part"))]


@pytest.mark.parametrize("suffix", [".json", ".safetensors", ".log.json", ".checkpoint"])
def test_a_full_disk_stops_the_run_and_loses_nothing(
    suffix: str, tmp_path: Path, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_disk(monkeypatch, suffix)
    monkeypatch.setattr("robustlib.training.loop.CHECKPOINT_SECONDS", -1.0)  # one after each update
    with one_thread(), pytest.raises(RobustlibError, match=r"No space left on device.*free some space"):
        execute(tmp_path, CLEAN, FGSM)
    assert leftovers(tmp_path) == []
    assert not any(tmp_path.glob("results/*/*/*"))
    monkeypatch.undo()
    with one_thread():
        written = execute(tmp_path, CLEAN, FGSM).written
    assert {r.evaluation_key: content(r) for r in written} == {
        key(evaluation): content(made.record(evaluation)) for evaluation in (CLEAN, FGSM)
    }


def test_a_trained_network_survives_a_record_that_did_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_disk(monkeypatch, f"{key(FGSM)[:8]}.json")
    with pytest.raises(RobustlibError, match=r"cannot write .*fgsm-"):
        execute(tmp_path, CURVE, CLEAN, FGSM, PGD)
    monkeypatch.undo()
    assert weights_path(tmp_path / "networks", NETWORK).exists()
    monkeypatch.setattr(networks, "fit", None)  # training again would fail
    summary = execute(tmp_path, CURVE, CLEAN, FGSM, PGD)
    assert (len(summary.written), summary.present) == (2, 2)
    assert Store(tmp_path).faults == {}


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = tmp_path / "cache"
    cache.write_text("a file where a folder should be")
    arguments = ["--root", str(tmp_path), "run", "madry2018/table-1", "--device", "cpu", "--cache", str(cache)]
    assert main(arguments) == 2
    _, err = capsys.readouterr()
    assert "cannot lock" in err
    assert str(cache) in err
    assert "make its folder writable and run again" in err
    assert err.count("\n") == 1
