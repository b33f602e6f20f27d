"""Small networks of every supported kind, in float64, with their inputs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Block(nn.Module):
    """relu(skip(v) + conv(relu(conv(v)))), the block of Wong et al. 2018's residual network."""

    def __init__(self, before: int, after: int, *, down: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 4 if down else 3, 2 if down else 1, 1)
        self.second = nn.Conv2d(after, after, 3, 1, 1)
        self.skip = nn.Conv2d(before, after, 2 if down else 1, 2 if down else 1) if down else nn.Identity()

    def forward(self, v: Tensor) -> Tensor:
        return torch.relu(self.skip(v) + self.second(torch.relu(self.first(v))))


class Normalised(nn.Module):
    """(x - mean) / deviation, then a network."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4, 0.6]).view(1, 2, 1, 1))
        self.register_buffer("deviation", torch.tensor([0.2, 0.3]).view(1, 2, 1, 1))
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner((x - self.mean) / self.deviation)


class Magnitude(nn.Module):
    """|z|."""

    def forward(self, z: Tensor) -> Tensor:
        return z.abs()


class Flat(nn.Module):
    """A dense network that views its input, with a skip connection between hidden layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(12, 9), nn.Linear(9, 9), nn.Linear(9, 4)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.first(x.view(x.shape[0], -1)))
        return self.last(hidden + torch.relu(self.second(hidden))) * 2 - 1


def dense() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(12, 10),
        nn.ReLU(),
        nn.Linear(10, 7),
        nn.ReLU(),
        nn.Linear(7, 6),
        nn.ReLU(),
        nn.Linear(6, 4),
    )


def convolutions() -> nn.Module:
    """Odd sizes, strides that leave cells over, uneven kernels, no bias once."""
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(3, 4, (2, 3), stride=(1, 2), padding=(0, 1), bias=False),
        nn.ReLU(),
        nn.Conv2d(4, 3, 2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(36, 6),
        nn.ReLU(),
        nn.Linear(6, 4),
    )


def deep_convolutions() -> nn.Module:
    """Windows that outgrow the map; groups, dilation and two convolutions in a row."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding=1, groups=2),
        nn.Conv2d(4, 2, 2, stride=2, padding=1),
        nn.Conv2d(2, 3, 3, padding=2, dilation=2),
        nn.ReLU(),
        nn.Conv2d(3, 2, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32, 4),
    )


def residual() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 2, 3, padding=1),
        nn.ReLU(),
        Block(2, 2, down=False),
        Block(2, 3, down=True),
        nn.Flatten(),
        nn.Linear(12, 5),
        nn.ReLU(),
        nn.Linear(5, 4),
    )


def batch_norm() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.BatchNorm2d(3),
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(36, 5),
        nn.BatchNorm1d(5),
        nn.ReLU(),
        nn.Linear(5, 4),
    )


def pooled() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1),
        nn.ReLU(),
        nn.AvgPool2d(3, 2, padding=1),
        nn.Conv2d(3, 4, 2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 4),
    )


class Greater(nn.Module):
    """The greater of two convolutions, the lesser of it and a third."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList(nn.Conv2d(2, 1, 3) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        one, two, three = (part(x) for part in self.parts)
        return torch.minimum(torch.max(one, two), three)


def max_pooled() -> nn.Module:
    """Cells that overlap, that touch, of places apart, and the whole map: an odd number of values."""
    return nn.Sequential(
        nn.Conv2d(2, 2, 3),
        nn.MaxPool2d(2, 1),
        nn.ReLU(),
        nn.Conv2d(2, 2, 2, padding=1),
        nn.MaxPool2d((2, 1), dilation=(2, 1), stride=(1, 2)),
        nn.Conv2d(2, 2, 2, padding=1),
        nn.MaxPool2d((1, 3)),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(2, 4),
    )


def greater() -> nn.Module:
    return nn.Sequential(Greater(), nn.Flatten(), nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, 4))


class Moved(nn.Module):
    """A shortcut without weights, as in the first residual networks; channels beside others, cells as channels."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 2, 3), nn.Conv2d(2, 3, 2, stride=2)
        self.last = nn.Linear(20, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.first(nn.functional.pad(x, (1, 1, 1, 1), mode="reflect")))
        short = nn.functional.pad(h[:, :, ::2, ::2], (0, 0, 0, 0, 1, 0))
        h = torch.cat(
            [torch.relu(self.second(h) + short), x[:, :1, 1::2, 1:3], x.mean(1, keepdim=True)[..., 2:, 2:]], 1
        )
        return self.last(h.permute(0, 2, 3, 1).flatten(1))


def transposed() -> nn.Module:
    """Maps made larger and smaller: transposed in groups and along a line, cells beyond the map, uneven cells."""
    return nn.Sequential(
        nn.ConvTranspose2d(2, 2, 2, stride=2, padding=1, output_padding=1, groups=2),
        nn.ReLU(),
        nn.MaxPool2d((3, 2), (3, 4), padding=(1, 0), ceil_mode=True),
        nn.AvgPool2d(2, 1, padding=1, count_include_pad=False),
        nn.Flatten(2),
        nn.Conv1d(2, 2, 3, stride=2),
        nn.ReLU(),
        nn.ConvTranspose1d(2, 1, 2, stride=2),
        nn.Unflatten(2, (2, -1)),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.AdaptiveAvgPool2d(3),
        nn.Flatten(),
        nn.Linear(9, 4),
    )


def bent() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1),
        nn.Hardtanh(-0.3, 0.5),
        nn.Conv2d(3, 3, 3, stride=2),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(12, 5),
        nn.ReLU6(),
        nn.Linear(5, 5),
        Magnitude(),
        nn.Linear(5, 4),
    )


def normalised() -> nn.Module:
    return Normalised(convolutions())


Builder = Callable[[], nn.Module]
FLAT: dict[str, Builder] = {"dense": dense, "skip": Flat}
SPATIAL: dict[str, Builder] = {
    "convolutions": convolutions,
    "deep": deep_convolutions,
    "residual": residual,
    "batch norm": batch_norm,
    "pooled": pooled,
    "max pooled": max_pooled,
    "greater": greater,
    "moved": Moved,
    "transposed": transposed,
    "bent": bent,
    "normalised": normalised,
}
ALL = FLAT | SPATIAL


def network(name: str, seed: int = 0) -> nn.Module:
    """A network of that kind, weights and batch-norm statistics drawn from the seed, float64, eval mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        model = ALL[name]().double().eval()
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if "mean" in key or "dev" in key or not value.is_floating_point():
                continue
            fresh = torch.randn(value.shape, generator=generator, dtype=value.dtype)
            scale = 0.2 if key.endswith("bias") else max(1, value[:1].numel()) ** -0.5
            value.copy_(fresh.abs() + 0.5 if "var" in key else scale * fresh)
    return model


def inputs(name: str, n: int = 3, seed: int = 1) -> tuple[Tensor, Tensor]:
    """(n, ...) inputs in [0, 1] and labels of four classes."""
    generator = torch.Generator().manual_seed(seed)
    shape = (3, 4) if name in FLAT else (2, 7, 6) if name in ("convolutions", "normalised") else (2, 6, 6)
    shape = {"residual": (2, 4, 4), "moved": (2, 4, 4), "transposed": (2, 4, 3), "max pooled": (2, 5, 5)}.get(
        name, shape
    )
    x = torch.rand(n, *shape, generator=generator, dtype=torch.float64)
    return x, torch.randint(4, (n,), generator=generator)
