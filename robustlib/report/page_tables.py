"""Rows as the tables of the book's pages and of notebook cells: a list of rows, or a matrix as papers print it.

What all rows share stands once, in the caption: a setting, the number of points and networks, the evidence, a verdict
that compares nothing. Several columns make a matrix, the paper's number over ours in each cell. Every column of every
row is in the exported files, see :mod:`robustlib.report.exports`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..errors import RobustlibError
from .forms import html_table, list_table, myst_escape
from .rows import (
    DAGGER,
    NOTHING,
    UNVERIFIED,
    Notes,
    Row,
    collect_notes,
    count_text,
    label_columns,
    number,
    published_text,
    quantity,
    record_names,
    split_labels,
)
from .shown_numbers import bar_scale, difference_bar, each_text, interval_text, shown_decimals, signed_text

Link = str | Callable[[str], str]
MARKS = {
    "confirmed": "✓", "reproduced": "✓", "level reached": "✓", "consistent": "≈", "unresolved": "?", "open": "?",
    "differs": "≠", "higher": "▲", "lower": "▼", "level exceeded": "▲", "level missed": "▼",
    "trivial": "=", "computed": "=", "not judged": "○", "unverified": "○",
}  # fmt: skip
"""Sign of a verdict in a matrix; a number that is only measured, or that was not run, has none."""
MOST_COLUMNS = 9
"""Columns of a list that a page has room for."""
WIDEST = 730
"""Pixels of a matrix, by estimate; wider ones are shown as lists."""


@dataclass(frozen=True)
class Markup:
    """How plain text and links are written; all else is HTML in either form.

    Args:
        escape: plain text.
        link: a format of words and address.
        address: of a record, from its path.
    """

    escape: Callable[[str], str]
    link: str
    address: Callable[[str], str]

    def linked(self, words: str, path: str) -> str:
        """Words that lead to a record."""
        return self.link.format(self.escape(words), self.escape(self.address(path)))


@dataclass(frozen=True)
class Parts:
    """A table before it is written: heads, lines of cells, footnotes and caption."""

    heads: list[str]
    lines: list[list[str]]
    notes: list[str]
    caption: str
    kind: str = "robust-table"


def _address(link: Link) -> Callable[[str], str]:
    return (lambda path: link + path) if isinstance(link, str) else link


def to_myst(rows: Sequence[Row], *, name: str, caption: str, link: Link = "") -> str:
    """A numbered book table (``{numref}`` reaches it by ``name``), its footnotes below.

    Args:
        rows: at least one.
        name: reference target.
        caption: what the table shows; facts that all rows share are added.
        link: before a record's path, or from the path to its address.

    Raises:
        RobustlibError: no rows, an empty caption, a name that is no reference target.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise RobustlibError(f"table name {name!r}: use small letters, digits and hyphens")
    if not caption.strip():
        raise RobustlibError(f"table {name}: an empty caption; say what the table shows")
    parts = make_parts(rows, caption, Markup(myst_escape, "[{}](<{}>)", _address(link)))
    return list_table([parts.heads, *parts.lines], name=name, caption=parts.caption, kind=parts.kind, notes=parts.notes)


def to_html(rows: Sequence[Row], *, caption: str = "", link: Link = "") -> str:
    """A table for a notebook cell, ``HTML(to_html(rows))``: readable without a style sheet."""
    parts = make_parts(rows, caption, Markup(html.escape, '<a href="{1}">{0}</a>', _address(link)))
    return html_table([parts.heads, *parts.lines], caption=parts.caption, kind=parts.kind, notes=parts.notes)


def make_parts(rows: Sequence[Row], caption: str, markup: Markup) -> Parts:
    """The rows as a matrix where their columns make one that fits a page, else as a list.

    Raises:
        RobustlibError: no rows.
    """
    if not rows:
        raise RobustlibError("a table without rows; pass the rows of an item that has cells")
    shared, rows = _shared_notes(rows)
    notes = collect_notes(rows)
    parts = _matrix(rows, notes, markup) if makes_matrix(rows) else _list(rows, notes, markup)
    told = [f"<sup>{markup.escape(sign)}</sup> {markup.escape(text)}" for sign, text in notes.sentences]
    title = ". ".join(filter(None, (caption.rstrip("."), parts.caption, _common(rows))))
    ends = "." if title and not title.endswith(".") else ""
    return replace(
        parts, notes=[*map(markup.escape, shared), *parts.notes, *told], caption=f"{title}{ends}" if caption else ""
    )


