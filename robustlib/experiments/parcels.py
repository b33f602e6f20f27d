"""Results that travel: what a run on a borrowed machine made, as a few small tar files, and their way home.

Such a machine gives back a handful of files of limited size, and may be taken away at any moment. So a run
with ``--out`` packs as it goes: records first, then the networks that they were measured on, then the
checkpoints of what is unfinished, until the parts are full.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ..errors import RobustlibError
from ..files import write_atomically
from ..spec.records import Record, loads
from .store import Store, check_specification, read_weights

PARTS, PART_BYTES = 7, 9_000_000
"""At most so many tar files, each below so many bytes."""
PIECE = 1 << 20
"""Larger files travel in pieces of this size, which fill the parts evenly."""
_TAR_OVERHEAD = 1536
_PIECE = re.compile(r"(?P<name>.+)\.(?P<index>\d{4})-of-(?P<count>\d{4})")
_RECORD = re.compile(r"results/[a-z]+/[\w.-]+/[\w.-]+\.json")
_NETWORK = re.compile(r"networks/[\w.-]+\.(safetensors|log\.json|checkpoint)")


@dataclass
class Filed:
    """What :func:`collect` did."""

    records: list[str] = field(default_factory=list)
    networks: list[str] = field(default_factory=list)
    checkpoints: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def pack(
    destination: Path,
    records: Sequence[Record],
    root: Path,
    cache: Path,
    *,
    parts: int = PARTS,
    part_bytes: int = PART_BYTES,
) -> list[str]:
    """Write ``part-1.tar`` and so on, replacing an earlier packing; what did not fit, by name.

    Args:
        destination: folder that travels.
        records: those that this run wrote, below ``root``.
        root: folder that holds ``results/``.
        cache: folder with networks, logs and checkpoints; those of the records go before checkpoints.
        parts, part_bytes: limits.
    """
    bins: list[list[tuple[str, bytes]]] = [[] for _ in range(parts)]
    free, left = [part_bytes - 2 * 10240] * parts, []
    for name, path in _wanted(records, root, cache):
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # a checkpoint goes when its training ends
            continue
        pieces = _pieces(name, content)
        trial, placed = list(free), []
        for piece, data in pieces:
            roomy = max(range(parts), key=trial.__getitem__)
            trial[roomy] -= len(data) + _TAR_OVERHEAD
            placed.append((roomy, piece, data))
        if min(trial) < 0:
            left.append(name)
            continue
        free = trial
        for where, piece, data in placed:
            bins[where].append((piece, data))
    for index, members in enumerate(bins, 1):
        path = destination / f"part-{index}.tar"
        if members:
            write_atomically(path, _tar(members))
        else:
            path.unlink(missing_ok=True)
    return left


def _wanted(records: Sequence[Record], root: Path, cache: Path) -> Iterator[tuple[str, Path]]:
    """(name in the parcel, file), the most precious first."""
    for record in records:
        yield record.path, root / record.path
    measured = {Path(record.path).parent.name + "-" + record.training_key[:8] for record in records}
    networks = sorted(cache.glob("*.safetensors"), key=lambda path: (path.stem not in measured, path.stat().st_size))
    for path in networks:
        for file in (path, path.with_suffix(".log.json")):
            if file.exists():
                yield f"networks/{file.name}", file
    # Of what is unfinished, what is furthest on disk first: the last to have been saved.
    for path in sorted(cache.glob("*.checkpoint"), key=lambda path: -path.stat().st_mtime):
        yield f"networks/{path.name}", path


def _pieces(name: str, content: bytes) -> list[tuple[str, bytes]]:
    count = max(1, -(-len(content) // PIECE))
    digest = hashlib.sha256(content).hexdigest()[:16]
    if count == 1:
        return [(f"{name}@{digest}", content)]
    return [(f"{name}@{digest}.{i:04}-of-{count:04}", content[i * PIECE : (i + 1) * PIECE]) for i in range(count)]


def _tar(members: Iterable[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members:
            header = tarfile.TarInfo(name)
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))
    return buffer.getvalue()


def _unpack(folder: Path) -> tuple[dict[str, bytes], list[str]]:
    """Whole files by name, and what is wrong with the rest."""
    pieces: dict[str, dict[int, bytes]] = {}
    counts: dict[str, int] = {}
    faults: list[str] = []
    for part in sorted(folder.glob("part-*.tar")):
        try:
            with tarfile.open(part) as tar:
                for member in tar:
                    handle = tar.extractfile(member) if member.isfile() else None
                    if handle is None:
                        faults.append(f"{part.name}: {member.name} is no file")
                        continue
                    split = _PIECE.fullmatch(member.name)
                    name = split["name"] if split else member.name
                    pieces.setdefault(name, {})[int(split["index"]) if split else 0] = handle.read()
                    counts[name] = int(split["count"]) if split else 1
        except (tarfile.TarError, OSError, EOFError) as error:
            faults.append(f"{part.name} cannot be read ({error}); fetch it again")
    whole = {}
    for stamped, parts in pieces.items():
        name, _, digest = stamped.rpartition("@")
        content = b"".join(parts[i] for i in sorted(parts))
        if len(parts) != counts[stamped]:
            faults.append(f"{name}: {len(parts)} of {counts[stamped]} pieces came; fetch the other parts")
        elif hashlib.sha256(content).hexdigest()[:16] != digest:
            faults.append(f"{name} was damaged on its way; fetch it again")
        elif not (_RECORD.fullmatch(name) or _NETWORK.fullmatch(name)) or ".." in name:
            faults.append(f"{name!r} is neither a record nor a network; it was left in the parcel")
        else:
            whole[name] = content
    return whole, faults


def collect(folder: Path, root: Path, cache: Path) -> Filed:
    """File what :func:`pack` packed: records below ``root``, networks and checkpoints in ``cache``.

    Nothing that is there already is replaced, but for a checkpoint that is further; what does not validate is left in
    the parcel.

    Args:
        folder: holds ``part-*.tar``.
        root: folder with ``results/``.
        cache: folder for networks and checkpoints, where the next run finds them.

    Raises:
        RobustlibError: the folder holds no parcel.
    """
    if not any(folder.glob("part-*.tar")):
        raise RobustlibError(f"{folder} holds no part-*.tar; give the folder that `robustlib run --out` wrote")
    found, faults = _unpack(folder)
    filed, store = Filed(refused=faults), Store(root)
    for name, content in found.items():
        try:
            if name.startswith("results/"):
                path, kind = _record(name, content, store), filed.records
            else:
                path, kind = cache / Path(name).name, filed.networks
                if name.endswith(".checkpoint"):
                    kind = filed.checkpoints
            further = kind is filed.checkpoints and _step(content) > (_step(path.read_bytes()) if path.exists() else -1)
        except (RobustlibError, UnicodeDecodeError) as error:
            filed.refused.append(f"{name}: {error}")
            continue
        if path.exists() and not further:
            if kind is filed.records and path.read_bytes() != content:
                filed.refused.append(f"{name}: another record is there; it was kept, compare them by hand")
            else:
                filed.present.append(name)
            continue
        write_atomically(path, content)
        if name.endswith(".safetensors"):
            try:
                read_weights(path)
            except RobustlibError as error:
                path.unlink()
                filed.refused.append(f"{name}: {error}")
                continue
        kind.append(name)
    return filed


def _step(checkpoint: bytes) -> int:
    """How far a checkpoint is."""
    try:
        return int(torch.load(io.BytesIO(checkpoint), map_location="cpu", weights_only=True)["step"])
    except Exception as error:
        raise RobustlibError(f"it is no checkpoint ({type(error).__name__}); the training starts anew") from error


def _record(name: str, content: bytes, store: Store) -> Path:
    record = loads(content.decode(), path=name)
    check_specification(record, store)
    return store.root / name


@contextmanager
def packing(destination: Path, root: Path, cache: Path, *, every: float = 30.0) -> Iterator[None]:
    """Packs what is new below ``root`` every so many seconds while the block runs, and once more at its end.

    A machine that is taken away in mid-run has then lost little. ``left.txt`` names what did not fit.
    """
    destination.mkdir(parents=True, exist_ok=True)
    before = {record.path for record in Store(root).records()}
    ended = threading.Event()

    def once() -> None:
        fresh = [record for record in Store(root).records() if record.path not in before]
        left = pack(destination, fresh, root, cache)
        write_atomically(destination / "left.txt", "".join(f"{name}\n" for name in left).encode())

    def regularly() -> None:
        while not ended.wait(every):
            once()

    thread = threading.Thread(target=regularly, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        once()
