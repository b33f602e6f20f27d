"""Networks that papers' authors released: where each file is, its SHA-256, and the architecture that it fills.

``released.json`` holds them. Nothing is read or downloaded here.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import PurePosixPath

from ..errors import RobustlibError, suggest
from . import ModelSpec


@dataclass(frozen=True)
class Checkpoint:
    """A file of weights that authors published.

    Args:
        file: its path in a folder of such files.
        paper: whose network it is.
        url: public address, pinned to a commit.
        sha256: of the file.
        licence: of the repository.
        dataset, model: what it was trained on, and the architecture of each network in it.
        stages: networks in it: more than one of a cascade, the first of which is the single network.
        inputs: what it takes, and in which unit its radius is.
        about: what it is.
        source: where the numbers published for it were read.
    """

    file: str
    paper: str
    url: str
    sha256: str
    licence: str
    dataset: str
    model: ModelSpec
    stages: int
    inputs: str
    about: str
    source: str

    @property
    def name(self) -> str:
        """The file's stem, under which commands and records know it."""
        return PurePosixPath(self.file).stem


@functools.cache
def checkpoints() -> Mapping[str, Checkpoint]:
    """Every released network by its name."""
    content = json.loads(resources.files(__package__).joinpath("released.json").read_text("utf-8"))
    found = [Checkpoint(**entry | {"model": ModelSpec(**entry["model"])}) for entry in content]
    return {each.name: each for each in found}


def checkpoint(name: str) -> Checkpoint:
    """The released network of that name.

    Raises:
        RobustlibError: unknown, with the nearest name.
    """
    if name not in checkpoints():
        raise RobustlibError(suggest("released network", name, checkpoints()))
    return checkpoints()[name]
