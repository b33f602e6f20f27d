"""The bracket: what is left of each network from clean inputs to a suite's worst case, and what of it is certified."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...catalogue.base import STAGES
from ...data.registry import facts_of
from ...experiments.findings import share
from ...experiments.keys import parse
from ...experiments.profiles import search_order
from ...experiments.records import Metric, Record
from ...experiments.specs import Evaluation
from ...experiments.store import Store
from .panels import need, outside_legend
from .records import MISSING, Drawing, record_of, stamped
from .style import MARKERS, current, new_figure, styled

Bracket = Mapping[str, Metric]
"""Accuracy by stage, in the order of the stages; what a stage leaves is never more than what the last one left."""


EXACT, CERTIFIED = "exact", "certified"
"""The last stages: points that are proven by any means, and those that at least one bound certifies, where there are
records for the same points and ball. Of the exact stage ``low`` and ``high`` are the two ends that leave nothing to
chance: proven, and broken by no means."""
MANY = 20
"""Networks in one figure from which its lines stand closer."""
_TOLD = {"clean": "clean", "worst case": "in the worst case", EXACT: "exactly", CERTIFIED: "certified"}


@styled
def brackets(panels: Mapping[str, Mapping[str, Bracket]], *, xlabel: str) -> Figure:
    """One line a network, from what is least to its clean accuracy, with a mark for each stage.

    Args:
        panels: by title, networks by name, accuracies (fractions) by stage.
        xlabel: axis label; the axis is in per cent.

    Raises:
        RobustlibError: nothing to draw.
    """
    need(panels, "brackets")
    theme, stages = current(), [*STAGES, EXACT, CERTIFIED]
    heights = [len(networks) for networks in panels.values()]
    line = 0.42 if sum(heights) <= MANY else 0.3
    figure = new_figure(0.9 + sum(line * networks + 0.67 for networks in heights))
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights).ravel().tolist()
    for ax, (title, networks) in zip(axes, panels.items(), strict=True):
        for place, bracket in enumerate(networks.values()):
            values = {stage: 100 * metric.value for stage, metric in bracket.items()}
            ends = min(values.values()), max(values.values())
            ax.plot(ends, [place, place], color=theme.grid, linewidth=5, zorder=1)
            worst = bracket.get("worst case")
            if worst is not None and worst.low is not None and worst.high is not None:
                ax.plot([100 * worst.low, 100 * worst.high], [place, place], color=theme.text, linewidth=1.2, zorder=2)
            exact = bracket.get(EXACT)
            if exact is not None and exact.low is not None and exact.high is not None:
                ends = 100 * exact.low, 100 * exact.high
                ax.plot(ends, [place, place], color=theme.colours[stages.index(EXACT)], linewidth=5, zorder=2)
            for stage, value in values.items():
                # The last stage is drawn on top: where stages coincide, it is what counts.
                i = stages.index(stage)
                ax.plot(
                    value,
                    place,
                    marker=MARKERS[i],
                    color=theme.colours[i],
                    markersize=9 if i else 11,
                    markeredgecolor=theme.ground,
                    linestyle="none",
                    zorder=3 + i,
                    clip_on=False,
                )
        ax.set_yticks(range(len(networks)), list(networks))
        ax.set(title=title, xlim=(0, 100), ylim=(len(networks) - 0.5, -0.5), xlabel=xlabel)
    shown = {stage for networks in panels.values() for bracket in networks.values() for stage in bracket}
    handles = [
        Line2D([], [], marker=MARKERS[i], color=theme.colours[i], linestyle="none", label=stage)
        for i, stage in enumerate(stages)
        if stage in shown
    ]
    outside_legend(figure, handles)
    return figure


def bracket(panels: Mapping[str, Mapping[str, Evaluation]], profile: str, store: Store) -> Drawing:
    """The figure for these worst-case evaluations, or cascades' bounds, those without a record left out."""
    found = {
        title: {name: record_of(evaluation, profile, store) for name, evaluation in networks.items()}
        for title, networks in panels.items()
    }
    return _drawing(found, store)


