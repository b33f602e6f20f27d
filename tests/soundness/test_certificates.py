"""No certificate promises more than is true: bounds against attacks, corners, samples and the exact arithmetic."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from robustlib.attacks import pgd
from robustlib.certify import certify
from robustlib.certify.certificate import margins_in
from robustlib.certify.dual import pre_activation_bounds
from robustlib.certify.interval import ends, interval_bounds
from robustlib.certify.region import Region
from robustlib.certify.trace import trace
from robustlib.threat import Ball, Domain, L2Ball, LinfBall, ball
from tests.certify.networks import ALL, inputs, network

METHODS: dict[str, dict[str, Any]] = {
    "fixed": {},
    "adaptive": {"slopes": "adaptive"},
    "interval": {"method": "interval"},
    "hybrid": {"method": "hybrid"},
}
BOX: Domain = (0.0, 1.0)
THREATS = [LinfBall(0.05), LinfBall(0.05, None), LinfBall(0.3), L2Ball(0.3), L2Ball(0.3, None), L2Ball(2.0)]
each_network = pytest.mark.parametrize("name", ALL)
each_method = pytest.mark.parametrize("options", METHODS.values(), ids=METHODS)
each_threat = pytest.mark.parametrize("threat", THREATS, ids=str)


def margin(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """(N, K) logit[y] - logit[k]."""
    logits = model(x).detach()
    return logits.gather(1, y[:, None]) - logits


def points(x: Tensor, threat: Ball, *, n: int = 40, seed: int = 3) -> Tensor:
    """(n, N, ...) points of the ball: uniform ones, and those where every coordinate is as far out as it can be."""
    generator = torch.Generator().manual_seed(seed)
    drawn = [threat.random_start(x, generator=generator) for _ in range(n // 2)]
    for _ in range(n // 2):
        signs = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        drawn.append(threat.project(x + threat.eps * threat.steepest(signs), x))
    return torch.stack(drawn)


def worst_found(model: nn.Module, x: Tensor, y: Tensor, threat: Ball) -> Tensor:
    """(N, K) smallest margins at sampled points and under PGD with restarts against each class."""
    worst = torch.stack([margin(model, point, y) for point in points(x, threat)]).amin(0)
    generator = torch.Generator().manual_seed(4)
    for k in range(worst.shape[1]):
        rows = (y != k).nonzero().flatten()
        target = torch.full_like(y[rows], k)
        found = pgd(
            model, x[rows], y[rows], threat, steps=8, step_size=threat.eps / 3, target=target, generator=generator
        )
        worst[rows] = torch.minimum(worst[rows], margin(model, found, y[rows]))
    return worst


@each_network
@each_method
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_ball_of_radius_zero_gives_the_logits(name: str, options: dict[str, Any], norm: str) -> None:
    model, (x, y) = network(name), inputs(name)
    found = certify(model, x, y, ball(norm, 0.0), **options)
    torch.testing.assert_close(found.margins, margin(model, x, y), rtol=1e-10, atol=1e-10)
    assert (found.margins.gather(1, y[:, None]) == 0).all()


@each_network
@each_threat
def test_no_margin_that_is_found_lies_below_the_bound(name: str, threat: Ball) -> None:
    model, (x, y) = network(name), inputs(name)
    worst = worst_found(model, x, y, threat)
    for method, options in METHODS.items():
        assert (certify(model, x, y, threat, **options).margins <= worst + 1e-9).all(), method


@each_network
@each_method
@pytest.mark.parametrize("threat", THREATS[2:5], ids=str)
def test_every_pre_activation_that_is_found_lies_within_its_bounds(
    name: str, options: dict[str, Any], threat: Ball
) -> None:
    model, (x, _) = network(name), inputs(name)
    graph, region = trace(model, x), Region.around(x, threat)
    if "method" in options:
        boxes = interval_bounds(graph, region)
        bounds = {i: ends(boxes[graph.nodes[i].inputs[0]]) for i in graph.relus}
    else:
        relaxations = pre_activation_bounds(graph, region, **options)
        bounds = {i: (at.lower, at.upper) for i, at in relaxations.items()}
    for point in points(x, threat, n=20):
        values = graph.values(point)
        for i, (lower, upper) in bounds.items():
            before = values[graph.nodes[i].inputs[0]]
            assert (lower <= before + 1e-9).all(), graph.nodes[i].name
            assert (before <= upper + 1e-9).all(), graph.nodes[i].name


@each_network
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_interval_margins_fall_with_the_radius_and_rise_with_the_domain(name: str, norm: str) -> None:
    model, (x, y) = network(name), inputs(name)
    radii, found = (0.0, 0.01, 0.05, 0.2, 0.8), {}
    for domain in (None, BOX):
        found[domain] = [certify(model, x, y, ball(norm, eps, domain), method="interval").margins for eps in radii]
        for smaller, larger in itertools.pairwise(found[domain]):
            assert (larger <= smaller + 1e-12).all()
    for wide, cut in zip(found[None], found[BOX], strict=True):
        assert (cut >= wide - 1e-12).all()
    assert (found[BOX][-1] > found[None][-1] + 1e-3).any()


@each_network
def test_dual_margins_fall_with_the_radius(name: str) -> None:
    model, (x, y) = network(name), inputs(name)
    found = [certify(model, x, y, LinfBall(eps, None)).margins for eps in (0.0, 0.01, 0.05, 0.2, 0.8)]
    for smaller, larger in itertools.pairwise(found):
        assert (larger <= smaller + 1e-12).all()


def test_a_smaller_region_may_loosen_the_bound_of_fixed_slopes() -> None:
    """relu(x) - x / 2 on [-1, 1] is bounded by 0, on [-1, 1/2] by -1/12: the slope u / (u - l) fits by luck.

    No fault: both bounds hold. It is why no test asks the dual for more in a smaller region.
    """
    model = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 2)).double().eval()
    with torch.no_grad():
        # relu(x) and x + 2, which is never negative.
        model[0].weight.copy_(torch.tensor([[1.0], [1.0]]))
        model[0].bias.copy_(torch.tensor([0.0, 2.0]))
        model[2].weight.copy_(torch.tensor([[1.0, -0.5], [0.0, 0.0]]))
        model[2].bias.copy_(torch.tensor([1.0, 0.0]))
    x, y = torch.zeros(1, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.int64)
    wide, cut = (certify(model, x, y, LinfBall(1.0, domain)).margins[0, 1] for domain in (None, (-1.0, 0.5)))
    assert float(wide) == pytest.approx(0.0, abs=1e-12)
    assert float(cut) == pytest.approx(-1 / 12)


@each_network
@pytest.mark.parametrize("options", [{}, {"slopes": "adaptive"}], ids=["fixed", "adaptive"])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_where_no_unit_crosses_zero_the_bound_is_exact(name: str, options: dict[str, Any], norm: str) -> None:
    """A linear function's least value over a ball: its value at x minus eps times the dual norm of its gradient."""
    model, (x, y) = network(name), inputs(name)
    eps = 1e-5
    found = certify(model, x, y, ball(norm, eps, None), **options)
    assert all((layer.unstable == 0).all() for layer in found.layers), "the case is not the one that is meant"
    for i, k in itertools.product(range(len(x)), range(4)):
        point = x[i : i + 1].clone().requires_grad_(True)
        logits = model(point)[0]
        value = logits[y[i]] - logits[k]
        gradient = torch.autograd.grad(value, point)[0]
        length = gradient.abs().sum() if norm == "linf" else gradient.norm()
        torch.testing.assert_close(found.margins[i, k], (value - eps * length).detach(), rtol=1e-9, atol=1e-11)


@each_network
def test_parts_of_rows_and_of_the_batch_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, (x, y) = network(name), inputs(name, n=5)
    whole = certify(model, x, y, LinfBall(0.05))
    for chunk in (1, 2, 5, 9):
        torch.testing.assert_close(certify(model, x, y, LinfBall(0.05), chunk=chunk).margins, whole.margins)
    graph, region = trace(model, x), Region.around(x, LinfBall(0.05))
    full = pre_activation_bounds(graph, region)
    for elements in (1, 5000, 60_000):
        for i, at in pre_activation_bounds(graph, region, elements=elements).items():
            torch.testing.assert_close((at.lower, at.upper), (full[i].lower, full[i].upper))
    with torch.enable_grad():
        lower, _, _ = margins_in(graph, y, region, method="dual", slopes="fixed")
    torch.testing.assert_close(lower.detach(), whole.margins)
