"""What changed since an edition is computed from records."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from robustlib.book.changes import Changes, difference, digest, edition, editions, page, write
from robustlib.errors import RobustlibError
from robustlib.experiments.store import Store
from tests.experiments.tiny import CLEAN, FGSM, fabricate, file


def test_added_gone_and_changed_records_are_told_apart() -> None:
    old = {"quick/a/x.json": ["1", "a"], "quick/a/y.json": ["2", "b"], "quick/b/z.json": ["3", "c"]}
    new = {"quick/a/x.json": ["1", "a*"], "quick/a/y.json": ["9", "b2"], "full/c/w.json": ["4", "d"]}
    assert difference(old, new) == Changes(
        added=("full/c/w.json",), gone=("quick/b/z.json",), moved=("quick/a/y.json",)
    )
    assert difference(old, old) == Changes((), (), ())


def test_a_digest_is_of_what_was_found_and_not_of_when() -> None:
    record = fabricate(CLEAN, "quick")
    assert digest(record) == digest(replace(record, wall_s=record.wall_s + 1, commit="other"))
    name = next(iter(record.metrics))
    moved = replace(record.metrics[name], value=record.metrics[name].value / 2)
    assert digest(record) != digest(replace(record, metrics={**record.metrics, name: moved}))


def test_the_page_says_what_came_after_an_edition(tmp_path: Path) -> None:
    file(tmp_path, CLEAN, "quick")
    first = edition(Store(tmp_path))
    assert len(first) == 1
    assert "No edition" in page(tmp_path, Store(tmp_path))
    assert json.loads(write(tmp_path, "0.2.0").read_text()) == first
    assert "1 records now, 1 then: 0 new, 0 changed, 0 gone." in page(tmp_path, Store(tmp_path))
    file(tmp_path, FGSM, "quick")
    write(tmp_path, "0.10.0")
    assert [path.stem for path in editions(tmp_path)] == ["0.2.0", "0.10.0"]
    text = page(tmp_path, Store(tmp_path))
    assert text.index("## Since 0.10.0") < text.index("## Since 0.2.0")
    assert "2 records now, 1 then: 1 new, 0 changed, 0 gone." in text


def test_editions_do_not_change_and_have_numbers(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    write(tmp_path, "1.0.dev1")
    with pytest.raises(RobustlibError, match="do not change"):
        write(tmp_path, "1.0.dev1")
    with pytest.raises(RobustlibError, match="such as 0"):
        write(tmp_path, "../x")
