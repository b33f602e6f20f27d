"""Figures of Madry et al. 2018 on CIFAR-10 and inside its MNIST networks, drawn from records."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.figure import Figure

from ...experiments.store import Store
from ...report.join import rows, title_suffix
from ...report.plots.bars import Bar, bar_panels
from ...report.plots.curves import Curve, curve_panels
from ...report.plots.histograms import draw_histogram, histograms
from ...report.plots.images import image_grid
from ...report.plots.records import (
    MISSING,
    Drawing,
    images_of,
    printed_along,
    record_of,
    records_of,
    shared_profile,
    stamped,
)
from ...report.plots.style import COLOURS, grid, new_figure, outside_legend, places, styled
from ...spec.records import Record
from . import cifar, inside, small


def _ways(records: Mapping[str, Record]) -> Figure:
    panels: dict[str, dict[str, Curve]] = {}
    for title, record in records.items():
        for name, label in cifar.WAYS.items():
            y = np.asarray(record.series[name], float)[0]
            panels.setdefault(title, {})[label] = Curve(np.linspace(0, 1, len(y)), y)
    return curve_panels(
        panels,
        xlabel="way to the adversarial point",
        ylabel="mean cross-entropy (nats)",
        baseline="zero",
        markers=False,
        sharey=True,
    )


def loss_along(profile: str, store: Store) -> Drawing:
    """Mean loss on the way to white-box and black-box points (arXiv figure 7)."""
    records = records_of({title: cifar.along(*kind) for title, kind in cifar.ALONG.items()}, profile, store)
    if len(records) < len(cifar.ALONG):
        return MISSING
    used = list(records.values())
    ends = [f"{title}: {record.metrics['end white Pgd'].value:.3g} nats" for title, record in records.items()]
    alt = (
        "Cross-entropy, mean over examples, on straight lines from an image to its FGSM and PGD points, made on the "
        f"network itself or on an independent copy. At the white-box PGD point: {'; '.join(ends)}"
        f"{title_suffix(used)}."
    )
    return stamped(_ways(records), used), alt


def transfer(profile: str, store: Store, *, angles: bool) -> Drawing:
    """Angles between two copies' gradients, or the loss on the way to points made on either (arXiv figure 8)."""
    runs = {f"{kind}, {way}": inside.angles(kind, way) for kind in inside.KINDS for way in inside.REGIMES}
    records = records_of(runs, profile, store)
    if len(records) < len(runs):
        return MISSING
    used = list(records.values())
    if not angles:
        ends = [f"{title}: {record.metrics['end black Pgd'].value:.3g}" for title, record in records.items()]
        alt = (
            "Mean cross-entropy of a network on straight lines to FGSM and PGD points, made on itself or on its copy. "
            f"In nats at the copy's PGD point: {'; '.join(ends)}{title_suffix(used)}."
        )
        return stamped(_ways(records), used), alt
    counted = {title: record.histograms["angle"] for title, record in records.items()}
    panels = {title: {"angle": (one["edges"], one["counts"])} for title, one in counted.items()}
    means = [f"{title}: {record.metrics['angle'].value:.0f} degrees" for title, record in records.items()]
    alt = (
        "Histograms of the angle between the input gradients of two networks trained alike from different seeds, on a "
        f"logarithmic axis of counts. Means: {'; '.join(means)}{title_suffix(used)}."
    )
    return stamped(histograms(panels, xlabel="angle (degrees)", ylabel="images"), used), alt


def filters(profile: str, store: Store) -> Drawing:
    """First-layer filters of the natural and of two PGD-trained networks (arXiv figure 9)."""
    records = records_of({name: inside.layer(name, 0) for name in inside.INSIDE}, profile, store)
    if len(records) < len(inside.INSIDE):
        return MISSING
    used = list(records.values())
    tiles, labels = [], []
    for record in records.values():
        weight = np.asarray(record.series["weights"], float)
        weight = weight.reshape(len(weight), 1, *weight.shape[-2:])
        # Largest filters first; zero is grey, each network on a separate scale.
        shown = weight[np.argsort(-np.abs(weight).reshape(len(weight), -1).max(1), kind="stable")][:8]
        tiles.append(0.5 + shown / (2 * np.abs(weight).max()))
        labels += [""] * len(shown)
    empty = [f"{record.metrics['empty'].value:.0%} after {name}" for name, record in records.items()]
    alt = (
        "The eight first-layer filters with the largest weights of each network, one network a row; white is the "
        "largest positive weight, black the largest negative one, grey zero. Share of filters with all weights near "
        f"zero: {', '.join(empty)}{title_suffix(used)}."
    )
    figure = image_grid(
        torch.from_numpy(np.concatenate(tiles)), labels, columns=8, names=list(records), blocks=range(8)
    )
    return stamped(figure, used), alt


def softmax_layer(profile: str, store: Store) -> Drawing:
    """Biases and weights of the last layer (arXiv figure 10)."""
    records = records_of({name: inside.layer(name, -1) for name in inside.INSIDE}, profile, store)
    used = list(records.values())
    if len(records) < len(inside.INSIDE) or any("weights" not in record.histograms for record in used):
        return MISSING
    spreads = [f"{record.metrics['bias_spread'].value:.3g} after {name}" for name, record in records.items()]
    alt = (
        "Left, the ten biases of the softmax layer; right, the shares of its weights by value, on a logarithmic axis. "
        f"Standard deviation of the biases: {', '.join(spreads)}{title_suffix(used)}."
    )
    return stamped(_softmax_panels(records), used), alt


