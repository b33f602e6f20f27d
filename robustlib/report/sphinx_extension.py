"""A small Sphinx extension: docstrings become pages without warnings, and pages carry no live-code scripts.

Docstrings here hold formulas such as ``x^{t+1} = Proj(x^t + alpha g)`` and names such as ``l_inf``, which
reStructuredText would take for markup. Their stars, bars, single backticks and trailing underscores are
escaped; a docstring that still does not parse is shown as it is written.

A page of prose cites a number as ``{ours:NAME}`` or ``{paper:ID}``: see :mod:`robustlib.papers.slides`.
"""

from __future__ import annotations

import re
from typing import Any

import docutils.core
from docutils.utils import Reporter

from ..experiments.profiles import BEST
from ..experiments.store import Store
from .slides import PLACE, filled

_LITERAL = re.compile(r"(``.+?``)")


def escaped(line: str) -> str:
    """One line with what would be markup made plain; double-backtick literals stay."""
    if line.rstrip().endswith("::") or line.lstrip().startswith((">>>", "..")):
        return line
    parts = _LITERAL.split(line)
    for index in range(0, len(parts), 2):
        text = re.sub(r"\\", r"\\\\", parts[index])
        text = re.sub(r"([*|`])", r"\\\1", text)
        parts[index] = re.sub(r"(?<=\w)_(?!\w)", r"\\_", text)
    return "".join(parts)


def _parses(lines: list[str]) -> bool:
    """Whether plain docutils reads the lines without a warning."""
    messages: list[Any] = []
    settings = {"report_level": Reporter.SEVERE_LEVEL, "halt_level": 5, "warning_stream": None}
    document = docutils.core.publish_doctree("\n".join(lines), settings_overrides=settings)
    document.walk(_Collector(document, messages))
    return not messages


class _Collector(docutils.nodes.SparseNodeVisitor):
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


def without_live_code(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Leave out thebe's scripts, which Jupyter Book adds to every page twice, and which name a server."""
    context["script_files"] = [
        script
        for script in context.get("script_files", [])
        if "thebe" not in f"{getattr(script, 'filename', script)} {getattr(script, 'attributes', '')}".lower()
    ]


def with_numbers(app: Any, page: str, source: list[str]) -> None:
    """Fill a page's places for numbers, line by line, in place."""
    if PLACE.search(source[0]):
        store = Store()
        lines = source[0].split("\n")
        source[0] = "\n".join(filled(line, BEST, store) if PLACE.search(line) else line for line in lines)


def setup(app: Any) -> dict[str, bool]:
    """Sphinx's entry point."""
    app.connect("autodoc-process-docstring", before_napoleon, priority=400)
    app.connect("autodoc-process-docstring", after_napoleon, priority=600)
    app.connect("source-read", with_numbers)
    app.connect("html-page-context", without_live_code, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
