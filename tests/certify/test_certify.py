"""What a certificate says, how it is asked for, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from robustlib.attacks import pgd
from robustlib.certify import certify, detect, largest_certified_radius, margins
from robustlib.certify.interval import ends, interval_bounds
from robustlib.certify.region import Region
from robustlib.certify.trace import trace
from robustlib.errors import RobustlibError
from robustlib.threat import Ball, L2Ball, LinfBall
from tests.certify.networks import ALL, SPATIAL, dense, inputs, network

BALL = LinfBall(0.05)


def as_matrices(model: nn.Sequential, shape: tuple[int, ...]) -> tuple[nn.Sequential, int]:
    """Each affine layer of a sequential network as one dense matrix; how many there are."""
    layers: list[nn.Module] = [nn.Flatten()]
    for layer in model:
        size = int(torch.tensor(shape).prod())
        with torch.no_grad():
            offset = layer(torch.zeros(1, *shape, dtype=torch.float64))
            columns = layer(torch.eye(size, dtype=torch.float64).view(size, *shape)) - offset
        if isinstance(layer, nn.ReLU):
            layers.append(nn.ReLU())
        elif not isinstance(layer, nn.Flatten):
            matrix = nn.Linear(size, offset.numel()).double()
            with torch.no_grad():
                matrix.weight.copy_(columns.flatten(1).T)
                matrix.bias.copy_(offset.flatten())
            layers.append(matrix)
        shape = tuple(offset.shape[1:])
    return nn.Sequential(*layers).eval(), len(layers)


@pytest.mark.parametrize("name", ["convolutions", "deep", "pooled", "batch norm"])
@pytest.mark.parametrize("options", [{}, {"slopes": "adaptive"}, {"method": "interval"}], ids=str)
def test_convolutions_are_their_dense_matrices(name: str, options: dict[str, Any]) -> None:
    if name == "batch norm" and "method" in options:
        pytest.skip("a convolution and its batch norm are two boxes, their product is one")
    model, (x, y) = network(name), inputs(name)
    assert isinstance(model, nn.Sequential)
    matrices, _ = as_matrices(model, tuple(x.shape[1:]))
    for threat in (LinfBall(0.05), LinfBall(0.3, None), L2Ball(0.5)):
        expected = certify(matrices, x, y, threat, **options).margins
        torch.testing.assert_close(certify(model, x, y, threat, **options).margins, expected, rtol=1e-9, atol=1e-9)


def test_the_interval_of_a_greatest_value_is_between_the_greatest_ends() -> None:
    x, _ = inputs("deep")
    for pool in (nn.MaxPool2d(2), nn.MaxPool2d(3, 1), nn.AdaptiveMaxPool2d(1)):
        graph, region = trace(nn.Sequential(pool, nn.Flatten()), x), Region.around(x, LinfBall(0.1))
        low, high = (pool(region.center + sign * region.radius).flatten(1) for sign in (-1, 1))
        for found, expected in zip(ends(interval_bounds(graph, region)[-1]), (low, high), strict=True):
            torch.testing.assert_close(found, expected)


def algorithm_1(model: nn.Sequential, x: Tensor, y: int, eps: float) -> Tensor:
    """Wong & Kolter 2018, Algorithm 1 and eq. of Theorem 1 in the paper's own order, forwards, for one flat x."""
    weights = [layer.weight.detach() for layer in model if isinstance(layer, nn.Linear)]
    biases = [layer.bias.detach() for layer in model if isinstance(layer, nn.Linear)]
    classes = len(biases[-1])
    c = torch.eye(classes, dtype=x.dtype)[y] - torch.eye(classes, dtype=x.dtype)
    weights[-1], biases[-1] = c @ weights[-1], c @ biases[-1]
    nu_1, gammas, nus, lows = weights[0].T, [biases[0]], list[Tensor](), list[Tensor]()

    def ends() -> tuple[Tensor, Tensor]:
        psi, reach = x @ nu_1 + sum(gammas), eps * nu_1.abs().sum(0)
        lower, upper = psi - reach, psi + reach
        for low, nu in zip(lows, nus, strict=True):
            lower = lower + low @ (-nu).clamp_min(0)
            upper = upper - low @ nu.clamp_min(0)
        return lower, upper

    for weight, bias in zip(weights[1:], biases[1:], strict=True):
        lower, upper = ends()
        crossing = (lower < 0) & (upper > 0)
        slope = torch.where(crossing, upper / (upper - lower), (lower >= 0).to(x))
        step = slope[:, None] * weight.T
        nu_1, gammas, nus = nu_1 @ step, [*(gamma @ step for gamma in gammas), bias], [nu @ step for nu in nus]
        nus.append(step[crossing])
        lows.append(lower[crossing])
    return ends()[0]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("eps", [0.01, 0.1, 0.5])
