"""Operations in closed form against operations counted while the objective itself is differentiated."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from robustlib.data.registry import facts_of
from robustlib.experiments.price import Counter, Price
from robustlib.models import ModelSpec, build
from robustlib.spec.network import Network
from robustlib.threat import LinfBall
from robustlib.training import (
    BinaryTrades,
    Certified,
    Distillation,
    FgsmTraining,
    LogitPairing,
    PgdTraining,
    Schedule,
    Standard,
    Trades,
    objective,
)
from tests.experiments.tiny import NETWORK

BALL = LinfBall(0.1)
DENSE = Network("digits", ModelSpec("wong_dense", 50), Standard(), Schedule(10, batch=20, lr=1e-3))
CONVOLUTIONS = replace(DENSE, dataset="mnist", model=ModelSpec("wong_conv"))
PRICE = Price()


def counted(network: Network, progress: float = 1.0) -> float:
    """Operations of an update for each example, by making one."""
    shape, n, generator = facts_of(network.dataset).shape, 2, torch.Generator()
    with torch.device("meta"):
        model = build(network.model, input_shape=shape, classes=network.outputs, generator=generator)
        x, y = torch.empty(n, *shape), torch.zeros(n, dtype=torch.int64)
        labels = torch.empty(n, network.outputs) if isinstance(network.defence, Distillation) else y
        with Counter() as counter:
            losses, _ = objective(network.defence, model, x, labels, progress=progress, generator=generator)
            losses.sum().backward()
    return sum(counter.flops) / n


def test_matrix_products_and_convolutions_are_counted() -> None:
    with torch.device("meta"), Counter() as counter:
        nn.Conv2d(3, 5, 3)(torch.empty(2, 3, 8, 8))
        assert int((torch.empty(7, 4) @ torch.empty(4, 6)).sum()) == 0
        torch.empty(4).normal_(generator=torch.Generator())
    assert counter.flops == [2 * 2 * 36 * 5 * 27, 2 * 7 * 4 * 6]


@pytest.mark.parametrize(
    "defence",
    [
        Standard(),
        Distillation(20.0),
        FgsmTraining(BALL),
        PgdTraining(BALL, 7, 0.02),
        Trades(BALL, 7, 0.02, beta=1.0),
        BinaryTrades(BALL, 7, 0.02, scale=1.0),
        LogitPairing(BALL, 7, 0.02, weight=1.0),
    ],
    ids=lambda defence: type(defence).__name__,
)
def test_an_update_costs_its_gradients_and_the_steps_of_its_attack(defence: object) -> None:
    network = replace(NETWORK, defence=defence, parents=(NETWORK,) if isinstance(defence, Distillation) else ())
    if isinstance(defence, BinaryTrades):
        network = replace(network, dataset="lender", model=ModelSpec("wong_dense", 64))
    # The two points of TRADES have a reference besides, one forward pass among twenty.
    assert PRICE.update(network) / network.schedule.batch == pytest.approx(counted(network), rel=0.06)


@pytest.mark.parametrize("method", ["dual", "hybrid", "interval"])
@pytest.mark.parametrize("network", [CONVOLUTIONS, DENSE], ids=["convolutions", "dense"])
def test_training_on_a_certificate_costs_its_gradient_as_well(network: Network, method: str) -> None:
    trained = replace(network, defence=Certified(BALL, method=method))
    assert PRICE.update(trained) / trained.schedule.batch == pytest.approx(counted(trained), rel=0.5)
    projected = replace(network, defence=Certified(BALL, projections=10))
    assert PRICE.update(projected) / projected.schedule.batch == pytest.approx(counted(projected), rel=0.5)


def test_shares_of_interval_bounds_are_weighed() -> None:
    costs = [PRICE.update(replace(DENSE, defence=Certified(BALL, interval=share))) for share in (0.0, 0.5, 1.0)]
    assert costs[1] == pytest.approx((costs[0] + costs[2]) / 2)
    assert costs[2] < costs[0]


def test_steps_that_grow_cost_their_mean() -> None:
    ramped = PRICE.update(replace(NETWORK, defence=PgdTraining(BALL, 5, 0.02, ramp=(1, 3))))
    assert ramped == PRICE.update(replace(NETWORK, defence=PgdTraining(BALL, 2, 0.02)))


def test_bounds_cost_what_their_rows_do() -> None:
    """One hidden layer of 50: interval bounds pass twice, the dual once more for each unit and logit; k columns, k."""
    first, forward = 2 * 64 * 50, PRICE.forward(DENSE)
    assert forward == first + 2 * 50 * 10
    assert PRICE.certificate(DENSE, method="hybrid") == pytest.approx(12 * forward, rel=0.2)
    wide = replace(DENSE, model=ModelSpec("wong_dense", 200))
    deep, narrow = (PRICE.certificate(network) for network in (wide, DENSE))
    assert deep > 3 * narrow
    assert PRICE.certificate(DENSE, slopes="adaptive") > narrow
    estimates = [PRICE.certificate(wide, projections=k) for k in (5, 50)]
    assert estimates[0] <= estimates[1]
