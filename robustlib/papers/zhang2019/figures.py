"""Figures of Zhang et al. 2019, drawn from records: each returns a figure and its alt text, or why there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

from ...catalogue.base import published_of
from ...data.registry import facts_of
from ...experiments.store import Store
from ...report.join import rows
from ...report.plots.bars import Bar, bar_panels
from ...report.plots.brackets import Mark, brackets, row_brackets
from ...report.plots.curves import Curve, curve_panels
from ...report.plots.images import image_grid
from ...report.plots.records import (
    MISSING,
    Drawing,
    images_of,
    joined,
    printed_along,
    read_record,
    record_of,
    records_of,
    sources,
    stamped,
)
from ...report.plots.regions import decision_regions
from ...report.plots.style import COLOURS, new_figure, styled
from ...spec.records import Record
from . import networks as specs
from . import own
from .theory import PSI, SURROGATES, counterexample, psi_transform

BETAS = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 2.0, 3.0, 4.0, 5.0)
"""1/lambda of Table 4."""


def decision_boundary(profile: str, store: Store) -> Drawing:
    """Natural training beside TRADES in the plane (figure 1)."""
    records = records_of({name: own.plane(beta) for name, beta in own.METHODS.items()}, profile, store)
    if len(records) < len(own.METHODS):
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


@styled
def _step_rule(x: np.ndarray, eta: np.ndarray, *, width: float) -> Figure:
    """eta(x) of the counterexample, with the interval that an adversary may move one point in."""
    figure = new_figure(2.4)
    ax = figure.subplots()
    ax.plot(x, eta, color=COLOURS[0], drawstyle="steps-mid")
    middle = x[int(np.argmin(np.abs(x - 0.45)))]
    ax.plot(middle, 0.5, marker="o", color=COLOURS[1])
    ax.hlines(0.5, middle - width, middle + width, color=COLOURS[1], linewidth=3)
    ax.annotate("x ± ε", (middle, 0.5), xytext=(0, 7), textcoords="offset points", ha="center")
    ax.set(xlabel="x", ylabel="η(x) = P(Y = 1 | x)", ylim=(-0.08, 1.08))
    return figure


def eta_steps() -> Drawing:
    """The counterexample's eta (figure 2, by recollection): from its definition."""
    x, eta = counterexample()
    alt = "A step function between 0 and 1 whose steps are as wide as ε: around every x, x ± ε reaches the other value."
    return _step_rule(x, eta, width=0.1), alt


def psi_curves() -> Drawing:
    """Psi of the four losses, from the definition, with the printed formula as hollow marks (Table 2)."""
    curves = {}
    for name, phi in SURROGATES.items():
        t, psi = (values[::20] for values in psi_transform(phi))
        printed = np.where(np.arange(len(t)) % 2 == 0, PSI[name](t), np.nan)
        curves[name] = Curve(t, psi, published=printed)
    return curve_panels({"ψ-transforms": curves}, xlabel="t", ylabel="ψ(t)"), (
        "ψ of four losses on 0 to 1: hinge and sigmoid on the diagonal, exponential and logistic below it. The printed "
        "formulae, hollow, lie on the computed curves."
    )


def tightness(profile: str, store: Store) -> Drawing:
    """Both sides of theorem 3.1 against lambda (Table 3)."""
    records = records_of({scale: specs.bound(scale) for scale in specs.LAMBDAS}, profile, store)
    if not records:
        return MISSING
    found = {scale: {name: metric.value for name, metric in r.metrics.items()} for scale, r in records.items()}
    curves = {
        "left: robust error": Curve(list(found), [100 * (1 - m["accuracy"]) for m in found.values()]),
        "right: risk and regulariser": Curve(
            list(found), [100 * (m["risk"] + m["regulariser"]) for m in found.values()]
        ),
    }
    figure = curve_panels(
        {"theorem 3.1": curves},
        xlabel="λ (small: robust)",
        ylabel="error, or bound (%)",
        ticks=specs.LAMBDAS,
        baseline="zero",
    )
    gaps = ", ".join(f"{100 * metrics['gap']:.2f}" for metrics in found.values())
    alt = f"The theorem's two sides at each λ. Right minus left, in points: {gaps}."
    return stamped(figure, list(records.values())), alt


