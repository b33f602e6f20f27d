"""Figures: they build, say what they should, look the same each time, and refuse what cannot be drawn."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from robustlib import environment
from robustlib.errors import RobustlibError
from robustlib.report.plots import style, vector
from robustlib.report.plots.bars import Bar, bar_panels, logit_bars
from robustlib.report.plots.brackets import Mark, brackets
from robustlib.report.plots.curves import Curve, curve_panels
from robustlib.report.plots.data import csv_of
from robustlib.report.plots.histograms import histograms, rebinned
from robustlib.report.plots.images import image_grid
from robustlib.report.plots.regions import decision_regions
from tests.report.legible import faults

X = np.array([0.0, 0.1, 0.3])
Y = np.array([98.0, 95.0, 91.0])
CURVES = {"natural": Curve(X, Y[::-1] - 50), "PGD": Curve(X, Y, Y - 1, Y + 1, np.array([99.0, np.nan, 93.2]))}
RUNS = np.outer([1.0, 1.2], [0.0, 5.0, 8.0])
COUNTS = {"natural": (np.linspace(5, 8, 4), [1, 4, 2]), "PGD": (np.linspace(0, 1, 3), [3, 2])}
IMAGES = np.linspace(0, 1, 3 * 16, dtype=np.float32).reshape(3, 1, 4, 4)
AXIS = np.linspace(-1, 1, 5)
REGION = (AXIS, AXIS, np.add.outer(AXIS, AXIS))
LOGITS = np.arange(3.0)
NAMES: dict[str, Any] = {"xlabel": "x", "ylabel": "y"}

BUILD: dict[str, Callable[[], Figure]] = {
    "curves": lambda: curve_panels(
        {"": CURVES}, xlabel="ε", ylabel="%", baseline="zero", marks={"": (0.2, "training ε")}
    ),
    "panels of curves": lambda: curve_panels(
        {"one": {"PGD": Curve(X + 1, Y)}, "two": {"natural": Curve(X + 1, Y)}},
        xlabel="scale",
        ylabel={"one": "accuracy (%)", "two": "loss (nats)"},
        xscale="log",
        ticks=(1, 1.1, 1.3),
        levels={"one": {"no distillation": 92.0}},
        baseline="line",
    ),
    "runs": lambda: curve_panels({"natural": {"natural": Curve(X, RUNS.mean(0), runs=RUNS)}}, markers=False, **NAMES),
    "loss": lambda: curve_panels({"": {"a": Curve([1, 2, 3], [2.0, 0.5, 0.1])}}, yscale="log", markers=False, **NAMES),
    "histograms": lambda: histograms({"one": COUNTS}, **NAMES),
    "seeds": lambda: histograms(
        {"": {"seeds": ([0, 1, 2], [1, 2])}}, log=False, values=[0.5, 1.2, 1.3], marks={"published": 1.9}, **NAMES
    ),
    "bars": lambda: bar_panels(
        {"a": {"one": Bar((20, 50, 30)), "two": Bar((10, 90, 0))}}, ("p", "q", "r"), xlabel="units (%)", beside=True
    ),
    "marked bars": lambda: bar_panels(
        {"a": {"one": Bar([20], interval=(15, 25), mark=40)}}, ["certified"], xlabel="%", whole=True, mark="right"
    ),
    "logits": lambda: logit_bars({"a": (LOGITS, -LOGITS), "b": (LOGITS, LOGITS)}, classes=("x", "y", "z"), true=1),
    "brackets": lambda: brackets(
        {"MNIST": {"robust": {"PGD": Mark(4.0, 4.11, interval=(3, 5)), "bound": Mark(None, 5.82)}}}, xlabel="error (%)"
    ),
    "regions": lambda: decision_regions(
        {"a": REGION}, [[0.5, 0.5], [-0.5, -0.5]], [1, 0], eps=0.2, certified={"a": [0.3, 0.0]}
    ),
    "images": lambda: image_grid(IMAGES, ["0 → 1", "2", "3\n80 %"], columns=2),
}


def legend_words(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


@pytest.mark.parametrize("name", BUILD)
def test_a_figure_is_the_same_bytes_each_time_without_warnings(name: str) -> None:
    before = dict(mpl.rcParams)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, second = style.png(BUILD[name]()), style.png(BUILD[name]())
    assert first == second
    assert b"Software" not in first
    with Image.open(io.BytesIO(first)) as image:
        assert image.width == round(style.WIDTH * style.DPI)
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("name", BUILD)
def test_letters_are_legible_on_a_phone(name: str) -> None:
    figure = BUILD[name]()
    figure.draw_without_rendering()
    sizes = [
        text.get_fontsize()
        for text in figure.findobj(mpl.text.Text)
        if text.get_visible() and text.get_text().strip()  # type: ignore[attr-defined]
    ]
    assert sizes
    assert min(sizes) >= 9


def test_settings_of_the_user_do_not_show() -> None:
    expected = style.png(BUILD["loss"]())
    with mpl.rc_context({"lines.linewidth": 9, "font.size": 4, "axes.grid": False, "path.sketch": (1, 100, 2)}):
        assert style.png(BUILD["loss"]()) == expected


def test_published_points_are_hollow_and_named() -> None:
    figure = BUILD["curves"]()
    assert legend_words(figure) == ["natural", "PGD", "published"]
    hollow = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "none"]
    assert len(hollow) == 1
    np.testing.assert_array_equal(hollow[0].get_xdata(), [0.0, 0.3])
    np.testing.assert_array_equal(hollow[0].get_ydata(), [99.0, 93.2])
    assert figure.axes[0].get_ylim()[0] <= 0
    alone = curve_panels({"": {"natural": CURVES["natural"]}}, **NAMES)
    assert legend_words(alone) == ["natural"]
    assert legend_words(curve_panels({"natural": {"natural": CURVES["natural"]}}, **NAMES)) == []


def test_recalled_values_are_grey_and_named_so() -> None:
    recalled = Curve(X, Y, published=Y - 3, verified=False)
    figure = curve_panels({"": {"a": recalled}}, **NAMES)
    assert legend_words(figure) == ["a", "recalled, not checked"]
    (hollow,) = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "none"]
    assert hollow.get_markeredgecolor() == style.NEUTRAL


def test_panels_have_their_own_labels_and_levels() -> None:
    one, two = BUILD["panels of curves"]().axes
    assert [ax.get_ylabel() for ax in (one, two)] == ["accuracy (%)", "loss (nats)"]
    assert [text.get_text() for text in one.get_xticklabels()] == ["1", "1.1", "1.3"]
    levels = [[line.get_ydata()[0] for line in ax.lines if line.get_linestyle() == "--"] for ax in (one, two)]  # type: ignore[index]
    assert [set(found) & {92.0} for found in levels] == [{92.0}, set()]


def test_a_gap_is_bridged_and_zero_has_a_place_on_a_symlog_axis() -> None:
    curve = Curve([0.0, 0.3, 3.0], [1.0, np.nan, 2.0])
    (ax,) = curve_panels({"": {"a": curve}}, xscale="symlog", ticks=(0.0, 0.3, 3.0), **NAMES).axes
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [1.0, 2.0])
    assert ax.get_xscale() == "symlog"
    assert [text.get_text() for text in ax.get_xticklabels()] == ["0", "0.3", "3"]


def test_a_histogram_shows_its_counts() -> None:
    (ax,) = BUILD["histograms"]().axes
    assert ax.get_yscale() == "log"
    drawn = [patch.get_data().values.tolist() for patch in ax.patches]  # type: ignore[attr-defined]
    assert drawn == [[1, 4, 2], [3, 2]]
    assert legend_words(BUILD["seeds"]()) == ["seeds", "published"]


def test_fine_bins_are_joined_over_the_common_range_and_no_count_is_lost() -> None:
    fine = {"wide": (np.linspace(1, 3, 201), np.arange(200)), "narrow": (np.linspace(2.0, 2.1, 201), np.ones(200))}
    found = rebinned(fine, 20)
    for name, (_, counts) in fine.items():
        edges, joined = found[name]
        np.testing.assert_allclose(edges, np.linspace(1, 3, 21))
        assert np.sum(joined) == counts.sum()
    np.testing.assert_array_equal(np.nonzero(found["narrow"][1])[0], [10])
    np.testing.assert_array_equal(found["wide"][1][:2], [sum(range(10)), sum(range(10, 20))])


def test_runs_are_pale_lines_behind_their_mean_or_dots_among_marks() -> None:
    lines = BUILD["runs"]().axes[0].lines
    np.testing.assert_allclose([line.get_ydata() for line in lines], [*RUNS, RUNS.mean(0)])
    marked = curve_panels({"": {"a": Curve(X, RUNS.mean(0), runs=RUNS)}}, **NAMES).axes[0].lines
    np.testing.assert_allclose([line.get_ydata() for line in marked if line.get_marker() == "."], RUNS)


def test_parts_of_a_bar_follow_each_other() -> None:
    bars = BUILD["bars"]().axes[0].patches
    first = [(bar.get_x(), bar.get_width()) for bar in bars[::2]]  # type: ignore[attr-defined]
    assert first == [(0, 20), (20, 50), (70, 30)]
    (ax,) = BUILD["marked bars"]().axes
    assert legend_words(BUILD["marked bars"]()) == ["certified", "right"]
    assert ax.lines[0].get_xdata() == [40]


def test_brackets_show_ours_filled_and_the_papers_hollow() -> None:
    lines = BUILD["brackets"]().axes[0].get_lines()
    marks = [(line.get_xdata()[0], line.get_markerfacecolor()) for line in lines if line.get_marker() != "None"]  # type: ignore[index]
    assert [x for x, _ in marks] == [4.0, 4.11, 5.82]
    assert [face == "none" for _, face in marks] == [False, True, True]
    assert legend_words(BUILD["brackets"]()) == ["PGD", "bound", "published"]
    alone = brackets({"": {"attack": {"accuracy": Mark(None, 80.0)}}}, xlabel="%", whole=False)
    assert legend_words(alone) == ["published"]


def test_boxes_have_the_budget_and_what_is_certified_is_filled() -> None:
    boxes = BUILD["regions"]().axes[0].patches
    assert sorted(round(box.get_width(), 6) for box in boxes) == [0.4, 0.4, 0.6]  # type: ignore[attr-defined]


def test_image_grid_keeps_the_pixels() -> None:
    (ax,) = image_grid(torch.from_numpy(IMAGES), ["a", "b", "c"], blocks=range(3)).axes
    for image, shown in zip(IMAGES, ax.images, strict=True):
        times = len(shown.get_array()) // image.shape[1]
        np.testing.assert_allclose(shown.get_array()[::times, ::times, 0], image[0], atol=1e-6)
    assert [text.get_text() for text in ax.texts] == ["a", "b", "c"]
    named = image_grid(torch.from_numpy(IMAGES), ["a", "b", "c"], columns=2, names=["one", "two"]).axes[0]
    assert [text.get_text() for text in named.texts] == ["one", "a", "b", "two", "c"]


def test_coarse_images_are_interpolated_within_the_range_of_their_values() -> None:
    coarse = np.indices((1, 8, 8)).sum(0) % 2 * 0.5
    (ax,) = image_grid(coarse[None], ["difference"]).axes
    shown = np.asarray(ax.images[0].get_array())
    assert len(np.unique(shown)) > 10
    assert shown.min() >= 0
    assert shown.max() <= 0.5
    np.testing.assert_allclose(shown.mean(), coarse.mean(), atol=0.01)
    # A word stays whole.
    assert ax.texts[0].get_text() == "difference"


# Layouts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUILD)
def test_nothing_is_cut_off_or_collides_on_a_page_or_on_a_phone(name: str) -> None:
    figure = BUILD[name]()
    assert faults(figure) == []
    phone = style.narrowed(figure)
    assert phone is not None
    assert phone.get_figwidth() == style.NARROW < figure.get_figwidth()
    assert len(phone.axes) == len(figure.axes)
    assert faults(phone) == []
    assert not style.is_narrow()


def test_a_figure_that_no_builder_made_has_one_layout() -> None:
    figure = style.new_figure(2.0)
    figure.subplots().plot([1, 2])
    assert style.narrowed(figure) is None
    assert set(vector.layouts(figure)) == {"wide"}
    assert csv_of(figure) == ""


def test_what_a_figure_draws_is_a_csv_file() -> None:
    found = {name: csv_of(build()).splitlines() for name, build in BUILD.items()}
    assert found["curves"][0] == "panel,series,x,y,verified,low,high,published"
    assert found["curves"][-1] == ",PGD,0.3,91,1,90,92,93.2"
    assert found["runs"][0] == "panel,series,x,y,runs 1,runs 2,verified"
    assert found["histograms"][:2] == ["panel,series,from,to,count", "one,natural,5,6,1"]
    assert found["bars"] == ["panel,series,parts 1,parts 2,parts 3", "a,one,20,50,30", "a,two,10,90,0"]
    assert found["marked bars"][1] == "a,one,20,15,25,40"
    assert found["brackets"] == [
        "panel,series,part,ours,published,interval 1,interval 2",
        "MNIST,robust,PGD,4,4.11,3,5",
        "MNIST,robust,bound,,5.82,,",
    ]
    assert found["logits"][:2] == ["panel,x,y", "a,0,-0"]
    # Images and regions have no numbers to list.
    assert found["images"] == found["regions"] == []


def test_a_long_title_is_broken_into_lines() -> None:
    long = "a title that is a good deal longer than the panel that it stands above"
    figure = curve_panels({long: {"a": CURVES["PGD"]}, "b": {"a": CURVES["PGD"]}}, xlabel="x", ylabel="y")
    title = figure.axes[0].get_title(loc="left")
    assert "\n" in title
    assert title.replace("\n", " ") == long
    assert faults(figure) == []


def test_a_name_that_means_something_has_one_look_in_every_figure() -> None:
    one, other = style.places(["clean", "FGSM", "PGD"]), style.places(["PGD", "something else", "clean"])
    assert one["PGD"] == other["PGD"] != one["FGSM"]
    assert one["clean"] == other["clean"]
    assert len(set(other.values())) == 3
    # Two names of one meaning are told apart all the same; "boundary" is no "bound".
    assert len(set(style.places(["PGD, 7 steps", "PGD, 20 steps", "boundary attack", "the bound"]).values())) == 4
    with pytest.raises(RobustlibError, match="at most 8"):
        style.places([f"series {i}" for i in range(9)])


# SVG --------------------------------------------------------------------------------------------------------


def test_svg_layouts_are_the_same_bytes_each_time_and_hold_text() -> None:
    first, second = vector.layouts(BUILD["curves"]()), vector.layouts(BUILD["curves"]())
    assert first == second
    wide, narrow = (vector.unpack(first[name]) for name in ("wide", "narrow"))
    for text in (wide, narrow):
        ElementTree.fromstring(text)
        assert "natural</text>" in text
        assert "Date" not in text
        # Transparent: the page's own ground shows.
        assert 'fill: #ffffff"' not in text.split("<g>")[2]
    assert wide != narrow


def test_a_dark_page_has_its_own_colours_and_the_same_drawing() -> None:
    text = vector.svg(BUILD["brackets"]())
    dark = vector.darkened(text)
    for colour, other in vector.DARK.items():
        assert colour not in dark
        assert text.count(colour) == dark.count(other) - text.count(other)
    ground = vector.DARK[style.GROUND]
    assert contrast(vector.DARK[style.TEXT], ground) > 7
    for colour in style.COLOURS:
        assert contrast(vector.DARK[colour], ground) >= 4.5, colour


# Colours ----------------------------------------------------------------------------------------------------


def contrast(one: str, other: str) -> float:
    """WCAG 2's contrast ratio."""
    lights = []
    for colour in (one, other):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def test_colours_stand_out_from_their_ground() -> None:
    assert contrast(style.TEXT, style.GROUND) > 7
    for colour in style.COLOURS:
        assert contrast(colour, style.GROUND) >= 3, colour


