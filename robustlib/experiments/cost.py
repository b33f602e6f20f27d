"""Cost of trainings and evaluations: operations, and seconds estimated from them at rates measured on records.

python -m robustlib.experiments.cost    prints the rates that the committed records give
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..data.registry import facts_of
from ..spec.evaluation import Evaluation
from ..spec.keys import parse
from ..spec.network import Network
from ..spec.records import Record
from .price import Price

RATES = {"cpu": {"float32": 41e9, "bfloat16": 128e9}, "cuda": {"float32": 5e12, "bfloat16": 20e12}}
"""Operations a second, idle lanes included, by kind of device and precision. Those of a processor core are
:func:`fitted` to 66 and 85 samples of the records committed by 2026-11-29, all within a factor of four; records made
beside other processes may lie higher. Those of the GPU are assumed: no record was made on one."""
SHORTEST = 30.0
"""Seconds from which a record measures the work, and not its overhead."""
EXACT, ISSUED = Price(), Price(issued=True)


def _preparation(network: Network, price: Price) -> float:
    """Operations before the first update: soft labels of the teacher, certificates of the earlier stages."""
    first, end = network.rows or (0, facts_of(network.dataset).n_train)
    example = price.forward(network.teacher) if network.teacher else sum(map(price.certificate, network.earlier))
    return example * (end - first)


def _training(network: Network, price: Price) -> float:
    return price.update(network) * network.schedule.steps + _preparation(network, price)


def training_flops(network: Network) -> float:
    """Operations of a whole training; an upper bound for a later stage of a cascade, which has fewer updates."""
    return _training(network, EXACT)


def evaluation_flops(evaluation: Evaluation, n: int) -> float:
    """Operations for n points; an upper bound where an attack leaves out points that it has broken."""
    return evaluation.measurement.work(EXACT, evaluation.subject, n)


def training_seconds(network: Network, device: str) -> float:
    """Estimated seconds of a training on a kind of device, "cpu" or "cuda"; of a processor, those of one core."""
    return _training(network, ISSUED) / RATES[device][network.schedule.precision]


def evaluation_seconds(evaluation: Evaluation, device: str) -> float:
    """Estimated seconds of an evaluation, as :func:`training_seconds`."""
    work = evaluation.measurement.work(ISSUED, evaluation.subject, evaluation.points)
    return work / RATES[device][_precision(evaluation)]


def _precision(evaluation: Evaluation) -> str:
    """Precision of the passes that search for adversarial inputs."""
    return str(getattr(evaluation.measurement, "search", "float32"))


@dataclass(frozen=True)
class Sample:
    """A training or an evaluation that was measured: its operations, idle lanes included, and its seconds."""

    name: str
    device: str
    precision: str
    operations: float
    seconds: float


def samples(records: Iterable[Record]) -> Iterator[Sample]:
    """Every training and evaluation of 30 s or more, in seconds of the processor, or of the clock for a GPU.

    Later stages of a cascade are left out: how many updates they had is not known.
    """
    trained: set[str] = set()
    for record in records:
        evaluation = parse(record.evaluation)
        assert isinstance(evaluation, Evaluation)
        network, on_cpu = evaluation.subject, record.device.endswith(" threads")
        device = "cpu" if on_cpu else "cuda"
        spent = record.training_cpu_s if on_cpu else record.training_s
        if spent >= SHORTEST and record.training_key not in trained and not network.earlier:
            trained.add(record.training_key)
            yield Sample(network.name, device, network.schedule.precision, _training(network, ISSUED), spent)
        spent = record.cpu_s if on_cpu else record.wall_s
        if spent >= SHORTEST:
            work = evaluation.measurement.work(ISSUED, network, evaluation.points)
            yield Sample(f"{network.name}/{evaluation.name}", device, _precision(evaluation), work, spent)


def fitted(records: Iterable[Record]) -> dict[tuple[str, str], tuple[float, int]]:
    """Median operations a second of the samples, and their number, by device and precision."""
    found: dict[tuple[str, str], list[float]] = {}
    for sample in samples(records):
        found.setdefault((sample.device, sample.precision), []).append(sample.operations / sample.seconds)
    return {which: (statistics.median(rates), len(rates)) for which, rates in found.items()}


if __name__ == "__main__":
    from .store import Store

    for (device, precision), (rate, n) in fitted(Store().records()).items():
        print(f"{device} {precision}: {rate:.3g} operations a second, from {n} records")