# What all rows share -----------------------------------------------------------------------------------------------


def _shared_notes(rows: Sequence[Row]) -> tuple[list[str], list[Row]]:
    """Footnotes of every measured row, without a mark; and the rows without them."""
    measured = [row for row in rows if row.values]
    if len(measured) < 2:
        return [], list(rows)
    every = [note for note in measured[0].footnotes if all(note in row.footnotes for row in measured)]
    kept = [replace(row, footnotes=tuple(note for note in row.footnotes if note not in every)) for row in rows]
    sentences = [" ".join(note.lstrip(DAGGER).split()) for note in every]
    return [f"{text[:1].upper()}{text[1:]}." for text in sentences], kept


def _only(values: Sequence[str]) -> str:
    """The value that all share, or ""."""
    return values[0] if values and len(set(values)) == 1 else ""


def _common(rows: Sequence[Row]) -> str:
    """Points, networks, evidence and verdict that all measured rows share, in words."""
    measured = [row for row in rows if row.values]
    verdict, evidence = _shared_verdict(rows), _only([row.evidence or "" for row in measured])
    told = [
        _counted(measured[0]) if _only([count_text(row) for row in measured]) else "",
        f"evidence: {evidence}" if evidence else "",
        f"verdict: {verdict}" if verdict else "",
    ]
    text = "; ".join(filter(None, told))
    return text[:1].upper() + text[1:]


def _counted(row: Row) -> str:
    if count_text(row) == NOTHING:
        return ""
    networks = "1 network" if row.seeds == 1 else f"{row.seeds} networks"
    return f"{row.n:,} point{'s' * (row.n != 1)}, {networks}" if row.n is not None else networks


def _shared_verdict(rows: Sequence[Row]) -> str:
    """Verdict of all rows where it compares nothing and gives no reason of its own, else ""."""
    name = _only([row.verdict.name for row in rows])
    return "" if name == "not run" or any(row.verdict.compares for row in rows) else name


# A list of rows ----------------------------------------------------------------------------------------------------


def _small(text: str, kind: str = "small") -> str:
    return f' <span class="{kind}">{text}</span>' if text else ""


def _subscripts(text: str) -> str:
    """Names such as A_nat and rho_adv with their subscripts, in escaped text."""
    return re.sub(r"\b([A-Za-z]{1,3})\\?_(\w+)", r"\1<sub>\2</sub>", text)


def _raised(text: str) -> str:
    return f" <sup>{text}</sup>" if text else ""


def badge(row: Row) -> str:
    """The verdict; where it compares numbers, its reason unfolds from it."""
    word = f'<span class="{row.verdict.css}">{row.verdict.name}</span>'
    if not row.verdict.compares:
        return word
    return f'<details class="why"><summary>{word}</summary>{html.escape(row.verdict.detail)}</details>'


def _links(row: Row, markup: Markup) -> str:
    """A link for each record; more than three fold."""
    found = " ".join(markup.linked(words, path) for words, path in record_names(row))
    if len(row.records) <= 3:
        return f'<span class="record-links">{found}</span>' if found else NOTHING
    return f'<details class="records"><summary>{len(row.records)}</summary>{found}</details>'


