"""Several runs side by side on one machine, which share a store by its locks."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO

from ..environment import PACKAGE
from ..interrupt import asking, terminated


def side_by_side(arguments: Sequence[str], n: int, *, threads: int, say: Callable[[str], None]) -> list[int]:
    """Exit codes of n processes ``robustlib ARGUMENTS``; the lines of each are printed with its number.

    That of a process which a signal ended is 128 and the signal's number, as a shell has it.

    Ctrl-C is passed on, so that each stops at a checkpoint, and waited for; a second one stops them at once, as SIGTERM
    does: none is left running.

    Args:
        arguments: of the command line.
        n: processes.
        threads: PyTorch threads of each.
        say: prints one line.

    Raises:
        KeyboardInterrupt: after Ctrl-C, when all have ended.
        SystemExit: after SIGTERM, likewise, with a shell's code for it.
    """
    path = os.pathsep.join(filter(None, (str(PACKAGE.parent), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    interrupt, end = threading.Event(), threading.Event()
    processes, listeners = list[subprocess.Popen[str]](), list[threading.Thread]()

    def hand_on(place: int, lines: IO[str]) -> None:
        with lines:
            for line in lines:
                say(f"{place}| {line.rstrip()}")

    def pass_on(which: signal.Signals) -> None:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(which)

    with asking(interrupt), terminated(end):
        try:
            for place in range(1, n + 1):
                # In separate sessions: a terminal would send Ctrl-C to each of them as well, and they would get two.
                process = subprocess.Popen(
                    [sys.executable, "-u", "-m", "robustlib", *arguments],
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    encoding="utf-8",
                    errors="replace",
                    start_new_session=True,
                )
                processes.append(process)
                listeners.append(threading.Thread(target=hand_on, args=(place, process.stdout), daemon=True))
                listeners[-1].start()
            untold = {signal.SIGINT: interrupt, signal.SIGTERM: end}
            while any(process.poll() is None for process in processes):
                for which in [which for which, flag in untold.items() if flag.is_set()]:
                    del untold[which]
                    pass_on(which)
                time.sleep(0.1)
        except BaseException:
            pass_on(signal.SIGINT)
            raise
        finally:
            for process in processes:
                process.wait()
            for listener in listeners:
                listener.join()
    if end.is_set():
        raise SystemExit(128 + signal.SIGTERM)
    if interrupt.is_set():
        raise KeyboardInterrupt
    return [code if code >= 0 else 128 - code for code in (process.returncode for process in processes)]