def test_the_bound_is_algorithm_1(seed: int, eps: float) -> None:
    model, (x, y) = network("dense", seed), inputs("dense", seed=seed)
    assert isinstance(model, nn.Sequential)
    expected = torch.stack([algorithm_1(model, x[i].flatten(), int(y[i]), eps) for i in range(len(x))])
    found = certify(model, x, y, LinfBall(eps, None))
    torch.testing.assert_close(found.margins, expected, rtol=1e-10, atol=1e-10)
    assert any((layer.unstable > 0).any() for layer in found.layers)


# Differentiable ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dense", "convolutions", "residual"])
@pytest.mark.parametrize("threat", [LinfBall(0.05, None), LinfBall(0.1), L2Ball(0.2, None)], ids=str)
def test_the_robust_loss_has_the_gradients_of_its_differences(name: str, threat: Ball) -> None:
    """To every parameter, through bounds and slopes; gradcheck would take each weight in turn."""
    model, (x, y) = network(name), inputs(name)
    loss = cross_entropy(-margins(model, x, y, threat), y)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    generator = torch.Generator().manual_seed(0)
    directions = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in model.parameters()]
    slope = sum(float((g * d).sum()) for g, d in zip(gradients, directions, strict=True))
    step, values = 1e-6, []
    with torch.no_grad():
        for sign in (1, -2):
            for parameter, direction in zip(model.parameters(), directions, strict=True):
                parameter += sign * step * direction
            values.append(float(cross_entropy(-margins(model, x, y, threat), y)))
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(slope, rel=1e-4, abs=1e-7)
    assert abs(slope) > 1e-3


def test_the_robust_loss_bounds_the_loss_of_every_point() -> None:
    model, (x, y) = network("convolutions"), inputs("convolutions")
    robust = cross_entropy(-margins(model, x, y, LinfBall(0.1)), y, reduction="none")
    at = pgd(model, x, y, LinfBall(0.1), steps=20, step_size=0.02, random_start=False)
    assert (cross_entropy(model(at), y, reduction="none") <= robust + 1e-9).all()


def test_nothing_is_left_on_the_model() -> None:
    model, (x, y) = network("batch norm"), inputs("batch norm")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.random.get_rng_state()
    kept = x.clone()
    certify(model, x, y, BALL)
    largest_certified_radius(model, x, y, domain=(0.0, 1.0))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(x, kept)
    assert not model.training


# Units at the border ---------------------------------------------------------------------------------------------


def test_dead_units_and_bounds_that_meet_at_zero_give_no_nan() -> None:
    model, (x, y) = network("dense"), inputs("dense")
    layer = model[1]  # type: ignore[index]
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_(torch.tensor([-1.0, 0.0, 1.0, 0, 0, 0, 0, -2, 3, 0]))
    for options in ({}, {"slopes": "adaptive"}, {"method": "interval"}, {"method": "hybrid"}):
        found = certify(model, x, y, BALL, **options)
        assert found.margins.isfinite().all()
        first = found.layers[0]
        assert (first.unstable == 0).all()
        assert (first.dead + first.active == first.units).all()
        loss = cross_entropy(-margins(model, x, y, BALL, **options), y)
        assert all(g.isfinite().all() for g in torch.autograd.grad(loss, list(model.parameters())))


@pytest.mark.parametrize("name", ALL)
def test_units_are_counted_once(name: str) -> None:
    model, (x, y) = network(name), inputs(name)
    found = certify(model, x, y, LinfBall(0.2))
    for layer in found.layers:
        assert (layer.active + layer.dead + layer.unstable == layer.units).all()
    assert sum(int(layer.unstable.sum()) for layer in found.layers) > 0


