"""Runner of evaluations: trains missing networks, measures evaluations without a record, stops cleanly, resumes."""

from __future__ import annotations

import contextlib
import ctypes
import math
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from ..environment import cache_root
from ..errors import RobustlibError
from ..evaluate.kept import Kept
from ..files import Busy, lock
from ..interrupt import Stopped, asking
from ..spec.evaluation import Evaluation
from ..spec.keys import departures, describe, key
from ..spec.measurement import Subject
from ..spec.records import Record, Unfilable
from ..training import TrainingDiverged, WeakTeacher
from ..training.precision import noting
from .checkpoints import MissingWeights
from .cost import evaluation_flops
from .networks import Networks, dataset_of
from .progress import Tick, label
from .provenance import commit, device_name, peak_memory_mb, resolve_device, source_digest, versions
from .store import Store, weights_digest


def tune_allocator() -> None:
    """Keep freed memory in the process: on glibc, page faults on large buffers halve the speed of a training."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        m_trim_threshold, m_mmap_threshold = -1, -3
        libc.mallopt(m_mmap_threshold, 1 << 30)
        libc.mallopt(m_trim_threshold, 1 << 30)


def exact_arithmetic() -> None:
    """Compute float32 in float32 and not in TF32."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


NEIGHBOUR_SECONDS = 1.0
"""Seconds between two checks on other processes, when nothing else is left to do."""


@dataclass(frozen=True)
class Job:
    """An evaluation to run, beside the paper's own protocol for it.

    Args:
        full: the paper's.
        evaluation: the profile's version, which is run.
        filed: profile that its record is filed under; "": the one that is run.
    """

    full: Evaluation
    evaluation: Evaluation
    filed: str = ""

    def home(self, profile: str) -> str:
        """The profile whose records hold it when this one is run."""
        return self.filed or profile

    @property
    def deviations(self) -> list[str]:
        """Departures of the evaluation from the paper's protocol, field by field."""
        return departures(self.full, self.evaluation)


@dataclass
class Summary:
    """Outcome of a run: records written and already present, trainings or evaluations that failed or did not finish.

    ``skipped`` are evaluations of released networks that are not at hand.
    """

    written: list[Record] = field(default_factory=list)
    present: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    unfinished: int = 0


class Interrupted(KeyboardInterrupt):
    """A run that ended cleanly after Ctrl-C, with its ``summary``."""

    def __init__(self, summary: Summary) -> None:
        super().__init__(f"stopped; {summary.unfinished} evaluations are left, run again to go on")
        self.summary = summary


