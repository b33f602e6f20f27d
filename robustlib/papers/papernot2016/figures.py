"""Figures of Papernot et al. 2016 against temperature, from records: each with its alt text, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from ...data.registry import facts_of
from ...experiments.profiles import search_order
from ...experiments.store import Store
from ...report.evidence import GRADES
from ...report.join import rows, title_suffix
from ...report.plots.curves import Curve, curve_panels
from ...report.plots.images import image_grid
from ...report.plots.records import MISSING, Drawing, images_of, joined, read_row, record_of, stamped
from ...report.rows import Row
from ...spec.records import Record
from .networks import DATASETS, LABELS, LEGITIMATE, NONE, SHOWN, TEMPERATURES, temperature_of

TICKS = (1, 2, 5, 10, 20, 50, 100)
"""Temperatures that a half-width logarithmic axis has room for."""
VARIANTS = ("JSMA on softmax outputs", "JSMA on logits / T", "JSMA on logits")
"""Outputs that JSMA differentiates: the deployed ones, those with the temperature put back, logits."""


@dataclass
class Panel:
    """Curves of one axis against T.

    Args:
        ylabel: of the axis.
        curves: by name.
        levels: values without distillation, ours and the paper's, by name.
        used: rows that hold a value of ours.
        xlabel: of the other axis.
    """

    ylabel: str
    curves: dict[str, Curve] = field(default_factory=dict)
    levels: dict[str, float] = field(default_factory=dict)
    used: list[Row] = field(default_factory=list)
    xlabel: str = "temperature T"


def _panel(
    item: str,
    columns: Mapping[str, str],
    ylabel: str,
    profile: str,
    store: Store,
    *,
    prefix: str = "",
    scale: Mapping[str, float] | None = None,
    level: bool = True,
) -> Panel:
    """A panel of an item's columns, by the name of their curve.

    Args:
        item: (sub-)item.
        columns: its columns, by the names of their curves.
        ylabel: of the axis.
        profile, store: where records are looked for.
        prefix: beginning of the rows' labels, before "no distillation" or "T=20".
        scale: factors of curves that are in another unit.
        level: show the network without distillation.
    """
    panel, found = Panel(ylabel), rows(item, profile, store)
    for name, column in columns.items():
        labelled = {row.label.removeprefix(prefix): row for row in found if row.column == column}
        factor = (scale or {}).get(name, 1.0)
        points = [
            read_row(temperature_of(label), labelled[label], scale=factor) for label in LABELS[1:] if label in labelled
        ]
        curve = joined(points)
        if curve is None:
            continue
        panel.curves[name] = curve
        panel.used += [row for label, row in labelled.items() if label in LABELS and row.values]
        if level and NONE in labelled:
            plain = read_row(0, labelled[NONE], scale=factor)
            named = {"no distillation": plain.value, "no distillation, published": plain.published}
            panel.levels = {name: value for name, value in named.items() if value is not None}
    return panel


def _in_words(panel: Panel, unit: str) -> str:
    """Every curve's ends and the level, for an alt text."""
    told = []
    for name, curve in panel.curves.items():
        temperatures, values = np.asarray(curve.x, float), np.asarray(curve.y, float)
        known = np.flatnonzero(np.isfinite(values))
        ends = (f"{values[i]:.3g}{unit} at T = {temperatures[i]:g}" for i in dict.fromkeys((known[0], known[-1])))
        told.append(f"{name} {', '.join(ends)}")
    plain = panel.levels.get("no distillation")
    return ", ".join([*told, *([] if plain is None else [f"{plain:.3g}{unit} without distillation"])])


