"""Measurements of networks: outcomes under one attack, reports under a suite, signs of masked gradients."""

from .findings import Finding, diagnose
from .outcomes import (
    Progress,
    accuracy_interval,
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
from .theory import hinge_risks

__all__ = [
    "Finding",
    "Progress",
    "Report",
    "accuracy_interval",
    "chunk_generator",
    "convergence",
    "diagnose",
    "distances_under",
    "evaluate",
    "final_losses",
    "hinge_risks",
    "in_pieces",
    "loss_traces",
    "outcomes_under",
    "standard",
    "steering",
    "worst_case",
]
