"""One line of a table: the published number, ours, and the verdict on both. Nothing here is typed in."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import RobustlibError
from .evidence import Evidence
from .verdicts import Verdict

DAGGER = "†"
"""Beginning of a footnote about data that are not the official bytes."""
UNVERIFIED = "?"
"""Mark of a published number that was not checked against the paper."""
NOTHING = "–"
"""Entry of a table where there is no number."""


@dataclass(frozen=True)
class Row:
    """A published number beside ours.

    Args:
        label: the line's name, as the paper prints it.
        column: the quantity or the table's column.
        published: the paper's number in ``unit``, or None.
        decimals: digits that the paper prints after the point; ours are shown with one more.
        verified: the published number, or text, was checked against the paper.
        values: ours in ``unit``, one per seed; empty when not run.
        low, high: 95 % interval of ours over test points, both or neither.
        n: test points of each value.
        evidence: grade of the records, see :mod:`robustlib.report.evidence`; None when not run.
        profile: profile that the records belong to.
        verdict: see :func:`robustlib.report.verdicts.decide`.
        records: paths of the records, one per seed, relative to the repository.
        footnotes: sentences; one that begins with ``†`` keeps that mark.
        unit: "%" or the paper's own; "" for a plain number.
        authors: the same number on the network that the authors released; None where it is not measured.
        text: what the paper prints in the place of a number, such as "1/2"; "" where it prints a number or nothing.
    """

    label: str
    column: str
    published: float | None
    decimals: int
    verified: bool
    values: tuple[float, ...]
    low: float | None
    high: float | None
    n: int | None
    evidence: Evidence | None
    profile: str | None
    verdict: Verdict
    records: tuple[str, ...] = ()
    footnotes: tuple[str, ...] = ()
    unit: str = "%"
    authors: Row | None = None
    text: str = ""

    def __post_init__(self) -> None:
        name = f"row {self.label!r}, {self.column!r}"
        numbers = [*self.values, *(x for x in (self.published, self.low, self.high) if x is not None)]
        if not all(math.isfinite(number) for number in numbers):
            raise RobustlibError(f"{name}: {numbers} are not all finite; leave failed runs out")
        if (self.low is None) != (self.high is None) or (self.low is not None and not self.values):
            ends = f"{self.low}..{self.high}"
            raise RobustlibError(f"{name}: interval {ends}; give both ends, with values, or neither")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise RobustlibError(f"{name}: the interval {self.low}..{self.high} ends before it begins; swap")
        if self.decimals < 0:
            raise RobustlibError(f"{name}: decimals={self.decimals}; give 0 or more")

    @property
    def seeds(self) -> int:
        """Number of seeds with a value."""
        return len(self.values)

    @property
    def value(self) -> float | None:
        """Ours: the mean over seeds."""
        return float(np.mean(self.values)) if self.values else None

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's, in the published unit; None when one of them is missing."""
        value = self.value
        return None if value is None or self.published is None else value - self.published


