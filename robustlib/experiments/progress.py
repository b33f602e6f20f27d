"""What a run is at: a live table of its jobs in a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..spec.evaluation import Evaluation
from ..spec.keys import key
from ..spec.network import Network

LINE_SECONDS, EVENT_SECONDS = 30.0, 0.5
"""Between two lines of one job in a log, and between two reports of one job from another process."""
Tick = Callable[[str, int, int], None]


def label(what: Network | Evaluation) -> str:
    """``train NAME-KEY`` or ``NAME/WHAT-KEY``, as the dry run says and files are named."""
    if isinstance(what, Network):
        return f"train {what.name}-{key(what)[:8]}"
    return f"{what.subject.name}/{what.name}-{key(what)[:8]}"


class Board:
    """Keeps what every job is at. Give its :meth:`say` and :meth:`tick` to a run.

    Args:
        seconds: estimate for each job, by label; only their proportions count once something is done.
        live: draw a table that renews itself; default: where stderr is a terminal and ``rich`` is installed.
        clock: seconds, for the time to go.
    """

    def __init__(
        self, seconds: Mapping[str, float], *, live: bool | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.seconds = dict(seconds)
        self.at: dict[str, tuple[int, int]] = {}
        self._live = sys.stderr.isatty() if live is None else live
        self._clock, self._began, self._said = clock, clock(), {"": clock()}
        self._lock = threading.Lock()

    def say(self, line: str) -> None:
        """A line that stays, with the time to go."""
        print(f"{line}{self.to_go()}", flush=True)

    def tick(self, what: str, done: int, total: int) -> None:
        """``what`` is at ``done`` of ``total`` updates or points, and has ended where they are equal."""
        with self._lock:
            self.at[what] = (done, total)
            now = self._clock()
            due = done < total and now - self._said.setdefault(what, self._began) > LINE_SECONDS
            if due:
                self._said[what] = now
        if due and not self._live:
            print(f"  {what}: {done} of {total}{self.to_go()}", file=sys.stderr, flush=True)

    def running(self) -> list[tuple[str, int, int]]:
        """(job, done, total) of those that began and did not end."""
        with self._lock:
            return [(what, done, total) for what, (done, total) in self.at.items() if done < total]

    def counts(self) -> tuple[int, int, int]:
        """Measurements that run, are done, are left (trainings are on the way to them)."""
        with self._lock:
            wanted = {what for what in self.seconds if not what.startswith("train ")}
            done = {what for what in wanted if self._share(what) == 1}
            running = {what for what in wanted & set(self.at) if what not in done}
        return len(running), len(done), len(wanted) - len(running) - len(done)

    def to_go(self) -> str:
        """ ", about 5 min to go in all", from the estimates and the pace so far; "" at the end."""
        with self._lock:
            spent = sum(seconds * self._share(what) for what, seconds in self.seconds.items())
            left = sum(self.seconds.values()) - spent
            pace = (self._clock() - self._began) / spent if spent else 1.0
        return f", about {duration(left * pace)} to go in all" if left > 0 else ""

    def _share(self, what: str) -> float:
        done, total = self.at.get(what, (0, 1))
        return done / max(1, total)

    def table(self) -> Any:
        """What the terminal shows now, a ``rich`` table."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        running, done, left = self.counts()
        title = f"{running} running, {done} done, {left} left{self.to_go()}"
        table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
        for what, at, total in self.running():
            table.add_row(what, ProgressBar(total=total, completed=at, width=24), f"{at} of {total}")
        return table

    @contextmanager
    def shown(self) -> Iterator[Board]:
        """Draw the table until the block ends."""
        if not self._live:
            yield self
            return
        try:
            from rich.console import Console
            from rich.live import Live
        except ImportError:
            self._live = False
            yield self
            return
        with Live(get_renderable=self.table, console=Console(stderr=True), transient=True):
            yield self


def duration(seconds: float) -> str:
    """Two digits that a person reads: ``40 s``, ``5 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def seldom(tick: Tick, clock: Callable[[], float] = time.monotonic) -> Tick:
    """The same reports, but not every one: what leaves a process costs more than it tells."""
    said: dict[str, float] = {}

    def rarely(what: str, done: int, total: int) -> None:
        now = clock()
        if done == total or now - said.get(what, -EVENT_SECONDS) >= EVENT_SECONDS:
            said[what] = now
            tick(what, done, total)

    return rarely
