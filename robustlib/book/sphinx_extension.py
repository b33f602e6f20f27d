"""A small Sphinx extension: docstrings become pages without warnings, tables can be downloaded and cited, and pages
carry no live-code scripts.

Docstrings here hold formulas such as ``x^{t+1} = Proj(x^t + alpha g)`` and names such as ``l_inf``, which
reStructuredText would take for markup. Their stars, bars, single backticks and trailing underscores are
escaped; a docstring that still does not parse is shown as it is written.

A page of prose cites a number as ``{ours:ADDRESS}`` or ``{paper:ID}``: see :mod:`robustlib.report.citations`.
"""

from __future__ import annotations

import copy
import functools
import html
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import docutils.core
import sphinx.addnodes
from docutils import nodes
from docutils.utils import Reporter

from ..environment import records_root
from ..experiments.profiles import BEST
from ..experiments.store import Store
from ..report.citations import PLACE, filled
from .page_assets import described, lazy_images, metatags, plain_links, trim_icons

DEMO = "book/demo"
_store = functools.cache(Store)
_LITERAL = re.compile(r"(``.+?``)")


def escaped(line: str) -> str:
    """One line with its markup escaped; double-backtick literals stay."""
    if line.rstrip().endswith("::") or line.lstrip().startswith((">>>", "..")):
        return line
    parts = _LITERAL.split(line)
    for index in range(0, len(parts), 2):
        text = re.sub(r"\\", r"\\\\", parts[index])
        text = re.sub(r"([*|`])", r"\\\1", text)
        parts[index] = re.sub(r"(?<=\w)_(?!\w)", r"\\_", text)
    return "".join(parts)


@functools.cache
def _quiet() -> Any:
    """Settings of plain docutils, which take longer to gather than most docstrings to read."""
    publisher = docutils.core.Publisher()
    publisher.set_components("standalone", "restructuredtext", "null")
    told = {"report_level": Reporter.SEVERE_LEVEL, "halt_level": 5, "warning_stream": None}
    publisher.process_programmatic_settings(None, told, None)
    return publisher.settings


def _parses(lines: list[str]) -> bool:
    """True where plain docutils reads the lines without a warning."""
    messages: list[Any] = []
    document = docutils.core.publish_doctree("\n".join(lines), settings=copy.copy(_quiet()))
    document.walk(_Collector(document, messages))
    return not messages


class _Collector(nodes.SparseNodeVisitor):
    """Gathers docutils' complaints, which stay in the tree even where they are not printed."""

    def __init__(self, document: Any, messages: list[Any]) -> None:
        super().__init__(document)
        self.messages = messages

    def visit_system_message(self, node: Any) -> None:
        self.messages.append(node)

    def visit_problematic(self, node: Any) -> None:
        self.messages.append(node)


