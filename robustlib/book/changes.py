"""What changed since an edition: records then and now, compared.

    python -m robustlib.book.changes VERSION    writes book/editions/VERSION.json from the records at hand

An edition is a list of records with a digest and one line of each, so that it can be compared whatever became of
the files since. Smoke records are left out: no page shows them.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..environment import repository
from ..errors import RobustlibError
from ..experiments.profiles import FAITHFUL_FIRST
from ..experiments.runner import headline
from ..experiments.store import Store
from ..report.display import record_target
from ..spec.records import Record

FOLDER = "book/editions"
VERSION = re.compile(r"\d+(?:\.\d+)*(?:\.dev\d+)?")
Edition = Mapping[str, Sequence[str]]
"""Path of each record: its digest, and what it says in a line."""


@dataclass(frozen=True)
class Changes:
    """Paths of records that are new, gone, or say something else."""

    added: tuple[str, ...]
    gone: tuple[str, ...]
    moved: tuple[str, ...]


def digest(record: Record) -> str:
    """Twelve hex digits over what was found: metrics, outcomes and weights, whatever the file looks like."""
    metrics = {name: (metric.value, metric.n) for name, metric in record.metrics.items()}
    found = json.dumps([record.weights_digest, metrics, record.outcomes], sort_keys=True, default=str)
    return hashlib.sha256(found.encode()).hexdigest()[:12]


def edition(store: Store) -> dict[str, list[str]]:
    """The records at hand, as an edition holds them."""
    return {r.path: [digest(r), headline(r)] for name in FAITHFUL_FIRST for r in store.records(name)}


def difference(old: Edition, new: Edition) -> Changes:
    """What separates two editions; a record is the same as long as its digest is."""
    return Changes(
        added=tuple(sorted(new.keys() - old.keys())),
        gone=tuple(sorted(old.keys() - new.keys())),
        moved=tuple(sorted(path for path in old.keys() & new.keys() if old[path][0] != new[path][0])),
    )


def editions(root: Path) -> list[Path]:
    """Files of the editions, oldest first."""
    return sorted((root / FOLDER).glob("*.json"), key=lambda p: tuple(map(int, re.findall(r"\d+", p.stem))))


def _section(version: str, old: Edition, new: Edition) -> list[str]:
    changes = difference(old, new)
    told = f"{len(new)} records now, {len(old)} then: {len(changes.added)} new, {len(changes.moved)} changed, "
    parts = [f"## Since {version}", "", f"{told}{len(changes.gone)} gone.", ""]
    if changes.added:
        networks = Counter(path.rpartition("/")[0].removeprefix("results/") for path in changes.added)
        parts += ["| new records | number |", "|---|---|"]
        parts += [f"| {name} | {count} |" for name, count in sorted(networks.items())] + [""]
    if changes.moved:
        parts += ["| changed record | then | now |", "|---|---|---|"]
        parts += [
            f"| [{Path(path).stem}](#{record_target(path)}) | {old[path][1]} | {new[path][1]} |"
            for path in changes.moved
        ] + [""]
    if changes.gone:
        parts += ["Gone:", "", *(f"- `{path}`: {old[path][1]}" for path in changes.gone), ""]
    return parts


def page(root: Path, store: Store) -> str:
    """One section an edition, newest first; MyST."""
    new = edition(store)
    parts: list[str] = []
    for path in reversed(editions(root)):
        parts += _section(path.stem, json.loads(path.read_text(encoding="utf-8")), new)
    return "\n".join(parts) + "\n" if parts else "No edition has been published yet.\n"


def write(root: Path, version: str) -> Path:
    """Keep the records at hand as an edition.

    Raises:
        RobustlibError: no version number, or an edition that is there: editions do not change.
    """
    if not VERSION.fullmatch(version):
        raise RobustlibError(f"version {version!r} is none; give numbers with points, such as 0.2.0")
    path = root / FOLDER / f"{version}.json"
    if path.exists():
        raise RobustlibError(f"edition {version} is there already, and editions do not change; give a new version")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(edition(Store(root)), indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m robustlib.book.changes VERSION")
    try:
        print(write(repository(), sys.argv[1]).relative_to(repository()))
    except RobustlibError as fault:
        sys.exit(str(fault))
