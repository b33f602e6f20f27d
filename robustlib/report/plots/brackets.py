"""Brackets: values on a line for each name; of networks, from clean inputs to the worst case and certified shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...catalogue.base import STAGES, items, papers
from ...catalogue.plan import cells_of
from ...data.registry import facts_of
from ...experiments.store import Store
from ...spec.evaluation import Evaluation
from ...spec.keys import parse
from ...spec.records import Record
from ...statistics import wilson
from ..rows import Row
from ..soundness import settled
from .curves import HOLLOW
from .records import MISSING, Drawing, record_of, records_of, stamped
from .style import (
    COLOURS,
    GRID,
    GROUND,
    MARKERS,
    TEXT,
    grid,
    is_narrow,
    need,
    new_figure,
    outside_legend,
    places,
    styled,
)

EXACT, CERTIFIED = "exact", "certified"
"""The last stages: points that are proven by any means, and those that at least one bound certifies, where there are
records for the same points and ball. The exact stage's span goes from the points proven to those never broken."""
ORDER = (*STAGES, EXACT, CERTIFIED)
MANY = 20
"""Networks in one figure from which its alt text no longer names each."""
_WORDS = {"clean": "clean", "worst case": "in the worst case", EXACT: "exactly", CERTIFIED: "certified"}


@dataclass(frozen=True)
class Mark:
    """One stage of a bracket, in the unit of the axis; None where there is no number.

    Args:
        ours, published: the measured value, and the paper's, which is drawn hollow.
        interval: ends of a confidence interval, a thin line.
        span: ends between which the value lies for certain, a bar.
    """

    ours: float | None
    published: float | None = None
    interval: tuple[float, float] | None = None
    span: tuple[float, float] | None = None


Bracket = Mapping[str, Mark]
"""Marks by stage."""


