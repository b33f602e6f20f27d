"""``robustlib check``: records that do not validate, certificates that an attack breaks, stale generated text."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import RobustlibError
from ..experiments.records import Record
from ..experiments.store import Store, check_specification, read_weights
from ..papers.base import STAGES
from .generate import readme_text


@dataclass(frozen=True)
class Inversion:
    """Two attacks on the same points where the weaker one breaks more: a finding, not a fault."""

    weaker: str
    stronger: str
    difference: float


def _by_points(records: Iterable[Record]) -> list[list[Record]]:
    """Records that speak of the same network and the same points, together."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        subset = record.evaluation["subset"]
        points = (record.weights_digest, record.dataset["digest"], *(str(subset[x]) for x in ("split", "n", "seed")))
        groups.setdefault(points, []).append(record)
    return list(groups.values())


def _within(attack: Record, certificate: Record) -> bool:
    """Whether all that the attack could do lies in the certificate's ball; clean points do, and a clipped ball."""
    inner, outer = (record.evaluation["measurement"].get("threat") for record in (attack, certificate))
    if inner is None or outer is None:
        return inner is None
    inside = outer["domain"] is None or inner["domain"] == outer["domain"]
    return inside and inner["type"] == outer["type"] and inner["eps"] <= outer["eps"]


def unsound(records: Iterable[Record]) -> list[str]:
    """One line for each pair of records in which a certified point was broken inside its threat model."""
    found = []
    for group in _by_points(records):
        for certificate in (r for r in group if "certified" in r.outcomes):
            for attack, name in ((r, name) for r in group if _within(r, certificate) for name in _standing(r)):
                certified, correct = certificate.outcome("certified"), attack.outcome(name)
                if len(certified) != len(correct):
                    found.append(f"{certificate.path} and {attack.path} count different points; run both again")
                elif broken := int((certified & ~correct).sum()):
                    found.append(
                        f"UNSOUND {certificate.path}: {broken} certified points are broken by {attack.path}"
                    )
    return found


def _standing(record: Record) -> list[str]:
    """Outcomes that say which points its network still gets right; a cascade's are not those of its last stage."""
    if record.evaluation["measurement"]["type"] == "CascadeBound":
        return []
    return [name for name in record.outcomes if name.partition(" ")[0] == "correct"]


def inverted(records: Iterable[Record]) -> list[str]:
    """One line for each bracket that rises: a suite's stage that leaves more than the one before it."""
    found = []
    for record in (r for r in records if r.evaluation["measurement"]["type"] == "WorstCase"):
        stages = [(name, record.metrics[metric].value) for name, metric in STAGES.items() if metric in record.metrics]
        for (weaker, before), (stronger, after) in itertools.pairwise(stages):
            if after > before:
                found.append(f"INVERTED {record.path}: {after:.4g} stand after {stronger}, {before:.4g} after {weaker}")
    return found


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
    for group in _by_points(record for record in records if _ranked(record.evaluation["measurement"])):
        for weak in group:
            for strong in group:
                a, b = (r.evaluation["measurement"] for r in (weak, strong))
                same = a["threat"] == b["threat"] or a["attack"]["type"] == "Clean"
                rank = _STRENGTH.index(a["attack"]["type"]) < _STRENGTH.index(b["attack"]["type"])
                gap = strong.metrics["accuracy"].value - weak.metrics["accuracy"].value
                if same and rank and gap > 0:
                    found.append(Inversion(weak.path, strong.path, gap))
    return found
