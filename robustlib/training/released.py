"""Networks that papers' authors trained and released: read from a file, never trained here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..errors import RobustlibError
from ..registry import spec
from ..threat import Ball
from .defence import Defence


@spec
@dataclass(frozen=True)
class Released(Defence):
    """The weights in a file that authors released; its SHA-256 is part of every key.

    Args:
        paper: whose network it is.
        file: its path in a folder of such files.
        sha256: of the file, 64 hexadecimal digits.
        stage: which network of the file, counted from 0.
        threat: ball that the authors trained against, where that is known.
    """

    released: ClassVar[bool] = True
    staged: ClassVar[bool] = True
    paper: str
    file: str
    sha256: str
    stage: int = 0
    threat: Ball | None = None
    protocol: int = 1

    def __post_init__(self) -> None:
        path = PurePosixPath(self.file)
        if path.is_absolute() or ".." in path.parts or not path.stem:
            raise RobustlibError(f"file={self.file!r} of a released network; give a path inside a folder of such files")
        if not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise RobustlibError(f"sha256={self.sha256!r} of {self.file}; give its 64 hexadecimal digits")
        if self.stage < 0:
            raise RobustlibError(f"stage={self.stage} of {self.file}; stages count from 0")

    @property
    def name(self) -> str:
        """``released_polytope_mnist``, with ``_stage2`` for the second network of a file."""
        stem = re.sub(r"\W", "_", PurePosixPath(self.file).stem)
        return f"released_{stem}{f'_stage{self.stage + 1}' if self.stage else ''}"

    def losses(
        self, model: nn.Module, x: Tensor, y: Tensor, *, progress: float, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        raise RobustlibError(f"{self.file} was trained by its authors; it is read, and never trained here")
