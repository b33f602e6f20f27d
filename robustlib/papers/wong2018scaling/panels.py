"""Wong et al. 2018, "Scaling provable adversarial defenses": cells of its figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ...catalogue.base import OWN_NOTE, Cell, cell
from ...models import ModelSpec
from ...spec.evaluation import Evaluation
from .networks import (
    COLOUR,
    COLUMNS,
    FILTERS,
    HARD,
    KINDS,
    LINES,
    MARKS,
    OPEN,
    PROJECTIONS,
    SMALL,
    STAGES,
    Line,
    bound,
    cascade,
    curve,
    estimated,
    groups,
    marked,
    over_intervals,
    unit_cost,
)

PAPER = "wong2018scaling"
ESTIMATORS = ("median", "geometric")
COUNTS = (10, 50, 200)
"""Random columns of the variability figure."""


def cost_runs() -> dict[str, dict[str, list[Evaluation]]]:
    """Timings by family of networks and kind of bound, in the order of growing networks."""
    families = {
        "one hidden layer": [ModelSpec("scaled_single", j) for j in FILTERS],
        "Wide(k)": [ModelSpec("scaled_wide", k) for k in KINDS["Wide"]],
    }
    kinds = {"exact": 0, f"{PROJECTIONS} projections": PROJECTIONS}
    return {
        family: {kind: [unit_cost(model, columns) for model in models] for kind, columns in kinds.items()}
        for family, models in families.items()
    }


def exponent(units: Sequence[float], seconds: Sequence[float]) -> float:
    """Slope of log seconds over log units: 1 is linear, 2 quadratic cost."""
    return float(np.polyfit(np.log(units), np.log(seconds), 1)[0])


def _costs() -> Iterator[Cell]:
    for family, kinds in cost_runs().items():
        for kind, runs in kinds.items():
            for run in runs:
                row = f"{family}, width {run.subject.model.width}"
                yield cell(f"{PAPER}/cost-vs-units", (row, f"{kind}: an update"), run, "seconds")
                if kind == "exact":
                    yield cell(f"{PAPER}/cost-vs-units", (row, "hidden units"), run, "units")


def curves(split: str) -> dict[str, list[Evaluation]]:
    """Robust errors at the marks, by number of projections."""
    ball = SMALL["exact"].threat
    named = {"exact": 0} | {f"k = {columns}": columns for columns in COLUMNS}
    return {
        name: [bound(marked(columns, mark), ball, split=split) for mark in range(len(MARKS))]
        for name, columns in named.items()
    }


def _curves() -> Iterator[Cell]:
    note = "which numbers of projections the figure has is not certain; Adam begins anew at each mark"
    for split, label in (("test", "testing"), ("train", "training")):
        for name, runs in curves(split).items():
            for epoch, run in zip(MARKS, runs, strict=True):
                column = f"{label} robust error, epoch {epoch}"
                yield cell(f"{PAPER}/projection-curves", (name, column), run, "bound", unknown=note)


def grown(line: Line) -> list[Evaluation]:
    """A cascade of one, two and more stages."""
    return [cascade(line, stages) for stages in range(1, STAGES + 1)]


def _grown(item: str, line: Line) -> Iterator[Cell]:
    item, runs = f"{PAPER}/{item}", grown(line)
    for place, run in enumerate(runs, start=1):
        row = f"{line.data}, {line.model}, eps {line.eps}, {place} stage{'s' * (place > 1)}"
        for column, metric in (("robust error", "bound"), ("strict rule", "strict_bound"), ("error", "error")):
            yield cell(item, (row, column), run, metric, unknown=OPEN, note=OWN_NOTE * (metric == "strict_bound"))
        for column, metric in (
            ("last stage alone: error", f"error_{place}"),
            ("points answered by the last stage", f"answered_{place}"),
            ("classes that the last stage tells", f"classes_{place}"),
        ):
            yield cell(item, (row, column), run, metric, note=OWN_NOTE)
        yield cell(item, (row, "last stage: loss at the end of training"), curve(line, place), "final_loss")
    note = f"{OWN_NOTE}: share of the points searched, of those that the released rule counts as robust"
    yield cell(item, (row, "verdicts overturned by a search"), runs[-1], "broken", note=note)


def _variability() -> Iterator[Cell]:
    for estimator in ESTIMATORS:
        for columns in COUNTS:
            run, row = estimated(columns, estimator), f"{estimator}, {columns} projections"
            for column, metric in (
                ("robust error by estimates", "estimated"),
                ("robust error", "exact"),
                ("margins: deviation over draws", "scatter"),
                ("margins: mean error", "offset"),
            ):
                note = "an estimate, not a bound" if metric == "estimated" else ""
                yield cell(f"{PAPER}/estimator-variability", (row, column), run, metric, note=note)


def _groups() -> Iterator[Cell]:
    for name, run in groups().items():
        kinds = ("class", "person") if name == "HAR" else ("class",)
        for column, metric in [
            ("robust error", "bound"),
            *((f"certified, {edge} {kind}", f"{edge}_{kind}") for kind in kinds for edge in ("worst", "best")),
        ]:
            yield cell(f"{PAPER}/groups/{name.lower()}", (name, column), run, metric, note=OWN_NOTE)


def cells() -> Iterator[Cell]:
    """Every cell of the figures."""
    yield from _costs()
    yield from _curves()
    yield from _grown("cascade-curves", COLOUR)
    yield from _grown("more-curves/mnist", HARD)
    at = (f"MNIST, Small, eps {HARD.eps}, 1 stage", "robust error, hidden layers by intervals")
    yield cell(f"{PAPER}/more-curves/mnist", at, over_intervals(HARD), "bound", note=OWN_NOTE)
    yield from _grown("more-curves/cifar10", LINES[8])
    yield from _variability()
    yield from _groups()
