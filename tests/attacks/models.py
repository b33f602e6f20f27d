"""Networks that attacks are tested on: linear (closed forms), small convolutional, batch norm with dropout, masked."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robustlib.models import ModelSpec, build


def linear(classes: int = 3, features: int = 12) -> nn.Sequential:
    model = nn.Sequential(nn.Flatten(), nn.Linear(features, classes))
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        model[1].weight.copy_(torch.randn(classes, features, generator=generator))
        model[1].bias.zero_()
    return model.eval()


def small_cnn() -> nn.Module:
    return build(
        ModelSpec("madry_cnn", 1), input_shape=(1, 8, 8), classes=10, generator=torch.Generator().manual_seed(2)
    )


def batch_norm() -> nn.Module:
    generator = torch.Generator().manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(256, 10)
    )
    for parameter in model.parameters():
        with torch.no_grad():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


class Saturated(nn.Module):
    """Logits multiplied until float32's softmax is exactly one-hot: gradients vanish, decisions stay."""

    def __init__(self, inner: nn.Module, factor: float = 1e6) -> None:
        super().__init__()
        self.inner, self.factor = inner, factor

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) * self.factor


def batch(n: int = 12, *, shape: tuple[int, ...] = (1, 8, 8), seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, *shape, generator=generator), torch.randint(0, 10, (n,), generator=generator)
