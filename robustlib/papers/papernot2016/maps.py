"""Figures of Papernot et al. 2016 that are no curves: ranges of derivatives, classes, nearest targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure

from ...catalogue.base import published_of
from ...evaluate.saturation import Amplitudes
from ...experiments.store import Store
from ...report.plots.bars import Bar, bar_panels, draw_bars
from ...report.plots.records import MISSING, Drawing, records_of, shared_profile, stamped
from ...report.plots.style import COLOURS, grid, is_narrow, need, new_figure, styled
from ...spec.records import Record
from .networks import DATASETS, LABELS, NONE, amplitudes, attempts, network

ENDS = (NONE, "T=100")
RANGES = len(Amplitudes().edges) + 1


def _colours() -> list[tuple[float, float, float, float]]:
    """One colour a range, of a scale that keeps its order without colour vision and in print."""
    return [mpl.colormaps["viridis"](i / (RANGES - 1)) for i in range(RANGES)]


@styled
def amplitude_bars(
    stacks: Mapping[str, Mapping[str, Sequence[float]]], zeros: Mapping[str, Mapping[str, float]]
) -> Figure:
    """Shares of points in ten ranges of the mean absolute derivative, and the share with float32 zeros alone beside.

    Args:
        stacks: by title, by network: shares (%) of the ranges.
        zeros: by the same titles, by network: share (%); nothing is drawn beside a title that is not there.

    Raises:
        RobustlibError: nothing to draw.
    """
    need(stacks, "amplitude_bars")
    figure = new_figure(1.3 + 2.9 * len(stacks))
    axes = figure.subplots(len(stacks), 2, squeeze=False, width_ratios=(3, 2))
    for (ax, beside), (title, shares) in zip(axes, stacks.items(), strict=True):
        draw_bars(ax, shares, [{"color": colour} for colour in _colours()])
        ax.set(title=title, xlim=(0, 100), xlabel="points (%)")
        ax.grid(visible=False)
        if title not in zeros:
            beside.set_axis_off()
            continue
        draw_bars(beside, {name: [zeros[title].get(name, np.nan)] for name in shares}, [{"color": COLOURS[1]}])
        beside.set(title="exactly 0 in float32", xlim=(0, 100), xlabel="points (%)", yticklabels=[])
    edges = [f"$10^{{{power}}}$" for power in Amplitudes().edges]
    bar = figure.colorbar(
        ScalarMappable(BoundaryNorm(range(RANGES + 1), RANGES), ListedColormap(_colours())),
        ax=axes.ravel().tolist(),
        location="top",
        aspect=45,
        label="mean absolute derivative of an output",
    )
    labels = ["0", *edges, "1"]
    if is_narrow():
        # Every other one has room.
        labels = [label if i % 2 == 0 else "" for i, label in enumerate(labels)]
    bar.set_ticks(range(RANGES + 1), labels=labels)
    bar.outline.set_visible(False)
    return figure


def gradient_amplitudes(profile: str, store: Store) -> Drawing:
    """Ten ranges of the derivatives' mean size for ten networks in float64, and the zeros of float32 (figure 9)."""
    stacks: dict[str, dict[str, list[float]]] = {}
    zeros: dict[str, dict[str, float]] = {}
    runs = {(name, label): amplitudes(data, label) for name, data in DATASETS.items() for label in LABELS}
    records, ends = records_of(runs, profile, store), []
    for (dataset, label), record in records.items():
        counts = np.asarray(record.histograms["float64"]["counts"], float)
        # A network without a record keeps its place, empty.
        empty = {name: [0.0] * RANGES for name in LABELS}
        stacks.setdefault(dataset, empty)[label] = (100 * counts / counts.sum()).tolist()
        zeros.setdefault(dataset, {})[label] = 100 * record.metrics["zero_float32"].value
        if label in ENDS:
            ends.append(
                f"{dataset}, {label}: median 10 to the {record.metrics['median_log10'].value:.0f}, "
                f"{record.metrics['zero_float32'].value:.0%} of the points without any float32 derivative"
            )
    if not records:
        return MISSING
    theirs: dict[str, list[float]] = {}
    for number in published_of("papernot2016/gradient-amplitudes").values():
        label = next(name for name in LABELS if number.row.startswith(f"CIFAR10 {name};"))
        theirs.setdefault(label, []).append(number.value or 0.0)
    stacks["CIFAR10, as published"] = {label: theirs[label] for label in LABELS}
    alt = (
        "Stacked bars, one a network, of the share of test points in ten logarithmic ranges of the mean absolute "
        "derivative of the outputs, in float64; beside them the share of points whose derivatives are all exactly zero "
        "in float32. " + "; ".join(ends) + "."
    )
    return stamped(amplitude_bars(stacks, zeros), list(records.values())), alt