def split_labels(labels: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """(heads, cells of each label), one column for each fact.

    Labels such as ``Method=PGD;Steps=40`` are split where all of them name the same things; others stay whole.
    """
    split = [[part.partition("=") for part in label.split(";")] for label in labels]
    keys = [part[0].strip() for part in split[0]]
    if not all([part[0].strip() for part in parts] == keys and all(part[1] for part in parts) for parts in split):
        return ["Row"], [[label] for label in labels]
    # The papers print "-" where a fact does not apply.
    # Some of their labels come with TeX's subscripts: A _{nat}.
    facts = [[re.sub(r"\s*_\{(\w+)\}", r"_\1", part[2]).strip() for part in parts] for parts in split]
    # A letter such as ε is a symbol and keeps its case.
    heads = [head[:1].upper() + head[1:] if head[:1].isascii() else head for head in keys]
    return heads, [[NOTHING if fact in ("", "-") else fact for fact in line] for line in facts]


def label_columns(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """(heads, cells of each row) of the leading columns, see :func:`split_labels`.

    The column's name follows, unless it is the same in all of several rows (then a caption says it).
    """
    heads, cells = split_labels([row.label for row in rows])
    if quantity(rows) is None:
        heads = [*heads, "Column"]
        cells = [[*line, row.column.removeprefix("column=")] for line, row in zip(cells, rows, strict=True)]
    return heads, cells


def quantity(rows: Sequence[Row]) -> str | None:
    """The column's name where all rows share it, else None."""
    columns = {row.column for row in rows}
    return columns.pop() if len(columns) == 1 else None


def number(value: float | None, decimals: int) -> str:
    """``91.80``, with a minus that lines up and no negative zero; a dash for None."""
    if value is None:
        return NOTHING
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def published_text(row: Row) -> str:
    """What the paper prints, a number or words, marked ``?`` when unverified."""
    if row.published is None and row.text in ("", "-"):
        return NOTHING
    told = row.text if row.published is None else number(row.published, row.decimals)
    return told + ("" if row.verified else f" {UNVERIFIED}")


def told_digits(row: Row, digits: int) -> int:
    """``digits`` after the point, or as many as a plain number of ours needs so as not to look like none, up to 4."""
    places = [0 if row.unit == "%" or not value else math.ceil(-math.log10(abs(value))) for value in row.values]
    return max(digits, *(place for place in places if place <= 4), 0)


def ours_text(row: Row) -> str:
    """``91.80 [90.10, 93.30]``: one decimal more than published; of several networks, ``; 91.5 to 92.1`` follows."""
    digits = told_digits(row, row.decimals + 1)
    text = number(row.value, digits)
    if row.low is not None:
        text += f" [{number(row.low, digits)}, {number(row.high, digits)}]"
    if row.seeds > 1:
        text += f"; {number(min(row.values), digits)} to {number(max(row.values), digits)}"
    return text


def with_authors(rows: Iterable[Row]) -> list[Row]:
    """The rows, each followed by its line on the authors' network where it has one."""
    return [line for row in rows for line in (row, row.authors) if line is not None]


def authors_text(row: Row) -> str:
    """Value on the authors' network, with one decimal more than published; a dash where there is none."""
    return NOTHING if row.authors is None else number(row.authors.value, told_digits(row.authors, row.decimals + 1))


def networks_of(rows: Iterable[Row]) -> set[str]:
    """Networks behind rows, those that differ in their seed alone counted once: their records' folders."""
    folders = (path.rpartition("/")[0] for row in rows for path in row.records)
    return {re.sub(r"-s\d+$", "", folder) for folder in folders}


def count_text(row: Row) -> str:
    """``1,000 × 2``: test points and seeds; a dash where nothing was run, or no network was needed."""
    if not row.values or (row.n is None and not row.records):
        return NOTHING
    return f"{row.n:,} × {row.seeds}" if row.n is not None else f"{NOTHING} × {row.seeds}"


def record_names(row: Row) -> list[tuple[str, str]]:
    """(words for the link, path) of each record: ``seed 0`` where the path's folder ends in ``-s0``.

    On an authors' network a seed names no network, but a draw of the attack.
    """
    found, released = [], row.evidence == "authors' network"
    for index, path in enumerate(row.records):
        seed = None if released else re.search(r"-s(\d+)(?:/|$)", path)
        alone = "record" if len(row.records) == 1 else f"{'draw' if released else 'record'} {index + 1}"
        found.append((f"seed {seed[1]}" if seed else alone, path))
    return found


@dataclass(frozen=True)
class Notes:
    """Footnotes of a table: every sentence once, with its mark; and the marks of each row's columns."""

    sentences: tuple[tuple[str, str], ...]
    ours: tuple[str, ...]
    verdicts: tuple[str, ...]
    authors: tuple[str, ...] = ()


def _mark(index: int) -> str:
    letter = chr(ord("a") + index % 26)
    return letter * (1 + index // 26)


def collect_notes(rows: Sequence[Row]) -> Notes:
    """Marks for a table's footnotes: ``†`` for data, ``?`` for unverified numbers, letters for all else.

    The reason of a row that was not run is a footnote at its verdict.
    """
    marks: dict[str, str] = {}
    daggers: dict[str, str] = {}

    def mark(sentence: str) -> str:
        sentence = " ".join(sentence.split())
        if sentence.startswith(DAGGER):
            body = sentence.lstrip(DAGGER).strip()
            return daggers.setdefault(body, DAGGER * (len(daggers) + 1))
        return marks.setdefault(sentence, _mark(len(marks)))

    authors = [
        " ".join(dict.fromkeys(mark(note) for note in (row.authors.footnotes if row.authors else ()) if note))
        for row in rows
    ]
    ours = [" ".join(dict.fromkeys(mark(note) for note in row.footnotes if note)) for row in rows]
    reasons = [row.verdict.detail if row.verdict.name == "not run" else "" for row in rows]
    verdicts = [mark(reason) if reason else "" for reason in reasons]
    sentences = [(sign, body) for body, sign in daggers.items()]
    printed = [row for row in rows if row.published is not None]
    if printed and any(published_text(row).endswith(UNVERIFIED) for row in rows):
        sentences.append((UNVERIFIED, "published number not checked against the paper; it decides nothing"))
    sentences += [(sign, body) for body, sign in marks.items()]
    return Notes(tuple(sentences), tuple(ours), tuple(verdicts), tuple(authors))
