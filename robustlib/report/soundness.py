"""Certificates and attacks on the same points: a point that is certified must not be broken inside its threat model."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from ..catalogue.base import STAGES
from ..spec.records import Record

PROVEN = {"WorstCase": "accuracy", "Exact": "certified", "Certificate": "certified"}
"""Measurements whose shares may only fall in this order, of the same points, and their metrics."""


def by_points(records: Iterable[Record]) -> list[list[Record]]:
    """Group records by network and points."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        subset = record.evaluation["subset"]
        points = (record.weights_digest, record.dataset["digest"], *(str(subset[x]) for x in ("split", "n", "seed")))
        groups.setdefault(points, []).append(record)
    return list(groups.values())


def _within(attack: Record, certificate: Record) -> bool:
    """True where the attack's ball lies inside the certificate's; clean points do, and a clipped ball."""
    inner, outer = (record.evaluation["measurement"].get("threat") for record in (attack, certificate))
    if inner is None or outer is None:
        return inner is None
    inside = outer["domain"] is None or inner["domain"] == outer["domain"]
    return inside and inner["type"] == outer["type"] and inner["eps"] <= outer["eps"]


def _standing(record: Record) -> list[str]:
    """Names of the outcomes that mark points the network still gets right; none of a cascade."""
    if record.evaluation["measurement"]["type"] == "CascadeBound":
        return []
    return [name for name in record.outcomes if name.partition(" ")[0] == "correct"]


def covered(records: Iterable[Record]) -> Iterator[tuple[Record, Record, str]]:
    """Each certificate with each attack on the same points within its threat model, and the attack's outcome."""
    for group in by_points(records):
        for certificate in (r for r in group if "certified" in r.outcomes):
            for attack in (r for r in group if _within(r, certificate)):
                for name in _standing(attack):
                    yield certificate, attack, name


def settled(record: Record, records: Iterable[Record]) -> tuple[np.ndarray, np.ndarray, list[Record]]:
    """What all records of a network on the same points say about a record's ball.

    Returns:
        (n,) bool of the points that any certificate proves in this ball or a larger one; (n,) bool of those that every
        attack in this ball or a smaller one leaves right; and the records that were counted.
    """
    (group,) = (found for found in by_points([record, *records]) if found[0] is record)
    known = {other.path: other for other in group}.values()
    proofs = [other for other in known if "certified" in other.outcomes and _within(record, other)]
    attacks = [(other, name) for other in known if _within(other, record) for name in _standing(other)]
    proven = np.any([proof.outcome("certified") for proof in proofs], axis=0)
    unbroken = np.all([attack.outcome(name) for attack, name in attacks], axis=0)
    counted = {id(other): other for other in (*proofs, *(attack for attack, _ in attacks))}
    return proven, unbroken, list(counted.values())


def unsound(records: Iterable[Record]) -> list[str]:
    """One line for each pair of records in which a certified point was broken inside its threat model."""
    found = []
    for certificate, attack, name in covered(records):
        certified, correct = certificate.outcome("certified"), attack.outcome(name)
        if len(certified) != len(correct):
            found.append(f"{certificate.path} and {attack.path} count different points; run both again")
        elif broken := int((certified & ~correct).sum()):
            found.append(f"UNSOUND {certificate.path}: {broken} certified points are broken by {attack.path}")
    return found


def inverted(records: Iterable[Record]) -> list[str]:
    """One line for each bracket that rises, from clean inputs to a bound's certificates.

    A suite's stage that leaves more than the one before it; or, of the same network, points and ball, more that is
    proven exactly than the suite leaves, or more that one bound certifies than is proven exactly.
    """
    found = []
    for group in by_points(record for record in records if record.evaluation["measurement"]["type"] in PROVEN):
        for record in group:
            if record.evaluation["measurement"]["type"] == "WorstCase":
                stages = {n: record.metrics[metric].value for n, metric in STAGES.items() if metric in record.metrics}
                found += [f"INVERTED {record.path}: {line}" for line in _rising(stages)]
        for wider, narrower in itertools.permutations(group, 2):
            kinds = [record.evaluation["measurement"]["type"] for record in (wider, narrower)]
            same = wider.evaluation["measurement"]["threat"] == narrower.evaluation["measurement"]["threat"]
            if same and kinds in (["WorstCase", "Exact"], ["Exact", "Certificate"]):
                shares = {r.path: r.metrics[PROVEN[k]].value for r, k in zip((wider, narrower), kinds, strict=True)}
                found += [f"INVERTED {line}" for line in _rising(shares)]
    return found


def _rising(shares: Mapping[str, float]) -> Iterator[str]:
    """A line for each share above the one before it."""
    for (weaker, before), (stronger, after) in itertools.pairwise(shares.items()):
        if after > before:
            yield f"{after:.4g} stand after {stronger}, {before:.4g} after {weaker}"
