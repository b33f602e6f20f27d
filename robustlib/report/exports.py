"""Rows for papers (LaTeX) and for programs (JSON, CSV, DataFrame)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from ..errors import RobustlibError
from .rows import Row, label_columns
from .sheet import make_sheet, with_marks

_LATEX = {
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    '"': r"\textquotedbl{}",
    "†": r"\dag{}",
    "–": "--",
    "'": r"$'$",
    "′": r"$'$",
    "−": r"$-$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "∞": r"$\infty$",
    "ε": r"$\varepsilon$",
    "β": r"$\beta$",
    "λ": r"$\lambda$",
    "ℓ": r"$\ell$",
}


def latex_escape(text: str) -> str:
    """Plain text for LaTeX's text mode: a straight quote is a prime, as in A'."""
    return "".join(_LATEX.get(letter, letter) for letter in text)


def to_latex(rows: Sequence[Row], *, label: str, caption: str) -> str:
    """A booktabs ``table``; the records' paths follow as comments."""
    sheet = make_sheet(rows, caption, "to_latex")
    lines = [r"\begin{table}", r"\centering"]
    lines += [f"\\caption{{{latex_escape(sheet.caption)}}}", f"\\label{{{label}}}"]
    lines += [f"\\begin{{tabular}}{{{'l' * sheet.labels}{'r' * (sheet.before - sheet.labels)}rrll}}", r"\toprule"]
    lines += [" & ".join(latex_escape(head) for head in sheet.heads) + r" \\", r"\midrule"]
    for cells in with_marks(sheet, latex_escape, lambda row: row.verdict.name, r"\textsuperscript{{{}}}"):
        # A bracket that opens a line would be read as the argument of the \\ before it.
        lines.append("{}" * cells[0].startswith("[") + " & ".join(cells) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    if sheet.notes.sentences:
        notes = [f"{latex_escape(sign)} {latex_escape(text)}" for sign, text in sheet.notes.sentences]
        lines.append(r"\par\smallskip{\footnotesize " + r"\\ ".join(notes) + r"\par}")
    lines += [r"\end{table}", *(f"% {path}" for row in rows for path in row.records)]
    return "\n".join(lines) + "\n"


def to_dicts(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Plain values of each row, unrounded; what is missing is None, and several are a list."""
    if not rows:
        raise RobustlibError("a table without rows; pass the rows of an item that has cells")
    return [
        {
            "label": row.label,
            "column": row.column,
            "unit": row.unit,
            "published": row.published,
            "decimals": row.decimals,
            "verified": row.verified,
            "ours": row.value,
            "low": row.low,
            "high": row.high,
            "difference": row.difference,
            "n": row.n,
            "seeds": row.seeds,
            "values": list(row.values),
            "verdict": row.verdict.name,
            "detail": row.verdict.detail,
            "protocol": row.protocol,
            "profile": row.profile,
            "records": list(row.records),
            "footnotes": list(row.footnotes),
        }
        for row in rows
    ]


def to_json(rows: Sequence[Row]) -> str:
    """A list of :func:`to_dicts`' objects."""
    return json.dumps(to_dicts(rows), indent=1, allow_nan=False) + "\n"


def to_csv(rows: Sequence[Row]) -> str:
    """One line a row; numbers keep all digits, lists are joined with ``; ``, what is missing is empty."""
    found, out = to_dicts(rows), io.StringIO()
    writer = csv.DictWriter(out, list(found[0]), lineterminator="\n")
    writer.writeheader()
    for line in found:
        writer.writerow({k: "; ".join(map(str, v)) if isinstance(v, list) else v for k, v in line.items()})
    return out.getvalue()


def to_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """The same as a DataFrame, with the label's parts as columns of their own; missing numbers are NaN."""
    heads, labels = label_columns(rows) if rows else ([], [])
    frame = pd.DataFrame(to_dicts(rows)).drop(columns=["label", "decimals", "values", "records", "footnotes"])
    for place, head in enumerate(heads):
        if head != "Column":
            frame.insert(place, head, [line[place] for line in labels])
    numeric = ["published", "ours", "low", "high", "difference"]
    frame[numeric] = frame[numeric].astype(float)
    return frame
