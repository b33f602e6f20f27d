"""Certificates and attacks on the same points: a point that is certified must not be broken inside its threat model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..experiments.records import Record


def by_points(records: Iterable[Record]) -> list[list[Record]]:
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


def covered(records: Iterable[Record]) -> Iterator[tuple[Record, Record]]:
    """Each (certificate, attack) on the same points, the attack within the certificate's threat model."""
    for group in by_points(records):
        for certificate in (r for r in group if "certified" in r.outcomes):
            for attack in (r for r in group if "correct" in r.outcomes and _within(r, certificate)):
                yield certificate, attack


def unsound(records: Iterable[Record]) -> list[str]:
    """One line for each pair of records in which a certified point was broken inside its threat model."""
    found = []
    for certificate, attack in covered(records):
        certified, correct = certificate.outcome("certified"), attack.outcome("correct")
        if len(certified) != len(correct):
            found.append(f"{certificate.path} and {attack.path} count different points; run both again")
        elif broken := int((certified & ~correct).sum()):
            found.append(f"UNSOUND {certificate.path}: {broken} certified points are broken by {attack.path}")
    return found
