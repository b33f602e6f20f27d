"""Progress of a run: bars on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..spec.evaluation import Evaluation
from ..spec.keys import key
from ..spec.network import Network

LINE_SECONDS, DRAW_SECONDS = 30.0, 0.25
"""Seconds between two lines of one job in a log, and between two drawings of its bar."""
Tick = Callable[[str, int, int], None]
"""Called with a label, the number of updates or points done, and their total."""


def label(what: Network | Evaluation) -> str:
    """``train NAME-KEY`` or ``NAME/WHAT-KEY``, as the dry run and the files name it."""
    if isinstance(what, Network):
        return f"train {what.name}-{key(what)[:8]}"
    return f"{what.subject.name}/{what.name}-{key(what)[:8]}"


class Board:
    """Shows how far a run is; its :meth:`say` and :meth:`tick` are given to the run.

    Args:
        seconds: estimate for each job, by label; only their proportions count once something is done.
        live: draw bars; default: where stderr is a terminal. Without ``rich`` there are lines.
        clock: seconds, for the time to go.
    """

    def __init__(
        self, seconds: Mapping[str, float], *, live: bool | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.seconds, self.shares = dict(seconds), dict[str, float]()
        self._live = sys.stderr.isatty() if live is None else live
        self._bars: Any = None
        self._clock, self._began = clock, clock()
        self._told, self._tasks = dict[str, float](), dict[str, Any]()

    def say(self, line: str) -> None:
        """Print a line that stays, with the time to go."""
        print(f"{line}{self.to_go()}", flush=True)

    def tick(self, what: str, done: int, total: int) -> None:
        """Note that ``what`` is at ``done`` of ``total`` updates or points; it has ended where they are equal."""
        self.shares[what] = done / max(1, total)
        since = self._clock() - self._told.get(what, self._began)
        if self._bars is not None:
            if done == total or what not in self._told or since > DRAW_SECONDS:
                self._told[what] = self._clock()
                self._draw(self._bars, what, done, total)
        elif done < total and since > LINE_SECONDS:
            self._told[what] = self._clock()
            print(f"  {what}: {done} of {total}{self.to_go()}", file=sys.stderr, flush=True)

    def _draw(self, bars: Any, what: str, done: int, total: int) -> None:
        if done == total:
            if what in self._tasks:
                bars.remove_task(self._tasks.pop(what))
        elif what in self._tasks:
            bars.update(self._tasks[what], completed=done, total=total)
        else:
            self._tasks[what] = bars.add_task(what, completed=done, total=total)
        wanted = [name for name in self.seconds if not name.startswith("train ")]
        ended = sum(self.shares.get(name) == 1 for name in wanted)
        bars.update(self._tasks[""], completed=ended, total=len(wanted), description=f"evaluations{self.to_go()}")

    def to_go(self) -> str:
        """``, about 5 min to go in all``, from the estimates and the pace so far; nothing at the end."""
        spent = sum(seconds * self.shares.get(what, 0.0) for what, seconds in self.seconds.items())
        left = sum(self.seconds.values()) - spent
        pace = (self._clock() - self._began) / spent if spent else 1.0
        return f", about {duration(left * pace)} to go in all" if left > 0 else ""

    @contextmanager
    def shown(self) -> Iterator[Board]:
        """Draw bars until the block ends, one for each running job and one for all."""
        try:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        except ImportError:
            self._live = False
        if not self._live:
            yield self
            return
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
        with Progress(*columns, console=Console(stderr=True), transient=True) as self._bars:
            self._tasks[""] = self._bars.add_task("evaluations")
            yield self
        self._bars = None


def duration(seconds: float) -> str:
    """Two digits for people: ``40 s``, ``5 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
