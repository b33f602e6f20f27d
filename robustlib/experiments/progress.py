"""Progress that a person can read, in a terminal and in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any


def ticker() -> Callable[[str, int, int], None]:
    """A progress bar in a terminal, a line every 30 s in a log."""
    from tqdm import tqdm

    bar: list[Any] = []
    said = [time.monotonic()]

    def tick(what: str, done: int, total: int) -> None:
        if sys.stderr.isatty():
            if not bar or bar[0].desc != f"{what}: ":
                for old in bar:
                    old.close()
                bar[:] = [tqdm(total=total, desc=what, leave=False)]
            bar[0].update(done - bar[0].n)
        elif time.monotonic() - said[0] > 30:
            said[0] = time.monotonic()
            print(f"  {what}: {done} of {total}", file=sys.stderr, flush=True)

    return tick