def _drawing(
    panels: Mapping[str, Panel], what: str, unit: str, *, baseline: Literal["none", "zero", "line"] = "zero"
) -> Drawing:
    """The panels that have a curve, stamped, and their description in words."""
    kept = {title: panel for title, panel in panels.items() if panel.curves}
    used = [row for panel in panels.values() for row in panel.used]
    if not kept:
        return MISSING
    ends = "; ".join(f"{title}: {_in_words(panel, unit)}" for title, panel in kept.items())
    alt = (
        f"{what} against the temperature of training, {TEMPERATURES[0]} to {TEMPERATURES[-1]}, logarithmic axis; "
        f"hollow markers are the paper's values. {ends}{title_suffix(used)}."
    )
    figure = curve_panels(
        {title: panel.curves for title, panel in kept.items()},
        xlabel={title: panel.xlabel for title, panel in kept.items()},
        ylabel={title: panel.ylabel for title, panel in kept.items()},
        xscale="log",
        ticks=TICKS,
        baseline=baseline,
        levels={title: panel.levels for title, panel in kept.items()},
    )
    return stamped(figure, used), alt


def _by_dataset(
    item: str, columns: Mapping[str, str], ylabel: str, profile: str, store: Store, *, level: bool = True
) -> dict[str, Panel]:
    """A panel for each of the paper's datasets, of the item's sub-item."""
    return {
        dataset: _panel(f"papernot2016/{item}/{dataset.lower()}", columns, ylabel, profile, store, level=level)
        for dataset in DATASETS
    }


def _by_recipe(item: str, column: str, plain: str, ylabel: str, profile: str, store: Store) -> dict[str, Panel]:
    """A panel for each dataset with a curve for each recipe of training, since two recipes make no one curve.

    Args:
        item: without its dataset.
        column: of the distilled networks.
        plain: column of the undistilled ones, which each panel's axis names for every recipe.
        ylabel: of the axis.
        profile, store: where records are looked for.
    """
    panels: dict[str, Panel] = {}
    for dataset in DATASETS:
        panel, found = Panel(ylabel), f"papernot2016/{item}/{dataset.lower()}"
        undistilled, published = dict[str, str](), list[str]()
        for name in search_order(profile):
            lines = rows(found, name, store)
            measured = [row for row in lines if row.column == column and row.label in LABELS[1:]]
            graded = sorted({row.evidence for row in measured if row.evidence}, key=GRADES.index)
            curve = joined([read_row(temperature_of(row.label), row) for row in measured]) if graded else None
            if curve is None:
                continue
            recipe: str = graded[-1]
            recipe += f", {name}" if recipe in panel.curves else ""
            # Hollow markers once.
            panel.curves[recipe] = replace(curve, published=None) if panel.curves else curve
            panel.used += [row for row in measured if row.values]
            base = next((row for row in lines if (row.label, row.column) == (NONE, plain) and row.values), None)
            if base is not None:
                undistilled[recipe] = f"{base.value:.1f}\N{NO-BREAK SPACE}%"
                published = [f"paper's {base.published:g}\N{NO-BREAK SPACE}%"] if base.published is not None else []
                panel.used.append(base)
        several = len(undistilled) > 1
        named = [*(f"{recipe} {value}" if several else value for recipe, value in undistilled.items()), *published]
        panel.xlabel += f"\n(undistilled: {', '.join(named)})" if named else ""
        panels[dataset] = panel
    return panels


def success_rate(profile: str, store: Store) -> Drawing:
    """Success of JSMA on softmax outputs against T, a curve for each recipe of training (figure 7)."""
    column = "attempts that succeed"
    panels = _by_recipe("success-rate", column, column, "attempts that succeed (%)", profile, store)
    for dataset, panel in panels.items():
        if len(panel.curves) == 1:
            columns = dict.fromkeys(panel.curves, column)
            item = f"papernot2016/success-rate/{dataset.lower()}"
            panel.levels = _panel(item, columns, panel.ylabel, profile, store).levels
    return _drawing(panels, "Share of targeted JSMA attempts that succeed within the budget of features", " %")


def accuracy_variation(profile: str, store: Store) -> Drawing:
    """Accuracy of the distilled network less that of the undistilled one, a curve for each recipe (figure 8)."""
    item, column = "accuracy-variation", "accuracy variation"
    panels = _by_recipe(item, column, "accuracy", "accuracy variation (points)", profile, store)
    what = "Test accuracy of the distilled less that of the undistilled network, in percentage points, a dot a seed,"
    return _drawing(panels, what, "", baseline="line")


