"""The networks of Wong et al. 2018, "Scaling provable adversarial defenses": pixels in, normalisation inside.

Sizes are those of the authors' code. Colour images are normalised by ImageNet's means and one deviation for the three
channels, so that a radius in pixels is the same in each; maps are padded with zeros after it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from .mnist import kaiming_uniform

MEANS, DEVIATION = (0.485, 0.456, 0.406), 0.225


class Normalise(nn.Module):
    """(x - mean) / deviation for (N, 3, H, W) pixels in [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEANS).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised values."""
        return (x - self.get_buffer("mean")) / DEVIATION


class Block(nn.Module):
    """relu(skip(v) + second(relu(first(v)))): channels in and out, half the size where ``down``."""

    def __init__(self, ins: int, outs: int, *, down: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(ins, outs, 4 if down else 3, 2 if down else 1, 1)
        self.second = nn.Conv2d(outs, outs, 3, 1, 1)
        self.skip = nn.Conv2d(ins, outs, 2 if down else 1, 2 if down else 1)

    def forward(self, v: Tensor) -> Tensor:
        """(N, ins, H, W) to (N, outs, H or H / 2, W or W / 2)."""
        return torch.relu(self.skip(v) + self.second(torch.relu(self.first(v))))


def _finish(
    layers: list[nn.Module],
    sizes: list[int],
    shape: tuple[int, ...],
    classes: int,
    generator: torch.Generator,
    *,
    drawn: bool = False,
) -> nn.Sequential:
    """Dense layers behind the convolutions, and the first weights: PyTorch's, or for CIFAR-10 the authors' own."""
    layers = [Normalise(), *layers] if shape[0] == 3 else layers
    with torch.no_grad():
        ins = nn.Sequential(*layers)(torch.zeros(1, *shape)).numel()
    layers.append(nn.Flatten())
    for outs in sizes:
        layers += [nn.Linear(ins, outs), nn.ReLU()]
        ins = outs
    model = nn.Sequential(*layers, nn.Linear(ins, classes))
    kaiming_uniform(model.modules(), generator=generator)
    if drawn and shape[0] == 3:
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d):
                scale = math.sqrt(2 / (layer.kernel_size[0] * layer.kernel_size[1] * layer.out_channels))
                with torch.no_grad():
                    layer.weight.copy_(scale * torch.randn(layer.weight.shape, generator=generator))
                    nn.init.zeros_(layer.bias if layer.bias is not None else torch.empty(0))
    return model


def _convolutions(ins: int, channels: list[tuple[int, bool]]) -> Iterator[nn.Module]:
    """Each (channels, halved): 4x4 with stride 2 where halved, else 3x3; a ReLU behind each."""
    for outs, halved in channels:
        yield nn.Conv2d(ins, outs, 4 if halved else 3, 2 if halved else 1, 1)
        yield nn.ReLU()
        ins = outs


def scaled_small(
    *, width: int, input_shape: tuple[int, ...], classes: int, generator: torch.Generator
) -> nn.Sequential:
    """conv4/2-w, conv4/2-2w, FC 100; w = 16: 4,804 hidden units on MNIST, 6,244 on CIFAR-10."""
    layers = list(_convolutions(input_shape[0], [(width, True), (2 * width, True)]))
    return _finish(layers, [100], input_shape, classes, generator, drawn=True)


def scaled_large(
    *, width: int, input_shape: tuple[int, ...], classes: int, generator: torch.Generator
) -> nn.Sequential:
    """conv3-w, conv4/2-w, conv3-2w, conv4/2-2w, FC 16w twice; w = 32: 48,064 hidden units on MNIST."""
    channels = [(width, False), (width, True), (2 * width, False), (2 * width, True)]
    layers = list(_convolutions(input_shape[0], channels))
    # The authors' initialisation is unreachable (after a ``return``); they trained from PyTorch's default.
    return _finish(layers, [16 * width] * 2, input_shape, classes, generator)


def scaled_resnet(
    *, width: int, input_shape: tuple[int, ...], classes: int, generator: torch.Generator
) -> nn.Sequential:
    """conv3-w, then blocks w, w, 2w down, 4w down, FC 1000; w = 16: 107,496 hidden units on CIFAR-10."""
    layers = list(_convolutions(input_shape[0], [(width, False)]))
    for ins, outs in ((1, 1), (1, 1), (1, 2), (2, 4)):
        layers.append(Block(ins * width, outs * width, down=outs > ins))
    return _finish(layers, [1000], input_shape, classes, generator, drawn=True)


def scaled_wide(*, width: int, input_shape: tuple[int, ...], classes: int, generator: torch.Generator) -> nn.Sequential:
    """conv4/2-4k, conv4/2-8k, FC 128k with k = ``width``: 1,304 k hidden units on MNIST."""
    layers = list(_convolutions(input_shape[0], [(4 * width, True), (8 * width, True)]))
    return _finish(layers, [128 * width], input_shape, classes, generator)


def scaled_deep(
    *, width: int, input_shape: tuple[int, ...], classes: int, generator: torch.Generator, depth: int = 1
) -> nn.Sequential:
    """Groups of w and 2w channels, each ``depth`` - 1 conv3 and a conv4/2, then FC 100."""
    channels = [(c, last) for c in (width, 2 * width) for last in [*[False] * (depth - 1), True]]
    return _finish(list(_convolutions(input_shape[0], channels)), [100], input_shape, classes, generator)


def scaled_single(
    *, width: int, input_shape: tuple[int, ...], classes: int, generator: torch.Generator
) -> nn.Sequential:
    """conv3-w, FC: the network of the authors' timing script, with 784 w hidden units on MNIST."""
    return _finish(list(_convolutions(input_shape[0], [(width, False)])), [], input_shape, classes, generator)
