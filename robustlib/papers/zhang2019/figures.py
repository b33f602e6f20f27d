"""Figures of Zhang et al. 2019, drawn from records: each returns a figure and its alt text, or why there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ...catalogue.base import published_of
from ...experiments.store import Store
from ...report.display import Drawing
from ...report.join import rows
from ...report.plots.charts import Errors, line_panels, ranked, stacked_errors, step_rule
from ...report.plots.curves import Curve
from ...report.plots.regions import decision_regions
from ...spec.records import Record
from ..madry2018.figures import MISSING, record_of, stamped
from . import networks as specs
from . import own
from .theory import PSI, SURROGATES, counterexample, psi_transform

BETAS = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 2.0, 3.0, 4.0, 5.0)
"""1/lambda of Table 4."""


def decision_boundary(profile: str, store: Store) -> Drawing:
    """Natural training beside TRADES in the plane (figure 1)."""
    found = {name: record_of(own.plane(beta), profile, store) for name, beta in own.METHODS.items()}
    records = {name: record for name, record in found.items() if record is not None}
    if len(records) < len(found):
        return MISSING
    first = next(iter(records.values()))
    side = len(first.series["scores"])
    axis = np.linspace(0, 1, side)
    panels = {name: (axis, axis, np.asarray(r.series["scores"], float)) for name, r in records.items()}
    figure = decision_regions(panels, first.series["points"], first.series["labels"], eps=own.PLANE.eps)
    said = ", ".join(f"{r.metrics['boundary'].value:.0%} after {name}" for name, r in records.items())
    alt = (
        "Two panels with the same points in their boxes and each network's two regions. "
        f"Share of points that are right but whose box the boundary cuts: {said}."
    )
    return stamped(figure, list(records.values())), alt


def eta_steps() -> Drawing:
    """The counterexample's eta (figure 2, by recollection): from its definition."""
    x, eta = counterexample()
    alt = "A step function between 0 and 1 whose steps are as wide as ε: around every x, x ± ε reaches the other value."
    return step_rule(x, eta, width=0.1), alt


def psi_curves() -> Drawing:
    """Psi of the four losses, from the definition, with the printed formula as hollow marks (Table 2)."""
    curves: dict[str, Curve] = {}
    for name, phi in SURROGATES.items():
        t, psi = psi_transform(phi)
        at = np.isin(np.arange(len(t)), np.arange(0, len(t), 40))
        curves[name] = (t, psi, None, None, np.where(at, PSI[name](t), np.nan))
    sparse = {name: tuple(None if a is None else np.asarray(a)[::20] for a in curve) for name, curve in curves.items()}
    figure = line_panels({"ψ-transforms": sparse}, xlabel="t", ylabels=["ψ(t)"])  # type: ignore[dict-item]
    return figure, (
        "ψ of four losses on 0 to 1: hinge and sigmoid on the diagonal, exponential and logistic below it. The printed "
        "formulae, hollow, lie on the computed curves."
    )


def series(
    points: Sequence[tuple[float, Record | None, Callable[[Record], float]]], published: Sequence[float] | None = None
) -> Curve:
    """A curve of (x, record, what is read from it); NaN where there is no record."""
    x = np.asarray([at for at, _, _ in points], float)
    y = np.asarray([np.nan if record is None else value(record) for _, record, value in points])
    return x, y, None, None, None if published is None else np.asarray(published, float)


def tightness(profile: str, store: Store) -> Drawing:
    """Both sides of theorem 3.1 against lambda (Table 3)."""
    found = [(scale, record_of(specs.bound(scale), profile, store)) for scale in specs.LAMBDAS]
    used = [record for _, record in found if record is not None]
    if not used:
        return MISSING
    sides: dict[str, Callable[[Record], float]] = {
        "left: robust error": lambda r: 100 * (1 - r.metrics["accuracy"].value),
        "right: risk and regulariser": lambda r: 100 * (r.metrics["risk"].value + r.metrics["regulariser"].value),
    }
    curves = {name: series([(at, record, value) for at, record in found]) for name, value in sides.items()}
    figure = line_panels({"theorem 3.1": curves}, xlabel="λ (small: robust)", ylabels=["per cent"])
    gaps = ", ".join(f"{100 * record.metrics['gap'].value:.2f}" for record in used)
    return stamped(figure, used), f"The theorem's two sides at each λ. Right minus left, in points: {gaps}."


