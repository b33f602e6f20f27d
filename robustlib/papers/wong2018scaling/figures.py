"""Figures of Wong et al. 2018, drawn from records: each returns a figure and its alt text, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter

import numpy as np

from ...catalogue.places import place
from ...experiments.profiles import search_order
from ...experiments.store import Store
from ...report.join import rows
from ...report.plots.bars import Bar, bar_panels
from ...report.plots.brackets import brackets, row_brackets
from ...report.plots.curves import Curve, curve_panels, smoothed
from ...report.plots.records import MISSING, Drawing, joined, read_record, record_of, records_of, sources, stamped
from ...report.rows import Row
from ...spec.evaluation import Evaluation
from ...spec.records import Record
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


def _known(runs: Sequence[Evaluation], profile: str, store: Store) -> dict[int, Record]:
    """Records by the place of their evaluation."""
    return records_of(dict(enumerate(runs)), profile, store)


def _by_line(item: str, profile: str, store: Store) -> dict[str, list[Row]]:
    """Rows of the overview by the line of the table that they stand in."""
    found: dict[str, list[Row]] = {}
    for row in rows(item, profile, store):
        if row.column in BRACKET:
            found.setdefault(row.label, []).append(row)
    return found


def _of_one_profile(item: str, profile: str, store: Store) -> list[Row]:
    """Rows of the overview; a line has all of them from one profile, since a cascade begins with its own first network.

    That is the most faithful profile that measured every number of the line that any profile did.
    """
    parts = [_by_line(item, name, store) for name in search_order(profile)]
    chosen = []
    for label, line in _by_line(item, profile, store).items():
        whole = sum(bool(row.values) for row in line)
        chosen += next((p[label] for p in parts if sum(bool(row.values) for row in p[label]) == whole), line)
    return chosen


def results(item: str, profile: str, store: Store) -> Drawing:
    """Single networks and cascades, ours beside the published, a panel for each dataset and radius."""
    found = _of_one_profile(item, profile, store)
    measured = [row for row in found if row.values]
    if not measured:
        return MISSING

    def address(row: Row) -> tuple[str, str, str]:
        facts = place(row.label, row.column)
        kind, stage = BRACKET[row.column].split(": ")
        return f"{facts['Dataset']}, ε = {facts['Epsilon']}", f"{facts['Model']}, {kind}", stage

    ends = [f"{', '.join(address(row))}: {row.value:.1f} %" for row in measured if row.column.endswith("Robust")]
    figure = brackets(row_brackets(found, address), xlabel="error, or not certified (%)", whole=False)
    alt = f"Errors of single networks and cascades, published values hollow. Ours: {'; '.join(ends)}."
    return stamped(figure, measured), alt


def _timings(profile: str, store: Store) -> dict[tuple[str, str], list[Record]]:
    """Records of an update's cost, by family and kind of bound; those with two timings or more."""
    found = {
        (family, kind): list(_known(runs, profile, store).values())
        for family, kinds in scaling.cost_runs().items()
        for kind, runs in kinds.items()
    }
    return {name: records for name, records in found.items() if len(records) > 1}


def exponents(profile: str, store: Store) -> dict[tuple[str, str], float]:
    """Exponents of the fitted cost laws, by family and kind; those with two timings or more."""
    return {
        name: scaling.exponent(*([r.metrics[metric].value for r in records] for metric in ("units", "seconds")))
        for name, records in _timings(profile, store).items()
    }


def costs(profile: str, store: Store) -> Drawing:
    """Seconds of one update against hidden units, exact and projected (figure 1, by recollection)."""
    found = _timings(profile, store)
    if not found:
        return MISSING
    panels: dict[str, dict[str, Curve]] = {}
    for (family, kind), records in found.items():
        units, seconds = ([r.metrics[metric].value for r in records] for metric in ("units", "seconds"))
        panels.setdefault(family, {})[kind] = Curve(units, seconds)
    figure = curve_panels(
        panels,
        xlabel="hidden units",
        ylabel="seconds an update",
        xscale="log",
        yscale="log",
        slopes={"linear": 1, "quadratic": 2},
    )
    ends = [f"{family}, {kind}: exponent {one:.2f}" for (family, kind), one in exponents(profile, store).items()]
    alt = f"Seconds of one update against hidden units, both logarithmic. {'; '.join(ends)}."
    return stamped(figure, [record for records in found.values() for record in records]), alt


