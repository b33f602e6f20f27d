"""Figures of Madry et al. 2018, drawn from records: each returns a figure and its alt text, or why there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ...catalogue.base import published_of
from ...evaluate.losses import TrainingCurve
from ...experiments.store import Store
from ...report.join import rows, title_suffix
from ...report.plots.brackets import Bracket, Mark, brackets
from ...report.plots.curves import Curve, curve_panels, smoothed
from ...report.plots.histograms import Histogram, histograms, rebinned
from ...report.plots.records import (
    MISSING,
    Drawing,
    Point,
    joined,
    printed_along,
    read_record,
    read_row,
    record_of,
    records_of,
    share_at,
    sources,
    stamped,
)
from ...report.published_tables import groups
from ...report.rows import Row
from ...spec.evaluation import Evaluation
from ...spec.records import Record
from . import cifar
from . import networks as madry

REGIMES = {"natural": "natural training", "PGD": "PGD training"}
SMOOTH = 5
"""Batches in the running mean of the training loss."""
Make = Callable[[str], Evaluation]
"""Function from a way of training to an evaluation, of MNIST's network or of CIFAR-10's."""
TRACES: dict[str, Make] = {"MNIST": madry.trace, "CIFAR10": cifar.trace}
MAXIMA: dict[str, Make] = {"MNIST": madry.maxima, "CIFAR10": cifar.maxima}


def _pairs(makes: Mapping[str, Make], profile: str, store: Store) -> dict[str, list[Record]]:
    """Records of the two ways of training by data set, where there are both."""
    found = {
        data: list(records_of({regime: make(regime) for regime in REGIMES}, profile, store).values())
        for data, make in makes.items()
    }
    return {data: records for data, records in found.items() if len(records) == len(REGIMES)}


def _image(data: str, name: str) -> str:
    """An example as figures name it: by its place in the test set."""
    return f"{data} #{name.removeprefix('example_')}"


def _final(record: Record) -> str:
    return f"{record.metrics['final_loss'].value:.3g}"


def loss_during_pgd(profile: str, store: Store, *, examples: int = 1) -> Drawing:
    """Loss against PGD iteration, many starts, natural beside PGD training, two data sets (arXiv figures 1 and 11).

    Args:
        profile, store: where records are looked for.
        examples: how many of each data set, those first on which the PGD-trained network's loss ends highest.
    """
    found: dict[str, Mapping[str, Curve]] = {}
    said, used = [], list[Record]()
    titles = dict[str, str]()
    for data, records in _pairs(TRACES, profile, store).items():
        ends = {name: float(np.asarray(runs, float)[:, -1].mean()) for name, runs in records[1].series.items()}
        names = sorted(ends, key=lambda name: -ends[name])[:examples]
        for label, record in zip(REGIMES.values(), records, strict=True):
            for place, name in enumerate(names):
                runs = np.asarray(record.series[name], float)
                title = f"{place} {data}, {label}"
                found[title] = {label: Curve(np.arange(runs.shape[1]), runs.mean(0), runs=runs)}
                titles[title] = f"{data}, {label}" if examples == 1 else _image(data, name)
            last = np.mean([np.asarray(record.series[name], float)[:, -1] for name in names])
            said.append(f"{data}, {label}: {last:.3g}")
        used += records
    if not used:
        return MISSING
    # A row for each example, from the one with the highest loss down: both trainings, data set by data set.
    panels = {title: found[title] for title in sorted(found, key=lambda title: title.split()[0])}
    figure = curve_panels(
        panels,
        xlabel="PGD iteration",
        ylabel="cross-entropy (nats)" if examples == 1 else "loss (nats)",
        baseline="zero",
        markers=False,
        titles=titles,
        columns=2 if examples == 1 else 2 * len(TRACES),
        tall=1.9 if examples == 1 else 1.4,
    )
    points = "one example" if examples == 1 else f"{examples} examples"
    alt = (
        f"Cross-entropy along PGD from several random starts on {points} of each data set{title_suffix(used)}, one "
        "line a start, natural and PGD training on scales of their own. "
        f"The loss ends, in nats on average, at: {'; '.join(said)}."
    )
    return stamped(figure, used), alt


_BINS = 40
"""A panel's, over its own range."""


def _digits(loss: float) -> str:
    """A loss of a network whose losses on one image differ in the third digit, or are near zero."""
    return f"{loss:.4g}" if loss >= 0.1 else f"{loss:.2g}"