def test_series_differ_without_colour() -> None:
    assert len(set(style.MARKERS)) == len(set(style.LINES)) == len(style.MARKERS) == 8
    assert len(set(style.COLOURS)) == 8


# A notebook's cell -----------------------------------------------------------------------------------------


def test_show_gives_one_png_and_its_alt_text(monkeypatch: pytest.MonkeyPatch) -> None:
    figure, outputs = BUILD["loss"](), []
    monkeypatch.setattr("IPython.display.publish_display_data", lambda *output: outputs.append(output))
    style.show(figure, alt="The loss\n  falls.")
    ((data, metadata),) = outputs
    assert set(data) == {"image/png", "text/plain"}
    monkeypatch.setenv(environment.DRAWINGS, "1")
    style.show(figure, alt="The loss falls.")
    packed = {name: vector.unpack(text) for name, text in outputs.pop()[0][vector.MIME].items()}
    # Numbers of what is drawn come along.
    assert {name: text[:4] for name, text in packed.items()} == {"wide": "<svg", "narrow": "<svg", "csv": "pane"}
    assert len(packed["csv"].splitlines()) > 1
    assert data["text/plain"] == "The loss falls."
    assert metadata == {"image/png": {"alt": "The loss falls."}}
    assert base64.b64decode(data["image/png"]) == style.png(figure)


