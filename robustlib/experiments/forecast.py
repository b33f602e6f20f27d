"""What a run would do and about how long it would take, before anything is run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..spec.keys import key
from . import cost
from .progress import duration, label
from .runner import Job
from .store import Store


def forecast(jobs: Sequence[Job], profile: str, kind: str, store: Store, *, recompute: bool = False) -> Iterator[str]:
    """A line a training and one a measurement: operations, launches, estimated time, memory, what it waits for.

    Args:
        jobs: in the order of the run.
        profile: whose records count as present.
        kind: "cpu" or "cuda", for the estimates.
        store: where records are looked for.
        recompute: whether what is present would be measured again.
    """
    missing = [job for job in jobs if recompute or store.find(job.evaluation, job.home(profile)) is None]
    seen: set[str] = set()
    total = 0.0
    for job in jobs:
        evaluation, state = job.evaluation, "to run" if job in missing else "present"
        for network in evaluation.lineage if state == "to run" else ():
            if key(network) not in seen:
                seen.add(key(network))
                work, seconds = cost.training_work(network), cost.training_seconds(network, kind)
                total += seconds
                yield (
                    f"{label(network)}: {cost.training_flops(network):.3g} operations, "
                    f"{work.kernels:.3g} launches, about {duration(seconds)}, "
                    f"{cost.training_memory(network) / 2**20:.0f} MB"
                    + _after(label(parent) for parent in network.needs)
                )
        seconds = cost.evaluation_seconds(evaluation, kind)
        flops = cost.evaluation_flops(evaluation, evaluation.points)
        total += seconds if state == "to run" else 0.0
        others = _after(label(network) for network in evaluation.networks[1:])
        yield f"{state:<8} {label(evaluation)}: {flops:.3g} operations, about {duration(seconds)}{others}"
    rate = cost.RATES[kind]
    yield (
        f"{len(jobs)} evaluations, {len(missing)} to run, {len(seen)} networks: about {total / 60:.1f} min on {kind} "
        f"(an estimate: {rate.flops / 1e9:.0f} GFLOP/s, {rate.bytes / 1e9:.0f} GB/s and {rate.launch * 1e6:.0f} us a "
        "launch assumed)"
    )


def _after(names: Iterator[str]) -> str:
    found = ", ".join(name.removeprefix("train ") for name in names)
    return f", after {found}" if found else ""
