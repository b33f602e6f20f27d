"""Interleaved rounds: every contestant runs once a round, and each ratio is formed within its round.

A machine that slows down for a moment slows all contestants of that round, so the median of the ratios
holds from machine to machine where times do not.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

Work = Callable[[], object]


def ratios(contestants: Mapping[str, Work], *, floor: str, rounds: int) -> dict[str, float]:
    """Median over rounds of processor time divided by the floor's, for each contestant.

    Args:
        contestants: name to a call that does the whole work once.
        floor: the contestant that the others are divided by.
        rounds: how many rounds; one more is run first and thrown away.
    """
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for index in range(rounds + 1):
        spent = {}
        for name, work in contestants.items():
            began = time.process_time()
            work()
            spent[name] = time.process_time() - began
        if index:
            for name, seconds in spent.items():
                found[name].append(seconds / spent[floor])
    return {name: statistics.median(values) for name, values in found.items()}
