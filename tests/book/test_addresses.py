"""Addresses that readers cite stay: pages, tables, figures and sections of the book, against the committed list."""

from __future__ import annotations

import re
from pathlib import Path

LIST = Path(__file__).with_name("addresses.txt")
LABELS = (
    re.compile(r"^\s*\"?\(([a-z0-9-]+)\)=", re.MULTILINE),
    re.compile(r":name: ((?:table|fig)-[a-z0-9-]+)"),
    re.compile(r'"name": "((?:table|fig)-[a-z0-9-]+)"'),
)


def addresses(root: Path) -> set[str]:
    """``page.html`` and ``page.html#label`` of every page that the table of contents names."""
    found = set()
    for page in ["index", *re.findall(r"file: (\S+)", (root / "_toc.yml").read_text(encoding="utf-8"))]:
        sources = [path for ending in (".md", ".ipynb") if (path := root / f"{page}{ending}").is_file()]
        text = "".join(path.read_text(encoding="utf-8").replace("\\n", "\n").replace('\\"', '"') for path in sources)
        found.add(f"{page}.html")
        found |= {f"{page}.html#{label}" for pattern in LABELS for label in pattern.findall(text)}
    return found


def test_no_address_is_lost_and_new_ones_are_noted(root: Path) -> None:
    kept, now = set(LIST.read_text(encoding="utf-8").split()), addresses(root)
    assert kept - now == set(), "somebody may have cited these: give the new place the old label"
    assert now - kept == set(), f"from now on these stay: add them to {LIST.name}"
    assert sum("#table-" in address for address in kept) > 60
    assert sum("#fig-" in address for address in kept) > 30
