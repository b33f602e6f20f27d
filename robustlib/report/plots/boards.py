"""The challenge leaderboards as a figure: published numbers alone, nothing of ours."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ..published_tables import groups
from .records import Drawing
from .style import MARKERS, current, new_figure, styled


@styled
def _boards(panels: Sequence[tuple[str, list[str], list[float]]]) -> Figure:
    """Dots on a line for each attack, one panel a board, weakest attack on top."""
    theme, sizes = current(), [len(names) for _, names, _ in panels]
    figure = new_figure(1.3 + 0.21 * sum(sizes))
    axes = figure.subplots(len(panels), 1, height_ratios=sizes, squeeze=False).ravel()
    for place, (ax, (title, names, values)) in enumerate(zip(axes, panels, strict=True)):
        colour = theme.colours[place]
        ax.hlines(range(len(names)), min(values), values, color=colour, linewidth=1.2, alpha=0.6)
        frame = pd.DataFrame({"place": range(len(names)), "value": values})
        sns.scatterplot(frame, x="value", y="place", color=colour, marker=MARKERS[place], s=40, ax=ax, legend=False)
        ax.set_yticks(range(len(names)), names)
        ax.invert_yaxis()
        ax.grid(visible=False, axis="y")
        ax.set(title=title, xlabel="accuracy that is left (%)", ylabel="")
    return figure


def leaderboards() -> Drawing:
    """White-box attacks on the authors' two challenge networks, as published on the challenges' pages."""
    panels, best = [], []
    for title, numbers in groups("madry2018/leaderboards").items():
        if "white-box" in title:
            ranked = sorted(((n.value, n.row) for n in numbers if n.value is not None), reverse=True)
            panels.append((title, [name for _, name in ranked], [value for value, _ in ranked]))
            best.append(f"{title}: {ranked[-1][0]:.2f} % ({ranked[-1][1]})")
    alt = (
        "Accuracy that each published white-box attack leaves on the authors' challenge networks, strongest attack at "
        f"the bottom. The strongest: {'; '.join(best)}."
    )
    return _boards(panels), alt
