"""Figures of the TRADES chapter that no table has: images, the inner loop, checkpoints, the lender."""

from __future__ import annotations

import numpy as np

from ...data.registry import facts_of
from ...experiments.store import Store
from ...report.plots.charts import line_panels
from ...report.plots.curves import Curve
from ...report.plots.images import image_grid
from ...report.plots.records import MISSING, Drawing, record_of, stamped
from . import own
from .figures import percent, series


def adversarial_examples(dataset: str, profile: str, store: Store) -> Drawing:
    """Test points and their attacked versions, a row of pairs for each network (appendix, by recollection)."""
    pictures, titles, used = [], [], []
    for method in own.PICTURED[dataset]:
        record = record_of(own.shown(dataset, method), profile, store)
        if record is None:
            continue
        used.append(record)
        facts = facts_of(record.dataset["name"])
        for state, told in (("clean", "told"), ("attacked", "led_to")):
            images = np.asarray(record.series[state], float).reshape(-1, *facts.shape) / 255
            pictures += list(images)
            titles += [f"{method}: {facts.classes[int(k)]}" for k in np.asarray(record.series[told], int)]
    if not used:
        return MISSING
    count = len(used[0].series["label"])
    figure = image_grid(np.stack(pictures), titles, columns=count)
    alt = "; ".join(
        f"{method}: {round(r.metrics['accuracy'].value * count)} of {count} still right after the attack"
        for method, r in zip(own.PICTURED[dataset], used, strict=False)
    )
    return stamped(figure, used), f"Test images above their attacked versions, with the class told. {alt}."


def inner_loop(profile: str, store: Store) -> Drawing:
    """KL along algorithm 1's inner loop, from beside x and from x."""
    record = record_of(own.loop("mnist"), profile, store)
    if record is None:
        return MISSING
    names = {"kicked": "from x + 0.001 N(0, I)", "at_x": "from x itself"}
    curves: dict[str, Curve] = {
        name: (np.arange(len(record.series[key])), np.asarray(record.series[key], float), None, None, None)
        for key, name in names.items()
    }
    figure = line_panels({"the inner loop": curves}, xlabel="step", ylabels=["KL (nats)"])
    ends = [record.metrics[metric].value for metric in ("kl", "kl_from_x")]
    alt = f"Mean KL(p(x) || p(x')) after each step. At the end {ends[0]:.3g} nats with the kick, {ends[1]:.3g} without."
    return stamped(figure, [record]), alt


def checkpoints(profile: str, store: Store) -> Drawing:
    """Robust accuracy of each checkpoint, on held-out training images and on the test set."""
    curves, used = {}, []
    for split, name in (("validation", "held-out training images"), ("test", "test set")):
        points = [(4.0 * k, record_of(own.judged(k, split), profile, store)) for k in range(1, own.PARTS + 1)]
        used += [record for _, record in points if record is not None]
        curves[name] = series([(at, record, percent) for at, record in points])
    if len(used) < 2 * own.PARTS:
        return MISSING
    best = 4 * (1 + int(np.argmax(np.asarray(curves["held-out training images"][1]))))
    figure = line_panels({"after each part of training": curves}, xlabel="epoch", ylabels=["robust accuracy (%)"])
    return stamped(figure, used), f"Robust accuracy against epochs on two sets of images; chosen would be epoch {best}."


def lender(profile: str, store: Store) -> Drawing:
    """Money and approvals per group against 1/lambda, honest and edited, seed 0."""
    found = [(beta, record_of(own.lender(beta), profile, store)) for beta in own.LENDER_BETAS]
    used = [record for _, record in found if record is not None]
    if not used:
        return MISSING

    def curve(metric: str, factor: float) -> Curve:
        return series([(at, record, lambda r: factor * r.metrics[metric].value) for at, record in found])

    panels = {
        "money": {state: curve(f"money_{state}", 1) for state in own.MONEY},
        "repayers approved, honest": {f"group {group}": curve(f"served_honest_{group}", 100) for group in (0, 1)},
    }
    figure = line_panels(
        panels, xlabel="1/λ (0: natural)", ylabels=["interests per applicant", "approved (%)"], scale="symlog"
    )
    ends = "; ".join(
        f"1/λ {at:g}: {r.metrics['money_honest'].value:.2f} honest, {r.metrics['money_edited'].value:.2f} edited"
        for at, r in found
        if r is not None
    )
    return stamped(figure, used), f"Money made, in interests per applicant, against 1/λ. {ends}."
