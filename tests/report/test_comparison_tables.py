"""The chapter's tables: each cell from its record, links where the book has them, words where it has not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robustlib.catalogue import plan
from robustlib.experiments.cost import training_flops
from robustlib.experiments.store import Store
from robustlib.papers.comparison import display as tables
from robustlib.papers.comparison import released
from robustlib.papers.comparison import released_display as brackets
from robustlib.papers.comparison import tables as comparison
from robustlib.papers.comparison.aged import aged, in_this_book
from robustlib.report import forms
from robustlib.report.display import record_target
from robustlib.report.plots import brackets as bracket_figures
from robustlib.report.rows import NOTHING
from robustlib.spec.measurement import share
from robustlib.spec.records import Record, pack
from tests.experiments.tiny import fabricate, file


def test_an_empty_store_leaves_dashes(tmp_path: Path) -> None:
    heads, lines = tables.grand_table("best", Store(tmp_path))
    assert [line[0] for line in lines] == list(comparison.NETWORKS)
    assert {cell for line in lines for cell in line[1:]} == {NOTHING}
    assert heads[1:-1] == list(comparison.COLUMNS)


def test_each_cell_links_to_the_record_that_it_was_read_from(tmp_path: Path) -> None:
    column = "certified: slopes of CROWN"
    wanted = plan.shrink(comparison.bound("PGD training", column), "quick")
    assert wanted is not None
    record = file(tmp_path, wanted, "quick", correct=0.25)
    heads, lines = tables.grand_table("best", Store(tmp_path))
    line = next(line for line in lines if line[0] == "PGD training")
    assert line[heads.index(column)] == f"[25.0](#{record_target(record.path)})"
    assert sum(cell != NOTHING for line in lines for cell in line[1:]) == 1


def test_the_cost_counts_each_ancestor_once() -> None:
    cascade = plan.shrink(comparison.cascade(), "quick")
    assert cascade is not None
    subject = cascade.subject
    ancestors = [subject, subject.earlier[0]]
    while ancestors[-1].parents:
        ancestors.append(ancestors[-1].parents[0])
    # The first stage is both where the second begins and a stage before it.
    assert len(subject.lineage) > len(ancestors)
    expected = sum(training_flops(network) for network in ancestors)
    assert tables.training_cost(fabricate(cascade, "quick")) == pytest.approx(expected)
    plain = plan.shrink(comparison.suite("standard"), "quick")
    assert plain is not None
    assert tables.training_cost(fabricate(plain, "quick")) < expected


@pytest.fixture(scope="module")
def shown(committed: Store) -> dict[str, dict[str, str]]:
    """What the chapter's two tables display."""
    found: list[dict[str, Any]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forms, "display", lambda data, raw: found.append(data))
        tables.show_grand_table("best", committed)
        tables.show_aged("best", committed)
    return dict(zip(("grand", "aged"), found, strict=True))


def test_both_forms_have_every_line(shown: dict[str, dict[str, str]]) -> None:
    # The networks stand beside each other, above the cost of their training.
    for data, lines in zip(shown.values(), (len(comparison.COLUMNS) + 1, len(aged())), strict=True):
        assert data["text/markdown"].count("\n* - ") == lines + 1
        assert data["text/html"].count("<tr>") == lines + 1
        assert "](#record-" in data["text/markdown"]
        # Without the book's cross-references a link would lead nowhere, and a citation would be its markup.
        assert "#record" not in data["text/html"]
        assert "{cite}" not in data["text/html"]


def test_every_claim_says_who_and_what_changed_it(shown: dict[str, dict[str, str]], committed: Store) -> None:
    text = shown["aged"]["text/markdown"]
    for line in aged():
        assert line.claim in text
        # What the literature says is not read as this book's finding.
        assert f"\n  - {line.fate}\n  - {in_this_book(line, 'best', committed)}\n" in text
        assert f"{{cite}}`{line.later}`" in text or not line.later
    assert "{ours:" not in text
    assert "{row:" not in text
    assert "{paper:" not in text


# The released networks

HAR, TRADES = "polytope, HAR, ε 0.05", "TRADES, MNIST, ε 0.3"
POLYTOPE = "polytope, MNIST, ε 0.1"


def _bracketed(root: Path, whose: str, certified: np.ndarray, correct: np.ndarray, line: str = HAR) -> Record:
    evaluation, _ = released.drawn()[line][whose]
    record = fabricate(evaluation, correct=correct)
    groups = [[0, 60, 60, int(correct[:60].sum()), int(certified[:60].sum())]]
    groups += [[1, 40, 39, int(correct[60:].sum()), int(certified[60:].sum())]]
    outcomes = {"certified": pack(certified), "correct": pack(correct)}
    metrics = record.metrics | {"certified": share(certified), "clean": share(np.arange(len(correct)) < 90)}
    record = replace(record, outcomes=outcomes, metrics=metrics, series={"class": groups})
    return Store(root).write(record, evaluation)


