"""``robustlib check``: records that do not validate, certificates that an attack breaks, stale generated text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import RobustlibError
from ..experiments.records import Record
from ..experiments.store import Store, check_specification, read_weights
from .generate import readme_text
from .soundness import by_points, inverted, unsound


@dataclass(frozen=True)
class Inversion:
    """Two attacks on the same points where the weaker one breaks more: a finding, not a fault."""

    weaker: str
    stronger: str
    difference: float


def faults(root: Path) -> list[str]:
    """Everything that must stop the build, one line each; empty when all is sound."""
    store = Store(root)
    found = list(store.faults.values())
    for record in store.records():
        try:
            check_specification(record, store)
        except RobustlibError as error:
            found.append(f"{record.path}: {error}")
    found += unsound(store.records()) + inverted(store.records())
    for path in sorted((root / "weights").glob("*.safetensors")):
        try:
            read_weights(path)
        except RobustlibError as error:
            found.append(f"weights/{error}")
    if found:
        # What is generated from them cannot be judged before they are sound.
        return found
    try:
        generated = readme_text(root)
    except RobustlibError as error:
        return [str(error)]
    for path, text in generated.items():
        if path.read_text() != text:
            found.append(f"{path.name}: its generated part does not match the records; run make publish")
    return found


_STRENGTH = ("Clean", "Noise", "Fgsm", "Pgd")


def _ranked(measurement: dict[str, Any]) -> bool:
    """Whether it is the accuracy under a white-box attack whose strength is known."""
    white = measurement["type"] == "Accuracy" and measurement.get("source") is None
    return white and measurement["attack"]["type"] in _STRENGTH


def inversions(records: Iterable[Record]) -> list[Inversion]:
    """White-box attacks that break fewer points than a weaker one on the same network, eps and points.

    FGSM above clean is label leaking; any other order is a sign of gradient masking or of chance.
    """
    found = []
    for group in by_points(record for record in records if _ranked(record.evaluation["measurement"])):
        for weak in group:
            for strong in group:
                a, b = (r.evaluation["measurement"] for r in (weak, strong))
                same = a["threat"] == b["threat"] or a["attack"]["type"] == "Clean"
                rank = _STRENGTH.index(a["attack"]["type"]) < _STRENGTH.index(b["attack"]["type"])
                gap = strong.metrics["accuracy"].value - weak.metrics["accuracy"].value
                if same and rank and gap > 0:
                    found.append(Inversion(weak.path, strong.path, gap))
    return found
