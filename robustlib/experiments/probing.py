"""From a network and one of the ``probes`` to metrics, outcomes, series and histograms."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from ..data import Split
from ..evaluate import Progress
from ..evaluate.outcomes import CHUNK
from ..evaluate.saturation import amplitudes
from ..evaluate.targeted import correct_rows, targeted_attempts
from ..models import count_parameters
from .findings import Findings, mean, share
from .probes import Amplitudes, Outputs, Targeted
from .records import Metric, pack
from .specs import Network, Subset

KEPT = 100
"""Points whose attempts a record keeps one by one."""
SMALL = 60
"""Points at a time where derivatives of all outputs are kept."""


def targeted(
    model: nn.Module, split: Split, rows: Tensor, subset: Subset, what: Targeted, progress: Progress | None
) -> Findings:
    """Success over attempts; over points, the least features that reach any target, as a share of all features."""
    if what.correct_only:
        rows = correct_rows(model, split, subset.n or len(split), seed=subset.seed)
    found = targeted_attempts(model, split, rows, what.attack, domain=what.domain, progress=progress)
    reached, whole = found.reached, min(what.attack.features, found.features)
    broken: np.ndarray = np.any(found.changed > 0, axis=1)
    metrics = {
        "success": share(reached),
        "rho": mean(found.nearest(min(what.cap, whole)) / found.features),
        "rho_uncapped": mean(found.nearest(whole) / found.features),
        "broken": share(broken),
        "censored": share(~broken | (found.nearest(whole) > what.cap)),
    }
    if reached.any():
        metrics["features"] = mean(found.changed[found.changed > 0].astype(float), unit="features")
    classes = found.changed.shape[1]
    tries, hits, features = (np.zeros((classes, classes), int) for _ in range(3))
    for row, source in enumerate(found.source):
        tries[source] += found.tried[row]
        hits[source] += found.changed[row] > 0
        features[source] += found.changed[row]
    series = {"tries": tries.tolist(), "hits": hits.tolist(), "features": features.tolist()}
    # Of many points the first: a record is no longer for a whole test set.
    series |= {"rows": found.rows[:KEPT].tolist(), "changed": found.changed[:KEPT].tolist()}
    return Findings(metrics=metrics, outcomes={"reached": pack(reached)}, series=series)


def gradient_amplitudes(
    model: nn.Module, split: Split, rows: Tensor, what: Amplitudes, progress: Progress | None
) -> Findings:
    """Shares of points in each range, in float64 and in float32, and what float32 rounds to exactly zero."""
    parts = []
    for part in rows.split(SMALL):
        parts.append(amplitudes(model, split.images(part)))
        if progress is not None:
            progress(len(parts) * SMALL, len(rows))
    size, plain, zeros = (torch.cat(values).cpu().numpy() for values in zip(*parts, strict=True))
    edges = [0.0, *(10.0**power for power in what.edges), 1.0]
    bounds = np.asarray(what.edges, float)
    with np.errstate(divide="ignore"):
        sizes = {"float64": size, "float32": np.log10(plain)}
    found = Findings(
        metrics={
            "zero_float32": share(zeros == 1),
            "zero_entries_float32": mean(zeros),
            "median_log10": Metric(float(np.median(size).clip(-1e6)), len(size), unit="log10"),
        }
    )
    for name, values in sizes.items():
        place = np.searchsorted(bounds, values, side="right")
        counts = np.bincount(place, minlength=len(bounds) + 1)
        found.histograms[name] = {"edges": edges, "counts": counts.tolist()}
        if name == "float64":
            for index, (low, high) in enumerate(pairwise(edges)):
                found.metrics[f"share {low:g} - {high:g}"] = share(place == index)
    return found


@torch.no_grad()
def outputs(model: nn.Module, split: Split, rows: Tensor, what: Outputs) -> Findings:
    """C(X) (eq. 12 of arXiv 1511.04508: 0 where the class is wrong), means of max F and of |z|, equal decisions."""
    logits = torch.cat([model(split.images(part)) for part in rows.split(CHUNK)])
    y = split.y[rows.to(split.y.device)]
    top, winner = logits.softmax(1).max(1)
    warm, same = (logits / what.temperature).softmax(1).max(1)
    decided = logits.argmax(1)
    values = {"confidence": top * (winner == y), "max_output": top, "max_output_at_T": warm}
    sizes = logits.double().abs().mean(1).cpu().numpy()
    # Equal outputs are one decision, whichever of them comes first.
    agrees = (same == decided) | (warm == (logits / what.temperature).softmax(1).gather(1, decided[:, None])[:, 0])
    return Findings(
        metrics={name: mean(value.double().cpu().numpy()) for name, value in values.items()}
        | {
            "accuracy": share((decided == y).cpu().numpy()),
            "same_decision": share(agrees.cpu().numpy()),
            "logit_size": mean(sizes, unit="logits"),
            "logit_size_spread": Metric(float(sizes.std()), len(sizes), unit="logits"),
        },
        outcomes={"correct": pack((decided == y).cpu().numpy())},
    )


def accuracy_variation(model: nn.Module, baseline: nn.Module, split: Split, rows: Tensor) -> Findings:
    """Accuracy of both on the same points, and the difference with the interval of its paired values."""
    right = []
    with torch.no_grad():
        for network in (model, baseline):
            parts = [network(split.images(part)).argmax(1) == split.y[part] for part in rows.split(CHUNK)]
            right.append(torch.cat(parts).cpu().numpy())
    ours, theirs = right
    return Findings(
        metrics={
            "variation": mean(100 * (ours.astype(float) - theirs), unit="pp"),
            "accuracy": share(ours),
            "baseline_accuracy": share(theirs),
        },
        outcomes={"correct": pack(ours)},
    )


def recipe(model: nn.Module, network: Network, n_train: int) -> Findings:
    """Channels, units or pool sizes of the layers in order, then the settings of the training."""
    layers = [
        float(getattr(module, name))
        for module in model.modules()
        for kind, name in ((nn.Conv2d, "out_channels"), (nn.MaxPool2d, "kernel_size"), (nn.Linear, "out_features"))
        if isinstance(module, kind)
    ]
    schedule = network.schedule
    first, end = network.rows or (0, n_train)
    epoch = max(1, (end - first) // schedule.batch)
    settings = {f"layer {i + 1}": size for i, size in enumerate(layers)} | {
        "parameters": float(count_parameters(model)),
        "learning rate": schedule.lr,
        "momentum": schedule.momentum,
        "dropout (FC)": max((m.p for m in model.modules() if isinstance(m, nn.Dropout)), default=0.0),
        "batch size": float(schedule.batch),
        "epochs": schedule.steps / epoch,
        # Without a step decay the delay is the whole training.
        "decay delay": (schedule.decay[0][0] if schedule.decay else schedule.steps) / epoch,
    }
    return Findings(metrics={name: Metric(value, 1, unit="setting") for name, value in settings.items()})
