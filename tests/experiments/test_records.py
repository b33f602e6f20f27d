"""Records: nothing is lost in a file, and nothing that was broken or edited is read back."""

from __future__ import annotations

import errno
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robustlib.errors import RobustlibError
from robustlib.files import lock, write_atomically
from robustlib.spec.records import MAX_BYTES, SCHEMA, Metric, dumps, loads, migrate, pack, read
from tests.experiments.tiny import EVERY, PGD, Made, fabricate

RECORD = fabricate(PGD, correct=np.arange(60) % 3 > 0)
TEXT = dumps(RECORD)


def edited(change: Callable[[dict[str, Any]], object]) -> str:
    content = json.loads(TEXT)
    change(content)
    return json.dumps(content)


# Round trip ---------------------------------------------------------------------------------------------------


def test_a_record_survives_its_file(made: Made) -> None:
    for record in [RECORD, *(made.record(evaluation) for evaluation in EVERY)]:
        assert loads(dumps(record)) == record
        assert len(dumps(record)) < MAX_BYTES


@given(st.text(), st.floats(-1e300, 1e300), st.lists(st.lists(st.floats(0, 1), max_size=3), max_size=3))
def test_any_text_and_any_number_survives(text: str, number: float, series: list[list[float]]) -> None:
    record = replace(
        RECORD,
        device=text,
        findings=[text, "[ 1 ]"],
        deviations=[f"[ {number} ]"],
        wall_s=number,
        series={"a": series, "b": [number]},
        metrics={**RECORD.metrics, "loss": Metric(number, 1, unit="nats")},
    )
    assert loads(dumps(record)) == record


def test_lists_of_numbers_stand_on_one_line() -> None:
    text = dumps(replace(RECORD, series={"loss": [1.5, 2e-7, -3.0], "runs": [[1.0, 2.0], [3.0, 4.0]]}))
    assert '"loss":[1.5,2e-07,-3.0]' in text
    assert "[3.0,4.0]" in text


@given(st.lists(st.booleans(), min_size=1, max_size=70))
def test_outcomes_are_packed_one_bit_each(bits: list[bool]) -> None:
    outcome = np.array(bits)
    packed = pack(outcome)
    assert len(packed.partition(":")[2]) == 4 * math.ceil(math.ceil(len(bits) / 8) / 3)
    np.testing.assert_array_equal(replace(RECORD, outcomes={"correct": packed}).outcome(), outcome)


def test_an_outcome_that_is_not_there_is_named() -> None:
    with pytest.raises(RobustlibError, match=r"no outcome 'certified'; it has \['correct'\]"):
        RECORD.outcome("certified")


def test_a_record_beyond_the_limit_is_not_written() -> None:
    with pytest.raises(RobustlibError, match=f"above {MAX_BYTES}; store counts, not samples"):
        dumps(replace(RECORD, series={"loss": [float(i) for i in range(20_000)]}))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_not_written(number: float) -> None:
    with pytest.raises(RobustlibError, match="holds NaN or infinity; nothing was filed"):
        dumps(replace(RECORD, metrics={"final_loss": Metric(number, 5, unit="nats")}))


def first_edition() -> str:
    """The record as schema 1 wrote it: the network twice, every value on lines of its own."""
    content = json.loads(TEXT)
    content |= {"schema": 1, "training": content["evaluation"]["subject"]}
    return json.dumps(content, sort_keys=True, indent=1) + "\n"


def test_a_record_of_the_first_schema_is_the_same_record(tmp_path: Path) -> None:
    assert loads(first_edition()) == RECORD
    old, new = tmp_path / "a" / "old.json", tmp_path / "new.json"
    old.parent.mkdir()
    old.write_text(first_edition())
    new.write_text(TEXT)
    assert migrate(tmp_path) == 1
    assert old.read_text() == new.read_text() == TEXT
    assert migrate(tmp_path) == 0


# Files that must not be read ----------------------------------------------------------------------------------

