"""Figures: they build, say what they should, look the same each time, and refuse what cannot be drawn."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from robustlib.errors import RobustlibError
from robustlib.report.plots import curves as figures
from robustlib.report.plots import style
from robustlib.report.plots.panels import rgb

X = np.array([0.0, 0.1, 0.3])
Y = np.array([98.0, 95.0, 91.0])
CURVES = {"natural": (X, Y[::-1] - 50, None, None, None), "PGD": (X, Y, Y - 1, Y + 1, np.array([99.0, np.nan, 93.2]))}
TRACES = {"natural": np.outer([1.0, 1.2], [0.0, 5.0, 8.0]), "PGD": np.outer([1.0, 1.2], [0.0, 1.0, 1.5])}
COUNTS = {"natural": (np.linspace(5, 8, 4), [1, 4, 2]), "PGD": (np.linspace(0, 1, 3), [3, 2])}
IMAGES = np.linspace(0, 1, 3 * 16, dtype=np.float32).reshape(3, 1, 4, 4)

BUILD: dict[str, Callable[[], Figure]] = {
    "accuracy_curves": lambda: figures.accuracy_curves(CURVES, xlabel="ε", ylabel="Accuracy (%)", mark_eps=0.3),
    "capacity_panels": lambda: figures.capacity_panels(
        {"Standard": CURVES | {"PGD": (X + 1, Y, None, None, None), "natural": (X + 1, Y, None, None, None)}},
        xlabel="Scale",
        ylabel="Accuracy (%)",
    ),
    "loss_traces": lambda: figures.loss_traces(TRACES),
    "loss_histograms": lambda: figures.loss_histograms([("one", COUNTS)]),
    "training_loss": lambda: figures.training_loss([1, 2, 3, 4], [2.0, 1.0, 0.5, 0.4], smooth=2),
    "image_grid": lambda: figures.image_grid(IMAGES, ["0 → 1", "2", "3\n80 %"], columns=2),
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
    expected = style.png(BUILD["training_loss"]())
    with mpl.rc_context({"lines.linewidth": 9, "font.size": 4, "axes.grid": False, "path.sketch": (1, 100, 2)}):
        assert style.png(BUILD["training_loss"]()) == expected


def test_published_points_are_hollow_and_named() -> None:
    figure = BUILD["accuracy_curves"]()
    assert legend_words(figure) == ["natural", "PGD", "published"]
    hollow = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "none"]
    assert len(hollow) == 1
    np.testing.assert_array_equal(hollow[0].get_xdata(), [0.0, 0.3])
    np.testing.assert_array_equal(hollow[0].get_ydata(), [99.0, 93.2])
    alone = figures.accuracy_curves({"natural": CURVES["natural"]}, xlabel="x", ylabel="y")
    assert legend_words(alone) == ["natural"]


def test_a_histogram_shows_its_counts() -> None:
    figure = BUILD["loss_histograms"]()
    ax = figure.axes[0]
    assert ax.get_yscale() == "log"
    tops = [float(path.vertices[:, 1].max()) for drawn in ax.collections for path in drawn.get_paths()]
    assert sorted(tops) == [3, 4]


def test_traces_hold_every_run_and_the_mean() -> None:
    ax = BUILD["loss_traces"]().axes[0]
    np.testing.assert_allclose(ax.lines[-1].get_ydata(), TRACES["natural"].mean(0))
    assert len(ax.lines) == 3


def test_the_running_mean_is_a_mean() -> None:
    ax = figures.training_loss([0, 1, 2], [1.0, 2.0, 6.0], smooth=3).axes[0]
    np.testing.assert_allclose(ax.lines[1].get_ydata(), [1.5, 3.0, 4.0])
    assert len(figures.training_loss([0, 1], [1.0, 2.0]).axes[0].lines) == 1


def test_image_grid_keeps_the_pixels() -> None:
    (ax,) = figures.image_grid(torch.from_numpy(IMAGES), ["a", "b", "c"]).axes
    picture = ax.images[0].get_array()
    np.testing.assert_allclose(picture[:64:16, :64:16, 0], IMAGES[0, 0], atol=1e-6)
    assert [text.get_text() for text in ax.texts] == ["a", "b", "c"]


# Themes ----------------------------------------------------------------------------------------------------


def contrast(one: str, other: str) -> float:
    """WCAG 2's contrast ratio."""
    lights = []
    for colour in (one, other):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb(colour)]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


