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
from ..interrupt import asking


def side_by_side(arguments: Sequence[str], n: int, *, threads: int, say: Callable[[str], None]) -> list[int]:
    """Exit codes of n processes ``robustlib ARGUMENTS``; the lines of each are printed with its number.

    That of a process which a signal ended is 128 and the signal's number, as a shell has it.

    Ctrl-C is passed on, so that each stops at a checkpoint, and waited for; a second one stops them at once.

    Args:
        arguments: of the command line.
        n: processes.
        threads: PyTorch threads of each.
        say: prints one line.

    Raises:
        KeyboardInterrupt: after Ctrl-C, when all have ended.
    """
    path = os.pathsep.join(filter(None, (str(PACKAGE.parent), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    interrupted = threading.Event()

    def hand_on(place: int, lines: IO[str]) -> None:
        with lines:
            for line in lines:
                say(f"{place}| {line.rstrip()}")

    def pass_on() -> None:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)

    with asking(interrupted):
        processes = [
            # In separate sessions: a terminal would send Ctrl-C to each of them as well, and they would get two.
            subprocess.Popen(
                [sys.executable, "-u", "-m", "robustlib", *arguments],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
            for _ in range(n)
        ]
        listeners = [
            threading.Thread(target=hand_on, args=(place, process.stdout), daemon=True)
            for place, process in enumerate(processes, 1)
        ]
        for listener in listeners:
            listener.start()
        passed = False
        try:
            while any(process.poll() is None for process in processes):
                if interrupted.is_set() and not passed:
                    passed = True
                    pass_on()
                time.sleep(0.1)
        except KeyboardInterrupt:
            pass_on()
            raise
        finally:
            for process in processes:
                process.wait()
            for listener in listeners:
                listener.join()
    if interrupted.is_set():
        raise KeyboardInterrupt
    return [code if code >= 0 else 128 - code for code in (process.returncode for process in processes)]
