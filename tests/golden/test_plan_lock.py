"""The plan is locked: what moves it says so in plan.json, which its own commit explains."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from robustlib.catalogue.plan import cells_of
from tests.golden import plan_lock

MADE_ANEW = "if that is meant, `python -m tests.golden.plan_lock` writes it anew; say why in the commit"


def test_the_plan_is_what_was_locked(root: Path) -> None:
    locked, now = json.loads(plan_lock.FILE.read_text(encoding="utf-8")), plan_lock.plan(root)
    moved = [f"figures of {name}" for name in locked["figures"] if now["figures"].get(name) != locked["figures"][name]]
    for item, parts in now["items"].items():
        known = locked["items"].get(item, {})
        moved += [f"{item}: {part}" for part, digest in parts.items() if known.get(part) != digest]
    moved += [f"{item} is gone" for item in locked["items"].keys() - now["items"].keys()]
    moved += [f"figures of {name} are new" for name in now["figures"].keys() - locked["figures"].keys()]
    assert not moved, f"the plan moved: {moved}; {MADE_ANEW}"


def test_the_lock_sees_one_moved_setting() -> None:
    cell = next(cell for cell in cells_of("madry2018/table-1") if cell.evaluations)
    first = replace(cell.evaluations[0], subset=replace(cell.evaluations[0].subset, seed=7))
    for other in (replace(cell, evaluations=(first, *cell.evaluations[1:])), replace(cell, scale=-cell.scale)):
        assert plan_lock.digest(plan_lock.described(other)) != plan_lock.digest(plan_lock.described(cell))
