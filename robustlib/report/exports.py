"""Tables as files: LaTeX for papers, CSV and DataFrames for programs, an entry to cite a table with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from .. import __version__
from ..catalogue import plan
from ..catalogue.base import OWN, Item, papers
from ..errors import RobustlibError, suggest
from ..experiments import profiles
from ..experiments.store import Store
from .join import rows as rows_of
from .join import title_suffix
from .rows import Row, with_authors
from .tables import make_sheet, to_dicts, to_json, to_markdown

FORMS = {"csv": "csv", "json": "json", "latex": "tex", "markdown": "md", "bibtex": "bib"}
"""Formats of an exported table, and how their files end."""
_SIGNS = {"×": r"\times", "±": r"\pm", "≤": r"\le", "≥": r"\ge", "∞": r"\infty", "−": "-", "'": "'", "′": "'"}
_LETTERS = {"ε": r"\varepsilon", "β": r"\beta", "λ": r"\lambda", "ℓ": r"\ell"}
_NAMED = {"\\": "textbackslash", "~": "textasciitilde", "^": "textasciicircum", "|": "textbar", "†": "dag"}
_QUOTES = {"<": "textless", ">": "textgreater", '"': "textquotedbl"}
_LATEX = str.maketrans(
    {"–": "--"}
    | {letter: f"\\{letter}" for letter in "&%$#_{}"}
    | {letter: f"${name}$" for letter, name in (_SIGNS | _LETTERS).items()}
    | {letter: f"\\{name}{{}}" for letter, name in (_NAMED | _QUOTES).items()}
)


def latex_escape(text: str) -> str:
    """Plain text for LaTeX's text mode: a straight quote is a prime, as in A'."""
    return text.translate(_LATEX)


def to_latex(rows: Sequence[Row], *, label: str, caption: str) -> str:
    """A booktabs ``table``; the records' paths follow as comments."""
    sheet = make_sheet(rows, caption, latex_escape, r"\textsuperscript{{{}}}")
    # A bracket that opens a line would be read as the argument of the \\ before it.
    cells = [["{}" * line[0].startswith("[") + line[0], *line[1:]] for line in sheet.cells]
    table = pd.DataFrame(cells, columns=sheet.heads).style.hide(axis="index")
    text = table.to_latex(
        hrules=True,
        column_format=sheet.align,
        caption=latex_escape(sheet.caption),
        label=label,
        position_float="centering",
    )
    if sheet.notes:
        notes = r"\\ ".join(f"{sign} {sentence}" for sign, sentence in sheet.notes)
        text = text.replace(r"\end{table}", rf"\par\smallskip{{\footnotesize {notes}\par}}" + "\n\\end{table}")
    return text + "".join(f"% {path}\n" for row in with_authors(rows) for path in row.records)


SEVERAL = ("values", "records", "footnotes", "authors_values", "authors_records")
"""Fields of a row that are lists."""


def _plain(value: object) -> object:
    """A number without the last digits of binary arithmetic: 61.2 for 61.199999999999996."""
    return float(f"{value:.12g}") if isinstance(value, float) else value


def to_csv(rows: Sequence[Row]) -> str:
    """One line a row; numbers to twelve digits, lists are joined with ``; ``, missing values are empty."""
    lines = [{name: _plain(value) for name, value in line.items()} for line in to_dicts(rows)]
    # As objects, since a column of whole numbers with a gap would become one of floats.
    frame = pd.DataFrame(lines, dtype=object)
    for several in (name for name in SEVERAL if name in frame):
        frame[several] = ["; ".join(str(_plain(value)) for value in values) for values in frame[several]]
    return frame.to_csv(index=False, lineterminator="\n")


def export(item: Item, form: str, *, profile: str, store: Store) -> str:
    """One item as text.

    Raises:
        RobustlibError: an unknown form.
    """
    if form not in FORMS:
        raise RobustlibError(suggest("format", form, FORMS))
    return _makers(item, profile, store)[form]()


def _makers(item: Item, profile: str, store: Store) -> dict[str, Callable[[], str]]:
    """A function for each format, which share the item's rows."""
    found = rows_of(item.id, profile, store)
    caption = f"{'' if item.source == OWN else f'{item.number}: '}{item.title}{title_suffix(found)}"
    return {
        "csv": lambda: to_csv(found),
        "json": lambda: to_json(found),
        "latex": lambda: to_latex(found, label=f"tab:{item.slug}", caption=caption),
        "markdown": lambda: to_markdown(found, caption=caption),
        # Whoever cites a table cites its best records.
        "bibtex": lambda: _bibtex(item, found if profile == profiles.BEST else rows_of(item.id, profiles.BEST, store)),
    }


def _bibtex(item: Item, found: Sequence[Row]) -> str:
    """An entry to cite one table with: its note carries keys of the records behind it, and of many a digest too."""
    keys = sorted({Path(path).stem.rpartition("-")[2] for row in with_authors(found) for path in row.records})
    shown = ", ".join(keys[:12])
    if len(keys) > 12:
        whole = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:16]
        shown += f" and {len(keys) - 12} more; SHA-256 of all {len(keys)} keys, one a line: {whole}"
    origin = "" if item.source == OWN else f": {item.number} of {papers()[item.paper].title}, measured again"
    return bibtex_entry(item.slug, f"{item.title}{origin}", f"Records {shown or 'none'}")


def bibtex_entry(name: str, title: str, note: str) -> str:
    """A BibTeX entry for a part of this edition."""
    return (
        f"@misc{{robustlib-{name},\n  title = {{{title}}},\n"
        f"  author = {{{{The robustlib authors}}}},\n  year = {{2026}},\n  version = {{{__version__}}},\n"
        f"  note = {{{note}}}\n}}\n"
    )


def write_exports(destination: Path, profile: str, store: Store, names: Sequence[str]) -> None:
    """tables/ITEM.{csv,json,tex,md,bib} for every item with cells."""
    destination.mkdir(parents=True, exist_ok=True)
    for item in plan.select(names):
        for form, make in _makers(item, profile, store).items():
            (destination / f"{item.slug}.{FORMS[form]}").write_text(make(), encoding="utf-8")
