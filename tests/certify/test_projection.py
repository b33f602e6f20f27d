"""Random projections: that they estimate the bound, how they scatter, and that they are no certificates."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from robustlib.certify import ESTIMATORS, Certificate, Estimate, certify, estimate, estimated_margins, projection
from robustlib.certify.projection import _geometric, _median
from robustlib.certify.region import Region
from robustlib.certify.trace import trace
from robustlib.errors import RobustlibError
from robustlib.threat import Ball, L2Ball, LinfBall
from tests.certify.networks import ALL, inputs, network

THREATS: list[Ball] = [LinfBall(0.05, None), LinfBall(0.05), L2Ball(0.3, None)]


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("size", [_median, _geometric])
def test_the_size_of_cauchy_columns_is_the_l1_norm(size: Callable[[Tensor], Tensor]) -> None:
    a = torch.tensor([3.0, -1.0, 0.5, 0.0], dtype=torch.float64)
    columns = torch.empty(1, 200_000, 4, dtype=torch.float64).cauchy_(generator=drawn()) @ a
    assert float(size(columns[..., None])) == pytest.approx(4.5, rel=0.02)


def test_the_median_of_an_even_number_is_the_lower_of_the_middle_two() -> None:
    columns = torch.tensor([[[1.0], [-4.0], [2.0], [30.0]]])
    assert _median(columns).tolist() == [[2.0]]
    assert _median(columns[:, :3]).tolist() == [[2.0]]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("threat", THREATS, ids=str)
def test_many_columns_give_the_bound(name: str, threat: Ball) -> None:
    model, (x, y) = network(name), inputs(name)
    exact = certify(model, x, y, threat).margins
    for estimator in ESTIMATORS:
        found = estimate(model, x, y, threat, projections=8_000, estimator=estimator, generator=drawn())
        assert float((found.margins - exact).abs().max()) <= 0.03 * float(exact.abs().max()), estimator


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_term_left_out_is_noticed(estimator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same comparison, with the band of the crossing units spoilt."""
    model, (x, y) = network("dense"), inputs("dense")
    threat = LinfBall(0.2, None)
    honest = projection.relaxation
    exact = certify(model, x, y, threat).margins

    def without(*given: object) -> object:
        found = honest(*given)
        return dataclasses.replace(found, floor=torch.zeros_like(found.floor))

    def off() -> float:
        found = estimate(model, x, y, threat, projections=8_000, estimator=estimator, generator=drawn())
        return float((found.margins - exact).abs().max()) / float(exact.abs().max())

    assert off() <= 0.03
    monkeypatch.setattr(projection, "relaxation", without)
    assert off() > 0.1


def test_bounds_before_the_first_relu_are_exact() -> None:
    model, (x, _) = network("dense"), inputs("dense")
    graph, region = trace(model, x), Region.around(x, LinfBall(0.1))
    found = projection.projected_bounds(graph, region, projections=1, estimator="median", generator=drawn())
    values = graph.nodes[graph.relus[0]].inputs[0]
    weight, bias = model[1].weight, model[1].bias
    center, reach = region.center.flatten(1) @ weight.T + bias, region.radius.flatten(1) @ weight.abs().T
    assert values == 2
    torch.testing.assert_close(found[graph.relus[0]].lower, center - reach)
    torch.testing.assert_close(found[graph.relus[0]].upper, center + reach)


def test_few_columns_scatter_more_and_go_beyond_the_bound() -> None:
    """So that none of it may be taken for a certificate."""
    model, (x, y) = network("dense"), inputs("dense")
    exact, spread, above = certify(model, x, y, LinfBall(0.2)).margins, {}, 0
    for projections in (3, 300):
        found = torch.stack(
            [
                estimate(model, x, y, LinfBall(0.2), projections=projections, generator=drawn(seed)).margins
                for seed in range(20)
            ]
        )
        spread[projections] = float(found.std(0).mean())
        above += int((found > exact + 1e-3).sum())
    assert spread[300] < spread[3] / 3
    assert above


def test_an_estimate_is_no_certificate() -> None:
    """No name of a certificate's is on it; neither is the other."""
    estimated, proven = ({field.name for field in dataclasses.fields(kind)} for kind in (Estimate, Certificate))
    assert not issubclass(Estimate, Certificate)
    assert not issubclass(Certificate, Estimate)
    assert not any(hasattr(Estimate, name) for name in ("certified", "slack", "bound", "bounds"))
    assert proven - estimated == {"slack", "layers"}
    assert estimated - proven == set()


def test_memory_grows_with_the_units_and_not_with_their_square() -> None:
    """Of the largest tensor that the bounds need, for twice the hidden units."""
    held = []
    for channels in (8, 16):
        model = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(channels * 144, 2),
        ).eval()
        largest = 0

        def note(packed: Tensor) -> Tensor:
            nonlocal largest
            largest = max(largest, packed.numel())
            return packed

        x = torch.rand(1, 1, 12, 12, generator=drawn())
        with torch.autograd.graph.saved_tensors_hooks(note, lambda packed: packed):
            estimated_margins(model, x, torch.zeros(1, dtype=torch.int64), LinfBall(0.1), generator=drawn())
        held.append(largest)
    assert held[0] >= 8 * 144
    assert held[1] <= 2.5 * held[0] <= 2.5 * 55 * 8 * 144


def test_estimates_differentiate_to_the_weights() -> None:
    model, (x, y) = network("residual"), inputs("residual", n=2)
    (-estimated_margins(model, x, y, LinfBall(0.05), projections=20, generator=drawn())).logsumexp(1).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in model.parameters())


def test_the_same_draw_whatever_the_chunk_is_not_promised_but_the_same_seed_is() -> None:
    model, (x, y) = network("dense"), inputs("dense")
    one, two = (estimate(model, x, y, LinfBall(0.1), generator=drawn()).margins for _ in range(2))
    assert torch.equal(one, two)


@pytest.mark.parametrize("wrong", [{"projections": 0}, {"estimator": "mean"}])
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    model, (x, y) = network("dense"), inputs("dense")
    with pytest.raises(RobustlibError, match=r"projections|estimator"):
        estimate(model, x, y, LinfBall(0.1), generator=drawn(), **wrong)  # type: ignore[arg-type]
