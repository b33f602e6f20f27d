"""Figures of the TRADES chapter that no table has: images, the inner loop, checkpoints, the lender."""

from __future__ import annotations

import numpy as np

from ...data.registry import facts_of
from ...experiments.store import Store
from ...report.plots.curves import Curve, curve_panels
from ...report.plots.images import image_grid
from ...report.plots.records import MISSING, Drawing, record_of, records_of, stamped
from ...spec.records import Record
from . import own


def adversarial_examples(dataset: str, profile: str, store: Store) -> Drawing:
    """Test points and their attacked versions, a row of pairs for each network (appendix, by recollection)."""
    records = records_of({method: own.shown(dataset, method) for method in own.PICTURED[dataset]}, profile, store)
    if not records:
        return MISSING
    pictures, titles = [], []
    for method, record in records.items():
        facts = facts_of(record.dataset["name"])
        for state, told in (("clean", "told"), ("attacked", "led_to")):
            images = np.asarray(record.series[state], float).reshape(-1, *facts.shape) / 255
            pictures += list(images)
            titles += [f"{method}: {facts.classes[int(k)]}" for k in np.asarray(record.series[told], int)]
    count = len(next(iter(records.values())).series["label"])
    figure = image_grid(np.stack(pictures), titles, columns=count)
    alt = "; ".join(
        f"{method}: {round(r.metrics['accuracy'].value * count)} of {count} still right after the attack"
        for method, r in records.items()
    )
    alt = f"Test images above their attacked versions, with the class told. {alt}."
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
    return stamped(figure, used), f"Robust accuracy against epochs on two sets of images; chosen would be epoch {best}."


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
    )
    ends = "; ".join(
        f"1/λ {at:g}: {r.metrics['money_honest'].value:.2f} honest, {r.metrics['money_edited'].value:.2f} edited"
        for at, r in records.items()
    )
    alt = f"Money made, in interests per applicant, against 1/λ. {ends}."
    return stamped(figure, list(records.values())), alt
