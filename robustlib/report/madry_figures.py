"""Figures of Madry et al. 2018, drawn from records: each returns a figure and its alt text, or why there is none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..experiments.profiles import profile as profile_of
from ..experiments.profiles import search_order
from ..experiments.records import Record
from ..experiments.specs import Evaluation, TrainingCurve
from ..experiments.store import Store
from ..papers import madry2018 as madry
from ..papers.base import published_of
from ..papers.plan import shrink
from . import figures
from .display import Drawing
from .figures import Curve

MISSING = "no record of this figure yet"
REGIMES = {"natural": "natural training", "PGD": "PGD training"}


def record_of(evaluation: Evaluation, profile: str, store: Store) -> Record | None:
    """The record of an evaluation under the most faithful profile that has one."""
    for name in search_order(profile):
        shrunk = shrink(evaluation, name)
        record = None if shrunk is None else store.find(shrunk, name)
        if record is not None:
            return record
    return None


def _suffix(records: Sequence[Record]) -> str:
    return profile_of(records[0].profile).suffix


def loss_during_pgd(profile: str, store: Store, *, examples: int = 1) -> Drawing:
    """Loss against PGD iteration, many starts, natural beside PGD training (arXiv figures 1 and 11)."""
    traces: dict[str, np.ndarray] = {}
    used = []
    for regime, label in REGIMES.items():
        record = record_of(madry.trace(regime), profile, store)
        if record is None:
            return MISSING
        used.append(record)
        for index, (_, runs) in enumerate(sorted(record.series.items())[:examples]):
            traces[label if examples == 1 else f"{label}, example {index + 1}"] = np.asarray(runs, float)
    if examples > 1:
        # Natural and robust side by side, one row an example.
        traces = {
            name: traces[name]
            for i in range(examples)
            for name in traces
            if name.endswith(f"example {i + 1}")
        }
    figure = figures.loss_traces(traces, xlabel="PGD iteration", ylabel="cross-entropy (nats)", columns=2)
    runs = next(iter(traces.values()))
    alt = (
        f"Cross-entropy along PGD from {len(runs)} random starts on {examples} example(s){_suffix(used)}: one line a "
        "start; the scales of the panels differ, natural training left and PGD training right."
    )
    return figure, alt


def local_maxima(profile: str, store: Store) -> Drawing:
    """Histogram of final losses over many starts, five examples (arXiv figure 2)."""
    natural, robust = (record_of(madry.maxima(regime), profile, store) for regime in REGIMES)
    if natural is None or robust is None:
        return MISSING
    panels = [
        (
            f"example {index + 1}",
            {
                label: (
                    np.asarray(record.histograms[name]["edges"]),
                    np.asarray(record.histograms[name]["counts"]),
                )
                for label, record in zip(REGIMES.values(), (natural, robust), strict=True)
            },
        )
        for index, name in enumerate(sorted(natural.histograms))
    ]
    figure = figures.loss_histograms(panels, xlabel="final cross-entropy (nats)", ylabel="starts", columns=2)
    starts = int(sum(next(iter(natural.histograms.values()))["counts"]))
    alt = (
        f"Histograms of the loss at which PGD ends from {starts} random starts on {len(panels)} examples"
        f"{_suffix([natural])}, natural beside PGD training, counts on a logarithmic axis."
    )
    return figure, alt


def _curve(
    points: list[tuple[float, Record | None, str, float | None]], factor: float = 100.0
) -> Curve | None:
    """x, y, low, high and published from (x, record, metric, published); None when nothing was measured."""
    known = [(x, r.metrics[m], p) for x, r, m, p in points if r is not None and m in r.metrics]
    if not known:
        return None
    columns = [
        (x, factor * m.value, np.nan if m.low is None else factor * m.low,
         np.nan if m.high is None else factor * m.high, np.nan if p is None else p)
        for x, m, p in known
    ]  # fmt: skip
    x, y, low, high, published = (np.asarray(column, float) for column in zip(*columns, strict=True))
    return x, y, low, high, published


def capacity(profile: str, store: Store) -> Drawing:
    """Accuracy and training loss against capacity, three ways of training (arXiv figure 4)."""
    numbers = published_of("madry2018/capacity")
    panels: dict[str, dict[str, Curve]] = {}
    for regime, title in madry.PANELS.items():
        curves = {}
        for name, attack in madry.ATTACKS.items():
            points = [
                (
                    float(s),
                    record_of(madry.accuracy(madry.network(regime, scale=s), attack), profile, store),
                    "accuracy",
                    numbers[f"{title}; capacity scale {s}", f"accuracy on {name} inputs"].value,
                )
                for s in madry.SCALES
            ]
            curve = _curve(points)
            if curve is not None:
                curves[{"Natural": "clean"}.get(name, name)] = curve
        if curves:
            panels[title] = curves
    losses = {}
    for regime in madry.PANELS:
        label = regime.replace("natural", "Natural")
        points = [
            (
                float(s),
                record_of(Evaluation(madry.network(regime, scale=s), TrainingCurve()), profile, store),
                "final_loss",
                numbers[f"(d) training loss; capacity scale {s}", f"cross-entropy, {label} training"].value,
            )
            for s in madry.SCALES
        ]
        curve = _curve(points, 1.0)
        if curve is not None:
            losses[f"{regime} training"] = curve
    if not panels:
        return MISSING
    if losses:
        panels["(d) training loss"] = losses
    figure = figures.capacity_panels(
        panels,
        xlabel="capacity scale",
        ylabel="accuracy (%)",
        ylabels={"(d) training loss": "cross-entropy (nats)"},
    )
    alt = (
        "Four panels against capacity scale 1 to 16: accuracy on clean, FGSM and PGD inputs after (a) standard, "
        "(b) FGSM and (c) PGD training, and (d) the loss on training batches. Hollow markers are the paper's values."
    )
    return figure, alt


def accuracy_vs_eps(profile: str, store: Store, norm: str) -> Drawing:
    """Accuracy against the radius of the attack, one norm (arXiv figure 6, panels a and b)."""
    numbers = published_of("madry2018/accuracy-vs-eps")
    panel, grid, digits = (
        ("(a) MNIST linf", madry.LINF_GRID, 2) if norm == "linf" else ("(b) MNIST l2", madry.L2_GRID, 1)
    )
    curves: dict[str, Curve] = {}
    for regime, name in (("PGD", "adv. trained"), ("natural", "standard")):
        for decision, column in ((False, f"PGD {name}"), (True, f"DBA (2000 steps) {name}")):
            points = []
            for eps in grid:
                evaluation = madry.distances(regime, norm) if decision else madry.sweep(regime, norm, eps)
                metric = f"accuracy@{eps:g}" if decision else "accuracy"
                number = numbers.get((f"{panel}; eps={eps:.{digits}f}", column))
                points.append(
                    (eps, record_of(evaluation, profile, store), metric, number.value if number else None)
                )
            curve = _curve(points)
            if curve is not None:
                curves[column.replace("DBA (2000 steps)", "boundary attack,").replace("PGD ", "PGD, ")] = (
                    curve
                )
    if not curves:
        return MISSING
    figure = figures.accuracy_curves(
        curves, xlabel=f"ε ({'l∞' if norm == 'linf' else 'l2'})", ylabel="accuracy (%)",
        mark_eps=madry.THREAT.eps if norm == "linf" else None,
    )  # fmt: skip
    alt = (
        f"Accuracy against the {'l-infinity' if norm == 'linf' else 'l2'} radius for the PGD-trained and the standard "
        "network, under PGD and under the decision-based boundary attack, with 95 % bands; hollow markers are the "
        "paper's values."
    )
    return figure, alt


def training_loss(profile: str, store: Store) -> Drawing:
    """Loss on adversarial training batches against updates (arXiv figure 5)."""
    record = record_of(Evaluation(madry.network(), TrainingCurve()), profile, store)
    if record is None:
        return MISSING
    steps, loss = (np.asarray(record.series[name], float) for name in ("step", "loss"))
    figure = figures.training_loss(steps, loss, smooth=5, xlabel="update", ylabel="cross-entropy (nats)")
    alt = f"Cross-entropy on PGD batches during the training of network A{_suffix([record])}, on a logarithmic axis."
    return figure, alt
