"""Activations without corners: their lines hold everywhere, and so do bounds on networks of them."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from robustlib.certify import certify, decide, estimate, largest_certified_radius, margins, optimum
from robustlib.certify.curves import FORMS, Curve
from robustlib.certify.dual import pre_activation_bounds
from robustlib.certify.region import Region
from robustlib.certify.trace import trace
from robustlib.errors import RobustlibError
from robustlib.threat import Ball, L2Ball, LinfBall

LAYERS: dict[str, type[nn.Module] | Any] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "gelu_tanh": lambda: nn.GELU(approximate="tanh"),
}
METHODS: tuple[dict[str, Any], ...] = ({}, {"slopes": "adaptive"}, {"method": "interval"}, {"method": "hybrid"})
THREATS: tuple[Ball, ...] = (LinfBall(0.02, None), LinfBall(0.1), LinfBall(0.5), L2Ball(0.3, None), L2Ball(0.3))


def network(kind: str, seed: int = 0) -> nn.Module:
    """A convolution, a dense layer and the curve after each; a ReLU beside it, and a shortcut."""

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.last = nn.Conv2d(1, 2, 3, padding=1), nn.Linear(32, 6), nn.Linear(6, 3)
            self.third = nn.Linear(6, 6)
            self.curve = LAYERS[kind]()

        def forward(self, x: Tensor) -> Tensor:
            h = self.curve(self.second(self.curve(self.first(x)).flatten(1)))
            return self.last(h + torch.relu(self.third(h)))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Network().double().eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(3)
    return model


def batch(seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(3, 1, 4, 4, generator=generator, dtype=torch.float64), torch.tensor([0, 1, 2])


@pytest.mark.parametrize("kind", FORMS)
def test_what_is_said_of_a_curve_is_so(kind: str) -> None:
    shape = FORMS[kind]
    z = torch.linspace(-12, 12, 200_001, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(shape.function(z).sum(), z)
    assert float(slope.abs().max()) <= shape.steepest
    z = z.detach()
    step = float(z[1] - z[0])
    bend = float(slope.diff().abs().max()) / step
    assert 0.98 * shape.curvature <= bend <= shape.curvature
    falling = z[slope < -1e-12]
    if shape.lowest is None:
        assert not len(falling)
    else:
        assert float(falling.max()) == pytest.approx(shape.lowest, abs=2 * step)
        assert bool((slope[z < shape.lowest - step] <= 0).all())


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_curve_is_between_its_lines(kind: str, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    middle = 4 * torch.randn(4_000, generator=generator, dtype=torch.float64)
    wide = 10 ** (8 * torch.rand(4_000, generator=generator, dtype=torch.float64) - 5)
    wide[:50] = 0
    lower, upper = (middle - wide).to(dtype), (middle + wide).to(dtype)
    curve = Curve(kind)
    slope, under, over = curve.lines(lower, upper)
    bottom, top = curve.range_of(lower, upper)
    rounding = 8 * torch.finfo(dtype).eps * (1 + torch.maximum(lower.abs(), upper.abs()))
    for part in torch.linspace(0, 1, 301, dtype=torch.float64).tolist():
        z = (lower + part * (upper - lower)).clamp(lower, upper)
        value = curve.forward(z)
        assert (slope * z + under <= value + rounding).all()
        assert (value <= slope * z + over + rounding).all()
        assert (bottom <= value + rounding).all()
        assert (value <= top + rounding).all()
    short = (wide < 0.05) & (wide > 0)
    # Half a chord's sagitta on either side, and the allowance of a 32nd of the interval squared.
    limit = FORMS[kind].curvature * (2 * wide[short]) ** 2 / 8 * (1 + 2.1 / 32**2)
    assert ((over - under)[short] <= limit + 4 * rounding[short]).all()
    assert ((over - under) <= (top - bottom) + rounding).all()


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("threat", THREATS, ids=str)
def test_no_margin_that_is_found_lies_below_the_bound(kind: str, threat: Ball) -> None:
    model, (x, y) = network(kind), batch()
    graph, region = trace(model, x, threat), Region.around(x, threat)
    assert [kind for kind in graph.relus if isinstance(graph.nodes[kind].operation, Curve)]
    worst = torch.full((3, 3), torch.inf, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    bounds = {name: pre_activation_bounds(graph, region, slopes=name) for name in ("fixed", "adaptive")}
    for attempt in range(40):
        point = region.points(generator) if attempt else x
        for _ in range(6 if attempt < 12 else 0):
            point = point.detach().requires_grad_(True)
            logits = model(point)
            others = logits.masked_fill(nn.functional.one_hot(y, 3).bool(), -torch.inf)
            loss = (logits.gather(1, y[:, None])[:, 0] - others[:, attempt % 3 :].amax(1)).nan_to_num(0, 0, 0).sum()
            (slope,) = torch.autograd.grad(loss, point)
            point = threat.project(point.detach() - threat.eps * slope.sign(), x)
        with torch.no_grad():
            values = graph.values(point)
            worst = torch.minimum(worst, values[-1].gather(1, y[:, None]) - values[-1])
            for found in bounds.values():
                for place, at in found.items():
                    before = values[graph.nodes[place].inputs[0]]
                    assert ((at.lower <= before + 1e-9) & (before <= at.upper + 1e-9)).all()
    for options in METHODS:
        found = certify(model, x, y, threat, **options)
        assert (found.margins <= worst + 1e-9).all(), options
        assert all((layer.unstable == layer.units).all() for layer in found.layers[:2])


@pytest.mark.parametrize("kind", LAYERS)
def test_bounds_close_on_the_margins_with_the_radius(kind: str) -> None:
    model, (x, y) = network(kind), batch()
    with torch.no_grad():
        logits = model(x)
    own = logits.gather(1, y[:, None]) - logits
    for options, eps in itertools.product(METHODS, (0.0, 1e-6)):
        found = certify(model, x, y, LinfBall(eps, None), **options).margins
        torch.testing.assert_close(found, own, atol=1e-3 * (eps > 0) + 1e-9, rtol=0)
    # The error of the lines falls with the square of the radius: the dual is exact to first order.
    point = x.clone().requires_grad_(True)
    logits = model(point)
    (slope,) = torch.autograd.grad((logits[:, 0] - logits[:, 1]).sum(), point)
    for eps in (1e-3, 1e-4):
        found = certify(model, x, torch.zeros_like(y), LinfBall(eps, None)).margins[:, 1]
        first = (logits[:, 0] - logits[:, 1]).detach() - eps * slope.abs().flatten(1).sum(1)
        assert ((found - first).abs() <= 3e3 * eps**2).all()


def test_estimates_bound_gradients_and_radii_are_there_too() -> None:
    model, (x, y) = network("tanh"), batch()
    exact = certify(model, x, y, LinfBall(0.05)).margins
    many = estimate(model, x, y, LinfBall(0.05), projections=4_000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(many.margins, exact, atol=0.05 * float(exact.abs().max()), rtol=0)
    parameter = model.second.weight
    (slope,) = torch.autograd.grad(margins(model, x, y, LinfBall(0.05)).sum(), parameter)
    moved = []
    for step in (1e-6, -1e-6):
        with torch.no_grad():
            parameter[0, 0] += step
            moved.append(float(margins(model, x, y, LinfBall(0.05)).sum()))
            parameter[0, 0] -= step
    assert (moved[0] - moved[1]) / 2e-6 == pytest.approx(float(slope[0, 0]), rel=1e-3, abs=1e-4)
    radius = largest_certified_radius(model, x, None)
    assert (radius > 0).all()


def test_programs_refuse_a_curve_by_its_layer() -> None:
    model, (x, y) = network("silu"), batch()
    for call in (
        lambda: optimum(model, x, y, LinfBall(0.1)),
        lambda: decide(model, x, y, LinfBall(0.1), nodes=1, seconds=1.0),
    ):
        with pytest.raises(RobustlibError, match="curve has no corners"):
            call()


def test_a_corner_is_no_curve() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3), nn.ELU(alpha=0.5)).double().eval()
    with pytest.raises(RobustlibError, match=r"2 \(ELU\) has no bound here: it has a corner; use alpha=1"):
        certify(model, batch()[0], None, LinfBall(0.1))
