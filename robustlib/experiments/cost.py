"""What a training or an evaluation costs, in floating-point operations: an estimate before, a record after."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..attacks.suite import passes
from ..data.registry import facts_of
from ..evaluate import standard
from ..evaluate.outcomes import CHUNK
from ..models import ModelSpec, build
from ..training import Certified, Distillation, FgsmTraining, LogitPairing, PgdTraining, Standard
from .probes import (
    Amplitudes,
    CascadeBound,
    Certificate,
    CertifiedRadii,
    DecisionMap,
    Estimated,
    InnerLoop,
    Lending,
    Outputs,
    OutputSet,
    Pictures,
    Relaxed,
    Targeted,
)
from .specs import (
    HELD_OUT,
    Accuracy,
    AccuracyVariation,
    Attacked,
    Directions,
    Distances,
    Evaluation,
    Exact,
    HingeBound,
    LocalMaxima,
    LossTrace,
    Network,
    WorstCase,
)
from .updates import Calls, certified_update


@dataclass(frozen=True)
class Rate:
    """What a kind of device does, before anything was measured on it: every time made from it is an estimate.

    Args:
        flops: operations a second that these small networks reach in float32.
        half: the same in bfloat16.
        launch: seconds between the starts of two kernels; small batches wait for little else.
        bytes: written a second, each of them read about once: what the rows of a bound wait for.
    """

    flops: float
    half: float
    launch: float
    bytes: float

    def of(self, precision: str) -> float:
        """Operations a second in a precision."""
        return self.half if precision == "bfloat16" else self.flops


RATES = {"cpu": Rate(150e9, 150e9, 5e-6, 10e9), "cuda": Rate(15e12, 60e12, 6e-6, 1.5e12)}


@dataclass(frozen=True)
class Forward:
    """One forward pass: operations and bytes of activations for one input, kernels for a batch.

    ``rows``: units of all linear layers but the first layer, which a dual bound carries back to the input one by one;
    ``relus``: about how many columns of its own each random projection has.
    """

    flops: float
    kernels: int
    activations: float
    parameters: int
    rows: int
    relus: int


@functools.cache
def forward_of(model: ModelSpec, input_shape: tuple[int, ...], classes: int) -> Forward:
    """One forward pass of one input (2 operations per multiply-add)."""
    flops, calls = FlopCounterMode(display=False), Calls()
    # Shapes are all that is counted: on this device nothing is computed.
    with torch.device("meta"), torch.no_grad():
        network = build(model, input_shape=input_shape, classes=classes, generator=torch.Generator().manual_seed(0))
        with flops:
            network(torch.zeros(1, *input_shape))
        with calls:
            network(torch.zeros(1, *input_shape))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    layers = [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    rows = sum(layer.out_features for layer in layers[1:] if isinstance(layer, nn.Linear))
    return Forward(float(flops.get_total_flops()), calls.kernels, calls.bytes, parameters, rows, len(layers) // 2)


def _one(network: Network) -> Forward:
    return forward_of(network.model, facts_of(network.dataset).shape, network.outputs)


def _forward(network: Network) -> float:
    return _one(network).flops


def _passes(network: Network) -> float:
    """Of one update: a forward and a backward to the input cost 2 forwards, to weights and input 3."""
    defence = network.defence
    if isinstance(defence, Standard | Distillation):
        return 3.0
    if isinstance(defence, FgsmTraining):
        return 5.0
    assert not isinstance(defence, Certified), "counted in updates.py"
    # TRADES and logit pairing move weights through two batches; TRADES asks once more what the clean one gives.
    outer = 3.0 if isinstance(defence, PgdTraining) else 6.0 if isinstance(defence, LogitPairing) else 7.0
    return 2 * defence.mean_steps + outer


def training_flops(network: Network) -> float:
    """Operations of a whole training."""
    examples = network.schedule.steps * network.schedule.batch
    if isinstance(network.defence, Certified):
        return certified_update(network).flops * examples
    return _passes(network) * examples * _forward(network)


def training_memory(network: Network) -> float:
    """Bytes: weights, gradients and Adam's two moments in float32, activations of one batch kept for the backward."""
    one = _one(network)
    return 16.0 * one.parameters + one.activations * network.schedule.batch


def training_launches(network: Network) -> float:
    """Kernels that a GPU starts, one after another, in a whole training."""
    if isinstance(network.defence, Certified):
        return certified_update(network).kernels * network.schedule.steps
    return _passes(network) * network.schedule.steps * _one(network).kernels


def training_bytes(network: Network) -> float:
    """What a training on certificates writes: rows are wide and little is computed with them. 0 for any other."""
    if not isinstance(network.defence, Certified):
        return 0.0
    update = certified_update(network)
    return (update.bytes * network.schedule.batch + update.fixed_bytes) * network.schedule.steps