def lambda_sweep(profile: str, store: Store) -> Drawing:
    """Robust and natural accuracy against 1/lambda on MNIST (Table 4)."""
    numbers = published_of("zhang2019/table-4")
    panels: dict[str, dict[str, Curve]] = {}
    used, ends = [], []
    for title, column, robust in (("robust", "A_rob", True), ("natural", "A_nat", False)):
        points = [(beta, record_of(specs.sweep("mnist", beta, robust=robust), profile, store)) for beta in BETAS]
        used += [record for _, record in points if record is not None]
        printed = [_printed(numbers, beta, column) for beta in BETAS]
        panels[f"{title} accuracy"] = {"small net, ε 0.1": series([(b, r, percent) for b, r in points], printed)}
        values = [f"{percent(r):.1f} at {b:g}" for b, r in (points[0], points[-1]) if r is not None]
        ends.append(f"{title} accuracy {' and '.join(values)}")
    if not used:
        return MISSING
    figure = line_panels(panels, xlabel="1/λ (large: robust)", ylabels=["accuracy (%)"] * 2, scale="log")
    return stamped(figure, used), f"Accuracy against 1/λ, published values hollow. Ours, in %: {'; '.join(ends)}."


def _printed(numbers: Mapping[tuple[str, str], object], beta: float, column: str) -> float:
    for (row, name), number in numbers.items():
        at = float(row.partition("=")[2])
        if at == beta and name.startswith("MNIST") and column in name and not name.endswith("std"):
            return float(getattr(number, "value", None) or np.nan)
    return float("nan")


def percent(record: Record) -> float:
    """Its accuracy."""
    return 100 * record.metrics["accuracy"].value


def _errors(first: float, last: Record) -> Errors:
    metric = last.metrics["accuracy"]
    low, high = (metric.value if end is None else end for end in (metric.high, metric.low))
    natural, robust = 100 * (1 - first), 100 * (1 - metric.value)
    return natural, max(0.0, robust - natural), 100 * (1 - low), 100 * (1 - high)


def decomposition(profile: str, store: Store) -> Drawing:
    """Robust error = natural error + boundary error: five defences in the worst case, the sweep under FGSM^40."""
    panels: dict[str, dict[str, Errors]] = {}
    used: list[Record] = []
    for name in specs.BASELINES:
        record = record_of(specs.worst_case(name), profile, store)
        if record is not None:
            used.append(record)
            bars = panels.setdefault("SmallCNN, ε 0.3, the whole suite", {})
            bars[name] = _errors(record.metrics["after clean"].value, record)
    for beta in BETAS:
        pair = [record_of(specs.sweep("mnist", beta, robust=robust), profile, store) for robust in (False, True)]
        if pair[0] is not None and pair[1] is not None:
            used += [record for record in pair if record is not None]
            bars = panels.setdefault("small net, ε 0.1, 40 steps", {})
            bars[f"TRADES, 1/λ {beta:g}"] = _errors(pair[0].metrics["accuracy"].value, pair[1])
    if not panels:
        return MISSING
    said = "; ".join(
        f"{name} {parts[0]:.1f} + {parts[1]:.1f}" for bars in panels.values() for name, parts in bars.items()
    )
    alt = f"Robust error as a bar of natural error with boundary error on top, in per cent: {said}."
    return stamped(stacked_errors(panels, xlabel="robust error (%)"), used), alt


def challenge() -> Drawing:
    """The NeurIPS 2018 challenge's best six, published numbers alone (figure 3, by recollection)."""
    numbers = [n for n in published_of("zhang2019/challenge").values() if "distance" in n.column]
    values = sorted(((n.value, n.row) for n in numbers if n.value is not None), reverse=True)
    bars: dict[str, tuple[float | None, float | None]] = {name: (None, value) for value, name in values}
    alt = f"Published mean distances of the best entries, largest first: {', '.join(f'{v:g}' for v, _ in values)}."
    return ranked(bars, xlabel="mean l_2 distance of the adversarial example (published)"), alt


def aged(dataset: str, profile: str, store: Store) -> Drawing:
    """What later attacks left of the released network, beside ours."""
    lines = [r for r in rows(f"zhang2019/leaderboards/{dataset}", profile, store) if r.published is not None]
    if not any(r.values for r in lines):
        return MISSING
    lines.sort(key=lambda r: -(r.published or 0))
    bars = {r.label: (r.value, r.published) for r in lines}
    both = [f"{r.label} {r.value:.1f} against {r.published:.1f}" for r in lines if r.value is not None]
    alt = f"Accuracy left by each attack, ours against the released network's, in per cent: {'; '.join(both)}."
    return stamped(ranked(bars, xlabel="accuracy (%)"), [r for r in lines if r.values]), alt