def test_both_ends_of_a_released_network_are_those_of_all_its_records(tmp_path: Path) -> None:
    assert brackets.released_table("best", Store(tmp_path))[1] == []
    assert brackets.released_text("best", Store(tmp_path)) == "The records of this table are not all there yet."
    points = np.arange(100)
    record = _bracketed(tmp_path, released.AUTHORS, points < 79, points < 81)
    heads, (line,) = brackets.released_table("best", Store(tmp_path))
    told = dict(zip(heads, line, strict=True))
    assert (told["unbroken"], told["proven"], told["printed bound"], told["open"]) == ("81.00", "79.00", "78.10", "2")
    assert told["clean"] == f"[90.00](#{record_target(record.path)})"
    # The solver proves one of the two points and breaks the other.
    solved = released.exact(HAR, released.NETWORKS[HAR].network)
    file(tmp_path, solved, correct=points < 80)
    heads, (line,) = brackets.released_table("best", Store(tmp_path))
    told = dict(zip(heads, line, strict=True))
    assert (told["unbroken"], told["proven"], told["open"]) == ("80.00", "80.00", "0")
    text = brackets.released_text("best", Store(tmp_path))
    assert "prove 1.90 points more than the printed bound, and 0.00 points lie between" in text
    assert "[0 of 100 points]" in text
    assert "undecided: the error under every attack in the ball is 20.00 %. The printed bound is 21.90 %." in text
    heads, (line,) = brackets.group_table("best", Store(tmp_path))
    assert (line[2], line[4].partition("]")[0]) == ("2 classes", "[52.5 to 100.0")
    figure, alt = bracket_figures.settled_brackets(released.drawn(), "best", Store(tmp_path))
    assert f"{HAR}, authors' network: 90% clean, 80% in the worst case, 80% certified" in alt
    (ax,) = figure.axes
    hollow = {
        float(x) for line in ax.lines if line.get_markerfacecolor() == "none" for x in np.atleast_1d(line.get_xdata())
    }
    assert sorted(hollow) == [pytest.approx(78.10)]


def test_what_is_asked_of_a_few_points_is_said_with_the_radius(tmp_path: Path) -> None:
    points = np.arange(100)
    _bracketed(tmp_path, released.AUTHORS, points < 79, points < 81)
    assert "smaller balls" not in brackets.released_text("best", Store(tmp_path))
    for eps, n in released.NETWORKS[TRADES].sampled:
        evaluation = released.sample(TRADES, eps, n)
        assert (evaluation.measurement.threat.eps, evaluation.subset.n) == (eps, n)
        file(tmp_path, evaluation, correct=0.3 / eps / 6)
    text = brackets.released_text("best", Store(tmp_path))
    shares = ["proves [16.7% (", ", [50.0% (", ", [100.0% ("]
    assert [text.index(share) for share in shares] == sorted(text.index(share) for share in shares)
    assert all(f") of {n} at ε {eps:g}" in text for eps, n in released.NETWORKS[TRADES].sampled)


@pytest.mark.parametrize(
    ("proven", "unbroken", "words"),
    [
        (85, 86, "5.00 points above the authors', and at least 4.00 of them are decided by proof and attack"),
        (70, 78, "3.00 points below the authors', and at least 1.00 of them"),
        (80, 83, "2.00 points above the authors', and no more than both evaluations leave open"),
    ],
)
def test_a_difference_of_level_is_one_of_networks_where_the_brackets_do_not_meet(
    tmp_path: Path, proven: int, unbroken: int, words: str
) -> None:
    points = np.arange(100)
    _bracketed(tmp_path, released.AUTHORS, points < 79, points < 81, POLYTOPE)
    _bracketed(tmp_path, released.OURS, points < proven, points < unbroken, POLYTOPE)
    assert words in brackets.released_text("best", Store(tmp_path))


@pytest.mark.parametrize(
    ("unbroken", "words"),
    [
        ((82, 84, 86), "82.00 to 86.00 %, on average 3.00 points above the authors' 81.00 %, and at least 1.00 of"),
        ((79, 81, 86), "79.00 to 86.00 %, on average 1.00 points above the authors' 81.00 %. They lie on both sides"),
        ((78, 77, 76), "76.00 to 78.00 %, on average 4.00 points below the authors' 81.00 %, and at least 1.00 of"),
    ],
)
def test_of_several_networks_of_ours_all_have_to_differ(tmp_path: Path, unbroken: tuple[int, ...], words: str) -> None:
    points = np.arange(100)
    _bracketed(tmp_path, released.AUTHORS, points < 79, points < 81)
    ours = list(released.drawn()[HAR])[1:]
    assert ours == [f"{released.OURS}, seed {seed}" for seed in range(3)]
    for whose, right in zip(ours, unbroken, strict=True):
        _bracketed(tmp_path, whose, points < right, points < right)
    assert words in brackets.released_text("best", Store(tmp_path))
    assert len(brackets.released_table("best", Store(tmp_path))[1]) == 4
