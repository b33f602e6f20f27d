"""Results that travel: what is packed first, limits, damage, hostile members, and a run that is killed on its way."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
import torch

from robustlib.errors import RobustlibError
from robustlib.experiments import parcels
from robustlib.experiments.networks import Networks
from robustlib.experiments.parcels import collect, pack, packing
from robustlib.experiments.store import Store, save_weights, weights_path
from tests.experiments.tiny import NETWORK, OTHER, accuracy, file

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Path]:
    """A root with two records, and a cache with their network, another one and a checkpoint."""
    root, cache = tmp_path / "root", tmp_path / "cache"
    file(root, accuracy(NETWORK), "full")
    file(root, accuracy(NETWORK, search="bfloat16"), "full")
    blank = Networks(torch.device("cpu"), cache, None).blank
    for network in (NETWORK, OTHER):
        save_weights(weights_path(cache, network), blank(network), network)
    torch.save({"step": 3, "noise": torch.rand(75_000)}, cache / "unfinished-00000000.checkpoint")
    return root, cache


def packed(destination: Path) -> list[str]:
    return sorted(
        member.name.partition("@")[0]
        for part in destination.glob("part-*.tar")
        for member in tarfile.open(part).getmembers()
    )


def test_everything_comes_home(made: tuple[Path, Path], tmp_path: Path) -> None:
    root, cache = made
    records = Store(root).records("full")
    assert pack(tmp_path / "out", records, root, cache) == []
    home, homes_cache = tmp_path / "home", tmp_path / "home-cache"
    filed = collect(tmp_path / "out", home, homes_cache)
    assert (len(filed.records), len(filed.networks), len(filed.checkpoints)) == (2, 2, 1)
    assert filed.refused == []
    for record in records:
        assert (home / record.path).read_bytes() == (root / record.path).read_bytes()
    for path in cache.iterdir():
        assert (homes_cache / path.name).read_bytes() == path.read_bytes()
    again = collect(tmp_path / "out", home, homes_cache)
    assert len(again.present) == 5
    assert not again.records + again.networks + again.checkpoints + again.refused


def test_parts_keep_their_limits_and_records_come_first(made: tuple[Path, Path], tmp_path: Path) -> None:
    root, cache = made
    sizes = {path.name: path.stat().st_size for path in cache.iterdir()}
    records = Store(root).records("full")
    small = weights_path(cache, NETWORK)
    room = sizes[small.name] + 60_000
    left = pack(tmp_path / "out", records, root, cache, parts=1, part_bytes=room)
    found = packed(tmp_path / "out")
    assert [name for name in found if name.startswith("results/")] == sorted(record.path for record in records)
    assert f"networks/{small.name}" in found, "the measured network goes before the other"
    assert "networks/unfinished-00000000.checkpoint" in left
    assert all(part.stat().st_size < room for part in (tmp_path / "out").iterdir())


def test_a_large_file_travels_in_pieces_over_several_parts(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, cache = made
    monkeypatch.setattr(parcels, "PIECE", 40_000)
    assert pack(tmp_path / "out", Store(root).records(), root, cache, part_bytes=150_000) == []
    parts = sorted((tmp_path / "out").glob("part-*.tar"))
    assert 1 < len(parts) <= parcels.PARTS
    assert all(part.stat().st_size < 150_000 for part in parts)
    parts[-1].rename(tmp_path / "lost.tar")
    filed = collect(tmp_path / "out", tmp_path / "home", tmp_path / "cache2")
    assert any("pieces came; fetch the other parts" in line for line in filed.refused)
    (tmp_path / "lost.tar").rename(parts[-1])
    rest = collect(tmp_path / "out", tmp_path / "home", tmp_path / "cache2")
    assert rest.refused == []
    assert (tmp_path / "cache2" / "unfinished-00000000.checkpoint").exists()


def test_a_later_packing_replaces_an_earlier_one(made: tuple[Path, Path], tmp_path: Path) -> None:
    root, cache = made
    pack(tmp_path / "out", Store(root).records(), root, cache, part_bytes=150_000)
    (cache / "unfinished-00000000.checkpoint").unlink()
    pack(tmp_path / "out", [], root, cache)
    assert len(packed(tmp_path / "out")) == 2


def test_what_is_damaged_or_foreign_is_refused_and_the_rest_is_filed(made: tuple[Path, Path], tmp_path: Path) -> None:
    root, cache = made
    out = tmp_path / "out"
    pack(out, Store(root).records(), root, cache)
    (part,) = list(out.glob("part-1.tar"))
    raw = bytearray(part.read_bytes())
    with tarfile.open(part) as tar:
        victim = next(member for member in tar if member.name.endswith(".json") or ".json@" in member.name)
        raw[victim.offset_data + 20] ^= 1
    part.write_bytes(raw)
    with tarfile.open(out / "part-7.tar", "w") as tar:
        for name in ("../../escape.json@00", "networks/../../escape.checkpoint@00", "/etc/passwd@00"):
            header = tarfile.TarInfo(name)
            header.size = 2
            tar.addfile(header, io.BytesIO(b"{}"))
        link = tarfile.TarInfo("results/full/a/b.json@00")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    filed = collect(out, tmp_path / "home", tmp_path / "cache2")
    assert len(filed.records) == 1
    assert sum("damaged on its way" in line for line in filed.refused) == 4
    assert any("is no file" in line for line in filed.refused)
    assert not list(tmp_path.glob("**/escape*"))


def test_a_record_that_was_edited_or_differs_is_not_filed(made: tuple[Path, Path], tmp_path: Path) -> None:
    root, cache = made
    first, second = Store(root).records("full")
    path = root / first.path
    path.write_text(path.read_text().replace(first.evaluation_key, "0" * 16))
    home = tmp_path / "home"
    file(home, accuracy(NETWORK, search="bfloat16"), "full", correct=0.1)
    file(home, accuracy(NETWORK), "full", correct=0.1)
    pack(tmp_path / "out", [first, second], root, cache)
    filed = collect(tmp_path / "out", home, tmp_path / "cache2")
    assert filed.records == []
    assert any("its keys are not those" in line for line in filed.refused)
    assert any("another record is there; it was kept" in line for line in filed.refused)


def test_of_two_checkpoints_the_further_one_stays(made: tuple[Path, Path], tmp_path: Path) -> None:
    root, cache = made
    homes = tmp_path / "home-cache"
    for step, expected in ((3, 3), (9, 9), (5, 9)):
        torch.save({"step": step}, cache / "unfinished-00000000.checkpoint")
        pack(tmp_path / "out", [], root, cache)
        collect(tmp_path / "out", tmp_path / "home", homes)
        assert torch.load(homes / "unfinished-00000000.checkpoint", weights_only=True)["step"] == expected
    (cache / "unfinished-00000000.checkpoint").write_bytes(b"a pickle, or nothing")
    pack(tmp_path / "out", [], root, cache)
    filed = collect(tmp_path / "out", tmp_path / "home", homes)
    assert any("it is no checkpoint" in line for line in filed.refused)


def test_an_empty_folder_is_no_parcel(tmp_path: Path) -> None:
    with pytest.raises(RobustlibError, match=r"holds no part-\*\.tar"):
        collect(tmp_path, tmp_path, tmp_path)


def test_packing_goes_on_while_the_run_does(made: tuple[Path, Path], tmp_path: Path) -> None:
    root, cache = made
    with packing(tmp_path / "out", root, cache, every=0.05):
        file(root, accuracy(OTHER), "full")
        deadline = time.monotonic() + 20
        while not any("s1/" in name for name in packed(tmp_path / "out")) and time.monotonic() < deadline:
            time.sleep(0.05)
        names = packed(tmp_path / "out")
    assert any("s1/" in name for name in names), "what is new is packed before the end"
    assert not any(name.startswith("results/") and "s1/" not in name for name in names), "what was there is not"
    assert (tmp_path / "out" / "left.txt").read_text() == ""


COMMAND = [sys.executable, "-m", "robustlib"]
ITEM = "madry2018/training-loss/mnist"


def _slot(root: Path, cache: Path, out: Path, budget: float | None = None) -> subprocess.Popen[bytes]:
    arguments = ["run", ITEM, "--profile", "smoke", "--cache", str(cache), "--out", str(out)]
    arguments += [] if budget is None else ["--time-budget", str(budget)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*COMMAND, "--root", str(root), *arguments], cwd=ROOT, env=environment)


def test_slots_that_are_killed_and_resumed_make_the_undisturbed_record(tmp_path: Path) -> None:
    """The rehearsal of a paper-scale run: short budgets, kills at random moments, parcels home and back."""
    straight = tmp_path / "straight"
    straight.mkdir()
    assert _slot(straight, tmp_path / "c0", tmp_path / "o0").wait(timeout=300) == 0
    (wanted,) = Store(straight).records("smoke")

    home, home_cache, draw = tmp_path / "home", tmp_path / "home-cache", random.Random(1)
    home.mkdir()
    resumed = False
    for attempt, budget in enumerate((None, 0.4, None, 0.8, None)):
        # Each slot is a fresh machine: it knows what was carried there, and gives back a parcel.
        away, cache, out = (tmp_path / f"{name}{attempt}" for name in ("away", "cache", "out"))
        away.mkdir()
        cache.mkdir()
        for path in home_cache.glob("*"):
            (cache / path.name).write_bytes(path.read_bytes())
        resumed |= any(cache.glob("*.checkpoint"))
        process = _slot(away, cache, out, budget)
        if budget is None and attempt < 4:
            while not out.exists() and process.poll() is None:
                time.sleep(0.02)
            time.sleep(draw.uniform(0, 0.5))
            process.send_signal(signal.SIGKILL)
        process.wait(timeout=300)
        if any(out.glob("part-*.tar")):
            collect(out, home, home_cache)
    assert resumed, "no slot began at another's checkpoint; the budgets are too long for this machine"
    (found,) = Store(home).records("smoke")
    assert found.metrics == wanted.metrics
    assert found.series == wanted.series
    assert found.weights_digest == wanted.weights_digest
