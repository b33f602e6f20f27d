"""Faults of a built site that Sphinx does not see: outside requests, missing alt text, raw links, errors, size."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

HEAVIEST = 3e6
"""Bytes of a page and its pictures; scripts and styles that all pages share are loaded once."""
MOST_ELEMENTS = 40_000
"""Elements of a page: to lay out a thousand of them a browser computes for about a tenth of a second."""
# Elements that a browser fetches by itself, and the attribute that says from where.
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "link": "href"}
# <link> relations that fetch nothing.
PASSIVE = {"canonical", "next", "prev", "author", "license", "search", "index", "help", "copyright"}
ERRORS = {"traceback", "highlight-ipythontb", "system-message"}
"""Classes of elements that a failed cell or unreadable markup leaves on a page."""
_ELSEWHERE = ("http:", "https:", "//")
_STYLED = re.compile(r"(?:url\(\s*|@import\s+)['\"]?((?:https?:)?//[^)'\"\s]+)")


class Page(HTMLParser):
    """Elements of a page, each with its attributes, and the text of its styles."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.styles = ""
        self.feed(path.read_text(encoding="utf-8"))
        self.ids = Counter(attributes["id"] for _, attributes in self.elements if "id" in attributes)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.styles += data if self.lasttag == "style" else ""

    def all(self, tag: str) -> list[dict[str, str]]:
        """Attributes of every element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]


def _requests(page: Page) -> Iterator[str]:
    for tag, attribute in FETCHED.items():
        for element in page.all(tag):
            relations = set(element.get("rel", "").split())
            passive = tag == "link" and relations and relations <= PASSIVE
            if not passive and element.get(attribute, "").startswith(_ELSEWHERE):
                yield f"<{tag}> fetches {element[attribute]}"
    yield from (f"a style fetches {address}" for address in _STYLED.findall(page.styles))


def _broken_links(page: Page, site: Path, pages: dict[Path, Page]) -> Iterator[str]:
    for href in (element.get("href", "") for element in page.all("a")):
        parts = urlsplit(href)
        if parts.scheme or parts.netloc:
            continue
        target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
        target = target / "index.html" if target.is_dir() else target
        if not target.is_relative_to(site) or not target.exists():
            yield f"link to {href}: no such page"
        elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
            yield f"link to {href}: no such anchor"


def _contents(page: Page) -> Iterator[str]:
    images = page.all("img")
    for image in images:
        if not image.get("alt", "").strip():
            yield f"picture {image.get('src', '')[:80]} has no alt text"
    for _, attributes in page.elements:
        if wrong := ERRORS & set(attributes.get("class", "").split()):
            yield f"an error output: {' '.join(wrong)}"
    yield from (f"id {name!r} is there {count} times" for name, count in page.ids.items() if count > 1)
    # A drawing for dark pages comes in the place of the one for light pages.
    shown = [image for image in images if "only-dark" not in image.get("class", "").split()]
    sources = {urlsplit(image.get("src", "")) for image in shown}
    files = {page.path.parent / unquote(source.path) for source in sources if source.path and not source.scheme}
    weight = sum(file.stat().st_size for file in {page.path, *files} if file.exists())
    if weight > HEAVIEST:
        yield f"{weight:,} bytes with its pictures; split it"
    if len(page.elements) > MOST_ELEMENTS:
        yield f"{len(page.elements):,} elements; split it"


def check_site(site: Path) -> list[str]:
    """All faults of a built site, one line each.

    Args:
        site: the folder that holds ``index.html``.
    """
    site = site.resolve()
    if not (site / "index.html").exists():
        return [f"{site}: no index.html; run `make book`"]
    pages = {path: Page(path) for path in sorted(site.rglob("*.html")) if "_static" not in path.parts}
    faults = []
    for path in sorted(site.rglob("*.css")):
        text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8", errors="replace"), flags=re.DOTALL)
        faults += [f"{path.relative_to(site)}: fetches {address}" for address in _STYLED.findall(text)]
    for path, page in pages.items():
        for found in (_requests(page), _broken_links(page, site, pages), _contents(page)):
            faults += [f"{path.relative_to(site)}: {fault}" for fault in found]
    return faults