def run(
    jobs: Sequence[Job],
    *,
    profile: str,
    store: Store,
    device: str = "auto",
    budget: float = math.inf,
    recompute: bool = False,
    cache: Path | None = None,
    committed: Path | None = None,
    say: Callable[[str], None] = print,
    tick: Tick | None = None,
) -> Summary:
    """Make the records of ``jobs`` that are missing.

    Any number of runs may share a store and a cache: jobs that another one is training or measuring are left to it,
    and checked again when everything else is done.

    Args:
        jobs: in any order; those of one network are run together.
        profile: under which the records are filed.
        store: where they are filed.
        device: "cpu", "cuda" or "auto".
        budget: seconds after which the run stops cleanly at a checkpoint.
        recompute: measure again evaluations that have a record (cached networks are trained again too).
        cache: folder for networks; default: the user's cache.
        committed: folder of committed weights to use; None: train.
        say: prints one line.
        tick: called with (label, done, total) while a training or a measurement runs, and when it ends.
    """
    tune_allocator()
    exact_arithmetic()
    place, began, interrupted = resolve_device(device), time.monotonic(), threading.Event()
    summary = Summary()

    def stop() -> bool:
        return interrupted.is_set() or time.monotonic() - began > budget

    networks = Networks(
        place,
        cache or cache_root() / "networks",
        committed,
        stop=stop,
        progress=None if tick is None else lambda n, step, steps, loss: tick(label(n), step, steps),
        wait=False,
    )
    unique = {key(job.evaluation): job for job in jobs}
    todo = [job for job in unique.values() if recompute or store.find(job.evaluation, job.home(profile)) is None]
    summary.present = len(unique) - len(todo)
    if recompute:
        for network in {key(n): n for job in todo for n in job.evaluation.lineage}.values():
            networks.forget(network)
    waiting = _grouped(todo)
    with asking(interrupted):
        while waiting and not stop():
            busy: list[Job] = []
            for index, job in enumerate(waiting):
                if stop():
                    busy += waiting[index:]
                    break
                name = f"{job.evaluation.subject.name}/{job.evaluation.name}"
                if bad := networks.broken(job.evaluation.networks):
                    summary.failed.append(f"{name}: {bad}")
                    continue
                try:
                    record, ours = run_one(job, profile, store, networks, tick, recompute=recompute)
                except Busy:
                    busy.append(job)
                    continue
                except Stopped as stopped:
                    say(str(stopped))
                    busy += waiting[index:]
                    break
                except MissingWeights as error:
                    summary.skipped.append(f"{name}: {error}")
                    continue
                except (TrainingDiverged, WeakTeacher, Unfilable) as error:
                    # The subject, an ancestor or a transfer's source: only what needs the one that diverged is lost.
                    summary.failed.append(f"{name}: {networks.broken(job.evaluation.networks) or error}")
                    continue
                if tick is not None:
                    tick(label(job.evaluation), 1, 1)
                if ours:
                    summary.written.append(record)
                    settled = len(todo) - len(waiting) + index + 1 - len(busy)
                    say(f"[{settled}/{len(todo)}] {name}: {headline(record)} ({record.wall_s:.1f} s)")
                else:
                    summary.present += 1
            if len(busy) == len(waiting) and not stop():
                time.sleep(NEIGHBOUR_SECONDS)
            waiting = busy
    summary.unfinished = len(waiting)
    if interrupted.is_set():
        raise Interrupted(summary)
    return summary


def _grouped(jobs: Sequence[Job]) -> list[Job]:
    """Jobs of one subject together, training curves first: they come free with the training."""
    order: dict[str, int] = {}
    for job in jobs:
        order.setdefault(key(job.evaluation.subject), len(order))
    return sorted(jobs, key=lambda job: (order[key(job.evaluation.subject)], not job.evaluation.measurement.needs_log))


def headline(record: Record) -> str:
    """A record's first metric, with its interval where it is a share."""
    name, metric = next(iter(record.metrics.items()))
    if metric.unit == "fraction":
        return f"{name} {metric.value:.1%} [{metric.low:.1%}, {metric.high:.1%}] n={metric.n}"
    return f"{name} {metric.value:.4g} {metric.unit}"


