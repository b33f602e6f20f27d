"""What a training or an evaluation costs, in floating-point operations: an estimate before, a record after."""

from __future__ import annotations

import functools

import torch
from torch.utils.flop_counter import FlopCounterMode

from ..attacks.suite import passes
from ..data.registry import facts_of
from ..evaluate import standard
from ..models import ModelSpec, build
from ..training import FgsmTraining, PgdTraining, Standard
from .specs import Accuracy, Distances, Evaluation, LocalMaxima, LossTrace, Network, WorstCase


@functools.cache
def forward_flops(model: ModelSpec, input_shape: tuple[int, ...], classes: int) -> float:
    """Operations (2 per multiply-add) of one forward pass of one input."""
    network = build(
        model, input_shape=input_shape, classes=classes, generator=torch.Generator().manual_seed(0)
    )
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(torch.zeros(1, *input_shape))
    return float(counter.get_total_flops())


def _forward(network: Network) -> float:
    facts = facts_of(network.dataset)
    return forward_flops(network.model, facts.shape, len(facts.classes))


def training_flops(network: Network) -> float:
    """A forward and a backward to the input cost 2 forwards, to weights and input 3."""
    defence, schedule = network.defence, network.schedule
    if isinstance(defence, Standard):
        inner = 0.0
    elif isinstance(defence, FgsmTraining):
        inner = 1.0
    elif isinstance(defence, PgdTraining):
        inner = sum(defence.ramp) / len(defence.ramp) if defence.ramp else float(defence.steps)
    return (2 * inner + 3) * schedule.steps * schedule.batch * _forward(network)


def evaluation_flops(evaluation: Evaluation, n: int) -> float:
    """Upper bound for n points: an attack with restarts visits only the points that still stand."""
    what, forward = evaluation.measurement, _forward(evaluation.subject)
    if isinstance(what, Accuracy):
        steering = forward if what.source is None else _forward(what.source)
        return n * (forward + passes(what.attack) * steering)
    if isinstance(what, Distances):
        return n * passes(what.attack) * forward
    if isinstance(what, WorstCase):
        suite = standard(what.threat, steps=what.steps, queries=what.queries, targets=what.target_classes)
        return n * forward * (1 + sum(passes(attack) for attack in suite))
    if isinstance(what, LossTrace):
        return n * what.runs * 2 * what.steps * forward
    if isinstance(what, LocalMaxima):
        return n * what.starts * 2 * what.steps * forward
    return 0.0
