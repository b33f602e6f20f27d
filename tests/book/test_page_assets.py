"""Head of a page and what it loads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from robustlib.book import mathjax_files, page_assets

SCRIPT = (
    'x={"arrow-up":[384,512,[8593],"f062","M1"],sun:[512,512,[9728],"f185","M2"],duo:[5,5,["old-name"],"f0",["a","b"]]}'
)


@pytest.mark.parametrize(
    ("used", "kept"),
    [({"sun"}, ["sun"]), ({"old-name"}, ["duo"]), ({"arrow-up", "sun"}, ["arrow-up", "sun"]), (set(), [])],
)
def test_only_icons_that_a_page_names_stay(used: set[str], kept: list[str]) -> None:
    text = page_assets.keep_icons(SCRIPT, used)
    assert re.findall(r"arrow-up|sun|duo", text) == kept
    assert text.startswith("x={")
    assert text.endswith("}")


def test_icons_are_looked_for_in_pages_and_scripts(tmp_path: Path) -> None:
    script = tmp_path / page_assets.ICONS
    script.parent.mkdir(parents=True)
    script.write_text(SCRIPT)
    (tmp_path / "index.html").write_text('<i class="fa-solid fa-sun"></i>')
    (script.parent / "theme.js").write_text('"fa-arrow-up"')
    styles = tmp_path / page_assets.STYLES
    styles.parent.mkdir()
    styles.write_text(
        '.fa-sun:before{content:"\\f1"}.fa-duo:before,.fa-old:before{content:"\\f2"}.fa-1x{font-size:1em}'
    )
    page_assets.trim_icons(tmp_path)
    assert re.findall(r"arrow-up|sun|duo", script.read_text()) == ["arrow-up", "sun"]
    assert styles.read_text() == '.fa-sun:before{content:"\\f1"}.fa-1x{font-size:1em}'


def test_pictures_after_the_first_wait_for_the_view() -> None:
    assert page_assets.lazy_images("<p>no picture</p>") == "<p>no picture</p>"
    text = page_assets.lazy_images('<img src="a"><img src="b"><img src="c">')
    assert (
        text
        == '<img src="a"><img loading="lazy" decoding="async" src="b"><img loading="lazy" decoding="async" src="c">'
    )


def test_links_within_the_book_hold_their_words_alone() -> None:
    inside = '<a class="reference internal" href="a.html#b"><span class="std std-ref">95.5 &lt; 96</span></a>'
    outside = '<a class="reference external" href="https://a"><span class="std std-ref">b</span> c</a>'
    assert page_assets.plain_links(inside + outside) == '<a href="a.html#b">95.5 &lt; 96</a>' + outside


def test_a_description_is_the_first_paragraph_that_says_something() -> None:
    long = "word " * 60
    assert page_assets.described(["Short.", f"  {long}\n"]).endswith("word …")
    assert len(page_assets.described([long])) <= page_assets.LONGEST + 2
    assert page_assets.described(["Short."]) == ""
    assert page_assets.described([f"{'word ' * 15}[1, 2] end"]).endswith("word end")
    text = page_assets.metatags('A "quoted" text', "T", "../")
    assert '<meta name="description" content="A &quot;quoted&quot; text" />' in text
    assert f'content="../{page_assets.PICTURE}"' in text
    assert "description" not in page_assets.metatags("", "T", "")


def test_the_font_keeps_the_letters_that_equations_use(root: Path) -> None:
    folder = root / "book/_mathjax/mathjax"
    assert all((folder / name).is_file() for name in (*mathjax_files.PARTS, mathjax_files.FONT))
    font = (folder / mathjax_files.FONT).read_text(encoding="utf-8")
    # Subsetting a subset changes nothing.
    assert mathjax_files.subset(font) == font
    # Italic x, double-struck E and R, and no bold script A.
    for code in (0x1D465, 0x1D53C, 0x211D):
        assert re.search(rf'\b{code}:"\w', font), hex(code)
    assert not re.search(rf'\b{0x1D4D0}:"', font)
