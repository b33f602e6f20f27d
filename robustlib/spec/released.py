"""Specifications of networks that papers' authors released."""

from __future__ import annotations

from ..errors import RobustlibError
from ..models.released import checkpoint
from ..threat import Ball
from ..training import Schedule
from ..training.released import Released
from .network import Network

UNTRAINED = Schedule(0, 1, 1.0)
"""No update: the weights are those of the file."""


def authors_network(name: str, number: int = 1, *, threat: Ball | None = None, seed: int = 0) -> Network:
    """A released network, or the ``number``-th of a released cascade behind those before it.

    Args:
        name: of the file, see :func:`robustlib.models.released.checkpoints`.
        number: of the network in it, counted from 1.
        threat: ball that the authors trained against.
        seed: names a draw of a random attack; the weights are those of the file whatever it is.

    Raises:
        RobustlibError: an unknown file, or one that holds fewer networks.
    """
    known = checkpoint(name)
    if not 1 <= number <= known.stages:
        raise RobustlibError(f"number={number} of {name}, which holds {known.stages}; they count from 1")
    defence = Released(known.paper, known.file, known.sha256, stage=number - 1, threat=threat)
    earlier = tuple(authors_network(name, place, threat=threat, seed=seed) for place in range(1, number))
    return Network(known.dataset, known.model, defence, UNTRAINED, seed=seed, earlier=earlier)
