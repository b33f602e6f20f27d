"""The form in which the registry says what is known of a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True)
class OfficialFile:
    """A file its authors publish: where to get it, best mirror first, and its ``algorithm:hex`` checksum.

    ``instead``: another package of the same content, for when no mirror answers.
    """

    name: str
    urls: tuple[str, ...]
    checksum: str
    instead: OfficialFile | None = None


@dataclass(frozen=True)
class Facts:
    """What is known of one dataset; ``shape`` is one row's.

    ``digests``: sha256 of the C-order bytes of the official arrays, as far as known. ``mirror``: digests of
    arrays that are accepted although some rows are not official; its ``exact_*`` masks, which are checked
    like the rest, say which. ``tolerance``: a file beside this one with weighted column means, for data
    whose last float32 digit depends on how they were converted. ``bundled`` datasets need no file.
    """

    name: str
    title: str
    shape: tuple[int, ...]
    n_train: int
    n_test: int
    classes: tuple[str, ...]
    licence: str
    digests: Mapping[str, str]
    files: tuple[OfficialFile, ...] = ()
    mirror: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    dtype: str = "uint8"
    domain: tuple[float, float] = (0.0, 1.0)
    groups: bool = False
    tolerance: str = ""
    bundled: bool = False
