"""A row's numbers in the tables of pages: decimals, intervals, the values of each network, differences with a bar."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .rows import NOTHING, Row, number, told_digits

LEAST_SCALE = 5.0
"""Percentage points at a full bar of differences, at the least: small differences stay small."""
NAMED = 4
"""Most networks of one number that are printed one by one."""


def shown_decimals(row: Row) -> int:
    """Digits of ours after the point: one more than the paper prints at most, and of a share no more than it has."""
    finer = row.published is not None and (row.unit == "%" or row.decimals < 3)
    digits = row.decimals + finer
    # A share of a thousand points has one decimal.
    carried = max(1, math.ceil(math.log10(row.n)) - 2) if row.n else digits
    return min(digits, carried) if row.unit == "%" else told_digits(row, digits)


def _fine(row: Row) -> int:
    """Digits of what stands small beside ours."""
    return min(shown_decimals(row), 1) if row.unit == "%" else shown_decimals(row)


def interval_text(row: Row) -> str:
    """95 % interval over test points; "" round the mean of networks that lie further apart than it is wide.

    It says what other test points could have changed, and there it would mislead: two networks at 8 and 78 % have a
    mean of 43 % with an interval of less than a point on either side.
    """
    if row.low is None or row.high is None or max(row.values) - min(row.values) > row.high - row.low:
        return ""
    # Close to 100 % one decimal may not tell the ends apart.
    for digits in (_fine(row), shown_decimals(row)):
        ends = [number(end, digits) for end in (row.low, row.high)]
        if ends[0] != ends[1]:
            return f"[{', '.join(ends)}]"
    return ""


def each_text(row: Row) -> str:
    """Every network's value, or the range of many; "" of one."""
    if row.seeds < 2:
        return ""
    each = [number(value, _fine(row)) for value in sorted(row.values)]
    return ", ".join(each) if row.seeds <= NAMED else f"{each[0]} to {each[-1]}"


def signed_text(row: Row) -> str:
    """The difference with its sign; a dash where there is none."""
    if row.difference is None:
        return NOTHING
    text = number(row.difference, shown_decimals(row))
    return f"+{text}" if row.difference > 0 and float(text) else text


def difference_bar(row: Row, scale: float) -> str:
    """The difference as a bar to the left or right of nought; its number stands beside it."""
    if row.difference is None or not scale:
        return ""
    length = round(22 * min(1.0, abs(row.difference) / scale), 1)
    start = 24 if row.difference > 0 else 24 - length
    return (
        '<svg class="difference" width="48" height="10" viewBox="0 0 48 10" aria-hidden="true">'
        f'<path d="M24 0V10" stroke="currentColor" fill="none"/><rect x="{start:g}" y="2" width="{length:g}" '
        'height="6" fill="currentColor"/></svg>'
    )


def bar_scale(rows: Sequence[Row]) -> float:
    """Difference at a full bar; 0 where the rows have several units."""
    if len({row.unit for row in rows}) > 1:
        return 0.0
    found = [abs(row.difference) for row in rows if row.difference is not None]
    return max([*found, LEAST_SCALE if rows[0].unit == "%" else 0.0], default=0.0)
