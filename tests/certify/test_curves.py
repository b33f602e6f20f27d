"""Activations without corners: their lines hold everywhere, and so do bounds on networks of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from robustlib.certify import certify, decide, estimate, largest_certified_radius, margins, optimum
from robustlib.certify.curves import FORMS, Curve, Size
from robustlib.certify.dual import planes, pre_activation_bounds
from robustlib.certify.operations import Product
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
    "mish": nn.Mish,
    "softplus": nn.Softplus,
    "log_sigmoid": nn.LogSigmoid,
    "erf": lambda: Function(torch.erf),
    "atan": lambda: Function(torch.atan),
    "square": lambda: Function(torch.square),
    "exp": lambda: Function(lambda z: torch.exp(z / 4)),
    "log": lambda: Function(lambda z: torch.log(0.5 + functional.softplus(z))),
    "sqrt": lambda: Function(lambda z: torch.sqrt(0.5 + functional.softplus(z))),
    "minus_reciprocal": lambda: Function(lambda z: 1 / (0.5 + functional.softplus(z))),
    "minus_rsqrt": lambda: Function(lambda z: torch.rsqrt(0.5 + functional.softplus(z))),
    "hard_swish_inside": nn.Hardswish,
    "product": lambda: Function(lambda z: z * torch.sigmoid(2 * z)),
    "layer norm": lambda: Function(lambda z: functional.layer_norm(z, z.shape[1:], eps=0.1)),
    "softmax": lambda: Function(lambda z: torch.softmax(z / 2, 1)),
}
METHODS: tuple[dict[str, Any], ...] = ({}, {"slopes": "adaptive"}, {"method": "interval"}, {"method": "hybrid"})
THREATS: tuple[Ball, ...] = (LinfBall(0.02, None), LinfBall(0.1), LinfBall(0.5), L2Ball(0.3, None), L2Ball(0.3))


class Function(nn.Module):
    """A function as a layer."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, z: Tensor) -> Tensor:
        return self.function(z)


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


def known(size: Size, lower: Tensor, upper: Tensor) -> Tensor:
    """A size over one interval, or over each of several."""
    return torch.as_tensor(size if isinstance(size, float) else size(lower, upper), dtype=torch.float64)


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("ends", [(-12.0, 12.0), (-2.5, -1.0), (0.05, 2.5), (0.5, 9.0)])
def test_what_is_said_of_a_curve_is_so(kind: str, ends: tuple[float, float]) -> None:
    shape = FORMS[kind]
    lower, upper = torch.tensor(ends, dtype=torch.float64)
    z = torch.linspace(*ends, 400_001, dtype=torch.float64, requires_grad=True)
    if shape.positive and lower < 0:
        assert all(end.isnan() for end in (*Curve(kind).lines(lower, upper), *Curve(kind).range_of(lower, upper)))
        return
    (slope,) = torch.autograd.grad(shape.function(z).sum(), z)
    steepest, curvature = known(shape.steepest, lower, upper), known(shape.curvature, lower, upper)
    assert float(slope.abs().max()) <= steepest * (1 + 1e-12)
    z = z.detach()
    step = float(z[1] - z[0])
    bend = float(slope.diff().abs().max()) / step
    assert bend <= curvature * (1 + 1e-9)
    everywhere = ends == (-12.0, 12.0) or not isinstance(shape.curvature, float)
    assert not everywhere or bend >= 0.98 * curvature, "no larger than it need be"
    falling = z[slope < -1e-12]
    if shape.between is not None:
        low, high = shape.between(lower, upper)
        least, greatest = shape.function(z).aminmax()
        assert float(least - low) == pytest.approx(0, abs=step**2 + 1e-12)
        assert float(high - greatest) == pytest.approx(0, abs=step**2 + 1e-12)
    elif shape.lowest is None:
        assert not len(falling)
    elif ends == (-12.0, 12.0):
        assert float(falling.max()) == pytest.approx(shape.lowest, abs=2 * step)
        assert bool((slope[z < shape.lowest - step] <= 0).all())