def robustness(profile: str, store: Store) -> Drawing:
    """Mean least share of changed features, and the share of points that the cap cuts off (figure 10)."""
    panels: dict[str, Panel] = {}
    for suffix, column, ylabel in (
        ("", "robustness rho_adv", "features changed (%)"),
        (": beyond the cap", "points beyond 112 features or never broken", "points (%)"),
    ):
        found = _by_dataset("robustness", {"distilled networks": column}, ylabel, profile, store)
        panels |= {f"{dataset}{suffix}": panel for dataset, panel in found.items()}
    what = "Mean least share of features that JSMA changes, and share of points counted at the cap,"
    return _drawing(panels, what, " %")


def confidence(profile: str, store: Store) -> Drawing:
    """Mean confidence at T = 1, and the largest output at the temperature of training (table III and text)."""
    columns = {"confidence at T = 1": "mean confidence C", "at training's T": "largest output at the training's T"}
    panels = {
        dataset: _panel(
            "papernot2016/confidence",
            columns,
            "largest output (%)",
            profile,
            store,
            prefix=f"{dataset} ",
            scale={"at training's T": 100.0},
            level=False,
        )
        for dataset in DATASETS
    }
    what = "Mean confidence at T = 1 and mean largest output at the temperature of training,"
    return _drawing(panels, what, " %", baseline="none")


def breaking(profile: str, store: Store) -> Drawing:
    """Success of JSMA on outputs, on outputs with T put back, and on logits, against T (the follow-up)."""
    columns = {name: name for name in VARIANTS}
    panels = _by_dataset("breaking", columns, "attempts that succeed (%)", profile, store, level=False)
    return _drawing(panels, "Share of targeted attempts that succeed, for three versions of JSMA,", " %")


# Figures 2 and 6: images -------------------------------------------------------------------------------------------


def adversarial_samples(dataset: str, profile: str, store: Store) -> Drawing:
    """Test points, and what JSMA makes of them on the undistilled network (figure 2)."""
    record = record_of(SHOWN[dataset], profile, store)
    if record is None:
        return MISSING
    classes = facts_of(record.dataset["name"]).classes
    labels, led = (_integers(record, name) for name in ("label", "led_to"))
    reached = [place for place, label in enumerate(labels) if led[place] != label]
    # Where every attempt failed, these.
    shown = (reached or list(range(len(labels))))[:5]
    clean, attacked = (images_of(record, state)[shown] for state in ("clean", "attacked"))
    words = [[classes[names[place]] for place in shown] for names in (labels, led)]
    changed = (clean != attacked).any(1).sum((1, 2))
    pairs = ", ".join(f"{one} to {two} ({n} pixels)" for one, two, n in zip(*words, changed, strict=True))
    figure = image_grid(
        np.concatenate([clean, attacked]),
        [*words[0], *words[1]],
        columns=len(shown),
        names=["legitimate", "adversarial"],
    )
    alt = f"Test images, and below them what JSMA makes of them, with the class that the network predicts: {pairs}."
    return stamped(figure, [record]), alt


def class_samples(dataset: str, profile: str, store: Store) -> Drawing:
    """A test point of each class that the undistilled network gets right (figure 6)."""
    records = [record_of(run, profile, store) for run in LEGITIMATE[dataset].values()]
    found = [record for record in records if record is not None]
    if len(found) < len(records):
        return MISSING
    facts = facts_of(found[0].dataset["name"])
    words = [facts.classes[k] for record in found for k in _integers(record, "label")]
    figure = image_grid(np.concatenate([images_of(record, "clean") for record in found]), words)
    return stamped(figure, found), f"{len(words)} test images, one of each class: {', '.join(words)}."


def _integers(record: Record, name: str) -> list[int]:
    return np.asarray(record.series[name], int).tolist()
