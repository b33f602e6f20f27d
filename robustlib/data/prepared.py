"""The prepared form: one plain ``.npz`` per dataset, read without unpickling, written whole or not at all."""

from __future__ import annotations

import errno
import os
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from robustlib import environment
from robustlib.data.checks import Array, Arrays, Findings, Mismatch, check, made_from_lines
from robustlib.data.registry import Facts
from robustlib.errors import RobustlibError

# Exceptions of numpy and zipfile on files that are cut short, damaged, or hold pickled objects.
_DAMAGE = (
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
    EOFError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)


def data_root(root: str | os.PathLike[str] | None = None) -> Path:
    """The folder of the prepared files: ``root``, else ``$ROBUSTLIB_DATA``, else the user's cache folder."""
    if root is not None:
        return environment.folder(root, "root")
    return environment.variable(environment.DATA) or environment.user_cache() / "data"


def prepared_path(name: str, root: str | os.PathLike[str] | None = None) -> Path:
    """Path of a dataset's prepared file, which need not exist."""
    return data_root(root) / f"{name}.npz"


def ways_to_get(facts: Facts) -> str:
    """The remedy in every message about a missing dataset."""
    return (
        f"Either set ROBUSTLIB_DATA to a folder that holds {facts.name}.npz, or run "
        f"`robustlib data fetch {facts.name}` on a machine with network "
        "(and copy the file here if that is another one)."
    )


def read(facts: Facts, path: Path) -> tuple[dict[str, Array], Findings]:
    """Read and verify a prepared file.

    Raises RobustlibError; where the file is cut short, no .npz, or not the dataset, it is set aside first.
    """
    try:
        with open(path, "rb") as handle:  # numpy leaves a damaged file open if it opens it itself
            _look_at_first_bytes(handle)
            with np.load(handle, allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in archive.files}
        return arrays, check(facts, arrays)
    except Mismatch as fault:
        reason = str(fault)
    except _DAMAGE as fault:
        reason = f"it is cut short or damaged ({fault})"
    except OSError as fault:
        raise RobustlibError(f"{path} cannot be read: {fault.strerror or fault}. Check its permissions.") from fault
    raise RobustlibError(f"{path} is not the dataset {facts.name}: {reason}. {set_aside(path)} {ways_to_get(facts)}")


def write(facts: Facts, path: Path, arrays: Arrays) -> Findings:
    """Verify the arrays, then put the prepared file in its place in one step.

    Raises RobustlibError where they are not the dataset or the disk refuses; nothing is left behind then.
    """
    complete = dict(arrays) if facts.digests else {**arrays, "made_from": made_from_lines(facts, arrays)}
    try:
        findings = check(facts, complete)
    except Mismatch as fault:
        raise RobustlibError(f"the files fetched for {facts.name} do not give its official arrays: {fault}") from fault
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(partial, "wb") as handle:
            np.savez(handle, **cast(Any, complete))  # the stub takes every keyword for allow_pickle too
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(partial, path)
    except OSError as fault:
        raise disk_error(facts, path, fault, sum(array.nbytes for array in complete.values())) from fault
    finally:
        partial.unlink(missing_ok=True)
    return findings


@contextmanager
def preparing(facts: Facts, path: Path) -> Iterator[None]:
    """Hold the dataset's lock, so that of two processes one prepares and the other finds the file there."""
    from filelock import FileLock  # comes with torch

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f".{path.name}.lock"))
        lock.acquire()
    except OSError as fault:
        raise disk_error(facts, path, fault) from fault
    try:
        # left by a process that was killed: no other process is writing while we hold the lock
        for stale in path.parent.glob(f".{path.name}.*.tmp"):
            stale.unlink(missing_ok=True)
        yield
    finally:
        lock.release()


def disk_error(facts: Facts, path: Path, fault: OSError, size: int = 0) -> RobustlibError:
    """The message for a disk that is full or cannot be written."""
    if fault.errno in (errno.ENOSPC, errno.EDQUOT):
        need = f" ({size / 2**20:.0f} MiB needed)" if size else ""
        text = f"no space left in {path.parent} for {facts.name}{need}; the partial file was removed. "
    else:
        text = f"the dataset {facts.name} cannot be written in {path.parent}: {fault.strerror or fault}. "
    return RobustlibError(text + "Free some space or name another folder in ROBUSTLIB_DATA.")


def set_aside(path: Path) -> str:
    """Rename a bad file so that it is never read again; returns the sentence for the user."""
    aside = path.with_name(f"{path.name}.bad-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}")
    try:
        os.replace(path, aside)
    except OSError as fault:
        return f"It could not be renamed ({fault.strerror}): delete it."
    return f"It was set aside as {aside.name}."


def _look_at_first_bytes(handle: BinaryIO) -> None:
    # numpy takes whatever is not a zip for a pickle, and says so; these messages are the truth
    start = handle.read(64)
    handle.seek(0)
    if not start:
        raise Mismatch("it is empty")
    if start.lstrip()[:1] == b"<":
        raise Mismatch("it is a web page, not data")
    if start[:2] != b"PK":
        raise Mismatch("it is no .npz file")
