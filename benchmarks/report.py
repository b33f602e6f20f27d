"""Rows as Markdown tables, and the rows that are kept beside the benchmark."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]
COLUMNS = (
    "work",
    "library",
    "ratio_to_floor",
    "ratio_to_loop",
    "asked",
    "robust_accuracy",
    "success",
    "mean_distance",
    "robustlib_there",
    "robustlib_higher_by",
    "noise",
    "points",
)


def table(rows: Sequence[Row]) -> str:
    """A Markdown table; what a row does not have stays empty."""
    columns = [column for column in (*COLUMNS, "peak_mb") if any(row.get(column) is not None for row in rows)]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in rows:
        lines.append("| " + " | ".join("" if row.get(c) is None else str(row[c]) for c in columns) + " |")
    return "\n".join(lines) + "\n"


def keep(rows: Sequence[Row], folder: Path) -> None:
    """Put the works in ``rows`` in place of their earlier rows in ``attacks.json``; ``attacks.md`` shows them all."""
    path = folder / "attacks.json"
    earlier: list[Row] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    new = {row["work"] for row in rows}
    kept = [row for row in earlier if row["work"] not in new] + list(rows)
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    parts = ["# Attacks side by side\n\nWritten by `python -m benchmarks.attacks --out benchmarks`; see README.md.\n"]
    for work in dict.fromkeys(row["work"] for row in kept):
        chosen = [row for row in kept if row["work"] == work]
        first = chosen[0]
        parts.append(f"## {work}\n\n{first['device']}, torch {first['torch']}, {first.get('rounds') or 1} rounds\n")
        parts.append(table([{k: v for k, v in row.items() if k != "work"} for row in chosen]))
    (folder / "attacks.md").write_text("\n".join(parts), encoding="utf-8")
