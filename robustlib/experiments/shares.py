"""What a certificate costs and whom it leaves out: the probes ``Cost`` and ``Groups``."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from ..certify import certify
from ..certify.trace import trace
from ..data import Split
from ..evaluate import Progress
from ..training import Certified, Schedule, objective
from ..training.schedule import optimiser_of
from .certifying import CHUNK
from .findings import Findings, share
from .probes import Cost, Groups
from .records import Metric, pack


def hidden_units(model: nn.Module, x: Tensor) -> int:
    """Units behind all ReLUs, for one input of the shape of x (N, ...)."""
    graph = trace(model, x)
    return int(sum(np.prod(graph.nodes[place].shape) for place in graph.relus))


def _seconds(call: Callable[[], None], device: torch.device) -> float:
    """Of the processor on a CPU, which others may share; of the clock on a GPU."""
    if device.type == "cpu":
        began = time.process_time()
        call()
        return time.process_time() - began
    torch.cuda.synchronize(device)
    began = time.perf_counter()
    call()
    torch.cuda.synchronize(device)
    return time.perf_counter() - began


def update_cost(model: nn.Module, split: Split, what: Cost, progress: Progress | None) -> Findings:
    """Median seconds of an update by Adam; the measured network itself stays as it was."""
    worker, device = copy.deepcopy(model), split.y.device
    draw = torch.Generator().manual_seed(0)
    x = torch.rand(what.batch, *split.x.shape[1:], generator=draw).to(device)
    outputs = worker(x).shape[1]
    y = torch.randint(outputs, (what.batch,), generator=draw).to(device)
    optimiser = optimiser_of(Schedule(what.repeats, what.batch, 1e-3), worker)
    defence = Certified(what.threat, ramp=0.0, projections=what.projections)
    random = torch.Generator(device).manual_seed(0)

    def update() -> None:
        losses, _ = objective(defence, worker, x, y, progress=1.0, generator=random)
        optimiser.zero_grad(set_to_none=True)
        losses.mean().backward()
        optimiser.step()

    taken = []
    for place in range(what.repeats):
        taken.append(_seconds(update, device))
        if progress is not None:
            progress(place + 1, what.repeats)
    kept = np.asarray(taken[1:])
    return Findings(
        metrics={
            "seconds": Metric(float(np.median(kept)), len(kept), float(kept.min()), float(kept.max()), unit="s"),
            "units": Metric(float(hidden_units(model, x)), 1, unit="units"),
        }
    )


def group_shares(
    model: nn.Module, split: Split, rows: Tensor, people: Tensor | None, what: Groups, progress: Progress | None
) -> Findings:
    """``worst_`` and ``best_``: the least and greatest certified share of a class, and of a person."""
    sure, right = [], []
    for part in rows.split(CHUNK):
        x, y = split.images(part), split.y[part]
        sure.append(certify(model, x, y, what.threat).certified)
        with torch.no_grad():
            right.append(model(x).argmax(1) == y)
        if progress is not None:
            progress(sum(map(len, sure)), len(rows))
    certified, correct = (torch.cat(found).cpu().numpy() for found in (sure, right))
    found = Findings(
        metrics={"bound": share(~certified), "accuracy": share(correct)},
        outcomes={"certified": pack(certified), "correct": pack(correct)},
    )
    members = {"class": split.y[rows.to(split.y.device)]}
    if people is not None:
        members["person"] = people[rows.to(people.device)]
    for name, of in members.items():
        who, place = np.unique(of.cpu().numpy(), return_inverse=True)
        counts = [np.bincount(place, weights=values) for values in (certified >= 0, correct, certified)]
        found.series[name] = [[int(label), *map(int, line)] for label, *line in zip(who, *counts, strict=True)]
        for edge, at in (("worst", np.argmin(counts[2] / counts[0])), ("best", np.argmax(counts[2] / counts[0]))):
            found.metrics[f"{edge}_{name}"] = share(certified[place == at])
    return found
