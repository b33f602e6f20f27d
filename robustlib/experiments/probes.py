"""What is asked of a network beyond its accuracy: targeted attempts, slopes of its outputs, the outputs, its recipe."""

from __future__ import annotations

from dataclasses import dataclass

from ..attacks.suite import Jsma


@dataclass(frozen=True)
class Targeted:
    """Attempts on each point towards each other class: share that succeed, features that they change.

    Args:
        attack: what is run.
        correct_only: points that the network gets wrong are replaced by others of their class, see
            :func:`robustlib.evaluate.correct_rows`; False: the subset as it is, led away from the classes it is given.
        cap: number of features at which a point that needs more, or is never broken, counts in ``rho``.
        domain: of the inputs.
    """

    attack: Jsma
    correct_only: bool = True
    cap: int = 112
    domain: tuple[float, float] = (0.0, 1.0)
    protocol: int = 1


@dataclass(frozen=True)
class Amplitudes:
    """Mean absolute derivative of the softmax outputs to the input, of each point, counted in ranges.

    Args:
        edges: log10 of the ranges' inner borders; the first range begins at 0, the last ends at 1.
    """

    edges: tuple[int, ...] = (-40, -35, -30, -25, -20, -15, -10, -5, -3)
    protocol: int = 1


@dataclass(frozen=True)
class Outputs:
    """Confidence at T = 1, the largest output at another temperature, the logits' size, and decisions at both.

    Args:
        temperature: the other T, that of training.
    """

    temperature: float = 1.0
    protocol: int = 1


@dataclass(frozen=True)
class Recipe:
    """Widths of the layers and settings of the training, read off the network and its specification."""

    protocol: int = 1
