"""What the chapter's figures and published tables hold: records, published numbers, and their outcome in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from robustlib.catalogue.base import Published, published_of
from robustlib.errors import RobustlibError
from robustlib.experiments.store import Store
from robustlib.papers.madry2018 import figures as drawn
from robustlib.papers.madry2018 import networks as madry
from robustlib.report import forms, published_tables
from robustlib.report.plots import boards as board_figures
from robustlib.report.plots import regions as demo_figures


@pytest.fixture(scope="module")
def store(committed: Store) -> Store:
    return committed


def drawn_figure(drawing: drawn.Drawing) -> tuple[Figure, str]:
    assert not isinstance(drawing, str), drawing
    return drawing


def lines(ax: Axes) -> list[tuple[np.ndarray, np.ndarray]]:
    """(x, y) of the lines of an axis that hold points of a curve."""
    return [(np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)) for line in ax.get_lines()]


def test_the_curve_against_eps_is_the_records_and_the_hollow_markers_are_the_papers(store: Store) -> None:
    figure, alt = drawn_figure(drawn.accuracy_vs_eps("smoke", store, "linf"))
    measured = []
    for eps in madry.LINF_GRID:
        record = drawn.record_of(madry.sweep("PGD", "linf", eps), "smoke", store)
        assert record is not None
        measured.append(100 * record.metrics["accuracy"].value)
    assert any(len(y) == len(measured) and np.allclose(y, measured) for _, y in lines(figure.axes[0]))
    numbers = published_of("madry2018/accuracy-vs-eps")
    published = [numbers[f"(a) MNIST linf; eps={eps:.2f}", "PGD adv. trained"].value for eps in madry.LINF_GRID]
    assert any(len(y) == len(published) and np.allclose(y, published) for _, y in lines(figure.axes[0]))  # type: ignore[arg-type]
    assert f"PGD, adv. trained {measured[madry.LINF_GRID.index(0.3)]:.1f}%" in alt


def test_published_points_stay_where_there_is_no_record(store: Store) -> None:
    record = drawn.record_of(madry.accuracy(madry.network(), madry.PGD_40), "smoke", store)
    curve = drawn._curve([(1.0, None, "accuracy", 11.4), (16.0, record, "accuracy", 93.3)])
    assert curve is not None
    _, ours, _, _, published = curve
    assert np.isnan(ours[0])
    assert published.tolist() == [11.4, 93.3]
    assert drawn._curve([(1.0, None, "accuracy", 11.4)]) is None


def test_capacity_has_four_panels_and_every_published_accuracy(store: Store) -> None:
    figure, alt = drawn_figure(drawn.capacity("smoke", store))
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == [*madry.PANELS.values(), "(d) training loss"]
    shown = np.concatenate([y for _, y in lines(figure.axes[2])])
    numbers = published_of("madry2018/capacity")
    for s in madry.SCALES:
        wanted = numbers[f"(c) PGD training; capacity scale {s}", "accuracy on PGD inputs"].value
        assert np.isclose(shown, wanted).any()  # type: ignore[arg-type]
    assert "after PGD training (digits stand-in)" in alt


@pytest.mark.parametrize("make", [drawn.local_maxima, drawn.capacity, drawn.training_loss, drawn.loss_during_pgd])
def test_a_figure_says_at_its_foot_what_its_records_are(make: object, store: Store) -> None:
    figure, _ = drawn_figure(make("smoke", store))  # type: ignore[operator]
    assert figure.get_supxlabel() == "smoke records (digits stand-in)"


def test_stand_in_records_never_reach_a_published_figure(store: Store) -> None:
    for drawing in (drawn.local_maxima("best", store), drawn.training_loss("best", store)):
        assert drawing == drawn.MISSING or "digits" not in drawing[1]


def test_the_example_shown_alone_is_the_hardest_of_the_five(store: Store) -> None:
    figure, _ = drawn_figure(drawn.loss_during_pgd("smoke", store))
    record = drawn.record_of(madry.trace("PGD"), "smoke", store)
    assert record is not None
    ends = [np.asarray(runs, float)[:, -1].mean() for runs in record.series.values()]
    mean = lines(figure.axes[1])[-1][1]
    assert mean[-1] == pytest.approx(max(ends))
    five, _ = drawn_figure(drawn.loss_during_pgd("smoke", store, examples=5))
    assert len(five.axes) == 10


# Published numbers alone -------------------------------------------------------------------------------------


def test_the_two_challenges_do_not_mix() -> None:
    boards = published_tables.groups("madry2018/leaderboards")
    assert sum(len(numbers) for numbers in boards.values()) == 41
    best = {title: min(n.value for n in numbers if n.value is not None) for title, numbers in boards.items()}
    assert best["MNIST challenge white-box"] > 80 > best["CIFAR10 challenge white-box"]
    figure, alt = drawn_figure(board_figures.leaderboards())
    assert len(figure.axes) == 2
    assert f"{best['MNIST challenge white-box']:.2f} %" in alt


def test_unknown_published_numbers_name_the_nearest() -> None:
    assert published_tables.later("MNIST Madry 0.3").unit == "%"
    with pytest.raises(RobustlibError, match=r"MNIST Madry 0\.3"):
        published_tables.later("MNIST Madry 0.4")
    with pytest.raises(RobustlibError, match="madry2018/leaderboards"):
        published_tables.groups("madry2018/leaderboard")


def test_a_pivot_has_the_shape_of_the_papers_table() -> None:
    numbers = list(published_of("madry2018/table-3").values())
    heads, cells = published_tables.pivot(numbers)
    assert heads[0] == ""
    assert len(heads) == 7
    assert [len(line) for line in cells] == [7] * 6
    assert cells[5][6] == published_of("madry2018/table-3")["row=Wide (PGD)", "column=Wide (PGD)"].text
    facts, lines_ = published_tables.pivot(list(published_of("madry2018/table-2").values()))
    assert facts == ["Method", "Steps", "Source", "Accuracy"]
    assert lines_[0][:3] == ["Natural", "–", "–"]
    with pytest.raises(RobustlibError, match="without published numbers"):
        published_tables.pivot([])


def test_a_pivot_marks_what_is_unverified_and_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    number = Published("x", "i", "a | b", "c<d>", 1.0, "1.0", "%", verified=False, source="")
    heads, cells = published_tables.pivot([number, replace(number, row="e", verified=True)])
    assert [line[1] for line in cells] == ["1.0 ?", "1.0"]
    markdown, page = published_tables.both_forms(heads, cells, name="t", caption="C.", note="Not run: why.")
    assert "a \\| b" in markdown
    assert "c&lt;d&gt;" in page
    assert markdown.rstrip().endswith("Not run: why.")
    assert "Not run: why." in page
    found: list[dict[str, str]] = []
    monkeypatch.setattr(forms, "display", lambda data, raw: found.append(data))
    published_tables.show_pivot([number], name="t", caption="C.", note="N.")
    assert found[0]["text/plain"] == "C. N."
    assert ":name: t" in found[0]["text/markdown"]


# Demonstrations ----------------------------------------------------------------------------------------------


def test_demo_figures_draw_and_refuse_other_shapes() -> None:
    logits = np.arange(3.0)
    figure = demo_figures.logit_bars({"a": (logits, -logits), "b": (logits, logits)}, classes=("x", "y", "z"), true=1)
    assert len(figure.axes) == 2
    with pytest.raises(RobustlibError, match="3 logits before and after"):
        demo_figures.logit_bars({"a": (logits[:2], logits)}, classes=("x", "y", "z"), true=1)
    axis = np.linspace(-1, 1, 5)
    region = (axis, axis, np.add.outer(axis, axis))
    plane = demo_figures.decision_regions({"a": region}, [[0.5, 0.5], [-0.5, -0.5]], [1, 0], eps=0.2)
    assert sum(patch.get_width() == pytest.approx(0.4) for patch in plane.axes[0].patches) == 2  # type: ignore[attr-defined]
    with pytest.raises(RobustlibError, match=r"give \(n, 2\)"):
        demo_figures.decision_regions({"a": region}, [[0.5, 0.5]], [1, 0], eps=0.2)


def test_an_empty_store_draws_nothing(tmp_path: Path) -> None:
    assert drawn.capacity("smoke", Store(tmp_path)) == drawn.MISSING