BROKEN: list[tuple[str, str]] = [
    ("", "not complete JSON"),
    ("   \n", "not complete JSON"),
    (TEXT[: len(TEXT) // 2], "not complete JSON"),
    (TEXT[:-3], "not complete JSON"),
    (TEXT.replace(":", ";", 1), "not complete JSON"),
    (TEXT + TEXT, "not complete JSON"),
    ("<html>404</html>", "not complete JSON"),
    ("[" * 50_000, "not complete JSON"),
    ('{"schema": 2, "n": ' + "9" * 5_000 + "}", "not complete JSON"),
    (TEXT.replace('"wall_s":1.0', '"wall_s":NaN'), "NaN is not a number"),
    (TEXT + " " * MAX_BYTES, f"above {MAX_BYTES}"),
    ("[]", "schema 'list', this version reads 2; migrate it"),
    ("null", "schema 'NoneType'"),
    ("{}", "schema None"),
    (edited(lambda c: c.update(schema=3)), "schema 3, this version reads 2"),
    (edited(lambda c: c.update(schema=1, training={"type": "Network"})), "schema 1, this version reads 2"),
    (edited(lambda c: c.update(schema=1)), "schema 1, this version reads 2"),
    (edited(lambda c: c.update(schema="1")), "schema '1'"),
    (edited(lambda c: c.pop("commit")), r"missing fields \['commit'\], unknown fields \[\]"),
    (edited(lambda c: c.update(comit="x")), r"missing fields \[\], unknown fields \['comit'\]"),
    (edited(lambda c: c.update(path="x")), r"unknown fields \['path'\]"),
    (edited(lambda c: c["metrics"]["accuracy"].update(value=0.7)), "outside its interval|does not equal its outcomes"),
    (edited(lambda c: c["metrics"]["accuracy"].update(value=0.68)), "accuracy 0.68 does not equal its outcomes' share"),
    (edited(lambda c: c["metrics"]["accuracy"].update(value=66.7)), "is not a fraction"),
    (edited(lambda c: c["metrics"]["accuracy"].update(value="0.7")), "does not validate"),
    (edited(lambda c: c["metrics"]["accuracy"].update(low=0.9)), "outside its interval"),
    (edited(lambda c: c["metrics"]["accuracy"].update(high=0.1)), "outside its interval"),
    (edited(lambda c: c["metrics"]["accuracy"].update(n=59)), "accuracy of 59 points has 60 outcomes"),
    (edited(lambda c: c["metrics"]["accuracy"].update(n=0)), "n = 0"),
    (edited(lambda c: c["metrics"]["accuracy"].update(points=3)), "unexpected keyword argument 'points'"),
    (edited(lambda c: c.update(metrics=[])), "does not validate"),
    (edited(lambda c: c.update(metrics={})), "it has no metrics"),
    (edited(lambda c: c["outcomes"].update(correct=pack(np.ones(60, bool)))), "does not equal its outcomes"),
    (edited(lambda c: c["outcomes"].update(correct="0:")), "has 0 outcomes"),
    (edited(lambda c: c["outcomes"].update(correct="60:AAAA")), "has 3 bytes, which is not 60 bits"),
    (edited(lambda c: c["outcomes"].update(correct="60:!!!")), "does not validate"),
    (edited(lambda c: c["outcomes"].update(correct="sixty")), "does not validate"),
    (edited(lambda c: c["outcomes"].update(correct=7)), "does not validate"),
    (edited(lambda c: c.update(evaluation=5)), "evaluation is of type int, not dict"),
    (edited(lambda c: c["evaluation"].pop("measurement")), "evaluation has no complete measurement"),
    (edited(lambda c: c["evaluation"].update(subset={"type": "Subset"})), "evaluation has no complete subset"),
    (edited(lambda c: c["dataset"].pop("digest")), "dataset has no name or no digest"),
    (edited(lambda c: c["dataset"].pop("inexact")), "counts inexact rows as None"),
    (edited(lambda c: c["dataset"].update(inexact={"test": -1})), "counts inexact rows"),
    (edited(lambda c: c.update(wall_s="fast")), "wall_s is of type str, not float"),
    (edited(lambda c: c.update(deviations="none")), "deviations is of type str, not list"),
    (edited(lambda c: c.update(training_key="short")), "training_key 'short' is not 16 hex digits"),
    (edited(lambda c: c.update(evaluation_key="../../../../etc/")), "is not 16 hex digits"),
]


@pytest.mark.parametrize(("text", "words"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_record_is_refused_with_its_name(text: str, words: str) -> None:
    with pytest.raises(RobustlibError, match=words) as caught:
        loads(text, path="results/smoke/net/pgd.json")
    assert str(caught.value).startswith("results/smoke/net/pgd.json")
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_and_folders_are_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(RobustlibError, match=r"^bad.json cannot be read .*delete it and run again"):
        read(bad, root=tmp_path)
    (tmp_path / "folder.json").mkdir()
    for name in ("folder.json", "absent.json"):
        with pytest.raises(RobustlibError, match=f"^{name} cannot be read"):
            read(tmp_path / name, root=tmp_path)


def test_a_record_knows_where_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "results/smoke/net/pgd.json"
    write_atomically(path, TEXT.encode())
    assert read(path, root=tmp_path).path == "results/smoke/net/pgd.json"
    assert read(path) == RECORD


# Writing ------------------------------------------------------------------------------------------------------


def left_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_writing_makes_folders_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "x.json"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert left_in(path.parent) == {"x.json": b"new"}


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"old")

    def full(*arguments: Any, **options: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if step == "write":
        real = open

        def open_full(name: Any, mode: str = "r", **options: Any) -> Any:
            handle = real(name, mode, **options)
            handle.close()
            return full()

        monkeypatch.setattr("builtins.open", open_full)
    else:
        monkeypatch.setattr(f"robustlib.files.os.{step}", full)
    with pytest.raises(RobustlibError, match=r"cannot write .*x\.json: No space left on device; free some space"):
        write_atomically(path, b"new")
    monkeypatch.undo()
    assert left_in(tmp_path) == {"x.json": b"old"}


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file where a folder should be")
    for action in (lambda path: write_atomically(path, b"new"), lambda path: lock(path).__enter__()):
        with pytest.raises(RobustlibError, match=r"cannot (write|lock) .*x\.json: .*; make its folder writable"):
            action(tmp_path / "results" / "x.json")


KILLED = """
import os, signal, sys
from pathlib import Path
from robustlib import files
files.os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
files.write_atomically(Path(sys.argv[1]), b"new")
"""


def test_a_kill_between_writing_and_renaming_leaves_the_old_file(tmp_path: Path, root: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=root, check=False)
    assert done.returncode == -9
    assert path.read_bytes() == b"old"
    # What the killed process left is not taken for a record, and the next write is not disturbed by it.
    assert list(tmp_path.glob("*.json")) == [path]
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


def test_committed_records_are_of_this_schema(root: Path) -> None:
    assert [path for path in (root / "results").rglob("*.json") if f'"schema":{SCHEMA}' not in path.read_text()] == []