def intervals(kind: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Wide and short ones, some without width, where the curve is, and not so far out that it overflows."""
    generator = torch.Generator().manual_seed(0)
    middle = 4 * torch.randn(4_000, generator=generator, dtype=torch.float64)
    wide = 10 ** (8 * torch.rand(4_000, generator=generator, dtype=torch.float64) - 5)
    wide[:50] = 0
    if kind == "softplus":
        middle[50:400] = 20 + 1e-4 * middle[50:400]
    if FORMS[kind].positive:
        middle = middle.abs() + 1e-3
        wide = torch.minimum(wide, 0.999 * middle)
    if kind == "exp":
        wide = wide.clamp_max(10)
    return (middle - wide).to(dtype), (middle + wide).to(dtype)


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_curve_is_between_its_lines(kind: str, dtype: torch.dtype) -> None:
    lower, upper = intervals(kind, dtype)
    curve, wide = Curve(kind), upper - lower
    slope, under, over = curve.lines(lower, upper)
    bottom, top = curve.range_of(lower, upper)
    sizes = [end.abs() for end in (lower, upper, bottom, top, slope * lower, slope * upper)]
    # A point of the interval is itself rounded, where the curve may be steep.
    rounding = 8 * torch.finfo(dtype).eps * (1 + sum(sizes) + curve.steepness(lower, upper) * sizes[1])
    for part in torch.linspace(0, 1, 301, dtype=torch.float64).tolist():
        z = (lower + part * (upper - lower)).clamp(lower, upper)
        value = curve.forward(z)
        assert (slope * z + under <= value + rounding).all()
        assert (value <= slope * z + over + rounding).all()
        assert (bottom <= value + rounding).all()
        assert (value <= top + rounding).all()
    short = (wide < 0.05) & (wide > 0)
    if kind == "softplus":
        assert (over[50:400] >= under[50:400] + 4e-9).any(), "it jumps there"
        short[50:400] = False
    # A chord's sagitta in all, and the allowance of a 32nd of the interval squared.
    limit = known(FORMS[kind].curvature, lower.double(), upper.double()) * wide.double() ** 2 / 8 * (1 + 2.1 / 32**2)
    assert ((over - under) <= limit + 4 * rounding)[short].all()
    assert ((over - under) <= (top - bottom) + rounding).all()


@pytest.mark.parametrize("kind", FORMS)
def test_what_is_no_number_or_too_large_proves_nothing(kind: str) -> None:
    curve, nan, inf = Curve(kind), float("nan"), float("inf")
    for lower, upper in ((nan, 1.0), (0.5, nan), (nan, nan), (-inf, inf), (0.5, inf)):
        slope, under, over = curve.lines(torch.tensor(lower), torch.tensor(upper))
        line = torch.stack([slope * 0.7 + under, -(slope * 0.7 + over)])
        assert (line.isnan() | (line <= curve.forward(torch.tensor(0.7)) * torch.tensor([1.0, -1.0]))).all()


def test_a_product_lies_between_its_planes_and_touches_both() -> None:
    generator = torch.Generator().manual_seed(0)
    ends = torch.randn(2, 1_000, 2, generator=generator, dtype=torch.float64).sort(-1).values
    # Some factors do not vary.
    ends[0, :10, 0], ends[1, 5:15, 0] = ends[0, :10, 1], ends[1, 5:15, 1]
    left, right = ((factor[None, :, 0], factor[None, :, 1]) for factor in ends)
    found = planes(left, right)
    first, second = found.parts
    assert first.under is not None
    assert first.over is not None
    low, high = Product().range_of(left, right)
    share = torch.rand(2, 200, 1_000, generator=generator, dtype=torch.float64)
    corners = torch.tensor(list(itertools.product((0.0, 1.0), repeat=2)), dtype=torch.float64)
    share[:, :4] = corners.T[:, :, None]
    x, y = (lower + part * (upper - lower) for (lower, upper), part in zip((left, right), share, strict=True))
    apart = x * y - (first.slope * x + second.slope * y)
    assert (apart >= first.under - 1e-12).all()
    assert (apart <= first.over + 1e-12).all()
    # Each plane at two corners, and each end of the range at one.
    torch.testing.assert_close(apart[:4].sort(0).values[[0, 1]], first.under.expand(2, -1))
    torch.testing.assert_close(apart[:4].sort(0).values[[2, 3]], first.over.expand(2, -1))
    torch.testing.assert_close((x * y)[:4].aminmax(dim=0, keepdim=True), torch.return_types.aminmax((low, high)))
    assert not second.under.any()  # type: ignore[union-attr]
    assert not second.over.any()  # type: ignore[union-attr]


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
                    for part, source in zip(at.parts, graph.nodes[place].inputs, strict=True):
                        before = values[source]
                        assert not ((part.lower > before + 1e-9) | (before > part.upper + 1e-9)).any()
    for options in METHODS:
        found = certify(model, x, y, threat, **options)
        assert not (found.margins > worst + 1e-9).any(), options
        assert not (found.certified & found.margins.isnan().any(1)).any()
        # Nothing is known of a quotient whose lower part may be zero.
        assert threat != THREATS[0] or options.get("method") or found.margins.isfinite().all()
        assert (
            kind not in FORMS
            or kind == "hard_swish_inside"
            or all((layer.unstable == layer.units).all() for layer in found.layers[:2])
        )


@pytest.mark.parametrize("kind", LAYERS)
def test_bounds_close_on_the_margins_with_the_radius(kind: str) -> None:
    model, (x, y) = network(kind), batch()
    with torch.no_grad():
        logits = model(x)
    own = logits.gather(1, y[:, None]) - logits
    # Intervals of steep functions are wide even here.
    far = 0.04 if kind in ("square", "layer norm") else 1e-3
    for options, eps in itertools.product(METHODS, (0.0, 1e-6)):
        found = certify(model, x, y, LinfBall(eps, None), **options).margins
        torch.testing.assert_close(found, own, atol=far * (eps > 0) + 1e-9, rtol=0)
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
