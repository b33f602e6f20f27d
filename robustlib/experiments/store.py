"""Files of records and weights: ``results/`` and ``weights/`` are committed, the cache is not."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from .. import evaluate as evaluate  # registers the types of measurements that records name
from ..environment import records_root
from ..errors import RobustlibError
from ..files import write_atomically
from ..spec.evaluation import Evaluation
from ..spec.keys import key, parse
from ..spec.network import Network
from ..spec.records import Record, dumps, read
from .profiles import profile


class Store:
    """The records below ``root/results``; reads each file once.

    Args:
        root: folder that holds ``results/``; default :func:`~robustlib.environment.records_root`.

    ``faults`` lists the files that did not validate, one message each; ``made`` keeps what others make of the
    records, such as rows of tables, and is emptied when a record comes.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = records_root() if root is None else Path(root)
        self.faults: dict[Path, str] = {}
        self.made: dict[Any, Any] = {}
        self._records: dict[tuple[str, str], Record] = {}
        for path in sorted((self.root / "results").glob("*/*/*.json")):
            try:
                record = read(path, root=self.root)
            except RobustlibError as error:
                self.faults[path] = str(error)
                continue
            if path.stem[-8:] != record.evaluation_key[:8]:
                # A copy over another's name would else push the right record out as its duplicate.
                self.faults[path] = f"{record.path} holds evaluation {record.evaluation_key}; rename or delete it"
                continue
            earlier = self._records.get((record.profile, record.evaluation_key))
            if earlier is not None:
                self.faults[path] = f"{record.path} repeats the evaluation of {earlier.path}; delete one of them"
                continue
            if record.profile != path.parts[-3]:
                self.faults[path] = f"{record.path} says profile {record.profile!r} but lies in {path.parts[-3]}/"
                continue
            self._records[record.profile, record.evaluation_key] = record

    def records(self, profile: str | None = None) -> list[Record]:
        """Valid records, of one profile or of all, in path order."""
        found = [r for (name, _), r in self._records.items() if profile in (None, name)]
        return sorted(found, key=lambda record: record.path)

    def find(self, evaluation: Evaluation, profile: str) -> Record | None:
        """The record of that evaluation, if there is one."""
        return self._records.get((profile, key(evaluation)))

    def path_of(self, evaluation: Evaluation, profile: str) -> Path:
        """Path of the evaluation's record, which need not exist."""
        stem = f"{evaluation.name}-{key(evaluation)[:8]}.json"
        return self.root / "results" / profile / evaluation.subject.name / stem

    def reread(self, evaluation: Evaluation, profile: str) -> Record | None:
        """Find a record on the disk, as it is now: another process may have written it."""
        path = self.path_of(evaluation, profile)
        if not path.exists():
            return None
        record = read(path, root=self.root)
        if (record.profile, record.evaluation_key) != (profile, key(evaluation)):
            raise RobustlibError(
                f"{record.path} is the record of another evaluation ({record.evaluation_key}, {record.profile}); "
                "delete it and run again"
            )
        self._keep(record)
        return record

    def _keep(self, record: Record) -> None:
        self._records[record.profile, record.evaluation_key] = record
        self.made.clear()

    def set_aside_faults(self) -> None:
        """Rename files that do not validate to ``.bad`` and say so; their evaluations will be measured again."""
        for path, message in self.faults.items():
            print(f"set aside: {message}")
            with contextlib.suppress(FileNotFoundError):  # another run may have set it aside already
                path.replace(path.with_suffix(".json.bad"))
        self.faults.clear()

    def write(self, record: Record, evaluation: Evaluation) -> Record:
        """File a record under its names and return it with its path."""
        path = self.path_of(evaluation, record.profile)
        write_atomically(path, dumps(record).encode())
        filed = read(path, root=self.root)
        self._keep(filed)
        return filed


