"""Accuracy of the committed networks under other libraries' attacks, beside our own records.

``benchmarks.independent`` measures it, where foolbox and torchattacks are installed; this page needs neither.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import RobustlibError
from ..experiments.store import Store, read_weights
from ..report.display import record_target
from ..report.soundness import covered, unsound
from ..spec.measurement import share
from ..spec.records import Metric, Record

FILE = "book/independent.json"
AGAIN = "run python -m benchmarks.independent --out book"
Row = dict[str, Any]


def read(root: Path, store: Store) -> list[tuple[Row, Record, Record]]:
    """Each row of the file, our record, and that record with the other library's outcomes in place of ours.

    Raises:
        RobustlibError: a row of no record, of other weights than the committed ones, or of other points.
    """
    path = root / FILE
    if not path.exists():
        return []
    committed = [read_weights(file)[1] for file in sorted((root / "weights").glob("*.safetensors"))]
    digests = {facts["training_key"]: facts["digest"] for facts in committed}
    ours = {record.path: record for record in store.records()}
    found = []
    for row in json.loads(path.read_text(encoding="utf-8")):
        record = ours.get(row["record"])
        if record is None or record.evaluation_key != row["evaluation_key"]:
            raise RobustlibError(f"{FILE}: there is no {row['record']} of evaluation {row['evaluation_key']}; {AGAIN}")
        wanted = digests.get(record.training_key, record.weights_digest)
        if not row["weights"] == record.weights_digest == wanted:
            raise RobustlibError(
                f"{FILE}: {row['library']} attacked weights {row['weights'][:16]}, {record.path} has "
                f"{record.weights_digest[:16]} and weights/ {wanted[:16]}; {AGAIN}"
            )
        theirs = replace(record, outcomes={"correct": row["standing"]}, path=f"{row['library']}'s {row['attack']}")
        if len(theirs.outcome()) != len(record.outcome()):
            raise RobustlibError(f"{FILE}: {row['library']} has other points than {record.path}; {AGAIN}")
        found.append((row, record, theirs))
    return found


def page(root: Path, store: Store) -> str:
    """One line a record, a column a library; then whether a certificate was broken. MyST.

    Raises:
        RobustlibError: as :func:`read`, or a certified point that a library broke inside its threat model.
    """
    found = read(root, store)
    if not found:
        return f"No other library was asked yet; {AGAIN}.\n"
    if faults := unsound([*store.records(), *(theirs for _, _, theirs in found)]):
        raise RobustlibError(f"{FILE}: {faults[0]}")
    libraries = {row["library"]: f"{row['library']} {row['version']}" for row, _, _ in found}
    lines = [
        "| network | attack | points | ours | " + " | ".join(libraries.values()) + " |",
        "|---|---|---|---|" + "---|" * len(libraries),
    ]
    for path in dict.fromkeys(record.path for _, record, _ in found):
        cells = {row["library"]: _cell(record, theirs) for row, record, theirs in found if record.path == path}
        row, record, _ = next(part for part in found if part[1].path == path)
        mine = _share(record.metrics["accuracy"]) + (", worst case" if _suite(record) else "")
        lines.append(
            f"| {Path(path).parent.name} | {_attack(row)} | {record.metrics['accuracy'].n:,} | "
            f"[{mine}](#{record_target(path)}) | " + " | ".join(cells.get(name, "not run") for name in libraries) + " |"
        )
    names = {theirs.path for _, _, theirs in found}
    pairs = [pair for pair in covered([*store.records(), *(part[2] for part in found)]) if pair[1].path in names]
    certified = sum(int(certificate.outcome("certified").sum()) for certificate, *_ in pairs)
    lines += [
        "",
        f"{len(pairs)} times an attack of a row stays inside the ball of a certificate of the same points: "
        f"{certified:,} certified points, counted each time, of which none was broken.",
    ]
    return "\n".join(lines) + "\n"


def _suite(record: Record) -> bool:
    return bool(record.evaluation["measurement"]["type"] == "WorstCase")


def _attack(row: Row) -> str:
    text = f"eps {row['eps']:g}, "
    if "steps" not in row:
        return text + "FGSM"
    start = "random start" if row["random_start"] else "from the input"
    return text + f"PGD, {row['steps']} steps of {row['step_size']:g}, {start}"


def _share(metric: Metric) -> str:
    assert metric.low is not None
    assert metric.high is not None
    return f"{metric.value:.1%} ({100 * metric.low:.1f} to {100 * metric.high:.1f})"


def _cell(record: Record, theirs: Record) -> str:
    """Accuracy and interval, points that one side alone broke, and a word where the intervals lie apart."""
    ours, standing = record.outcome(), theirs.outcome()
    left, mine = share(standing), record.metrics["accuracy"]
    alone = f"{int((ours & ~standing).sum())} / {int((standing & ~ours).sum())}"
    assert left.low is not None
    assert left.high is not None
    assert mine.low is not None
    assert mine.high is not None
    apart = "; **apart**" if left.low > mine.high or left.high < mine.low else ""
    return f"{_share(left)}; {alone}{apart}"
