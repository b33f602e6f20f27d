"""Measurements that need no network but the subject: distances, suites, losses; ``specs`` offers these names too."""

from __future__ import annotations

from dataclasses import dataclass

from ..attacks.suite import Attack, MinimumNorm
from ..threat import Ball


@dataclass(frozen=True)
class Distances:
    """Accuracy against eps from one minimum-norm attack: a point falls at every eps from its distance on.

    Args:
        attack: a minimum-norm attack.
        norm: "linf" or "l2", what the attack minimises.
        grid: radii, in the domain's units, at which accuracy is reported (metric ``accuracy@EPS``).
        domain: of the inputs.
        measured: norm in which the points found are measured, where it is not the one minimised.
    """

    attack: MinimumNorm
    norm: str
    grid: tuple[float, ...]
    domain: tuple[float, float] | None = (0.0, 1.0)
    protocol: int = 1
    measured: str = ""


@dataclass(frozen=True)
class WorstCase:
    """What a whole suite leaves: noise, FGSM, PGD on two losses, then AutoAttack, each on what still stands.

    Args:
        threat: what the attacks may do.
        steps: of each run of APGD and FAB.
        queries: of Square.
        target_classes: of targeted APGD and FAB.
        search: precision of the steering gradients; verdicts are float32.
    """

    threat: Ball
    steps: int = 100
    queries: int = 5_000
    target_classes: int = 9
    search: str = "float32"
    protocol: int = 1


CHEAP_FIRST = (("interval", "fixed"), ("hybrid", "fixed"), ("dual", "fixed"), ("dual", "adaptive"))
"""Bounds that are tried before a solver, each on what those before it left."""


@dataclass(frozen=True)
class Exact:
    """Which points are right everywhere in their balls: an attack, four bounds, and a solver where neither tells.

    Args:
        threat: l_inf ball.
        attack: on every point.
        tried: of the points that attack and bounds leave open, the solver is asked about so many, those nearest to a
            proof first.
        nodes: of branch and bound, for each program.
        seconds: wall time at which a program is given up all the same; the metric ``late`` counts those.
    """

    threat: Ball
    attack: Attack
    tried: int
    nodes: int = 10_000
    seconds: float = 300.0
    protocol: int = 1


@dataclass(frozen=True)
class LossTrace:
    """Cross-entropy along PGD from several random starts on single examples."""

    threat: Ball
    steps: int
    step_size: float
    runs: int
    protocol: int = 1


@dataclass(frozen=True)
class LocalMaxima:
    """Final PGD losses over many random starts on single examples, as counts in stated bins.

    Args:
        starts: random starts for each example.
        edges: bins (first, last, number) in nats; losses beyond the last edge are counted in the last bin.
    """

    threat: Ball
    steps: int
    step_size: float
    starts: int
    edges: tuple[float, float, int] = (0.0, 160.0, 320)
    search: str = "float32"
    protocol: int = 1


@dataclass(frozen=True)
class TrainingCurve:
    """Loss on the batches that the network was trained on, in equal blocks of updates.

    Args:
        blocks: how many, at most.
        at: updates (from 0) before which loss and error are metrics of their own, ``loss@100`` and ``error@100``.
    """

    blocks: int = 250
    protocol: int = 1
    at: tuple[int, ...] = ()


@dataclass(frozen=True)
class HingeBound:
    """Both sides of Theorem 3.1 of Zhang et al. 2019 on a network of two classes, phi the hinge (so that psi(t) = t).

    Args:
        threat: B(x, eps).
        steps, step_size: of the inner maximisation and of the attack.
        scale: lambda.
    """

    threat: Ball
    steps: int
    step_size: float
    scale: float
    protocol: int = 1
