"""Figures of Madry et al. 2018 on CIFAR-10 and inside its MNIST networks, drawn from records; see ``madry_figures``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.figure import Figure

from ...catalogue.base import published_of
from ...data.registry import facts_of
from ...experiments.records import Record
from ...experiments.store import Store
from ...report.join import title_suffix
from ...report.plots import curves as figures
from ...report.plots.landscapes import lines, seed_histogram, softmax_panels
from ...report.plots.records import MISSING, Drawing, joined, record_of, share_at, stamped
from . import cifar, inside


def accuracy_vs_eps(profile: str, store: Store, norm: str) -> Drawing:
    """Accuracy of the PGD-trained CIFAR-10 network against the radius (arXiv figure 6, panels c and d)."""
    numbers = published_of("madry2018/accuracy-vs-eps")
    points = [
        (
            float(eps),
            record_of(cifar.sweep(norm, eps), profile, store),
            "accuracy",
            numbers[f"{cifar.PANELS[norm]}; eps={eps}", "PGD adv. trained"].value,
        )
        for eps in cifar.GRIDS[norm]
    ]
    used = [record for _, record, _, _ in points if record is not None]
    curve = joined(points)
    if curve is None:
        return MISSING
    symbol = r"\ell_\infty" if norm == "linf" else r"\ell_2"
    figure = figures.accuracy_curves(
        {"PGD, PGD training": curve},
        xlabel=rf"radius $\varepsilon$ (${symbol}$, of 255)",
        ylabel="accuracy (%)",
        mark_eps=8.0 if norm == "linf" else None,
    )
    told = 8.0 if norm == "linf" else 40.0
    name = "l-infinity" if norm == "linf" else "l2"
    alt = (
        f"Accuracy of the PGD-trained network on CIFAR-10 against the {name} radius, with 95 % bands; hollow markers "
        f"are the paper's values. It falls from {share_at(points, 0.0)} to {share_at(points, told)} at radius "
        f"{told:g} of 255{title_suffix(used)}."
    )
    return stamped(figure, used), alt


def _ways(records: Mapping[str, Record]) -> Figure:
    panels = {
        title: {label: np.asarray(record.series[name], float)[0] for name, label in cifar.WAYS.items()}
        for title, record in records.items()
    }
    return lines(panels, xlabel="share of the way to the adversarial point", ylabel="mean cross-entropy (nats)")


def loss_along(profile: str, store: Store) -> Drawing:
    """Mean loss on the way to white-box and black-box points (arXiv figure 7)."""
    found = {title: record_of(cifar.along(*kind), profile, store) for title, kind in cifar.ALONG.items()}
    records = {title: record for title, record in found.items() if record is not None}
    if len(records) < len(found):
        return MISSING
    ends = [f"{title}: {record.metrics['end white Pgd'].value:.3g} nats" for title, record in records.items()]
    alt = (
        "Cross-entropy, mean over examples, on straight lines from an image to its FGSM and PGD points, made on the "
        f"network itself or on an independent copy. At the white-box PGD point: {'; '.join(ends)}"
        f"{title_suffix(list(records.values()))}."
    )
    return stamped(_ways(records), list(records.values())), alt


def transfer(profile: str, store: Store, *, angles: bool) -> Drawing:
    """Angles between two copies' gradients, or the loss on the way to points made on either (arXiv figure 8)."""
    found = {
        f"{kind}, {regime}": record_of(inside.angles(kind, regime), profile, store)
        for kind in inside.KINDS
        for regime in inside.REGIMES
    }
    records = {title: record for title, record in found.items() if record is not None}
    if len(records) < len(found):
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
    panels = [(title, {"angle": (one["edges"], one["counts"])}) for title, one in counted.items()]
    means = [f"{title}: {record.metrics['angle'].value:.0f} degrees" for title, record in records.items()]
    alt = (
        "Histograms of the angle between the input gradients of two networks trained alike from different seeds, on a "
        f"logarithmic axis of counts. Means: {'; '.join(means)}{title_suffix(used)}."
    )
    figure = figures.loss_histograms(panels, xlabel="angle (degrees)", ylabel="images", columns=2)
    return stamped(figure, used), alt


