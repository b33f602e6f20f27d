"""The small networks of Zhang et al. 2019 for MNIST (yaodongyu/TRADES, ``models/``); pixels in [0, 1].

On inputs smaller than 28 x 28 no kernel and no pool exceeds the map it slides over, so that the same networks
also run on 8 x 8 digits; at 28 x 28 nothing changes. ReLU comes after a pool, which is the same function as
before it on a quarter of the values.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import RobustlibError
from .mnist import kaiming_uniform


def _stage(layers: list[nn.Module], side: int, channels: tuple[int, int], kernel: int, *, pool: bool) -> int:
    """Append a convolution, perhaps a pool, and a ReLU; returns the side of the map that comes out."""
    kernel = min(kernel, side)
    side = side - kernel + 1
    layers.append(nn.Conv2d(*channels, kernel))
    if pool and side > 1:
        side //= 2
        layers.append(nn.MaxPool2d(2))
    layers.append(nn.ReLU())
    return side


def small_cnn(*, width: int, input_shape: tuple[int, ...], classes: int, generator: torch.Generator) -> nn.Sequential:
    """SmallCNN: two conv3-w, pool, two conv3-2w, pool, FC 200, dropout, FC 200, FC; w = 32 has 312,202 parameters.

    Convolutions start Kaiming normal, the last layer at zero, the others as PyTorch draws them.
    """
    channels, side, _ = input_shape
    layers: list[nn.Module] = []
    plan = ((channels, width, False), (width, width, True), (width, 2 * width, False), (2 * width, 2 * width, True))
    for ins, outs, pool in plan:
        side = _stage(layers, side, (ins, outs), 3, pool=pool)
    last = nn.Linear(200, classes)
    layers += [nn.Flatten(), nn.Linear(2 * width * side * side, 200), nn.ReLU(), nn.Dropout(0.5)]
    layers += [nn.Linear(200, 200), nn.ReLU(), last]
    kaiming_uniform(layers, generator=generator)
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, generator=generator)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers)


class _TwoClasses(nn.Module):
    """(N, 1) scores f to logits (0, f): the class is the sign of f, and a margin of logits is f itself."""

    def forward(self, score: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(score), score], 1)


def _net(width: int, input_shape: tuple[int, ...], outputs: int, generator: torch.Generator) -> list[nn.Module]:
    channels, side, _ = input_shape
    layers: list[nn.Module] = []
    side = _stage(layers, side, (channels, width), 5, pool=True)
    side = _stage(layers, side, (width, 2 * width), 5, pool=True)
    # Channels are dropped whole and before the pool; a pool and a ReLU of zeros are zeros.
    layers.insert(len(layers) - 2 if isinstance(layers[-2], nn.MaxPool2d) else len(layers) - 1, nn.Dropout2d(0.5))
    layers += [nn.Flatten(), nn.Linear(2 * width * side * side, 50), nn.ReLU(), nn.Dropout(0.5), nn.Linear(50, outputs)]
    kaiming_uniform(layers, generator=generator)
    return layers


def trades_net(*, width: int, input_shape: tuple[int, ...], classes: int, generator: torch.Generator) -> nn.Sequential:
    """Net: conv5-w, pool, conv5-2w, channel dropout, pool, FC 50, dropout, FC; w = 10 is the authors'."""
    return nn.Sequential(*_net(width, input_shape, classes, generator))


def trades_binary(
    *, width: int, input_shape: tuple[int, ...], classes: int, generator: torch.Generator
) -> nn.Sequential:
    """Net with one output f for two classes (Table 3), as the logits (0, f); w = 10 has 21,381 parameters."""
    if classes != 2:
        raise RobustlibError(f"trades_binary tells 2 classes apart, not {classes}; give a Network two classes")
    return nn.Sequential(*_net(width, input_shape, 1, generator), _TwoClasses())
