"""The one exception that bad input raises, and the nearest-name hint that goes with it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RobustlibError(ValueError):
    """Bad input, a bad file or a broken promise: the message names the thing, its value and the remedy."""


def suggest(kind: str, name: object, known: Iterable[str]) -> str:
    """Message for an unknown name: ``unknown profile 'quik'; did you mean 'quick'? known: full, quick, smoke``."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1)
    hint = f" did you mean {near[0]!r}?" if near else ""
    return f"unknown {kind} {name!r};{hint} known: {', '.join(names)}"