def run_one(
    job: Job, profile: str, store: Store, networks: Networks, tick: Tick | None, *, recompute: bool
) -> tuple[Record, bool]:
    """The record of one job, and whether it was measured here and not by another process in the meantime.

    Raises:
        Busy: another process has it, or trains a network that it needs, and ``networks`` does not wait.
    """
    evaluation, subject = job.evaluation, job.evaluation.subject
    with lock(networks.cache / f"{key(evaluation)}.evaluation.lock", wait=networks.wait):
        if not recompute and (neighbours := store.reread(evaluation, job.home(profile))) is not None:
            return neighbours, False
        if evaluation.measurement.needs_log and networks.log(subject) is None:
            # Committed weights come without their log: the curve needs the training itself.
            networks = replace(networks, committed=None, _kept={})
        models = {key(network): networks.obtain(network) for network in evaluation.networks}
        dataset = dataset_of(subject, networks.device)
        log = networks.log(subject)
        progress = None if tick is None else lambda k, n: tick(label(evaluation), k, n)
        on = Subject(evaluation, dataset, models, log, progress)
        path = networks.cache / f"{key(evaluation)}.part"
        if recompute:
            path.unlink(missing_ok=True)
        about = {"evaluation": key(evaluation), "data": dataset.digest}
        about["weights"] = " ".join(weights_digest(model) for model in models.values())
        with noting() as steered:
            kept = Kept(path, about, stop=networks.stop, slot=_clock(networks.device, steered))
            with kept.used():
                found = evaluation.measurement.run(on)
        slots = [*kept.slots, kept.slot()]
        searches = sorted({used for slot in slots for used in slot["search"]})
        trained = str(log.get("arithmetic", "")) if log is not None else ""
        arithmetic = {"search": searches, "training": [trained] if trained else []}
        record = Record(
            profile=job.home(profile),
            evaluation_key=key(evaluation),
            training_key=key(subject),
            evaluation=describe(evaluation),
            metrics=found.metrics,
            outcomes=found.outcomes,
            series=found.series,
            histograms=found.histograms,
            findings=([] if log is None else list(log["alarms"])) + found.notes + _runs(slots),
            deviations=job.deviations,
            arithmetic={part: used for part, used in arithmetic.items() if used},
            dataset={
                "name": dataset.name,
                "digest": dataset.digest,
                "inexact": dict(dataset.inexact),
                "source": dataset.source,
            },
            weights_digest=weights_digest(models[key(subject)]),
            commit=commit(),
            source_digest=source_digest(),
            versions=versions(),
            device=", ".join(dict.fromkeys(slot["device"] for slot in slots)),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            wall_s=round(sum(slot["wall_s"] for slot in slots), 3),
            cpu_s=round(sum(slot["cpu_s"] for slot in slots), 3),
            peak_memory_mb=round(max(slot["peak_memory_mb"] for slot in slots), 1),
            training_s=round(float(log["seconds"]), 1) if log is not None else 0.0,
            training_cpu_s=round(float(log["cpu_seconds"]), 1) if log is not None else 0.0,
            operations=evaluation_flops(evaluation, len(on.rows)),
        )
        filed = store.write(record, evaluation)
        path.unlink(missing_ok=True)
        return filed, True


def _clock(device: torch.device, steered: Collection[str]) -> Callable[[], dict[str, Any]]:
    """Facts about this run of an evaluation, up to the moment of the call."""
    wall, cpu = time.monotonic(), time.process_time()

    def so_far() -> dict[str, Any]:
        return {
            "device": device_name(device),
            "commit": commit(),
            "versions": versions(),
            "search": sorted(steered),
            "wall_s": time.monotonic() - wall,
            "cpu_s": time.process_time() - cpu,
            "peak_memory_mb": peak_memory_mb(device),
        }

    return so_far


def _runs(slots: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for a record that several runs made, with what differed between them."""
    if len(slots) == 1:
        return []
    made = {(slot["device"], slot["commit"][:8], *slot["versions"].values()): None for slot in slots}
    return [f"measured in {len(slots)} runs: " + "; ".join(", ".join(facts) for facts in made)]


def verify(evaluation: Evaluation, committed: Record, *, device: str, folder: Path) -> tuple[float, float]:
    """(recorded, measured again) of the metric that moves most, relative to sizes above 1; from committed weights.

    Raises:
        RobustlibError: the weights are not committed, or are not those of the record.
    """
    tune_allocator()
    exact_arithmetic()

    def refuse() -> bool:
        return True

    networks = Networks(resolve_device(device), folder, folder, stop=refuse)
    for network in evaluation.networks:
        if networks._find(network) is None:
            raise RobustlibError(
                f"the weights of {network.name} are not committed in {folder.name}/; run its item instead"
            )
    models = {key(network): networks.obtain(network) for network in evaluation.networks}
    digest = weights_digest(models[key(evaluation.subject)])
    if digest != committed.weights_digest:
        raise RobustlibError(
            f"{committed.path} was measured on weights {committed.weights_digest[:12]}, found {digest[:12]}"
        )
    dataset = dataset_of(evaluation.subject, networks.device)
    found = evaluation.measurement.run(Subject(evaluation, dataset, models))
    pairs = [(old.value, found.metrics[name].value) for name, old in committed.metrics.items() if name in found.metrics]
    if not pairs:
        raise RobustlibError(f"{committed.path} has none of the metrics {sorted(found.metrics)}; run it again")
    return max(pairs, key=lambda pair: abs(pair[0] - pair[1]) / max(1.0, abs(pair[0])))