def before_napoleon(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Escape a docstring's lines in place; the original is kept for :func:`after_napoleon`."""
    app.env.robustlib_original = list(lines)
    lines[:] = [escaped(line) for line in lines]


def after_napoleon(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Fall back to the docstring as written where its reStructuredText does not parse."""
    plain = [re.sub(r":(?:py:)?\w+:`([^`]*)`", r"\1", line) for line in lines]
    if not _parses(plain):
        lines[:] = ["::", "", *("   " + line for line in app.env.robustlib_original), ""]


def table_fold(stem: str, bibtex: str, up: str) -> str:
    """HTML that folds out under a table: its files, and the entry to cite it with.

    Args:
        stem: of the files in ``_static/tables``.
        bibtex: the entry.
        up: from the page to the site's root, "" or "../".
    """
    shown = {"csv": "CSV", "json": "JSON", "tex": "LaTeX"}
    links = ", ".join(f'<a href="{up}_static/tables/{stem}.{end}" download>{name}</a>' for end, name in shown.items())
    return (
        f'<details class="table-tools"><summary>Download or cite this table</summary><p>{links}</p>'
        f"<pre tabindex='0'>{html.escape(bibtex)}</pre></details>"
    )


def with_folds(app: Any, doctree: Any) -> None:
    """Put its fold after every table that shows an item, or a part of one."""
    folder = Path(app.srcdir) / "static" / "tables"
    stems = sorted((path.stem for path in folder.glob("*.bib")), key=len, reverse=True)
    up = "" if app.builder.name == "singlehtml" else "../" * app.env.docname.count("/")
    for table in list(doctree.findall(nodes.table)):
        names = [name.removeprefix("table-") for name in table["names"] if name.startswith("table-")]
        stem = next((stem for stem in stems for name in names if f"{name}-".startswith(f"{stem}-")), None)
        if stem is not None:
            text = table_fold(stem, (folder / f"{stem}.bib").read_text(encoding="utf-8"), up)
            place = table.parent.index(table) + 1
            table.parent.insert(place, nodes.raw("", text, format="html"))


def page_scripts(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Give the page with the drawing its scripts, and no page thebe's, which would come twice and name a server."""
    if page == DEMO:
        for name in ("demo_network.js", "network.js", "demo.js"):
            app.add_js_file(name)
    context["script_files"] = [
        script
        for script in context.get("script_files", [])
        if "thebe" not in f"{getattr(script, 'filename', script)} {getattr(script, 'attributes', '')}".lower()
    ]


def page_head(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Give the page a description for search engines and shared links; load its pictures as they come into view."""
    if doctree is not None:
        paragraphs = (node.astext() for node in doctree.findall(nodes.paragraph))
        title = f"{context.get('title', '')} – {app.config.html_title or app.config.project}"
        # Whoever follows a shared link reads no address that begins at another page.
        base = app.config.html_baseurl.rstrip("/")
        up, address = (base, f"{base}/{page}.html") if base else ("../" * page.count("/"), "")
        context["metatags"] = context.get("metatags", "") + metatags(described(paragraphs), title, up, address)
    if app.builder.name == "html" and "body" in context:
        context["body"] = plain_links(lazy_images(context["body"]))


def _title(contents: Any) -> Any:
    """A page's table of contents cut down to its title and the pages below it."""
    short = contents.deepcopy()
    for entry in short.children:
        if len(entry) > 1:
            below = list(entry.findall(sphinx.addnodes.toctree))
            if below:
                entry[1][:] = below
            else:
                entry.pop(1)
    return short


@functools.cache
def _titles(environment: Any) -> dict[str, Any]:
    return {page: _title(contents) for page, contents in environment.tocs.items()}


def short_sidebar(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Make the list of pages, which is made anew for each page, from their titles alone.

    Sphinx copies all headings of all pages and then drops them: a seventh of the build.
    """
    whole = context.get("toctree")
    if whole is None or app.builder.name != "html":
        return

    def toctree(**options: Any) -> Any:
        environment = app.env
        kept = environment.tocs
        try:
            if options.get("titles_only"):
                environment.tocs = _titles(environment)
            return whole(**options)
        finally:
            environment.tocs = kept

    context["toctree"] = toctree


def search_order(app: Any, config: Any) -> None:
    """Rank pages of the library and of records below the chapters."""
    config.html_search_scorer = str(Path(app.srcdir) / "book" / "_static" / "scorer.js")


def after_build(app: Any, exception: Exception | None) -> None:
    """Leave unused icons out of the site."""
    if exception is None and app.builder.name == "html":
        trim_icons(Path(app.outdir))


def with_numbers(app: Any, page: str, source: list[str]) -> None:
    """Fill a page's places for numbers, line by line, in place; a chapter's own code has filled its own."""
    if not page.startswith(CHAPTERS) and PLACE.search(source[0]):
        store = _store(records_root())
        lines = source[0].split("\n")
        source[0] = "\n".join(filled(line, BEST, store) if PLACE.search(line) else line for line in lines)


def read_in_parallel(app: Any, env: Any, pages: list[str]) -> None:
    """Let several processes read pages: two extensions of Jupyter Book's do not say whether they can, and they can."""
    for extension in app.extensions.values():
        if extension.parallel_read_safe is None:
            extension.parallel_read_safe = True


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


def setup(app: Any) -> dict[str, bool]:
    """Sphinx's entry point."""
    app.connect("autodoc-process-docstring", before_napoleon, priority=400)
    app.connect("autodoc-process-docstring", after_napoleon, priority=600)
    app.connect("env-before-read-docs", read_in_parallel)
    app.connect("source-read", with_numbers)
    app.connect("doctree-read", with_folds)
    app.connect("doctree-resolved", on_resolved)
    # Before the theme draws the sidebar.
    app.connect("html-page-context", short_sidebar, priority=100)
    app.connect("html-page-context", page_scripts, priority=900)
    app.connect("html-page-context", page_head, priority=900)
    app.connect("config-inited", search_order)
    app.connect("build-finished", after_build)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
