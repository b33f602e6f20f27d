"""The prepared form: one plain ``.npz`` per dataset, read without unpickling, written whole or not at all."""

from __future__ import annotations

import os
import sys
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np

from robustlib.data.checks import Array, Findings, Mismatch, check
from robustlib.data.registry import Facts
from robustlib.errors import RobustlibError


def data_root(root: str | os.PathLike[str] | None = None) -> Path:
    """The folder of the prepared files: ``root``, else ``$ROBUSTLIB_DATA``, else the user's cache folder."""
    chosen = root if root is not None else os.environ.get("ROBUSTLIB_DATA") or None
    if chosen is not None:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        cache = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        cache = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "robustlib" / "data"


def prepared_path(name: str, root: str | os.PathLike[str] | None = None) -> Path:
    """Where the prepared file of a dataset is, or would be."""
    return data_root(root) / f"{name}.npz"


def read(facts: Facts, path: Path) -> tuple[dict[str, Array], Findings]:
    """Read and verify a prepared file.

    Raises RobustlibError, after setting the file aside, where it is cut short, not an .npz, or not the dataset.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        return arrays, check(facts, arrays)
    except (ValueError, TypeError, AttributeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, Mismatch) as fault:
        reason = str(fault) if isinstance(fault, Mismatch) else f"it is cut short or is no .npz file ({fault})"
    raise RobustlibError(
        f"{path} is not the dataset {facts.name}: {reason}. {set_aside(path)} "
        f"Get it again with `robustlib data fetch {facts.name}`."
    )


def set_aside(path: Path) -> str:
    """Rename a bad file so that it is never read again; the sentence to tell the user."""
    aside = path.with_name(f"{path.name}.bad-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}")
    try:
        os.replace(path, aside)
    except OSError as fault:
        return f"It could not be renamed ({fault.strerror}): delete it yourself."
    return f"It was set aside as {aside.name}."
