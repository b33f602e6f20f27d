"""Links to the glossary: the first use of each of its terms in the text of a chapter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import docutils.nodes as nodes

CHAPTERS = "notebooks/"
"""Beginning of the names of pages that get links."""
_PLAIN = (nodes.reference, nodes.title, nodes.caption, nodes.literal, nodes.math, nodes.raw, nodes.table, nodes.term)
"""Elements whose text stays as it is."""


def pattern(terms: Mapping[str, str]) -> re.Pattern[str]:
    """Any of the terms, the longest first, in the singular or with an s; names keep their capitals."""
    words = sorted(terms, key=len, reverse=True)
    each = (f"(?i:{re.escape(word)})" if word.islower() else re.escape(word) for word in words)
    return re.compile(rf"\b({'|'.join(each)})(s?)\b")


def link_terms(document: nodes.document, terms: Mapping[str, str]) -> list[str]:
    """Link the first use of each term in the paragraphs of a document, in place.

    Args:
        document: of a page.
        terms: the address of each term.

    Returns:
        the terms that were found.
    """
    if not terms:
        return []
    left, words = dict(terms), pattern(terms)
    for text in list(document.findall(nodes.Text)):
        if not left:
            break
        if isinstance(text.parent, nodes.paragraph) and not _inside(text):
            found = _split(str(text), words, left)
            if len(found) > 1:
                text.parent.replace(text, found)
    return [term for term in terms if term not in left]


def _inside(text: nodes.Text) -> bool:
    node: Any = text.parent
    while node is not None:
        if isinstance(node, _PLAIN):
            return True
        node = node.parent
    return False


def _split(text: str, words: re.Pattern[str], left: dict[str, str]) -> list[nodes.Node]:
    """The text in pieces, with a link for each term that is still to come; ``left`` loses those."""
    pieces: list[nodes.Node] = []
    end = 0
    for match in words.finditer(text):
        term = match[1] if match[1] in left else match[1].lower()
        if term in left:
            address = left.pop(term)
            pieces.append(nodes.Text(text[end : match.start()]))
            pieces.append(nodes.reference("", match[0], refuri=address, internal=True, classes=["glossary"]))
            end = match.end()
    return [*pieces, nodes.Text(text[end:])]


def on_resolved(app: Any, document: nodes.document, page: str) -> None:
    """Sphinx's event when a page's references are known."""
    if not page.startswith(CHAPTERS) or app.builder.name != "html":
        return
    objects = app.env.domains["std"].objects
    found = {name: place for (kind, name), place in objects.items() if kind == "term" and "," not in name}
    link_terms(
        document,
        {name: f"{app.builder.get_relative_uri(page, where)}#{anchor}" for name, (where, anchor) in found.items()},
    )
