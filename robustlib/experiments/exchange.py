"""Transfer of results between machines: copy a run's results into a folder, and file such a folder elsewhere."""

from __future__ import annotations

import contextlib
import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ..errors import RobustlibError
from ..evaluate.kept import read
from ..files import write_atomically
from ..spec.records import loads
from .store import Store, check_specification, read_weights

SECONDS = 30.0
"""Seconds between two copies of new files during a run."""
HALF_DONE = (".checkpoint", ".part")
"""Endings of files that end with their training or evaluation, and of which one that is further replaces another."""


def _files(root: Path, cache: Path) -> dict[str, Path]:
    """Records, networks, training logs and what is half done, by their names in the folder that travels."""
    kinds = ("*.safetensors", "*.log.json", *(f"*{kind}" for kind in HALF_DONE))
    networks = (path for kind in kinds for path in cache.glob(kind))
    found = {path.relative_to(root).as_posix(): path for path in root.glob("results/*/*/*.json")}
    found |= {f"networks/{path.name}": path for path in networks}
    return {name: path for name, path in sorted(found.items(), reverse=True) if not path.is_symlink()}


def _stamp(path: Path) -> tuple[int, int] | None:
    """Time and size of a file, None if it is gone."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size


@contextmanager
def copying(destination: Path, root: Path, cache: Path, *, every: float = SECONDS) -> Iterator[None]:
    """Copy new and changed files of ``root`` and ``cache`` while the block runs, and once more at its end.

    ``destination`` receives ``results/`` and ``networks/``; a machine taken away in mid-run has then lost little.

    Args:
        destination: folder, made where it is missing.
        root: folder with ``results/``.
        cache: folder with networks, logs and checkpoints.
        every: seconds between two copies.
    """

    destination, root, cache = destination.resolve(), root.resolve(), cache.resolve()
    destination.mkdir(parents=True, exist_ok=True)
    known, ended = {name: _stamp(path) for name, path in _files(root, cache).items()}, threading.Event()

    def once() -> None:
        found = _files(root, cache)
        for name, path in found.items():
            stamp = _stamp(path)
            if stamp not in (None, known.get(name)) and path != destination / name:
                with contextlib.suppress(FileNotFoundError):  # a checkpoint goes when its training ends
                    write_atomically(destination / name, path.read_bytes())
                    known[name] = stamp
        # Nothing else is ever deleted: an earlier run may have left it there.
        for name in (gone for gone in set(known) - set(found) if gone.endswith(HALF_DONE)):
            (destination / name).unlink(missing_ok=True)

    def regularly() -> None:
        while not ended.wait(every):
            # A full disk may have room again; the last copy, at the block's end, reports what it cannot write.
            with contextlib.suppress(RobustlibError, OSError):
                once()

    thread = threading.Thread(target=regularly, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        once()


@dataclass
class Filed:
    """Names of the files that :func:`collect` filed, found present already, and refused (with the reason)."""

    filed: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def collect(folder: Path, root: Path, cache: Path) -> Filed:
    """Validate and file the results of :func:`copying`: records below ``root``, the rest in ``cache``.

    Nothing that is there already is replaced, but for a checkpoint, or part of an evaluation, by one that is further.

    Args:
        folder: holds ``results/``, ``networks/`` or both.
        root: folder with ``results/``.
        cache: folder of networks, where the next run finds them.

    Raises:
        RobustlibError: the folder holds neither records nor networks.
    """
    found, result, store = _files(folder, folder / "networks"), Filed(), Store(root)
    if not found:
        raise RobustlibError(f"{folder} holds no results/ or networks/; give the folder that `run --out` wrote")
    for name, source in found.items():
        target = root / name if name.startswith("results/") else cache / source.name
        try:
            content, step = source.read_bytes(), _validated(name, source, store)
        except (RobustlibError, OSError, ValueError) as error:
            result.refused.append(f"{name}: {error}")
            continue
        if not target.exists() or (source.suffix in HALF_DONE and step > _reached(target)):
            write_atomically(target, content)
            result.filed.append(name)
        elif name.startswith("results/") and target.read_bytes() != content:
            result.refused.append(f"{name}: another record is there; it was kept, compare them by hand")
        else:
            result.present.append(name)
    return result


def _validated(name: str, path: Path, store: Store) -> int:
    """How far half-done work has come, else 0; RobustlibError or ValueError for a file that its name misdescribes."""
    if path.suffix in HALF_DONE:
        return _step(path)
    if path.suffix == ".safetensors":
        read_weights(path)
    elif name.startswith("results/"):
        check_specification(loads(path.read_text(encoding="utf-8"), path=name), store)
    else:
        json.loads(path.read_text(encoding="utf-8"))
    return 0


def _step(path: Path) -> int:
    """Updates behind a checkpoint, or chunks behind part of an evaluation."""
    if path.suffix == ".part":
        if not (chunks := len(read(path)[1])):
            raise RobustlibError("it is no part of an evaluation; the evaluation starts anew")
        return chunks
    try:
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():
                raise ValueError(damaged)
        return int(torch.load(path, map_location="cpu", weights_only=True)["step"])
    except Exception as error:
        raise RobustlibError(f"it is no checkpoint ({type(error).__name__}); the training starts anew") from error


def _reached(path: Path) -> int:
    """How far a file has come that is half done; -1 for one that cannot be read."""
    try:
        return _step(path)
    except RobustlibError:
        return -1