def test_an_empty_alt_text_is_refused() -> None:
    with pytest.raises(RobustlibError, match="alt text"):
        style.show(BUILD["loss"](), alt=" \n")


# Bad input -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda: curve_panels({}, **NAMES), "nothing"),
        (lambda: curve_panels({"t": {}}, **NAMES), "nothing"),
        (lambda: curve_panels({"": {"a": Curve(X, Y[:2])}}, **NAMES), "'a'"),
        (lambda: curve_panels({"": {"a": Curve(X, Y, runs=Y)}}, **NAMES), r"'a': runs of shape \(3,\)"),
        (lambda: curve_panels({"": dict.fromkeys("abcdefghi", CURVES["PGD"])}, **NAMES), "9"),
        (lambda: histograms({}, **NAMES), "nothing"),
        (lambda: histograms({"t": {"a": ([0, 1], [1, 2])}}, **NAMES), "one edge more"),
        (lambda: bar_panels({}, ["p"], xlabel="x"), "nothing"),
        (lambda: brackets({}, xlabel="x"), "nothing"),
        (lambda: logit_bars({"a": (LOGITS[:2], LOGITS)}, classes=("x", "y", "z"), true=1), "3 logits before and after"),
        (lambda: decision_regions({"a": REGION}, [[0.5, 0.5]], [1, 0], eps=0.2), r"give \(n, 2\)"),
        (lambda: image_grid(IMAGES[0], ["a"]), "shape"),
        (lambda: image_grid(IMAGES, ["a"]), "1 labels"),
        (lambda: image_grid(2 * IMAGES, ["a", "b", "c"]), "0..1"),
    ],
)
def test_what_cannot_be_drawn_is_refused(build: Callable[[], Any], told: str) -> None:
    with pytest.raises(RobustlibError, match=told):
        build()