class FileNames:
    """Records present, by the names of their files: nothing is read or validated.

    Args:
        root: folder that holds ``results/``.
    """

    def __init__(self, root: Path) -> None:
        # Most evaluations have not even a folder, and a key takes longer than all else here.
        self._present: dict[tuple[str, str], set[str]] = {}
        for path in (root / "results").glob("*/*/*.json"):
            self._present.setdefault((path.parts[-3], path.parts[-2]), set()).add(path.stem[-8:])

    def find(self, evaluation: Evaluation, profile: str) -> str | None:
        """The start of the evaluation's key where its record is there."""
        folder = self._present.get((profile, evaluation.subject.name))
        if folder is None:
            return None
        found = key(evaluation)[:8]
        return found if found in folder else None


def check_specification(record: Record, store: Store) -> None:
    """Raise RobustlibError unless keys, folder and file name are those of the evaluation in the record."""
    evaluation = parse(record.evaluation)
    if not isinstance(evaluation, Evaluation):
        raise RobustlibError(f"its specification is a {type(evaluation).__name__}; run it again")
    if (key(evaluation), key(evaluation.subject)) != (record.evaluation_key, record.training_key):
        raise RobustlibError("its keys are not those of its specification; it was edited, run it again")
    place = store.path_of(evaluation, profile(record.profile).name)
    if store.root / record.path != place:
        raise RobustlibError(f"it belongs to {place.relative_to(store.root).as_posix()}; move it there")


# Weights ---------------------------------------------------------------------------------------------------


def half_precision(model: nn.Module) -> None:
    """Round every weight to float16 in place, so that the stored weights are the measured ones."""
    with torch.no_grad():
        for tensor in [*model.parameters(), *model.buffers()]:
            if tensor.is_floating_point():
                tensor.copy_(tensor.half().float())


def weights_digest(model: nn.Module) -> str:
    """SHA-256 over names and float16 bytes, independent of the file."""
    return _digest(model.state_dict())


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(_stored(tensor).numpy().tobytes())
    return digest.hexdigest()


def _stored(tensor: Tensor) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    return tensor.half() if tensor.is_floating_point() else tensor


def save_weights(path: Path, model: nn.Module, network: Network) -> None:
    """Write a safetensors file, atomically."""
    tensors = {name: _stored(tensor) for name, tensor in model.state_dict().items()}
    metadata = {"network": network.name, "training_key": key(network), "digest": weights_digest(model)}
    write_atomically(path, save_tensors(tensors, metadata=metadata))


_RESTORE = "delete it, or restore it with git checkout"


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors of a weights file, and its metadata: network, training_key and digest.

    Raises:
        RobustlibError: not a complete safetensors file, or not with the weights that were written. Pickles
            are never loaded.
    """
    try:
        content = path.read_bytes()
        tensors = load_tensors(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    except (SafetensorError, OSError, ValueError) as error:
        raise RobustlibError(
            f"{path.name} is not a complete safetensors file ({type(error).__name__}); {_RESTORE}"
        ) from error
    facts = {"network": "", "training_key": "", "digest": "", **header.get("__metadata__", {})}
    if (found := _digest(tensors)) != facts["digest"]:
        raise RobustlibError(
            f"{path.name} was written with weights {facts['digest'][:16] or 'unknown'}, it has {found[:16]}; {_RESTORE}"
        )
    return tensors, facts


def load_weights(path: Path, model: nn.Module, network: Network) -> None:
    """Fill ``model`` from the weights file of that network.

    Raises:
        RobustlibError: as :func:`read_weights`, or the file was written for another network.
    """
    tensors, facts = read_weights(path)
    # A file that was renamed would else be measured under this network's name.
    if facts["training_key"] != key(network):
        raise RobustlibError(
            f"{path.name} was written for training_key {facts['training_key']}, here it is {key(network)}; {_RESTORE}"
        )
    try:
        model.load_state_dict(
            {name: tensor.float() if tensor.dtype == torch.half else tensor for name, tensor in tensors.items()}
        )
    except RuntimeError as error:
        raise RobustlibError(f"{path.name} does not hold {network.model.name}'s weights; {_RESTORE}") from error


def weights_path(folder: Path, network: Network) -> Path:
    """``<folder>/<name>-<key8>.safetensors``."""
    return folder / f"{network.name}-{key(network)[:8]}.safetensors"


def save_log(path: Path, log: dict[str, object]) -> None:
    """Training log beside cached weights."""
    write_atomically(path, json.dumps(log).encode())
