"""Interleaved rounds: every contestant works on the round's points, and each ratio is formed within its round.

A machine that slows down for a moment slows all contestants of that round, so the median of the ratios
holds from machine to machine where times do not.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Block = TypeVar("Block")
Result = TypeVar("Result")


@dataclass
class Measured(Generic[Result]):
    """One contestant's rounds: processor time over the floor's in the same round, that time, and its call's answers."""

    ratios: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Median over the rounds."""
        return statistics.median(self.ratios)


def interleave(
    contestants: Mapping[str, Callable[[Block], Result]],
    blocks: Sequence[Block],
    *,
    floor: str,
    warm_up: Block | None = None,
    limits: Mapping[str, int] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Measured[Result]]:
    """Every contestant on every block, one round a block.

    Args:
        contestants: name to a call that does the whole work on a block.
        blocks: what each round works on.
        floor: the contestant whose time divides the others'; it takes part in every round.
        warm_up: a block on which each contestant runs once, untimed, before the rounds.
        limits: contestants that are slow: how many rounds, from the first, they take part in.
        say: prints one line a round.

    Each round begins with the next contestant in turn, so that none always follows the same neighbour.
    """
    if warm_up is not None:
        for work in contestants.values():
            work(warm_up)
    measured: dict[str, Measured[Result]] = {name: Measured() for name in contestants}
    names = list(contestants)
    for index, block in enumerate(blocks):
        taking_part = [name for name in names if index < (limits or {}).get(name, len(blocks))]
        turn = index % len(taking_part)
        seconds = {}
        for name in taking_part[turn:] + taking_part[:turn]:
            gc.collect()
            began = time.process_time()
            result = contestants[name](block)
            seconds[name] = time.process_time() - began
            measured[name].results.append(result)
        for name in taking_part:
            measured[name].ratios.append(seconds[name] / seconds[floor])
            measured[name].seconds.append(seconds[name])
        say(f"round {index + 1}/{len(blocks)}: " + ", ".join(f"{n} {seconds[n]:.1f} s" for n in taking_part))
    return measured