@styled
def class_panels(panels: Mapping[str, np.ndarray], *, labels: Mapping[str, str]) -> Figure:
    """Source against target classes, a panel of two a row; NaN where nothing was tried or nothing succeeded.

    Args:
        panels: by title, (K, K).
        labels: by title, the colour's quantity.

    Raises:
        RobustlibError: nothing to draw.
    """
    import seaborn as sns  # a second that most chapters do without

    need(panels, "class_panels")
    figure = new_figure(0.3 + 3.0 * -(-len(panels) // 2))
    top = {
        label: max(
            float(np.nanmax(panels[t])) if np.isfinite(panels[t]).any() else 1.0 for t in panels if labels[t] == label
        )
        for label in labels.values()
    }
    for ax, (title, values) in zip(grid(figure, len(panels), 2), panels.items(), strict=True):
        sns.heatmap(
            values,
            ax=ax,
            cmap="viridis",
            vmin=0,
            vmax=top[labels[title]],
            square=True,
            cbar_kws={"label": labels[title], "shrink": 0.75},
        )
        ax.set(title=title, xlabel="target class", ylabel="class of the sample")
        ax.tick_params(rotation=0)
        ax.grid(visible=False)
    return figure


def _both_ends(profile: str, store: Store) -> dict[str, Record]:
    """Attempts without distillation and at T = 100, on networks of one recipe where there are any of both."""
    runs = {label: attempts(network("mnist", label)) for label in ENDS}
    return records_of(runs, shared_profile(list(runs.values()), profile, store), store)


def class_matrices(profile: str, store: Store) -> Drawing:
    """Success and mean number of changed features by class and target, without distillation and at T = 100."""
    panels, labels = dict[str, np.ndarray](), dict[str, str]()
    ends, nothing = list[str](), list[str]()
    records = _both_ends(profile, store)
    for label, record in records.items():
        tries, hits, features = (np.asarray(record.series[name], float) for name in ("tries", "hits", "features"))
        with np.errstate(invalid="ignore"):
            # Nothing tried, or no attempt that reached its target: 0 / 0.
            shares, means = 100 * hits / tries, features / hits
        if not hits.any():
            ends.append(f"{label}: none of {record.metrics['success'].n} attempts succeeds")
            nothing.append(label)
            continue
        for title, values, what in ((label, shares, "succeed (%)"), (f"{label}: features", means, "mean features")):
            panels[title], labels[title] = values, what
        ends.append(f"{label}: {record.metrics['success'].value:.1%} of {record.metrics['success'].n} attempts succeed")
    if not records:
        return MISSING
    if not panels:
        return "no attempt succeeds on any of these networks"
    alt = "Matrices of the ten classes of samples against ten target classes. " + "; ".join(ends) + "."
    figure = class_panels(panels, labels=labels)
    used = [record for label, record in records.items() if label not in nothing]
    return stamped(figure, used), alt


def target_bars(panels: Mapping[str, Sequence[float]], *, cap: float) -> Figure:
    """Features needed towards each other class, a bar each; hatched to the cap where the target was not reached.

    Args:
        panels: by network, (K,) features; 0: the target was not reached; NaN: the sample's own class.
        cap: the budget.

    Raises:
        RobustlibError: nothing to draw.
    """
    bars = {
        title: {
            f"class {k}": Bar((value, 0.0) if value > 0 else (0.0, cap))
            for k, value in enumerate(features)
            if not np.isnan(value)
        }
        for title, features in panels.items()
    }
    parts = ("features changed", f"not reached with {cap:g} features")
    return bar_panels(bars, parts, xlabel="features", line=0.24, beside=True)


def hardness(profile: str, store: Store) -> Drawing:
    """Figure 4 with data: one sample, and the features that each target costs."""
    records = _both_ends(profile, store)
    if len(records) < len(ENDS):
        return MISSING
    plain, distilled = (records[label] for label in ENDS)
    tables = [
        dict(zip(np.asarray(found.series["rows"]).tolist(), np.asarray(found.series["changed"]), strict=True))
        for found in (plain, distilled)
    ]
    # Where all nine targets were reached, the one class without features is the sample's own; records do not name it.
    whole = {row: changed for row, changed in tables[0].items() if row in tables[1] and np.count_nonzero(changed) == 9}
    if not whole:
        return "on the undistilled network no sample of the record reached all nine classes"
    # The sample in the middle when they are ordered by the radius of the undistilled network.
    row = sorted(whole, key=lambda one: (sorted(whole[one])[1], one))[len(whole) // 2]
    own = int(whole[row].argmin())
    cap = int(plain.evaluation["measurement"]["attack"]["features"])
    panels, ends = {}, []
    for label, changed in zip(ENDS, tables, strict=True):
        values = np.asarray(changed[row], float)
        values[own] = np.nan
        panels[label] = values.tolist()
        hits = np.count_nonzero(values > 0)
        ends.append(f"{label}: {hits} of 9 classes reached")
    alt = (
        f"Two panels for one test sample: a bar for each other class, as long as the number of features that JSMA "
        f"changes to reach it, hatched to {cap} where it does not. {'; '.join(ends)}."
    )
    return stamped(target_bars(panels, cap=cap), [plain, distilled]), alt
