"""Upper limits on one measurement's effort; each measurement class reads those that concern it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """Upper limits on a measurement's effort; None leaves a setting as the paper has it.

    Args:
        points: test points, class-balanced.
        steps: of an iterative attack or search; a minimum-norm attack takes exactly so many.
        restarts: random restarts of PGD.
        reach: whether PGD of fewer steps takes longer ones, so that it still travels as far.
        queries: of Square, by itself or in a suite.
        target_classes: of FAB and targeted APGD, by themselves or in a suite.
        starts: random starts on each single example whose loss is traced.
        stops: values of the loss along each direction.
        blocks: of a training curve.
        searched: points whose balls are searched for another answer of a cascade.
        tried: share of the stated number of points that a solver decides.
        repeats: timed updates, or draws of fresh projections.
        samples: points of a ball that are mapped to their outputs.
        kept: of those, how many stay in the record.
        features: that one JSMA attempt may change.
        cap: number of features at which an unbroken point counts.
        search: precision of the gradients that steer an attack, "float32" or "bfloat16"; verdicts stay float32.
    """

    points: int | None = None
    steps: int | None = None
    restarts: int | None = None
    reach: bool = True
    queries: int | None = None
    target_classes: int | None = None
    starts: int | None = None
    stops: int | None = None
    blocks: int | None = None
    searched: int | None = None
    tried: float | None = None
    repeats: int | None = None
    samples: int | None = None
    kept: int | None = None
    features: int | None = None
    cap: int | None = None
    search: str | None = None


WHOLE = Budget()
"""The paper's own effort."""


def at_most(value: int, limit: int | None) -> int:
    """The value, or the limit where that is smaller."""
    return value if limit is None else min(value, limit)
