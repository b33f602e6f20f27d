"""Dry run: the trainings and evaluations that a run would do, with estimates of their time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..spec.evaluation import Evaluation
from ..spec.keys import key
from ..spec.network import Network
from . import cost
from .progress import duration, label
from .runner import Job
from .store import Store


def estimates(evaluations: Sequence[Evaluation], device: str) -> dict[str, float]:
    """Estimated seconds of every training and evaluation, by label; ``device`` is "cpu" or "cuda"."""
    networks = {key(n): n for e in evaluations for n in e.lineage}
    seconds = {label(network): cost.training_seconds(network, device) for network in networks.values()}
    return seconds | {label(e): cost.evaluation_seconds(e, device) for e in evaluations}


def forecast(jobs: Sequence[Job], profile: str, device: str, store: Store, *, recompute: bool = False) -> Iterator[str]:
    """A line for each training and evaluation: operations, estimated time, the networks it needs; then the total.

    Args:
        jobs: in the order of the run.
        profile: whose records count as present.
        device: "cpu" or "cuda".
        store: where records are looked for.
        recompute: whether present records would be measured again.
    """
    missing = [job for job in jobs if recompute or store.find(job.evaluation, job.home(profile)) is None]
    seconds, seen, absent = estimates([job.evaluation for job in jobs], device), set[str](), set(map(id, missing))
    for job in jobs:
        evaluation, wanted = job.evaluation, id(job) in absent
        for network in evaluation.lineage if wanted else ():
            if (name := label(network)) not in seen:
                seen.add(name)
                flops = cost.training_flops(network)
                yield f"{name}: {flops:.3g} operations, about {duration(seconds[name])}{_after(network.needs)}"
        name, flops = label(evaluation), cost.evaluation_flops(evaluation, evaluation.points)
        state = "to run" if wanted else "present"
        about = duration(seconds[name])
        yield f"{state:<8} {name}: {flops:.3g} operations, about {about}{_after(evaluation.networks[1:])}"
    total = sum(seconds[name] for name in seen | {label(job.evaluation) for job in missing})
    yield (
        f"{len(jobs)} evaluations, {len(missing)} to run, {len(seen)} networks: about {duration(total)} on {device}"
        f" (an estimate, good to a factor of four: {cost.RATES[device]['float32'] / 1e9:.0f} GFLOP/s)"
    )


def _after(networks: Sequence[Network]) -> str:
    names = ", ".join(label(network).removeprefix("train ") for network in networks)
    return f", after {names}" if names else ""
