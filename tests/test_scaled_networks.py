"""Networks of Wong et al. 2018: sizes as the authors' code gives them, radii in pixels, normalisation inside."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from robustlib.certify import certify
from robustlib.certify.interval import interval_bounds
from robustlib.certify.region import Region
from robustlib.certify.trace import trace
from robustlib.models import ModelSpec, build, count_parameters
from robustlib.models.scaled import DEVIATION, MEANS, Normalise
from robustlib.threat import Ball, L2Ball, LinfBall

MNIST, CIFAR = (1, 28, 28), (3, 32, 32)
# Hidden units and trained scalars, counted by hand from the layers.
SIZES = [
    ("scaled_small", 16, 0, MNIST, 4_804, 166_406),
    ("scaled_small", 16, 0, CIFAR, 6_244, 214_918),
    ("scaled_large", 32, 0, MNIST, 48_064, 1_974_762),
    ("scaled_large", 32, 0, CIFAR, 62_464, 2_466_858),
    ("scaled_resnet", 16, 0, MNIST, 82_536, 3_254_562),
    ("scaled_resnet", 16, 0, CIFAR, 107_496, 4_214_850),
    ("scaled_wide", 1, 0, MNIST, 1_304, 52_182),
    ("scaled_wide", 2, 0, MNIST, 2_608, 205_730),
    ("scaled_wide", 4, 0, MNIST, 5_216, 816_954),
    ("scaled_wide", 8, 0, MNIST, 10_432, 3_255_914),
    ("scaled_wide", 16, 0, MNIST, 20_864, 12_999_882),
    ("scaled_deep", 8, 1, MNIST, 2_452, 81_710),
    ("scaled_deep", 8, 2, MNIST, 11_860, 85_902),
    ("scaled_deep", 8, 3, MNIST, 21_268, 88_806),
]


def _build(spec: ModelSpec, shape: tuple[int, ...]) -> nn.Module:
    return build(spec, input_shape=shape, classes=10, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("name", "width", "depth", "shape", "units", "parameters"), SIZES, ids=str)
def test_units_and_parameters(
    name: str, width: int, depth: int, shape: tuple[int, ...], units: int, parameters: int
) -> None:
    model = _build(ModelSpec(name, width, depth=depth), shape)
    graph = trace(model, torch.zeros(1, *shape))
    assert sum(math.prod(graph.nodes[place].shape) for place in graph.relus) == units
    assert count_parameters(model) == parameters


def _images(n: int) -> torch.Tensor:
    return torch.rand(n, *CIFAR, generator=torch.Generator().manual_seed(1))


def test_a_radius_in_pixels_is_divided_inside() -> None:
    """2/255 of a pixel is 0.0348 (further digits cut off) behind the normalisation, for every channel alike."""
    x, threat = _images(1), LinfBall(2 / 255, None)
    graph = trace(nn.Sequential(Normalise(), nn.Flatten(), nn.Linear(3072, 2)), x)
    boxes = interval_bounds(graph, Region.around(x, threat))
    place = max(i for i, node in enumerate(graph.nodes) if node.shape == CIFAR)
    radius = boxes[place].radius
    assert radius.min().item() == pytest.approx(radius.max().item(), rel=1e-5)
    assert radius.mean().item() == pytest.approx(2 / (255 * 0.225), rel=1e-5)
    assert math.floor(1e4 * radius.mean().item()) == 348
    center = (x[0].double() - torch.tensor(MEANS).view(3, 1, 1)) / 0.225
    torch.testing.assert_close(boxes[place].center[0].double(), center, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("threat", [LinfBall(2 / 255, None), L2Ball(36 / 255, None)], ids=str)
def test_a_certificate_in_pixels_is_one_in_normalised_units(threat: Ball) -> None:
    model, x, y = _build(ModelSpec("scaled_small", 2), CIFAR), _images(4), torch.arange(4)
    assert isinstance(model, nn.Sequential)
    bare, inside = model[1:], (x - torch.tensor(MEANS).view(3, 1, 1)) / DEVIATION
    torch.testing.assert_close(bare(inside), model(x))
    pixels = certify(model, x, y, threat).margins
    same = certify(bare, inside, y, replace(threat, eps=threat.eps / DEVIATION)).margins
    torch.testing.assert_close(pixels, same, rtol=1e-4, atol=1e-5)
    other = certify(bare, inside, y, threat).margins
    wrong = torch.ones(4, 10, dtype=torch.bool).scatter(1, y[:, None], False)
    assert bool((other > pixels)[wrong].all())