@styled
def brackets(
    panels: Mapping[str, Mapping[str, Bracket]],
    *,
    xlabel: str,
    stages: Sequence[str] = (),
    whole: bool = True,
    columns: int = 1,
) -> Figure:
    """A line for each name from its least to its greatest value, with a mark for each stage, a panel for each title.

    Args:
        panels: by title ("" for none), brackets by name.
        xlabel: axis label, with the unit.
        stages: all that there are, in the order that gives colours and markers; by default those of the panels.
        whole: the axis is 0 to 100 %; otherwise each panel has the range of its values.
        columns: panels side by side, which have the same lines.

    Raises:
        RobustlibError: nothing to draw, more panels or stages than can be told apart.
    """
    need(panels, "brackets")
    shown = dict.fromkeys(stage for lines in panels.values() for bracket in lines.values() for stage in bracket)
    stages, heights = list(stages or shown), [len(lines) for lines in panels.values()]
    need(dict.fromkeys(stages), "brackets")
    looks = places(stages)
    marks = [m for lines in panels.values() for bracket in lines.values() for m in bracket.values()]
    line = min(0.42 if len(stages) > 1 else 0.3, max(0.22, 7 / sum(heights)))
    columns = 1 if is_narrow() else columns
    if columns == 1:
        figure = new_figure(0.9 + sum(line * lines + 0.67 for lines in heights))
        axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights).ravel().tolist()
    else:
        figure = new_figure(0.9 + (line * max(heights) + 0.6) * -(-len(panels) // columns))
        axes = grid(figure, len(panels), columns, sharey="row")
    look: dict[str, Any] = {"linestyle": "none", "clip_on": False}
    for ax, (title, lines) in zip(axes, panels.items(), strict=True):
        for place, bracket in enumerate(lines.values()):
            values = [value for one in bracket.values() for value in (one.ours, one.published) if value is not None]
            if values:
                ax.plot([min(values), max(values)], [place, place], color=GRID, linewidth=5, zorder=1)
            for stage, one in bracket.items():
                # The last stage is drawn on top: where stages coincide, it is the one that counts.
                i, at = stages.index(stage), looks[stage]
                colour = look | {"marker": MARKERS[at], "color": COLOURS[at], "zorder": 3 + i}
                if one.interval is not None:
                    ax.plot(one.interval, [place, place], color=TEXT, linewidth=1.2, zorder=2)
                if one.span is not None:
                    ax.plot(one.span, [place, place], color=COLOURS[at], linewidth=5, zorder=2)
                if one.ours is not None:
                    size = 14 if MARKERS[at] == "*" else 8 if i else 10
                    ax.plot(one.ours, place, markersize=size, markeredgecolor=GROUND, **colour)
                if one.published is not None:
                    ax.plot(one.published, place, markersize=11, markerfacecolor="none", **colour | {"color": TEXT})
        ax.set_yticks(range(len(lines)), list(lines))
        ax.set(title=title, ylim=(len(lines) - 0.5, -0.5), xlabel=xlabel)
        if whole:
            ax.set_xlim(0, 100)
        else:
            ax.margins(x=0.08)
            ax.locator_params(axis="x", nbins=3 if is_narrow() else 6)
    if len({ax.get_xlabel() for ax in axes}) == 1:
        for ax in axes[: -columns or None] if columns > 1 else axes[:-1]:
            ax.xaxis.label.set_visible(False)
    named = [stage for stage in stages if stage in shown] if any(mark.ours is not None for mark in marks) else []
    shapes = {stage: looks[stage] for stage in named}
    handles = [Line2D([], [], marker=MARKERS[i], color=COLOURS[i], label=stage, **look) for stage, i in shapes.items()]
    if any(mark.published is not None for mark in marks):
        handles.append(Line2D([], [], color=TEXT, marker="o", label="published", **HOLLOW))
    outside_legend(figure, handles)
    return figure


def row_brackets(
    found: Sequence[Row], address: Callable[[Row], tuple[str, str, str]]
) -> Mapping[str, Mapping[str, Bracket]]:
    """The panels that rows of a table make, ours beside the published.

    Args:
        found: rows.
        address: (title, name, stage) of a row.
    """
    panels: dict[str, dict[str, dict[str, Mark]]] = {}
    for row in found:
        title, name, stage = address(row)
        interval = None if row.low is None or row.high is None else (row.low, row.high)
        panels.setdefault(title, {}).setdefault(name, {})[stage] = Mark(row.value, row.published, interval)
    return panels


def bracket(panels: Mapping[str, Mapping[str, Evaluation]], profile: str, store: Store) -> Drawing:
    """The figure for these worst-case evaluations, or cascades' bounds, those without a record left out."""
    found = {title: records_of(networks, profile, store) for title, networks in panels.items()}
    return _drawing(found, store)


def every_bracket(profile: str, store: Store) -> Drawing:
    """The figure for every network of the book that the whole suite was run on, by data set, radius and chapter."""
    found: dict[str, dict[str, Record]] = {}
    shown = set[str]()
    for chapter, name, record in _named(profile, store):
        if record.path in shown:
            # Two tables have it.
            continue
        shown.add(record.path)
        evaluation = parse(record.evaluation)
        eps = evaluation.measurement.threat.eps
        radius = f"{eps:g}" if round(eps, 4) == eps else f"{255 * eps:.3g}/255"
        data = facts_of(evaluation.subject.dataset).title.split()[0]
        title = f"{chapter}: {data}, ε = {radius}"
        found.setdefault(title, {}).setdefault(name, record)
    ordered = {
        title: dict(sorted(named.items(), key=lambda one: -one[1].metrics[STAGES["worst case"]].value))
        for title, named in sorted(found.items())
    }
    return _drawing(ordered, store)


def _named(profile: str, store: Store) -> Iterator[tuple[str, str, Record]]:
    """(chapter, name there, record) of every worst case that a table of the book has; those of a row each first."""
    alone = list[tuple[str, str, Record]]()
    for item in (item for item in items() if not item.parent):
        about = papers()[item.paper]
        runs = {(cell.row, run): run for cell in cells_of(item.id) for run in cell.evaluations[:1]}
        cases = {key: run for key, run in runs.items() if type(run.measurement).__name__ == "WorstCase"}
        for (row, run), record in records_of(cases, profile, store).items():
            chapter = about.authors if about.idea else "across the papers"
            if len({label for label, _ in cases}) > 1:
                yield chapter, row, record
            else:
                # Alone among other measurements, the row is named by its attack.
                alone.append((chapter, run.subject.defence.name, record))
    yield from alone


def settled_brackets(
    panels: Mapping[str, Mapping[str, tuple[Evaluation, float | None]]], profile: str, store: Store
) -> Drawing:
    """The figure for these brackets: each end by the strongest of all records of the same network, points and ball.

    Args:
        panels: by title and name, the evaluation, and the share in per cent that the paper's printed bound certifies,
            which is drawn hollow.
    """
    found: dict[str, dict[str, Bracket]] = {}
    used = list[Record]()
    for title, networks in panels.items():
        for name, (evaluation, printed) in networks.items():
            record = record_of(evaluation, profile, store)
            if record is not None:
                found.setdefault(title, {})[name] = _settled(record, printed, store)
                used.append(record)
    if not used:
        return MISSING
    counts = sorted({record.metrics["accuracy"].n for record in used})
    points = " to ".join(f"{count:,}" for count in dict.fromkeys((counts[0], counts[-1])))
    figure = brackets(found, xlabel=f"accuracy (%), {points} points", stages=ORDER, whole=False)
    return stamped(figure, used, own=True), f"From clean inputs to what is proven. {'; '.join(_described(found))}."


def _settled(record: Record, printed: float | None, store: Store) -> dict[str, Mark]:
    """Stages of a bracket in per cent: clean and PGD of its record, then both ends by all records."""
    proven, unbroken, _ = settled(record, store.records(record.profile))
    count = int(unbroken.sum())
    low, high = (100 * end for end in wilson(count, len(unbroken)))
    stages = {
        "clean": Mark(100 * record.metrics["clean"].value),
        "PGD": Mark(100 * record.metrics["after first"].value),
        "worst case": Mark(100 * count / len(unbroken), interval=(low, high)),
    }
    if proven.any():
        stages[CERTIFIED] = Mark(100 * float(proven.mean()), printed)
    return stages


def _proofs(record: Record, store: Store, kind: str) -> list[Record]:
    """Records of that measurement of the same network, points and ball."""
    return [
        other
        for other in store.records(record.profile)
        if other.evaluation["measurement"]["type"] == kind
        and other.weights_digest == record.weights_digest
        and other.evaluation["subset"] == record.evaluation["subset"]
        and other.evaluation["measurement"]["threat"] == record.evaluation["measurement"]["threat"]
    ]


def _of_cascade(record: Record) -> dict[str, Mark]:
    """Stages of a cascade's record: its accuracy, and the share certified under the strict rule, in per cent."""
    errors = {"clean": "error", CERTIFIED: "strict_bound"}
    return {stage: Mark(100 * (1 - record.metrics[metric].value)) for stage, metric in errors.items()}


def _stages(record: Record, bounds: Sequence[Record], solved: Sequence[Record]) -> dict[str, Mark]:
    """Stages of a network from its worst case and the proofs about the same points, in per cent."""
    stages = {stage: Mark(100 * record.metrics[metric].value) for stage, metric in STAGES.items()}
    worst = record.metrics[STAGES["worst case"]]
    if worst.low is not None and worst.high is not None:
        stages["worst case"] = replace(stages["worst case"], interval=(100 * worst.low, 100 * worst.high))
    if solved:
        proven = np.any([proof.outcome("certified") for proof in (*bounds, *solved)], axis=0)
        left = [other.outcome() for other in (record, *bounds, *solved) if "correct" in other.outcomes]
        ends = 100 * float(proven.mean()), 100 * float(np.all(left, axis=0).mean())
        stages[EXACT] = Mark(ends[0], span=ends)
    if bounds:
        stages[CERTIFIED] = Mark(100 * float(np.any([proof.outcome("certified") for proof in bounds], axis=0).mean()))
    return stages


def _in_words(mark: Mark, words: str) -> str:
    """A share in words; an exact one that is not settled by its two ends."""
    if mark.span is not None and mark.span[1] > mark.span[0]:
        return f"{mark.span[0]:.0f}% to {mark.span[1]:.0f}% {words}"
    return f"{mark.ours:.0f}% {words}"


def _described(panels: Mapping[str, Mapping[str, Bracket]]) -> Iterator[str]:
    """Describe the figure in words: network by network, or panel by panel where that would fill a page."""
    many = sum(map(len, panels.values())) > MANY
    for title, networks in panels.items():
        if many:
            ends = {stage: [b[stage].ours or 0.0 for b in networks.values() if stage in b] for stage in _WORDS}
            told = [f"{min(v):.0f}% to {max(v):.0f}% {_WORDS[stage]}" for stage, v in ends.items() if v]
            count = f"{len(networks)} network{'' if len(networks) == 1 else 's'}"
            yield f"{title}, {count}: {', '.join(told)}"
        for name, stages in () if many else networks.items():
            told = [_in_words(stages[stage], words) for stage, words in _WORDS.items() if stage in stages]
            yield f"{title}, {name}: {', '.join(told)}"


def _drawing(panels: Mapping[str, Mapping[str, Record]], store: Store) -> Drawing:
    found: dict[str, dict[str, Bracket]] = {}
    used = list[Record]()
    for title, networks in panels.items():
        for name, record in networks.items():
            if "strict_bound" in record.metrics:
                found.setdefault(title, {})[name] = _of_cascade(record)
                used.append(record)
                continue
            bounds, solved = (_proofs(record, store, kind) for kind in ("Certificate", "Exact"))
            found.setdefault(title, {})[name] = _stages(record, bounds, solved)
            used += [record, *bounds, *solved]
    if not used:
        return MISSING
    counts = sorted({record.metrics["accuracy"].n for record in used if "accuracy" in record.metrics})
    points = f"{counts[0]} points" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} points"
    figure = brackets(found, xlabel=f"accuracy (%), {points}", stages=ORDER)
    return stamped(figure, used, own=True), f"From clean inputs to the worst case. {'; '.join(_described(found))}."
