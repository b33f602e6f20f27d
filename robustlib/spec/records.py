"""Run records: one small JSON file for each evaluation, written atomically, validated whenever read."""

from __future__ import annotations

import base64
import dataclasses
import functools
import json
import math
import re
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import RobustlibError
from ..files import write_atomically

SCHEMA = 2
"""Version of the file format. In 1, a third of all bytes was a second copy of the network, and one value a line."""
MAX_BYTES = 100_000


@dataclass(frozen=True)
class Metric:
    """A measured number: fractions lie in 0..1, losses are in nats; the interval is 95 %."""

    value: float
    n: int
    low: float | None = None
    high: float | None = None
    unit: str = "fraction"


@dataclass(frozen=True)
class Record:
    """One measurement with everything needed to judge it and to make it again."""

    profile: str
    evaluation_key: str
    training_key: str
    evaluation: dict[str, Any]
    metrics: dict[str, Metric]
    dataset: dict[str, Any]
    weights_digest: str
    commit: str
    source_digest: str
    versions: dict[str, str]
    device: str
    created: str
    wall_s: float
    cpu_s: float
    peak_memory_mb: float
    training_s: float
    training_cpu_s: float
    operations: float
    outcomes: dict[str, str] = field(default_factory=dict)
    series: dict[str, list[float] | list[list[float]]] = field(default_factory=dict)
    histograms: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    deviations: list[str] = field(default_factory=list)
    arithmetic: dict[str, list[str]] = field(default_factory=dict)
    schema: int = SCHEMA
    path: str = field(default="", compare=False)

    @property
    def training(self) -> dict[str, Any]:
        """Specification of the network."""
        subject: dict[str, Any] = self.evaluation["subject"]
        return subject

    def outcome(self, name: str = "correct") -> np.ndarray:
        """(n,) bool, one per example of the subset in its row order."""
        if name not in self.outcomes:
            raise RobustlibError(f"record {self.path} has no outcome {name!r}; it has {sorted(self.outcomes)}")
        count, _, packed = self.outcomes[name].partition(":")
        content = base64.b64decode(packed, validate=True)
        if len(content) != (int(count) + 7) // 8:
            raise RobustlibError(f"outcome {name!r} has {len(content)} bytes, which is not {count} bits")
        return np.unpackbits(np.frombuffer(content, np.uint8))[: int(count)].astype(bool)


def pack(outcome: np.ndarray) -> str:
    """(n,) bool as ``"n:base64"``."""
    bits = np.asarray(outcome, bool)
    return f"{len(bits)}:{base64.b64encode(np.packbits(bits).tobytes()).decode()}"


class Unfilable(RobustlibError):
    """A measurement that makes no record: it is too long, or not finite."""


