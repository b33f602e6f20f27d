"""Results between machines: what is copied and when, what is refused, and a run that is killed on its way."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
import torch

from robustlib.cli import main
from robustlib.errors import RobustlibError
from robustlib.experiments.exchange import collect, copying
from robustlib.experiments.networks import Networks
from robustlib.experiments.store import Store, save_weights, weights_path
from robustlib.files import write_atomically
from tests.experiments.tiny import NETWORK, OTHER, accuracy, file
from tests.processes import command, forked

CHECKPOINT = "unfinished-00000000.checkpoint"


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(name="out")
def _out(tmp_path: Path) -> Path:
    """What a run copied that made two records, two networks with a log, and a checkpoint."""
    root, cache, out = tmp_path / "root", tmp_path / "cache", tmp_path / "out"
    file(root, accuracy(OTHER), "full")
    with copying(out, root, cache):
        file(root, accuracy(NETWORK), "full")
        file(root, accuracy(NETWORK, search="bfloat16"), "full")
        for network in (NETWORK, OTHER):
            path = weights_path(cache, network)
            save_weights(path, Networks(torch.device("cpu"), cache, None).blank(network), network)
        path.with_suffix(".log.json").write_text("{}")
        torch.save({"step": 3, "noise": torch.rand(75)}, cache / CHECKPOINT)
    return out


def test_what_is_new_is_copied_and_comes_home(out: Path, tmp_path: Path) -> None:
    records = Store(tmp_path / "root").records("full")
    assert {name for name in names(out) if name.startswith("results/")} == {r.path for r in records if "-s0/" in r.path}
    home, cache = tmp_path / "home", tmp_path / "home-cache"
    assert set(collect(out, home, cache).filed) == names(out)
    for name in names(out):
        there = home / name if name.startswith("results/") else cache / Path(name).name
        assert there.read_bytes() == (out / name).read_bytes()
    assert len(names(out)) == 2 + 3 + 1
    again = collect(out, home, cache)
    assert (set(again.present), again.filed, again.refused) == (names(out), [], [])


def test_copies_follow_while_the_run_goes_on(tmp_path: Path) -> None:
    root, cache, out = tmp_path / "root", tmp_path / "cache", tmp_path / "out"

    def appears(name: str, *, there: bool = True) -> None:
        deadline = time.monotonic() + 20
        while (name in names(out)) != there:
            assert time.monotonic() < deadline, name
            time.sleep(0.02)

    cache.mkdir()
    (cache / "old.safetensors").write_bytes(b"of an earlier run")
    with copying(out, root, cache, every=0.05):
        record = file(root, accuracy(OTHER), "full")
        appears(record.path)
        (cache / CHECKPOINT).write_bytes(b"1")
        appears(f"networks/{CHECKPOINT}")
        (cache / CHECKPOINT).unlink()
        appears(f"networks/{CHECKPOINT}", there=False)
    assert names(out) == {record.path}


def test_a_record_that_goes_from_its_source_stays_in_the_copy(tmp_path: Path) -> None:
    root, cache, out = tmp_path / "root", tmp_path / "cache", tmp_path / "out"
    cache.mkdir()
    (cache / CHECKPOINT).write_bytes(b"begun earlier")
    record = file(root, accuracy(OTHER), "full")
    for source, name in ((root / record.path, record.path), (cache / CHECKPOINT, f"networks/{CHECKPOINT}")):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(source.read_bytes())
    with copying(out, root, cache):
        (root / record.path).unlink()
        (cache / CHECKPOINT).unlink()
    assert names(out) == {record.path}


def test_a_copy_that_fails_once_is_made_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, cache, out, tries = tmp_path / "root", tmp_path / "cache", tmp_path / "out", []

    def sometimes(path: Path, content: bytes) -> None:
        tries.append(path)
        if len(tries) == 1:
            raise RobustlibError("no space")
        write_atomically(path, content)

    monkeypatch.setattr("robustlib.experiments.exchange.write_atomically", sometimes)
    with copying(out, root, cache, every=0.02):
        record = file(root, accuracy(NETWORK), "full")
        while len(tries) < 2:
            time.sleep(0.01)
    assert record.path in names(out)


def test_what_is_damaged_or_foreign_is_refused_and_the_rest_is_filed(out: Path, tmp_path: Path) -> None:
    victims = [*sorted((out / "results").rglob("*.json"))[:1], *sorted((out / "networks").iterdir())]
    for path in victims:
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2 :] = bytes(value ^ 1 for value in raw[len(raw) // 2 :])
        path.write_bytes(raw)
    (out / "networks" / "link.safetensors").symlink_to("/etc/passwd")
    (out / "networks" / "passwd").write_text("neither a record nor a network")
    result = collect(out, tmp_path / "home", tmp_path / "home-cache")
    assert {line.partition(":")[0] for line in result.refused} == {path.relative_to(out).as_posix() for path in victims}
    assert len(result.filed) == 1
    assert names(tmp_path / "home") == set(result.filed)
    assert not (tmp_path / "home-cache").exists()


def test_a_record_that_was_edited_or_differs_is_not_filed(out: Path, tmp_path: Path) -> None:
    first, second = Store(out).records("full")
    path = out / first.path
    path.write_text(path.read_text().replace(first.evaluation_key, "0" * 16))
    home = tmp_path / "home"
    file(home, accuracy(NETWORK, search="bfloat16"), "full", correct=0.1)
    file(home, accuracy(NETWORK), "full", correct=0.1)
    before = (home / second.path).read_bytes()
    result = collect(out, home, tmp_path / "home-cache")
    assert any("its keys are not those" in line for line in result.refused)
    assert any("another record is there; it was kept" in line for line in result.refused)
    assert (home / second.path).read_bytes() == before


def test_of_two_checkpoints_the_further_one_stays(out: Path, tmp_path: Path) -> None:
    cache = tmp_path / "home-cache"
    for step, expected in ((3, 3), (9, 9), (5, 9)):
        torch.save({"step": step}, out / "networks" / CHECKPOINT)
        collect(out, tmp_path / "home", cache)
        assert torch.load(cache / CHECKPOINT, weights_only=True)["step"] == expected
    (cache / CHECKPOINT).write_bytes(b"damaged here")
    collect(out, tmp_path / "home", cache)
    assert torch.load(cache / CHECKPOINT, weights_only=True)["step"] == 5
    (out / "networks" / CHECKPOINT).write_bytes(b"a pickle, or nothing")
    assert any("it is no checkpoint" in line for line in collect(out, tmp_path / "home", cache).refused)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RobustlibError, match=r"holds no results/ or networks/; give the folder that `run --out` wrote"):
        collect(tmp_path, tmp_path, tmp_path)


def _arguments(root: Path, cache: Path, out: Path, budget: float | None = None) -> list[str]:
    arguments = ["--root", str(root), "run", "madry2018/training-loss/mnist", "--profile", "smoke"]
    arguments += ["--cache", str(cache), "--out", str(out)]
    return arguments if budget is None else [*arguments, "--time-budget", str(budget)]


def test_slots_that_are_killed_and_resumed_make_the_undisturbed_record(tmp_path: Path) -> None:
    """The rehearsal of a paper-scale run: short budgets, kills at random moments, copies home and back."""
    straight = tmp_path / "straight"
    straight.mkdir()
    assert main(_arguments(straight, tmp_path / "c0", tmp_path / "o0")) == 0
    (wanted,) = Store(straight).records("smoke")

    home, home_cache, draw = tmp_path / "home", tmp_path / "home-cache", random.Random(1)
    home.mkdir()
    resumed = False
    for attempt, (budget, killed) in enumerate(((None, True), (0.4, False), (None, True), (None, False))):
        # Each slot is a fresh machine: it knows what was carried there, and leaves a folder.
        away, cache, out = (tmp_path / f"{name}{attempt}" for name in ("away", "cache", "out"))
        away.mkdir()
        cache.mkdir()
        for path in home_cache.glob("*"):
            (cache / path.name).write_bytes(path.read_bytes())
        resumed |= any(cache.glob("*.checkpoint"))
        process = forked().Process(target=command, args=(_arguments(away, cache, out, budget),))
        process.start()
        if killed:
            while not out.exists() and process.is_alive():
                time.sleep(0.02)
            time.sleep(draw.uniform(0, 0.5))
            process.kill()
        process.join(300)
        if names(out):
            collect(out, home, home_cache)
    assert resumed, "no slot began at another's checkpoint; the budgets are too long for this machine"
    (found,) = Store(home).records("smoke")
    assert found.metrics == wanted.metrics
    assert found.series == wanted.series
    assert found.weights_digest == wanted.weights_digest
