"""What pages offer beside the text: tables that sort, curves with a slider, downloads, buttons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import docutils.nodes
import pytest
import yaml

from robustlib.book.site import with_buttons
from robustlib.book.sphinx_extension import with_folds
from tests.book.browser import Browser, executable

LINES = [("0", "99.0", "high"), ("0.1", "–", "low"), ("0.2", "1,042", "low"), ("0.3", "−7.5", "high")]
HEADS = "<thead><tr><th>eps</th><th><p>ours</p></th><th>word</th></tr></thead>"
ROWS = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in line)}</tr>" for line in LINES)


@pytest.fixture(scope="module")
def page(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A page with a table and, made of the same rows, a curve."""
    path = executable()
    if path is None:
        pytest.skip("no Chromium on this machine")
    target = tmp_path_factory.mktemp("page") / "page.html"
    script = (root / "book/_static/reader.js").as_uri()
    table = f"<table class='{{}}'>{HEADS}<tbody>{ROWS}</tbody></table>"
    folds = "<details class='answer'>a</details><details class='table-tools'>b</details>"
    grid = [("k", "a, ours", "a, paper", "b, ours"), ("1", "81", "92", "70"), ("2", "80", "91", "71")]
    lines = [f"<tr><th>{'</th><th>'.join(grid[0])}</th></tr>"]
    lines += [f"<tr><td>{'</td><td>'.join(cells)}</td></tr>" for cells in grid[1:]]
    pair = f"<table class='curve-table'><thead>{lines[0]}</thead><tbody>{''.join(lines[1:])}</tbody></table>"
    tables = f"{table.format('plain')}{table.format('curve-table')}{pair}"
    body = f"<article class='bd-article'>{tables}{folds}</article>"
    target.write_text(f"<!doctype html><meta charset='utf-8'><script src='{script}'></script>{body}", encoding="utf-8")
    with Browser(path) as browser:
        browser.open(target, width=390, theme="light")
        assert browser.errors == []
        yield browser


def _column(page: Browser, head: int) -> list[str]:
    """First column after the head's button was pressed."""
    page.evaluate(f"document.querySelectorAll('table.plain button')[{head}].click()")
    cells = "[...document.querySelectorAll('table.plain td:first-child')]"
    values: list[str] = page.evaluate(f"{cells}.map(cell => cell.innerText)")
    return values


def test_a_head_sorts_its_column_up_and_down_and_nothing_stays_last(page: Browser) -> None:
    assert _column(page, 1) == ["0.3", "0", "0.2", "0.1"]
    assert page.evaluate("document.querySelector('table.plain [aria-sort]').getAttribute('aria-sort')") == "ascending"
    assert _column(page, 1) == ["0.2", "0", "0.3", "0.1"]
    assert _column(page, 0) == ["0", "0.1", "0.2", "0.3"]
    assert page.evaluate("document.querySelectorAll('table.plain [aria-sort]').length") == 1


def test_a_head_is_reached_and_pressed_by_keyboard(page: Browser) -> None:
    page.evaluate("document.querySelectorAll('table.plain button')[0].focus()")
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r")
    assert page.evaluate("document.querySelector('table.plain [aria-sort]').innerText") == "eps"


def test_the_slider_reads_out_the_table(page: Browser) -> None:
    move = "(i => {const s = document.querySelector('.curve input'); s.value = i; s.dispatchEvent(new Event('input'))})"
    for place, line in enumerate(LINES):
        page.evaluate(f"{move}({place})")
        said = page.evaluate("[...document.querySelector('.curve output').children].map(e => e.textContent)")
        assert said == [f"{head}: {cell}" for head, cell in zip(("eps", "ours", "word"), line, strict=True)]
        spoken = page.evaluate("document.querySelector('.curve input').getAttribute('aria-valuetext')")
        assert spoken == f"eps {line[0]}"
    # Three of the four have a number.
    assert page.evaluate("document.querySelector('.curve polyline').points.length") == 3


def test_a_name_has_one_colour_and_the_papers_line_is_dashed(page: Browser) -> None:
    parts = "[...document.querySelectorAll('.curve')[1].querySelectorAll('{}')].map(part => part.{})"
    styles = page.evaluate(parts.format("polyline", "className.baseVal"))
    assert styles == ["curve-0", "curve-1", "curve-2"]
    ends = page.evaluate(parts.format("text", "textContent"))
    assert ends == ["70", "100", "1", "2"]  # no line below the half: the axis begins where the lines do


def test_answers_unfold_on_paper_and_downloads_do_not(page: Browser) -> None:
    opened = "[...document.querySelectorAll('details')].map(fold => fold.open)"
    assert page.evaluate(opened) == [False, False]
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(opened) == [True, False]


@pytest.mark.parametrize(("builder", "up"), [("html", "../"), ("singlehtml", "")])
def test_a_table_of_an_item_offers_its_files(tmp_path: Path, builder: str, up: str) -> None:
    tables = tmp_path / "static" / "tables"
    tables.mkdir(parents=True)
    for stem in ("p2018-table-1", "p2018-table-1-mnist"):
        (tables / f"{stem}.bib").write_text(f"@misc{{{stem}, note = {{<records>}}}}")
    page = SimpleNamespace(docname="notebooks/a")
    app = SimpleNamespace(srcdir=tmp_path, builder=SimpleNamespace(name=builder), env=page)
    document = docutils.nodes.section()
    for name in ("table-p2018-table-1-mnist-whole", "table-p2018-table-1", "other", "table-p2018-table-10"):
        document += docutils.nodes.table(names=[name])
    with_folds(app, document)
    shown = [child.astext() if isinstance(child, docutils.nodes.raw) else "table" for child in document.children]
    assert [text == "table" for text in shown] == [True, False, True, False, True, True]
    assert f'href="{up}_static/tables/p2018-table-1-mnist.csv"' in shown[1]
    assert f'href="{up}_static/tables/p2018-table-1.tex"' in shown[3]
    assert "&lt;records&gt;" in shown[3]


def test_one_address_turns_the_buttons_on(root: Path) -> None:
    config = (root / "_config.yml").read_text(encoding="utf-8")
    assert with_buttons(config) == config
    changed = yaml.safe_load(with_buttons(config.replace('url: ""', "url: https://example.org/book")))
    assert all(changed["html"][f"use_{kind}_button"] for kind in ("issues", "repository", "edit_page"))
    assert changed["launch_buttons"].keys() >= {"binderhub_url", "colab_url"}
    assert changed["sphinx"] == yaml.safe_load(config)["sphinx"]
