"""Places in a table or figure: the settings that the labels of its rows and columns name."""

from __future__ import annotations

import re
from typing import Any

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]*)?(e-?[0-9]+)?")
_SETTING = re.compile(r"(?P<name>[^=]+)=(?P<value>.*)|(?P<word>[a-z ]+) (?P<number>[0-9.]+)")


def place(row: str, column: str) -> dict[str, Any]:
    """Settings that the labels of a row and a column name: ``"(a) MNIST linf; eps=0.30"`` has a panel and eps 0.3.

    Parts are separated by semicolons. "name=value", or words and a number, is a setting; a number is a float. Another
    part is the "panel" if parts follow it, else the "row"; a column that is no setting is the "column".
    """
    found: dict[str, Any] = {}
    parts = [*(part.strip() for part in row.split(";")), column]
    for at, part in enumerate(parts):
        match = _SETTING.fullmatch(part)
        if match is not None:
            name, value = match["name"] or match["word"], match["value"] or match["number"]
            found[name] = float(value) if _NUMBER.fullmatch(value) else value
        else:
            found["column" if at == len(parts) - 1 else "panel" if at < len(parts) - 2 else "row"] = part
    return found