def projection_curves(profile: str, store: Store) -> Drawing:
    """Robust error at the marks, on training and test points, by number of projections (figure 2)."""
    panels: dict[str, dict[str, Curve]] = {}
    used: list[Record | Row] = []
    ends = []
    for split, title in (("train", "training points"), ("test", "test points")):
        for name, runs in scaling.curves(split).items():
            points = [read_record(MARKS[i], r, "bound") for i, r in _known(runs, profile, store).items()]
            curve = joined(points)
            if curve is not None:
                panels.setdefault(title, {})[name] = curve
                used += sources(points)
                ends.append(f"{name} on {title}: {points[-1].value:.1f} %")
    if not used:
        return MISSING
    # Where the curves coincide, what parts them is the message: each less the exact one, which has no projections.
    for title, curves in list(panels.items()):
        exact = curves.get("exact")
        apart = {
            name: Curve(one.x, np.asarray(one.y, float) - np.asarray(exact.y, float))
            for name, one in curves.items()
            if exact is not None and one is not exact and len(np.asarray(one.x)) == len(np.asarray(exact.x))
        }
        # One projection is so far off that beside it the others would be one line again.
        close = {name: one for name, one in apart.items() if np.abs(np.asarray(one.y)).max() < 10}
        if close:
            panels[f"{title}: less the exact bound's"] = close
    levels = {title: title in ("training points", "test points") for title in panels}
    figure = curve_panels(
        panels,
        xlabel="epoch of the paper's schedule",
        ylabel={title: "not certified (%)" if level else "difference (points)" for title, level in levels.items()},
        ticks=MARKS,
        baseline={title: "zero" if level else "line" for title, level in levels.items()},
    )
    return stamped(figure, used), f"Robust error, trained with k projections. At the last mark: {'; '.join(ends)}."


def cascade_growth(line: Line, profile: str, store: Store) -> Drawing:
    """Robust error on the batches of each stage in turn, and on the test set as stages are added (figure 3)."""
    whole = _known(scaling.grown(line), profile, store)
    batches: dict[str, Curve] = {}
    used: list[Record] = list(whole.values())
    for index in whole:
        record = record_of(curve(line, index + 1), profile, store)
        if record is None:
            return MISSING
        steps = np.asarray(record.series["step"], float)
        lost = 100 * (1 - np.asarray(record.series["accuracy"], float))
        batches[f"batches of stage {index + 1}"] = smoothed(index + steps / steps[-1], lost, 5)
        used.append(record)
    tested = {
        name: joined([read_record(index + 1.0, record, metric) for index, record in whole.items()])
        for name, metric in (("released rule", "bound"), ("strict rule", "strict_bound"), ("error", "error"))
    }
    so_far = "cascade so far, test points"
    panels = {"training": batches, so_far: {n: c for n, c in tested.items() if c}}
    if not whole:
        return MISSING
    figure = curve_panels(
        panels,
        xlabel="stages",
        ylabel="not certified, or error (%)",
        ticks=range(len(whole) + 1),
        baseline="zero",
        markers={"training": False, so_far: True},
        apart=[so_far],
        reach={"training": 105.0, so_far: 150.0},
    )
    ends = ", ".join(f"{r.metrics['bound'].value:.1%} with {index + 1}" for index, r in whole.items())
    return stamped(figure, used), f"Robust error while stages are added. Not certified on test points: {ends}."


def variability(profile: str, store: Store) -> Drawing:
    """Spread of estimated margins against the number of random columns (appendix, by recollection)."""
    panels: dict[str, dict[str, Curve]] = {}
    used: list[Record | Row] = []
    ends = []
    for estimator in scaling.ESTIMATORS:
        known = _known([specs.estimated(columns, estimator) for columns in scaling.COUNTS], profile, store)
        for title, metric in (("standard deviation over draws", "scatter"), ("mean estimate minus bound", "offset")):
            points = [read_record(scaling.COUNTS[i], record, metric, scale=1.0) for i, record in known.items()]
            curve_ = joined(points)
            if curve_ is not None:
                panels.setdefault(title, {})[estimator] = curve_
                first, last = points[0], points[-1]
                ends.append(f"{estimator}, {title}: {first.value:.3g} with {first.x}, {last.value:.3g} with {last.x}")
        used += known.values()
    if not panels:
        return MISSING
    figure = curve_panels(
        panels, xlabel="random columns", ylabel="logits", xscale="log", ticks=scaling.COUNTS, baseline="line"
    )
    return stamped(figure, used), f"Estimated margins against the number of random columns. {'; '.join(ends)}."


def groups(names: Mapping[str, Sequence[str]], profile: str, store: Store) -> Drawing:
    """Certified shares by class, and on HAR by person.

    Args:
        names: of each dataset's classes.
        profile, store: where records are looked for.
    """
    panels: dict[str, dict[str, Bar]] = {}
    used, ends = [], []
    for data, record in records_of(specs.groups(), profile, store).items():
        for kind in ("class", "person"):
            if kind not in record.series:
                continue
            label = names[data].__getitem__ if kind == "class" else "person {}".format
            counts = np.asarray(record.series[kind], float).tolist()
            lines = [(sure / n, right / n, label(int(who))) for who, n, right, sure in counts]
            lines.sort(key=itemgetter(0), reverse=True)
            panels[f"{data}, by {kind}"] = {name: Bar([100 * sure], mark=100 * right) for sure, right, name in lines}
            worst, best = (pick(lines, key=itemgetter(0)) for pick in (min, max))
            ends.append(f"{data}: {worst[2]} {worst[0]:.0%}, {best[2]} {best[0]:.0%}")
            used.append(record)
    if not used:
        return MISSING
    alt = f"Certified share of each group as a bar, right share as a diamond. Least and greatest: {'; '.join(ends)}."
    figure = bar_panels(panels, ["certified"], xlabel="points (%)", whole=True, mark="right", line=0.23)
    return stamped(figure, used), alt
