"""From an evaluation and a trained network to metrics, outcomes, series and histograms."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from ..data import Dataset, Split, balanced_subset
from ..errors import RobustlibError
from ..evaluate import Progress, accuracy_interval, distances_under, final_losses, loss_traces, outcomes_under
from .attacking import hinge_bound, local_maxima, worst_case
from .cascading import cascade_bound, estimated
from .certifying import certificate, certified_radii, exact, first_layer, output_set, relaxed
from .findings import Findings, mean, share
from .keys import key
from .lending import lending
from .picturing import decision_map, inner_loop, pictures
from .probes import (
    Amplitudes,
    CascadeBound,
    Certificate,
    CertifiedRadii,
    Cost,
    DecisionMap,
    Estimated,
    FirstLayer,
    Groups,
    InnerLoop,
    Lending,
    Outputs,
    OutputSet,
    Pictures,
    Recipe,
    Relaxed,
    Targeted,
)
from .probing import accuracy_variation, gradient_amplitudes, outputs, recipe, targeted
from .records import Metric, pack
from .shares import group_shares, update_cost
from .specs import (
    HELD_OUT,
    Accuracy,
    AccuracyVariation,
    Attacked,
    Directions,
    Distances,
    Evaluation,
    Exact,
    HingeBound,
    LocalMaxima,
    LossTrace,
    Network,
    Subset,
    TrainingCurve,
    WorstCase,
)
from .transferring import attacked, directions


def rows_of(subset: Subset, dataset: Dataset) -> tuple[Split, Tensor]:
    """The split and the sorted positions that a subset means."""
    split = dataset.test if subset.split == "test" else dataset.train
    if subset.split == "validation":
        first = len(split) - len(split) // HELD_OUT
        kept = split.y[first:]
        chosen = torch.arange(len(kept)) if subset.n is None else balanced_subset(kept, subset.n, seed=subset.seed)
        return split, first + chosen
    if subset.n is None:
        return split, torch.arange(len(split))
    return split, balanced_subset(split.y, subset.n, seed=subset.seed)


def _loss_metric(values: np.ndarray) -> Metric:
    return Metric(value=float(values.mean()), n=int(values.size), unit="nats")


def measure(
    evaluation: Evaluation,
    dataset: Dataset,
    models: Mapping[str, nn.Module],
    *,
    curve: Mapping[str, list[float]] | None = None,
    progress: Progress | None = None,
) -> Findings:
    """Run one measurement.

    Args:
        evaluation: what to measure.
        dataset: on the models' device.
        models: trained networks by training key: the subject and, for a transfer or a comparison, the other one.
        curve: per-step "loss" and "accuracy" of the subject's training, for a :class:`TrainingCurve`.
        progress: called with (points done, points).
    """
    subject, what = models[key(evaluation.subject)], evaluation.measurement
    name = key(evaluation)
    if isinstance(what, TrainingCurve):
        return _training_curve(evaluation.subject, what, curve)
    split, rows = rows_of(evaluation.subset, dataset)
    if isinstance(what, Accuracy):
        outcome = outcomes_under(
            subject,
            split,
            rows,
            what.attack,
            what.threat,
            name=name,
            search=what.search,
            progress=progress,
            source=None if what.source is None else models[key(what.source)],
        )
        value, low, high = accuracy_interval(outcome)
        return Findings(
            metrics={"accuracy": Metric(value, len(outcome), low, high)}, outcomes={"correct": pack(outcome)}
        )
    if isinstance(what, Attacked):
        sources = [models[key(source)] for source in what.sources]
        return attacked(subject, sources, split, rows, what, name, progress)
    if isinstance(what, Directions):
        return directions(subject, models[key(what.source)], split, rows, what, name)
    if isinstance(what, Pictures):
        return pictures(subject, split, rows, what, name)
    if isinstance(what, Distances):
        distances = distances_under(
            subject,
            split,
            rows,
            what.attack,
            norm=what.norm,
            measured=what.measured,
            domain=what.domain,
            name=name,
            progress=progress,
        )
        return _distances(what, distances)
    if isinstance(what, WorstCase):
        return worst_case(subject, split, rows, what, name)
    if isinstance(what, LossTrace):
        traces = loss_traces(
            subject, split, rows, what.threat, steps=what.steps, step_size=what.step_size, runs=what.runs, name=name
        )
        return Findings(
            metrics={"start_loss": _loss_metric(traces[:, :, 0]), "final_loss": _loss_metric(traces[:, :, -1])},
            series={
                f"example_{row}": np.round(trace.astype(float), 3).tolist()
                for row, trace in zip(rows.tolist(), traces, strict=True)
            },
        )
    if isinstance(what, HingeBound):
        return hinge_bound(subject, split, rows, what, name)
    if isinstance(what, LocalMaxima):
        losses = final_losses(
            subject,
            split,
            rows,
            what.threat,
            steps=what.steps,
            step_size=what.step_size,
            starts=what.starts,
            name=name,
            search=what.search,
            progress=progress,
        )
        return local_maxima(what, rows, losses)
    if isinstance(what, AccuracyVariation):
        return accuracy_variation(subject, models[key(what.baseline)], split, rows)
    if isinstance(what, Targeted):
        return targeted(subject, split, rows, evaluation.subset, what, progress)
    if isinstance(what, Amplitudes):
        return gradient_amplitudes(subject, split, rows, what, progress)
    if isinstance(what, Outputs):
        return outputs(subject, split, rows, what)
    if isinstance(what, Recipe):
        return recipe(subject, evaluation.subject, len(dataset.train))
    if isinstance(what, Certificate):
        return certificate(subject, split, rows, what, progress)
    if isinstance(what, Exact):
        return exact(subject, split, rows, what, name, progress)
    if isinstance(what, CascadeBound):
        stages = [models[key(stage)] for stage in (*evaluation.subject.earlier, evaluation.subject)]
        return cascade_bound(stages, split, rows, what, progress)
    if isinstance(what, Estimated):
        return estimated(subject, split, rows, what, name)
    if isinstance(what, CertifiedRadii):
        return certified_radii(subject, split, rows, what, progress)
    if isinstance(what, Relaxed):
        return relaxed(subject, split, rows, what)
    if isinstance(what, FirstLayer):
        return first_layer(subject, what)
    if isinstance(what, OutputSet):
        return output_set(subject, split, rows, what, name=name)
    if isinstance(what, InnerLoop):
        return inner_loop(subject, split, rows, what, name)
    if isinstance(what, DecisionMap):
        return decision_map(subject, split, rows, what)
    if isinstance(what, Lending):
        return lending(subject, split, rows, dataset.groups[evaluation.subset.split], what)
    if isinstance(what, Cost):
        return update_cost(subject, split, what, progress)
    if isinstance(what, Groups):
        people = dataset.groups[evaluation.subset.split]
        return group_shares(subject, split, rows, people, what, progress)
    raise RobustlibError(f"no measurement for {type(what).__name__}")


def _distances(what: Distances, distances: np.ndarray) -> Findings:
    found = Findings()
    for eps in what.grid:
        # A point found at distance exactly 0 was misclassified to begin with: it is lost at every radius.
        standing = (distances > eps) | (np.isinf(distances))
        value, low, high = accuracy_interval(standing)
        found.metrics[f"accuracy@{eps:g}"] = Metric(value, len(distances), low, high)
    broken = distances[np.isfinite(distances)]
    found.metrics["broken"] = share(np.isfinite(distances))
    if len(broken):
        norm = what.measured or what.norm
        found.metrics["mean_distance"] = mean(broken, unit=norm)
        found.metrics["median_distance"] = Metric(float(np.median(broken)), len(broken), unit=norm)
    return found


def _training_curve(network: Network, what: TrainingCurve, curve: Mapping[str, list[float]] | None) -> Findings:
    if curve is None:
        raise RobustlibError(f"the training log of {network.name} is gone; train it again with recompute")
    loss, accuracy = np.asarray(curve["loss"]), np.asarray(curve["accuracy"])
    blocks = np.array_split(np.arange(len(loss)), min(what.blocks, len(loss)))
    tail = loss[-max(1, len(loss) // 20) :]
    metrics = {"final_loss": _loss_metric(tail)}
    for step in what.at:
        if step < len(loss):
            metrics[f"loss@{step}"] = _loss_metric(loss[step : step + 1])
            wrong = round((1 - float(accuracy[step])) * network.schedule.batch)
            metrics[f"error@{step}"] = share(np.arange(network.schedule.batch) < wrong)
    return Findings(
        metrics=metrics,
        series={
            "step": [int(block[-1]) + 1 for block in blocks],
            "loss": [round(float(loss[block].mean()), 5) for block in blocks],
            "accuracy": [round(float(accuracy[block].mean()), 4) for block in blocks],
        },
    )
