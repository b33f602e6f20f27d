"""The record pages of the book: one for each paper and profile, with an anchor for each record."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from ..catalogue import plan
from ..catalogue.base import find_item, papers
from ..experiments import profiles
from ..experiments.store import Store
from ..report.display import record_target
from ..report.forms import myst_escape
from ..spec.keys import key
from ..spec.records import Record
from .cards import settings_text, threat_text

SHOWN = 16
"""Numbers of a record on its page."""
EARLIER = "earlier"
"""Page of networks that no paper's plan contains any more."""


def _folded(summary: str, lines: Iterable[str]) -> list[str]:
    """Lines of MyST that unfold from a summary."""
    return [f'<details class="specification"><summary>{summary}</summary>', "", *lines, "", "</details>", ""]


def _listing(values: Mapping[str, object]) -> list[str]:
    """A block with a line for each value; as plain text, since coloured JSON makes pages five times as long."""
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()]
    return ["```{code-block} text", *lines, "```"]


ATTACKS = {
    "Pgd": "PGD",
    "Fgsm": "FGSM",
    "MiFgsm": "MI-FGSM",
    "Jsma": "JSMA",
    "Fab": "FAB",
    "Lbfgs": "L-BFGS",
    "DeepFool": "DeepFool",
}
"""Names of attacks that are no words."""
_HEADLINES = ("accuracy", "bound", "broken", "final_loss")
"""Metrics of which a heading has the first that is there."""
_COUNTED = ("steps", "restarts", "queries", "runs", "starts", "samples")
"""Settings that a heading names, where they are not 1."""


def heading(record: Record) -> str:
    """What was measured, and its main number: ``PGD, 40 steps, ℓ∞ 0.3: accuracy 95.5 %``."""
    asked = record.evaluation["measurement"]
    attack = asked.get("attack") or {}
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", asked["type"]).capitalize()
    by = ATTACKS.get(attack.get("type", ""), re.sub(r"(?<=[a-z])(?=[A-Z])", " ", attack.get("type", "")))
    name = by if asked["type"] == "Accuracy" else ", ".join(filter(None, (kind, by)))
    settings = {**asked, **attack}
    counts = [
        f"{settings[count]:,} {count}"
        for count in _COUNTED
        if isinstance(settings.get(count), int) and settings[count] > 1
    ]
    ball = threat_text(asked)
    told = ", ".join([name, *counts, *([ball] if ball != "none" else [])]) + settings_text(asked)
    label = next((name for name in _HEADLINES if name in record.metrics), "")
    if not label:
        return told
    metric = record.metrics[label]
    value = f"{100 * metric.value:.1f} %" if metric.unit == "fraction" else f"{metric.value:.4g} {metric.unit}"
    return f"{told}: {label.replace('_', ' ')} {value}"


def _record_section(
    record: Record, item: str | None, tables: Mapping[str, str], told: Collection[str], *, committed: bool
) -> list[str]:
    """A record's part of its network's; ``told``: findings that stand above."""
    name = Path(record.path).stem
    subset = record.evaluation["subset"]
    split = f"{subset['split']} split"
    balanced = (
        "" if subset["n"] is None else f"{subset['n']:,} class-balanced points of the {split}, seed {subset['seed']}"
    )
    specification = [
        *_again(record, item, committed=committed),
        "",
        *_listing(record.evaluation["measurement"]),
        "",
        f"- evaluation key `{record.evaluation_key}`, {record.created}, {record.wall_s:g} s, "
        f"{record.device}{_arithmetic(record)}",
        f"- file: {{download}}`{record.path} <../{record.path}>`",
    ]
    shown = f"; shown in [{find_item(item).title}](#table-{tables[item]})" if item and item in tables else ""
    return [
        f"({record_target(record.path)})=",
        f"### {myst_escape(heading(record))}",
        "",
        f"{balanced or f'Whole {split}'}, {record.wall_s:.3g} s{shown}; `{name}`.",
        "",
        *_findings(text for text in record.findings if text not in told),
        *_metrics(record),
        "",
        *_folded("Make it again; settings, key and file", specification),
    ]


def _arithmetic(record: Record) -> str:
    """In which precision and memory layout the network was searched and trained, where the record says so."""
    return "".join(f"; {part} in {' and '.join(used)}" for part, used in sorted(record.arithmetic.items()))


def _again(record: Record, item: str | None, *, committed: bool) -> list[str]:
    """A block with the commands that make the record again, to be copied."""
    if item is None:
        return ["Of a protocol that this edition no longer runs."]
    run = f"robustlib run {item} --profile {record.profile} --recompute --only {record.evaluation_key}"
    verify = ["# or, of its weights and without training:", f"robustlib verify {item} --profile {record.profile}"]
    return ["```bash", run, *(verify if committed else []), "```"]


def _findings(texts: Iterable[str]) -> list[str]:
    lines = [f"- finding: {text}" for text in texts]
    return [*lines, ""] if lines else []


def _metrics(record: Record) -> list[str]:
    """A line for each number, the first of many; the file has the rest."""
    lines = ["| measured | value | 95 % interval | unit | n |", "|---|---|---|---|---|"]
    for label, metric in list(record.metrics.items())[:SHOWN]:
        ends = "" if metric.low is None else f"{metric.low:.4g} to {metric.high:.4g}"
        lines.append(f"| {label} | {metric.value:.6g} | {ends} | {metric.unit} | {metric.n:,} |")
    if len(record.metrics) > SHOWN:
        lines += ["", f"{len(record.metrics) - SHOWN} more are in the file."]
    return lines


