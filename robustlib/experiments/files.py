"""Files that survive kills and neighbours: atomic writes and locks between processes."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import RobustlibError


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary neighbour, flush it to disk, rename. A full disk leaves the old file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(partial, "wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise RobustlibError(
            f"cannot write {path.name}: {error.strerror}; free some space and run again"
        ) from error


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold ``path`` against every other process that asks for it; waits, and ends with its holder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)
