"""Files of released networks: found in a folder or fetched, checked against their SHA-256, and only then read."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..data.fetch import download
from ..data.registry import OfficialFile
from ..environment import AUTHORS_WEIGHTS, OFFLINE, cache_root, switched_on, variable
from ..errors import RobustlibError
from ..models.released import Checkpoint
from ..spec.evaluation import Evaluation
from ..training.released import Released

FOLDER = "authors"
"""Folder in the cache into which they are fetched."""


class MissingWeights(RobustlibError):
    """A released network that is not at hand, or a file under its name that is another one."""


def _places(file: str) -> list[Path]:
    """Where a file may lie: in the folder that the environment names, as it is or flat, or in the cache."""
    given = variable(AUTHORS_WEIGHTS)
    mirrors = [] if given is None else [given / file, given / Path(file).name]
    return [*mirrors, cache_root() / FOLDER / file]


def _ways_to_get(file: str) -> str:
    name = Path(file).stem
    return f"set {AUTHORS_WEIGHTS} to a folder that holds {file}, or run `robustlib weights fetch {name}`"


def locate(file: str) -> Path | None:
    """Path of a released file; None where it is in none of its places."""
    return next((path for path in _places(file) if path.is_file()), None)


def read(file: str, sha256: str) -> bytes:
    """Content of a released file.

    Raises:
        MissingWeights: it is nowhere, cannot be read, or is another file.
    """
    path = locate(file)
    if path is None:
        raise MissingWeights(f"{file}, a network that its authors released, is not here; {_ways_to_get(file)}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MissingWeights(f"{path} cannot be read ({error.strerror}); {_ways_to_get(file)}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise MissingWeights(
            f"{path} is not the released file: its SHA-256 begins {found[:16]}, that one's {sha256[:16]}; it was not "
            f"opened. Delete it, and {_ways_to_get(file)}"
        )
    return content


def missing(evaluation: Evaluation) -> str:
    """Why a released network that an evaluation needs cannot be read; "" where it needs none, or all are at hand."""
    for network in evaluation.networks:
        if network.defence.released:
            defence = cast(Released, network.defence)
            try:
                read(defence.file, defence.sha256)
            except MissingWeights as error:
                return str(error)
    return ""


def fetch(known: Checkpoint) -> Path:
    """Download a released file into the cache unless it is at hand; only what has its SHA-256 is kept.

    Raises:
        RobustlibError: no network, another file at the address, a disk that refuses.
    """
    try:
        read(known.file, known.sha256)
        return locate(known.file) or Path(known.file)
    except MissingWeights:
        pass
    if switched_on(OFFLINE):
        raise RobustlibError(f"{known.name} is missing, and {OFFLINE} forbids downloads; {_ways_to_get(known.file)}")
    place = cache_root() / FOLDER / known.file
    file = OfficialFile(place.name, (known.url,), f"sha256:{known.sha256}")
    ways = f"Copy it from {known.url} by hand into a folder that {AUTHORS_WEIGHTS} names."
    try:
        return download(file, place.parent, whose=f"{known.paper}'s authors", ways=ways)
    except OSError as error:
        raise RobustlibError(f"{place} cannot be written ({error.strerror or error}); free some space") from error


def fill(model: nn.Module, defence: Released) -> None:
    """Give a network the released weights, as they are, in float32.

    Tensors are taken in the order in which the file and the network have them, and each must have the same shape and
    last name (weight, bias).

    Raises:
        MissingWeights: see :func:`read`.
        RobustlibError: the file holds no such network.
    """
    content = read(defence.file, defence.sha256)
    try:
        # What is no tensor, number, text or container of them is refused, and no code in it is run.
        loaded = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise RobustlibError(f"{defence.file} holds more than tensors, or is damaged: {error!s:.200}") from error
    theirs, ours = _stage(loaded, defence), dict(model.state_dict())
    named = [(name.rpartition(".")[2], tuple(value.shape)) for name, value in theirs.items()]
    wanted = [(name.rpartition(".")[2], tuple(value.shape)) for name, value in ours.items()]
    if named != wanted:
        odd = next((pair for pair in zip(named, wanted, strict=False) if pair[0] != pair[1]), (len(named), len(wanted)))
        raise RobustlibError(f"{defence.file} does not fit its architecture: {odd[0]} in the file, {odd[1]} in ours")
    model.load_state_dict(dict(zip(ours, theirs.values(), strict=True)))


def _stage(loaded: Any, defence: Released) -> Mapping[str, Tensor]:
    """The state dictionary of one network of a file: the file itself, its ``state_dict``, or a member of that."""
    states = loaded.get("state_dict", loaded) if isinstance(loaded, Mapping) else loaded
    states = states if isinstance(states, list | tuple) else [states]
    state = states[defence.stage] if defence.stage < len(states) else None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise RobustlibError(f"{defence.file} holds no network number {defence.stage + 1}; it holds {len(states)}")
    return state
