"""What is looked over in a built site: links, requests, pictures, errors, markup, size."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from .markup import markup_faults

HEAVIEST = 3e6
"""Bytes of a page and its pictures; scripts and styles that all pages share are loaded once."""
# Elements that a browser fetches by itself, and the attribute that says from where.
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "link": "href"}
# <link> relations that fetch nothing.
PASSIVE = {"canonical", "next", "prev", "author", "license", "search", "index", "help", "copyright"}


def _soup(path: Path) -> Any:
    from bs4 import BeautifulSoup

    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def pages(site: Path) -> dict[Path, Any]:
    """Every page of the site, parsed."""
    return {path: _soup(path) for path in sorted(site.rglob("*.html")) if "_static" not in path.parts}


def _anchors(page: Any) -> set[str]:
    """What a link to this page may point at; the empty fragment is its top."""
    return {str(element.get("id") or element.get("name")) for element in page.find_all(True)} | {""}


def external_requests(path: Path, page: Any) -> Iterator[str]:
    """Things on a page that a browser would fetch from elsewhere."""
    for tag, attribute in FETCHED.items():
        for element in page.find_all(tag):
            address = element.get(attribute) or ""
            relations = set(element.get("rel") or [])
            if tag == "link" and relations and relations <= PASSIVE:
                continue
            if address.startswith(("http:", "https:", "//")):
                yield f"{path}: <{tag}> fetches {address}"
    for style in page.find_all("style"):
        for address in re.findall(r"url\(\s*['\"]?((?:https?:)?//[^)'\"]+)", style.text):
            yield f"{path}: a style fetches {address}"


def style_requests(site: Path) -> Iterator[str]:
    """The same for style sheets: fonts and pictures from elsewhere."""
    for path in sorted(site.rglob("*.css")):
        text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8", errors="replace"), flags=re.DOTALL)
        for address in re.findall(r"(?:url\(\s*|@import\s+)['\"]?((?:https?:)?//[^)'\"\s]+)", text):
            yield f"{path}: fetches {address}"


def broken_links(path: Path, page: Any, site: Path, anchors: dict[Path, set[str]]) -> Iterator[str]:
    """Links inside the site whose page, file or anchor is not there."""
    for element in page.find_all("a"):
        parts = urlsplit(element.get("href") or "")
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
        if target.is_dir():
            target /= "index.html"
        if not target.is_relative_to(site) or not target.exists():
            yield f"{path}: link to {element.get('href')}: no such page"
        elif parts.fragment and target in anchors and unquote(parts.fragment) not in anchors[target]:
            yield f"{path}: link to {element.get('href')}: no such anchor"


def page_faults(path: Path, page: Any) -> Iterator[str]:
    """Pictures without alt text, error outputs, equations or roles that were not understood."""
    for image in page.find_all("img"):
        if not (image.get("alt") or "").strip():
            yield f"{path}: picture {image.get('src', '')[:80]} has no alt text"
    for element in page.select(".output.traceback, .cell_output .highlight-ipythontb, .system-message"):
        yield f"{path}: an error output: {element.get_text().strip()[:80]!r}"


def weight_fault(path: Path, page: Any) -> Iterator[str]:
    """A page that is too heavy to load at once."""
    sources = {urlsplit(image.get("src") or "") for image in page.find_all("img")}
    files = {path.parent / unquote(source.path) for source in sources if source.path and not source.scheme}
    weight = sum(file.stat().st_size for file in {path, *files} if file.exists())
    if weight > HEAVIEST:
        yield f"{path}: {weight:,} bytes with its pictures; split it"


def check_site(site: Path) -> list[str]:
    """All faults of a built site, one line each.

    Args:
        site: the folder that holds ``index.html``.
    """
    site = site.resolve()
    if not (site / "index.html").exists():
        return [f"{site}: no index.html; run `make book`"]
    parsed = pages(site)
    anchors = {path: _anchors(page) for path, page in parsed.items()}
    faults = list(style_requests(site))
    for path, page in parsed.items():
        faults += external_requests(path, page)
        faults += broken_links(path, page, site, anchors)
        faults += page_faults(path, page)
        faults += weight_fault(path, page)
        faults += [f"{path}: {fault}" for fault in markup_faults(path.read_text(encoding="utf-8"))]
    return [fault.replace(f"{site}/", "") for fault in faults]
