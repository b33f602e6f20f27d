"""Residual networks for CIFAR-10, pixels in [0, 1]: ResNet-18 and Wide-ResNets, as Zhang et al. 2019 use them.

Sources: He et al. 2016 with the usual CIFAR stem; Zagoruyko and Komodakis 2016 (yaodongyu/TRADES, ``models/``).
Spatial means are taken over whatever map is left, so that other image sizes work too.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import RobustlibError
from .mnist import kaiming_uniform


def conv3(ins: int, outs: int, stride: int = 1) -> nn.Conv2d:
    """3 x 3, one zero around, no bias."""
    return nn.Conv2d(ins, outs, 3, stride=stride, padding=1, bias=False)


def fan_out_normal(model: nn.Module, *, generator: torch.Generator) -> None:
    """Convolutions from N(0, 2 / (k k c_out)), linear layers as PyTorch draws them but biases 0."""
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    kaiming_uniform(linear, generator=generator)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            std = math.sqrt(2 / (module.kernel_size[0] * module.kernel_size[1] * module.out_channels))
            nn.init.normal_(module.weight, std=std, generator=generator)
    for module in linear:
        nn.init.zeros_(module.bias)


class _Basic(nn.Module):
    """conv-BN-ReLU-conv-BN plus the shortcut, then ReLU."""

    def __init__(self, ins: int, outs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv3(ins, outs, stride), nn.BatchNorm2d(outs), nn.ReLU(), conv3(outs, outs), nn.BatchNorm2d(outs)
        )
        plain = stride == 1 and ins == outs
        self.shortcut = (
            nn.Sequential()
            if plain
            else nn.Sequential(nn.Conv2d(ins, outs, 1, stride=stride, bias=False), nn.BatchNorm2d(outs))
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


class SpatialMean(nn.Module):
    """(N, C, H, W) to (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


def resnet18(*, width: int, input_shape: tuple[int, ...], classes: int, generator: torch.Generator) -> nn.Sequential:
    """3 x 3 stem, four stages of two basic blocks (w, 2w, 4w, 8w), mean, FC; w = ``width`` = 64 is ResNet-18."""
    layers: list[nn.Module] = [conv3(input_shape[0], width), nn.BatchNorm2d(width), nn.ReLU()]
    ins = width
    for stage in range(4):
        for block in range(2):
            outs = width * 2**stage
            layers.append(_Basic(ins, outs, 2 if stage and not block else 1))
            ins = outs
    layers += [SpatialMean(), nn.Linear(ins, classes)]
    kaiming_uniform((m for layer in layers for m in layer.modules()), generator=generator)
    return nn.Sequential(*layers)


class _PreActivation(nn.Module):
    """BN-ReLU-conv-BN-ReLU-conv plus x, or plus a 1 x 1 convolution of the activated x where the width changes."""

    def __init__(self, ins: int, outs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.BatchNorm2d(ins), nn.ReLU())
        self.body = nn.Sequential(conv3(ins, outs, stride), nn.BatchNorm2d(outs), nn.ReLU(), conv3(outs, outs))
        self.shortcut = None if ins == outs else nn.Conv2d(ins, outs, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        active = self.first(x)
        return self.body(active) + (x if self.shortcut is None else self.shortcut(active))


def wide_resnet(
    *, width: int, input_shape: tuple[int, ...], classes: int, generator: torch.Generator, depth: int = 34
) -> nn.Sequential:
    """Wide-ResNet-``depth``-``width``: stem 16, three groups of (depth - 4) / 6 blocks (16, 32, 64 times width).

    The authors' class also makes a second first group that no input passes; it is not made here.
    """
    if depth < 10 or (depth - 4) % 6:
        raise RobustlibError(f"depth={depth} of a wide_resnet; give 6 n + 4, such as 10, 16, 28 or 34")
    layers: list[nn.Module] = [conv3(input_shape[0], 16)]
    ins = 16
    for group in range(3):
        for block in range((depth - 4) // 6):
            outs = 16 * width * 2**group
            layers.append(_PreActivation(ins, outs, 2 if group and not block else 1))
            ins = outs
    layers += [nn.BatchNorm2d(ins), nn.ReLU(), SpatialMean(), nn.Linear(ins, classes)]
    model = nn.Sequential(*layers)
    fan_out_normal(model, generator=generator)
    return model
