"""What a measurement is run on, put together by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from robustlib.data import Split
from robustlib.spec.measurement import Subject
from robustlib.spec.network import Network


@dataclass
class On:
    """In place of a :class:`robustlib.spec.measurement.Subject`, whose points its evaluation chooses."""

    model: nn.Module
    split: Split
    rows: Tensor
    name: str = "a name"
    groups: Tensor | None = None
    network: Any = None
    models: dict[Network, nn.Module] = field(default_factory=dict)
    progress: Any = None

    def parts(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        return Subject.parts(self, size)  # type: ignore[arg-type]

    def model_of(self, network: Network) -> nn.Module:
        return self.models[network]
