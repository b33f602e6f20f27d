"""Files that survive kills and neighbours: atomic writes and locks between processes."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import RobustlibError


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary neighbour, flush it to disk, rename. A full disk leaves the old file."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(partial, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise _cannot("write", path, error) from error


def _cannot(verb: str, path: Path, error: OSError) -> RobustlibError:
    remedy = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "make its folder writable"
    return RobustlibError(f"cannot {verb} {path}: {error.strerror or error}; {remedy} and run again")


class Busy(Exception):
    """Another process holds a lock."""


@contextmanager
def lock(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold ``path`` against every other process that locks it; released when the process ends, however it ends.

    Args:
        path: file to lock, made where it is missing.
        wait: until it is free.

    Raises:
        Busy: it is not free, and ``wait`` is False.
        RobustlibError: the file cannot be opened.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = open(path, "wb")  # noqa: SIM115 (closed below: only opening it may fail in this way)
    except OSError as error:
        raise _cannot("lock", path, error) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(path.name) from None
        try:
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)