@pytest.mark.parametrize("name", ALL)
def test_float32_is_within_its_slack_of_float64(name: str) -> None:
    for seed in range(4):
        model, (x, y) = network(name, seed), inputs(name, n=4, seed=seed)
        wide = certify(model, x, y, LinfBall(0.05)).margins
        found = certify(model.float(), x.float(), y, LinfBall(0.05))
        assert ((found.margins - wide).abs() <= found.slack / 2).all()
        assert (found.slack[found.margins != 0] < 1e-3).all()


# Verdicts ----------------------------------------------------------------------------------------------------------


def test_certified_needs_every_other_class_by_more_than_the_slack() -> None:
    model, (x, _) = network("dense"), inputs("dense", n=20)
    found = certify(model, x, None, LinfBall(0.06))
    assert torch.equal(found.labels, model(x).argmax(1))
    for i in range(20):
        others = [k for k in range(4) if k != found.labels[i]]
        assert bool(found.certified[i]) == bool((found.margins[i, others] > found.slack[i, others]).all())
    assert 0 < found.certified.sum() < 20


def test_a_tie_is_not_certified() -> None:
    model = nn.Sequential(nn.Linear(2, 2)).eval()
    with torch.no_grad():
        model[0].weight.fill_(1.0)
        model[0].bias.zero_()
    assert not certify(model, torch.rand(3, 2), None, LinfBall(0.0)).certified.any()


@given(st.integers(0, 10_000), st.sampled_from([0.01, 0.05, 0.1]))
def test_a_certified_point_keeps_its_class(seed: int, eps: float) -> None:
    model, (x, _) = network("skip", seed), inputs("skip", n=8, seed=seed)
    found = certify(model, x, None, LinfBall(eps))
    generator = torch.Generator().manual_seed(seed)
    for _ in range(10):
        moved = LinfBall(eps).random_start(x, generator=generator)
        assert (model(moved).argmax(1) == found.labels)[found.certified].all()


def test_whatever_is_moved_from_a_certified_point_to_another_class_is_flagged() -> None:
    model, (x, _) = network("dense"), inputs("dense", n=60)
    y = model(x).argmax(1)
    threat = LinfBall(0.04)
    sure = certify(model, x, y, threat).certified
    # Twice the radius breaks points that are certified at one; what then lies within one radius must be flagged.
    moved = pgd(model, x, y, LinfBall(0.08), steps=20, step_size=0.01, random_start=False)
    other = model(moved).argmax(1) != y
    flagged = detect(model, moved, threat)
    near = LinfBall(0.04).project(moved, x)
    assert not (model(near).argmax(1) != y)[sure].any()
    assert torch.equal(flagged, ~certify(model, moved, None, threat).certified)
    assert other.any()
    # Walk back from each broken point to its origin: the last point of the other class within reach is flagged.
    for i in (other & sure).nonzero().flatten().tolist():
        for share in torch.linspace(0, 1, 50, dtype=x.dtype):
            point = x[i : i + 1] + share * (moved[i : i + 1] - x[i : i + 1])
            if bool(threat.contains(x[i : i + 1], point)) and int(model(point).argmax(1)) != int(y[i]):
                assert bool(detect(model, point, threat))


# Radii ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("domain", [None, (0.0, 1.0)], ids=["unclipped", "box"])
def test_the_radius_is_certified_and_a_little_more_is_not(norm: str, domain: tuple[float, float] | None) -> None:
    model, (x, _) = network("convolutions"), inputs("convolutions", n=12)
    y = model(x).argmax(1)
    found = largest_certified_radius(model, x, norm=norm, domain=domain)
    assert (found > 0).all()
    whole = 1.0 if norm == "linf" else x[0].numel() ** 0.5
    assert (found < whole).sum() > 6
    for i, radius in enumerate(found.tolist()):
        for factor, verdict in ((1.0, True), (1.003, False))[: 1 if radius == whole and domain else 2]:
            threat = (LinfBall if norm == "linf" else L2Ball)(radius * factor, domain)
            assert bool(certify(model, x[i : i + 1], y[i : i + 1], threat).certified) is verdict


