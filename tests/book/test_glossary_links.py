"""The first use of a glossary's term in a chapter is a link to it."""

from __future__ import annotations

import docutils.nodes as nodes
import pytest
from docutils.utils import new_document

from robustlib.book.sphinx_extension import link_terms, pattern

TERMS = {"attack": "g#a", "attack suite": "g#b", "PGD": "g#c", "certificate": "g#d"}


def _document(*parts: nodes.Node) -> nodes.document:
    document = new_document("x")
    document.extend(parts)
    return document


def test_the_first_use_is_linked_and_no_other() -> None:
    text = "An Attack with PGD. More attacks, more PGD, an attack suite."
    document = _document(nodes.title("", "A certificate"), nodes.paragraph("", text))
    assert link_terms(document, TERMS) == ["attack", "attack suite", "PGD"]
    links = [(link.astext(), link["refuri"]) for link in document.findall(nodes.reference)]
    assert links == [("Attack", "g#a"), ("PGD", "g#c"), ("attack suite", "g#b")]
    assert document[1].astext() == text


def test_code_links_and_tables_stay_as_they_are() -> None:
    linked = nodes.paragraph("", "", nodes.reference("", "PGD", refuri="elsewhere"), nodes.literal("", "attack"))
    table = nodes.table("", nodes.paragraph("", "certificate"))
    document = _document(linked, table)
    assert link_terms(document, TERMS) == []
    assert link_terms(document, {}) == []
    assert [link["refuri"] for link in document.findall(nodes.reference)] == ["elsewhere"]


@pytest.mark.parametrize(
    ("text", "found"), [("Attacks", "Attack"), ("pgd", None), ("PGD", "PGD"), ("counterattack", None)]
)
def test_names_keep_their_capitals_and_words_do_not(text: str, found: str | None) -> None:
    match = pattern(TERMS).search(text)
    assert (match[1] if match else None) == found
