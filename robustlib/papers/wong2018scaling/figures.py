"""Figures of Wong et al. 2018, drawn from records: each returns a figure and its alt text, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from ...experiments.records import Record
from ...experiments.specs import Evaluation
from ...experiments.store import Store
from ...report.join import rows
from ...report.plots.certificates import Stage, error_brackets
from ...report.plots.curves import Curve, curve_legend, draw_curves
from ...report.plots.panels import from_zero, grid, need
from ...report.plots.records import MISSING, Drawing, record_of, stamped
from ...report.plots.style import current, new_figure, styled
from . import networks as specs
from . import panels as scaling
from .networks import MARKS, Line, curve

BRACKET = {
    "Single model error: Standard": "single: error",
    "Single model error: Robust": "single: not certified",
    "Cascade error: Standard": "cascade: error",
    "Cascade error: Robust": "cascade: not certified",
    "cascade, strict rule": "cascade: not certified, strict rule",
}
"""Columns of the results table that the overview shows, and their names there."""


@styled
def curve_panels(
    panels: Mapping[str, Mapping[str, Curve]], *, xlabel: str, ylabel: str, log: bool = False, columns: int = 2
) -> Figure:
    """Curves in panels side by side; a name has one colour in all of them.

    Args:
        panels: by title, curves by name.
        log: both axes logarithmic, and not from zero.
        columns: panels in a row.

    Raises:
        RobustlibError: nothing to draw, or more curves than can be told apart.
    """
    need(panels, "curve_panels")
    order = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    need(dict.fromkeys(order), "curve_panels")
    figure, published = new_figure(0.9 + 2.7 * -(-len(panels) // columns)), False
    for ax, (title, curves) in zip(grid(figure, len(panels), columns), panels.items(), strict=True):
        published |= draw_curves(ax, curves, order)
        ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
        if log:
            ax.set(xscale="log", yscale="log")
        else:
            from_zero(ax)
    curve_legend(figure, order, published)
    return figure


def _known(runs: Sequence[Evaluation], profile: str, store: Store) -> list[tuple[int, Record]]:
    """(place, record) of the evaluations that have one."""
    found = [(place, record_of(run, profile, store)) for place, run in enumerate(runs)]
    return [(place, record) for place, record in found if record is not None]


def results(item: str, profile: str, store: Store) -> Drawing:
    """Single networks and cascades, ours beside the published, a panel for each dataset and radius."""
    panels: dict[str, dict[str, dict[str, Stage]]] = {}
    measured, said = [], []
    for row in rows(item, profile, store):
        if row.column not in BRACKET:
            continue
        facts = dict(part.split("=", 1) for part in row.label.split(";"))
        title = f"{facts['Dataset']}, eps {facts['Epsilon']}"
        ours = float(np.mean(row.values)) if row.values else None
        panels.setdefault(title, {}).setdefault(facts["Model"], {})[BRACKET[row.column]] = (ours, row.published)
        if ours is not None:
            measured.append(row)
            if row.column.endswith("Robust"):
                said.append(f"{title}, {facts['Model']}, {BRACKET[row.column]}: {ours:.1f} %")
    if not measured:
        return MISSING
    alt = f"Errors of single networks and cascades, published values hollow. Ours: {'; '.join(said)}."
    return stamped(error_brackets(panels), measured), alt


def costs(profile: str, store: Store) -> Drawing:
    """Seconds of one update against hidden units, exact and projected (figure 1, by recollection)."""
    panels: dict[str, dict[str, Curve]] = {}
    used, said = [], []
    for family, kinds in scaling.cost_runs().items():
        for kind, runs in kinds.items():
            records = [record for _, record in _known(runs, profile, store)]
            if len(records) < 2:
                continue
            units, seconds = (np.array([r.metrics[name].value for r in records]) for name in ("units", "seconds"))
            panels.setdefault(family, {})[kind] = (units, seconds, None, None, None)
            used += records
            said.append(f"{family}, {kind}: exponent {scaling.exponent(units.tolist(), seconds.tolist()):.2f}")
    if not used:
        return MISSING
    figure = curve_panels(panels, xlabel="hidden units", ylabel="seconds an update", log=True)
    return stamped(figure, used), f"Seconds of one update against hidden units, both logarithmic. {'; '.join(said)}."


def exponents(profile: str, store: Store) -> dict[tuple[str, str], float]:
    """Of the fitted cost laws, by family and kind; those with two timings or more."""
    found = {}
    for family, kinds in scaling.cost_runs().items():
        for kind, runs in kinds.items():
            records = [record for _, record in _known(runs, profile, store)]
            if len(records) > 1:
                units, seconds = ([r.metrics[name].value for r in records] for name in ("units", "seconds"))
                found[family, kind] = scaling.exponent(units, seconds)
    return found


def projection_curves(profile: str, store: Store) -> Drawing:
    """Robust error at the marks, on training and test points, by number of projections (figure 2)."""
    panels: dict[str, dict[str, Curve]] = {}
    used, said = [], []
    for split, title in (("train", "training points"), ("test", "test points")):
        for name, runs in scaling.curves(split).items():
            known = _known(runs, profile, store)
            if known:
                x = [MARKS[place] for place, _ in known]
                y = [100 * record.metrics["bound"].value for _, record in known]
                panels.setdefault(title, {})[name] = (x, y, None, None, None)
                used += [record for _, record in known]
                said.append(f"{name} on {title}: {y[-1]:.1f} %")
    if not used:
        return MISSING
    figure = curve_panels(panels, xlabel="epoch of the paper's schedule", ylabel="not certified (%)")
    return stamped(figure, used), f"Robust error, trained with k projections. At the last mark: {'; '.join(said)}."


def cascade_growth(line: Line, profile: str, store: Store) -> Drawing:
    """Robust error on the batches of each stage in turn, and on the test set as stages are added (figure 3)."""
    whole = _known(scaling.grown(line), profile, store)
    batches: dict[str, Curve] = {}
    used = [record for _, record in whole]
    ends = []
    for place, _ in whole:
        record = record_of(curve(line, place + 1), profile, store)
        if record is None:
            return MISSING
        steps = np.asarray(record.series["step"], float)
        at = place + steps / steps[-1]
        lost = 100 * (1 - np.asarray(record.series["accuracy"], float))
        batches[f"batches of stage {place + 1}"] = (at, lost, None, None, None)
        ends.append(place + 1.0)
        used.append(record)
    if not whole:
        return MISSING

    def of(metric: str) -> ArrayLike:
        return [100 * record.metrics[metric].value for _, record in whole]

    tested: dict[str, Curve] = {
        name: (ends, of(metric), None, None, None)
        for name, metric in (("released rule", "bound"), ("strict rule", "strict_bound"), ("error", "error"))
    }
    figure = curve_panels(
        {"training": batches, "the cascade so far, on test points": tested},
        xlabel="stages",
        ylabel="not certified, or error (%)",
    )
    for panel in figure.axes:
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    said = ", ".join(f"{r.metrics['bound'].value:.1%} with {place + 1}" for place, r in whole)
    return stamped(figure, used), f"Robust error while stages are added. Not certified on test points: {said}."


def variability(profile: str, store: Store) -> Drawing:
    """Spread of estimated margins against the number of random columns (appendix, by recollection)."""
    panels: dict[str, dict[str, Curve]] = {}
    used, said = [], []
    for estimator in scaling.ESTIMATORS:
        known = _known([specs.estimated(columns, estimator) for columns in scaling.COUNTS], profile, store)
        if not known:
            continue
        x = [scaling.COUNTS[place] for place, _ in known]
        for title, metric in (("standard deviation over draws", "scatter"), ("mean estimate minus bound", "offset")):
            y = [record.metrics[metric].value for _, record in known]
            panels.setdefault(title, {})[estimator] = (x, y, None, None, None)
            said.append(f"{estimator}, {title}: {y[0]:.3g} with {x[0]}, {y[-1]:.3g} with {x[-1]}")
        used += [record for _, record in known]
    if not used:
        return MISSING
    figure = _variability(panels)
    return stamped(figure, used), f"Estimated margins against the number of random columns. {'; '.join(said)}."


@styled
def _variability(panels: Mapping[str, Mapping[str, Curve]]) -> Figure:
    figure, order = new_figure(3.4), list(scaling.ESTIMATORS)
    for ax, (title, curves) in zip(grid(figure, len(panels), 2), panels.items(), strict=True):
        draw_curves(ax, curves, [name for name in order if name in curves])
        ax.axhline(0, color=current().grid, linewidth=1.2, zorder=1)
        ax.set(title=title, xlabel="random columns", ylabel="logits", xscale="log")
    curve_legend(figure, order, False)
    return figure


@styled
def group_bars(panels: Mapping[str, Sequence[tuple[str, float, float]]]) -> Figure:
    """Right and certified shares of each group, sorted, a panel each.

    Args:
        panels: by title, (name, right, certified) of the groups, shares in [0, 1].

    Raises:
        RobustlibError: nothing to draw.
    """
    need(panels, "group_bars")
    theme, figure = current(), new_figure(0.8 + 0.23 * sum(len(lines) + 2.5 for lines in panels.values()))
    tall = [len(lines) + 2 for lines in panels.values()]
    axes = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": tall}).ravel()
    for ax, (title, lines) in zip(axes, panels.items(), strict=True):
        order = sorted(lines, key=lambda line: line[2])
        names = [line[0] for line in order]
        ax.barh(names, [100 * line[2] for line in order], color=theme.colours[0], height=0.7)
        ax.plot([100 * line[1] for line in order], range(len(order)), "D", color=theme.colours[1], markersize=5)
        ax.set(title=title, xlim=(0, 100), xlabel="certified (bar), right (diamond), %")
        ax.tick_params(axis="y", labelsize=8.5)
    return figure


def groups(names: Mapping[str, Sequence[str]], profile: str, store: Store) -> Drawing:
    """Certified shares by class, and on HAR by person.

    Args:
        names: of each dataset's classes.
        profile, store: where records are looked for.
    """
    panels: dict[str, list[tuple[str, float, float]]] = {}
    used, said = [], []
    for data, run in specs.groups().items():
        record = record_of(run, profile, store)
        for kind in ("class", "person"):
            if record is None or kind not in record.series:
                continue
            label = names[data].__getitem__ if kind == "class" else "person {}".format
            counts = np.asarray(record.series[kind], float)
            lines = [(label(int(who)), right / n, sure / n) for who, n, right, sure in counts.tolist()]
            panels[f"{data}, by {kind}"] = lines
            worst, best = (pick(lines, key=lambda line: line[2]) for pick in (min, max))
            said.append(f"{data}: {worst[0]} {worst[2]:.0%}, {best[0]} {best[2]:.0%}")
            used.append(record)
    if not used:
        return MISSING
    alt = f"Certified share of each group as a bar, right share as a diamond. Least and greatest: {'; '.join(said)}."
    return stamped(group_bars(panels), used), alt
