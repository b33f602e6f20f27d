"""Figures of Wong & Kolter 2018, drawn from records: each returns a figure and its alt text, or why there is none."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import torch

from ...catalogue.places import place
from ...catalogue.plan import cells_of
from ...experiments.store import Store
from ...report.evidence import grade
from ...report.join import measured, rows
from ...report.plots.bars import Bar, bar_panels
from ...report.plots.brackets import Mark, brackets, row_brackets
from ...report.plots.curves import curve_panels, smoothed
from ...report.plots.images import image_grid
from ...report.plots.records import MISSING, Drawing, shared_profile, stamped
from ...report.rows import Row
from ...spec.records import Record
from ...training import Standard
from .networks import PROBLEMS
from .sketches import against_optimum, sorted_radii

DRAWN = {
    "TEST ERROR": "test error",
    "FGSM ERROR": "FGSM error",
    "PGD ERROR": "PGD error",
    "PGD error, clipped": "PGD error, clipped",
    "bound, clipped": "bound, clipped",
    "bound, slopes of CROWN": "bound, slopes that adapt",
    "ROBUST ERROR BOUND": "the paper's bound",
}
"""Columns of Table 1 that the bracket shows, and their names there; the bound is drawn last and on top."""
TABLE = "wong2018/table-1"
PRINTED = tuple(column for column in DRAWN if column.isupper())
"""Columns that the paper prints."""

FLOOR = 1e-5
"""Nats: records of training losses have five decimals, and a loss of 0 has no place on a logarithmic axis."""


def of_item(item: str, series: str, profile: str, store: Store) -> dict[str, Record]:
    """Records of an item that hold a series, by the loss that their network was trained on; the last of each."""
    found: dict[str, Record] = {}
    for cell in cells_of(item):
        # The records of the item's table, so that figure and table are about the same networks.
        _, records = measured(cell, profile, store)
        for record in records[:1]:
            if series in record.series:
                standard = isinstance(cell.evaluations[0].subject.defence, Standard)
                found["standard loss" if standard else "robust loss"] = record
    return dict(sorted(found.items(), reverse=True))


def lines_of(columns: Collection[str], profile: str, store: Store) -> list[Row]:
    """Rows of Table 1, for each of its lines those of the most faithful profile that has all of ``columns``.

    So a line compares numbers of the same networks, since profiles train theirs by different recipes.
    """
    cells, found = cells_of(TABLE), list[Row]()
    theirs = {(row.label, row.column): row.authors for row in rows(TABLE, profile, store)}
    for label in dict.fromkeys(cell.row for cell in cells):
        line = [cell for cell in cells if cell.row == label]
        needed = [cell.evaluations[0] for cell in line if cell.evaluations and cell.column in columns]
        chosen = shared_profile(needed, profile, store)
        found += [row for row in rows(TABLE, chosen, store) if row.label == label]
    return [replace(row, authors=theirs[row.label, row.column]) for row in found]


def bracket(profile: str, store: Store) -> Drawing:
    """Certified against empirical, each panel on one profile's networks (Table 1)."""
    found = [row for row in lines_of(PRINTED, profile, store) if row.column in DRAWN]
    shown = [row for row in found if row.values]
    if not shown:
        return MISSING

    def address(row: Row) -> tuple[str, str, str]:
        facts = place(row.label, row.column)
        name = "robust" if facts.get("ROBUST") == "✓" else "standard"
        return f"{facts.get('PROBLEM', row.label)}, {name}", DRAWN[row.column], "ours"

    panels = row_brackets(found, address)
    # Each network has the range of its values; every panel has the same lines, from the clean error to the bound.
    lines = {
        title: {name: marks.get(name, {"ours": Mark(None)}) for name in DRAWN.values()}
        for title, marks in panels.items()
    }
    figure = brackets(lines, xlabel="error, or not certified (%)", whole=False, columns=2)
    ends = [
        f"{address(row)[0]}: {row.value:.1f} % not certified" for row in shown if row.column == "ROBUST ERROR BOUND"
    ]
    alt = (
        "Errors from the clean one over FGSM and PGD to the proven bound, a panel a network on a scale of its own, "
        f"published values hollow. {'; '.join(ends)}."
    )
    return stamped(figure, shown), alt