def _lines(content: dict[str, Any]) -> str:
    plain = functools.partial(json.dumps, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return "{\n" + ",\n".join(f'"{name}":{plain(content[name])}' for name in sorted(content)) + "\n}\n"


def dumps(record: Record) -> str:
    """The file's text: a line for each field, keys sorted, no path.

    Raises:
        Unfilable: over 100 KB, or a number that is not finite.
    """
    content = {field.name: getattr(record, field.name) for field in dataclasses.fields(record) if field.name != "path"}
    content["metrics"] = {name: dataclasses.asdict(metric) for name, metric in record.metrics.items()}
    if not record.arithmetic:
        # Not known of records of earlier versions, whose files stay as they are.
        del content["arithmetic"]
    try:
        text = _lines(content)
    except ValueError as error:
        raise Unfilable(f"record {record.evaluation_key} holds NaN or infinity; nothing was filed") from error
    if len(text) > MAX_BYTES:
        raise Unfilable(
            f"record {record.evaluation_key} has {len(text)} bytes, above {MAX_BYTES}; store counts, not samples"
        )
    return text


def loads(text: str, *, path: str = "") -> Record:
    """The record in a file's text.

    Raises:
        RobustlibError: empty, not JSON, another schema, a missing or unknown field, an impossible number.
    """
    where = path or "record"
    if len(text) > MAX_BYTES:
        raise RobustlibError(f"{where} has {len(text)} characters, above {MAX_BYTES}; delete it and run again")
    try:
        content = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise RobustlibError(f"{where} is not complete JSON ({error}); delete it and run again") from None
    content = _migrated(content)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else type(content).__name__
        raise RobustlibError(f"{where} has schema {found!r}, this version reads {SCHEMA}; migrate it or run again")
    known = {f.name: f for f in dataclasses.fields(Record) if f.name != "path"}
    unknown = sorted(set(content) - set(known))
    missing = sorted(
        name
        for name, f in known.items()
        if name not in content and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    )
    if unknown or missing:
        raise RobustlibError(f"{where}: missing fields {missing}, unknown fields {unknown}; run it again")
    try:
        content["metrics"] = {name: Metric(**metric) for name, metric in content["metrics"].items()}
        record = Record(**content, path=path)
        _validate(record)
    except (TypeError, AttributeError, ValueError) as error:
        raise RobustlibError(f"{where} does not validate: {error}") from None
    return record


def _migrated(content: Any) -> Any:
    """A record of schema 1 as one of schema 2; anything else as it is."""
    if isinstance(content, dict) and content.get("schema") == 1:
        evaluation = content.get("evaluation")
        if isinstance(evaluation, dict) and "training" in content and evaluation.get("subject") == content["training"]:
            return {name: value for name, value in content.items() if name != "training"} | {"schema": SCHEMA}
    return content


def migrate(root: Path) -> int:
    """Rewrite every record under a folder in this version's form; how many were in another one.

    Raises:
        RobustlibError: one that does not validate. It and those after it are left as they are.
    """
    count = 0
    for path in sorted(root.rglob("*.json")):
        text = path.read_text(encoding="utf-8")
        ours = dumps(loads(text, path=path.as_posix()))
        if ours != text:
            write_atomically(path, ours.encode())
            count += 1
    return count


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a number")


@functools.cache
def _kinds() -> dict[str, type]:
    """Type of each field of a record, without parameters; read once, for reading it takes longer than a record."""
    return {name: typing.get_origin(hint) or hint for name, hint in typing.get_type_hints(Record).items()}


def _validate(record: Record) -> None:
    for name, wanted in _kinds().items():
        value = getattr(record, name)
        if not isinstance(value, int | float if wanted is float else wanted):
            raise ValueError(f"{name} is of type {type(value).__name__}, not {wanted.__name__}")
    for part, needed in (("subject", {"type"}), ("measurement", {"type"}), ("subset", {"n", "split", "seed"})):
        content = record.evaluation.get(part)
        if not isinstance(content, dict) or not needed <= set(content):
            raise ValueError(f"evaluation has no complete {part}")
    if not all(isinstance(record.dataset.get(name), str) for name in ("name", "digest")):
        raise ValueError("dataset has no name or no digest")
    inexact = record.dataset.get("inexact")
    if not isinstance(inexact, dict) or not all(isinstance(rows, int) and rows >= 0 for rows in inexact.values()):
        raise ValueError(f"dataset counts inexact rows as {inexact!r}")
    if not record.metrics:
        raise ValueError("it has no metrics")
    for name, metric in record.metrics.items():
        for number in (metric.value, metric.low, metric.high):
            if number is not None and not math.isfinite(number):
                raise ValueError(f"metric {name} is {number}")
        if metric.unit == "fraction" and not 0 <= metric.value <= 1:
            raise ValueError(f"metric {name} = {metric.value} is not a fraction")
        if metric.low is not None and metric.high is not None and not metric.low <= metric.value <= metric.high:
            raise ValueError(f"metric {name} = {metric.value} is outside its interval [{metric.low}, {metric.high}]")
        if not isinstance(metric.n, int) or metric.n < 1:
            raise ValueError(f"metric {name} has n = {metric.n!r}")
    accuracy = record.metrics.get("accuracy")
    for name in record.outcomes:
        outcome = record.outcome(name)
        if name != "correct" or accuracy is None:
            continue
        if len(outcome) != accuracy.n:
            raise ValueError(f"accuracy of {accuracy.n} points has {len(outcome)} outcomes")
        if abs(float(outcome.mean()) - accuracy.value) > 1e-9:
            raise ValueError(f"accuracy {accuracy.value} does not equal its outcomes' share {outcome.mean()}")
    for name in ("evaluation_key", "training_key"):
        if not re.fullmatch("[0-9a-f]{16}", getattr(record, name)):
            raise ValueError(f"{name} {getattr(record, name)!r} is not 16 hex digits")


def read(path: Path, *, root: Path | None = None) -> Record:
    """The record in a file; its ``path`` is relative to ``root``."""
    shown = path.relative_to(root).as_posix() if root is not None else path.as_posix()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RobustlibError(f"{shown} cannot be read ({error}); delete it and run again") from None
    return loads(text, path=shown)