def local_maxima(profile: str, store: Store) -> Drawing:
    """Histogram of final losses over many starts, five examples of each data set (arXiv figure 2).

    Under a panel with both trainings, as the paper draws them, the PGD-trained network alone at its own scale.
    """
    panels: dict[str, dict[str, Histogram]] = {}
    ticks: dict[str, dict[str, np.ndarray]] = {}
    said, used, alone = [], list[Record](), set[str]()
    traces = _pairs(TRACES, profile, store)
    for data, records in _pairs(MAXIMA, profile, store).items():
        pairs = dict(zip(REGIMES.values(), records, strict=True))
        ends = {label: trace.series for label, trace in zip(REGIMES.values(), traces.get(data, ()), strict=False)}
        names = sorted(records[0].histograms, key=lambda name: int(name.removeprefix("example_")))
        for labels in (tuple(pairs), tuple(pairs)[1:]):
            for name in names:
                counted = {label: pairs[label].histograms[name] for label in labels}
                title = _image(data, name)
                if len(labels) == 1:
                    edges = counted[labels[0]]["edges"]
                    title = f"{title}\nPGD, {_digits(edges[0])}\nto {_digits(edges[-1])}"
                    alone.add(title)
                panels[title] = rebinned({label: (of["edges"], of["counts"]) for label, of in counted.items()}, _BINS)
                ticks[title] = {
                    label: np.asarray(ends[label][name], float)[:, -1]
                    for label in labels
                    if name in ends.get(label, {})
                }
        starts = int(sum(records[0].histograms[names[0]]["counts"]))
        said.append(f"{data}, {starts} starts: {_final(records[0])} nats after natural, {_final(records[1])} after PGD")
        used += records
    if not used:
        return MISSING
    figure = histograms(
        panels, xlabel="final loss (nats)", ylabel="starts", zero=False, values=ticks, columns=5, tall=1.75, bare=alone
    )
    alt = (
        f"Histograms of the loss at which PGD ends from many random starts on each of {len(panels) // 2} examples"
        f"{title_suffix(used)}, both trainings on one axis and under them PGD training at its own scale, counts on a "
        f"logarithmic axis, in {_BINS} equal bins a panel; ticks at the foot are ends of single runs. "
        f"Mean final loss: {'; '.join(said)} training."
    )
    return stamped(figure, used), alt


def capacity(profile: str, store: Store) -> Drawing:
    """Accuracy and training loss against capacity, three ways of training (arXiv figure 4)."""
    found = {(row.label, row.column): row for row in rows("madry2018/capacity/mnist", profile, store)}
    points: dict[str, dict[str, list[Point]]] = {}
    loss = "(d) training loss"
    for number in published_of("madry2018/capacity").values():
        row = found.get((number.row, number.column))
        if row is None or number.column.startswith("error bar"):
            continue
        named = number.column.removeprefix("accuracy on ").removeprefix("cross-entropy, ").removesuffix(" inputs")
        trained = number.column.startswith("cross-entropy")
        name = named.replace("Natural", "natural" if trained else "clean")
        title = loss if trained else number.where["panel"]
        points.setdefault(title, {}).setdefault(name, []).append(read_row(number.where["capacity scale"], row))
    panels = {
        title: {name: curve for name, some in lines.items() if (curve := joined(some)) is not None}
        for title, lines in points.items()
    }
    panels = {title: curves for title, curves in panels.items() if curves}
    if not panels:
        return MISSING
    used = [source for curves in points.values() for some in curves.values() for source in sources(some)]
    figure = curve_panels(
        panels,
        xlabel="capacity scale",
        ylabel=dict.fromkeys(panels, "accuracy (%)") | {loss: "cross-entropy (nats)"},
        xscale="log",
        ticks=madry.SCALES,
        baseline="zero",
        apart=[loss],
        reach=dict.fromkeys(panels, 0.0) | {loss: 3.6},
    )
    under_pgd = [
        f"{share_at(points[title]['PGD'], madry.SCALES[-1])} after {regime} training"
        for regime, title in madry.PANELS.items()
        if "PGD" in points.get(title, ())
    ]
    alt = (
        "Four panels against capacity scale 1 to 16: accuracy on clean, FGSM and PGD inputs after (a) standard, "
        "(b) FGSM and (c) PGD training, and (d) the loss on training batches. Lines are means over networks, dots "
        "single ones, hollow markers the paper's values. "
        f"Under PGD the largest scale keeps {', '.join(under_pgd)}{title_suffix(used)}."
    )
    return stamped(figure, used), alt