def every_bracket(profile: str, store: Store) -> Drawing:
    """The figure for every network of the book that the whole suite was run on, by data set and radius."""
    found: dict[str, dict[str, Record | None]] = {}
    for record in (record for name in search_order(profile) for record in store.records(name)):
        if record.evaluation["measurement"]["type"] == "WorstCase":
            evaluation = parse(record.evaluation)
            eps = evaluation.measurement.threat.eps
            radius = f"{eps:g}" if round(eps, 4) == eps else f"{255 * eps:.3g}/255"
            title = f"{facts_of(evaluation.subject.dataset).title}, ε = {radius}"
            name = record.path.split("/")[-2].removeprefix(f"{evaluation.subject.dataset}-").removesuffix("-s0")
            # Two networks may share a folder: the certified ones differ in how their bounds were computed.
            named = found.setdefault(title, {})
            named.setdefault(name if name not in named else f"{name}, {record.training_key[:4]}", record)
    return _drawing(dict(sorted(found.items())), store)


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


def _exact(record: Record, proofs: list[Record]) -> Metric:
    """The share proven by any of the records, between its two ends."""
    proven = np.any([proof.outcome("certified") for proof in proofs], axis=0)
    left = np.all([other.outcome() for other in (record, *proofs) if "correct" in other.outcomes], axis=0)
    return Metric(float(proven.mean()), len(proven), float(proven.mean()), float(left.mean()))


def _between(metric: Metric, stage: str) -> str:
    """A share in words; an exact one that is not settled by its two ends."""
    if stage == EXACT and metric.high is not None and metric.high > metric.value:
        return f"{metric.value:.0%} to {metric.high:.0%}"
    return f"{metric.value:.0%}"


def _said(panels: Mapping[str, Mapping[str, Bracket]]) -> Iterator[str]:
    """What the figure shows, in words: network by network, or panel by panel where that would be a page."""
    many = sum(map(len, panels.values())) > MANY
    for title, networks in panels.items():
        if many:
            ends = {stage: [b[stage].value for b in networks.values() if stage in b] for stage in _TOLD}
            told = [f"{min(v):.0%} to {max(v):.0%} {_TOLD[stage]}" for stage, v in ends.items() if v]
            yield f"{title}, {len(networks)} networks: {', '.join(told)}"
        for name, stages in () if many else networks.items():
            told = [f"{_between(stages[stage], stage)} {words}" for stage, words in _TOLD.items() if stage in stages]
            yield f"{title}, {name}: {', '.join(told)}"


def _rest(metric: Metric) -> Metric:
    """One minus a share that is an error."""
    return Metric(1 - metric.value, metric.n)


def _drawing(panels: Mapping[str, Mapping[str, Record | None]], store: Store) -> Drawing:
    found: dict[str, dict[str, Bracket]] = {}
    used = list[Record]()
    for title, networks in panels.items():
        for name, record in networks.items():
            if record is None:
                continue
            used.append(record)
            if "strict_bound" in record.metrics:
                stages = {"clean": _rest(record.metrics["error"]), CERTIFIED: _rest(record.metrics["strict_bound"])}
            else:
                stages = {stage: record.metrics[metric] for stage, metric in STAGES.items()}
                bounds, solved = (_proofs(record, store, kind) for kind in ("Certificate", "Exact"))
                used += bounds + solved
                if solved:
                    stages[EXACT] = _exact(record, bounds + solved)
                if bounds:
                    stages[CERTIFIED] = share(np.any([bound.outcome("certified") for bound in bounds], axis=0))
            found.setdefault(title, {})[name] = stages
    if not used:
        return MISSING
    counts = sorted({record.metrics["accuracy"].n for record in used if "accuracy" in record.metrics})
    points = f"{counts[0]} points" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} points"
    figure = brackets(found, xlabel=f"accuracy (%), {points}")
    return stamped(figure, used), f"From clean inputs to the worst case. {'; '.join(_said(found))}."
