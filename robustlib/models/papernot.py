"""The two networks of Papernot et al. 2016 (IEEE S&P), tables I and II: nine layers, dropout on the dense ones.

Not printed there, and so ours: convolutions without padding (as in Carlini and Wagner's re-implementations) and initial
weights as Lasagne, in which the authors worked, draws them by default: Glorot uniform, zero biases.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

CIFAR_RANGE = (-2.22, 2.62)
"""Inputs of the CIFAR10 network after the authors' preprocessing, which is taken to be affine."""


class Affine(nn.Module):
    """[0, 1] onto [low, high]."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.scale = low, high - low

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.low


def glorot_uniform(modules: Iterable[nn.Module], *, generator: torch.Generator) -> None:
    """Weights uniform within sqrt(6 / (fan in + fan out)), biases 0."""
    for module in modules:
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _nine_layers(width: int, hidden: int, input_shape: tuple[int, ...], classes: int) -> list[nn.Module]:
    """Twice (conv3-w, conv3-w, pool) with w = ``width`` and 2 ``width``, then twice (FC, dropout), then FC.

    Inputs smaller than 28 x 28 are padded to keep their size, so that the same network also runs on 8 x 8 digits.
    """
    channels, height, breadth = input_shape
    padding = 0 if min(height, breadth) >= 28 else 1
    layers: list[nn.Module] = []
    for inside, outside in ((channels, width), (width, 2 * width)):
        first, second = nn.Conv2d(inside, outside, 3, padding=padding), nn.Conv2d(outside, outside, 3, padding=padding)
        # ReLU after the pool is the same function as before it, on a quarter of the values.
        layers += [first, nn.ReLU(), second, nn.MaxPool2d(2), nn.ReLU()]
        height, breadth = ((side + 4 * padding - 4) // 2 for side in (height, breadth))
    layers.append(nn.Flatten())
    for inside in (2 * width * height * breadth, hidden):
        layers += [nn.Linear(inside, hidden), nn.ReLU(), nn.Dropout(0.5)]
    return [*layers, nn.Linear(hidden, classes)]


def papernot_mnist(
    *, width: int, input_shape: tuple[int, ...], classes: int, generator: torch.Generator
) -> nn.Sequential:
    """32-32-pool-64-64-pool-200-200: ``width`` 32 is the paper's, with 312,202 parameters on MNIST."""
    model = nn.Sequential(*_nine_layers(width, 25 * width // 4, input_shape, classes))
    glorot_uniform(model, generator=generator)
    return model


def papernot_cifar(
    *, width: int, input_shape: tuple[int, ...], classes: int, generator: torch.Generator
) -> nn.Sequential:
    """64-64-pool-128-128-pool-256-256: ``width`` 64 is the paper's, with 1,147,978 parameters on CIFAR-10.

    Takes pixels in [0, 1] and maps them onto ``CIFAR_RANGE`` itself.
    """
    model = nn.Sequential(Affine(*CIFAR_RANGE), *_nine_layers(width, 4 * width, input_shape, classes))
    glorot_uniform(model, generator=generator)
    return model
