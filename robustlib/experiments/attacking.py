"""What a suite of attacks, or an attack from many starts, leaves in a record."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from ..data import Split
from ..evaluate import accuracy_interval, evaluate, hinge_risks, standard
from .findings import Findings
from .records import Metric, pack
from .specs import HingeBound, LocalMaxima, WorstCase


def worst_case(subject: nn.Module, split: Split, rows: Tensor, what: WorstCase, name: str) -> Findings:
    """Accuracy after the whole suite and after each of its attacks."""
    chosen = rows.to(split.y.device)
    suite = standard(what.threat, steps=what.steps, queries=what.queries, targets=what.target_classes)
    report = evaluate(subject, split.images(chosen), split.y[chosen], what.threat, suite, search=what.search, name=name)
    last = report.lines[-1]
    found = Findings(
        metrics={"accuracy": Metric(last.accuracy, len(rows), last.low, last.high)},
        outcomes={"correct": pack(report.worst.cpu().numpy())},
        notes=[f"{finding.name}: {finding.text}" for finding in report.findings],
    )
    for line in report.lines:
        # Two losses of one attack are one stage: the later line holds what both left.
        found.metrics[f"after {line.name}"] = Metric(line.accuracy, len(rows), line.low, line.high)
    found.series["passes"] = [[line.points, line.cost.forwards, line.cost.backwards] for line in report.lines]
    if report.convergence is not None:
        found.series["convergence"] = [list(row) for row in report.convergence.accuracy]
    return found


def hinge_bound(subject: nn.Module, split: Split, rows: Tensor, what: HingeBound, name: str) -> Findings:
    """Both sides of the bound, and accuracy under the attack."""
    risks = hinge_risks(
        subject, split, rows, what.threat, steps=what.steps, step_size=what.step_size, scale=what.scale, name=name
    )
    value, low, high = accuracy_interval(risks.robust)
    left = 1 - value
    right = float(risks.natural.mean() + risks.spread.mean())
    found = Findings(
        metrics={
            "accuracy": Metric(value, len(rows), low, high),
            "risk": Metric(float(risks.natural.mean()), len(rows), unit="hinge"),
            "regulariser": Metric(float(risks.spread.mean()), len(rows), unit="hinge"),
            "gap": Metric(right - left, len(rows), unit="hinge"),
        },
        outcomes={"correct": pack(risks.robust)},
    )
    return found


def local_maxima(what: LocalMaxima, rows: Tensor, losses: np.ndarray) -> Findings:
    """Losses of each example as counts; how far the greatest lies above the middle one."""
    first, last, bins = what.edges
    edges = np.linspace(first, last, bins + 1)
    found = Findings(metrics={"final_loss": Metric(float(losses.mean()), losses.size, unit="nats")})
    for row, values in zip(rows.tolist(), losses, strict=True):
        counts, _ = np.histogram(values.clip(first, last), bins=edges)
        used = np.nonzero(counts)[0]
        # Bins outside the occupied range hold nothing: leave them out, the edges say where the range lies.
        inside = slice(int(used[0]), int(used[-1]) + 1)
        found.histograms[f"example_{row}"] = {
            "edges": edges[inside.start : inside.stop + 1].round(6).tolist(),
            "counts": counts[inside].tolist(),
        }
        found.metrics[f"max_over_median_{row}"] = Metric(
            float(values.max() / max(float(np.median(values)), 1e-12)), len(values), unit="ratio"
        )
    return found
