"""Rows and their printed forms."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from typing import Any

import pytest
from bs4 import BeautifulSoup

from robustlib.errors import RobustlibError
from robustlib.report import exports, page_tables, shown_numbers, tables
from robustlib.report.rows import (
    Row,
    collect_notes,
    count_text,
    label_columns,
    number,
    ours_text,
    published_text,
    record_names,
)
from robustlib.report.verdicts import Verdict

PATHS = ("results/full/mnist-a-pgd-s0/pgd-1a2b3c4d.json", "results/full/mnist-a-pgd-s1/pgd-5e6f7a8b.json")
ROW = Row(
    label="Method=PGD;Source=A'",
    column="Accuracy",
    published=93.2,
    decimals=1,
    verified=True,
    values=(92.84, 93.1),
    low=91.2,
    high=94.31,
    n=1000,
    evidence="paper's protocol",
    profile="full",
    verdict=Verdict("consistent", "2 seeds"),
    records=PATHS,
)
OTHER = replace(
    ROW,
    label="Method=CW_50 & <b>;Source=B",
    published=95.7,
    verified=False,
    values=(),
    low=None,
    high=None,
    n=None,
    evidence=None,
    profile=None,
    verdict=Verdict("not run", "no source network | yet"),
    records=(),
    footnotes=("† 20 rows of the data are not the official bytes", "100 % of *restarts*"),
)
ROWS = [ROW, OTHER]


# Rows ------------------------------------------------------------------------------------------------------


def test_ours_has_one_decimal_more_than_the_paper() -> None:
    assert published_text(ROW) == "93.2"
    assert ours_text(ROW) == "92.97 [91.20, 94.31]; 92.84 to 93.10"
    one = replace(ROW, values=(92.97,))
    assert ours_text(one) == "92.97 [91.20, 94.31]"
    assert ours_text(replace(one, decimals=0)) == "93.0 [91.2, 94.3]"
    assert ours_text(replace(one, low=None, high=None)) == "92.97"
    assert count_text(ROW) == "1,000 × 2"
    assert published_text(OTHER) == "95.7 ?"
    words = replace(ROW, published=None, text="1/2")
    assert published_text(words) == "1/2"
    assert published_text(replace(words, verified=False)) == "1/2 ?"
    assert published_text(replace(words, text="-")) == published_text(replace(words, text="")) == "–"
    assert ours_text(OTHER) == count_text(OTHER) == "–"


def test_difference_is_ours_minus_the_papers() -> None:
    assert ROW.difference == pytest.approx(92.97 - 93.2)
    assert OTHER.difference is None
    assert replace(ROW, published=None).difference is None


def test_there_is_no_negative_zero() -> None:
    assert number(-0.001, 1) == "0.0"
    assert number(-1.5, 1) == "−1.5"


@pytest.mark.parametrize(
    "changed",
    [
        {"values": (math.nan,)},
        {"published": math.inf},
        {"low": None},
        {"low": 95.0},
        {"values": (), "n": None},
        {"decimals": -1},
    ],
)
def test_impossible_rows_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(RobustlibError, match="row"):
        replace(ROW, **changed)


def test_labels_split_where_all_name_the_same_facts() -> None:
    assert label_columns(ROWS) == (["Method", "Source"], [["PGD", "A'"], ["CW_50 & <b>", "B"]])
    assert label_columns([replace(ROW, label="Steps=-;Source=")])[1] == [["–", "–"]]
    mixed = [ROW, replace(OTHER, label="plain")]
    assert label_columns(mixed) == (["Row"], [[ROW.label], ["plain"]])
    two = [ROW, replace(OTHER, column="column=Wide")]
    assert label_columns(two)[0] == ["Method", "Source", "Column"]
    assert label_columns(two)[1][1][-1] == "Wide"


def test_records_are_named_by_their_seed() -> None:
    assert [words for words, _ in record_names(ROW)] == ["seed 0", "seed 1"]
    assert record_names(replace(ROW, records=("a.json",))) == [("record", "a.json")]
    assert [w for w, _ in record_names(replace(ROW, records=("a.json", "b.json")))] == ["record 1", "record 2"]


def test_footnotes_appear_once_each_with_a_mark() -> None:
    notes = collect_notes([OTHER, OTHER, ROW])
    assert [sign for sign, _ in notes.sentences] == ["†", "?", "a", "b"]
    assert notes.ours == ("† a", "† a", "")
    assert notes.verdicts == ("b", "b", "")
    assert notes.sentences[0] == ("†", "20 rows of the data are not the official bytes")
    many = [replace(ROW, footnotes=(f"note {i}",)) for i in range(30)]
    assert len({sign for sign, _ in collect_notes(many).sentences}) == 30


# Every form ------------------------------------------------------------------------------------------------

FORMS = {
    "myst": lambda rows: page_tables.to_myst(rows, name="tab-x", caption="A caption"),
    "html": lambda rows: page_tables.to_html(rows, caption="A caption"),
    "markdown": lambda rows: tables.to_markdown(rows, caption="A caption"),
    "latex": lambda rows: exports.to_latex(rows, label="tab:x", caption="A caption"),
    "csv": exports.to_csv,
    "json": tables.to_json,
}


@pytest.mark.parametrize("form", FORMS)
def test_no_rows_is_an_error(form: str) -> None:
    with pytest.raises(RobustlibError, match="without rows"):
        FORMS[form]([])


@pytest.mark.parametrize("form", FORMS)
def test_the_same_rows_give_the_same_text(form: str) -> None:
    assert FORMS[form](ROWS) == FORMS[form](list(ROWS))
    assert FORMS[form](ROWS).endswith("\n")


@pytest.mark.parametrize("form", ["myst", "html", "markdown", "latex"])
def test_printed_forms_show_everything(form: str) -> None:
    text = FORMS[form](ROWS)
    page = form in ("myst", "html")
    ours = ("93.0", "91.2", "94.3", "92.8, 93.1") if page else ("92.97", "91.20", "94.31", "92.84 to 93.10")
    for shown in ("A caption. Accuracy", "93.2", *ours, "consistent", "not run", "1,000", "protocol"):
        assert shown in text, shown


@pytest.mark.parametrize("form", ["myst", "html", "markdown"])
def test_links_take_a_prefix_or_a_function(form: str) -> None:
    render: Any = getattr(tables if form == "markdown" else page_tables, f"to_{form}")
    extra = {"name": "tab-x"} if form == "myst" else {}
    assert f"../{PATHS[1]}" in render(ROWS, caption="c", link="../", **extra)
    moved = render(ROWS, caption="c", link=lambda path: path.replace("results", "records"), **extra)
    assert PATHS[0].replace("results", "records") in moved
    assert "results/" not in moved


def test_numbers_that_were_not_checked_are_set_apart() -> None:
    for rows in (ROWS, [*GRID[:3], replace(GRID[3], verified=False)]):
        marked = BeautifulSoup(page_tables.to_html(rows), "html.parser").find_all("span", class_="recalled")
        assert [mark.text for mark in marked] == [published_text(row) for row in rows if not row.verified]


def test_units_stand_in_the_head_or_the_cells() -> None:
    assert "Paper (%)" in tables.to_markdown(ROWS)
    mixed = [ROW, replace(ROW, unit="nats", values=(0.2,), low=None, high=None, published=0.3)]
    text = tables.to_markdown(mixed)
    assert "Paper (" not in text
    assert "93.2 %" in text
    assert "0.20 nats" in text


# For the book ----------------------------------------------------------------------------------------------


def test_myst_is_a_numbered_list_table() -> None:
    text = FORMS["myst"](ROWS)
    shared = r"Accuracy (%). 1,000 points, 2 networks; evidence: paper\'s protocol."
    assert text.startswith(f"```{{list-table}} A caption. {shared}\n:name: tab-x\n:header-rows: 1\n")
    assert '<span class="verdict verdict-not-run">not run</span>' in text
    assert "{.footnotes-row}\n<sup>†</sup> 20 rows" in text
    assert r"\<b\>" in text
    lines = text.split("```")[1].splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith("* - ")]
    cells = sum(line.startswith(("* - ", "  - ")) for line in lines)
    assert len(starts) == 3
    assert cells == 3 * 7


@pytest.mark.parametrize(
    ("label", "cell"),
    [("- x", r"\- x"), ("+ x", r"\+ x"), ("1. x", r"1\. x"), (":a: b", r"\:a: b"), ("A'", "A′"), ("it's", r"it\'s")],
)
def test_myst_cells_stay_plain_text(label: str, cell: str) -> None:
    text = page_tables.to_myst([replace(ROW, label=label)], name="t", caption="c")
    assert f"* - {cell}\n" in text


@pytest.mark.parametrize(("name", "caption"), [("Tab X", "c"), ("", "c"), ("tab-x", " ")])
def test_myst_needs_a_name_and_a_caption(name: str, caption: str) -> None:
    with pytest.raises(RobustlibError, match=r"name|caption"):
        page_tables.to_myst(ROWS, name=name, caption=caption)


@pytest.mark.parametrize("form", ["myst", "html"])
def test_a_verdict_that_compares_unfolds_its_reason(form: str) -> None:
    why = BeautifulSoup(FORMS[form](ROWS), "html.parser").find_all("details", class_="why")
    assert [(fold.summary.span["class"], fold.summary.text, fold.summary.next_sibling) for fold in why] == [
        (["verdict", "verdict-consistent"], "consistent", "2 seeds")
    ]


def test_html_is_a_table_that_a_screen_reader_can_use() -> None:
    page = BeautifulSoup(FORMS["html"](ROWS), "html.parser")
    (table,) = page.find_all("table")
    assert "robust-table" in table["class"]
    assert table.caption.text.startswith("A caption. Accuracy (%). 1,000 points, 2 networks")
    assert all(head["scope"] == "col" for head in table.thead.find_all("th"))
    lines = table.tbody.find_all("tr")
    assert [line.find("th", scope="row").text for line in lines] == ["PGD", "CW50 & <b>"]
    assert {len(line.find_all(["td", "th"])) for line in lines} == {len(table.thead.find_all("th"))}
    assert [line.find_all("td")[-2].text for line in lines] == ["consistent2 seeds", "not run b"]
    assert "style=" not in str(page)


def test_networks_that_lie_apart_are_printed_one_by_one_without_an_interval() -> None:
    apart = replace(ROW, values=(77.63, 8.36), low=42.3, high=43.7, n=10_000)
    assert shown_numbers.interval_text(apart) == ""
    assert shown_numbers.each_text(apart) == "8.4, 77.6"
    assert shown_numbers.interval_text(ROW) == "[91.2, 94.3]"
    assert shown_numbers.each_text(replace(ROW, values=tuple(map(float, range(90, 96))))) == "90.0 to 95.0"
    assert shown_numbers.each_text(replace(ROW, values=(93.0,))) == ""


@pytest.mark.parametrize(("n", "printed", "digits"), [(1000, 2, 1), (10_000, 2, 2), (10_000, 1, 2), (100, 1, 1)])
def test_a_share_has_no_more_decimals_than_its_points_carry(n: int, printed: int, digits: int) -> None:
    assert shown_numbers.shown_decimals(replace(ROW, n=n, decimals=printed)) == digits


def test_a_footnote_of_every_measured_row_stands_once_without_a_mark() -> None:
    rows = [replace(ROW, label=label, footnotes=("† 20 rows are odd", label)) for label in ("a", "b")]
    text = page_tables.to_html(rows)
    assert text.count("20 rows are odd") == 1
    assert "†" not in text
    assert '<p class="footnotes-row">20 rows are odd.<br><sup>a</sup> a<br><sup>b</sup> b</p>' in text


def test_a_difference_has_its_number_and_a_bar_that_points_its_way() -> None:
    rows = [replace(ROW, label=f"x{value}", values=(value,)) for value in (83.2, 98.2)]
    bars = [line.find("svg").rect for line in BeautifulSoup(page_tables.to_html(rows), "html.parser").tbody("tr")]
    assert [(bar["x"], bar["width"]) for bar in bars] == [("2", "22"), ("24", "11")]
    assert all(text in page_tables.to_html(rows) for text in ("−10.0", "+5.0"))


GRID = [
    replace(ROW, label=f"net={net}", column=column, values=(90.0,), low=88.0, high=91.0)
    for net in "AB"
    for column in ("clean", "PGD")
]


@pytest.mark.parametrize("form", ["myst", "html"])
def test_several_columns_make_a_matrix_with_paper_over_ours(form: str) -> None:
    text = FORMS[form](GRID)
    assert "matrix" in text
    assert text.count('<span class="printed">93.2</span>') == 4
    assert text.count('role="img" title="consistent: ') == 4
    assert "≈ consistent" in text
    assert 'title="[88.0, 91.0], 1,000 × 1, paper&#x27;s protocol"' in text
    heads = BeautifulSoup(FORMS["html"](GRID), "html.parser").thead("th")
    assert [head.text for head in heads] == ["Net", "clean", "PGD"]


def test_what_all_labels_begin_with_stands_in_the_caption() -> None:
    rows = [replace(row, label=f"(b) FGSM training; {row.label.replace('=', ' ')}") for row in GRID]
    page = BeautifulSoup(page_tables.to_html(rows, caption="Accuracy"), "html.parser")
    assert page.caption.text.startswith("Accuracy. In %. (b) FGSM training. ")
    assert [head.text for head in page.tbody("th")] == ["net A", "net B"]


def test_a_gap_a_repeated_place_or_too_many_columns_make_a_list() -> None:
    assert page_tables.makes_matrix(GRID[:3])
    assert not page_tables.makes_matrix([*GRID, GRID[0]])
    assert not page_tables.makes_matrix([replace(GRID[0], label=f"net={i}", column=f"c{i}") for i in range(4)])
    wide = [replace(GRID[0], column=f"a rather long quantity {i}") for i in range(12)]
    assert not page_tables.makes_matrix(wide)


@pytest.mark.parametrize(("facts", "heads"), [(2, ["A", "B"]), (5, ["A, B, C", "D", "E"])])
def test_a_list_of_many_columns_joins_its_first_facts(facts: int, heads: list[str]) -> None:
    names = "abcde"[:facts]
    rows = [replace(GRID[0], label=";".join(f"{name}={name}{i}" for name in names)) for i in range(3)]
    rows = [replace(row, authors=row) for row in rows]
    page = BeautifulSoup(page_tables.to_html(rows), "html.parser")
    assert [head.text for head in page.thead("th")][: len(heads)] == heads
    assert len(page.thead("th")) <= page_tables.MOST_COLUMNS
    told = page.tbody.tr.find_all(["th", "td"])[0].text
    assert told == ("a0" if facts == 2 else "a0, b0, c0")


# For papers ------------------------------------------------------------------------------------------------


def test_latex_escapes() -> None:
    text = FORMS["latex"](ROWS)
    line = next(line for line in text.splitlines() if line.startswith("PGD"))
    assert line.split(" & ")[1:4] == ["A$'$", "93.2", "92.97 [91.20, 94.31]; 92.84 to 93.10"]
    assert line.split(" & ")[4:] == [r"1,000 $\times$ 2", "consistent", r"paper$'$s protocol \\"]
    assert r"CW\_50 \& \textless{}b\textgreater{}" in text
    assert r"100 \% of *restarts*" in text
    assert r"\textsuperscript{\dag{} a}" in text
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 1
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")].splitlines()[1:]
    bare = [line.replace(r"\&", "") for line in body]
    assert {line.count("&") for line in bare} == {6}
    assert f"% {PATHS[0]}" in text


def test_latex_cells_may_begin_with_a_bracket() -> None:
    text = exports.to_latex([replace(ROW, label="[1] x")], label="l", caption="c")
    assert "\n{}[1] x &" in text


def test_every_special_letter_of_latex() -> None:
    assert exports.latex_escape("\\ & % $ # _ { } ~ ^") == (
        r"\textbackslash{} \& \% \$ \# \_ \{ \} \textasciitilde{} \textasciicircum{}"
    )


def test_markdown_pipes_do_not_split_cells() -> None:
    text = tables.to_markdown([replace(ROW, label="a|b")])
    assert r"a\|b" in text


# For programs ----------------------------------------------------------------------------------------------


def test_json_parses_back_to_the_same_values() -> None:
    found = json.loads(tables.to_json(ROWS))
    assert found == tables.to_dicts(ROWS)
    plain = ["label", "column", "published", "decimals", "verified", "low", "high", "n", "evidence", "profile", "unit"]
    rebuilt = Row(
        verdict=Verdict(found[0]["verdict"], found[0]["detail"]),
        values=tuple(found[0]["values"]),
        records=tuple(found[0]["records"]),
        footnotes=tuple(found[0]["footnotes"]),
        **{key: found[0][key] for key in plain},
    )
    assert rebuilt == ROW
    assert found[1]["ours"] is None


def test_csv_has_no_digits_of_binary_arithmetic() -> None:
    line = next(csv.DictReader(io.StringIO(exports.to_csv([replace(ROW, values=(61.199999999999996,))]))))
    assert (line["ours"], line["values"], line["difference"]) == ("61.2", "61.2", "-32.0")


def test_csv_parses_back_to_the_same_values() -> None:
    for row, line in zip(ROWS, csv.DictReader(io.StringIO(exports.to_csv(ROWS))), strict=True):
        assert line["label"] == row.label
        assert [float(part) for part in line["values"].split("; ") if part] == list(row.values)
        for key in ("published", "low", "high", "n"):
            value = getattr(row, key)
            assert line[key] == ("" if value is None else repr(value))
        assert line["verdict"] == row.verdict.name
        assert [part for part in line["records"].split("; ") if part] == list(row.records)


@pytest.mark.parametrize("form", ["myst", "html", "markdown", "latex"])
def test_a_table_of_which_the_paper_prints_nothing_has_no_column_for_it(form: str) -> None:
    own = [replace(row, published=None) for row in ROWS]
    assert "Paper" in FORMS[form](ROWS)
    assert "Paper" not in FORMS[form](own)
    assert "measured" in FORMS[form]([replace(row, verdict=Verdict("measured")) for row in own])


def test_subscripts_of_tex_read_as_words() -> None:
    rows = [replace(ROW, label=f"Method=PGD;Source={source}") for source in ("A", "A _{nat}")]
    assert "A<sub>nat</sub>" in page_tables.to_html(rows)
    assert "A<sub>nat</sub>" in page_tables.to_myst(rows, name="t", caption="c")


# The authors' own network ------------------------------------------------------------------------------------

THEIRS = replace(
    ROW,
    values=(93.21,),
    evidence="authors' network",
    verdict=Verdict("confirmed", "difference +0.01, allowed 0.05"),
    records=("results/full/mnist-a-released_x-s0/pgd-0a0b0c0d.json",),
    footnotes=("settings not printed", "† 20 rows of the data are not the official bytes"),
)
WITH = [replace(ROW, authors=THEIRS), OTHER]


def test_the_authors_network_has_a_column_where_any_row_has_one() -> None:
    head = "Authors' network"
    plain, shown = (tables.to_markdown(rows).splitlines() for rows in (ROWS, WITH))
    assert head not in plain[0]
    heads = [cell.strip() for cell in shown[0].strip("| ").split(" | ")]
    assert heads.index(head) == heads.index("Paper (%)") + 1
    cell = f"93.21 confirmed [record](<{THEIRS.records[0]}>) a †"
    assert f"| {cell} | 92.97" in shown[2]
    assert "| 95.7 ? | – | – † b |" in shown[3]
    # A footnote that both columns share stands once.
    assert "\n".join(shown).count("rows of the data") == 1
    myst = page_tables.to_myst(WITH, name="t", caption="Some")
    assert 'verdict-confirmed">confirmed</span>' in myst
    soup = BeautifulSoup(page_tables.to_html(WITH, link="../"), "html.parser")
    links = [a["href"] for a in soup.select("tbody tr:first-of-type td:nth-of-type(3) a")]
    assert links == [f"../{THEIRS.records[0]}"]
    assert "93.21 confirmed" in exports.to_latex(WITH, label="t", caption="Some")


def test_draws_on_one_released_network_are_no_seeds_of_networks() -> None:
    several = replace(THEIRS, values=(93.2, 93.3), records=("a-s0/x.json", "a-s1/x.json"))
    assert [words for words, _ in record_names(several)] == ["draw 1", "draw 2"]


def test_exports_carry_the_authors_network_where_any_row_has_one() -> None:
    assert "authors" not in tables.to_dicts(ROWS)[0]
    first, second = tables.to_dicts(WITH)
    assert (first["authors"], first["authors_verdict"], first["authors_n"]) == (93.21, "confirmed", 1000)
    assert first["authors_difference"] == pytest.approx(0.01)
    assert first["authors_records"] == list(THEIRS.records)
    assert (second["authors"], second["authors_verdict"], second["authors_records"]) == (None, None, [])
    lines = list(csv.DictReader(io.StringIO(exports.to_csv(WITH))))
    assert (lines[0]["authors"], lines[0]["authors_records"], lines[1]["authors"]) == ("93.21", THEIRS.records[0], "")
