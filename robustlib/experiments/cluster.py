"""Evaluations on a dask.distributed cluster: each training and each measurement is a separate task.

Workers share the folder of ``results/`` and the cache of networks, so that another one goes on from the checkpoint
of one that died, and the locks between processes hold between workers too (where the file system has flock).
Everything else works without ``distributed``.
"""

from __future__ import annotations

import contextlib
import functools
import math
import re
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ..environment import cache_root
from ..errors import RobustlibError
from ..files import write_atomically
from ..interrupt import Stopped, asking
from ..spec.evaluation import Evaluation
from ..spec.keys import key
from ..spec.network import Network
from ..spec.records import Unfilable
from ..training import TrainingDiverged, WeakTeacher
from .checkpoints import MissingWeights
from .networks import Networks
from .progress import Tick, label
from .provenance import resolve_device
from .runner import Interrupted, Job, Summary, exact_arithmetic, headline, run_one, tune_allocator
from .store import Store

LINE_SECONDS, EVENT_SECONDS = 30.0, 0.5
"""Seconds between two lines about the whole, and between two reports of one task."""
_store = functools.cache(Store)


def run_on(
    jobs: Sequence[Job],
    cluster: str,
    *,
    profile: str,
    root: Path,
    device: str = "auto",
    budget: float = math.inf,
    recompute: bool = False,
    cache: Path | None = None,
    committed: Path | None = None,
    say: Callable[[str], None] = print,
    tick: Tick | None = None,
) -> Summary:
    """Run on a cluster, with the arguments of :func:`robustlib.experiments.runner.run`.

    Args:
        cluster: ``local:N`` (N worker processes here), or a scheduler's address, ``tcp://host:port`` or ``tls://...``.
        root: folder of the store; workers see it, the cache and the committed weights under the same paths.
        device: of the workers; with "cuda" each task requires the resource ``GPU=1``.

    Raises:
        RobustlibError: ``distributed`` is missing, no scheduler answers, or a worker refuses: it does not see the
            folders, or runs several tasks at a time.
    """
    workers, store, interrupted = _workers(cluster), Store(root), threading.Event()
    root, cache = root.resolve(), (cache or cache_root() / "networks").resolve()
    unique = {key(job.evaluation): job for job in jobs}
    todo = [job for job in unique.values() if recompute or store.find(job.evaluation, job.home(profile)) is None]
    total = Summary(present=len(unique) - len(todo))
    if not todo:
        return total
    # Workers look for the marks, and read the first one: while it says "stop", they stop at a checkpoint.
    marks = [folder / f".cluster-{uuid.uuid4().hex}" for folder in (cache, root / "results")]
    gpu = {"GPU": 1.0} if device.startswith("cuda") else None
    options = {
        "marks": marks,
        "profile": profile,
        "root": root,
        "recompute": recompute,
        "device": device,
        "cache": cache,
        "committed": committed and committed.resolve(),
        "threads": max(1, torch.get_num_threads() // workers) if workers else None,
    }
    with asking(interrupted), _connected(cluster, workers, gpu) as client:
        left: dict[Any, Job] = {}
        try:
            for mark in marks:
                write_atomically(mark, b"go")
            if tick is not None:
                client.subscribe_topic(marks[0].name, lambda event: tick(*event[1]))
            if recompute:
                for network in {key(n): n for job in todo for n in job.evaluation.lineage}.values():
                    Networks(torch.device("cpu"), cache, None).forget(network)
            left = _submit(client, todo, marks[0].name, gpu, options)
            end, said, stopping, idle = time.monotonic() + budget, time.monotonic(), False, 0
            # After the mark says stop, everything ends at once or at a checkpoint; without workers, nothing does.
            while left and idle < 5:
                time.sleep(0.1)
                busy = sum(map(bool, client.processing().values()))
                if not stopping and (interrupted.is_set() or time.monotonic() > end):
                    write_atomically(marks[0], b"stop")
                    stopping = True
                idle = idle + 1 if stopping and not busy else 0
                for future in [future for future in left if future.done()]:
                    job = left.pop(future)
                    if tick is not None:
                        tick(label(job.evaluation), 1, 1)
                    _take(future, job, total, say, f"{len(todo) - len(left)}/{len(todo)}")
                if time.monotonic() - said > LINE_SECONDS:
                    said = time.monotonic()
                    hint = "" if busy else f": start one{' with --resources GPU=1' if gpu else ''}"
                    say(f"  {len(left)} of {len(todo)} left, {busy} workers busy{hint}")
        finally:
            client.cancel(list(left))
            for mark in marks:
                mark.unlink(missing_ok=True)
    total.unfinished += len(left)
    if interrupted.is_set():
        raise Interrupted(total)
    return total


def _workers(cluster: str) -> int:
    """N of ``local:N``, 0 for an address."""
    if local := re.fullmatch(r"local:([1-9]\d*)", cluster):
        return int(local[1])
    if not re.fullmatch(r"(tcp|tls)://\S+:\d+", cluster):
        raise RobustlibError(f"cluster {cluster!r}; give local:N with N >= 1, tcp://host:port or tls://host:port")
    return 0


@contextmanager
def _connected(cluster: str, workers: int, gpu: dict[str, float] | None) -> Iterator[Any]:
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise RobustlibError("a cluster needs distributed: pip install -e '.[cluster]'") from error
    target: Any = cluster
    with contextlib.ExitStack() as stack:
        if workers:
            target = stack.enter_context(
                LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    memory_limit=0,
                    resources=gpu,
                    preload=[__name__],
                    dashboard_address=":0",
                )
            )
        try:
            client = stack.enter_context(Client(target, set_as_default=False))
        except OSError as error:
            raise RobustlibError(f"no scheduler answers at {cluster} ({error}); start one: dask scheduler") from error
        yield client


