"""Losses along attacks, at their ends, and along the training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from ..budget import Budget, at_most
from ..errors import RobustlibError
from ..registry import spec
from ..spec.measurement import Measured, Measurement, Price, Subject, share
from ..spec.network import Network
from ..spec.records import Metric
from ..threat import Ball
from .outcomes import final_losses, loss_traces


@spec
@dataclass(frozen=True)
class LossTrace(Measurement):
    """Cross-entropy along PGD from several random starts on single examples."""

    threat: Ball
    steps: int
    step_size: float
    runs: int
    protocol: int = 1

    def units(self, network: Network) -> dict[str, str]:
        return dict.fromkeys(("start_loss", "final_loss"), "nats")

    def run(self, on: Subject) -> Measured:
        """Traces of each example, and the mean loss at their start and end."""
        traces = loss_traces(
            on.model,
            on.split,
            on.rows,
            self.threat,
            steps=self.steps,
            step_size=self.step_size,
            runs=self.runs,
            name=on.name,
        )
        return Measured(
            metrics={"start_loss": _loss(traces[:, :, 0]), "final_loss": _loss(traces[:, :, -1])},
            series={
                f"example_{row}": [[_rounded(float(loss)) for loss in run] for run in trace]
                for row, trace in zip(on.rows.tolist(), traces, strict=True)
            },
        )

    def work(self, price: Price, network: Network, n: int) -> float:
        return price.step(network) * n * self.runs * 2 * self.steps

    def within(self, budget: Budget) -> Self:
        return replace(self, **_fewer(self, budget), runs=at_most(self.runs, budget.starts))


_BINS = 40
"""Of an example's own range."""


@spec
@dataclass(frozen=True)
class LocalMaxima(Measurement):
    """Final PGD losses over many random starts on single examples, as counts in equal bins.

    Args:
        starts: random starts for each example.
        edges: bins (first, last, number) in nats; losses beyond the last edge are counted in the last bin. None: 40
            bins from an example's least loss to its greatest.
    """

    threat: Ball
    steps: int
    step_size: float
    starts: int
    edges: tuple[float, float, int] | None = (0.0, 160.0, 320)
    search: str = "float32"
    protocol: int = 1

    def units(self, network: Network) -> dict[str, str]:
        return {"final_loss": "nats"}

    def run(self, on: Subject) -> Measured:
        """Losses of each example as counts; how far the greatest lies above the middle one."""
        losses = final_losses(
            on.model,
            on.split,
            on.rows,
            self.threat,
            steps=self.steps,
            step_size=self.step_size,
            starts=self.starts,
            name=on.name,
            search=self.search,
            progress=on.progress,
        )
        found = Measured(metrics={"final_loss": Metric(float(losses.mean()), losses.size, unit="nats")})
        for row, values in zip(on.rows.tolist(), losses, strict=True):
            if self.edges is None:
                counts, edges = np.histogram(values.astype(float), bins=_BINS)
            else:
                first, last, bins = self.edges
                counts, edges = np.histogram(values.clip(first, last), bins=bins, range=(first, last))
            used = np.nonzero(counts)[0]
            # Bins outside the occupied range hold nothing: leave them out, the edges say where the range lies.
            inside = slice(int(used[0]), int(used[-1]) + 1)
            found.histograms[f"example_{row}"] = {
                "edges": edges[inside.start : inside.stop + 1].round(9).tolist(),
                "counts": counts[inside].tolist(),
            }
            found.metrics[f"max_over_median_{row}"] = Metric(
                float(values.max() / max(float(np.median(values)), 1e-12)), len(values), unit="ratio"
            )
        return found

    def work(self, price: Price, network: Network, n: int) -> float:
        return price.step(network) * n * self.starts * 2 * self.steps

    def within(self, budget: Budget) -> Self:
        starts, search = at_most(self.starts, budget.starts), budget.search or self.search
        return replace(self, **_fewer(self, budget), starts=starts, search=search)


@spec
@dataclass(frozen=True)
class TrainingCurve(Measurement):
    """Loss on the batches that the network was trained on, in equal blocks of updates.

    Args:
        blocks: number of blocks, at most.
        at: updates (from 0) before which loss and error are separate metrics, ``loss@100`` and ``error@100``.
    """

    blocks: int = 250
    protocol: int = 1
    at: tuple[int, ...] = ()

    needs_log = True

    def units(self, network: Network) -> dict[str, str]:
        steps = [step for step in self.at if step < network.schedule.steps]
        units = {"final_loss": "nats"} | {f"loss@{step}": "nats" for step in steps}
        return units | {f"error@{step}": "fraction" for step in steps}

    def run(self, on: Subject) -> Measured:
        """Mean loss and accuracy in blocks; the mean loss of the last twentieth."""
        network, curve = on.network, on.curve
        if curve is None:
            raise RobustlibError(f"the training log of {network.name} is gone; train it again with recompute")
        loss, accuracy = np.asarray(curve["loss"]), np.asarray(curve["accuracy"])
        blocks = np.array_split(np.arange(len(loss)), min(self.blocks, len(loss)))
        metrics = {"final_loss": _loss(loss[-max(1, len(loss) // 20) :])}
        for step in self.at:
            if step < len(loss):
                metrics[f"loss@{step}"] = _loss(loss[step : step + 1])
                wrong = round((1 - float(accuracy[step])) * network.schedule.batch)
                metrics[f"error@{step}"] = share(np.arange(network.schedule.batch) < wrong)
        return Measured(
            metrics=metrics,
            series={
                "step": [int(block[-1]) + 1 for block in blocks],
                "loss": [round(float(loss[block].mean()), 5) for block in blocks],
                "accuracy": [round(float(accuracy[block].mean()), 4) for block in blocks],
            },
        )

    def within(self, budget: Budget) -> Self:
        return replace(self, blocks=at_most(self.blocks, budget.blocks))


def _rounded(loss: float) -> float:
    """Three digits: a robust network's loss may be a few hundred-thousandths."""
    return float(f"{loss:.3g}")


def _loss(values: np.ndarray) -> Metric:
    return Metric(value=float(values.mean()), n=int(values.size), unit="nats")


def _fewer(trace: LossTrace | LocalMaxima, budget: Budget) -> dict[str, Any]:
    """Steps within the budget, which go as far together as before."""
    steps = at_most(trace.steps, budget.steps)
    return {"steps": steps, "step_size": trace.step_size * (trace.steps / steps)}
