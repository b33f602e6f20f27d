"""The bracket: what is left of each network from clean inputs to the worst case of a whole suite."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..experiments.records import Metric
from ..experiments.specs import Evaluation
from ..experiments.store import Store
from ..papers.base import STAGES
from .display import Drawing
from .madry_figures import MISSING, record_of, stamped
from .panels import grid, need, outside_legend
from .style import MARKERS, current, new_figure, styled

Bracket = Mapping[str, Metric]
"""Accuracy by stage, in the order of the stages; what a stage leaves is never more than what the last one left."""


@styled
def brackets(panels: Mapping[str, Mapping[str, Bracket]], *, xlabel: str) -> Figure:
    """One line a network, from its worst case to its clean accuracy, with a mark for each stage.

    Args:
        panels: by title, networks by name, accuracies (fractions) by stage.
        xlabel: axis label; the axis is in per cent.

    Raises:
        RobustlibError: nothing to draw.
    """
    need(panels, "brackets")
    theme, stages = current(), list(STAGES)
    figure = new_figure(0.9 + 0.42 * sum(len(networks) + 1.6 for networks in panels.values()))
    for ax, (title, networks) in zip(grid(figure, len(panels), 1), panels.items(), strict=True):
        for place, bracket in enumerate(networks.values()):
            values = {stage: 100 * metric.value for stage, metric in bracket.items()}
            ends = min(values.values()), max(values.values())
            ax.plot(ends, [place, place], color=theme.grid, linewidth=5, zorder=1)
            worst = bracket["worst case"]
            if worst.low is not None and worst.high is not None:
                ax.plot([100 * worst.low, 100 * worst.high], [place, place], color=theme.text, linewidth=1.2, zorder=2)
            for i, value in enumerate(values.values()):
                # The worst case is drawn last and on top: where stages coincide, it is what counts.
                ax.plot(value, place, marker=MARKERS[i], color=theme.colours[i], markersize=9 if i else 11,
                        markeredgecolor=theme.ground, linestyle="none", zorder=3 + i, clip_on=False)  # fmt: skip
        ax.set_yticks(range(len(networks)), list(networks))
        ax.set(title=title, xlim=(0, 100), ylim=(len(networks) - 0.5, -0.5), xlabel=xlabel)
    handles = [
        Line2D([], [], marker=MARKERS[i], color=theme.colours[i], linestyle="none", label=stage)
        for i, stage in enumerate(stages)
    ]
    outside_legend(figure, handles)
    return figure


def bracket(panels: Mapping[str, Mapping[str, Evaluation]], profile: str, store: Store) -> Drawing:
    """The figure for these worst-case evaluations, those without a record left out."""
    found: dict[str, dict[str, Bracket]] = {}
    used, said = [], []
    for title, networks in panels.items():
        for name, evaluation in networks.items():
            record = record_of(evaluation, profile, store)
            if record is None:
                continue
            used.append(record)
            stages = {stage: record.metrics[metric] for stage, metric in STAGES.items()}
            found.setdefault(title, {})[name] = stages
            first, last = stages["clean"].value, stages["worst case"].value
            said.append(f"{title}, {name}: {first:.0%} clean, {last:.0%} in the worst case")
    if not used:
        return MISSING
    points = min(record.metrics["accuracy"].n for record in used)
    figure = brackets(found, xlabel=f"accuracy (%), {points} points")
    return stamped(figure, used), "From clean inputs to the worst case. " + "; ".join(said) + "."