def lambda_sweep(profile: str, store: Store) -> Drawing:
    """Robust and natural accuracy against 1/lambda on MNIST (Table 4)."""
    panels: dict[str, dict[str, Curve]] = {}
    used, ends = [], []
    for title, column, robust in (("robust", "A_rob", True), ("natural", "A_nat", False)):
        theirs = printed_along("zhang2019/table-4", "1/lambda", f"MNIST {column}")
        records = (record_of(specs.sweep("mnist", beta, robust=robust), profile, store) for beta in BETAS)
        points = [read_record(beta, r, published=theirs.get(beta)) for beta, r in zip(BETAS, records, strict=True)]
        curve = joined(points)
        if curve is not None:
            # The published table was not at hand: its values are recalled ones.
            panels[f"{title} accuracy"] = {"ours, small net, ε 0.1": replace(curve, verified=False)}
            used += sources(points)
        values = [f"{point.value:.1f} at {point.x:g}" for point in (points[0], points[-1]) if point.value is not None]
        ends.append(f"{title} accuracy {' and '.join(values)}")
    if not used:
        return MISSING
    figure = curve_panels(panels, xlabel="1/λ (large: robust)", ylabel="accuracy (%)", xscale="log", ticks=BETAS[::2])
    return stamped(figure, used), (
        "Accuracy against 1/λ; hollow and grey are values recalled of the paper's table, not checked against it. "
        f"Ours, in %: {'; '.join(ends)}."
    )


def _split(clean: float, attacked: Record) -> Bar:
    """Natural and boundary error in per cent, from the clean accuracy and a record of the accuracy under attack."""
    metric = attacked.metrics["accuracy"]
    low, high = (metric.value if end is None else end for end in (metric.high, metric.low))
    natural, robust = 100 * (1 - clean), 100 * (1 - metric.value)
    return Bar((natural, max(0.0, robust - natural)), interval=(100 * (1 - low), 100 * (1 - high)))


def decomposition(profile: str, store: Store) -> Drawing:
    """Robust error = natural error + boundary error: five defences in the worst case, the sweep under FGSM^40."""
    panels: dict[str, dict[str, Bar]] = {}
    worst = records_of({name: specs.worst_case(name) for name in specs.BASELINES}, profile, store)
    used = list(worst.values())
    for name, record in worst.items():
        bars = panels.setdefault("SmallCNN, ε 0.3, the whole suite", {})
        bars[name] = _split(record.metrics["after clean"].value, record)
    for beta in BETAS:
        runs = {robust: specs.sweep("mnist", beta, robust=robust) for robust in (False, True)}
        pair = list(records_of(runs, profile, store).values())
        if len(pair) == 2:
            used += pair
            bars = panels.setdefault("small net, ε 0.1, 40 steps", {})
            bars[f"TRADES, 1/λ {beta:g}"] = _split(pair[0].metrics["accuracy"].value, pair[1])
    if not panels:
        return MISSING
    ends = "; ".join(
        f"{name} {bar.parts[0]:.1f} + {bar.parts[1]:.1f}" for bars in panels.values() for name, bar in bars.items()
    )
    alt = f"Robust error as a bar of natural error with boundary error on top, in per cent: {ends}."
    return stamped(bar_panels(panels, ("natural error", "boundary error"), xlabel="robust error (%)"), used), alt


def challenge() -> Drawing:
    """The NeurIPS 2018 challenge's best six, published numbers alone (figure 3, by recollection)."""
    numbers = [n for n in published_of("zhang2019/challenge").values() if "distance" in n.column]
    values = sorted(((n.value, n.row) for n in numbers if n.value is not None), reverse=True)
    lines = {name: {"ours": Mark(None, value)} for value, name in values}
    alt = f"Published mean distances of the best entries, largest first: {', '.join(f'{v:g}' for v, _ in values)}."
    xlabel = "mean ℓ₂ distance of the adversarial example (published)"
    return brackets({"": lines}, xlabel=xlabel, whole=False), alt


def aged(dataset: str, profile: str, store: Store) -> Drawing:
    """Accuracy that later attacks left of the released network, beside ours; named by its points where they differ."""
    lines = [r for r in rows(f"zhang2019/leaderboards/{dataset}", profile, store) if r.published is not None]
    if not any(r.values for r in lines):
        return MISSING
    lines.sort(key=lambda r: -(r.published or 0))
    mixed = len({r.n for r in lines if r.n is not None}) > 1
    names = {r.label: f"{r.label}, {r.n:,} points" if mixed and r.n is not None else r.label for r in lines}
    both = [f"{names[r.label]} {r.value:.1f} against {r.published:.1f}" for r in lines if r.value is not None]
    alt = f"Accuracy left by each attack, ours against the released network's, in per cent: {'; '.join(both)}."
    panels = row_brackets(lines, lambda row: ("", names[row.label], "ours"))
    return stamped(brackets(panels, xlabel="accuracy (%)", whole=False), [r for r in lines if r.values]), alt


