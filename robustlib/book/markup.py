"""Whether a page is well-formed HTML: elements closed in order, nothing inside what may not hold it, ids once."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
BLOCK = {"details", "div", "dl", "figure", "h1", "h2", "h3", "h4", "ol", "p", "pre", "section", "table", "ul"}
PRESSED = {"a", "button"}
Attributes = list[tuple[str, str | None]]


class _Markup(HTMLParser):
    """Notes faults on the way through a page."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: set[str | None] = set()
        self.faults: list[str] = []

    def _fault(self, text: str) -> None:
        self.faults.append(f"line {self.getpos()[0]}: {text}")

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        names = [name for name, _ in attrs]
        if len(set(names)) < len(names):
            self._fault(f"<{tag}> has an attribute twice")
        given = dict(attrs).get("id")
        if given in self.ids and given is not None:
            self._fault(f"id {given!r} is there twice")
        self.ids.add(given)
        if tag in BLOCK and self.open[-1:] == ["p"]:
            self._fault(f"<{tag}> inside a <p>")
        if tag in PRESSED and PRESSED & set(self.open):
            self._fault(f"<{tag}> inside a link or a button")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Attributes) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if self.open[-1:] != [tag]:
            self._fault(f"</{tag}> where {' '.join(self.open[-1:]) or 'nothing'} is open")
        while tag in self.open and self.open.pop() != tag:
            pass


def markup_faults(text: str) -> Iterator[str]:
    """What is not well-formed in a page, a line each."""
    markup = _Markup()
    markup.feed(text)
    markup.close()
    yield from markup.faults
    for tag in markup.open:
        yield f"<{tag}> is never closed"