def dask_setup(worker: Any) -> None:
    """Ignore Ctrl-C in local workers: a terminal sends it to them as well, and the submitter handles it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _submit(client: Any, jobs: Sequence[Job], token: str, gpu: Any, options: dict[str, Any]) -> dict[Any, Job]:
    """The measurements' futures; each waits for its networks, and they for their parents."""
    trained: dict[str, Any] = {}

    def task(what: Network | Job, spec: Network | Evaluation, needs: Sequence[Network]) -> Any:
        for network in needs:
            if key(network) not in trained:
                trained[key(network)] = task(network, network, network.needs)
        name, futures = f"{spec.name}-{key(spec)}{token}", [trained[key(network)] for network in needs]
        order = -len(trained)  # the jobs that come first are worth most
        return client.submit(_task, what, *futures, **options, key=name, resources=gpu, priority=order, pure=False)

    return {task(job, job.evaluation, job.evaluation.networks): job for job in jobs}


def _take(future: Any, job: Job, total: Summary, say: Callable[[str], None], place: str) -> None:
    """Add a measurement's outcome to the total."""
    name = f"{job.evaluation.subject.name}/{job.evaluation.name}"
    try:
        part: Summary = future.result()
    except RobustlibError:
        raise
    except Exception as error:  # a fault of one machine, or the end of every worker that tried
        part = Summary(failed=[f"{type(error).__name__}: {error}"])
    total.written += part.written
    total.present += part.present
    total.unfinished += part.unfinished
    total.failed += [f"{name}: {reason}" for reason in part.failed]
    total.skipped += [f"{name}: {reason}" for reason in part.skipped]
    for record in part.written:
        say(f"[{place}] {name}: {headline(record)} ({record.wall_s:.1f} s)")


# On a worker -------------------------------------------------------------------------------------------------


def _task(
    what: Network | Job,
    *needs: Summary,
    marks: Sequence[Path],
    profile: str,
    root: Path,
    cache: Path,
    committed: Path | None,
    device: str,
    recompute: bool,
    threads: int | None,
) -> Summary:
    """Train a network or measure; where something that it needs failed or stopped, return that outcome instead."""
    for need in needs:
        if need.failed or need.skipped or need.unfinished:
            return need
    _check(marks)
    tune_allocator()
    exact_arithmetic()
    if threads is not None:
        torch.set_num_threads(threads)
    tick = _teller(marks[0].name)
    networks = Networks(
        resolve_device(device),
        cache,
        committed,
        stop=_told_to_stop(marks[0]),
        progress=lambda n, step, steps, loss: tick(label(n), step, steps),
    )
    try:
        if networks.stop():
            return Summary(unfinished=1)
        if isinstance(what, Network):
            networks.obtain(what)
            return Summary()
        record, ours = run_one(what, profile, _store(root), networks, tick, recompute=recompute)
    except Stopped:
        return Summary(unfinished=1)
    except MissingWeights as error:
        return Summary(skipped=[str(error)])
    except (TrainingDiverged, WeakTeacher, Unfilable) as error:
        return Summary(failed=[next(iter(networks.diverged.values()), str(error))])
    return Summary(written=[record]) if ours else Summary(present=1)


def _check(marks: Sequence[Path]) -> None:
    from distributed import get_worker

    here = f"the worker on {socket.gethostname()}"
    for folder in (mark.parent for mark in marks if not mark.exists()):
        raise RobustlibError(
            f"{here} does not see {folder} as the submitter does; give --root and --cache in folders that are shared"
        )
    if (tasks := get_worker().state.nthreads) > 1:
        # Dropout is seeded through PyTorch's global generator: two trainings in a process would disturb each other.
        raise RobustlibError(f"{here} runs {tasks} tasks at a time; start it with --nthreads 1, and more workers")


def _teller(topic: str) -> Tick:
    """Report to the submitter, seldom but for the end."""
    from distributed import get_worker

    told: dict[str, float] = {}

    def tick(what: str, done: int, total: int) -> None:
        if done == total or time.monotonic() - told.get(what, -math.inf) >= EVENT_SECONDS:
            told[what] = time.monotonic()
            get_worker().log_event(topic, (what, done, total))

    return tick


def _told_to_stop(mark: Path) -> Callable[[], bool]:
    """Return a check that is true when the submitter wants to stop or is gone; it reads the mark once a second."""
    told, looked = False, -math.inf

    def stop() -> bool:
        nonlocal told, looked
        if not told and time.monotonic() - looked > 1:
            looked = time.monotonic()
            try:
                told = mark.read_bytes() == b"stop"
            except FileNotFoundError:
                told = True
        return told

    return stop