def test_the_radius_of_a_linear_network_is_its_distance() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).double().eval()
    x, _ = inputs("dense", n=6)
    weight = (model[1].weight[0] - model[1].weight[1]).detach()
    gap = (model(x)[:, 0] - model(x)[:, 1]).abs().detach()
    for norm, length in (("linf", weight.abs().sum()), ("l2", weight.norm())):
        found = largest_certified_radius(model, x, norm=norm)
        torch.testing.assert_close(found, gap / length, rtol=2e-3, atol=1e-9)


def test_a_wrong_label_has_no_radius_and_a_constant_network_has_all() -> None:
    model, (x, _) = network("dense"), inputs("dense", n=5)
    wrong = (model(x).argmax(1) + 1) % 4
    assert (largest_certified_radius(model, x, wrong) == 0).all()
    constant = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).double().eval()
    with torch.no_grad():
        constant[1].weight.zero_()
        constant[1].bias.copy_(torch.tensor([1.0, 0.0]))
    assert (largest_certified_radius(constant, x, domain=(0.0, 1.0)) == 1.0).all()


# Calls ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dense", "residual"])
def test_no_examples_and_one(name: str) -> None:
    model, (x, y) = network(name), inputs(name)
    none = certify(model, x[:0], y[:0], BALL)
    assert none.margins.shape == (0, 4)
    assert none.certified.shape == (0,)
    assert largest_certified_radius(model, x[:0]).shape == (0,)
    assert margins(model, x[:0], y[:0], BALL).shape == (0, 4)
    one = certify(model, x[1:2], y[1:2], BALL).margins
    torch.testing.assert_close(one[0], certify(model, x, y, BALL).margins[1])


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.flatten(1), x


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "a jump": (lambda: nn.Sequential(nn.Flatten(), nn.Hardshrink()), r"1 \(Hardshrink\) has no bound here"),
    "a branch": (Branching, "cannot be traced"),
    "two outputs": (Pair, "more than one tensor"),
    "an image": (nn.ReLU, r"expected \(3, classes\)"),
    "batch statistics": (
        lambda: nn.Sequential(nn.BatchNorm2d(2, track_running_stats=False), nn.Flatten()),
        "no running statistics",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_bound_is_refused_by_name(case: str) -> None:
    build, words = REFUSED[case]
    x, y = inputs("deep")
    with pytest.raises(RobustlibError, match=words):
        certify(build().double().eval(), x, y, BALL)


@pytest.mark.parametrize("name", ["batch norm"])
def test_train_mode_is_refused_by_name(name: str) -> None:
    model, (x, y) = network(name), inputs(name)
    with pytest.raises(RobustlibError, match=r"1 \(BatchNorm2d\) is in train mode; call model.eval"):
        certify(model.train(), x, y, BALL)


def test_a_trace_that_gives_other_logits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model, (x, y) = network("convolutions"), inputs("convolutions")
    monkeypatch.setattr("robustlib.certify.operations.Linear.forward", lambda self, z: z @ self.weight.T)
    with pytest.raises(RobustlibError, match="off by"):
        certify(model, x, y, BALL)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y": torch.tensor([0, 1])}, "give 3 int64 class labels"),
        ({"y": torch.tensor([0.0, 1, 2])}, "int64"),
        ({"y": torch.tensor([0, 1, 4])}, "the model has 4 classes"),
        ({"x": torch.full((3, 3, 4), 2.0, dtype=torch.float64)}, "outside the threat's domain"),
        ({"method": "duel"}, "did you mean 'dual'"),
        ({"slopes": "adaptiv"}, "did you mean 'adaptive'"),
        ({"chunk": 0}, "chunk=0"),
    ],
)
def test_a_call_that_makes_no_sense_says_so(changes: dict[str, Any], words: str) -> None:
    x, y = inputs("dense")
    call = {"model": dense().double().eval(), "x": x, "y": y, "threat": BALL} | changes
    with pytest.raises(RobustlibError, match=words):
        certify(**call)


def test_bare_layers_and_every_kind_of_network_are_traced() -> None:
    x, y = torch.rand(2, 5), torch.tensor([0, 1])
    model = nn.Linear(5, 3).eval()
    torch.testing.assert_close(
        certify(model, x, y, LinfBall(0.0)).margins, (model(x).gather(1, y[:, None]) - model(x)).detach()
    )
    assert len(SPATIAL) >= 6
