"""Networks for MNIST-like images, pixels in [0, 1].

``madry_cnn``: Madry et al. 2018, section 5 and MadryLab/mnist_challenge. ``architecture_b``: the
substitute network B of Tramer et al. 2018, which Madry et al. use as a black-box source.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import nn


def initialise(modules: Sequence[nn.Module], *, generator: torch.Generator) -> None:
    """Truncated normal weights (std 0.1, cut at two std) and biases 0.1, as mnist_challenge draws them."""
    for module in modules:
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.1, a=-0.2, b=0.2, generator=generator)
            if module.bias is not None:
                nn.init.constant_(module.bias, 0.1)


def kaiming_uniform(modules: Iterable[nn.Module], *, generator: torch.Generator) -> None:
    """PyTorch's own initial weights and biases, uniform within 1/sqrt(fan in), from an explicit generator."""
    for module in modules:
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = 1 / math.sqrt(module.weight[0].numel())
            nn.init.uniform_(module.weight, -bound, bound, generator=generator)
            if module.bias is not None:
                nn.init.uniform_(module.bias, -bound, bound, generator=generator)


def madry_cnn(*, width: int, input_shape: tuple[int, ...], classes: int, generator: torch.Generator) -> nn.Sequential:
    """conv5-2s, pool, conv5-4s, pool, FC 64s, FC: capacity s = ``width``; s = 16 has 3,274,634 parameters on MNIST.

    ReLU comes after the pool, which is the same function as before it (both are monotone) on a
    quarter of the values.
    """
    return _two_convolutions(2 * width, 4 * width, 64 * width, input_shape, classes, generator)


def madry_very_large(
    *, width: int, input_shape: tuple[int, ...], classes: int, generator: torch.Generator
) -> nn.Sequential:
    """Madry et al.'s very large network: :func:`madry_cnn` with twice the filters, as many units; ``width`` 16."""
    return _two_convolutions(4 * width, 8 * width, 64 * width, input_shape, classes, generator)


def _two_convolutions(
    c1: int, c2: int, hidden: int, input_shape: tuple[int, ...], classes: int, generator: torch.Generator
) -> nn.Sequential:
    channels, height, breadth = input_shape
    model = nn.Sequential(
        nn.Conv2d(channels, c1, 5, padding=2),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(c1, c2, 5, padding=2),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(c2 * (height // 4) * (breadth // 4), hidden),
        nn.ReLU(),
        nn.Linear(hidden, classes),
    )
    initialise(list(model), generator=generator)
    return model


def architecture_b(
    *, width: int, input_shape: tuple[int, ...], classes: int, generator: torch.Generator
) -> nn.Sequential:
    """Dropout 0.2, conv8/2-4w SAME, conv6/2-8w VALID, conv5-8w VALID, dropout 0.5, FC; w = ``width`` = 16 is B.

    On inputs smaller than 28 x 28 a kernel never exceeds the map it slides over, so that the same
    network also runs on 8 x 8 digits; at 28 x 28 nothing changes.
    """
    channels, height, _ = input_shape
    c1, c2 = 4 * width, 8 * width
    size = (height + 1) // 2
    k2 = min(6, size)
    size = (size - k2) // 2 + 1
    k3 = min(5, size)
    size = size - k3 + 1
    model = nn.Sequential(
        nn.Dropout(0.2),
        # TensorFlow's SAME at stride 2 on an even side pads 3 on each side of an 8 x 8 kernel.
        nn.Conv2d(channels, c1, 8, stride=2, padding=3),
        nn.ReLU(),
        nn.Conv2d(c1, c2, k2, stride=2),
        nn.ReLU(),
        nn.Conv2d(c2, c2, k3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(c2 * size * size, classes),
    )
    initialise(list(model), generator=generator)
    return model
