"""What the chapter's figures and published tables hold: records, published numbers, and their outcome in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes

from robustlib.catalogue import plan
from robustlib.catalogue.base import Published, published_of
from robustlib.errors import RobustlibError
from robustlib.experiments.store import Store
from robustlib.papers.madry2018 import cifar, small
from robustlib.papers.madry2018 import figures as drawn
from robustlib.papers.madry2018 import inside_figures as inner
from robustlib.papers.madry2018 import networks as madry
from robustlib.report import forms, published_tables
from robustlib.report.plots.records import joined, printed_along, read_record, read_row, record_of, share_at, sources
from robustlib.report.rows import Row
from robustlib.report.verdicts import Verdict
from tests.experiments.tiny import file
from tests.report.legible import drawn_figure


def lines(ax: Axes) -> list[tuple[np.ndarray, np.ndarray]]:
    """(x, y) of the lines of an axis that hold points of a curve."""
    return [(np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)) for line in ax.get_lines()]


def test_the_curve_against_eps_is_the_records_and_the_hollow_markers_are_the_papers(committed: Store) -> None:
    figure, alt = drawn_figure(drawn.accuracy_vs_eps("smoke", committed))
    measured = []
    for eps in madry.LINF_GRID:
        record = record_of(madry.sweep("PGD", "linf", eps), "smoke", committed)
        assert record is not None
        measured.append(100 * record.metrics["accuracy"].value)
    assert any(len(y) == len(measured) and np.allclose(y, measured) for _, y in lines(figure.axes[0]))
    numbers = published_of("madry2018/accuracy-vs-eps")
    published = [numbers[f"(a) MNIST linf; eps={eps:.2f}", "PGD adv. trained"].value for eps in madry.LINF_GRID]
    assert any(len(y) == len(published) and np.allclose(y, published) for _, y in lines(figure.axes[0]))  # type: ignore[arg-type]
    assert f"PGD, adv. trained {measured[madry.LINF_GRID.index(0.3)]:.1f}%" in alt


def test_published_points_stay_where_there_is_no_record(committed: Store) -> None:
    record = record_of(madry.accuracy(madry.network(), madry.PGD_40), "smoke", committed)
    assert record is not None
    missing = read_record(1.0, None, published=11.4)
    curve = joined([missing, read_record(16.0, record, published=93.3)])
    assert curve is not None
    metric = record.metrics["accuracy"]
    np.testing.assert_allclose(curve.y, [np.nan, 100 * metric.value])  # type: ignore[arg-type]
    np.testing.assert_allclose(curve.low, [np.nan, 100 * metric.low])  # type: ignore[arg-type,operator]
    np.testing.assert_array_equal(curve.published, [11.4, 93.3])  # type: ignore[arg-type]
    assert joined([missing]) is None
    assert share_at([missing], 1.0) == "not run"
    assert read_record(16.0, record, "no such metric", published=93.3).value is None


def test_a_row_of_seeds_is_its_mean_with_every_seed_behind_it() -> None:
    facts: dict[str, Any] = {"column": "c", "decimals": 1, "verified": True, "n": 100, "evidence": "stand-in"}
    verdict = Verdict("measured", "")
    rows = [
        Row("T=1", published=4.0, values=(1.0, 3.0), low=0.5, high=3.5, profile="quick", verdict=verdict, **facts),
        Row("T=2", published=None, values=(), low=None, high=None, profile=None, verdict=verdict, **facts),
        Row("T=5", published=None, values=(6.0,), low=None, high=None, profile="quick", verdict=verdict, **facts),
    ]
    points = [read_row(place, row, scale=10.0) for place, row in enumerate(rows)]
    curve = joined(points)
    assert curve is not None
    np.testing.assert_array_equal(curve.y, [20, np.nan, 60])  # type: ignore[arg-type]
    np.testing.assert_array_equal(curve.published, [40, np.nan, np.nan])  # type: ignore[arg-type]
    np.testing.assert_array_equal(curve.runs, [[10, np.nan, np.nan], [30, np.nan, np.nan]])  # type: ignore[arg-type]
    assert sources(points) == [rows[0], rows[2]]


def test_published_values_of_a_panel_are_found_by_their_setting() -> None:
    numbers = published_of("madry2018/accuracy-vs-eps")
    column, panel = "PGD adv. trained", "(a) MNIST linf"
    found = printed_along("madry2018/accuracy-vs-eps", "eps", column, panel)
    assert found == {eps: numbers[f"{panel}; eps={eps:.2f}", column].value for eps in madry.LINF_GRID}
    assert printed_along("madry2018/accuracy-vs-eps", "eps", column, "(e) nothing") == {}


def test_capacity_has_four_panels_and_every_published_accuracy(committed: Store) -> None:
    figure, alt = drawn_figure(drawn.capacity("smoke", committed))
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == [*madry.PANELS.values(), "(d) training loss"]
    shown = np.concatenate([y for _, y in lines(figure.axes[2])])
    numbers = published_of("madry2018/capacity")
    for s in madry.SCALES:
        wanted = numbers[f"(c) PGD training; capacity scale {s}", "accuracy on PGD inputs"].value
        assert np.isclose(shown, wanted).any()  # type: ignore[arg-type]
    assert "after PGD training (digits stand-in)" in alt


def test_the_example_shown_alone_is_the_hardest_of_the_five(committed: Store) -> None:
    figure, _ = drawn_figure(drawn.loss_during_pgd("smoke", committed))
    record = record_of(madry.trace("PGD"), "smoke", committed)
    assert record is not None
    ends = [np.asarray(runs, float)[:, -1].mean() for runs in record.series.values()]
    assert figure.axes[1].get_title(loc="left") == "MNIST, PGD training"
    mean = lines(figure.axes[1])[-1][1]
    assert mean[-1] == pytest.approx(max(ends))
    five, _ = drawn_figure(drawn.loss_during_pgd("smoke", committed, examples=5))
    assert len(five.axes) == 20
    names = [ax.get_title(loc="left") for ax in five.axes]
    # Both ways of training on the same image, data set by data set; a number is the image's in the other figures.
    assert names[0::4] == names[1::4] != names[2::4] == names[3::4]
    histograms, _ = drawn_figure(drawn.local_maxima("smoke", committed))
    shown = [" ".join(ax.get_title(loc="left").split()) for ax in histograms.axes]
    # Both trainings on one axis, then PGD training at its own scale.
    assert {name for name in shown if "PGD" not in name} == set(names)
    assert {name.partition(" PGD, ")[0] for name in shown if "PGD" in name} == set(names)


def test_the_panel_without_a_unit_has_the_papers_values_alone(committed: Store) -> None:
    figure, _ = drawn_figure(drawn.accuracy_vs_eps("smoke", committed))
    panels = {ax.get_title(loc="left"): ax for ax in figure.axes}
    hollow = {
        title: [line for line in ax.lines if line.get_markerfacecolor() == "none"] for title, ax in panels.items()
    }
    assert hollow["(d) CIFAR10, ours"] == []
    (published,) = hollow["(d) CIFAR10, published"]
    numbers = printed_along("madry2018/accuracy-vs-eps", "eps", "PGD adv. trained", cifar.PANELS["l2"])
    np.testing.assert_array_equal(published.get_ydata(), list(numbers.values()))
    assert "unit not stated" in panels["(d) CIFAR10, published"].get_xlabel()


# Published numbers alone -------------------------------------------------------------------------------------


def test_the_two_challenges_do_not_mix() -> None:
    boards = published_tables.groups("madry2018/leaderboards")
    assert sum(len(numbers) for numbers in boards.values()) == 41
    best = {title: min(n.value for n in numbers if n.value is not None) for title, numbers in boards.items()}
    assert best["MNIST challenge white-box"] > 80 > best["CIFAR10 challenge white-box"]
    figure, alt = drawn_figure(drawn.leaderboards())
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


def test_the_ablation_shows_the_seeds_range_beside_the_papers_number(tmp_path: Path) -> None:
    values = {seed: 0.5 + 0.1 * seed for seed in small.SEEDS}
    for scale in small.SMALL:
        for seed, value in values.items():
            job = plan.job_of(small.under_pgd(small.WARM_UP, scale, seed), "quick")
            assert job is not None
            file(tmp_path, job.evaluation, "quick", correct=value)
    figure, alt = drawn_figure(inner.small_networks("best", Store(tmp_path)))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [small.WARM_UP]
    assert f"scale 1, {small.WARM_UP} 60.0 % (50.0 to 70.0, 3 networks)" in alt
    assert "11.4 % and 11.4 %" in alt
