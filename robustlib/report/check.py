"""``robustlib check``: records that do not validate, certificates that an attack breaks, stale generated text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import RobustlibError
from ..experiments.keys import key, parse
from ..experiments.records import Record
from ..experiments.store import Store
from .generate import readme_text


@dataclass(frozen=True)
class Inversion:
    """Two attacks on the same points where the weaker one breaks more: a finding, not a fault."""

    weaker: str
    stronger: str
    difference: float


def _points(record: Record) -> tuple[Any, ...]:
    """Records with equal values speak of the same network, threat and points."""
    measurement = record.evaluation["measurement"]
    return (record.weights_digest, str(measurement.get("threat")), str(record.evaluation["subset"]))


def unsound(records: Iterable[Record]) -> list[str]:
    """One line for each pair of records in which a certified point was broken inside its threat model."""
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        groups.setdefault(_points(record), []).append(record)
    found = []
    for group in groups.values():
        for certificate in (r for r in group if "certified" in r.outcomes):
            for attack in (r for r in group if "correct" in r.outcomes):
                broken = int((certificate.outcome("certified") & ~attack.outcome("correct")).sum())
                if broken:
                    found.append(
                        f"UNSOUND {certificate.path}: {broken} certified points are broken by {attack.path}"
                    )
    return found


def faults(root: Path) -> list[str]:
    """Everything that must stop the build, one line each; empty when all is sound."""
    store = Store(root)
    found = list(store.faults.values())
    for record in store.records():
        try:
            evaluation = parse(record.evaluation)
        except RobustlibError as error:
            found.append(f"{record.path}: {error}")
            continue
        if key(evaluation) != record.evaluation_key or key(evaluation.subject) != record.training_key:
            found.append(
                f"{record.path}: its keys are not those of its specification; it was edited, run it again"
            )
    found += unsound(store.records())
    for path, text in readme_text(root).items():
        if path.read_text() != text:
            found.append(f"{path.name}: its generated part does not match the records; run make publish")
    return found


_STRENGTH = ("Clean", "Noise", "Fgsm", "Pgd")


def inversions(records: Iterable[Record]) -> list[Inversion]:
    """White-box attacks that break fewer points than a weaker one on the same network, eps and points.

    FGSM above clean is label leaking; any other order is a sign of gradient masking or of chance.
    """
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        measurement = record.evaluation["measurement"]
        if measurement["type"] == "Accuracy" and measurement["source"] is None:
            groups.setdefault((record.weights_digest, str(record.evaluation["subset"])), []).append(record)
    found = []
    for group in groups.values():
        for weak in group:
            for strong in group:
                a, b = (r.evaluation["measurement"] for r in (weak, strong))
                same = a["threat"] == b["threat"] or a["attack"]["type"] == "Clean"
                rank = _STRENGTH.index(a["attack"]["type"]) < _STRENGTH.index(b["attack"]["type"])
                gap = strong.metrics["accuracy"].value - weak.metrics["accuracy"].value
                if same and rank and gap > 0:
                    found.append(Inversion(weak.path, strong.path, gap))
    return found
