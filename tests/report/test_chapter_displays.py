"""Tables, claims and numbers of a chapter as its cells show them: both forms, links to records, units and intervals."""

from __future__ import annotations

from pathlib import Path

import pytest

from robustlib.catalogue import plan
from robustlib.errors import RobustlibError
from robustlib.experiments.store import Store
from robustlib.papers.madry2018 import networks as madry
from robustlib.papers.madry2018 import small
from robustlib.report import display as shown
from robustlib.report import forms
from robustlib.spec.records import Metric
from tests.experiments.tiny import file


@pytest.fixture
def bundles(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    monkeypatch.setattr(forms, "display", lambda data, raw: found.append(data))
    return found


def test_a_cited_number_is_its_records_and_links_to_it(committed: Store) -> None:
    from robustlib.attacks.suite import Clean

    evaluation = madry.accuracy(madry.network(), Clean())
    tiny = plan.shrink(evaluation, "smoke")
    assert tiny is not None
    record = committed.find(tiny, "smoke")
    assert record is not None
    text = shown.cite(evaluation, "smoke", committed)
    assert text.startswith(f"[{record.metrics['accuracy'].value:.1%} (")
    assert f"(#{shown.record_target(record.path)})" in text
    assert "digits" not in shown.cite(evaluation, "best", committed), "stand-in records never reach a published page"


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        (Metric(0.935, 1000, 0.918, 0.949), "93.5% (91.8 to 94.9)"),
        (Metric(1.598, 100, 1.491, 1.705, unit="l2"), "1.60 (1.49 to 1.71)"),
        (Metric(4.773, 10, 4.751, 4.796, unit="logits"), "4.77 logits (4.75 to 4.80)"),
        (Metric(2.5, 10, unit="nats"), "2.50 nats"),
    ],
)
def test_a_number_in_a_sentence_has_its_unit_and_interval(metric: Metric, text: str) -> None:
    assert shown._told(metric) == text


def test_a_row_in_a_sentence_has_the_range_of_its_networks(tmp_path: Path) -> None:
    row = (small.ITEM, small.label(small.RECIPE, 1), small.ATTACKED)
    assert shown.cite_row(*row, "best", Store(tmp_path)) == "not run"
    for seed, value in ((0, 0.5), (1, 0.7)):
        job = plan.job_of(small.under_pgd(small.RECIPE, 1, seed), "quick")
        assert job is not None
        file(tmp_path, job.evaluation, "quick", correct=value)
        text = shown.cite_row(*row, "best", Store(tmp_path))
        assert "](#record-quick-mnist-madry-cnn1-pgd-s0-" in text
        assert text.startswith("[50.0 % (4" if seed == 0 else "[60.0 % (50.0 to 70.0 over 2 networks)]")
    with pytest.raises(RobustlibError, match="no row 'scale 9'"):
        shown.cite_row(small.ITEM, "scale 9", small.CLEAN, "best", Store(tmp_path))


def test_tables_carry_both_forms_and_say_digits(committed: Store, bundles: list[dict[str, str]]) -> None:
    shown.show_item("madry2018/table-1", "smoke", committed)
    assert "{list-table}" in bundles[0]["text/markdown"]
    assert ":name: table-madry2018-table-1" in bundles[0]["text/markdown"]
    assert "<table" in bundles[0]["text/html"]
    assert "digits stand-in" in bundles[0]["text/plain"]


def test_the_numbers_of_a_figure_unfold(committed: Store, bundles: list[dict[str, str]]) -> None:
    shown.show_item("madry2018/loss-during-pgd/mnist", "smoke", committed)
    shown.show_item("madry2018/table-1", "smoke", committed, fold=True)
    for bundle in bundles:
        assert bundle["text/markdown"].startswith("::::{dropdown} The numbers")
        assert bundle["text/markdown"].endswith("::::\n")
        assert bundle["text/html"].startswith("<details><summary>The numbers")


def test_claims_link_to_their_records(committed: Store, bundles: list[dict[str, str]]) -> None:
    shown.show_statements("madry2018/local-maxima/mnist", "smoke", committed)
    assert "(#record-smoke-" in bundles[0]["text/markdown"]


def test_a_chapter_counts_what_the_authors_networks_confirm(committed: Store, bundles: list[dict[str, str]]) -> None:
    for items, profile in ((["wong2018/table-1/har"], "best"), (["wong2018/table-1/har"], "smoke")):
        shown.show_released(items, profile, committed, "And more.")
    full, smoke = (bundle["text/markdown"] for bundle in bundles)
    assert full == "**The authors' own networks, our code.** 4 of 4 published numbers are confirmed on them. And more."
    assert smoke == "**The authors' own networks, our code.** None of them is measured in this profile. And more."


def test_a_record_target_is_the_anchor_of_its_page() -> None:
    path = "results/quick/mnist-madry_cnn16-pgd-s0/pgd100x20-transfer-0a1b2c3d.json"
    assert shown.record_target(path) == "record-quick-mnist-madry-cnn16-pgd-s0-pgd100x20-transfer-0a1b2c3d"
