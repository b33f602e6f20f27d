"""What the figures of the chapter on defensive distillation hold: records, published numbers, outcomes in words."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes

from robustlib.catalogue.base import published_of
from robustlib.errors import RobustlibError
from robustlib.experiments.store import Store
from robustlib.papers.papernot2016 import figures as drawn
from robustlib.papers.papernot2016 import maps
from robustlib.papers.papernot2016 import networks as papernot
from robustlib.papers.papernot2016.overview import Bars, Picture, four_maps, mosaic
from robustlib.report.join import rows
from robustlib.report.plots.records import record_of, shared_profile
from tests.report.legible import drawn_figure


def curves(ax: Axes) -> list[np.ndarray]:
    """Heights of all lines of an axis."""
    return [np.asarray(line.get_ydata(), float) for line in ax.get_lines()]


def measured(label: str, metric: str, committed: Store) -> float:
    record = record_of(papernot.attempts(papernot.network("mnist", label)), "smoke", committed)
    assert record is not None
    return 100 * record.metrics[metric].value


def test_success_is_the_records_the_hollow_markers_the_papers_and_the_levels_those_without_distillation(
    committed: Store,
) -> None:
    figure, alt = drawn_figure(drawn.success_rate("smoke", committed))
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["MNIST", "CIFAR10"]
    shown = curves(figure.axes[0])
    ours = [measured(label, "success", committed) for label in papernot.LABELS[1:]]
    assert any(len(y) == len(ours) and np.allclose(y, ours) for y in shown)
    numbers = published_of("papernot2016/success-rate")
    column = "MNIST Adversarial Samples Success Rate (%)"
    theirs = [numbers[f"Distillation Temperature={t}", column].value for t in papernot.TEMPERATURES]
    assert any(len(y) == len(theirs) and np.allclose(y, theirs) for y in shown)  # type: ignore[arg-type]
    none = measured(papernot.NONE, "success", committed)
    for level in (none, numbers["Distillation Temperature=No distillation", column].value):
        assert any(np.allclose(y, level) for y in shown)  # type: ignore[arg-type]
    assert f"{none:.3g} % without distillation" in alt


@pytest.mark.parametrize("dataset", ["mnist", "cifar10"])
def test_samples_stand_above_what_the_attack_made_of_them_and_each_class_has_one(
    dataset: str, committed: Store
) -> None:
    figure, alt = drawn_figure(drawn.adversarial_samples(dataset, "quick", committed))
    record = record_of(papernot.SHOWN[dataset], "quick", committed)
    assert record is not None
    reached = np.asarray(record.series["led_to"]) != np.asarray(record.series["label"])
    shown = min(5, int(reached.sum()))
    assert len(figure.axes[0].images) == 2 * shown
    assert alt.count(" pixels)") == shown
    figure, alt = drawn_figure(drawn.class_samples(dataset, "quick", committed))
    assert len(figure.axes[0].images) == 10
    assert alt.startswith("10 test images")


def test_losses_of_accuracy_are_drawn_below_zero(committed: Store) -> None:
    figure, _ = drawn_figure(drawn.accuracy_variation("smoke", committed))
    for ax in figure.axes:
        lowest = min(float(np.nanmin(y)) for y in curves(ax))
        assert ax.get_ylim()[0] <= lowest < 0


def test_two_recipes_of_training_make_two_curves_each_from_its_own_undistilled_network(committed: Store) -> None:
    figure, _ = drawn_figure(drawn.accuracy_variation("best", committed))
    ax = figure.axes[0]
    item, drawn_lines = "papernot2016/accuracy-variation/mnist", curves(ax)
    for name in ("level", "quick"):
        found = [row for row in rows(item, name, committed) if row.column == "accuracy variation" and row.values]
        values = [row.value for row in found]
        assert len(values) > 1
        assert any(len(y) == len(values) and np.allclose(y, values) for y in drawn_lines)  # type: ignore[arg-type]
        (base,) = [row for row in rows(item, name, committed) if (row.label, row.column) == (papernot.NONE, "accuracy")]
        assert f"{base.value:.1f}" in ax.get_xlabel()


def test_figures_about_one_sample_compare_networks_of_one_recipe(committed: Store) -> None:
    runs = {label: papernot.attempts(papernot.network("mnist", label)) for label in maps.ENDS}
    shared = shared_profile(list(runs.values()), "best", committed)
    record = record_of(runs[papernot.NONE], shared, committed)
    assert record is not None
    _, alt = drawn_figure(maps.class_matrices("best", committed))
    assert f"{papernot.NONE}: {record.metrics['success'].value:.1%} of" in alt


def test_ten_networks_have_ten_ranges_that_fill_a_bar_and_zeros_beside_it(committed: Store) -> None:
    figure, alt = drawn_figure(maps.gradient_amplitudes("smoke", committed))
    stacks = [ax for ax in figure.axes if ax.get_yticklabels() and ax.get_yticklabels()[0].get_text() == papernot.NONE]
    assert [ax.get_title(loc="left") for ax in stacks] == ["MNIST", "CIFAR10", "CIFAR10, as published"]
    widths = np.array([patch.get_width() for patch in stacks[0].patches]).reshape(maps.RANGES, len(papernot.LABELS))  # type: ignore[attr-defined]
    assert widths.sum(0) == pytest.approx(100)
    record = record_of(papernot.amplitudes("mnist", "T=100"), "smoke", committed)
    assert record is not None
    counts = np.asarray(record.histograms["float64"]["counts"], float)
    assert widths[:, -1] == pytest.approx(100 * counts / counts.sum())
    assert f"T=100: median 10 to the {record.metrics['median_log10'].value:.0f}" in alt


def test_a_class_is_never_attacked_towards_itself(committed: Store) -> None:
    figure, alt = drawn_figure(maps.class_matrices("smoke", committed))
    matrix = figure.axes[0].collections[0].get_array()
    assert matrix is not None
    assert np.ma.getmaskarray(matrix).reshape(10, 10).diagonal().all()
    assert f"{measured('no distillation', 'success', committed):.1f}% of" in alt


def test_a_bar_is_as_long_as_the_target_costs_or_hatched_to_the_cap() -> None:
    figure = maps.target_bars({"MNIST": [float("nan"), 30.0, 12.0, 0.0]}, cap=112)
    (ax,) = figure.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["class 1", "class 2", "class 3"]
    lengths = [patch.get_width() for patch in ax.patches]  # type: ignore[attr-defined]
    assert lengths == [30, 12, 0, 0, 0, 112]


def test_a_picture_of_zeros_says_so() -> None:
    figure = mosaic(
        {"a": Picture(torch.zeros(3, 4), signed=True), "b": Picture(torch.eye(3), signed=True)}, columns=2, mark=0
    )
    assert [[text.get_text() for text in ax.texts] for ax in figure.axes] == [["all exactly 0"], []]


def test_hardness_needs_a_sample_whose_every_target_was_reached(committed: Store) -> None:
    drawing = maps.hardness("smoke", committed)
    record = record_of(papernot.attempts(papernot.network("mnist", papernot.NONE)), "smoke", committed)
    assert record is not None
    whole = (np.count_nonzero(np.asarray(record.series["changed"]), axis=1) == 9).any()
    assert isinstance(drawing, str) != whole


def test_a_mosaic_shows_pictures_and_bars_and_refuses_what_is_neither() -> None:
    figure = mosaic(
        {"a": Picture(torch.rand(3, 4)), "b": Picture(torch.zeros(3, 4), signed=True), "c": Bars([0.1, 0.9], "output")},
        columns=3,
        mark=1,
    )
    heights = [patch.get_height() for patch in figure.axes[2].patches]  # type: ignore[attr-defined]
    assert heights == pytest.approx([0.1, 0.9])
    colours = [patch.get_facecolor() for patch in figure.axes[2].patches]
    assert colours[0] != colours[1]
    with pytest.raises(RobustlibError, match=r"'a': an array of shape \(1, 3, 4\)"):
        mosaic({"a": Picture(torch.rand(1, 3, 4))}, columns=1, mark=0)
    with pytest.raises(RobustlibError, match="nothing to draw"):
        mosaic({}, columns=1, mark=0)


def test_four_maps_are_scaled_one_by_one() -> None:
    values = torch.stack([torch.full((2, 2), float(i)) for i in range(5)])
    tiled = four_maps(values)
    assert tiled.shape == (5, 5)
    assert tiled.isnan().sum() == 9
    assert tiled[~tiled.isnan()].unique().tolist() == [0.0, 1.0]
    with pytest.raises(RobustlibError, match="at least four"):
        four_maps(values[:3])


def test_a_comparison_of_attacks_is_on_records_of_one_profile(committed: Store) -> None:
    labels = [papernot.network("mnist", label) for label in ("T=2", "T=5")]
    alone, undone = [papernot.attempts(one) for one in labels], papernot.undone("mnist", "T=5")
    assert record_of(undone, "level", committed) is None
    assert shared_profile(alone, "best", committed) == "level"
    assert shared_profile([*alone, undone], "best", committed) == "quick"
    assert shared_profile([*alone, undone], "full", committed) == "full"
