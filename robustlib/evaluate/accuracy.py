"""Accuracy under an attack, under several, and beside that of another network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import nn

from ..attacks.suite import Attack
from ..budget import Budget
from ..registry import spec
from ..spec.measurement import Measured, Measurement, Price, Subject, mean, share
from ..spec.network import Network
from ..spec.quantities import ATTACKED, CLEAN, Quantity
from ..spec.records import pack
from ..threat import Ball
from .certificates import CHUNK
from .outcomes import outcomes_under


def stem_of(attack: str, steps: int | None, restarts: int | None, *, transferred: bool) -> str:
    """Stem of the name of an accuracy under an attack, from the attack's class and its counts where it has any."""
    counts = "" if steps is None else f"{steps}x{restarts or 1}"
    return f"{attack.lower()}{counts}{'-transfer' * transferred}"


@spec
@dataclass(frozen=True)
class Accuracy(Measurement):
    """Share of points still classified correctly after an attack; per-example outcomes are kept.

    Args:
        attack: which attack.
        threat: ball that the attack stays in; None for a clean evaluation.
        source: network whose gradients steer it (transfer); None: the subject's own. An attack of several starts asks
            the subject which of them was best, unless it is PGD with ``best_by="loss"``.
        search: precision of the steering gradients, "float32" or "bfloat16"; verdicts are float32.
    """

    attack: Attack
    threat: Ball | None = None
    source: Network | None = None
    search: str = "float32"
    protocol: int = 1

    def units(self, network: Network) -> dict[str, str]:
        return {"accuracy": "fraction"}

    def run(self, on: Subject) -> Measured:
        """``accuracy``, and which points are correct."""
        source = None if self.source is None else on.model_of(self.source)
        outcome = outcomes_under(
            on.model,
            on.split,
            on.rows,
            self.attack,
            self.threat,
            name=on.name,
            search=self.search,
            progress=on.progress,
            source=source,
        )
        return Measured(metrics={"accuracy": share(outcome)}, outcomes={"correct": pack(outcome)})

    def quantity(self, metric: str) -> Quantity:
        return CLEAN if self.threat is None or self.threat.eps == 0 else ATTACKED

    @property
    def stem(self) -> str:
        """``pgd100x20``, or ``fgsm-transfer`` with a source."""
        steps, restarts = (getattr(self.attack, name, None) for name in ("steps", "restarts"))
        return stem_of(type(self.attack).__name__, steps, restarts, transferred=self.source is not None)

    def work(self, price: Price, network: Network, n: int) -> float:
        return (price.forward(network) + price.step(self.source or network) * self.attack.passes) * n

    def within(self, budget: Budget) -> Self:
        return replace(self, attack=self.attack.within(budget), search=budget.search or self.search)


@spec
@dataclass(frozen=True)
class AccuracyVariation(Measurement):
    """Accuracy minus that of another network on the same clean points, in percentage points.

    Args:
        baseline: the other network.
    """

    baseline: Network
    protocol: int = 1

    def units(self, network: Network) -> dict[str, str]:
        return {"variation": "pp", "accuracy": "fraction", "baseline_accuracy": "fraction"}

    def run(self, on: Subject) -> Measured:
        """Accuracy of both on the same points, and the difference with the interval of its paired values."""
        split, right = on.split, []
        with torch.no_grad():
            for network in (on.model, on.model_of(self.baseline)):
                parts = [network(split.images(part)).argmax(1) == split.y[part] for part in on.rows.split(CHUNK)]
                right.append(torch.cat(parts).cpu().numpy())
        ours, theirs = right
        return Measured(
            metrics={
                "variation": mean(100 * (ours.astype(float) - theirs), unit="pp"),
                "accuracy": share(ours),
                "baseline_accuracy": share(theirs),
            },
            outcomes={"correct": pack(ours)},
        )

    def quantity(self, metric: str) -> Quantity:
        return CLEAN

    def work(self, price: Price, network: Network, n: int) -> float:
        return (price.forward(network) + price.forward(self.baseline)) * n


@spec
@dataclass(frozen=True)
class Attacked(Measurement):
    """Accuracy under several attacks, one record for all: ``accuracy I``, or ``accuracy I J`` when made on source J.

    Args:
        attacks: counted from 0 in the metrics' names.
        threat: ball that each of them stays in.
        sources: networks whose gradients steer them (black box); (): the subject's own.
    """

    attacks: tuple[Attack, ...]
    threat: Ball
    sources: tuple[Network, ...] = ()
    protocol: int = 1

    def units(self, network: Network) -> dict[str, str]:
        places = [f" {j}" for j in range(len(self.sources))] or [""]
        return {f"accuracy {i}{place}": "fraction" for i in range(len(self.attacks)) for place in places}

    def run(self, on: Subject) -> Measured:
        """Each attack on each source, or on the network itself."""
        sources = [on.model_of(source) for source in self.sources]
        pairs: list[tuple[str, nn.Module | None]] = [(f" {j}", source) for j, source in enumerate(sources)]
        found = Measured()
        for i, attack in enumerate(self.attacks):
            for place, source in pairs or [("", None)]:
                outcome = outcomes_under(
                    on.model,
                    on.split,
                    on.rows,
                    attack,
                    self.threat,
                    name=f"{on.name}/{i}{place}",
                    source=source,
                    progress=on.progress,
                )
                found.metrics[f"accuracy {i}{place}"] = share(outcome)
                found.outcomes[f"correct {i}{place}"] = pack(outcome)
        return found

    def quantity(self, metric: str) -> Quantity:
        """Clean where the metric's attack leaves every point where it is."""
        return ATTACKED if self.attacks[int(metric.split()[1])].passes else CLEAN

    def work(self, price: Price, network: Network, n: int) -> float:
        steered = [price.step(source) for source in self.sources] or [price.step(network)]
        return n * sum(price.forward(network) + each * attack.passes for attack in self.attacks for each in steered)

    def within(self, budget: Budget) -> Self:
        return replace(self, attacks=tuple(attack.within(budget) for attack in self.attacks))
