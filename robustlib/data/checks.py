"""Are these the arrays they claim to be? Shapes, digests, and what is known to be inexact."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from robustlib.data.registry import Facts

Array = npt.NDArray[np.generic]
Arrays = Mapping[str, Array]


class Mismatch(Exception):
    """The arrays are not the dataset; the text says in what."""


@dataclass(frozen=True)
class Findings:
    """A checked dataset: one digest over its arrays' digests, and the rows of each split that are not official."""

    digest: str
    inexact: Mapping[str, int]
    note: str


def sha256_of(array: Array) -> str:
    """sha256, hex, of the C-order bytes (read in place where the array is contiguous)."""
    return hashlib.sha256(memoryview(np.ascontiguousarray(array)).cast("B")).hexdigest()


def expected_arrays(facts: Facts) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and dtype that each array of the prepared form must have."""
    expected: dict[str, tuple[tuple[int, ...], str]] = {}
    for split, n in (("train", facts.n_train), ("test", facts.n_test)):
        expected[f"x_{split}"] = ((n, *facts.shape), facts.dtype)
        expected[f"y_{split}"] = ((n,), "uint8")
        if facts.groups:
            expected[f"subject_{split}"] = ((n,), "uint8")
    return expected


def check(facts: Facts, arrays: Arrays) -> Findings:
    """Compare with the official digests (or the accepted mirror's). Raises Mismatch."""
    expected = expected_arrays(facts)
    for key, (shape, dtype) in expected.items():
        if key not in arrays:
            raise Mismatch(f"the array {key} is missing")
        if arrays[key].shape != shape or arrays[key].dtype != np.dtype(dtype):
            raise Mismatch(f"{key} is {arrays[key].dtype} {arrays[key].shape}, not {dtype} {shape}")
    found = {key: sha256_of(arrays[key]) for key in expected}
    inexact = {"train": 0, "test": 0}
    for key in expected:
        if found[key] == facts.digests.get(key):
            continue
        split = key.rpartition("_")[2]
        if found[key] == facts.mirror.get(key):
            inexact[split] = _inexact_rows(facts, arrays, split)
        else:
            _other_proof(facts, arrays, key, found[key])
    rows = sum(inexact.values())
    note = f"mirror, {rows} inexact rows" if rows else "official"
    digest = hashlib.sha256("".join(f"{key} {found[key]}\n" for key in sorted(found)).encode()).hexdigest()
    return Findings(digest, inexact, note)


def _inexact_rows(facts: Facts, arrays: Arrays, split: str) -> int:
    key = f"exact_{split}"
    if key not in arrays or sha256_of(arrays[key]) != facts.mirror.get(key):
        raise Mismatch(f"the mask {key}, which says which rows are not official, is missing or wrong")
    return int(np.count_nonzero(~arrays[key].astype(bool)))


def _other_proof(facts: Facts, arrays: Arrays, key: str, found: str) -> None:
    """Ways to recognise official arrays whose own digest is not in the registry. Raises Mismatch."""
    if key == "x_test" and "test_batch" in facts.digests:
        rows = arrays["x_test"].reshape(facts.n_test, -1)
        batch = np.concatenate([arrays["y_test"][:, None], rows], axis=1)
        if sha256_of(batch) == facts.digests["test_batch"]:
            return
    known = [digests[key] for digests in (facts.digests, facts.mirror) if key in digests]
    raise Mismatch(f"{key} has sha256 {found[:16]}..., not {' or '.join(d[:16] + '...' for d in known) or 'known'}")
