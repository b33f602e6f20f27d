"""The chapter's tables: each cell from its record, links where the book has them, words where it has not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from robustlib.catalogue import plan
from robustlib.experiments.cost import training_flops
from robustlib.experiments.store import Store
from robustlib.papers.comparison import display as tables
from robustlib.papers.comparison import tables as comparison
from robustlib.papers.comparison.aged import aged
from robustlib.report import forms
from robustlib.report.display import record_target
from robustlib.report.rows import NOTHING
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


def test_every_claim_says_who_and_what_changed_it(shown: dict[str, dict[str, str]]) -> None:
    text = shown["aged"]["text/markdown"]
    for line in aged():
        assert line.claim in text
        assert f"{{cite}}`{line.later}`" in text or not line.later
    assert "{ours:" not in text
    assert "{paper:" not in text