def test_a_picture_keeps_the_colours_of_its_figure() -> None:
    """Few colours, and none of them another's: marks are told apart by theirs."""
    figure = style.new_figure(2.0)
    axes = figure.subplots()
    axes.imshow(np.linspace(0, 1, 400).reshape(20, 20), cmap="viridis")
    colours = style.COLOURS
    for place, colour in enumerate(colours):
        axes.plot([place], [place], "o", color=colour, markersize=4)
    kept = np.asarray(Image.open(io.BytesIO(style.png(figure))).convert("RGB")).reshape(-1, 3).astype(int)
    for colour in colours:
        wanted = 255 * np.asarray(to_rgb(colour))
        assert np.abs(kept - wanted).max(1).min() <= 16, colour


@pytest.mark.parametrize("kind", ["scatter", "plot"])
def test_a_cloud_of_points_is_pixels_in_an_svg_and_a_few_points_are_not(kind: str) -> None:
    def drawn(count: int) -> str:
        figure = style.new_figure(2)
        x = np.linspace(0, 1, count)
        ax = figure.subplots()
        ax.scatter(x, x) if kind == "scatter" else ax.plot(x, x, ".")
        return vector.svg(figure)

    assert "<image" not in drawn(vector.MANY)
    assert "<image" in drawn(vector.MANY + 1)
    assert len(drawn(20 * vector.MANY)) < 2 * len(drawn(vector.MANY))
