"""SVG layouts of the chapters' figures as files of the site, and the HTML that shows the one that fits."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import nbformat

from ..report.exports import bibtex_entry
from ..report.plots.vector import CSV, MIME, darkened, unpack

_SIZE = re.compile(r'width="([\d.]+)pt" height="([\d.]+)pt"|height="([\d.]+)pt".*?width="([\d.]+)pt"')
PHONE = 600
"""Greatest width in pixels of a window that gets the layout for a phone."""


def _pixels(svg: str) -> str:
    """An SVG's size as attributes, so that a page keeps the place of a drawing that has not come yet."""
    found = _SIZE.search(svg)
    if found is None:
        return ""
    width, height = (found[1], found[2]) if found[1] else (found[4], found[3])
    return f' width="{round(float(width) * 4 / 3)}" height="{round(float(height) * 4 / 3)}"'


def _show(stem: str, layouts: dict[str, str], alt: str, folder: Path, up: str, loading: str) -> str:
    """Write the files of one figure, and return the HTML for its place; a tap opens the drawing by itself."""
    parts = []
    for theme, end, recolour in (("light", "", str), ("dark", "-dark", darkened)):
        source = ""
        for layout, text in layouts.items():
            name = f"{stem}{'' if layout == 'wide' else f'-{layout}'}{end}.svg"
            (folder / name).write_text(recolour(text), encoding="utf-8")
            if layout == "narrow":
                source = f'<source media="(max-width: {PHONE}px)" srcset="{up}_static/figures/{name}"{_pixels(text)}>'
        address = f"{up}_static/figures/{stem}{end}.svg"
        image = (
            f'<img class="only-{theme}" src="{address}" alt="{html.escape(alt)}"{_pixels(layouts["wide"])} '
            f'loading="{loading}">'
        )
        parts.append(f'<a class="only-{theme}" href="{address}"><picture>{source}{image}</picture></a>')
    return f'<div class="drawing">{"".join(parts)}</div>'


def _tools(stem: str, numbers: str, caption: str, folder: Path, up: str) -> str:
    """Write what a figure draws, and return the line below it: its files, and the entry to cite it with."""
    links = {f"{stem}.svg": "picture (SVG)"}
    if numbers:
        (folder / f"{stem}.csv").write_text(numbers, encoding="utf-8")
        links = {f"{stem}.csv": "data (CSV)", **links}
    shown = " ".join(f'<a href="{up}_static/figures/{name}" download>{words}</a>' for name, words in links.items())
    title = re.split(r"[.:;] ", caption)[0].rstrip(".")
    entry = bibtex_entry(stem, title, "Figure")
    fold = f'<details class="table-tools"><summary>cite</summary><pre tabindex="0">{html.escape(entry)}</pre></details>'
    return f'<div class="figure-tools">{shown} {fold}</div>'


def _name(cell: Any, number: int, chapter: str) -> str:
    """A file's name: that by which pages refer to the figure, else its place in the chapter."""
    named = cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
    return str(named or f"fig-{chapter}-{number}")


def place_drawings(notebooks: Path, folder: Path, *, printed: bool = False) -> None:
    """Take the SVG layouts out of staged notebooks into files, and put HTML that shows them in their place.

    A figure that has none keeps its PNG. Below each stand links to its drawing and to the numbers in it, and an
    entry to cite it with.

    Args:
        notebooks: staged ``.ipynb`` files, which are rewritten.
        folder: for the SVG files, which the pages call ``_static/figures``.
        printed: all pages are one, which waits for its pictures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    up, loading = ("", "eager") if printed else ("../", "lazy")
    for path in sorted(notebooks.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        number = 0
        for cell in notebook.cells:
            for output in cell.get("outputs", ()):
                packed = output.get("data", {}).pop(MIME, None)
                if packed is None:
                    continue
                number += 1
                layouts = {name: unpack(text) for name, text in packed.items()}
                numbers, alt = layouts.pop(CSV, ""), output.metadata["image/png"]["alt"]
                stem = _name(cell, number, path.stem)
                page = _show(stem, layouts, alt, folder, up, loading)
                if not printed:
                    caption = cell.metadata.get("mystnb", {}).get("figure", {}).get("caption", stem)
                    page += _tools(stem, numbers, caption, folder, up)
                output.data = nbformat.from_dict({"text/html": page, "text/plain": output.data["text/plain"]})
                output.metadata = nbformat.from_dict({})
        if number:
            nbformat.write(notebook, path)
