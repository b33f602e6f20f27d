"""Figures of Madry et al. 2018, drawn from records: each returns a figure and its alt text, or why there is none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...catalogue.base import published_of
from ...experiments.records import Record
from ...experiments.specs import Evaluation, Network, TrainingCurve
from ...experiments.store import Store
from ...report.join import title_suffix
from ...report.plots import curves as figures
from ...report.plots.curves import Curve
from ...report.plots.records import MISSING, Drawing, Point, joined, record_of, share_at, sources, stamped
from . import networks as madry

REGIMES = {"natural": "natural training", "PGD": "PGD training"}


def _mean(record: Record, metric: str = "final_loss") -> str:
    return f"{record.metrics[metric].value:.3g}"


Make = Callable[[str], Evaluation]
"""From a way of training to an evaluation: what tells MNIST's figures from CIFAR-10's."""


def loss_during_pgd(profile: str, store: Store, *, examples: int = 1, make: Make = madry.trace) -> Drawing:
    """Loss against PGD iteration, many starts, natural beside PGD training (arXiv figures 1 and 11).

    Args:
        profile, store: where records are looked for.
        examples: how many, those first on which the PGD-trained network's loss ends highest.
        make: the evaluation of each way of training.
    """
    natural, robust = (record_of(make(regime), profile, store) for regime in REGIMES)
    if natural is None or robust is None:
        return MISSING
    used = [natural, robust]
    ends = {name: float(np.asarray(runs, float)[:, -1].mean()) for name, runs in robust.series.items()}
    names = sorted(ends, key=lambda name: -ends[name])[:examples]
    # Natural and robust side by side, one row an example.
    traces = {
        label if len(names) == 1 else f"{label}, example {index + 1}": np.asarray(record.series[name], float)
        for index, name in enumerate(names)
        for label, record in zip(REGIMES.values(), used, strict=True)
    }
    figure = figures.loss_traces(traces, xlabel="PGD iteration", ylabel="cross-entropy (nats)", columns=2)
    runs = next(iter(traces.values()))
    final = [np.mean([np.asarray(record.series[name], float)[:, -1] for name in names]) for record in used]
    points = "one example" if examples == 1 else f"{examples} examples"
    alt = (
        f"Cross-entropy along PGD from {len(runs)} random starts on {points}{title_suffix(used)}, one line a start, "
        "natural training left and PGD training right, on scales of their own. "
        f"The loss ends at {final[0]:.3g} nats on average after natural and at {final[1]:.3g} after PGD training."
    )
    return stamped(figure, used), alt


def local_maxima(profile: str, store: Store, *, make: Make = madry.maxima) -> Drawing:
    """Histogram of final losses over many starts, five examples (arXiv figure 2)."""
    natural, robust = (record_of(make(regime), profile, store) for regime in REGIMES)
    if natural is None or robust is None:
        return MISSING
    panels = [
        (
            f"example {index + 1}",
            {
                label: (np.asarray(record.histograms[name]["edges"]), np.asarray(record.histograms[name]["counts"]))
                for label, record in zip(REGIMES.values(), (natural, robust), strict=True)
            },
        )
        for index, name in enumerate(sorted(natural.histograms))
    ]
    figure = figures.loss_histograms(panels, xlabel="final cross-entropy (nats)", ylabel="starts", columns=2)
    starts = int(sum(next(iter(natural.histograms.values()))["counts"]))
    alt = (
        f"Histograms of the loss at which PGD ends from {starts} random starts on each of {len(panels)} examples"
        f"{title_suffix([natural, robust])}, counts on a logarithmic axis. The mean is {_mean(natural)} nats after "
        f"natural and {_mean(robust)} after PGD training."
    )
    return stamped(figure, [natural, robust]), alt


def capacity(profile: str, store: Store) -> Drawing:
    """Accuracy and training loss against capacity, three ways of training (arXiv figure 4)."""
    numbers = published_of("madry2018/capacity")
    panels: dict[str, dict[str, Curve]] = {}
    used: list[Record] = []
    under_pgd = []
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
            curve = joined(points)
            used += sources(points)
            if name == "PGD":
                under_pgd.append(f"{share_at(points, madry.SCALES[-1])} after {regime} training")
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
        curve = joined(points, 1.0)
        used += sources(points)
        if curve is not None:
            losses[f"{regime} training"] = curve
    if not panels:
        return MISSING
    if losses:
        panels["(d) training loss"] = losses
    figure = figures.capacity_panels(
        panels, xlabel="capacity scale", ylabel="accuracy (%)", ylabels={"(d) training loss": "cross-entropy (nats)"}
    )
    alt = (
        "Four panels against capacity scale 1 to 16: accuracy on clean, FGSM and PGD inputs after (a) standard, "
        "(b) FGSM and (c) PGD training, and (d) the loss on training batches. Hollow markers are the paper's values. "
        f"Under PGD the largest scale keeps {', '.join(under_pgd)}{title_suffix(used)}."
    )
    return stamped(figure, used), alt


def accuracy_vs_eps(profile: str, store: Store, norm: str) -> Drawing:
    """Accuracy against the radius of the attack, one norm (arXiv figure 6, panels a and b)."""
    numbers = published_of("madry2018/accuracy-vs-eps")
    panel, radii, digits, told = (
        ("(a) MNIST linf", madry.LINF_GRID, 2, 0.3) if norm == "linf" else ("(b) MNIST l2", madry.L2_GRID, 1, 2.0)
    )
    curves: dict[str, Curve] = {}
    used: list[Record] = []
    outcome = []
    for regime, name in (("PGD", "adv. trained"), ("natural", "standard")):
        for decision, column in ((False, f"PGD {name}"), (True, f"DBA (2000 steps) {name}")):
            points: list[Point] = []
            for eps in radii:
                evaluation = madry.distances(regime, norm) if decision else madry.sweep(regime, norm, eps)
                metric = f"accuracy@{eps:g}" if decision else "accuracy"
                number = numbers.get((f"{panel}; eps={eps:.{digits}f}", column))
                points.append((eps, record_of(evaluation, profile, store), metric, number.value if number else None))
            curve = joined(points)
            if curve is not None:
                label = column.replace("DBA (2000 steps)", "boundary attack,").replace("PGD ", "PGD, ")
                curves[label] = curve
                used += sources(points)
                outcome.append(f"{label} {share_at(points, told)}")
    if not curves:
        return MISSING
    figure = figures.accuracy_curves(
        curves,
        ylabel="accuracy (%)",
        xlabel=r"radius $\varepsilon$ ($\ell_\infty$)" if norm == "linf" else r"radius $\varepsilon$ ($\ell_2$)",
        mark_eps=madry.THREAT.eps if norm == "linf" else None,
    )
    alt = (
        f"Accuracy against the {'l-infinity' if norm == 'linf' else 'l2'} radius for the PGD-trained and the standard "
        "network, under PGD and under the decision-based boundary attack, with 95 % bands; hollow markers are the "
        f"paper's values. At radius {told:g}: {', '.join(outcome)}{title_suffix(used)}."
    )
    return stamped(figure, used), alt


def training_loss(profile: str, store: Store, *, network: Network | None = None) -> Drawing:
    """Loss on adversarial training batches against updates (arXiv figure 5), by default of network A."""
    record = record_of(Evaluation(network or madry.network(), TrainingCurve()), profile, store)
    if record is None:
        return MISSING
    steps, loss = (np.asarray(record.series[name], float) for name in ("step", "loss"))
    figure = figures.training_loss(steps, loss, smooth=5, xlabel="update", ylabel="cross-entropy (nats)")
    which = "network A" if network is None else "the network"
    alt = (
        f"Cross-entropy on PGD batches during the training of {which}{title_suffix([record])}, on a logarithmic axis: "
        f"{loss[0]:.2f} nats over the first updates, {_mean(record)} over the last twentieth of training."
    )
    return stamped(figure, [record]), alt
