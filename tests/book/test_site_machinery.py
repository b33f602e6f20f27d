"""The site's own tools, on small made-up sites."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import docutils.nodes as nodes
import pytest
import sphinx.addnodes as addnodes

from robustlib.book import site as site_module
from robustlib.book.api_pages import modules, write_api_pages
from robustlib.book.site_check import check_site
from robustlib.book.sphinx_extension import escaped, short_sidebar
from robustlib.errors import RobustlibError


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("<a href='nowhere.html'>x</a>", "no such page"),
        ("<a href='#nowhere'>x</a>", "no such anchor"),
        ("<a href='../outside.html'>x</a>", "no such page"),
        ("<img src='a.png'>", "no alt text"),
        ("<img src='a.png' alt=' '>", "no alt text"),
        ("<script src='https://cdn.example/x.js'></script>", "fetches https://cdn.example/x.js"),
        ("<link rel='stylesheet' href='//fonts.example/x.css'>", "fetches //fonts.example"),
        ("<style>body { background: url(http://x.example/a.png) }</style>", "a style fetches"),
        ("<div class='output traceback'>Boom</div>", "an error output"),
        ("<p id='a'></p><p id='a'></p>", "id 'a' is there 2 times"),
        ("<!-- " + "x" * 3_000_000 + " -->", "bytes with its pictures"),
        ("<br>" * 40_000, "40,002 elements"),
    ],
)
def test_each_fault_is_found(tmp_path: Path, body: str, fault: str) -> None:
    (tmp_path / "index.html").write_text(f"<html><body>{body}</body></html>")
    (found,) = check_site(tmp_path)
    assert found.startswith("index.html: ")
    assert fault in found


def test_a_sound_page_has_no_fault(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(
        "<html><body id='top'><a href='#top'>x</a><a href='index.html#'>y</a><a href='https://example.org'>z</a>"
        "<img src='a.png' alt='a'><link rel='canonical' href='https://example.org'></body></html>"
    )
    assert check_site(tmp_path) == []


def test_style_sheets_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<html></html>")
    (tmp_path / "x.css").write_text("/* https://a.example */ @import 'https://b.example/y.css';")
    (fault,) = check_site(tmp_path)
    assert "b.example" in fault


def test_no_site_is_a_fault_with_a_remedy(tmp_path: Path) -> None:
    assert "make book" in check_site(tmp_path)[0]


def _small_book(folder: Path, page: str) -> Path:
    folder.mkdir()
    (folder / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    (folder / "_config.yml").write_text('title: T\nonly_build_toc_files: true\nexecute: {execute_notebooks: "off"}\n')
    (folder / "index.md").write_text(page)
    return folder


def test_a_warning_stops_the_build(tmp_path: Path) -> None:
    book = _small_book(tmp_path / "src", "# T\n\n```{include} generated/missing.md\n```\n")
    with pytest.raises(RobustlibError, match=r"missing\.md"):
        site_module.sphinx(book, tmp_path)


def test_digest_sees_every_edit_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    page = tmp_path / "book" / "a.md"
    page.write_text("one")
    before = site_module.source_digest(tmp_path)
    (tmp_path / "elsewhere.md").write_text("x")
    assert site_module.source_digest(tmp_path) == before
    page.write_text("two")
    assert site_module.source_digest(tmp_path) != before


def test_generator_that_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_generator.py").write_text("def main(argv): return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RobustlibError, match="broken_generator"):
        site_module.generate(tmp_path / "out", "broken_generator")


def test_api_pages_list_public_modules(tmp_path: Path) -> None:
    package = tmp_path / "pack"
    (package / "sub").mkdir(parents=True)
    (package / "__init__.py").write_text('"""All of it."""\n')
    (package / "one.py").write_text('"""First | one."""\n')
    (package / "_hidden.py").write_text("")
    (package / "sub" / "__init__.py").write_text('"""Below."""\n')
    (package / "sub" / "two.py").write_text("")
    assert {page: [name for name, _ in found] for page, found in modules(package).items()} == {
        "pack": ["pack", "pack.one"],
        "pack.sub": ["pack.sub", "pack.sub.two"],
    }
    write_api_pages(package, tmp_path / "api")
    assert "First \\| one." in (tmp_path / "api/modules.txt").read_text()
    assert ".. automodule:: pack.sub.two\n   :members:" in (tmp_path / "api/pack.sub.md").read_text()


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("x^{t+1} = a * b_", r"x^{t+1} = a \* b\_"),
        ("keep ``a*b_`` as it is", "keep ``a*b_`` as it is"),
        ("|x|", r"\|x\|"),
        ("l_inf stays", "l_inf stays"),
    ],
)
def test_docstring_markup_is_made_plain(line: str, wanted: str) -> None:
    assert escaped(line) == wanted


def test_a_printed_book_keeps_the_numbers_of_records_and_leaves_out_the_library(tmp_path: Path) -> None:
    for folder in ("records", "api", "book"):
        (tmp_path / folder).mkdir()
    (tmp_path / "book" / "api.md").write_text("# API\n")
    (tmp_path / "_toc.yml").write_text("root: index\nparts:\n- chapters: [{file: book/cite}, {file: book/api}]\n")
    numbers = "# Paper (quick)\n\n## net\n\n{}(record-x)=\n### clean\n\n| a | b |\n|---|---|\n| accuracy | 0.5 |\n\n{}"
    fold = '<details class="specification"><summary>how</summary>\n\n- settings\n\n</details>\n'
    (tmp_path / "records" / "quick-paper.md").write_text(numbers.format(fold, fold))
    site_module._shorten(tmp_path)
    assert (tmp_path / "records" / "quick-paper.md").read_text() == numbers.format("", "")
    assert "book/cite" in (tmp_path / "_toc.yml").read_text()
    assert "api" not in (tmp_path / "_toc.yml").read_text()
    assert not (tmp_path / "api").exists()


def _contents() -> nodes.bullet_list:
    """A page with a title, two headings, and two pages below it."""

    def entry(anchor: str, *below: nodes.Node) -> nodes.list_item:
        link = nodes.reference("", anchor or "Title", refuri="page", anchorname=anchor)
        return nodes.list_item("", addnodes.compact_paragraph("", "", link), *below)

    pages = addnodes.toctree("", entries=[(None, "a"), (None, "b")])
    return nodes.bullet_list("", entry("", nodes.bullet_list("", entry("#one"), entry("#two"), pages)))


def test_the_sidebar_is_made_from_titles_and_pages_and_the_headings_stay_for_the_page() -> None:
    whole = {"page": _contents()}
    app = Mock(env=Mock(tocs=whole))
    app.builder.name = "html"
    seen = []
    context: dict[str, Any] = {"toctree": lambda **options: seen.append(app.env.tocs["page"])}
    short_sidebar(app, "page", "", context, None)
    context["toctree"](titles_only=True)
    context["toctree"](titles_only=False)
    (short, long) = seen
    assert [link["anchorname"] for link in short.findall(nodes.reference)] == [""]
    assert len(list(short.findall(addnodes.toctree))) == 1
    assert long is whole["page"] is app.env.tocs["page"]
    assert [link["anchorname"] for link in long.findall(nodes.reference)] == ["", "#one", "#two"]