@styled
def _softmax_panels(records: Mapping[str, Record]) -> Figure:
    """Biases by class, and the histogram of weights, one line a network."""
    figure = new_figure(3.4)
    left, right = grid(figure, 2, 2)
    at = places(list(records))
    for i, (name, record) in enumerate(records.items()):
        # Classes have no order: bars, and no line.
        bias = np.asarray(record.series["bias"], float)
        left.bar(
            np.arange(len(bias)) + 0.27 * (i - 1), bias, width=0.27, color=COLOURS[at[name]], linewidth=0, label=name
        )
    for name, record in records.items():
        edges, counts = (np.asarray(record.histograms["weights"][part], float) for part in ("edges", "counts"))
        draw_histogram(right, name, (edges, counts / counts.sum()), at[name], fill=False)
    left.set(xlabel="class", ylabel="bias (logits)")
    right.set(xlabel="weight", ylabel="share of weights", yscale="log")
    left.set_xticks(range(10))
    left.grid(visible=False, axis="x")
    outside_legend(figure, left.get_legend_handles_labels()[0])
    return figure


def l2_images(profile: str, store: Store) -> Drawing:
    """Adversarial images at l_2 radius 4 (arXiv figure 12)."""
    record = record_of(inside.images(), profile, store)
    if record is None or not record.series["attacked"]:
        return MISSING
    tiles = images_of(record, "attacked")
    pairs = [f"{a} → {b}" for a, b in zip(record.series["label"], record.series["led_to"], strict=True)]
    alt = (
        f"{len(tiles)} images changed by PGD within l2 radius {inside.RADIUS:g} on the PGD-trained network, with the "
        f"class before and after: {', '.join(pairs)}{title_suffix([record])}."
    )
    return stamped(image_grid(tiles, pairs), [record]), alt


def seeds(profile: str, store: Store) -> Drawing:
    """Accuracy under PGD of one small network from many seeds, beside the paper's numbers."""
    # One recipe: a faithful profile that has some of the seeds only trained them another way.
    name = shared_profile(inside.many(), profile, store)
    used = [record for run in inside.many() if (record := record_of(run, name, store)) is not None]
    if len(used) < 2:
        return MISSING
    values = [100 * record.metrics["accuracy"].value for record in used]
    theirs = printed_along("madry2018/capacity", "capacity scale", "accuracy on PGD inputs", "(c) PGD training")
    number = theirs[inside.MANY_SCALE]
    mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1))
    counts, edges = np.histogram(values, bins=8)
    figure = histograms(
        {"": {"seeds": (edges, counts)}},
        xlabel=f"accuracy under PGD (%), scale {inside.MANY_SCALE}, {used[0].metrics['accuracy'].n} points",
        ylabel="seeds",
        log=False,
        zero=False,
        values=values,
        marks={"mean of ours": mean} | ({} if number is None else {"published": number}),
    )
    alt = (
        f"Histogram of accuracy under PGD over {len(values)} seeds of the PGD-trained network of capacity scale "
        f"{inside.MANY_SCALE}: mean {mean:.1f} %, standard deviation {deviation:.1f} points, from {min(values):.1f} to "
        f"{max(values):.1f} %. The paper's one network of this scale has {number} %{title_suffix(used)}."
    )
    return stamped(figure, used), alt


def small_networks(profile: str, store: Store) -> Drawing:
    """Accuracy under PGD of the two smallest networks, with one factor of their training changed in each row."""
    found = {row.label: row for row in rows(small.ITEM, profile, store) if row.column == small.ATTACKED and row.values}
    shown = [name for name in small.ROWS if all(small.label(name, scale) in found for scale in small.SMALL)]
    if not shown:
        return MISSING
    theirs = printed_along("madry2018/capacity", "capacity scale", "accuracy on PGD inputs", "(c) PGD training")
    panels: dict[str, dict[str, Bar]] = {}
    told, used = [], []
    for scale in small.SMALL:
        for name in shown:
            row = found[small.label(name, scale)]
            ends = (min(row.values), max(row.values))
            panels.setdefault(f"scale {scale}", {})[name] = Bar([float(np.mean(row.values))], ends, theirs[scale])
            spread = f"{ends[0]:.1f} to {ends[1]:.1f}, {row.seeds} networks" if row.seeds > 1 else "1 network"
            told.append(f"{row.label} {np.mean(row.values):.1f} % ({spread})")
            used.append(row)
    figure = bar_panels(
        panels,
        ["mean of the seeds, with their range"],
        xlabel="accuracy under PGD (%)",
        whole=True,
        mark="published, the paper's recipe",
        beside=True,
    )
    printed = " and ".join(f"{theirs[scale]} %" for scale in small.SMALL)
    alt = (
        "Bars of accuracy under PGD for two sizes of PGD-trained networks, one bar for each way of training: "
        f"{'; '.join(told)}. The paper's networks of these sizes have {printed}{title_suffix(used)}."
    )
    return stamped(figure, used), alt
