"""Checks of a dataset's arrays: shapes, digests, and rows that are known to be inexact."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from robustlib.data.registry import Facts

Array = npt.NDArray[np.generic]
Arrays = Mapping[str, Array]

TOLERANCE = 1e-6
"""Largest change of a value that a conversion of text to float32 may make."""

MADE_FROM = "made_from"
"""Array of lines in a prepared file: the official files it was made from, and the digests of its arrays then."""


class Mismatch(Exception):
    """Arrays that are not the dataset; the text names the difference."""


@dataclass(frozen=True)
class Findings:
    """Result of a check: one digest over the arrays' digests, the number of rows of each split that are not official,
    and the arrays' origin in words.
    """

    digest: str
    inexact: Mapping[str, int]
    source: str


def sha256_of(array: Array) -> str:
    """sha256, hex, of the C-order bytes (read in place where the array is contiguous)."""
    return hashlib.sha256(np.ascontiguousarray(array).data.cast("B")).hexdigest()


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
    """Compare every array with the official one's digest, or the mirror's. Raises Mismatch."""
    expected = expected_arrays(facts)
    for key, (shape, dtype) in expected.items():
        if key not in arrays:
            raise Mismatch(f"the array {key} is missing")
        if arrays[key].shape != shape or arrays[key].dtype != np.dtype(dtype):
            raise Mismatch(f"{key} is {arrays[key].dtype} {arrays[key].shape}, not {dtype} {shape}")
    found = {key: sha256_of(arrays[key]) for key in expected}
    inexact = {"train": 0, "test": 0}
    source = "official"
    for key, digest in found.items():
        if digest == facts.digests.get(key):
            continue
        split = key.rpartition("_")[2]
        if digest == facts.mirror.get(key):
            inexact[split] = _inexact_rows(facts, arrays, split)
        elif facts.tolerance and key.startswith("x_") and column_means(arrays[key], facts.tolerance, split):
            source = f"official, column means compared to {TOLERANCE:g}"
        elif not (key == "x_test" and _is_test_batch(facts, arrays)) and not _made_from(facts, arrays, found):
            raise Mismatch(_difference(facts, key, digest))
    if any(inexact.values()):
        source = f"mirror, {sum(inexact.values())} inexact rows"
    whole = hashlib.sha256("".join(f"{key} {found[key]}\n" for key in sorted(found)).encode()).hexdigest()
    return Findings(whole, inexact, source)


def column_means(x: Array, file: str, split: str) -> bool:
    """True where the cosine-weighted mean of every column is within TOLERANCE of the reference.

    True for any array whose values all lie within TOLERANCE of the reference's. The converse holds only
    roughly: one value that is off by more than 0.01, swapped rows and swapped columns are noticed, scattered
    noise of 1e-5 is not.
    """
    reference = np.array(json.loads((Path(__file__).parent / file).read_text(encoding="utf-8"))[split])
    means = weighted_means(x)
    return bool(means.shape == reference.shape and np.all(np.abs(means - reference) <= TOLERANCE))


def weighted_means(x: Array) -> npt.NDArray[np.float64]:
    """Mean over rows i of cos(i) x[i]: unlike a plain mean it depends on the order of the rows."""
    # not `@`: a product through BLAS would differ between machines, and warn on some
    means: npt.NDArray[np.float64] = (np.cos(np.arange(len(x)))[:, None] * x.astype(np.float64)).mean(axis=0)
    return means


def made_from_lines(facts: Facts, arrays: Arrays) -> Array:
    """Lines in a prepared file about its origin, where the registry has no digests of its arrays."""
    lines = [f"{file.name} {file.checksum}" for file in facts.files]
    return np.array([*lines, *(f"{key} sha256:{sha256_of(arrays[key])}" for key in expected_arrays(facts))])


def _made_from(facts: Facts, arrays: Arrays, found: Mapping[str, str]) -> bool:
    """True where arrays without a known digest are unchanged since they were made from the official files."""
    if facts.digests or MADE_FROM not in arrays:
        return False
    wanted = {f"{file.name} {file.checksum}" for file in facts.files}
    wanted |= {f"{key} sha256:{digest}" for key, digest in found.items()}
    return wanted == set(arrays[MADE_FROM].astype(str).ravel().tolist())


def _is_test_batch(facts: Facts, arrays: Arrays) -> bool:
    """True where the test set is CIFAR-10's ``test_batch.bin``: row by row a label byte, then 3,072 pixels."""
    if "test_batch" not in facts.digests:
        return False
    rows = arrays["x_test"].reshape(facts.n_test, -1)
    return sha256_of(np.concatenate([arrays["y_test"][:, None], rows], axis=1)) == facts.digests["test_batch"]


def _inexact_rows(facts: Facts, arrays: Arrays, split: str) -> int:
    key = f"exact_{split}"
    if key not in arrays or sha256_of(arrays[key]) != facts.mirror.get(key):
        raise Mismatch(f"the mask {key}, which says which rows are not official, is missing or wrong")
    return int(np.count_nonzero(~arrays[key].astype(bool)))


def _difference(facts: Facts, key: str, digest: str) -> str:
    if not facts.digests:
        return f"{key} cannot be traced to the official files ({', '.join(file.name for file in facts.files)})"
    known = [digests[key][:16] + "..." for digests in (facts.digests, facts.mirror) if key in digests]
    return f"{key} has sha256 {digest[:16]}..., not {' or '.join(known)}"
