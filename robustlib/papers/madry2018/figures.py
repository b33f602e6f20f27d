"""Figures of Madry et al. 2018, drawn from records: each returns a figure and its alt text, or why there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from ...evaluate.losses import TrainingCurve
from ...experiments.store import Store
from ...report.join import title_suffix
from ...report.plots.brackets import Bracket, Mark, brackets
from ...report.plots.curves import Curve, curve_panels
from ...report.plots.histograms import histograms
from ...report.plots.records import (
    MISSING,
    Drawing,
    joined,
    printed_along,
    read_record,
    record_of,
    records_of,
    share_at,
    sources,
    stamped,
)
from ...report.published_tables import groups
from ...report.rows import Row
from ...spec.evaluation import Evaluation
from ...spec.network import Network
from ...spec.records import Record
from . import networks as madry

REGIMES = {"natural": "natural training", "PGD": "PGD training"}
SMOOTH = 5
"""Batches in the running mean of the training loss."""
Make = Callable[[str], Evaluation]
"""Function from a way of training to an evaluation, of MNIST's network or of CIFAR-10's."""


def _final(record: Record) -> str:
    return f"{record.metrics['final_loss'].value:.3g}"


def loss_during_pgd(profile: str, store: Store, *, examples: int = 1, make: Make = madry.trace) -> Drawing:
    """Loss against PGD iteration, many starts, natural beside PGD training (arXiv figures 1 and 11).

    Args:
        profile, store: where records are looked for.
        examples: how many, those first on which the PGD-trained network's loss ends highest.
        make: the evaluation of each way of training.
    """
    used = list(records_of({regime: make(regime) for regime in REGIMES}, profile, store).values())
    if len(used) < len(REGIMES):
        return MISSING
    ends = {name: float(np.asarray(runs, float)[:, -1].mean()) for name, runs in used[1].series.items()}
    names = sorted(ends, key=lambda name: -ends[name])[:examples]
    # Natural and robust side by side, one row an example.
    panels: dict[str, Mapping[str, Curve]] = {}
    for index, name in enumerate(names):
        for label, record in zip(REGIMES.values(), used, strict=True):
            runs = np.asarray(record.series[name], float)
            title = label if len(names) == 1 else f"{label}, example {index + 1}"
            panels[title] = {label: Curve(np.arange(runs.shape[1]), runs.mean(0), runs=runs)}
    figure = curve_panels(panels, xlabel="PGD iteration", ylabel="cross-entropy (nats)", baseline="zero", markers=False)
    final = [np.mean([np.asarray(record.series[name], float)[:, -1] for name in names]) for record in used]
    points = "one example" if examples == 1 else f"{examples} examples"
    alt = (
        f"Cross-entropy along PGD from {len(used[0].series[names[0]])} random starts on {points}{title_suffix(used)}, "
        "one line a start, natural training left and PGD training right, on scales of their own. "
        f"The loss ends at {final[0]:.3g} nats on average after natural and at {final[1]:.3g} after PGD training."
    )
    return stamped(figure, used), alt


def local_maxima(profile: str, store: Store, *, make: Make = madry.maxima) -> Drawing:
    """Histogram of final losses over many starts, five examples (arXiv figure 2)."""
    used = list(records_of({regime: make(regime) for regime in REGIMES}, profile, store).values())
    if len(used) < len(REGIMES):
        return MISSING
    natural, robust = used
    panels = {
        f"example {index + 1}": {
            label: (record.histograms[name]["edges"], record.histograms[name]["counts"])
            for label, record in zip(REGIMES.values(), used, strict=True)
        }
        for index, name in enumerate(sorted(natural.histograms))
    }
    figure = histograms(panels, xlabel="final cross-entropy (nats)", ylabel="starts")
    starts = int(sum(next(iter(natural.histograms.values()))["counts"]))
    alt = (
        f"Histograms of the loss at which PGD ends from {starts} random starts on each of {len(panels)} examples"
        f"{title_suffix(used)}, counts on a logarithmic axis. The mean is {_final(natural)} nats after natural "
        f"and {_final(robust)} after PGD training."
    )
    return stamped(figure, used), alt


def capacity(profile: str, store: Store) -> Drawing:
    """Accuracy and training loss against capacity, three ways of training (arXiv figure 4)."""
    panels: dict[str, dict[str, Curve]] = {}
    used: list[Record | Row] = []
    under_pgd = []

    def add(panel: str, name: str, runs: Mapping[int, Evaluation], metric: str, column: str, unit: float) -> str:
        """Add a curve to a panel, and return its value at the largest scale, as text."""
        theirs = printed_along("madry2018/capacity", "capacity scale", column, panel)
        points = [
            read_record(s, record_of(run, profile, store), metric, published=theirs[s], scale=unit)
            for s, run in runs.items()
        ]
        used.extend(sources(points))
        curve = joined(points)
        if curve is not None:
            panels.setdefault(panel, {})[name] = curve
        return share_at(points, madry.SCALES[-1])

    for regime, title in madry.PANELS.items():
        for name, attack in madry.ATTACKS.items():
            runs = {s: madry.accuracy(madry.network(regime, scale=s), attack) for s in madry.SCALES}
            label = {"Natural": "clean"}.get(name, name)
            share = add(title, label, runs, "accuracy", f"accuracy on {name} inputs", 100.0)
            if name == "PGD":
                under_pgd.append(f"{share} after {regime} training")
    if not panels:
        return MISSING
    loss = "(d) training loss"
    for regime in madry.PANELS:
        runs = {s: Evaluation(madry.network(regime, scale=s), TrainingCurve()) for s in madry.SCALES}
        column = f"cross-entropy, {regime.replace('natural', 'Natural')} training"
        add(loss, f"{regime} training", runs, "final_loss", column, 1.0)
    figure = curve_panels(
        panels,
        xlabel="capacity scale",
        ylabel=dict.fromkeys(panels, "accuracy (%)") | {loss: "cross-entropy (nats)"},
        xscale="log",
        ticks=madry.SCALES,
        baseline="zero",
    )
    alt = (
        "Four panels against capacity scale 1 to 16: accuracy on clean, FGSM and PGD inputs after (a) standard, "
        "(b) FGSM and (c) PGD training, and (d) the loss on training batches. Hollow markers are the paper's values. "
        f"Under PGD the largest scale keeps {', '.join(under_pgd)}{title_suffix(used)}."
    )
    return stamped(figure, used), alt


def accuracy_vs_eps(profile: str, store: Store, norm: str) -> Drawing:
    """Accuracy against the radius of the attack, one norm (arXiv figure 6, panels a and b)."""
    panel, radii, chosen = (
        ("(a) MNIST linf", madry.LINF_GRID, 0.3) if norm == "linf" else ("(b) MNIST l2", madry.L2_GRID, 2.0)
    )
    curves: dict[str, Curve] = {}
    used: list[Record | Row] = []
    outcome = []
    for regime, name in (("PGD", "adv. trained"), ("natural", "standard")):
        for decision, column in ((False, f"PGD {name}"), (True, f"DBA (2000 steps) {name}")):
            theirs, points = printed_along("madry2018/accuracy-vs-eps", "eps", column, panel), []
            for eps in radii:
                run = madry.distances(regime, norm) if decision else madry.sweep(regime, norm, eps)
                metric = f"accuracy@{eps:g}" if decision else "accuracy"
                points.append(read_record(eps, record_of(run, profile, store), metric, published=theirs.get(eps)))
            curve = joined(points)
            if curve is not None:
                label = column.replace("DBA (2000 steps)", "boundary attack,").replace("PGD ", "PGD, ")
                curves[label] = curve
                used += sources(points)
                outcome.append(f"{label} {share_at(points, chosen)}")
    if not curves:
        return MISSING
    figure = curve_panels(
        {"": curves},
        ylabel="accuracy (%)",
        xlabel=r"radius $\varepsilon$ ($\ell_\infty$)" if norm == "linf" else r"radius $\varepsilon$ ($\ell_2$)",
        baseline="zero",
        mark=(madry.THREAT.eps, "training ε") if norm == "linf" else None,
    )
    alt = (
        f"Accuracy against the {'l-infinity' if norm == 'linf' else 'l2'} radius for the PGD-trained and the standard "
        "network, under PGD and under the decision-based boundary attack, with 95 % bands; hollow markers are the "
        f"paper's values. At radius {chosen:g}: {', '.join(outcome)}{title_suffix(used)}."
    )
    return stamped(figure, used), alt


def training_loss(profile: str, store: Store, *, network: Network | None = None) -> Drawing:
    """Loss on adversarial training batches against updates (arXiv figure 5), by default of network A."""
    record = record_of(Evaluation(network or madry.network(), TrainingCurve()), profile, store)
    if record is None:
        return MISSING
    steps, loss = (np.asarray(record.series[name], float) for name in ("step", "loss"))
    # Centred, and shorter at both ends.
    mean = pd.Series(loss).rolling(SMOOTH, center=True, min_periods=1).mean()
    curve = Curve(steps, mean.to_numpy(), runs=[loss])
    figure = curve_panels(
        {"": {f"mean of {SMOOTH} batches, and each batch behind it": curve}},
        xlabel="update",
        ylabel="cross-entropy (nats)",
        yscale="log",
        markers=False,
    )
    which = "network A" if network is None else "the network"
    alt = (
        f"Cross-entropy on PGD batches during the training of {which}{title_suffix([record])}, on a logarithmic axis: "
        f"{loss[0]:.2f} nats over the first updates, {_final(record)} over the last twentieth of training."
    )
    return stamped(figure, [record]), alt


def leaderboards() -> Drawing:
    """White-box attacks on the authors' two challenge networks, as published on the challenges' pages."""
    panels: dict[str, dict[str, Bracket]] = {}
    best = []
    for title, numbers in groups("madry2018/leaderboards").items():
        if "white-box" in title:
            ranked = sorted(((n.value, n.row) for n in numbers if n.value is not None), reverse=True)
            panels[title] = {name: {"accuracy": Mark(None, value)} for value, name in ranked}
            best.append(f"{title}: {ranked[-1][0]:.2f} % ({ranked[-1][1]})")
    alt = (
        "Accuracy that each published white-box attack leaves on the authors' challenge networks, strongest attack at "
        f"the bottom. The strongest: {'; '.join(best)}."
    )
    return brackets(panels, xlabel="accuracy that is left (%)", whole=False), alt
