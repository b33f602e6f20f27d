"""Loading of verified datasets by name, and the functions behind ``robustlib data list|fetch|verify``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from robustlib import environment
from robustlib.data import fetch as _fetch
from robustlib.data.checks import Array, Arrays, Findings, Mismatch, check
from robustlib.data.dataset import Dataset, Split
from robustlib.data.prepared import prepared_path, read, ways_to_get
from robustlib.data.registry import REGISTRY, Facts, facts_of
from robustlib.data.synthetic import digits_arrays, lender_arrays, plane_arrays, toy_arrays
from robustlib.errors import RobustlibError

Root = str | os.PathLike[str] | None

_BUNDLED = {"digits": digits_arrays, "toy": toy_arrays, "plane": plane_arrays, "lender": lender_arrays}

# (name, file, device) -> (the file's mtime and size when it was verified, the dataset)
_loaded: dict[tuple[str, str, str], tuple[tuple[int, int], Dataset]] = {}


@dataclass(frozen=True)
class Row:
    """A line of ``robustlib data list``. ``path`` is None for a bundled dataset."""

    name: str
    title: str
    present: bool
    path: Path | None
    n_train: int
    n_test: int
    licence: str


@dataclass(frozen=True)
class Report:
    """Result of a verification.

    ``message``: ``official``, ``mirror, 20 inexact rows``, or the fault and the remedy. ``digest`` is
    empty and ``inexact`` zero where ``ok`` is False.
    """

    name: str
    ok: bool
    path: Path | None
    message: str
    digest: str
    inexact: Mapping[str, int]


def load(name: str, *, device: str | torch.device = "cpu", root: Root = None) -> Dataset:
    """The dataset ``name`` (one of NAMES) on ``device``, verified against its official digests.

    Read from ``root``, else ``$ROBUSTLIB_DATA``, else the user's cache folder; where it is absent the
    official files are fetched, unless ``ROBUSTLIB_OFFLINE`` is set. Loading again in one process gives the
    same object, and checks the file again only if it changed. Raises RobustlibError: unknown name or device,
    missing and not to be fetched, damaged (the file is then set aside).
    """
    facts = facts_of(name)
    place = _device(device)
    path = prepared_path(name, root)
    if not facts.bundled and not path.is_file():
        _fetch_or_explain(facts, path, root)
    stamp = (0, 0) if facts.bundled else _stamp(path)
    where = "" if facts.bundled else str(path.resolve())
    known = _loaded.get((name, where, str(place)))
    if known is None or known[0] != stamp:
        if place.type == "cpu":
            dataset = _assemble(facts, *_arrays(facts, path))
        else:
            dataset = _moved(load(name, root=root), place)
        _loaded[(name, where, str(place))] = known = (stamp, dataset)
    return known[1]


def list_datasets(root: Root = None) -> list[Row]:
    """Every dataset, and whether its prepared file is there (its bytes are not checked)."""
    rows = []
    for facts in REGISTRY.values():
        path = None if facts.bundled else prepared_path(facts.name, root)
        present = path is None or path.is_file()
        rows.append(Row(facts.name, facts.title, present, path, facts.n_train, facts.n_test, facts.licence))
    return rows


def fetch_dataset(name: str, root: Root = None) -> Report:
    """Download, verify and prepare a dataset unless that was done. Raises RobustlibError where it cannot."""
    if facts_of(name).bundled:
        return verify(name, root)
    path, findings = _fetch.fetch(name, root)
    return Report(name, True, path, findings.source, findings.digest, findings.inexact)


def verify(name: str, root: Root = None) -> Report:
    """Read and check a dataset's bytes now, whatever was checked before. Only an unknown name raises."""
    facts = facts_of(name)
    path = None if facts.bundled else prepared_path(name, root)
    nothing = {"train": 0, "test": 0}
    if path is not None and not path.is_file():
        return Report(name, False, path, f"{path} is missing. {ways_to_get(facts)}", "", nothing)
    try:
        findings = _arrays(facts, prepared_path(name, root))[1]
    except RobustlibError as fault:
        return Report(name, False, path, str(fault), "", nothing)
    return Report(name, True, path, findings.source, findings.digest, findings.inexact)


def _arrays(facts: Facts, path: Path) -> tuple[dict[str, Array], Findings]:
    if not facts.bundled:
        return read(facts, path)
    arrays = _BUNDLED[facts.name]()
    try:
        return arrays, check(facts, arrays)
    except Mismatch as fault:
        maker = "scikit-learn brings" if facts.name == "digits" else "numpy and torch draw"
        raise RobustlibError(
            f"the {facts.name} that {maker} are not the usual ones: {fault}; reinstall them"
        ) from fault


def _assemble(facts: Facts, arrays: Arrays, findings: Findings) -> Dataset:
    splits = ("train", "test")
    train, test = (Split(_tensor(arrays[f"x_{s}"]), _integers(arrays[f"y_{s}"])) for s in splits)
    groups = {s: _integers(arrays[f"subject_{s}"]) if facts.groups else None for s in splits}
    return Dataset(
        name=facts.name,
        train=train,
        test=test,
        domain=facts.domain,
        classes=facts.classes,
        digest=findings.digest,
        inexact=MappingProxyType(dict(findings.inexact)),
        groups=MappingProxyType(groups),
        source=findings.source,
    )


def _moved(dataset: Dataset, device: torch.device) -> Dataset:
    halves = {"train": dataset.train, "test": dataset.test}
    splits = {s: Split(half.x.to(device), half.y.to(device)) for s, half in halves.items()}
    groups = {s: None if g is None else g.to(device) for s, g in dataset.groups.items()}
    return Dataset(**{**vars(dataset), **splits, "groups": MappingProxyType(groups)})


def _tensor(array: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


def _integers(array: Array) -> Tensor:
    return torch.from_numpy(array.astype(np.int64))


def _device(device: str | torch.device) -> torch.device:
    try:
        place = torch.device(device)
        # with an explicit index, so that "cuda" and "cuda:0" share one copy; and a device that is not there
        # fails here
        return torch.empty(0, device=place).device
    except (RuntimeError, AssertionError, TypeError) as fault:
        raise RobustlibError(f"device {device!r} is not usable here ({fault}); use 'cpu'") from fault


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def _fetch_or_explain(facts: Facts, path: Path, root: Root) -> None:
    if environment.switched_on(environment.OFFLINE):
        raise RobustlibError(
            f"dataset {facts.name} is missing: looked for {path}, and ROBUSTLIB_OFFLINE forbids downloads. "
            f"{ways_to_get(facts)}"
        )
    try:
        _fetch.fetch(facts.name, root)
    except RobustlibError as fault:
        raise RobustlibError(f"dataset {facts.name} is missing: looked for {path}; {fault}") from fault
