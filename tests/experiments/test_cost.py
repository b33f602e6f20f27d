"""Estimates: counted on shapes alone, and held against what committed trainings and measurements took."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from robustlib.attacks.suite import Pgd, Square
from robustlib.data.registry import facts_of
from robustlib.evaluate.accuracy import Accuracy
from robustlib.evaluate.attempts import Targeted
from robustlib.evaluate.cascades import CascadeBound, Estimated
from robustlib.evaluate.certificates import Certificate
from robustlib.evaluate.groups import Groups
from robustlib.evaluate.update_time import Cost
from robustlib.evaluate.worst_case import WorstCase
from robustlib.experiments.cost import (
    RATES,
    Rate,
    evaluation_seconds,
    evaluation_work,
    preparation,
    training_flops,
    training_seconds,
    training_work,
    update,
)
from robustlib.experiments.store import Store
from robustlib.experiments.updates import Batch, Calls, Work, forward_of, gradient, step_of
from robustlib.models import ModelSpec
from robustlib.spec.evaluation import Evaluation
from robustlib.spec.keys import parse
from robustlib.spec.network import Network
from robustlib.spec.records import Record
from robustlib.threat import LinfBall
from robustlib.training import Certified, Distillation, FgsmTraining, PgdTraining, Schedule, Standard, Trades
from tests.experiments.tiny import NETWORK

BALL = LinfBall(0.1)
HYBRID = Certified(BALL, method="hybrid")
DENSE = Network("digits", ModelSpec("wong_dense", 50), HYBRID, Schedule(10, batch=20, lr=1e-3))
LONG = 30.0
"""Seconds from which a record says something of the work, and not of an operator's own overhead."""


def test_operators_are_counted_with_all_they_read_and_write() -> None:
    with torch.device("meta"), Calls() as calls:
        x = torch.empty(10, 4)  # written
        (x + 1.0).T.matmul(x)  # the sum; the product of a view of it; views themselves are free
        x[:1].expand(5, 4).clone()  # one row is read and five are written
        assert int(x.sum()) == 0  # of what holds no numbers, none can be asked
    flops, read, written = 2 * 4 * 10 * 4, (0 + 40) + (40 + 40) + (4 + 40), (40 + 40) + 16 + 20 + 1
    assert calls.work == Work(flops=flops, issued=flops, read=4 * read, written=4 * written, kernels=5)


def test_convolutions_of_few_channels_leave_lanes_idle() -> None:
    def filling(*channels: int) -> float:
        with torch.device("meta"), torch.no_grad(), Calls() as calls:
            nn.Conv2d(*channels, 3)(torch.empty(1, channels[0], 8, 8))
        assert calls.work.flops == 2 * channels[0] * channels[1] * 9 * 36
        return calls.work.issued / calls.work.flops

    assert filling(16, 32) == 1
    assert filling(2, 16) == 8
    assert filling(16, 24) == pytest.approx(32 / 24)
    assert [filling(image, 16) for image in (1, 3)] == [1, 1]


def test_a_batch_is_counted_by_its_examples() -> None:
    """A convolution that gives 4 maps and a layer of 10: what a batch of 100 costs is known from two and three."""

    def work(n: int) -> Work:
        net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10))
        with torch.no_grad(), Calls() as calls:
            net(torch.zeros(n, 1, 8, 8))
        return calls.work

    two, three = work(2), work(3)
    batch = Batch(two * 3 + three * -2, three + two * -1)
    assert batch.of(100) == work(100)
    assert batch.plus(batch, 2).of(7) == work(7) * 3


def test_a_dense_layer_s_bound_costs_its_rows_both_ways() -> None:
    """One hidden layer: interval bounds pass twice, the rows of ten logits once; a gradient is twice as much again."""
    forward = forward_of(DENSE.model, (1, 8, 8), 10).each.flops
    assert gradient(DENSE).each.flops == pytest.approx(3 * 12 * forward, rel=0.1)
    assert training_flops(DENSE) == pytest.approx(update(DENSE).flops * 10)


def test_rows_are_one_kernel_and_not_many() -> None:
    """Fifty hidden units are carried back together: starts do not grow with the width, operations do."""
    exact = replace(DENSE, defence=Certified(BALL))
    wide = replace(exact, model=ModelSpec("wong_dense", 200))
    assert training_work(exact).kernels == training_work(wide).kernels
    assert training_flops(wide) > 3.9 * training_flops(exact)
    few, many = (replace(wide, defence=Certified(BALL, projections=k)) for k in (5, 50))
    assert training_work(few).kernels == pytest.approx(training_work(many).kernels, rel=0.1)
    assert training_work(few).bytes < training_work(many).bytes


def test_shares_of_interval_bounds_are_weighed() -> None:
    defences = [Certified(BALL, interval=share) for share in (0.0, 0.5, 1.0)]
    costs = [training_flops(replace(DENSE, defence=defence)) for defence in defences]
    assert costs[1] == pytest.approx((costs[0] + costs[2]) / 2)
    assert costs[2] < costs[0]


def test_what_changes_no_operator_changes_no_cost() -> None:
    other = replace(DENSE, defence=replace(HYBRID, threat=LinfBall(0.3), start=0.1, ramp=0.9))
    assert update(other) == update(DENSE)
    trades = [Trades(LinfBall(eps), 3, eps / 4, beta=beta) for eps, beta in ((0.1, 1.0), (0.3, 6.0))]
    first, second = (update(replace(NETWORK, defence=defence)) for defence in trades)
    assert first == second


