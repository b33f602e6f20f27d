"""What a training or an evaluation costs in operations, bytes and seconds: an estimate before, a record after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..data.registry import facts_of
from ..evaluate.outcomes import CHUNK
from ..models import ModelSpec
from ..spec.evaluation import Evaluation
from ..spec.network import Network
from .updates import Work, certificate_of, forward_of, gradient, step_of, weights_of


@dataclass(frozen=True)
class Rate:
    """What a kind of device does with whole trainings and measurements: every time made from it is an estimate.

    Args:
        flops: operations a second in float32.
        half: the same in bfloat16.
        launch: seconds between the starts of two kernels; small batches wait for little else.
        bytes: read and written a second: what most operators wait for.
        ahead: kernels are started while others run, so that the longer of the two counts and not their sum.
    """

    flops: float
    half: float
    launch: float
    bytes: float
    ahead: bool = False

    def seconds(self, work: Work, precision: str = "float32", together: int = 1) -> float:
        """Estimated, of a device that so many ask at a time.

        Who waits for the start of a kernel leaves the device to the others: waiting is shared, work is not.
        """
        flops = self.half if precision == "bfloat16" else self.flops
        done, started = work.issued / flops + work.bytes / self.bytes, work.kernels * self.launch / together
        return max(done, started) if self.ahead else done + started


RATES = {"cpu": Rate(350e9, 500e9, 20e-6, 8e9), "cuda": Rate(15e12, 60e12, 6e-6, 3e12, ahead=True)}
"""The processor's fit every committed training of half a minute and more to within a factor of two. The GPU's are
assumed: none was measured."""


def _what(network: Network) -> tuple[ModelSpec, tuple[int, ...], int]:
    return network.model, facts_of(network.dataset).shape, network.outputs


def _forward(network: Network, batch: int = CHUNK) -> Work:
    """A forward pass of one input among ``batch``."""
    return forward_of(*_what(network)).of(batch) * (1 / batch)


def _pass(network: Network, batch: int = CHUNK) -> Work:
    """What :func:`passes` counts: half a step of an attack, one of whose two passes goes back to the input."""
    return step_of(*_what(network)).of(batch) * (0.5 / batch)


def _certificate(network: Network, *, method: str = "dual", slopes: str = "fixed", projections: int = 0) -> Work:
    """A certificate of one input, or its estimate."""
    return certificate_of(*_what(network), method, slopes, projections).of(CHUNK) * (1 / CHUNK)


def _weights(network: Network) -> float:
    """Bytes of all weights."""
    return 4.0 * weights_of(*_what(network))


def update(network: Network) -> Work:
    """The mean update of a training: loss and gradients of a batch, then the optimiser's step.

    Adam reads weights, gradients and two moments and writes all but the gradients; SGD has one moment.
    """
    moments = 2 if network.schedule.optimiser == "adam" else 1
    step = Work(0.0, 0.0, _weights(network) * (2 + moments), _weights(network) * (1 + moments), 1.0)
    return gradient(network).of(network.schedule.batch) + step


def preparation(network: Network) -> Work:
    """What other networks are asked before the first update: soft labels, and which rows earlier stages leave."""
    rows = network.rows or (0, facts_of(network.dataset).n_train)
    asked = [_forward(network.teacher)] if network.teacher else [_certificate(stage) for stage in network.earlier]
    return sum(asked, Work()) * (rows[1] - rows[0])


def training_work(network: Network) -> Work:
    """Of a whole training; an upper bound for a later stage of a cascade, which gets as many updates as it has rows."""
    return update(network) * network.schedule.steps + preparation(network)


def training_flops(network: Network) -> float:
    """Operations of a whole training."""
    return training_work(network).flops


def training_memory(network: Network) -> float:
    """Bytes: weights, gradients and Adam's two moments in float32, activations of one batch kept for the backward."""
    return 4 * _weights(network) + _forward(network).written * network.schedule.batch


def training_seconds(network: Network, device: str, together: int = 1) -> float:
    """Estimated seconds on a kind of device, "cpu" or "cuda", of which so many networks ask at a time."""
    rate, updates = RATES[device], update(network) * network.schedule.steps
    asked = rate.seconds(preparation(network), together=together)
    return asked + rate.seconds(updates, network.schedule.precision, together)


class _Price:
    """Work in place of operations; see :class:`robustlib.spec.measurement.Price`."""

    def forward(self, network: Network) -> Any:
        return _forward(network)

    def step(self, network: Network) -> Any:
        return _pass(network)

    def certificate(
        self, network: Network, *, method: str = "dual", slopes: str = "fixed", projections: int = 0
    ) -> Any:
        return _certificate(network, method=method, slopes=slopes, projections=projections)

    def update(self, network: Network) -> Any:
        return update(network)


def evaluation_seconds(evaluation: Evaluation, device: str, together: int = 1) -> float:
    """As :func:`training_seconds`."""
    search = getattr(evaluation.measurement, "search", "float32")
    return RATES[device].seconds(evaluation_work(evaluation, evaluation.points), search, together)


def evaluation_flops(evaluation: Evaluation, n: int) -> float:
    """Operations for n points, as :func:`evaluation_work` counts them."""
    return evaluation_work(evaluation, n).flops


def evaluation_work(evaluation: Evaluation, n: int) -> Work:
    """For n points; an upper bound where an attack visits only those that still stand, or ends when it has won."""
    work: Any = evaluation.measurement.work(_Price(), evaluation.subject, n)
    return work or Work()