def _mnist_sweep(norm: str, profile: str, store: Store) -> tuple[dict[str, Curve], list[Record | Row], list[str]]:
    """Curves of panel (a) or (b) of figure 6, their records, and the shares at one radius in words."""
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
    return curves, used, [f"{panel} at radius {chosen:g}: {', '.join(outcome)}"] if outcome else []


def accuracy_vs_eps(profile: str, store: Store) -> Drawing:
    """Accuracy against the radius of the attack, two norms on two data sets (arXiv figure 6)."""
    panels: dict[str, dict[str, Curve]] = {}
    used: list[Record | Row] = []
    ends: list[str] = []
    radius = {"linf": "radius ε (ℓ∞)", "l2": "radius ε (ℓ₂)"}
    labels = {}
    for letter, norm in (("a", "linf"), ("b", "l2")):
        curves, some, said = _mnist_sweep(norm, profile, store)
        if curves:
            title = f"({letter}) MNIST"
            panels[title], labels[title] = curves, radius[norm]
            used, ends = used + some, ends + said
    for letter, norm, chosen in (("c", "linf", 8.0), ("d", "l2", 40.0)):
        theirs = printed_along("madry2018/accuracy-vs-eps", "eps", "PGD adv. trained", cifar.PANELS[norm])
        # The paper prints no unit for panel (d), and 1/255 is hardly what it meant: its curve has a panel of its own.
        apart = norm == "l2"
        points = [
            read_record(
                eps, record_of(cifar.sweep(norm, eps), profile, store), published=None if apart else theirs[eps]
            )
            for eps in cifar.GRIDS[norm]
        ]
        curve = joined(points)
        if curve is None:
            continue
        title = f"({letter}) CIFAR10{', ours' if apart else ''}"
        panels[title], labels[title] = {"PGD, adv. trained": curve}, radius[norm].replace(")", ", of 255)")
        if apart:
            none = np.full(len(points), np.nan)
            printed = np.asarray([theirs[eps] for eps in cifar.GRIDS[norm]], float)
            title = "(d) CIFAR10, published"
            panels[title] = {"PGD, adv. trained": Curve(cifar.GRIDS[norm], none, published=printed)}
            labels[title] = "radius ε (ℓ₂, unit not stated)"
        used += sources(points)
        ends.append(
            f"({letter}) CIFAR10, from {share_at(points, 0.0)} to {share_at(points, chosen)} at {chosen:g} of 255"
        )
    if not panels:
        return MISSING
    figure = curve_panels(
        panels,
        ylabel="accuracy (%)",
        xlabel=labels,
        baseline="zero",
        # Room for the name of the marked radius above all markers.
        reach=dict.fromkeys(panels, 118.0),
        marks={"(a) MNIST": (madry.THREAT.eps, "training ε"), "(c) CIFAR10": (8.0, "training ε")},
    )
    alt = (
        "Accuracy against the radius of the attack, with 95 % bands: on MNIST for the PGD-trained and the standard "
        "network under PGD and under the decision-based boundary attack, on CIFAR-10 for the PGD-trained network under "
        "PGD. Hollow markers are the paper's values; those of panel (d), whose unit it does not print, stand in a "
        "panel of their own. "
        f"{'; '.join(ends)}{title_suffix(used)}."
    )
    return stamped(figure, used), alt


def training_loss(profile: str, store: Store) -> Drawing:
    """Loss on adversarial training batches against updates (arXiv figure 5): of network A, and on CIFAR-10."""
    runs = {
        "MNIST": Evaluation(madry.network(), TrainingCurve()),
        "CIFAR10": Evaluation(cifar.network(), TrainingCurve()),
    }
    records = records_of(runs, profile, store)
    if not records:
        return MISSING
    panels, said = {}, []
    for data, record in records.items():
        steps, loss = (np.asarray(record.series[name], float) for name in ("step", "loss"))
        panels[data] = {f"PGD training, mean of {SMOOTH} batches": smoothed(steps, loss, SMOOTH)}
        said.append(f"{data}: {loss[0]:.2f} nats over the first updates, {_final(record)} over the last twentieth")
    figure = curve_panels(
        panels,
        xlabel="update",
        ylabel="cross-entropy (nats)",
        # A loss that stays within a factor of two has nothing to show on a logarithmic axis.
        yscale={data: "log" if data == "MNIST" else "linear" for data in panels},
        markers=False,
    )
    used = list(records.values())
    alt = (
        f"Cross-entropy on PGD batches during training{title_suffix(used)}, on MNIST on a logarithmic axis. "
        f"{'; '.join(said)}."
    )
    return stamped(figure, used), alt


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