def training_seconds(network: Network, device: str, together: int = 1) -> float:
    """Estimated seconds on a kind of device, "cpu" or "cuda", of which so many networks ask at a time.

    A network that waits for the start of a kernel leaves the device to the others: waiting is shared, work is not.
    """
    rate = RATES[device]
    work = training_flops(network) / rate.of(network.schedule.precision) + training_bytes(network) / rate.bytes
    return max(work, training_launches(network) * rate.launch / together)


def points(evaluation: Evaluation) -> int:
    """How many inputs it visits."""
    facts = facts_of(evaluation.subject.dataset)
    sizes = {"train": facts.n_train, "validation": facts.n_train // HELD_OUT, "test": facts.n_test}
    whole = sizes[evaluation.subset.split]
    return evaluation.subset.n or whole * evaluation.subject.outputs // len(facts.classes)


def evaluation_seconds(evaluation: Evaluation, device: str, together: int = 1) -> float:
    """As :func:`training_seconds`; the points are visited in chunks."""
    rate, one, n = RATES[device], _one(evaluation.subject), points(evaluation)
    flops = evaluation_flops(evaluation, n)
    launches = flops / one.flops / max(1, min(n, CHUNK)) * one.kernels
    work = flops / rate.of(getattr(evaluation.measurement, "search", ""))
    return max(work, launches * rate.launch / together)


def evaluation_flops(evaluation: Evaluation, n: int) -> float:
    """Upper bound for n points: an attack with restarts visits only the points that still stand."""
    what, forward = evaluation.measurement, _forward(evaluation.subject)
    if isinstance(what, Pictures):
        return n * (2 + passes(what.attack)) * forward
    if isinstance(what, DecisionMap):
        return forward * (what.side**2 + n * what.inside**2)
    if isinstance(what, Accuracy):
        steering = forward if what.source is None else _forward(what.source)
        return n * (forward + passes(what.attack) * steering)
    if isinstance(what, Attacked):
        steered = [_forward(source) for source in what.sources] or [forward]
        return n * sum(forward + passes(attack) * each for attack in what.attacks for each in steered)
    if isinstance(what, Directions):
        # PGD and FGSM on each of the two, then both gradients.
        return n * (passes(what.attack) + 4) * (forward + _forward(what.source)) + n * 4 * what.stops * forward
    if isinstance(what, Distances):
        return n * passes(what.attack) * forward
    if isinstance(what, WorstCase):
        suite = standard(what.threat, steps=what.steps, queries=what.queries, targets=what.target_classes)
        return n * forward * (1 + sum(passes(attack) for attack in suite))
    if isinstance(what, HingeBound | InnerLoop | Lending):
        return n * (2 * what.steps + 2) * forward
    if isinstance(what, LossTrace):
        return n * what.runs * 2 * what.steps * forward
    if isinstance(what, LocalMaxima):
        return n * what.starts * 2 * what.steps * forward
    if isinstance(what, AccuracyVariation):
        return n * (forward + _forward(what.baseline))
    if isinstance(what, Targeted):
        others = len(facts_of(evaluation.subject.dataset).classes) - 1
        return n * others * passes(what.attack) * forward
    if isinstance(what, Amplitudes):
        return n * 2.0 * (1 + 2 * len(facts_of(evaluation.subject.dataset).classes)) * forward
    if isinstance(what, Certificate):
        return n * forward * (_one(evaluation.subject).rows if what.method == "dual" else 2)
    if isinstance(what, Exact):
        # As below for the solver; two of the four bounds are cheap.
        return n * forward * (2 * _one(evaluation.subject).rows + passes(what.attack))
    if isinstance(what, CascadeBound):
        # Later stages see what earlier ones leave; a step of a search costs three certificates of every stage.
        stages, rows = 1 + len(evaluation.subject.earlier), _one(evaluation.subject).rows
        return forward * rows * stages * (n + 3 * min(n, what.searched) * what.steps)
    if isinstance(what, Estimated):
        one = _one(evaluation.subject)
        return n * forward * (one.rows + what.repeats * what.projections * one.relus)
    if isinstance(what, CertifiedRadii):
        # Some ten evaluations of the bound and its derivative end the search.
        return n * forward * 30 * _one(evaluation.subject).rows
    if isinstance(what, OutputSet):
        return len(what.radii) * forward * (what.samples + 2 * _one(evaluation.subject).rows)
    if isinstance(what, Relaxed):
        # The linear program is no tensor arithmetic; what remains is the bound and the attack.
        return n * forward * (_one(evaluation.subject).rows + 2 * what.steps)
    return n * forward if isinstance(what, Outputs) else 0.0
