"""Measurements of networks: outcomes under one attack, reports under a suite, signs of masked gradients.

Each module that defines a :class:`robustlib.spec.measurement.Measurement` holds one kind of them, whole: its
description, the function that runs it, and its cost.
"""

import importlib
import pkgutil

from .masking import Finding, diagnose
from .outcomes import (
    chunk_generator,
    distances_under,
    final_losses,
    in_pieces,
    loss_traces,
    outcomes_under,
    steering,
    worst_case,
)
from .suite import Report, convergence, evaluate, standard

__all__ = [
    "Finding",
    "Report",
    "chunk_generator",
    "convergence",
    "diagnose",
    "distances_under",
    "evaluate",
    "final_losses",
    "in_pieces",
    "loss_traces",
    "outcomes_under",
    "standard",
    "steering",
    "worst_case",
]

for _found in pkgutil.iter_modules(__path__):
    # Records name measurements by their types: each module registers its own.
    importlib.import_module(f"{__name__}.{_found.name}")
