"""The CIFAR-10 networks of Madry et al. 2018 (MadryLab/cifar10_challenge), pixels in [0, 1].

Residual networks as TensorFlow computes them: SAME padding, batch norm with epsilon 0.001, shortcuts that average
and pad instead of a 1 x 1 convolution. Images are standardised one by one inside, as there on [0, 255], so
that a threat's radius is in raw pixels.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .residual import SpatialMean, fan_out_normal

UNITS = 5


class Standardise(nn.Module):
    """(x - mean) / max(std, 1 / sqrt(n)) of each image of n values on [0, 255]; x is on [0, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        flat = 255 * x.flatten(1)
        std = flat.std(1, correction=0, keepdim=True).clamp_min(1 / math.sqrt(flat.shape[1]))
        return ((flat - flat.mean(1, keepdim=True)) / std).view_as(x)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after one side under TensorFlow's SAME: ceil(size / stride) outputs, the odd zero after."""
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class SameConv(nn.Conv2d):
    """Convolution without bias under TensorFlow's SAME padding, which is uneven where stride 2 meets an even side."""

    def __init__(self, ins: int, outs: int, stride: int) -> None:
        super().__init__(ins, outs, 3, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (same_padding(size, 3, self.stride[0]) for size in x.shape[2:])
        if rows == columns == (1, 1):
            return F.conv2d(x, self.weight, stride=self.stride, padding=1)
        return F.conv2d(F.pad(x, (*columns, *rows)), self.weight, stride=self.stride)


def _activation(channels: int) -> nn.Sequential:
    """Batch norm (TensorFlow's decay 0.9 is PyTorch's momentum 0.1) and leaky ReLU."""
    return nn.Sequential(nn.BatchNorm2d(channels, eps=1e-3), nn.LeakyReLU(0.1))


class _Unit(nn.Module):
    """Activation-conv-activation-conv plus the shortcut; ``shared``: the shortcut too begins after the activation."""

    def __init__(self, ins: int, outs: int, stride: int, *, shared: bool) -> None:
        super().__init__()
        self.shared, self.stride, self.extra = shared, stride, (outs - ins) // 2
        self.first = _activation(ins)
        self.body = nn.Sequential(SameConv(ins, outs, stride), _activation(outs), SameConv(outs, outs, 1))

    def forward(self, x: Tensor) -> Tensor:
        active = self.first(x)
        short = active if self.shared else x
        if self.extra:
            short = F.pad(F.avg_pool2d(short, self.stride), (0, 0, 0, 0, self.extra, self.extra))
        return self.body(active) + short


def madry_resnet(
    *, width: int, input_shape: tuple[int, ...], classes: int, generator: torch.Generator
) -> nn.Sequential:
    """Stem 16, three groups of five units (16, 32, 64 times ``width``): 1 is the simple network, 10 the wide one."""
    layers: list[nn.Module] = [Standardise(), SameConv(input_shape[0], 16, 1)]
    ins = 16
    for group in range(3):
        for unit in range(UNITS):
            outs, first = 16 * width * 2**group, not group and not unit
            layers.append(_Unit(ins, outs, 2 if group and not unit else 1, shared=first))
            ins = outs
    head = nn.Linear(ins, classes)
    model = nn.Sequential(*layers, *_activation(ins), SpatialMean(), head)
    fan_out_normal(model, generator=generator)
    # TensorFlow's uniform_unit_scaling.
    nn.init.uniform_(head.weight, -math.sqrt(3 / ins), math.sqrt(3 / ins), generator=generator)
    return model