def adversarial_examples(dataset: str, profile: str, store: Store) -> Drawing:
    """Test points and their attacked versions, a row of pairs for each network (appendix, by recollection)."""
    records = records_of({method: own.shown(dataset, method) for method in own.PICTURED[dataset]}, profile, store)
    if not records:
        return MISSING
    pictures, titles, names = [], [], []
    first = next(iter(records.values()))
    facts, count = facts_of(first.dataset["name"]), len(first.series["label"])
    # The test points are the same for all networks: once, with their classes.
    states = [("test points", first, "clean", "label")]
    states += [(f"{method}, attacked", record, "attacked", "led_to") for method, record in records.items()]
    for name, record, state, classes in states:
        names.append(name)
        pictures += list(images_of(record, state))
        titles += [facts.classes[int(k)] for k in np.asarray(record.series[classes], int)]
    figure = image_grid(np.stack(pictures), titles, columns=count, names=names)
    alt = "; ".join(
        f"{method}: {round(r.metrics['accuracy'].value * count)} of {count} still correct after the attack"
        for method, r in records.items()
    )
    alt = f"Test images, and below them their attacked versions, a row a network, with the predicted class. {alt}."
    return stamped(figure, list(records.values())), alt


def inner_loop(profile: str, store: Store) -> Drawing:
    """KL along algorithm 1's inner loop, from beside x and from x."""
    record = record_of(own.loop("mnist"), profile, store)
    if record is None:
        return MISSING
    names = {"kicked": "from x + 0.001 N(0, I)", "at_x": "from x itself"}
    curves = {name: Curve(np.arange(len(record.series[key])), record.series[key]) for key, name in names.items()}
    figure = curve_panels({"the inner loop": curves}, xlabel="step", ylabel="KL (nats)")
    ends = [record.metrics[metric].value for metric in ("kl", "kl_from_x")]
    alt = f"Mean KL(p(x) || p(x')) after each step. At the end {ends[0]:.3g} nats with the kick, {ends[1]:.3g} without."
    return stamped(figure, [record]), alt


def checkpoints(profile: str, store: Store) -> Drawing:
    """Robust accuracy of each checkpoint, on held-out training images and on the test set."""
    curves: dict[str, Curve] = {}
    used: list[Record] = []
    for split, name in (("validation", "held-out training images"), ("test", "test set")):
        records = records_of({4 * k: own.judged(k, split) for k in range(1, own.PARTS + 1)}, profile, store)
        if len(records) < own.PARTS:
            return MISSING
        curves[name] = Curve(list(records), [100 * r.metrics["accuracy"].value for r in records.values()])
        used += records.values()
    best = 4 * (1 + int(np.argmax(np.asarray(curves["held-out training images"].y))))
    figure = curve_panels({"after each part of training": curves}, xlabel="epoch", ylabel="robust accuracy (%)")
    return stamped(
        figure, used, own=True
    ), f"Robust accuracy against epochs on two sets of images; chosen would be epoch {best}."


def lender(profile: str, store: Store) -> Drawing:
    """Money and approvals per group against 1/lambda, honest and edited, seed 0."""
    records = records_of({beta: own.lender(beta) for beta in own.LENDER_BETAS}, profile, store)
    if not records:
        return MISSING

    def curve(metric: str, scale: float) -> Curve:
        return Curve(list(records), [scale * record.metrics[metric].value for record in records.values()])

    money, approved = "money", "repayers approved, honest"
    figure = curve_panels(
        {
            money: {state: curve(f"money_{state}", 1) for state in own.MONEY},
            approved: {f"group {group}": curve(f"served_honest_{group}", 100) for group in (0, 1)},
        },
        xlabel="1/λ (0: natural)",
        ylabel={money: "interests per applicant", approved: "approved (%)"},
        xscale="symlog",
        ticks=own.LENDER_BETAS,
        baseline="line",
    )
    ends = "; ".join(
        f"1/λ {at:g}: {r.metrics['money_honest'].value:.2f} honest, {r.metrics['money_edited'].value:.2f} edited"
        for at, r in records.items()
    )
    alt = f"Money made, in interests per applicant, against 1/λ. {ends}."
    return stamped(figure, list(records.values()), own=True), alt