@pytest.mark.parametrize("theme", style.THEMES.values(), ids=lambda theme: theme.name)
def test_colours_stand_out_from_their_ground(theme: style.Theme) -> None:
    assert contrast(theme.text, theme.ground) > 7
    for colour in theme.colours:
        assert contrast(colour, theme.ground) >= 3, colour


def test_series_differ_without_colour() -> None:
    assert len(set(style.MARKERS)) == len(set(style.LINES)) == len(style.MARKERS) == 8
    assert {len(theme.colours) for theme in style.THEMES.values()} == {8}


def test_unknown_theme() -> None:
    with pytest.raises(RobustlibError, match="did you mean 'dark'"), style.use("drak"):
        pass


# A notebook's cell -----------------------------------------------------------------------------------------


def test_show_gives_one_png_and_its_alt_text(monkeypatch: pytest.MonkeyPatch) -> None:
    figure, outputs = BUILD["training_loss"](), []
    monkeypatch.setattr("IPython.display.publish_display_data", lambda *output: outputs.append(output))
    style.show(figure, alt="The loss\n  falls.")
    ((data, metadata),) = outputs
    assert set(data) == {"image/png", "text/plain"}
    assert data["text/plain"] == "The loss falls."
    assert metadata == {"image/png": {"alt": "The loss falls."}}
    assert base64.b64decode(data["image/png"]) == style.png(figure)


def test_an_empty_alt_text_is_refused() -> None:
    with pytest.raises(RobustlibError, match="alt text"):
        style.show(BUILD["training_loss"](), alt=" \n")


# Bad input -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda: figures.accuracy_curves({}, xlabel="x", ylabel="y"), "nothing"),
        (lambda: figures.accuracy_curves({"a": (X, Y[:2], None, None, None)}, xlabel="x", ylabel="y"), "'a'"),
        (lambda: figures.accuracy_curves({f"{i}": CURVES["PGD"] for i in range(9)}, xlabel="x", ylabel="y"), "9"),
        (lambda: figures.capacity_panels({}, xlabel="x", ylabel="y"), "nothing"),
        (lambda: figures.capacity_panels({"t": {}}, xlabel="x", ylabel="y"), "nothing"),
        (lambda: figures.loss_traces({}), "nothing"),
        (lambda: figures.loss_traces({"a": [1.0, 2.0]}), "runs, steps"),
        (lambda: figures.loss_histograms([]), "nothing"),
        (lambda: figures.loss_histograms([("t", {"a": ([0, 1], [1, 2])})]), "one edge more"),
        (lambda: figures.training_loss([], []), "one length"),
        (lambda: figures.training_loss([1], [1.0], smooth=0), "smooth=0"),
        (lambda: figures.image_grid(IMAGES[0], ["a"]), "shape"),
        (lambda: figures.image_grid(IMAGES, ["a"]), "1 labels"),
        (lambda: figures.image_grid(2 * IMAGES, ["a", "b", "c"]), "0..1"),
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
    colours = style.current().colours
    for place, colour in enumerate(colours):
        axes.plot([place], [place], "o", color=colour, markersize=4)
    kept = np.asarray(Image.open(io.BytesIO(style.png(figure))).convert("RGB")).reshape(-1, 3).astype(int)
    for colour in colours:
        wanted = 255 * np.asarray(mpl.colors.to_rgb(colour))
        assert np.abs(kept - wanted).max(1).min() <= 16, colour
