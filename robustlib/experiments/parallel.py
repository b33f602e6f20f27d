"""A run spread over processes of one machine; several on one GPU fill it where each waits for launches."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.managers
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

from ..errors import RobustlibError
from ..interrupt import asking, held
from ..spec.keys import key
from .host import resolve_device
from .progress import Tick, estimates, seldom
from .runner import Interrupted, Job, Summary, run
from .store import Store


def run_parallel(
    jobs: Sequence[Job],
    workers: int,
    *,
    root: Path,
    threads: int | None = None,
    say: Callable[[str], None] = print,
    tick: Tick | None = None,
    **options: Any,
) -> Summary:
    """As :func:`run`, in several processes; those jobs that share a subject stay together.

    Args:
        jobs: as for :func:`run`.
        workers: processes, >= 1.
        root: folder of the store.
        threads: PyTorch threads of each; default: the processor's share.
        say, tick: as for :func:`run`; called here, in this process.
        options: keyword arguments of :func:`run` that can be sent to another process.
    """
    if workers < 1:
        raise RobustlibError(f"jobs={workers}; give 1 or more processes")
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(key(job.evaluation.subject), []).append(job)
    shares: list[tuple[float, list[Job]]] = [(0.0, []) for _ in range(workers)]
    # Longest first, each to the process with the least to do.
    kind = resolve_device(options.get("device", "auto")).type
    work = [(sum(estimates([job.evaluation for job in group], kind).values()), group) for group in groups.values()]
    for seconds, group in sorted(work, key=lambda pair: -pair[0]):
        lightest = min(range(workers), key=lambda i: shares[i][0])
        shares[lightest] = (shares[lightest][0] + seconds, shares[lightest][1] + group)
    threads = threads or max(1, torch.get_num_threads() // workers)
    total, context, interrupted = Summary(), multiprocessing.get_context("spawn"), threading.Event()
    # The terminal sends Ctrl-C to the workers too, which stop at a checkpoint: wait for what they have to say.
    pool = ProcessPoolExecutor(workers, mp_context=context)
    with asking(interrupted), contextlib.ExitStack() as ends:
        # A process that imports torch would be torn apart by a Ctrl-C, and take the whole pool with it.
        with held():
            told: Any = ends.enter_context(_manager(context)).Queue()
            ends.enter_context(pool)
            parts = [pool.submit(_work, share, root, threads, told, options) for _, share in shares if share]
        listener = threading.Thread(target=_listen, args=(told, say, tick))
        listener.start()
        try:
            for part in parts:
                summary = part.result()
                total.written += summary.written
                total.present += summary.present
                total.failed += summary.failed
                total.unfinished += summary.unfinished
        finally:
            told.put(None)
            listener.join()
    if interrupted.is_set():
        raise Interrupted(total)
    return total


def _manager(context: Any) -> Any:
    """The queues' process, which a Ctrl-C leaves alone."""
    manager = multiprocessing.managers.SyncManager(ctx=context)
    manager.start(signal.signal, (signal.SIGINT, signal.SIG_IGN))
    return manager


def _listen(told: Any, say: Callable[[str], None], tick: Tick | None) -> None:
    """Hand on what the workers tell, until None."""
    for event in iter(told.get, None):
        if isinstance(event, str):
            say(event)
        elif tick is not None:
            tick(*event)


def _work(jobs: Sequence[Job], root: Path, threads: int, told: Any, options: dict[str, Any]) -> Summary:
    torch.set_num_threads(threads)
    try:
        return run(jobs, store=Store(root), say=told.put, tick=seldom(lambda *event: told.put(event)), **options)
    except Interrupted as stopped:
        return stopped.summary
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing is left to be stopped
