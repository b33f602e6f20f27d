"""Datasets as verified arrays on a device: ``load("mnist")``, and the fixed subsets that evaluations use."""

from __future__ import annotations

import os
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from robustlib.data.checks import Array, check
from robustlib.data.dataset import Dataset, Split
from robustlib.data.digits import digits_arrays
from robustlib.data.prepared import data_root, prepared_path, read
from robustlib.data.registry import NAMES, facts_of
from robustlib.data.subset import balanced_subset
from robustlib.errors import RobustlibError

__all__ = ["NAMES", "Dataset", "Split", "balanced_subset", "data_root", "load"]

_loaded: dict[tuple[object, ...], Dataset] = {}


def load(
    name: str, *, device: str | torch.device = "cpu", root: str | os.PathLike[str] | None = None
) -> Dataset:
    """The dataset ``name`` (one of NAMES) on ``device``."""
    facts = facts_of(name)
    path = prepared_path(name, root)
    if facts.bundled:
        key: tuple[object, ...] = (name, str(torch.device(device)))
    else:
        if not path.is_file():
            raise RobustlibError(f"dataset {name} is not at {path}; set ROBUSTLIB_DATA to a folder that holds {path.name}")
        stat = path.stat()
        key = (name, str(path.resolve()), stat.st_mtime_ns, stat.st_size, str(torch.device(device)))
    if key not in _loaded:
        if facts.bundled:
            arrays = digits_arrays()
            findings = check(facts, arrays)
        else:
            arrays, findings = read(facts, path)
        groups = {s: _integers(arrays[f"subject_{s}"], device) if facts.groups else None for s in ("train", "test")}
        _loaded[key] = Dataset(
            name=name,
            train=Split(_tensor(arrays["x_train"], device), _integers(arrays["y_train"], device)),
            test=Split(_tensor(arrays["x_test"], device), _integers(arrays["y_test"], device)),
            domain=facts.domain,
            classes=facts.classes,
            digest=findings.digest,
            inexact=MappingProxyType(dict(findings.inexact)),
            groups=MappingProxyType(groups),
        )
    return _loaded[key]


def _tensor(array: Array, device: str | torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)


def _integers(array: Array, device: str | torch.device) -> Tensor:
    return torch.from_numpy(array.astype(np.int64)).to(device)
