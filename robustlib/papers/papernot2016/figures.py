"""Figures of Papernot et al. 2016 against temperature, from records: each with its alt text, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...experiments.store import Store
from ...report.join import rows, title_suffix
from ...report.plots.curves import Curve, curve_legend, draw_curves
from ...report.plots.panels import from_zero, grid, need
from ...report.plots.records import MISSING, Drawing, stamped
from ...report.plots.style import current, new_figure, styled
from ...report.rows import Row
from .networks import DATASETS, LABELS, NONE, TEMPERATURES, temperature_of

TICKS = (1, 2, 5, 10, 20, 50, 100)
"""Temperatures that a half-width logarithmic axis has room for."""


@dataclass
class Panel:
    """Curves of one axis.

    Args:
        ylabel: of the axis.
        curves: by name, against T.
        levels: (value without distillation, the paper's), None where there is none.
        seeds: (T, value) of single seeds, where there are several.
    """

    ylabel: str
    curves: dict[str, Curve] = field(default_factory=dict)
    levels: tuple[float | None, float | None] = (None, None)
    seeds: list[tuple[float, float]] = field(default_factory=list)


@styled
def temperature_panels(panels: Mapping[str, Panel], *, signed: bool = False) -> Figure:
    """Measurements against the temperature of training (logarithmic), with the undistilled network as a level.

    Args:
        panels: by title; a curve's name has one colour in all panels.
        signed: values may be negative, and zero is marked.

    Raises:
        RobustlibError: nothing to draw, or more than can be told apart.
    """
    need(panels, "temperature_panels")
    order = list(dict.fromkeys(name for panel in panels.values() for name in panel.curves))
    need(dict.fromkeys(order), "temperature_panels")
    theme, published = current(), False
    styles: dict[str, Literal["--", ":"]] = {"no distillation": "--", "no distillation, published": ":"}
    figure = new_figure(0.9 + 2.6 * -(-len(panels) // 2))
    for ax, (title, panel) in zip(grid(figure, len(panels), 2), panels.items(), strict=True):
        published |= draw_curves(ax, panel.curves, order)
        for value, style in zip(panel.levels, styles.values(), strict=True):
            if value is not None:
                ax.axhline(value, color=theme.text, linestyle=style, linewidth=1.4, zorder=1)
        if panel.seeds:
            ax.plot(*zip(*panel.seeds, strict=True), linestyle="none", marker=".", color=theme.colours[4], zorder=4)
        ax.set_xscale("log")
        ax.set_xticks(TICKS, [str(tick) for tick in TICKS])
        ax.minorticks_off()
        ax.set(title=title, xlabel="temperature T", ylabel=panel.ylabel)
        if signed:
            ax.axhline(0, color=theme.text, linewidth=0.8, zorder=1)
        else:
            from_zero(ax)
    shown = [any(panel.levels[i] is not None for panel in panels.values()) for i in range(2)]
    lines = [
        Line2D([], [], color=theme.text, linestyle=style, linewidth=1.4, label=name)
        for (name, style), there in zip(styles.items(), shown, strict=True)
        if there
    ]
    curve_legend(figure, order, published, lines)
    return figure


def by_label(item: str, column: str, profile: str, store: Store, *, prefix: str = "") -> dict[str, Row]:
    """Rows of one column by the label of their network, "no distillation" or "T=20"."""
    wanted = {f"{prefix}{label}": label for label in LABELS}
    return {
        wanted[row.label]: row for row in rows(item, profile, store) if row.column == column and row.label in wanted
    }


def _curve(found: Mapping[str, Row], factor: float) -> Curve | None:
    """The mean over seeds against T with its interval; None when nothing was measured."""
    columns = []
    for label in (label for label in LABELS[1:] if label in found):
        row = found[label]
        ours = (row.low, row.high) if row.values else (None, None)
        mean = float(np.mean(row.values)) if row.values else None
        numbers = [np.nan if value is None else factor * value for value in (mean, *ours, row.published)]
        columns.append((temperature_of(label), *numbers))
    if all(np.isnan(column[1]) for column in columns):
        return None
    x, y, low, high, published = (np.asarray(column, float) for column in zip(*columns, strict=True))
    return x, y, low, high, published


def _panel(
    item: str,
    columns: Mapping[str, str],
    ylabel: str,
    profile: str,
    store: Store,
    *,
    prefix: str = "",
    factor: Mapping[str, float] | None = None,
    level: bool = True,
) -> tuple[Panel, list[Row]]:
    """A panel of an item's columns, by the name of their curve, and the rows in it."""
    panel, used = Panel(ylabel), list[Row]()
    for name, column in columns.items():
        found = by_label(item, column, profile, store, prefix=prefix)
        times = (factor or {}).get(name, 1.0)
        curve = _curve(found, times)
        if curve is None:
            continue
        panel.curves[name] = curve
        used += [row for row in found.values() if row.values]
        plain = found.get(NONE)
        if level and plain is not None:
            ours = times * float(np.mean(plain.values)) if plain.values else None
            panel.levels = (ours, None if plain.published is None else times * plain.published)
        panel.seeds += [
            (temperature_of(label), times * value)
            for label, row in found.items()
            if label != NONE and len(row.values) > 1
            for value in row.values
        ]
    return panel, used


def _told(panel: Panel, unit: str) -> str:
    """The first curve's ends and the level, for an alt text."""
    name, (x, y, *_) = next(iter(panel.curves.items()))
    temperatures, values = np.asarray(x, float), np.asarray(y, float)
    known = np.flatnonzero(np.isfinite(values))
    ends = ", ".join(f"{values[i]:.3g}{unit} at T = {temperatures[i]:g}" for i in dict.fromkeys((known[0], known[-1])))
    plain = panel.levels[0]
    return f"{name} {ends}" + ("" if plain is None else f", {plain:.3g}{unit} without distillation")


def _drawing(
    panels: Mapping[str, tuple[Panel, Sequence[Row]]], what: str, unit: str, *, signed: bool = False
) -> Drawing:
    """The panels that have a curve, stamped, with what they show in words."""
    kept = {title: panel for title, (panel, _) in panels.items() if panel.curves}
    used = [row for _, found in panels.values() for row in found]
    if not kept:
        return MISSING
    told = "; ".join(f"{title}: {_told(panel, unit)}" for title, panel in kept.items())
    alt = (
        f"{what} against the temperature of training, {TEMPERATURES[0]} to {TEMPERATURES[-1]}, logarithmic axis; "
        f"hollow markers are the paper's values. {told}{title_suffix(used)}."
    )
    return stamped(temperature_panels(kept, signed=signed), used), alt


def success_rate(profile: str, store: Store) -> Drawing:
    """Success of JSMA on softmax outputs against T (figure 7)."""
    panels = {
        paper: _panel(
            f"papernot2016/success-rate/{dataset}",
            {"distilled networks": "attempts that succeed"},
            "attempts that succeed (%)",
            profile,
            store,
        )
        for paper, dataset in _items()
    }
    return _drawing(panels, "Share of targeted JSMA attempts that succeed within the budget of features", " %")


def accuracy_variation(profile: str, store: Store) -> Drawing:
    """Accuracy of the distilled network less that of the undistilled one (figure 8)."""
    panels = {
        paper: _panel(
            f"papernot2016/accuracy-variation/{dataset}",
            {"distilled networks": "accuracy variation"},
            "accuracy variation (points)",
            profile,
            store,
        )
        for paper, dataset in _items()
    }
    what = "Test accuracy of the distilled less that of the undistilled network, in percentage points, a dot a seed,"
    return _drawing(panels, what, "", signed=True)


def robustness(profile: str, store: Store) -> Drawing:
    """Mean least share of changed features, and the share of points that the cap cuts off (figure 10)."""
    panels = {}
    for suffix, column, ylabel in (
        ("", "robustness rho_adv", "features changed (%)"),
        (": beyond the cap", "points beyond 112 features or never broken", "points (%)"),
    ):
        for paper, dataset in _items():
            panels[f"{paper}{suffix}"] = _panel(
                f"papernot2016/robustness/{dataset}", {"distilled networks": column}, ylabel, profile, store
            )
    what = "Mean least share of features that JSMA changes, and share of points counted at the cap,"
    return _drawing(panels, what, " %")


def confidence(profile: str, store: Store) -> Drawing:
    """Mean confidence at T = 1, and the largest output at the temperature of training (table III and text)."""
    columns = {"confidence at T = 1": "mean confidence C", "at training's T": "largest output at the training's T"}
    panels = {
        paper: _panel(
            "papernot2016/confidence",
            columns,
            "largest output (%)",
            profile,
            store,
            prefix=f"{paper} ",
            factor={"at training's T": 100.0},
            level=False,
        )
        for paper in DATASETS
    }
    return _drawing(panels, "Mean confidence at T = 1 and mean largest output at the temperature of training,", " %")


VARIANTS = ("JSMA on softmax outputs", "JSMA on logits / T", "JSMA on logits")
"""What is differentiated: the deployed outputs, outputs with the temperature put back, logits."""


def breaking(profile: str, store: Store) -> Drawing:
    """Success of JSMA on outputs, on outputs with T put back, and on logits, against T (the follow-up)."""
    panels = {
        paper: _panel(
            f"papernot2016/breaking/{dataset}",
            {name: name for name in VARIANTS},
            "attempts that succeed (%)",
            profile,
            store,
            level=False,
        )
        for paper, dataset in _items()
    }
    return _drawing(panels, "Share of targeted attempts that succeed, for three versions of JSMA,", " %")


def _items() -> list[tuple[str, str]]:
    """(name in titles, end of the sub-item's id)."""
    return [(paper, paper.lower()) for paper in DATASETS]
