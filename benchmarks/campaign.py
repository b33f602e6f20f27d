"""The long campaign: networks and measurements in the order of a committed queue, by one worker a core.

    python -m benchmarks.campaign run --root CLONE --cache FOLDER --time-budget 9000   # one worker; start one a core
    python -m benchmarks.campaign keep --cache FOLDER          # what is half done, into benchmarks/parts
    python -m benchmarks.campaign status --out benchmarks      # rewrites benchmarks/campaign.md

Each line of campaign.csv names networks and measurements by patterns, as the folders and files under results/ are
named. A worker takes the first line's first network that is neither done nor in another worker's hands, so that any
number of workers may start and stop at any time; a training that was stopped goes on from its checkpoint in the cache,
an evaluation from its part there, or on a new machine from the one that ``keep`` left in the repository.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import fcntl
import math
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

import torch

from robustlib.catalogue import plan
from robustlib.catalogue.base import items
from robustlib.environment import cache_root, repository
from robustlib.experiments.exchange import HALF_DONE, collect
from robustlib.experiments.forecast import estimates
from robustlib.experiments.profiles import BEST, LEVEL, OWN_PROTOCOL
from robustlib.experiments.progress import duration
from robustlib.experiments.runner import Interrupted, Job, run
from robustlib.experiments.store import Store
from robustlib.files import write_atomically
from robustlib.report import join
from robustlib.spec.evaluation import Evaluation
from robustlib.spec.keys import departures, is_recipe, key

QUEUE = Path(__file__).with_suffix(".csv")
PARTS = Path("benchmarks", "parts", "networks")
"""Below a repository: evaluations and trainings that are half done."""
LARGEST, LEAST_SECONDS = 4_000_000, 1_800
"""Bytes of a checkpoint there, at most, and processor time behind it, at least: of the simple CIFAR-10 network it is
kept; that of network A is too large, and minutes of training are sooner done again."""


@dataclass(frozen=True)
class Task:
    """One line of the queue: networks, their measurements, and the reason for its place."""

    profile: str
    networks: str
    measurements: str
    why: str


@dataclass(frozen=True)
class Part:
    """Work of one worker at a time: all wanted evaluations of one network."""

    task: Task
    network: str
    jobs: tuple[Job, ...]


def tasks() -> list[Task]:
    """The queue, first things first."""
    with QUEUE.open(newline="", encoding="utf-8") as lines:
        return [Task(**row) for row in csv.DictReader(lines)]


def parts(task: Task) -> list[Part]:
    """The task's networks in the order of their names.

    An evaluation that needs a network outside the task (a transfer's source) is left to the task that has both.
    """
    patterns, measured = task.networks.split(), task.measurements.split()
    found: dict[str, list[Job]] = {}
    for job in plan.jobs(plan.select([]), task.profile):
        names = [network.name for network in job.evaluation.lineage]
        ours = all(any(fnmatch(name, pattern) for pattern in patterns) for name in names)
        if ours and any(fnmatch(job.evaluation.name, pattern) for pattern in measured):
            found.setdefault(job.evaluation.subject.name, []).append(job)
    return [Part(task, name, tuple(found[name])) for name in sorted(found)]


def missing(part: Part, store: Store) -> list[Job]:
    """Evaluations of a part that have no record."""
    return missing_of(part.jobs, part.task.profile, store)


def missing_of(jobs: Iterable[Job], profile: str, store: Store) -> list[Job]:
    """Jobs under a profile that have no record."""
    return [job for job in jobs if store.find(job.evaluation, job.home(profile)) is None]


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Lock ``path`` in the block where no other process has; yields whether it did, and never waits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True


def _worth_keeping(checkpoint: Path) -> bool:
    if checkpoint.stat().st_size > LARGEST:
        return False
    return bool(torch.load(checkpoint, map_location="cpu", weights_only=True)["cpu_seconds"] >= LEAST_SECONDS)


def keep(root: Path, cache: Path) -> None:
    """Copy what is half done from the cache into the repository; drop what has a record, or weights, by now."""
    for path in sorted(path for kind in HALF_DONE for path in cache.glob(f"*{kind}")):
        if path.suffix == ".part" or _worth_keeping(path):
            write_atomically(root / PARTS / path.name, path.read_bytes())
    for path in (root / PARTS).glob("*.checkpoint"):
        if (cache / path.name).with_suffix(".safetensors").exists():
            path.unlink()
    store = Store(root)
    for part in (part for task in tasks() for part in parts(task)):
        left = missing(part, store)
        for job in part.jobs:
            if job not in left:
                (root / PARTS / f"{key(job.evaluation)}.part").unlink(missing_ok=True)


def step_back() -> None:
    """Take the lowest priority: where Linux shares the time among sessions first, a process's own says little."""
    os.nice(19)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text("19", encoding="ascii")


def work(root: Path, cache: Path, budget: float) -> None:
    """Go down the queue until it is done or the time is up."""
    torch.set_num_threads(1)
    if any((root / PARTS).glob("*")):
        collect((root / PARTS).parent, root, cache)
    began = time.monotonic()
    for task in tasks():
        for part in parts(task):
            left = budget - (time.monotonic() - began)
            if left <= 0:
                return
            subject = key(part.jobs[0].evaluation.subject)
            with claimed(cache / f"{subject}.campaign") as ours:
                store = Store(root)
                if not ours or not missing(part, store):
                    continue
                print(f"{part.network}: {len(missing(part, store))} evaluations ({task.why})", flush=True)
                try:
                    summary = run(
                        part.jobs,
                        profile=task.profile,
                        store=store,
                        budget=left,
                        cache=cache,
                        committed=root / "weights",
                        say=lambda line: print(line, flush=True),
                    )
                except Interrupted as stopped:
                    print(stopped, flush=True)
                    return
                for failure in summary.failed:
                    print(f"failed: {failure}", flush=True)


@dataclass
class Offer:
    """Published numbers without a verdict that one network, in all its seeds, would give one to.

    Args:
        profile: the first, of level and the papers' own, under which nothing but a training differs from the paper.
        network: its name without the seed.
        numbers: (item, row, column) of each.
        evaluations: those that have no record.
    """

    profile: str
    network: str
    numbers: set[tuple[str, str, str]] = field(default_factory=set)
    evaluations: set[Evaluation] = field(default_factory=set)

    @property
    def items(self) -> set[str]:
        """Tables and figures that print the numbers."""
        return {item for item, _, _ in self.numbers}

    @property
    def minutes_each(self) -> float:
        """Estimated minutes of one core for each number."""
        return sum(estimates(list(self.evaluations), "cpu").values()) / 60 / len(self.numbers)


def offers(store: Store) -> list[Offer]:
    """What would give published numbers their verdicts, the cheapest first."""
    found: dict[tuple[str, str], Offer] = {}
    for cell in (cell for item in items() for cell in plan.cells_of(item.id) if cell.item == item.id):
        number = cell.published
        if number is None or not number.verified or number.doubt or cell.derived is not None or not cell.evaluations:
            continue
        if join.row(cell, BEST, store).verdict.name not in ("not judged", "not run"):
            continue
        for profile in (LEVEL, OWN_PROTOCOL):
            jobs = plan.evaluations(cell, profile)
            changes = [
                change
                for job, full in zip(jobs, cell.evaluations, strict=False)
                for change in departures(full, job.evaluation)
            ]
            if not jobs or not all(map(is_recipe, changes)):
                continue
            network = jobs[0].evaluation.subject.name.rpartition("-s")[0]
            offer = found.setdefault((profile, network), Offer(profile, network))
            offer.numbers.add((cell.item, cell.row, cell.column))
            offer.evaluations.update(job.evaluation for job in missing_of(jobs, profile, store))
            break
    return sorted(found.values(), key=lambda offer: offer.minutes_each)


def status(root: Path) -> str:
    """The queue as a page: what is done, what is left, and about how long it takes on one core; then what to add."""
    store = Store(root)
    lines = [
        "# Campaign",
        "",
        "Written by `python -m benchmarks.campaign status --out benchmarks` from records and the queue, campaign.csv."
        " Times are estimates for one core.",
        "",
        "| network | profile | done | left | estimate | why |",
        "|---|---|---|---|---|---|",
    ]
    for task in tasks():
        for part in parts(task):
            left = missing(part, store)
            seconds = sum(estimates([job.evaluation for job in left], "cpu").values())
            lines.append(
                f"| {part.network} | {task.profile} | {len(part.jobs) - len(left)} of {len(part.jobs)} | {len(left)} "
                f"| {duration(seconds) if left else ''} | {task.why} |"
            )
    lines += [
        "",
        "## Published numbers without a verdict",
        "",
        "Networks that would give one, the cheapest first: minutes of one core, training included, for each number.",
        "",
        "| network | profile | numbers | minutes each | items |",
        "|---|---|---|---|---|",
    ]
    for offer in offers(store):
        names = ", ".join(sorted(offer.items))
        lines.append(
            f"| {offer.network} | {offer.profile} | {len(offer.numbers)} | {offer.minutes_each:.1f} | {names} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description="The long campaign.")
    parser.add_argument("action", choices=("run", "keep", "status"))
    parser.add_argument("--root", type=Path, default=repository())
    parser.add_argument("--cache", type=Path, default=cache_root() / "networks")
    parser.add_argument("--time-budget", type=float, default=math.inf, metavar="S")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.action == "run":
        step_back()
        work(args.root.resolve(), args.cache, args.time_budget)
        return
    if args.action == "keep":
        keep(args.root.resolve(), args.cache)
        return
    page = status(args.root.resolve())
    if args.out is None:
        print(page, end="")
    else:
        write_atomically(args.out / "campaign.md", page.encode())


if __name__ == "__main__":
    main()
