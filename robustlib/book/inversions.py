"""Findings: where a stronger attack broke fewer points than a weaker one, with the explanation."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..experiments.profiles import search_order
from ..experiments.store import Store
from ..report.display import record_target
from ..report.soundness import by_points
from ..spec.records import Record

STRENGTH = ("Clean", "Noise", "Fgsm", "Pgd")
"""Attacks from weak to strong; one towards a single target is not in this order."""
LEAKING = (
    "label leaking: the step that the label chose tells a network trained on such steps the class; no attack of "
    "several steps has this, and the worst case counts each point at its worst"
)
OPEN = "not explained: chance, or a sign of masked gradients"


@dataclass(frozen=True)
class Inversion:
    """Two attacks on the same points where the weaker one breaks more: a finding, not a fault."""

    weaker: Record
    stronger: Record

    @property
    def difference(self) -> float:
        """Accuracy after the stronger attack minus that after the weaker one, a fraction."""
        return self.stronger.metrics["accuracy"].value - self.weaker.metrics["accuracy"].value

    @property
    def why(self) -> str:
        """Explanation, where one is known."""
        trained = self.stronger.training["defence"]["type"] == "FgsmTraining"
        return LEAKING if trained and _attack(self.stronger)["type"] == "Fgsm" else OPEN


def _attack(record: Record) -> Mapping[str, object]:
    return dict(record.evaluation["measurement"]["attack"])


def _ranked(record: Record) -> bool:
    """True for the accuracy under a white-box attack of :data:`STRENGTH`."""
    what = record.evaluation["measurement"]
    if what["type"] != "Accuracy" or what.get("source") is not None:
        return False
    return _attack(record)["type"] in STRENGTH and not _attack(record).get("targeted")


def inversions(records: Iterable[Record]) -> list[Inversion]:
    """White-box attacks that break fewer points than a weaker one on the same network, eps and points."""
    found = []
    for group in by_points(filter(_ranked, records)):
        for weak, strong in itertools.permutations(group, 2):
            a, b = (record.evaluation["measurement"] for record in (weak, strong))
            kinds = a["attack"]["type"], b["attack"]["type"]
            same = kinds[0] == "Clean" or a["threat"] == b["threat"]
            rank = STRENGTH.index(kinds[0]) < STRENGTH.index(kinds[1])
            if same and rank and Inversion(weak, strong).difference > 0:
                found.append(Inversion(weak, strong))
    return found


def page(profile: str, store: Store) -> str:
    """A table in MyST, the largest first; or the sentence that there is none."""
    found = inversions(record for name in search_order(profile) for record in store.records(name))
    if not found:
        return "No stronger attack of this edition broke fewer points than a weaker one.\n"
    lines = ["| network | weaker | leaves | stronger | leaves | why |", "|---|---|---|---|---|---|"]
    for finding in sorted(found, key=lambda finding: -finding.difference):
        told = []
        for record in (finding.weaker, finding.stronger):
            metric, link = record.metrics["accuracy"], record_target(record.path)
            told.append(f"{_attack(record)['type']} | [{metric.value:.1%}](#{link}), n = {metric.n:,}")
        lines.append(f"| {finding.weaker.path.split('/')[-2]} | {' | '.join(told)} | {finding.why} |")
    return "\n".join(lines) + "\n"
