"""Networks of Wong & Kolter 2018 (section 4; locuslab/convex_adversarial), PyTorch's initial weights."""

from __future__ import annotations

import itertools
import math

import torch
from torch import nn

from .mnist import kaiming_uniform


def wong_conv(*, width: int, input_shape: tuple[int, ...], classes: int, generator: torch.Generator) -> nn.Sequential:
    """conv4/2-w, conv4/2-2w, FC 100, FC with ReLUs; w = 16: 166,406 parameters on MNIST, 214,918 on SVHN."""
    channels, height, breadth = input_shape
    model = nn.Sequential(
        nn.Conv2d(channels, width, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2 * width * (height // 4) * (breadth // 4), 100),
        nn.ReLU(),
        nn.Linear(100, classes),
    )
    kaiming_uniform(model, generator=generator)
    return model


def wong_dense(
    *, width: int, input_shape: tuple[int, ...], classes: int, generator: torch.Generator, depth: int = 1
) -> nn.Sequential:
    """``depth`` hidden layers of ``width`` units with ReLUs.

    561-500-6 on HAR has 284,006 parameters, 784-500-10 on MNIST 397,510; the two-dimensional example's network,
    2-100-100-100-100-2, has 30,802.
    """
    sizes = [math.prod(input_shape), *[width] * depth]
    layers: list[nn.Module] = [nn.Flatten()]
    for ins, outs in itertools.pairwise(sizes):
        layers += [nn.Linear(ins, outs), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(sizes[-1], classes))
    kaiming_uniform(model, generator=generator)
    return model
