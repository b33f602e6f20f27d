"""Figures on their way into the site: files for each theme and layout, and the HTML that shows the one that fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from robustlib.book.drawings import place_drawings
from robustlib.book.site_check import check_site
from robustlib.report.plots import vector

WIDE = '<svg width="468pt" height="180pt"><path style="stroke: #0072b2"/></svg>'
NARROW = '<svg width="266.4pt" height="360pt"><path style="stroke: #0072b2"/></svg>'
PNG = "iVBORw0KGgo="


def _notebook(folder: Path, *cells: tuple[dict[str, Any], dict[str, Any]]) -> Path:
    """A notebook with an output a cell: (metadata of the cell, data of the output)."""
    made = nbformat.v4.new_notebook()
    for metadata, data in cells:
        output = nbformat.v4.new_output("display_data", data, metadata={"image/png": {"alt": 'It "falls" < 1.'}})
        made.cells.append(nbformat.v4.new_code_cell("show()", metadata=metadata, outputs=[output]))
    folder.mkdir(exist_ok=True)
    nbformat.write(made, folder / "01_x.ipynb")
    return folder / "01_x.ipynb"


@pytest.fixture
def data() -> dict[str, Any]:
    packed = {"wide": vector.pack(WIDE), "narrow": vector.pack(NARROW), vector.CSV: vector.pack("x,y\n1,2\n")}
    return {"image/png": PNG, "text/plain": "It falls.", vector.MIME: packed}


def test_each_figure_becomes_four_files_and_one_place(tmp_path: Path, data: dict[str, Any]) -> None:
    named = {"mystnb": {"figure": {"name": "fig-one", "caption": "C."}}}
    path = _notebook(tmp_path / "notebooks", (named, data), ({}, data))
    place_drawings(path.parent, tmp_path / "figures")
    files = {file.name: file.read_text() for file in (tmp_path / "figures").iterdir()}
    ends = ("", "-narrow", "-dark", "-narrow-dark")
    stems = ("fig-one", "fig-01_x-2")
    assert set(files) == {f"{s}{end}.svg" for s in stems for end in ends} | {f"{s}.csv" for s in stems}
    assert files["fig-one.csv"] == "x,y\n1,2\n"
    assert files["fig-one.svg"] == WIDE
    assert files["fig-one-narrow-dark.svg"] == vector.darkened(NARROW) != NARROW
    cells = json.loads(path.read_text())["cells"]
    output = cells[0]["outputs"][0]
    page = "".join(output["data"]["text/html"])
    assert set(output["data"]) == {"text/html", "text/plain"}
    assert '<a href="../_static/figures/fig-one.csv" download>data (CSV)</a>' in page
    assert "@misc{robustlib-fig-one,\n  title = {C}," in page
    assert page.count('alt="It &quot;falls&quot; &lt; 1."') == 2
    assert 'width="624" height="240"' in page
    assert 'media="(max-width: 600px)" srcset="../_static/figures/fig-one-narrow-dark.svg"' in page
    assert cells[0]["metadata"]["mystnb"] == named["mystnb"]


def test_a_figure_without_layouts_keeps_its_png(tmp_path: Path, data: dict[str, Any]) -> None:
    del data[vector.MIME]
    path = _notebook(tmp_path / "notebooks", ({}, data))
    before = path.read_bytes()
    place_drawings(path.parent, tmp_path / "figures")
    assert path.read_bytes() == before
    assert list((tmp_path / "figures").iterdir()) == []


def test_a_printed_book_is_one_page_that_waits_for_its_pictures(tmp_path: Path, data: dict[str, Any]) -> None:
    path = _notebook(tmp_path / "notebooks", ({}, data))
    place_drawings(path.parent, tmp_path / "figures", printed=True)
    page = path.read_text()
    assert 'src=\\"_static/figures' in page
    assert "lazy" not in page
    assert "download" not in page


def test_a_dark_drawing_has_no_part_in_a_pages_weight(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(
        "<html><img class='only-light' src='a.svg' alt='a'><img class='only-dark' src='b.svg' alt='a'></html>"
    )
    for name in ("a.svg", "b.svg"):
        (tmp_path / name).write_text("x" * 1_500_000)
    assert check_site(tmp_path) == []