def test_every_step_of_an_inner_attack_costs_one_step() -> None:
    costs = [update(replace(NETWORK, defence=PgdTraining(BALL, steps, 0.02))) for steps in (1, 2, 7)]
    step = step_of(NETWORK.model, facts_of(NETWORK.dataset).shape, 10).of(NETWORK.schedule.batch)
    for more, found in zip((1, 6), costs[1:], strict=True):
        assert (found.flops, found.bytes) == pytest.approx(
            (costs[0].flops + more * step.flops, costs[0].bytes + more * step.bytes)
        )
    ramped = replace(NETWORK, defence=PgdTraining(BALL, 5, 0.02, ramp=(1, 3)))
    assert update(ramped) == update(replace(NETWORK, defence=PgdTraining(BALL, 2, 0.02)))


def test_the_optimiser_moves_every_weight() -> None:
    """Adam's second moment is read and written; the first one is SGD's too."""
    adam, sgd = (replace(NETWORK, schedule=Schedule(10, 8, 0.1, optimiser=name)) for name in ("adam", "sgd"))
    weights = (25 * 4 + 4) + (25 * 4 * 8 + 8) + (4 * 8 * 128 + 128) + (128 * 10 + 10)
    assert update(adam).bytes - update(sgd).bytes == 2 * 4 * weights


def test_what_others_are_asked_first_is_paid_for() -> None:
    assert preparation(NETWORK) == Work()
    passes = forward_of(NETWORK.model, (1, 8, 8), 10).each.flops * facts_of("digits").n_train
    assert preparation(replace(NETWORK, defence=Distillation(20.0), parents=(NETWORK,))).flops == pytest.approx(passes)
    later = replace(DENSE, earlier=(DENSE,), rows=(0, 100))
    certificates = evaluation_work(Evaluation(DENSE, Certificate(BALL)), 100)
    assert preparation(later).flops == pytest.approx(certificates.flops)
    assert training_seconds(later, "cpu") > training_seconds(DENSE, "cpu")


def test_a_gpu_starts_kernels_ahead_and_a_processor_does_not() -> None:
    work = Work(flops=70.0, issued=100.0, read=20.0, written=30.0, kernels=4.0)
    behind = Rate(flops=10.0, half=20.0, launch=3.0, bytes=25.0)
    ahead = replace(behind, ahead=True)
    assert behind.seconds(work) == 100 / 10 + 50 / 25 + 4 * 3
    assert ahead.seconds(work) == 12
    assert replace(ahead, launch=5.0).seconds(work) == 20
    assert replace(ahead, launch=5.0).seconds(work, together=2) == 12  # the others compute while one waits
    assert behind.seconds(work, "bfloat16") == 100 / 20 + 50 / 25 + 4 * 3
    assert RATES["cuda"].ahead
    assert not RATES["cpu"].ahead


def test_certificates_are_counted_wherever_they_are_made() -> None:
    exact = evaluation_work(Evaluation(DENSE, Certificate(BALL)), 10)
    assert evaluation_work(Evaluation(DENSE, Groups(BALL)), 10) == exact
    assert evaluation_work(Evaluation(DENSE, CascadeBound(BALL)), 10) == exact
    assert evaluation_work(Evaluation(DENSE, CascadeBound(BALL, searched=10)), 10).flops > exact.flops
    assert evaluation_work(Evaluation(DENSE, Estimated(BALL)), 10).flops > exact.flops
    assert (
        evaluation_work(Evaluation(DENSE, Cost(BALL, repeats=3)), 10).kernels
        == 3 * update(replace(DENSE, defence=Certified(BALL), schedule=replace(DENSE.schedule, batch=10))).kernels
    )


def test_attacks_are_counted_by_their_passes() -> None:
    pgd, square = (evaluation_work(Evaluation(NETWORK, Accuracy(a, BALL)), 50) for a in (Pgd(10, 0.02), Square(20)))
    assert pgd.flops == pytest.approx(square.flops)
    suite = evaluation_work(Evaluation(NETWORK, WorstCase(BALL)), 50)
    assert suite.flops > 100 * pgd.flops


def _processor() -> list[Record]:
    """Records made on a processor; what a GPU's host spends is no measure of it."""
    return [record for record in Store().records() if record.device.endswith("threads")]


def test_estimates_lie_near_what_committed_trainings_took() -> None:
    """Within a factor of two, though many were taken beside other processes, which alone costs as much."""
    ratios, kinds = {}, set()
    for record in _processor():
        network = parse(record.evaluation).subject
        if record.training_cpu_s >= LONG:
            spent = RATES["cpu"].seconds(update(network) * network.schedule.steps)
            ratio = record.training_cpu_s / spent
            # A later stage has fewer rows than its schedule was made for; how many, nobody knows before.
            ratios[record.training_key] = max(ratio, 1.0) if network.earlier else ratio
            kinds.add(type(network.defence).__name__)
    assert len(ratios) >= 80
    assert kinds >= {"Certified", "PgdTraining", "FgsmTraining", "Trades", "BinaryTrades", "LogitPairing", "Standard"}
    assert all(0.5 < ratio < 2 for ratio in ratios.values()), ratios


def test_estimates_lie_near_what_committed_measurements_took() -> None:
    """Within a factor of three where half a minute was spent; attacks that ended at once may be far below theirs."""
    ratios, below, undefended = {}, set(), set()
    for record in _processor():
        evaluation = parse(record.evaluation)
        expected = evaluation_seconds(evaluation, "cpu")
        if record.cpu_s >= LONG:
            ratios[record.evaluation_key] = record.cpu_s / expected
        elif record.cpu_s < expected / 3 and expected >= LONG:
            below.add(type(evaluation.measurement))
            undefended.add(type(evaluation.subject.defence))
    assert len(ratios) >= 20
    assert all(1 / 3 < ratio < 3 for ratio in ratios.values()), ratios
    assert below <= {WorstCase, Targeted}
    assert undefended <= {Standard, Distillation, FgsmTraining}
