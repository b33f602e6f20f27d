"""The plan as digests: what every item shows, measures in each profile, claims and exports, and each figure's alt text.

    python -m tests.golden.plan_lock      # rewrites plan.json; commit it with the reason why the plan moved

A refactoring leaves plan.json as it is, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from robustlib.catalogue.base import Cell, Predicate, items
from robustlib.catalogue.plan import cells_of, evaluations, job_of, predicates_of, released
from robustlib.environment import repository
from robustlib.experiments import profiles
from robustlib.experiments.runner import Job
from robustlib.experiments.store import Store
from robustlib.report.join import rows
from robustlib.report.tables import to_json
from robustlib.spec.keys import key

FILE = Path(__file__).with_name("plan.json")


def digest(content: Any) -> str:
    """12 hex digits of plain JSON data."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def described(cell: Cell) -> list[Any]:
    """What a cell says, with the keys of the paper's own evaluations."""
    # Named only where there is any: cells without stay as they were locked.
    theirs = [[*map(key, cell.released), cell.released_open, cell.released_batch]] if cell.released else []
    published = cell.published and [cell.published.id, cell.published.text, cell.published.verified]
    return [
        cell.item, cell.row, cell.column, published, cell.metric, cell.scale, cell.offset, cell.unit, cell.note,
        cell.protocol_known, cell.unavailable, cell.derived and cell.derived(), cell.spread, cell.distribution,
        list(map(key, cell.evaluations)), [[factor.name, *map(key, factor.evaluations)] for factor in cell.ablation],
        *theirs,
    ]  # fmt: skip


def _run(job: Job | None, profile: str) -> list[str] | None:
    """Key, home and deviations of what a profile runs."""
    return None if job is None else [key(job.evaluation), job.home(profile), *job.deviations]


def _claim(claim: Predicate) -> list[Any]:
    return [claim.item, claim.text, list(map(key, claim.needs))]


def plan_of_item(item: str, store: Store) -> dict[str, str]:
    """Digests of one item: cells, claims, what each profile runs of both, and the JSON export."""
    cells, claims = cells_of(item), predicates_of(item)
    found = {"cells": digest(list(map(described, cells))), "claims": digest(list(map(_claim, claims)))}
    for name in profiles.NAMES:
        found[name] = digest(
            [
                [[_run(job, name) for job in (*evaluations(cell, name), *released(cell, name))] for cell in cells],
                [[_run(job_of(full, name), name) for full in claim.needs] for claim in claims],
            ]
        )
    shown = rows(item, profiles.BEST, store)
    found["export"] = digest(json.loads(to_json(shown)) if shown else [])
    return found


def alternatives(notebook: Path) -> list[str]:
    """Alt texts of an executed notebook's figures, in order."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    texts = [output.get("metadata", {}).get("image/png", {}).get("alt") for output in outputs]
    return [text for text in texts if text]


def plan(root: Path) -> dict[str, Any]:
    """The whole plan of a checkout."""
    store = Store(root)
    return {
        "items": {item.id: plan_of_item(item.id, store) for item in items()},
        "figures": {path.stem: digest(alternatives(path)) for path in sorted((root / "notebooks").glob("*.ipynb"))},
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(plan(repository()), indent=1) + "\n", encoding="utf-8")
