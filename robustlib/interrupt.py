"""Ctrl-C and SIGTERM, from a process's first moment to its last.

It imports next to nothing, so that the first moment comes early.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threading import Event
    from types import FrameType


class Stopped(Exception):
    """Work stopped cleanly at a checkpoint; run again to go on."""


def starting() -> None:
    """Have Ctrl-C end this process at once, with one line and exit code 130, until another handler is set."""
    # A shell that starts a job in the background has it ignore Ctrl-C; so it stays.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def _leave(signum: int, frame: object) -> None:
    """End the process: an import that Ctrl-C tears apart ends as any exception, or passes for a missing module."""
    os.write(2, b"robustlib: interrupted\n")
    os._exit(130)


def ended() -> None:
    """Have Ctrl-C change nothing any more: everything is written, and only the interpreter has things to put away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def raising(flag: Event) -> Iterator[None]:
    """Have Ctrl-C in the block set the flag and raise KeyboardInterrupt, which may arrive as another exception."""

    def handler(signum: int, frame: object) -> None:
        flag.set()
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, None):
        yield
        return
    with _handling(signal.SIGINT, handler):
        yield


@contextmanager
def asking(flag: Event) -> Iterator[None]:
    """Have Ctrl-C in the block set the flag instead of tearing an update apart; a second one stops at once."""

    def handler(signum: int, frame: object) -> None:
        if flag.is_set():
            if callable(before):
                before(signum, None)  # whoever is around this block may want to know
            raise KeyboardInterrupt
        flag.set()
        print("stopping at the next checkpoint; Ctrl-C again stops at once", flush=True)

    before = signal.getsignal(signal.SIGINT)
    with _handling(signal.SIGINT, handler):
        yield


@contextmanager
def terminated(flag: Event) -> Iterator[None]:
    """Have SIGTERM in the block set the flag, and nothing else."""
    with _handling(signal.SIGTERM, lambda signum, frame: flag.set()):
        yield


@contextmanager
def _handling(which: signal.Signals, handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle a signal in the block; only the main thread can."""
    import threading

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(which, handler)
    try:
        yield
    finally:
        signal.signal(which, before)
