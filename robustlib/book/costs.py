"""Cost of making the tables again: a command for each, processor time from records, GPU time by estimate."""

from __future__ import annotations

from collections.abc import Iterable

from ..catalogue import plan
from ..catalogue.base import items, papers
from ..experiments import profiles
from ..experiments.forecast import estimates
from ..experiments.progress import duration
from ..experiments.store import Store
from ..spec.keys import key
from ..spec.records import Record


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f}"


def costs(store: Store) -> str:
    """Measured processor time of every profile that has records."""
    lines = [
        "| paper | profile | records | networks | training, processor min | evaluation, processor min | device |",
        "|---|---|---|---|---|---|---|",
    ]
    for paper in papers():
        for name in profiles.NAMES:
            wanted = {key(job.evaluation) for job in plan.jobs(plan.select([paper]), name)}
            found = [r for r in store.records(name) if r.evaluation_key in wanted]
            if not found:
                continue
            networks = training_seconds(found)
            devices = ", ".join(sorted({r.device for r in found}))
            lines.append(
                f"| {short(paper)} | {name} | {len(found)} | {len(networks)} | "
                f"{_minutes(sum(networks.values()))} | {_minutes(sum(r.cpu_s for r in found))} | {devices} |"
            )
    for paper in papers():
        jobs = plan.jobs(plan.select([paper]), "full")
        left = [job.evaluation for job in jobs if store.find(job.evaluation, "full") is None]
        if left:
            seconds = {kind: sum(estimates(left, kind).values()) for kind in ("cuda", "cpu")}
            lines += [
                "",
                f"Of {short(paper)}'s full profile {len(left)} of {len(jobs)} evaluations are not run: by estimate "
                f"about {duration(seconds['cuda'])} on one GPU or {duration(seconds['cpu'])} of one processor core.",
            ]
    return "\n".join(lines) + "\n"


def short(paper: str) -> str:
    """``Madry et al. 2018``."""
    return papers()[paper].authors


def commands(store: Store) -> str:
    """One line an item: the command that measures it in the quick profile, and the time of that and the full profile.

    Args:
        store: the records.
    """
    lines = ["| item | command | processor min | GPU, full profile |", "|---|---|---|---|"]
    for item in (item for item in items() if not item.parent):
        jobs = plan.jobs([item], "quick")
        found = [store.find(job.evaluation, job.home("quick")) for job in jobs]
        spent = _spent(record for record in found if record is not None)
        seconds = sum(estimates([job.evaluation for job in plan.jobs([item], "full")], "cuda").values())
        measured = "not run" if None in found else _minutes(spent) if jobs else "computed"
        command = f"`robustlib run {item.id} --profile quick`"
        lines.append(
            f"| [{item.title}](../{papers()[item.paper].chapter}.ipynb), {item.number} | {command} | {measured} "
            f"| {duration(seconds) if seconds else 'none'} |"
        )
    return "\n".join(lines) + "\n"


def training_seconds(records: Iterable[Record]) -> dict[str, float]:
    """Processor seconds of each network's training, by its key.

    A record that was made from stored weights knows of no training and holds 0, so the greatest counts.
    """
    found: dict[str, float] = {}
    for record in records:
        found[record.training_key] = max(found.get(record.training_key, 0.0), record.training_cpu_s)
    return found


def _spent(records: Iterable[Record]) -> float:
    """Processor seconds of the measurements and of their networks, each once."""
    found = list(records)
    return sum(training_seconds(found).values()) + sum(r.cpu_s for r in found)