def _list(rows: Sequence[Row], notes: Notes, markup: Markup) -> Parts:
    """A line a row: label, paper, authors' network, ours, difference, verdict, record; shared labels in the caption."""
    escape = markup.escape
    facts, heads, labels = _labels(*label_columns(rows))
    measured = [row for row in rows if row.values]
    shared = _only([row.unit for row in rows])
    unit = f" ({shared})" if shared else ""
    printed, released = any(row.published is not None for row in rows), any(row.authors is not None for row in rows)
    compared, judged = any(row.difference is not None for row in rows), not _shared_verdict(rows)
    same_count = bool(_only([count_text(row) for row in measured]))
    same_evidence = bool(_only([row.evidence or "" for row in measured]))
    spare = MOST_COLUMNS - printed - released - compared - judged - 2
    if 2 <= spare < len(heads):
        # The first facts share a column.
        first = len(heads) - spare + 1
        heads = [", ".join(heads[:first]), *heads[first:]]
        labels = [[", ".join(text for text in label[:first] if text != NOTHING), *label[first:]] for label in labels]
    scale, lines = bar_scale(rows), []
    for i, (row, label) in enumerate(zip(rows, labels, strict=True)):
        own = f" {row.unit}" if row.unit and not shared else ""
        counted = "" if same_count or count_text(row) == NOTHING else count_text(row)
        ends = _small(escape("; ".join(filter(None, (interval_text(row), counted)))), "small interval")
        ends += _small(escape(each_text(row)))
        line = [_subscripts(escape(text)) for text in label]
        line += (
            [_recalled(row, escape(published_text(row) + (own if row.published is not None else "")))]
            if printed
            else []
        )
        line += [_authors(row, markup) + _raised(escape(notes.authors[i]))] if released else []
        ours = number(row.value, shown_decimals(row)) + (own if row.values else "")
        line.append(escape(ours) + _raised(escape(notes.ours[i])) + ends)
        line += [f"{escape(signed_text(row))} {difference_bar(row, scale)}".rstrip()] if compared else []
        said = "" if same_evidence or row.evidence is None else _small(escape(row.evidence))
        line += [badge(row) + _raised(escape(notes.verdicts[i])) + said] if judged else []
        lines.append([*line, _links(row, markup)])
    shown = [
        "95 % interval" if any(map(interval_text, measured)) else "",
        "" if same_count or not measured else "points × networks",
        "each network" if any(map(each_text, measured)) else "",
    ]
    ours_head = escape(f"Ours{'' if printed else unit}") + _small(escape("; ".join(filter(None, shown))))
    heads = [*map(escape, heads), *([escape(f"Paper{unit}")] if printed else [])]
    heads += [escape("Authors' network")] if released else []
    heads += [ours_head, *(["Difference"] if compared else []), *(["Verdict"] if judged else []), "Record"]
    name = quantity(rows) or ""
    # A sentence begins with a capital, a name such as l2 stays.
    name = name[:1].upper() + name[1:] if name[:2].isalpha() else name
    return Parts(heads, lines, [], ". ".join(filter(None, (f"{name}{unit}" if name else "", facts))))


def _labels(heads: list[str], cells: list[list[str]]) -> tuple[str, list[str], list[list[str]]]:
    """(settings that all of several lines share, heads and cells of the others)."""
    prefix, cells = _shared_prefix(heads, cells)
    kept = [i for i in range(len(heads)) if len(cells) < 2 or len({line[i] for line in cells}) > 1] or [0]
    told = [
        cells[0][i] if heads[i] in ("Row", "Column") else f"{heads[i]} {cells[0][i]}"
        for i in range(len(heads))
        if i not in kept and cells[0][i] != NOTHING
    ]
    return "; ".join([*prefix, *told]), [heads[i] for i in kept], [[line[i] for i in kept] for line in cells]


