"""Ctrl-C before a process has begun its work and after it has ended it. Imports next to nothing."""

import os
import signal


def _leave(signum: int, frame: object) -> None:
    """End the process: an import that Ctrl-C tears apart ends as any exception, or passes for a missing module."""
    os.write(2, b"robustlib: interrupted\n")
    os._exit(130)


def starting() -> None:
    """Have Ctrl-C end this process at once, with one line and exit code 130."""
    # A shell that starts a job in the background has it ignore Ctrl-C; so it stays.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def ended() -> None:
    """Have Ctrl-C change nothing any more: everything is written, and only the interpreter has things to put away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