def certified_radii(profile: str, store: Store) -> Drawing:
    """Largest certified radius of each point, standard beside robust training (appendix, by recollection)."""
    found = of_item("wong2018/certified-radius", "radius", profile, store)
    if not found:
        return MISSING
    eps = PROBLEMS["MNIST"].eps
    figure = sorted_radii({name: (r.series["radius"], r.series["right"]) for name, r in found.items()}, eps=eps)
    medians = ", ".join(f"{r.metrics['median_radius'].value:.3g} after {name}" for name, r in found.items())
    alt = (
        "Largest certified radius of each test point, sorted, on a linear axis from zero, coloured by the accuracy of "
        f"its neighbours; dashed is the radius of training, {eps:g}. Medians: {medians}."
    )
    return stamped(figure, list(found.values())), alt


def unstable_units(profile: str, store: Store) -> Drawing:
    """Units that cross zero, layer by layer (appendix, by recollection)."""
    found = of_item("wong2018/unstable-units", "shares", profile, store)
    if not found:
        return MISSING
    panels: dict[str, dict[str, Bar]] = {}
    for name, record in found.items():
        for i, (active, dead, unstable) in enumerate(100 * np.asarray(record.series["shares"], float)):
            panels.setdefault(name, {})[f"layer {i + 1}"] = Bar((unstable, active, dead))
    figure = bar_panels(panels, ("unstable", "active", "dead"), xlabel="units (%)", whole=True, line=0.5, beside=True)
    said = ", ".join(f"{r.metrics['unstable'].value:.1%} after training on the {name}" for name, r in found.items())
    alt = f"Shares of unstable, active and dead units in each layer. Unstable in all: {said}."
    return stamped(figure, list(found.values())), alt


def filters(profile: str, store: Store) -> Drawing:
    """The robust network's first filters; grey is zero (appendix, by recollection)."""
    record = of_item("wong2018/filters", "weights", profile, store).get("robust loss")
    if record is None:
        return MISSING
    weight = torch.as_tensor(np.asarray(record.series["weights"], float))
    if weight.ndim != 4:
        return "the first layer of this network has no filters"
    tiles = 0.5 + weight[:, :1] / (2 * weight.abs().max())
    largest = [f"{100 * float(tile.abs().max() / weight.abs().max()):.0f} %" for tile in weight]
    figure = image_grid(tiles, largest, columns=8, names=["largest weight"], blocks=range(8))
    alt = (
        f"The {len(weight)} filters of the robust network's first layer as grey tiles; grey is zero. "
        f"{record.metrics['near_zero'].value:.0%} of the weights are near zero."
    )
    return stamped(figure, [record]), alt


def training_curves(profile: str, store: Store) -> Drawing:
    """Standard and robust loss during training (figure 4, by recollection)."""
    found = of_item("wong2018/training-curves", "loss", profile, store)
    if not found:
        return MISSING
    # The two losses are not each other's, nor need the two trainings be as long: a panel each.
    panels = {
        f"{name}, {grade([r])}": {f"{name}, mean of 5": smoothed(r.series["step"], np.fmax(r.series["loss"], FLOOR), 5)}
        for name, r in found.items()
    }
    notes = {
        title: f"below {FLOOR:g} drawn there"
        for title, record in zip(panels, found.values(), strict=True)
        if np.asarray(record.series["loss"], float).min() < FLOOR
    }
    figure = curve_panels(
        panels, xlabel="update", ylabel="training loss (nats)", yscale="log", markers=False, notes=notes
    )
    ends = ", ".join(f"{name} {r.metrics['final_loss'].value:.3g} nats" for name, r in found.items())
    alt = f"Each network's own loss on its training batches, a panel each, logarithmic axes. At the end: {ends}."
    return stamped(figure, list(found.values())), alt


def dual_against_program(profile: str, store: Store) -> Drawing:
    """The dual bound and PGD over the linear program's optimum, point by point."""
    found = of_item("wong2018/dual-vs-lp", "program", profile, store)
    if not found:
        return MISSING
    points = {
        name: {
            label: (r.series["program"], r.series[key])
            for key, label in (("dual", "dual bound"), ("attack", "margin under PGD"))
        }
        for name, r in found.items()
    }
    figure = against_optimum(
        points, xlabel="optimum of the linear program (logits)", ylabel="margin less the optimum (logits)"
    )
    said = ", ".join(f"{r.metrics['loosened'].value:.3g} logits after {name}" for name, r in found.items())
    alt = (
        "Dual bounds on or below, margins under PGD on or above the linear program's optimum. "
        f"Mean loss of the dual: {said}."
    )
    return stamped(figure, list(found.values())), alt