def filters(profile: str, store: Store) -> Drawing:
    """First-layer filters of the natural and of two PGD-trained networks (arXiv figure 9)."""
    found = {name: record_of(inside.layer(name, 0), profile, store) for name in inside.INSIDE}
    records = {name: record for name, record in found.items() if record is not None}
    if len(records) < len(found):
        return MISSING
    tiles, labels = [], []
    for name, record in records.items():
        weight = np.asarray(record.series["weights"], float)
        weight = weight.reshape(len(weight), 1, *weight.shape[-2:])
        # Largest filters first; zero is grey, each network on a scale of its own.
        shown = weight[np.argsort(-np.abs(weight).reshape(len(weight), -1).max(1), kind="stable")][:8]
        tiles.append(0.5 + shown / (2 * np.abs(weight).max()))
        labels += [f"{name}" if i == 0 else "" for i in range(len(shown))]
    empty = [f"{record.metrics['empty'].value:.0%} after {name}" for name, record in records.items()]
    alt = (
        "The eight first-layer filters with the largest weights of each network, one network a row; white is the "
        "largest positive weight, black the largest negative one, grey zero. Share of filters with all weights near "
        f"zero: {', '.join(empty)}{title_suffix(list(records.values()))}."
    )
    figure = figures.image_grid(torch.from_numpy(np.concatenate(tiles)), labels, columns=8)
    return stamped(figure, list(records.values())), alt


def softmax_layer(profile: str, store: Store) -> Drawing:
    """Biases and weights of the last layer (arXiv figure 10)."""
    found = {name: record_of(inside.layer(name, -1), profile, store) for name in inside.INSIDE}
    records = {name: record for name, record in found.items() if record is not None}
    if len(records) < len(found) or any("weights" not in record.histograms for record in records.values()):
        return MISSING
    figure = softmax_panels(
        {name: np.asarray(record.series["bias"], float) for name, record in records.items()},
        {
            name: (record.histograms["weights"]["edges"], record.histograms["weights"]["counts"])
            for name, record in records.items()
        },
    )
    spreads = [f"{record.metrics['bias_spread'].value:.3g} after {name}" for name, record in records.items()]
    alt = (
        "Left, the ten biases of the softmax layer; right, the shares of its weights by value, on a logarithmic axis. "
        f"Standard deviation of the biases: {', '.join(spreads)}{title_suffix(list(records.values()))}."
    )
    return stamped(figure, list(records.values())), alt


def l2_images(profile: str, store: Store) -> Drawing:
    """Adversarial images at l_2 radius 4 (arXiv figure 12)."""
    record = record_of(inside.images(), profile, store)
    if record is None or not record.series["attacked"]:
        return MISSING
    shape = facts_of(record.dataset["name"]).shape
    tiles = torch.tensor(record.series["attacked"]).reshape(-1, *shape) / 255
    pairs = [f"{a} → {b}" for a, b in zip(record.series["label"], record.series["led_to"], strict=True)]
    alt = (
        f"{len(tiles)} images changed by PGD within l2 radius {inside.RADIUS:g} on the PGD-trained network, with the "
        f"class before and after: {', '.join(pairs)}{title_suffix([record])}."
    )
    return stamped(figures.image_grid(tiles, pairs), [record]), alt


def seeds(profile: str, store: Store) -> Drawing:
    """Accuracy under PGD of one small network from many seeds, beside the paper's numbers."""
    used = [record for run in inside.many() if (record := record_of(run, profile, store)) is not None]
    if len(used) < 2:
        return MISSING
    values = [100 * record.metrics["accuracy"].value for record in used]
    panel = f"(c) PGD training; capacity scale {inside.MANY_SCALE}"
    number = published_of("madry2018/capacity")[panel, "accuracy on PGD inputs"].value
    mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1))
    figure = seed_histogram(
        values,
        {"mean of ours": mean} | ({} if number is None else {"published": number}),
        xlabel=f"accuracy under PGD (%), scale {inside.MANY_SCALE}, {used[0].metrics['accuracy'].n} points",
    )
    alt = (
        f"Histogram of accuracy under PGD over {len(values)} seeds of the PGD-trained network of capacity scale "
        f"{inside.MANY_SCALE}: mean {mean:.1f} %, standard deviation {deviation:.1f} points, from {min(values):.1f} to "
        f"{max(values):.1f} %. The paper's one network of this scale has {number} %{title_suffix(used)}."
    )
    return stamped(figure, used), alt
