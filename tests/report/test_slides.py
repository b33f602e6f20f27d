"""The slides, claim by claim: every line has a verdict, and what it rests on exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from robustlib.book import sphinx_extension
from robustlib.catalogue.base import find_item, items, papers, published
from robustlib.catalogue.plan import find_record, predicates_of
from robustlib.errors import RobustlibError
from robustlib.experiments.store import Store
from robustlib.papers.comparison import tables as comparison
from robustlib.papers.comparison.aged import aged
from robustlib.papers.comparison.slides import CLAIMS, QUESTION, VERDICTS, find_claim, lines, page, verdict
from robustlib.report.citations import PLACE, filled, measured_at
from robustlib.report.join import Statement

FIVE = set(papers()) - {comparison.PAPER}
CITED = re.compile(r"\{cite(?::t)?\}`([^`]*)`")


def test_every_line_has_a_verdict_a_reason_and_a_paper() -> None:
    assert len({line.id for line in lines()}) == len(lines())
    for line in lines():
        assert line.verdict in (*VERDICTS, QUESTION), line.id
        assert line.deck in ("first", "second"), line.id
        assert line.paper in ("", *papers()), line.id
        assert line.statement, line.id
        assert line.why.strip(), line.id
        assert (line.verdict == QUESTION) <= line.statement.endswith("?"), line.id


def test_no_paper_is_left_out_and_every_question_is_answered() -> None:
    for deck, named in (("first", FIVE), ("second", {"madry2018"})):
        assert named <= {line.paper for line in lines() if line.deck == deck}
    assert {line.paper for line in lines() if line.verdict == QUESTION} == FIVE


def test_every_claim_number_and_citation_exists(root: Path) -> None:
    numbers = {number.id for number in published()}
    keys = re.findall(r"@\w+\{(\w+),", (root / "book/references.bib").read_text(encoding="utf-8"))
    for line in lines():
        for text in line.claims:
            assert find_claim(text).needs, line.id
        for kind, name in PLACE.findall(line.why):
            if kind == "tally":
                assert find_item(name)
            elif kind in ("ours", "row", "halves"):
                assert measured_at(name)
            else:
                assert name in numbers, (line.id, name)
        for group in CITED.findall(line.why):
            assert set(group.split(",")) <= set(keys), line.id


def test_claims_have_one_text_each() -> None:
    texts = [p.text for item in items() if not item.parent for p in predicates_of(item.id)] + [p.text for p in CLAIMS]
    named = {text for line in lines() for text in line.claims}
    assert [text for text in named if texts.count(text) != 1] == []
    assert {p.text for p in CLAIMS} <= named


def test_no_measurement_is_typed_into_a_reason() -> None:
    for line in lines():
        bare = re.sub(r"\{[^}]*\}|`[^`]*`|\$[^$]*\$", "", line.why)
        # Radii and settings have at most two digits after the point and no unit.
        assert not re.search(r"\d\s?%|\d\.\d{3}", bare), f"{line.id}: {line.why}"


def test_every_citation_of_a_page_exists(root: Path) -> None:
    pages = "\n".join(path.read_text(encoding="utf-8") for path in (root / "book").glob("*.md"))
    places = PLACE.findall("\n".join([pages, *(line.why for line in lines()), *(line.text for line in aged())]))
    addresses = {name for kind, name in places if kind in ("ours", "row", "halves")}
    assert len(addresses) > 60
    for address in addresses:
        measured_at(address)
    assert {name for kind, name in places if kind == "paper"} <= {number.id for number in published()}


def test_a_page_of_prose_is_filled_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "results").mkdir()
    monkeypatch.setattr(sphinx_extension, "_store", lambda _: Store(tmp_path))
    source = [
        "# T\n\nAs printed: {paper:wong2018-004}. Ours is {ours:madry2018/table-1:PGD 40/1, source A|Accuracy}.\n:::\n"
    ]
    sphinx_extension.with_numbers(None, "book/exercises", source)
    assert source == ["# T\n\nAs printed: 100 %. *(Its numbers are not run yet.)*\n:::\n"]


def test_errors_are_counted_by_half_where_a_record_has_every_point(committed: Store, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    place = "{halves:wong2018/table-1/mnist:PROBLEM=MNIST;ROBUST=×;ϵ=0.1|TEST ERROR}"
    found = re.match(r"\[(\d+) errors in the first half and (\d+) in the second\]\(#", filled(place, "best", committed))
    assert found is not None
    evaluation, _ = measured_at(place.strip("{}").partition(":")[2])
    record = committed.find(evaluation, "full")
    assert record is not None
    wrong = ~record.outcome()
    assert [int(count) for count in found.groups()] == [wrong[:5000].sum(), wrong[5000:].sum()]
    # A balanced subset has other halves than the whole.
    some = "{halves:madry2018/table-1:PGD 40/1, source A|Accuracy}"
    evaluation, _ = measured_at(some.strip("{}").partition(":")[2])
    assert find_record(evaluation, "quick", committed) is not None
    assert filled(some, "quick", committed) == "*(Its numbers are not run yet.)*"
    assert filled(place, "best", Store(tmp_path)) == "*(Its numbers are not run yet.)*"


def test_a_row_has_all_of_its_networks_and_the_published_unit(committed: Store, tmp_path: Path) -> None:
    place = "{row:wong2018/table-1/fashion-mnist:PROBLEM=FASHION-MNIST;ROBUST=×;ϵ=0.1|PGD ERROR}"
    assert re.fullmatch(
        r"\[[\d.]+ % \([\d.]+ to [\d.]+ over 3 networks\)\]\(#record-full-.*\)", filled(place, "best", committed)
    )
    assert filled(f"It is {place}.", "best", Store(tmp_path)) == "*(Its numbers are not run yet.)*"
    with pytest.raises(RobustlibError, match="no row 'PROBLEM'"):
        filled("{row:wong2018/table-1/mnist:PROBLEM|PGD ERROR}", "best", committed)


def test_an_unknown_name_or_claim_is_refused(committed: Store) -> None:
    with pytest.raises(RobustlibError, match=r"unknown item 'nothing'"):
        filled("{ours:nothing}", "best", committed)
    with pytest.raises(
        RobustlibError, match=r"unknown metric of madry2018/table-1:.* 'acuracy'; did you mean 'accuracy'"
    ):
        filled("{ours:madry2018/table-1:PGD 40/1, source A|Accuracy|acuracy}", "best", committed)
    with pytest.raises(RobustlibError, match=r"no measured cell .* the nearest is madry2018/table-1:Natural\|Accuracy"):
        filled("{ours:madry2018/table-1:Natural|Acuracy}", "best", committed)
    with pytest.raises(RobustlibError, match="no published number 'wong2018-4'"):
        filled("{paper:wong2018-4}", "best", committed)
    with pytest.raises(RobustlibError, match="Robust accuracy is higher at 1/lambda 5"):
        find_claim("Robust accuracy is higher at 1/lambda 50 than at 0.1")


@pytest.mark.parametrize(
    ("written", "states", "told"),
    [
        ("holds", [], "holds"),
        ("holds", ["holds", "holds"], "holds"),
        ("qualified", ["holds", "fails"], "fails"),
        ("fails", ["holds"], "fails"),
        ("fails", ["fails"], "qualified"),
        ("holds", ["fails", "not run"], "not run"),
    ],
)
def test_a_verdict_follows_its_claims(written: str, states: list[str], told: str) -> None:
    line = next(line for line in lines() if line.verdict == written)
    assert verdict(line, [Statement("", state, None) for state in states]) == told


def test_the_page_shows_every_line_once_with_what_an_empty_store_leaves(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    text = page("best", Store(tmp_path))
    assert PLACE.findall(text) == []
    assert "leaves not run" not in text
    assert "*(Its numbers are not run yet.)*" in text
    for line in lines():
        assert line.statement in text, line.id
    told = [line for line in lines() if line.verdict != QUESTION]
    assert text.count("  - [not run]{.verdict") == sum(bool(line.claims) or line.verdict == "not run" for line in told)
    assert "[The chapter's answer](#answers-madry2018)" in text


def test_the_ledger_has_a_table_for_each_paper_and_one_for_the_slides(root: Path) -> None:
    text = (root / "book/ledger.md").read_text(encoding="utf-8")
    names = re.findall(r"^:name: (\S+)$", text, flags=re.MULTILINE)
    assert names == [f"ledger-{name}" for name in ("papernot", "wong", "scaling", "madry", "zhang", "slides")]
    for heading in (about.authors for paper, about in papers().items() if paper in FIVE):
        assert re.search(rf"^## {heading}$", text, flags=re.MULTILINE), heading
