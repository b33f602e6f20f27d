"""The built book in a browser: both themes, wide and narrow, accessibility, the page with the drawing."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from robustlib.book import site as site_module
from tests.book.browser import Browser, executable

pytestmark = pytest.mark.timeout(1800)  # the site is built first, which on busy cores takes many minutes
KINDS = (
    "index",
    "book/how_to_read",
    "book/demo",
    "book/explore",
    "book/slides",
    "book/protocol",
    "records/index",
    "records/full-madry2018",
    "api/robustlib.attacks",
    "notebooks/03_scaling_provable_defenses",
    "notebooks/04_madry",
    "notebooks/06_comparison",
)
"""A page of each kind."""
LONGEST = "records/quick-papernot2016"


def _sound(site: Path, name: str, browser: Browser, width: int, theme: str) -> None:
    """No sideways scrolling, no request beyond the disk, no script error, every equation understood."""
    browser.open(site / f"{name}.html", width=width, theme=theme)
    where = f"{name} at {width} px, {theme}"
    assert browser.evaluate("document.documentElement.dataset.theme") == theme, where
    assert browser.evaluate("document.documentElement.scrollWidth") <= width, f"{where}: scrolls sideways"
    elsewhere = [url for url in browser.requests if not url.startswith(("file:", "data:", "blob:"))]
    assert elsewhere == [], where
    assert browser.errors == [], where
    assert browser.evaluate("document.querySelectorAll('mjx-merror, [data-mjx-error]').length") == 0, where
    raw = "[...document.querySelectorAll('.math')].filter(e => !e.querySelector('mjx-container')).length"
    assert browser.evaluate(raw) == 0, f"{where}: equations not drawn"
    letters = "[...document.querySelectorAll('mjx-container svg text')].map(e => e.textContent)"
    assert browser.evaluate(letters) == [], f"{where}: letters that are not in the equations' font"
    if name.startswith("notebooks/"):
        _fits(site, name, browser, width)


HEAVIEST = 2.5e6
"""Bytes of a first visit to a chapter: page, scripts, styles, fonts, and the pictures in view."""
WIDE = (
    "[...document.querySelectorAll('.bd-article details')].forEach(e => e.open = true),"
    "[...document.querySelectorAll('table.robust-table')].filter(t => t.scrollWidth > t.clientWidth + 1).map(t => t.id)"
)
"""Tables of results that scroll sideways, what is folded included."""
FIRST = "[...document.querySelectorAll('table.robust-table td:first-child')].map(e => getComputedStyle(e).position)"


def _fits(site: Path, name: str, browser: Browser, width: int) -> None:
    """The chapter that is open is light, and its tables fit; on a phone their first column stays instead."""
    files = {Path(unquote(urlsplit(url).path)) for url in browser.requests if url.startswith("file:")}
    assert site / f"{name}.html" in files
    assert sum(file.stat().st_size for file in files) <= HEAVIEST, name
    if width > 1000:
        assert browser.evaluate(WIDE) == [], name
    elif browser.evaluate("document.querySelector('table.robust-table') !== null"):
        assert set(browser.evaluate(FIRST)) == {"sticky"}, name


def test_every_page_of_the_contents_is_sound_where_it_is_narrow(root: Path, site: Path, browser: Browser) -> None:
    """Pages of each kind in the dark, which are looked at in both themes where they are wide."""
    for name in ["index", LONGEST, *re.findall(r"file: (\S+)", (root / "_toc.yml").read_text(encoding="utf-8"))]:
        _sound(site, name, browser, 390, "dark" if name in KINDS else "light")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_page_of_each_kind_is_sound_and_accessible_where_it_is_wide(
    root: Path, site: Path, browser: Browser, theme: str
) -> None:
    """And axe-core finds nothing serious."""
    axe = root / "_build/node_modules/axe-core/axe.min.js"
    for name in KINDS:
        _sound(site, name, browser, 1280, theme)
        if not axe.exists():
            continue
        # What was unfolded a moment ago still fades in, and would be too pale.
        browser.evaluate("document.getAnimations().forEach(each => each.finish()); 1")
        browser.evaluate(axe.read_text(encoding="utf-8") + "; 1")
        # The text of the page; what stands round it is the theme's.
        found = browser.evaluate(
            "axe.run('.bd-article', {resultTypes: ['violations']}).then(result => result.violations"
            ".filter(v => ['serious', 'critical'].includes(v.impact))"
            ".map(v => `${v.id}: ${v.nodes.slice(0, 3).map(n => n.html.slice(0, 160)).join(' | ')}`))"
        )
        assert found == [], f"{name}, {theme}"
    if not axe.exists():
        pytest.skip("sound; no axe-core: npm install --prefix _build --no-save axe-core@4.10.3")


def test_a_digit_is_drawn_attacked_and_certified(site: Path, browser: Browser) -> None:
    """By keyboard alone: a stroke, a sample, the attack; what is said names a class and both bounds."""
    browser.open(site / "book/demo.html", width=390, theme="light")
    if not browser.evaluate("ROBUSTLIB_NETWORK !== null"):
        assert "No network" in browser.evaluate("document.getElementById('digit-demo').innerText")
        pytest.skip("weights/ has no network that the page understands")
    browser.evaluate("document.getElementById('demo-drawing').focus()")
    for key in (" ", "ArrowDown", "ArrowDown"):
        browser.call("Input.dispatchKeyEvent", type="keyDown", key=key)
    assert "The network says" in browser.evaluate("document.getElementById('demo-answer').innerText")
    choose = "(s => {s.value = '0'; s.dispatchEvent(new Event('change'))})(document.getElementById('demo-sample'))"
    browser.evaluate(choose)
    browser.evaluate("document.getElementById('demo-attack').click()")
    findings = browser.evaluate("document.getElementById('demo-findings').innerText")
    assert [word in findings for word in ("PGD", "Interval bound", "Dual bound")] == [True] * 3
    assert browser.evaluate("document.documentElement.scrollWidth") <= 390


def test_theme_can_be_switched(site: Path, browser: Browser) -> None:
    browser.open(site / "book/how_to_read.html", width=1280, theme="light")
    ground = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    # The switch goes round three states: light, as the system has it, dark.
    for _ in range(2):
        browser.evaluate("document.querySelector('.theme-switch-button').click()")
    assert browser.evaluate("document.documentElement.dataset.theme") == "dark"
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") != ground


@pytest.mark.slow
def test_the_book_prints(site: Path, root: Path, tmp_path: Path) -> None:
    """One page for printing builds as strictly as the site, and Chromium makes a PDF of it."""
    path = executable()
    if path is None:
        pytest.skip("no Chromium on this machine")
    # From the notebooks and pages that the site was made of.
    assert site == root / "_build" / "html"
    single = site_module.sphinx(site_module.stage(root, site.parent, "singlehtml"), tmp_path, "singlehtml")
    with Browser(path) as browser:
        browser.open(single / "index.html", width=1280, theme="light")
        target = tmp_path / "book.pdf"
        browser.print(target)
    assert target.read_bytes().startswith(b"%PDF")
    assert target.stat().st_size > 50_000
