"""The record pages of the book: one for each trained network, with every measurement of it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from ..catalogue import plan
from ..catalogue.base import find_item
from ..experiments import profiles
from ..experiments.store import Store
from ..report.display import record_target
from ..spec.records import Record

SHOWN = 16
"""Numbers of a record on its page."""


def _record_section(record: Record, item: str | None, tables: Mapping[str, str], *, committed: bool) -> str:
    name = Path(record.path).name
    measurement = record.evaluation["measurement"]
    settings = json.dumps({**measurement, "source": _source(measurement.get("source"))}, ensure_ascii=False)
    subset = record.evaluation["subset"]
    points = "whole split" if subset["n"] is None else f"{subset['n']:,} class-balanced points, seed {subset['seed']}"
    lines = [
        f"({record_target(record.path)})=",
        f"## {name.removesuffix('.json')}",
        "",
        f"- settings: `{settings}`",
        f"- points: {subset['split']} split, {points}",
        f"- evaluation key `{record.evaluation_key}`, {record.created}, {record.wall_s:g} s, {record.device}",
        "- of a protocol that this edition no longer runs"
        if item is None
        else f"- to make it again: `robustlib run {item} --profile {record.profile} --recompute "
        f"--only {record.evaluation_key}`"
        + (f"; or, of the committed weights and without training, `robustlib verify {item}`" if committed else ""),
        *([f"- shown in: [{find_item(item).title}](#table-{tables[item]})"] if item and item in tables else []),
        f"- file: {{download}}`{record.path} <../{record.path}>`",
        "",
        *_metrics(record),
    ]
    return "\n".join(lines)


def _metrics(record: Record) -> list[str]:
    """A line for each number, the first of many; the file has the rest."""
    lines = ["| measured | value | 95 % interval | unit | n |", "|---|---|---|---|---|"]
    for label, metric in list(record.metrics.items())[:SHOWN]:
        ends = "" if metric.low is None else f"{metric.low:.4g} to {metric.high:.4g}"
        lines.append(f"| {label} | {metric.value:.6g} | {ends} | {metric.unit} | {metric.n:,} |")
    if len(record.metrics) > SHOWN:
        lines += ["", f"{len(record.metrics) - SHOWN} more are in the file."]
    return lines


def _source(source: object) -> object:
    return {"training": source} if isinstance(source, dict) else source


def record_page(
    records: Sequence[Record], items: Mapping[str, str], tables: Mapping[str, str], committed: Collection[str] = ()
) -> str:
    """The page of one network in one profile: how it was made, then each measurement of it.

    Args:
        records: of the network in that profile, at least one.
        items: by evaluation key, the item to run for it.
        tables: by item, the name of its table in a chapter.
        committed: beginnings of the training keys whose weights are in the repository.
    """
    first = records[0]
    network = Path(first.path).parent.name
    inexact = sum(first.dataset["inexact"].values())
    findings = [f"- finding: {text}" for text in first.findings]
    deviations = sorted({text for record in records for text in record.deviations if text.startswith("subject")})
    head = [
        f"# {network} ({first.profile})",
        "",
        f"- training key `{first.training_key}`, weights `{first.weights_digest[:16]}`",
        f"- data: {first.dataset['name']}, digest `{first.dataset['digest'][:16]}`, "
        + ("official bytes" if not inexact else f"{inexact} rows are not the official bytes"),
        f"- training: {first.training_s:g} s, {first.training_cpu_s:g} s of processor time",
        f"- code: commit `{first.commit[:12]}`, source `{first.source_digest}`; "
        + ", ".join(f"{name} {version}" for name, version in first.versions.items()),
        *findings,
        "",
        "Departures from the paper's training:" if deviations else "Trained as in the paper.",
        "",
        *(f"- {text.removeprefix('subject.')}" for text in deviations),
        "",
        "```{code-block} json",
        json.dumps(first.training, indent=1, ensure_ascii=False),
        "```",
        "",
    ]
    kept = first.training_key[:8] in committed
    sections = [_record_section(record, items.get(record.evaluation_key), tables, committed=kept) for record in records]
    return "\n".join(head) + "\n" + "\n\n".join(sections) + "\n"


def write_records(destination: Path, store: Store, names: Iterable[str], tables: Mapping[str, str]) -> None:
    """One page a network and profile, and their index."""
    destination.mkdir(parents=True, exist_ok=True)
    committed = {path.stem[-8:] for path in (store.root / "weights").glob("*.safetensors")}
    index = ["# Records", "", "Each page is one trained network: how it was made, and every measurement of it.", ""]
    for profile in names:
        items = plan.makers(profile)
        groups: dict[str, list[Record]] = {}
        for record in store.records(profile):
            groups.setdefault(Path(record.path).parent.name, []).append(record)
        if groups:
            index += [
                f"## {profile}",
                "",
                profiles.profile(profile).note + ".",
                "",
                "| network | records |",
                "|---|---|",
            ]
        for network, group in groups.items():
            stem = f"{profile}-{network}"
            (destination / f"{stem}.md").write_text(record_page(group, items, tables, committed), encoding="utf-8")
            index.append(f"| [{network}]({stem}.md) | {len(group)} |")
        index.append("")
    (destination / "index.md").write_text("\n".join([*index, ""]), encoding="utf-8")
