"""Rows as Markdown tables, and the rows that are kept beside the benchmark."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from robustlib.experiments.provenance import device_name, versions

Row = dict[str, Any]
EXTENSIONS = {"avx512_bf16": "AVX512 bf16", "amx_bf16": "AMX bf16", "avx512_fp16": "AVX512 fp16"}
"""Flags of /proc/cpuinfo, and what a row's machine says of them."""
GOALS: dict[str, dict[str, float]] = {
    "FGSM": {"": 1.05},
    "PGD-40": {"AMD": 0.45, "Intel": 0.75},
    "PGD-40 x 20 restarts": {"AMD": 0.4, "Intel": 0.7},
    "MI-FGSM-20": {"AMD": 0.45, "Intel": 0.75},
    "APGD-40": {"AMD": 0.45, "Intel": 0.75},
    "C&W l2, 40 steps": {"": 1.25},
    "PGD-10 training step, SmallCNN": {"": 0.7},
    "TRADES-10 training step, SmallCNN": {"": 0.65},
}
"""What this project set itself for robustlib by work and maker of the processor, at most: of the floor's time or, of a
training step, of the published loop's."""
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


def goal(row: Row) -> float | None:
    """What was asked of robustlib's row on its processor."""
    goals = GOALS.get(row["work"], {}) if row["library"] == "robustlib" else {}
    return next((value for maker, value in goals.items() if maker in row.get("device", "")), None)


def table(rows: Sequence[Row]) -> str:
    """A Markdown table; what a row does not have stays empty."""
    rows = [row | {"asked": goal(row)} if "work" in row else row for row in rows]
    columns = [column for column in (*COLUMNS, "peak_mb") if any(row.get(column) is not None for row in rows)]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in rows:
        lines.append("| " + " | ".join("" if row.get(c) is None else str(row[c]) for c in columns) + " |")
    return "\n".join(lines) + "\n"


def machine() -> Row:
    """Processor, with the narrow arithmetic that it has, threads and versions: what ratios still depend on."""
    name, flags = device_name(torch.device("cpu")), ""
    with contextlib.suppress(OSError):
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    narrow = [shown for flag, shown in EXTENSIONS.items() if re.search(rf"\b{flag}\b", flags)]
    return {"device": name.replace(",", f" ({', '.join(narrow)}),", 1) if narrow else name} | versions()


def merged(earlier: Sequence[Row], rows: Sequence[Row]) -> list[Row]:
    """The earlier rows, but for those of the same works on the same machine, and the new ones; by work."""
    new = {(row["work"], row["device"]) for row in rows}
    kept = [row for row in earlier if (row["work"], row["device"]) not in new] + list(rows)
    order = {work: place for place, work in enumerate(dict.fromkeys(row["work"] for row in kept))}
    return sorted(kept, key=lambda row: (order[row["work"]], row["device"]))


def keep(rows: Sequence[Row], folder: Path) -> None:
    """Put ``rows`` in place of the same machine's of their works in ``attacks.json``; ``attacks.md`` shows them all."""
    path = folder / "attacks.json"
    kept = merged(json.loads(path.read_text(encoding="utf-8")) if path.exists() else [], rows)
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    parts = ["# Attacks side by side\n\nWritten by `python -m benchmarks.attacks --out benchmarks`; see README.md.\n"]
    for work, of_work in itertools.groupby(kept, key=lambda row: row["work"]):
        parts.append(f"## {work}\n")
        for device, group in itertools.groupby(of_work, key=lambda row: row["device"]):
            chosen = list(group)
            parts.append(f"{device}, torch {chosen[0]['torch']}, {chosen[0].get('rounds') or 1} rounds\n")
            parts.append(
                table([{k: v for k, v in row.items() if k != "work"} | {"asked": goal(row)} for row in chosen])
            )
    (folder / "attacks.md").write_text("\n".join(parts), encoding="utf-8")
