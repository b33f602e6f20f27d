"""The built book as files: links, requests, pictures, contents, what is generated."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup

from robustlib.book import pages
from robustlib.book.site_check import check_site
from robustlib.report.verdicts import COMPARING

pytestmark = pytest.mark.timeout(1800)  # the site is built first, which on busy cores takes many minutes


def test_every_link_picture_and_request_of_the_site_is_sound(site: Path) -> None:
    assert check_site(site) == []


def test_every_page_of_the_contents_was_built(root: Path, site: Path) -> None:
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    listed = [toc["root"], *re.findall(r"file: (\S+)", (root / "_toc.yml").read_text(encoding="utf-8"))]
    for name in listed:
        assert (site / f"{name}.html").exists(), name


def test_every_notebook_is_in_the_contents(root: Path) -> None:
    toc = (root / "_toc.yml").read_text(encoding="utf-8")
    for source in (root / "notebooks").glob("[0-9]*.py"):
        assert f"notebooks/{source.stem}" in toc, f"{source.name} is not in _toc.yml: the book would leave it out"


def test_every_module_is_in_the_reference(root: Path, site: Path) -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (site / "api").glob("*.html"))
    for path in (root / "robustlib").rglob("[a-z]*.py"):
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        assert f'id="module-{name}"' in text, name


def test_generated_files_are_the_same_when_made_again(site: Path, tmp_path: Path) -> None:
    """For one item's tables and all that is generated for the book as a whole, but for what everything costs."""
    pages.generate(tmp_path, names=["madry2018/table-1"])
    whole = site.parent / "generated"
    again = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {"tables/madry2018-table-1.csv", "scorecard.md", "slides.md", "records/index.md"} <= set(map(str, again))
    assert [str(name) for name, content in again.items() if content != (whole / name).read_bytes()] == []
    assert len(list(again)) > 25


def test_the_scorecard_has_every_item(root: Path, site: Path) -> None:
    front = BeautifulSoup((site / "index.html").read_text(encoding="utf-8"), "html.parser").get_text()
    lines = []
    for path in sorted((root / "robustlib/papers").glob("*/items.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            lines += list(csv.DictReader(file))
    titles = [line["title"] for line in lines]
    assert len([line for line in lines if line["source"] != "this book"]) == 68
    assert [title for title in titles if title not in front.replace("’", "'")] == []


def test_pages_hold_no_machine_paths(root: Path, site: Path) -> None:
    for path in site.rglob("*.html"):
        assert str(root) not in path.read_text(encoding="utf-8"), path


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_badges_have_contrast_in_both_themes(root: Path) -> None:
    css = (root / "book/_static/custom.css").read_text(encoding="utf-8")
    themes = re.findall(r"^html(?:\[data-theme=\"dark\"\])? \{(.*?)\}", css, flags=re.DOTALL | re.MULTILINE)
    assert len(themes) == 2
    for theme in themes:
        colours = dict(re.findall(r"(--v-[a-z-]+): (#[0-9a-f]{6})", theme))
        for name in (key for key in colours if not key.endswith("-g")):
            low, high = sorted((_luminance(colours[name]), _luminance(colours[f"{name}-g"])))
            assert (high + 0.05) / (low + 0.05) >= 4.5, name


def test_every_verdict_has_a_style(root: Path) -> None:
    css = (root / "book/_static/custom.css").read_text(encoding="utf-8")
    for name in COMPARING:
        assert re.search(rf"\.verdict-{name.replace(' ', '-')}[ ,]", css), name
