"""An item's table as a file: CSV, JSON, LaTeX, Markdown, and the entry to cite it with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from ..catalogue import plan
from ..catalogue.base import OWN, Item, papers
from ..errors import RobustlibError, suggest
from ..experiments import profiles
from ..experiments.store import Store
from . import tables
from .join import rows, title_suffix

FORMS = {"csv": "csv", "json": "json", "latex": "tex", "markdown": "md", "bibtex": "bib"}
"""Formats of an exported table, and how their files end."""


def export(item: Item, form: str, *, profile: str, store: Store) -> str:
    """One item as text.

    Raises:
        RobustlibError: an unknown form.
    """
    if form == "bibtex":
        return bibtex(item, store)
    found = rows(item.id, profile, store)
    caption = f"{'' if item.source == OWN else f'{item.number}: '}{item.title}{title_suffix(found)}"
    makers: dict[str, Callable[[], str]] = {
        "csv": lambda: tables.to_csv(found),
        "json": lambda: tables.to_json(found),
        "latex": lambda: tables.to_latex(found, label=f"tab:{item.slug}", caption=caption),
        "markdown": lambda: tables.to_markdown(found, caption=caption),
    }
    if form not in makers:
        raise RobustlibError(suggest("format", form, [*makers, "bibtex"]))
    return makers[form]()


def bibtex(item: Item, store: Store) -> str:
    """An entry to cite one table with: its note carries keys of the records behind it, and of many a digest too."""
    keys = sorted({Path(p).stem.rpartition("-")[2] for row in rows(item.id, profiles.BEST, store) for p in row.records})
    shown = ", ".join(keys[:12])
    if len(keys) > 12:
        whole = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:16]
        shown += f" and {len(keys) - 12} more; SHA-256 of all {len(keys)} keys, one a line: {whole}"
    origin = "" if item.source == OWN else f": {item.number} of {papers()[item.paper].title}, measured again"
    return (
        f"@misc{{robustlib-{item.slug},\n"
        f"  title = {{{item.title}{origin}}},\n"
        f"  author = {{{{The robustlib authors}}}},\n  year = {{2026}},\n"
        f"  note = {{Records {shown or 'none'}}}\n}}\n"
    )


def write_exports(destination: Path, profile: str, store: Store, names: Sequence[str]) -> None:
    """tables/ITEM.{csv,json,tex,md,bib} for every item with cells."""
    destination.mkdir(parents=True, exist_ok=True)
    for item in plan.select(names):
        for form, suffix in FORMS.items():
            text = export(item, form, profile=profile, store=store)
            (destination / f"{item.slug}.{suffix}").write_text(text, encoding="utf-8")