def _shared_prefix(heads: list[str], cells: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Parts before a semicolon that all whole labels begin with, and the cells without them."""
    found: list[str] = []
    if heads[0] != "Row" or len(cells) < 2:
        return found, cells
    first, *rest = cells[0][0].split("; ")
    while rest and all(line[0].startswith(f"{first}; ") for line in cells):
        found.append(first)
        cells = [[line[0].removeprefix(f"{first}; "), *line[1:]] for line in cells]
        first, *rest = rest
    return found, cells


def _recalled(row: Row, text: str) -> str:
    """The paper's number, set apart where it was not checked against the paper."""
    return f'<span class="recalled">{text}</span>' if published_text(row).endswith(UNVERIFIED) else text


def _authors(row: Row, markup: Markup) -> str:
    """Value, verdict and record of the authors' network."""
    theirs = row.authors
    if theirs is None:
        return markup.escape(NOTHING)
    value = markup.escape(number(theirs.value, shown_decimals(theirs)))
    return f"{value} {badge(theirs)} {_links(theirs, markup)}"


# A matrix ----------------------------------------------------------------------------------------------------------


def makes_matrix(rows: Sequence[Row]) -> bool:
    """True where several labels and several columns make a grid that is mostly full and fits a page."""
    labels, columns = dict.fromkeys(row.label for row in rows), dict.fromkeys(row.column for row in rows)
    if len(columns) < 2 or len({(row.label, row.column) for row in rows}) < len(rows):
        return False
    if 2 * len(rows) < len(labels) * len(columns):
        return False
    _, heads, cells = _labels(*split_labels(list(labels)))
    words = [max(map(len, re.split(r"[ /]", " ".join(texts)))) for texts in zip(heads, *cells, strict=True)]
    bare = not _paper(rows)
    numbers = {name: max(len(_number(row, bare=bare)) for row in rows if row.column == name) for name in columns}
    words += [max(numbers[name] + 3, *map(len, re.split(r"[ /]", column_head(name)))) for name in columns]
    return sum(8 * count + 14 for count in words) <= WIDEST


def column_head(column: str) -> str:
    """A column's name as a head."""
    return column.removeprefix("column=")


def _number(row: Row, *, bare: bool) -> str:
    return max("" if bare else published_text(row), number(row.value, shown_decimals(row)), key=len)


def _matrix(rows: Sequence[Row], notes: Notes, markup: Markup) -> Parts:
    """A line a label, a column a quantity; in a cell the paper's number over ours, and the verdict's sign."""
    escape = markup.escape
    columns = list(dict.fromkeys(row.column for row in rows))
    labels = list(dict.fromkeys(row.label for row in rows))
    facts, heads, names = _labels(*split_labels(labels))
    shared = _only([row.unit for row in rows])
    units = {name: _only([row.unit for row in rows if row.column == name]) for name in columns}
    place = {(row.label, row.column): i for i, row in enumerate(rows)}
    lines = []
    for label, told in zip(labels, names, strict=True):
        found = [place.get((label, name)) for name in columns]
        cells = ["" if i is None else _matrix_cell(rows[i], notes, i, markup, bare=not _paper(rows)) for i in found]
        lines.append([*(_subscripts(escape(text)) for text in told), *cells])
    for name in columns:
        unit = "" if shared or not units[name] else f" ({units[name]})"
        heads.append(column_head(name) + unit)
    unit = f"In {shared}" if shared else ""
    return Parts(
        [_subscripts(escape(head)) for head in heads],
        lines,
        [escape(text) for text in _legend(rows)],
        ". ".join(filter(None, (unit, facts))),
        kind="robust-table matrix",
    )


def _paper(rows: Sequence[Row]) -> bool:
    return any(row.published is not None for row in rows)


def _matrix_cell(row: Row, notes: Notes, place: int, markup: Markup, *, bare: bool) -> str:
    """Paper over ours; ours links to its first record, and the interval shows where the pointer rests on it."""
    escape = markup.escape
    printed = "" if bare else f'<span class="printed">{_recalled(row, escape(published_text(row)))}</span> '
    text = number(row.value, shown_decimals(row))
    ours = markup.linked(text, row.records[0]) if row.records and row.values else escape(text)
    title = ", ".join(filter(None, (interval_text(row), count_text(row) if row.values else "", row.evidence or "")))
    cell = f'{printed}<span class="ours" title="{html.escape(title)}">{ours}</span>{_sign(row)}'
    cell += _raised(escape(" ".join(filter(None, (notes.ours[place], notes.verdicts[place])))))
    cell += _small(escape(each_text(row)))
    if row.authors is not None:
        value = number(row.authors.value, shown_decimals(row.authors))
        theirs = markup.linked(value, row.authors.records[0]) if row.authors.records else escape(value)
        cell += f' <span class="theirs">{theirs}{_sign(row.authors)}{_raised(escape(notes.authors[place]))}</span>'
    return cell


def _sign(row: Row) -> str:
    sign = MARKS.get(row.verdict.name, "")
    if not sign:
        return ""
    title = html.escape(": ".join(filter(None, (row.verdict.name, row.verdict.detail))))
    style = row.verdict.css.replace("verdict ", "sign ", 1)
    # The title is also what is read aloud.
    return f' <span class="{style}" role="img" title="{title}">{sign}</span>'


def _legend(rows: Sequence[Row]) -> list[str]:
    """What a cell holds, and the signs of the verdicts in it."""
    found = [line for row in rows for line in (row, row.authors) if line is not None]
    names = dict.fromkeys(line.verdict.name for line in found if line.verdict.name in MARKS)
    signs: dict[str, list[str]] = {}
    for name in names:
        signs.setdefault(MARKS[name], []).append(name)
    cell = ["the paper's number in grey, ours below it, linked to its record"] if _paper(rows) else []
    cell += ["last, after a bar, the authors' own network"] if any(row.authors for row in rows) else []
    told = [f"In a cell: {'; '.join(cell)}."] if cell else []
    listed = "; ".join(f"{sign} {', '.join(each)}" for sign, each in signs.items())
    told += [f"{listed}."] if listed else []
    return [" ".join(told)] if told else []