def _anchor(profile: str, network: str) -> str:
    return record_target(f"{profile}/{network}").replace("record-", "network-", 1)


def network_section(
    records: Sequence[Record], items: Mapping[str, str], tables: Mapping[str, str], committed: Collection[str] = ()
) -> str:
    """One network in one profile: how it was made, then each measurement of it.

    Args:
        records: of the network in that profile, at least one.
        items: by evaluation key, the item to run for it.
        tables: by item, the name of its table in a chapter.
        committed: beginnings of the training keys whose weights are in the repository.
    """
    first = records[0]
    network = Path(first.path).parent.name
    inexact = sum(first.dataset["inexact"].values())
    deviations = sorted({text for record in records for text in record.deviations if text.startswith("subject")})
    code = [
        f"- code: commit `{first.commit[:12]}`, source `{first.source_digest}`; "
        + ", ".join(f"{name} {version}" for name, version in first.versions.items()),
        "",
    ]
    known = [
        f"- training key `{first.training_key}`, weights `{first.weights_digest[:16]}`",
        f"- data: {first.dataset['name']}, digest `{first.dataset['digest'][:16]}`, "
        + ("official bytes" if not inexact else f"{inexact} rows are not the official bytes"),
    ]
    file = first.training["defence"].get("file", "")
    training = [
        *known,
        f"- training: {first.training_s:g} s, {first.training_cpu_s:g} s of processor time",
        *code,
        "Departures from the paper's training:" if deviations else "Trained as in the paper.",
        "",
        *(f"- {text.removeprefix('subject.')}" for text in deviations),
        "",
        *_listing(first.training),
    ]
    released = [
        *known,
        f"- released by its authors as `{file}`, and no part of this repository: `robustlib weights fetch "
        f"{Path(file).stem}` gets it, its SHA-256 is `{first.training['defence'].get('sha256', '')}`",
        *code,
        *_listing(first.training),
    ]
    kept = first.training_key[:8] in committed or bool(file)
    lines = [
        f"({_anchor(first.profile, network)})=",
        f"## {network}",
        "",
        *_findings(first.findings),
        *(_folded("Where it is from", released) if file else _folded("How it was trained", training)),
    ]
    for record in records:
        lines += _record_section(record, items.get(record.evaluation_key), tables, first.findings, committed=kept)
    return "\n".join(lines)


def _first_papers(profile: str) -> dict[str, str]:
    """First paper of the book whose plan has an evaluation, by the evaluation's key."""
    found: dict[str, str] = {}
    for paper in papers():
        for job in plan.jobs(plan.select([paper]), profile):
            found.setdefault(key(job.evaluation), paper)
    return found


def _by_paper(records: Iterable[Record], profile: str) -> dict[str, dict[str, list[Record]]]:
    """Records by paper, in the book's order, and by network; a network is listed under the first paper that has it.

    Args:
        records: of the profile.
        profile: its name.
    """
    first, order = _first_papers(profile), [*papers(), EARLIER]
    networks: dict[str, list[Record]] = {}
    for record in records:
        networks.setdefault(Path(record.path).parent.name, []).append(record)
    found: dict[str, dict[str, list[Record]]] = {name: {} for name in order}
    for network, group in networks.items():
        owner = min((first.get(record.evaluation_key, EARLIER) for record in group), key=order.index)
        found[owner][network] = group
    return {name: groups for name, groups in found.items() if groups}


def write_records(destination: Path, store: Store, names: Iterable[str], tables: Mapping[str, str]) -> None:
    """One page a paper and profile, and their index."""
    destination.mkdir(parents=True, exist_ok=True)
    committed = {path.stem[-8:] for path in (store.root / "weights").glob("*.safetensors")}
    titles = {name: paper.authors for name, paper in papers().items()} | {EARLIER: "Earlier protocols"}
    index = [
        "# Records",
        "",
        "Each page has the networks of one paper: how each was made, and every measurement of it.",
        "",
    ]
    for profile in names:
        items, note = plan.makers(profile), f"Profile {profile}: {profiles.profile(profile).note}."
        by_paper = _by_paper(store.records(profile), profile)
        if by_paper:
            index += [f"## {profile}", "", note, "", "| network | records |", "|---|---|"]
        for paper, networks in by_paper.items():
            stem = f"{profile}-{paper}"
            head = ["---", "tocdepth: 2", "---", "", f"# Records of {titles[paper]} ({profile})", "", note, "", ""]
            sections = [network_section(group, items, tables, committed) for group in networks.values()]
            (destination / f"{stem}.md").write_text("\n".join(head) + "\n".join(sections), encoding="utf-8")
            index.append(f"| **[{titles[paper]}]({stem}.md)** | {sum(map(len, networks.values()))} |")
            index += [f"| [{name}](#{_anchor(profile, name)}) | {len(group)} |" for name, group in networks.items()]
        index.append("")
    (destination / "index.md").write_text("\n".join([*index, ""]), encoding="utf-8")
