"""Each term of the bound, spoilt on purpose, must be noticed: else the soundness tests prove nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from robustlib.certify import certificate, certify, dual, operations, optimum, region, rows
from robustlib.certify.operations import Graph
from robustlib.certify.trace import trace
from robustlib.threat import Ball, L2Ball, LinfBall
from tests.certify.networks import inputs, network

CASES = [("dense", 0.1), ("convolutions", 0.04), ("deep", 0.04), ("residual", 0.03), ("batch norm", 0.1)]
MOVED = [("moved", 0.04)]


@pytest.fixture(scope="module")
def truth() -> dict[str, Tensor]:
    """(1, K) exact least margins of each case, found before anything is spoilt."""
    return {
        name: optimum(network(name), *inputs(name, n=1), LinfBall(eps, None), integer=True)
        for name, eps in CASES + MOVED
    }


def unsound(
    truth: dict[str, Tensor], cases: Sequence[tuple[str, float]] = tuple(CASES), **options: Any
) -> Iterator[str]:
    """The cases whose bound is above the exact optimum, or whose pre-activation bounds a point of the box leaves."""
    for name, eps in cases:
        bound = certify(network(name), *inputs(name, n=1), LinfBall(eps, None), **options).margins
        if not (bound <= truth[name] + 1e-6).all() or ("method" not in options and outside(name, 3 * eps, **options)):
            yield name


def outside(name: str, eps: float, **options: Any) -> bool:
    """Whether the step that moves some pre-activation furthest moves it beyond its bounds."""
    x, _ = inputs(name, n=1)
    graph = trace(network(name), x)
    with torch.no_grad():
        bounds = dual.pre_activation_bounds(graph, region.Region.around(x, LinfBall(eps, None)), **options)
    for i, at in bounds.items():
        generator = torch.Generator().manual_seed(i)
        for unit in torch.randint(at.lower.numel(), (12,), generator=generator).tolist():
            for sign in (1, -1):
                point = x.clone()
                for _ in range(3):
                    point.requires_grad_(True)
                    value = pre_activation(graph, point, graph.nodes[i].inputs[0])[unit]
                    step = torch.autograd.grad(value, point)[0].sign()
                    point = (x + eps * sign * step).detach()
                value = pre_activation(graph, point, graph.nodes[i].inputs[0])[unit].detach()
                if not at.lower.flatten()[unit] - 1e-9 <= value <= at.upper.flatten()[unit] + 1e-9:
                    return True
    return False


def pre_activation(graph: Graph, x: Tensor, place: int) -> Tensor:
    """Values of one node for one example, flat."""
    return graph.values(x)[place].flatten()


@pytest.mark.parametrize("options", [{}, {"slopes": "adaptive"}, {"method": "interval"}], ids=str)
def test_as_it_stands_nothing_is_found(truth: dict[str, Tensor], options: dict[str, Any]) -> None:
    assert list(unsound(truth, **options)) == []


def relaxed(change: Callable[[dual.Relaxation], dual.Relaxation]) -> tuple[object, str, object]:
    honest = dual.relax

    def spoilt(*bounds: Any) -> dual.Relaxation:
        return change(honest(*bounds))

    return dual, "relax", spoilt


def swapped(kind: type[rows.Dense] | type[rows.Patches]) -> tuple[object, str, object]:
    honest = kind.by_sign
    return kind, "by_sign", lambda self, values: honest(self, values)[::-1]


def around(change: Callable[[region.Region], region.Region]) -> tuple[object, str, object]:
    honest = region.Region.around
    return region.Region, "around", staticmethod(lambda x, threat, eps=None: change(honest(x, threat, eps)))


def unclipped(self: rows.Patches, values: Tensor) -> rows.Patches:
    """Windows that repeat the edge in place of the zeros outside the map."""
    size = self.a.shape[5:]
    need = [(self.units[i] - 1) * self.stride[i] + size[i] - self.padding[i] - values.shape[2 + i] for i in (0, 1)]
    edge = (self.padding[1], max(0, need[1]), self.padding[0], max(0, need[0]))
    padded = torch.nn.functional.pad(values, edge, mode="replicate")
    seen = padded.unfold(2, size[0], self.stride[0]).unfold(3, size[1], self.stride[1])
    seen = seen[:, :, : self.units[0], : self.units[1]]
    return replace(self, a=self.a * seen.permute(0, 2, 3, 1, 4, 5)[:, :, :, None])


BUGS: dict[str, tuple[object, str, object]] = {
    "sign of the crossing units' term, dense rows": swapped(rows.Dense),
    "sign of the crossing units' term, patches": swapped(rows.Patches),
    "slope of the upper line, half": relaxed(lambda r: replace(r, slope=torch.where(r.crossing, r.slope / 2, r.slope))),
    "slope of an active unit": relaxed(lambda r: replace(r, slope=torch.where(r.lower >= 0, 0.5, r.slope))),
    "a crossing unit taken for dead": relaxed(lambda r: replace(r, slope=torch.where(r.crossing, 0.0, r.slope))),
    "a crossing unit taken for active": relaxed(
        lambda r: replace(r, slope=torch.where(r.crossing, 1.0, r.slope), floor=0 * r.floor)
    ),
    "intercept left out": relaxed(lambda r: replace(r, floor=torch.zeros_like(r.floor))),
    "intercept halved": relaxed(lambda r: replace(r, floor=r.floor / 2)),
    "intercept from the upper bound": relaxed(
        lambda r: replace(r, floor=torch.where(r.crossing, -r.upper / 9, r.floor))
    ),
    "box halved": around(lambda r: replace(r, radius=r.radius / 2)),
    "box cut to one side": around(lambda r: replace(r, center=r.center + r.radius / 2, radius=r.radius / 2)),
    "box moved": around(lambda r: replace(r, center=r.center + r.radius)),
    "bias of dense layers left out": (operations.Linear, "offset", lambda self, after: None),
    "bias of convolutions left out": (operations.Conv, "offset", lambda self, after: None),
    "shift of batch norm left out": (operations.Scale, "offset", lambda self, after: None),
    "one branch of a sum left out": (dual, "plus", lambda left, right, shape: left),
    "windows that see beyond the map": (rows.Patches, "times", unclipped),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(bug: str, truth: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*BUGS[bug])
    assert any(unsound(truth))


def scattered(self: rows.Dense, index: Tensor, before: rows.Shape) -> rows.Dense:
    """Of several copies of a value, one alone is carried back."""
    whole = self.a.new_zeros(*self.a.shape[:2], math.prod(before))
    whole[..., index[index >= 0]] = self.a.flatten(2)[..., index >= 0]
    return rows.Dense(whole.unflatten(2, before))


MOVED_BUGS: dict[str, tuple[object, str, object]] = {
    "a copy left out": (rows.Dense, "put", scattered),
    "copies carried back to other places": (
        rows.Dense,
        "put",
        lambda self, index, before: honest_put(self, index.roll(1), before),
    ),
}
honest_put = rows.Dense.put


@pytest.mark.parametrize("bug", MOVED_BUGS)
def test_a_planted_bug_of_moved_values_is_found(
    bug: str, truth: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(unsound(truth, MOVED)) == []
    monkeypatch.setattr(*MOVED_BUGS[bug])
    assert any(unsound(truth, MOVED))


INTERVAL_BUGS: dict[str, tuple[object, str, object]] = {
    "sign of weights": (operations.Linear, "spread", lambda self, radius: radius @ self.weight.T),
    "spread of convolutions": (operations.Conv, "spread", lambda self, radius: 0.5 * self.kernel.forward(radius)),
}


@pytest.mark.parametrize("bug", INTERVAL_BUGS)
def test_a_planted_bug_of_the_interval_bounds_is_found(
    bug: str, truth: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*INTERVAL_BUGS[bug])
    assert any(unsound(truth, method="interval"))


def test_lower_lines_that_cut_the_function_are_found(truth: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the adaptive slopes: a line steeper than the identity lies above it where the unit is active."""
    honest = dual.relax

    def spoilt(*bounds: Any) -> dual.Relaxation:
        found = honest(*bounds)
        assert found.low is not None
        return replace(found, low=torch.where(found.crossing, 3.0, found.low))

    monkeypatch.setattr(dual, "relax", spoilt)
    assert any(unsound(truth, slopes="adaptive"))


def test_a_dual_norm_that_is_too_small_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """For l_2, against the closed form of a linear network."""
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 4)).double().eval()
    x, y = inputs("dense", n=1)
    threat: Ball = L2Ball(0.5, None)
    weight = model[1].weight.detach()
    exact = (model(x)[0, y] - model(x)[0]).detach() - 0.5 * (weight[y] - weight).norm(dim=1)
    torch.testing.assert_close(certify(model, x, y, threat).margins[0], exact)
    monkeypatch.setattr(
        certificate.Region,
        "around",
        staticmethod(
            lambda x, threat, eps=None: region.Region(x, 0 * x + 0.5, x, torch.full((len(x),), 0.25, dtype=x.dtype))
        ),
    )
    assert (certify(model, x, y, threat).margins[0] > exact + 1e-3).any()
