"""Seconds of an update on a certificate."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from ..budget import Budget, at_most
from ..certify.trace import trace
from ..registry import spec
from ..spec.measurement import Measured, Measurement, Price, Subject
from ..spec.network import Network
from ..spec.quantities import SIZE, TIME, Quantity
from ..spec.records import Metric
from ..threat import Ball
from ..training import Certified, Schedule, objective
from ..training.schedule import optimiser_of


def hidden_units(model: nn.Module, x: Tensor) -> int:
    """Units behind all ReLUs, for one input of the shape of x (N, ...)."""
    graph = trace(model, x)
    return int(sum(np.prod(graph.nodes[place].shape) for place in graph.relus))


def _seconds(call: Callable[[], None], device: torch.device) -> float:
    """Seconds of a call: of the processor on a CPU, which others may share; of the clock on a GPU."""
    if device.type == "cpu":
        began = time.process_time()
        call()
        return time.process_time() - began
    torch.cuda.synchronize(device)
    began = time.perf_counter()
    call()
    torch.cuda.synchronize(device)
    return time.perf_counter() - began


@spec
@dataclass(frozen=True)
class Cost(Measurement):
    """Time of one update on the robust loss, on uniform random inputs and labels (Wong et al. 2018, figure 1).

    Args:
        threat: ball of the loss.
        projections: random columns; 0 for exact bounds.
        batch: inputs.
        repeats: updates, of which the first is not counted.
    """

    threat: Ball
    projections: int = 0
    batch: int = 10
    repeats: int = 10
    protocol: int = 1

    def units(self, network: Network) -> dict[str, str]:
        return {"seconds": "s", "units": "units"}

    def run(self, on: Subject) -> Measured:
        """Median seconds of an update by Adam; the measured network itself stays as it was."""
        model, split, progress = on.model, on.split, on.progress
        worker, device = copy.deepcopy(model), split.y.device
        draw = torch.Generator().manual_seed(0)
        x = torch.rand(self.batch, *split.x.shape[1:], generator=draw).to(device)
        outputs = worker(x).shape[1]
        y = torch.randint(outputs, (self.batch,), generator=draw).to(device)
        optimiser = optimiser_of(Schedule(self.repeats, self.batch, 1e-3), worker)
        defence = Certified(self.threat, ramp=0.0, projections=self.projections)
        random = torch.Generator(device).manual_seed(0)

        def update() -> None:
            losses, _ = objective(defence, worker, x, y, progress=1.0, generator=random)
            optimiser.zero_grad(set_to_none=True)
            losses.mean().backward()
            optimiser.step()

        taken = []
        for place in range(self.repeats):
            taken.append(_seconds(update, device))
            if progress is not None:
                progress(place + 1, self.repeats)
        kept = np.asarray(taken[1:])
        return Measured(
            metrics={
                "seconds": Metric(float(np.median(kept)), len(kept), float(kept.min()), float(kept.max()), unit="s"),
                "units": Metric(float(hidden_units(model, x)), 1, unit="units"),
            }
        )

    def quantity(self, metric: str) -> Quantity:
        return TIME if metric == "seconds" else SIZE

    def work(self, price: Price, network: Network, n: int) -> float:
        defence = Certified(self.threat, ramp=0.0, projections=self.projections)
        schedule = replace(network.schedule, batch=self.batch)
        return price.update(replace(network, defence=defence, schedule=schedule)) * self.repeats

    def within(self, budget: Budget) -> Self:
        return replace(self, repeats=at_most(self.repeats, budget.repeats))
