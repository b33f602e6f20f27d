"""The parts of MathJax that the book's equations need, from its npm package.

    npm pack mathjax@3.2.2 && tar xzf mathjax-3.2.2.tgz
    python -m robustlib.book.mathjax_files package book/_mathjax/mathjax

MathJax in one file is 2.1 MB, half of it letters in alphabets that no equation here uses: script, sans serif, Fraktur.
They are left out of the font. A test looks at the drawn equations: every letter comes from the font that is kept.
"""

from __future__ import annotations

import functools
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

PARTS = (
    "startup.js",
    "core.js",
    "input/tex-base.js",
    "input/tex/extensions/ams.js",
    "input/tex/extensions/configmacros.js",
    "input/tex/extensions/newcommand.js",
    "output/svg.js",
    "a11y/assistive-mml.js",
)
"""Files that are copied as they are."""
FONT = "output/svg/fonts/tex.js"
KEPT = ((0x1D400, 0x1D467), (0x1D538, 0x1D56B), (0x1D6A8, 0x1D71B), (0x1D7CE, 0x1D7D7))
"""Mathematical alphabets that stay: bold, italic, double-struck, Greek, bold digits."""
ALPHABETS = (0x1D400, 0x1D7FF)
ARROWS = (0x2190, 0x21FF)
PLAIN_ARROWS = (0x2190, 0x2191, 0x2192, 0x2193, 0x2194, 0x21A6, 0x21D0, 0x21D2, 0x21D4)
"""Arrows that stay; of bold signs only letters and digits do."""
OPERATORS = (0x2A00, 0x2AFF)
PLAIN_OPERATORS = (0x2A7D, 0x2A7E)
"""Of the supplementary operators, the slanted less-or-equal and its mirror image."""
STYLES = ("fraktur", "frakturBold", "monospace", "sansSerif", "sansSerifBold", "sansSerifItalic", "texOldstyle")
"""Styles whose letters are left out, with those that their bold ones name."""
_LETTER = re.compile(r'\b([0-9]+(?:e[0-9]+)?):"[^"]*",?')
_MODULE = re.compile(r"(?<=[,{])(?=\d+:function\()")


def _wanted(code: int, style: str) -> bool:
    if style == "bold":
        return code < 0x80
    if ARROWS[0] <= code <= ARROWS[1]:
        return code in PLAIN_ARROWS
    if OPERATORS[0] <= code <= OPERATORS[1]:
        return code in PLAIN_OPERATORS
    return not ALPHABETS[0] <= code <= ALPHABETS[1] or any(low <= code <= high for low, high in KEPT)


def _kept(letter: re.Match[str], style: str) -> str:
    left_out = style.removesuffix("Bold") in STYLES or not _wanted(int(float(letter[1])), style)
    return "" if left_out else letter[0]


def subset(font: str) -> str:
    """The font's program without the outlines of letters that are not wanted."""
    parts = []
    for part in _MODULE.split(font):
        found = re.search(r"\.AddPaths\)\(\w+\.(\w+),", part)
        parts.append(part if found is None else _LETTER.sub(functools.partial(_kept, style=found[1]), part))
    return "".join(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """``PACKAGE DESTINATION``: copy the parts and the font's subset."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if len(given) != 2:
        print("usage: python -m robustlib.book.mathjax_files PACKAGE DESTINATION", file=sys.stderr)
        return 2
    source, target = Path(given[0]) / "es5", Path(given[1])
    for name in (*PARTS, FONT):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
    text = (source / FONT).read_text(encoding="utf-8")
    (target / FONT).write_text(subset(text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
