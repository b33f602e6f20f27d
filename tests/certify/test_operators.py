"""Operators one by one: their bounds hold, and are exact to first order in the radius."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robustlib.certify import certify, margins
from robustlib.certify.trace import trace
from robustlib.errors import RobustlibError
from robustlib.threat import LinfBall

LINE, MAP, VOLUME = (3, 10), (3, 7, 8), (2, 4, 5, 6)
TURN = torch.tensor([[[0.9, 0.3, 0.1], [-0.2, 1.1, 0.0]]], dtype=torch.float64)
PLACES = torch.rand(4, 10, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
Make = nn.Module | Callable[[Tensor], Tensor]
OPERATORS: dict[str, tuple[tuple[int, ...], Callable[[], Make]]] = {
    "conv1d": (LINE, lambda: nn.Conv1d(3, 4, 3, 2, 1, 2)),
    "conv3d": (VOLUME, lambda: nn.Conv3d(2, 3, (3, 2, 3), (2, 1, 2), (1, 0, 2), bias=False)),
    "conv3d in groups": (VOLUME, lambda: nn.Conv3d(2, 4, 3, padding=1, groups=2)),
    "conv3d dilated": (VOLUME, lambda: nn.Conv3d(2, 2, 2, dilation=(3, 2, 1))),
    "conv3d transposed": (VOLUME, lambda: nn.ConvTranspose3d(2, 3, 3, (2, 1, 2), (1, 0, 2), (1, 0, 1))),
    "conv3d transposed in groups": (VOLUME, lambda: nn.ConvTranspose3d(2, 4, 2, 2, groups=2)),
    "avg_pool3d": (VOLUME, lambda: nn.AvgPool3d((2, 3, 2), 2)),
    "avg_pool3d of what is inside": (VOLUME, lambda: nn.AvgPool3d(3, 2, 1, count_include_pad=False)),
    "avg_pool3d beyond the end": (VOLUME, lambda: nn.AvgPool3d(3, 2, 1, ceil_mode=True)),
    "avg_pool3d by another number": (VOLUME, lambda: nn.AvgPool3d(2, divisor_override=3)),
    "avg_pool2d of what is inside": (MAP, lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
    "adaptive_avg_pool3d": (VOLUME, lambda: nn.AdaptiveAvgPool3d((3, 2, 4))),
    "max_pool2d": (MAP, lambda: nn.MaxPool2d(3, 2, 1)),
    "max_pool2d dilated": (MAP, lambda: nn.MaxPool2d(2, 2, 1, 3, ceil_mode=True)),
    "max_pool2d of large cells": (MAP, lambda: nn.MaxPool2d((4, 5), (3, 2))),
    "max_pool3d": (VOLUME, lambda: nn.MaxPool3d(2, 2)),
    "max_pool3d beyond the end": (VOLUME, lambda: nn.MaxPool3d(2, (2, 1, 2), 1, ceil_mode=True)),
    "adaptive_max_pool1d": (LINE, lambda: nn.AdaptiveMaxPool1d(4)),
    "adaptive_max_pool2d": (MAP, lambda: nn.AdaptiveMaxPool2d((3, 5))),
    "adaptive_max_pool3d": (VOLUME, lambda: nn.AdaptiveMaxPool3d((1, 2, 4))),
    "upsample linear": (LINE, lambda: nn.Upsample(scale_factor=1.7, mode="linear")),
    "upsample trilinear": (VOLUME, lambda: nn.Upsample(scale_factor=2, mode="trilinear")),
    "upsample without aliases": (MAP, lambda: lambda x: F.interpolate(x, (3, 5), mode="bilinear", antialias=True)),
    "upsample to exact places": (MAP, lambda: lambda x: F.interpolate(x, (5, 11), mode="nearest-exact")),
    "places between cells": (
        MAP,
        lambda: (
            lambda x: F.grid_sample(
                x, F.affine_grid(TURN.expand(x.shape[0], 2, 3), list(x.shape), align_corners=False), align_corners=False
            )
        ),
    ),
    "pads of volumes": (VOLUME, lambda: nn.Sequential(nn.ReflectionPad3d(1), nn.ReplicationPad3d((1, 0, 2, 0, 0, 1)))),
    "local response norm": (MAP, lambda: nn.LocalResponseNorm(2, alpha=0.5)),
    "diagonal": (LINE, lambda: lambda x: torch.diagonal(x @ x.mT, dim1=1, dim2=2)),
    "running sums": (LINE, lambda: lambda x: x.cumsum(-1) + x.cumsum(1) / 3),
    "product": (LINE, lambda: lambda x: (0.5 + x).prod(1)),
    "sine": (LINE, lambda: lambda x: (9 * x).sin()),
    "cosine": (LINE, lambda: lambda x: (5 * x - 2).cos()),
    "hyperbolic": (LINE, lambda: lambda x: (x - 0.5).sinh() + (3 * x).cosh()),
    "exponentials": (LINE, lambda: lambda x: x.exp2() - x.expm1() / 2),
    "logarithms": (LINE, lambda: lambda x: x.log1p() + (x + 0.5).log2() - (x + 0.5).log10()),
    "erfc": (LINE, lambda: lambda x: x.erfc()),
    "logit": (LINE, lambda: lambda x: x.logit(0.2) + (0.2 + x / 2).logit()),
    "power of a number": (LINE, lambda: lambda x: 3**x),
    "powers that differ": (LINE, lambda: lambda x: (0.5 + x).pow(torch.linspace(-1.5, 2.5, 10).to(x))),
    "lerp": (LINE, lambda: lambda x: torch.lerp(x[:, 0], x[:, 1], x[:, 2]) + torch.lerp(x[:, 0], x.new_ones(1), 0.3)),
    "addcmul": (LINE, lambda: lambda x: torch.addcmul(x[:, 0], x[:, 1], x.new_full((1,), 3.0), value=0.5)),
    "addcdiv": (LINE, lambda: lambda x: torch.addcdiv(x.new_ones(1), x[:, 1], x[:, 2] + 0.5, value=-2)),
    "xlogy": (LINE, lambda: lambda x: torch.xlogy(x[:, 0], x[:, 1] + 0.5)),
    "hypot": (LINE, lambda: lambda x: torch.hypot(x[:, 0] + 0.2, x[:, 1]) + torch.hypot(x[:, 2], x.new_ones(1))),
    "logaddexp": (LINE, lambda: lambda x: torch.logaddexp(30 * x[:, 0], x[:, 1]) + torch.logaddexp(x[:, 2], -x[:, 2])),
    "distances": (LINE, lambda: lambda x: torch.cdist(x, PLACES) + torch.cdist(x[:, :1], PLACES, 1)),
    "distances of two": (LINE, lambda: lambda x: torch.cdist(x[:, :1], 1.5 + x[:, 1:])),
    "distances from constants": (LINE, lambda: lambda x: torch.cdist(PLACES.expand(x.shape[0], 4, 10), x)),
    "pairwise distance": (LINE, lambda: lambda x: F.pairwise_distance(x[:, 0], 1 + x[:, 1])[:, None]),
    "greatest size": (LINE, lambda: lambda x: torch.linalg.vector_norm(x - 0.5, math.inf, dim=1)),
}


class Network(nn.Module):
    """An operator between a mix of its values and a layer; one value goes round it."""

    def __init__(self, make: Make, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.operator = make
        size = math.prod(shape)
        self.before = nn.Parameter(torch.eye(size) + 0.3 * torch.randn(size, size) / math.sqrt(size))
        with torch.no_grad():
            after = self(torch.rand(2, *shape), last=False).shape[1]
        self.last = nn.Linear(after, 3)

    def forward(self, x: Tensor, *, last: bool = True) -> Tensor:
        mixed = (x.flatten(1) @ self.before.to(x)).sigmoid().view(x.shape)
        found = self.operator(mixed).flatten(1)
        return self.last(found) + x.flatten(1)[:, :1] if last else found


def network(name: str, seed: int = 0) -> tuple[nn.Module, Tensor]:
    shape, make = OPERATORS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_default_dtype(torch.float64)
        try:
            model = Network(make(), shape).eval()
            x = torch.rand(3, *shape)
        finally:
            torch.set_default_dtype(torch.float32)
    return model, x


def lead(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    logits = model(x)
    found: Tensor = logits.gather(1, y[:, None]) - logits
    return found


@pytest.mark.parametrize("name", OPERATORS)
def test_no_point_of_the_ball_lies_below_its_bound(name: str) -> None:
    model, x = network(name)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        y = model(x).argmax(1)
        for eps in (0.02, 0.3):
            for options in ({}, {"slopes": "adaptive"}, {"method": "interval"}):
                found = certify(model, x, y, LinfBall(eps, None), **options)  # type: ignore[arg-type]
                assert eps > 0.1 or found.margins.isfinite().all()
                for attempt in range(30):
                    side = 2 * torch.rand(x.shape, generator=generator, dtype=x.dtype) - 1
                    moved = x + eps * (side.sign() if attempt % 2 else side)
                    assert not (lead(model, moved, y) < found.margins - 1e-9).any()


@pytest.mark.parametrize("name", OPERATORS)
def test_a_bound_is_exact_to_first_order(name: str) -> None:
    model, x = network(name)
    y = torch.zeros(len(x), dtype=torch.int64)
    x.requires_grad_(True)
    (slope,) = torch.autograd.grad(lead(model, x, y)[:, 1].sum(), x)
    with torch.no_grad():
        for eps in (1e-5, 1e-6):
            lost = (lead(model, x, y) - margins(model, x.detach(), y, LinfBall(eps, None)))[:, 1]
            torch.testing.assert_close(lost, eps * slope.abs().flatten(1).sum(1), rtol=3e4 * eps, atol=1e-12)


def test_volumes_have_the_precision_and_the_gradients_of_their_weights() -> None:
    model = nn.Sequential(nn.Conv3d(2, 2, 2), nn.ReLU(), nn.ConvTranspose3d(2, 2, 2), nn.Flatten(), nn.LazyLinear(3))
    x, y = torch.rand(2, *VOLUME), torch.tensor([0, 1])
    model(x)
    margins(model, x, y, LinfBall(0.01)).sum().backward()
    for layer in (model[0], model[2]):
        assert layer.weight.grad.abs().sum() > 0
    assert trace(model, x).to(torch.float64)(x.double()).dtype == torch.float64


REFUSED: dict[str, tuple[tuple[int, ...], Any, str]] = {
    "cells beyond the map": ((1, 1, 4), lambda: nn.MaxPool2d((2, 1), 1, (1, 0), (2, 1)), "lie beyond the map"),
    "another distance": (LINE, lambda: lambda x: torch.cdist(x, PLACES.float(), 3.0), "another distance than l_1"),
    "a power of powers": (LINE, lambda: lambda x: (0.5 + x) ** x, "give a number as its base"),
    "a power of what is negative": (LINE, lambda: lambda x: torch.special.exp2(x) + (-2) ** (0 * x), "positive base"),
    "running sums of the batch": (LINE, lambda: lambda x: x.cumsum(0), "mixes the examples"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_covered_is_refused_with_its_name(name: str) -> None:
    shape, make, words = REFUSED[name]

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.operator = make()

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.operator(x).flatten(1)
            return found

    model = nn.Sequential(Own(), nn.LazyLinear(3)).eval()
    x = torch.rand(3, *shape)
    model(x)
    with pytest.raises(RobustlibError, match=words) as error:
        certify(model, x, None, LinfBall(0.1))
    assert "in 0 (Own)" in str(error.value) or "0.operator (" in str(error.value)
