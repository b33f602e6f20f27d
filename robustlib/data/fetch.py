"""The only place that downloads: official files, checked before they are parsed, become the prepared form.

torchvision and pooch are imported here alone and late, so that a machine without them loads prepared files.
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np

from robustlib.data.checks import Array, Findings
from robustlib.data.prepared import disk_error, prepared_path, preparing, read, set_aside, ways_to_get, write
from robustlib.data.registry import Facts, OfficialFile, facts_of
from robustlib.errors import RobustlibError

_CONNECT_S, _READ_S = 10, 60


def fetch(name: str, root: str | os.PathLike[str] | None = None) -> tuple[Path, Findings]:
    """Make sure that the prepared file of ``name`` is in ``root`` (default: ``data_root()``) and verified.

    Safe to call from several processes at once. Raises RobustlibError: unknown name, nothing to download for
    a bundled dataset, no network, bad files, full disk.
    """
    facts = facts_of(name)
    if facts.bundled:
        raise RobustlibError(f"dataset {name} comes with scikit-learn; there is nothing to fetch, just load it")
    path = prepared_path(name, root)
    if (findings := _present(facts, path)) is not None:
        return path, findings
    with preparing(facts, path):
        if (findings := _present(facts, path)) is not None:  # another process was quicker
            return path, findings
        folder = path.parent / "downloads" / name
        try:
            whose, ways = f"dataset {facts.name}", ways_to_get(facts)
            files = [download(file, folder, whose=whose, ways=ways) for file in facts.files]
            findings = write(facts, path, _READERS[name](facts, files))
        except OSError as fault:
            raise disk_error(facts, path, fault) from fault
        shutil.rmtree(folder, ignore_errors=True)
    return path, findings


def _present(facts: Facts, path: Path) -> Findings | None:
    """The findings of a good file; None where there is none, or a damaged one that was set aside just now."""
    if not path.is_file():
        return None
    try:
        return read(facts, path)[1]
    except RobustlibError:
        if path.is_file():  # unreadable, or in a folder that cannot be written: fetching would not help
            raise
        return None


def download(file: OfficialFile, folder: Path, *, whose: str, ways: str) -> Path:
    """The file, its checksum verified now: the one already in ``folder``, else from the first mirror that has
    it.

    Args:
        file: what to fetch; nothing of another checksum is kept.
        folder: where to.
        whose: what it belongs to, for messages.
        ways: the remedy in every message.

    Raises RobustlibError with each mirror's answer; OSError where the disk refuses.
    """
    try:
        import pooch
        import requests
    except ImportError as fault:
        raise _extras_missing(whose, ways, fault) from fault
    get = pooch.HTTPDownloader(timeout=(_CONNECT_S, _READ_S), progressbar=sys.stderr.isatty())
    answers: list[str] = []
    package: OfficialFile | None = file
    while package is not None:
        for url in package.urls:
            try:
                return Path(pooch.retrieve(url, package.checksum, package.name, folder, downloader=get))
            except requests.RequestException as fault:  # an OSError too, so it has to come first
                answers.append(f"{url}: {type(fault).__name__}")
            except ValueError:
                answers.append(f"{url}: what came is not the file (checksum differs)")
        package = package.instead
    raise RobustlibError(f"{file.name} of {whose} could not be fetched ({'; '.join(answers)}). {ways}")


def _extras_missing(whose: str, ways: str, fault: BaseException) -> RobustlibError:
    return RobustlibError(
        f"fetching {whose} needs pooch and torchvision, which do not import here ({fault}): "
        f"`pip install 'robustlib[book]'`, with a torchvision that matches torch. {ways}"
    )


def _read_idx(facts: Facts, files: list[Path]) -> dict[str, Array]:
    """MNIST and Fashion-MNIST, by torchvision, which reads the unpacked files in ``ROOT/<class
    name>/raw``."""
    try:
        from torchvision.datasets import MNIST, FashionMNIST
    except (ImportError, RuntimeError) as fault:  # a torchvision for another torch raises RuntimeError
        raise _extras_missing(f"dataset {facts.name}", ways_to_get(facts), fault) from fault
    kind = FashionMNIST if facts.name == "fashion_mnist" else MNIST
    root = files[0].parent
    raw = root / kind.__name__ / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for file in files:
        with gzip.open(file) as packed, open(raw / file.stem, "wb") as plain:
            shutil.copyfileobj(packed, plain)
    arrays: dict[str, Array] = {}
    for split in ("train", "test"):
        data = kind(root, train=split == "train", download=False)
        arrays[f"x_{split}"] = data.data.numpy()[:, None]
        arrays[f"y_{split}"] = data.targets.numpy().astype(np.uint8)
    return arrays


def _read_svhn(facts: Facts, files: list[Path]) -> dict[str, Array]:
    """SVHN, by torchvision: label 10 becomes 0, images become N,C,H,W."""
    try:
        from torchvision.datasets import SVHN
    except (ImportError, RuntimeError) as fault:
        raise _extras_missing(f"dataset {facts.name}", ways_to_get(facts), fault) from fault
    arrays: dict[str, Array] = {}
    for split in ("train", "test"):
        data = SVHN(files[0].parent, split=split, download=False)
        arrays[f"x_{split}"] = np.ascontiguousarray(data.data)
        arrays[f"y_{split}"] = np.asarray(data.labels).astype(np.uint8)
    return arrays


def _read_cifar10(facts: Facts, files: list[Path]) -> dict[str, Array]:
    """CIFAR-10's binary version, straight from the archive: nothing is unpacked to disk, nothing
    unpickled."""
    width = 1 + int(np.prod(facts.shape))
    rows: dict[str, Array] = {}
    with tarfile.open(files[0], "r:gz") as archive:
        for member in archive:
            _refuse_climbing(files[0], member.name, linked=member.issym() or member.islnk())
            handle = archive.extractfile(member) if member.name.endswith(".bin") else None
            if handle is not None:
                content = np.frombuffer(handle.read(), np.uint8)
                if content.size % width:
                    raise RobustlibError(f"{member.name} in {files[0]} has {content.size} bytes: no whole rows")
                rows[PurePosixPath(member.name).stem] = content.reshape(-1, width)
    names = {"train": [f"data_batch_{k}" for k in range(1, 6)], "test": ["test_batch"]}
    missing = [f"{name}.bin" for split in names.values() for name in split if name not in rows]
    if missing:
        raise RobustlibError(f"{files[0]} lacks {', '.join(missing)}. {set_aside(files[0])}")
    arrays: dict[str, Array] = {}
    for split, batches in names.items():
        table = np.concatenate([rows[name] for name in batches])
        arrays[f"y_{split}"] = table[:, 0].copy()
        arrays[f"x_{split}"] = table[:, 1:].reshape(-1, *facts.shape).copy()
    return arrays


def _read_har(facts: Facts, files: list[Path]) -> dict[str, Array]:
    """UCI HAR's text tables, read in the archive. Labels 1..6 become 0..5; subjects keep their numbers
    1..30."""
    with zipfile.ZipFile(files[0]) as outer:
        names = _safe_names(files[0], outer)
        inner = [name for name in names if name.endswith("UCI HAR Dataset.zip")]
        if not inner:
            return _har_tables(outer)
        with zipfile.ZipFile(io.BytesIO(outer.read(inner[0]))) as archive:
            _safe_names(files[0], archive)
            return _har_tables(archive)


def _har_tables(archive: zipfile.ZipFile) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    for split in ("train", "test"):
        for key, name in (("x", "X"), ("y", "y"), ("subject", "subject")):
            with archive.open(f"UCI HAR Dataset/{split}/{name}_{split}.txt") as lines:
                table = np.loadtxt(lines, dtype=np.float64)
            first = 1 if key == "y" else 0
            arrays[f"{key}_{split}"] = (table - first).astype(np.float32 if key == "x" else np.uint8)
    return arrays


def _safe_names(file: Path, archive: zipfile.ZipFile) -> list[str]:
    names = archive.namelist()
    for name in names:
        _refuse_climbing(file, name)
    return names


def _refuse_climbing(file: Path, member: str, *, linked: bool = False) -> None:
    """An archive that tries to leave its folder is not one that the authors published."""
    path = PureWindowsPath(member)  # it takes both kinds of slash for one, and knows drives
    if linked or path.root or path.drive or ".." in path.parts:
        raise RobustlibError(f"{file} holds {member!r}, which leaves its folder: refused. {set_aside(file)}")


_READERS: dict[str, Callable[[Facts, list[Path]], dict[str, Array]]] = {
    "mnist": _read_idx,
    "fashion_mnist": _read_idx,
    "cifar10": _read_cifar10,
    "svhn": _read_svhn,
    "har": _read_har,
}
