"""Networks of TRADES and of Madry et al. on CIFAR-10: sizes and work as published, TensorFlow's padding and scaling."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from robustlib.errors import RobustlibError
from robustlib.models import ModelSpec, build, count_parameters
from robustlib.models.madry_cifar import SameConv, Standardise, same_padding

MNIST, CIFAR = (1, 28, 28), (3, 32, 32)
# Trained scalars with batch norm, then multiply-adds of one input.
SIZES = [
    (ModelSpec("small_cnn", 32), MNIST, 10, 312_202, 9.95e6),
    (ModelSpec("trades_net", 10), MNIST, 10, 21_840, 0.48e6),
    (ModelSpec("trades_binary", 10), MNIST, 2, 21_381, 0.48e6),
    (ModelSpec("resnet18", 64), CIFAR, 10, 11_173_962, 0.5554e9),
    (ModelSpec("wide_resnet", 10), CIFAR, 10, 46_160_474, 6.66e9),
    (ModelSpec("madry_resnet", 1), CIFAR, 10, 464_154, 68.9e6),
    (ModelSpec("madry_resnet", 10), CIFAR, 10, 45_901_914, 6.63e9),
]


def _build(spec: ModelSpec, shape: tuple[int, ...] = CIFAR, classes: int = 10, seed: int = 0) -> nn.Module:
    return build(spec, input_shape=shape, classes=classes, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("spec", "shape", "classes", "parameters", "macs"), SIZES, ids=lambda v: str(v))
def test_sizes_and_work(spec: ModelSpec, shape: tuple[int, ...], classes: int, parameters: int, macs: float) -> None:
    model = _build(spec, shape, classes)
    assert count_parameters(model) == parameters
    with FlopCounterMode(display=False) as counter:
        model.to("meta")(torch.zeros(1, *shape, device="meta"))
    assert counter.get_total_flops() / 2 == pytest.approx(macs, rel=6e-3)


@pytest.mark.parametrize(("width", "millions"), [(1, 0.46), (10, 45.9)])
def test_madrys_networks_have_the_weights_that_their_plan_counts(width: int, millions: float) -> None:
    """Stem, three groups of ten 3 x 3 convolutions, a linear layer: counted by hand, without batch norm."""
    widths = [16, 16 * width, 32 * width, 64 * width]
    by_hand = 27 * 16 + widths[-1] * 10 + 10
    by_hand += sum(9 * ins * outs + 9 * 9 * outs * outs for ins, outs in itertools.pairwise(widths))
    model = _build(ModelSpec("madry_resnet", width))
    counted = sum(count_parameters(m) for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear))
    assert counted == by_hand
    assert counted / 1e6 == pytest.approx(millions, rel=5e-3)
    assert {m.eps for m in model.modules() if isinstance(m, nn.BatchNorm2d)} == {1e-3}


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "wanted"),
    [
        (32, 3, 1, (1, 1)),
        (32, 3, 2, (0, 1)),
        (33, 3, 2, (1, 1)),
        (8, 3, 2, (0, 1)),
        (28, 8, 2, (3, 3)),
        (5, 1, 2, (0, 0)),
    ],
)
def test_same_padding_is_tensorflows(size: int, kernel: int, stride: int, wanted: tuple[int, int]) -> None:
    """Written out in TensorFlow's documentation: out = ceil(in / stride), the smaller half of the zeros before."""
    assert same_padding(size, kernel, stride) == wanted
    assert (size + sum(wanted) - kernel) // stride + 1 == math.ceil(size / stride)


@pytest.mark.parametrize(("side", "stride"), [(8, 1), (8, 2), (7, 2), (7, 1)])
def test_a_same_convolution_is_its_sum(side: int, stride: int) -> None:
    """Each output by hand: pixel (stride i - before + k) under weight k, zero outside the image."""
    torch.manual_seed(0)
    conv, x = SameConv(2, 3, stride).double(), torch.rand(1, 2, side, side, dtype=torch.float64)
    before, _ = same_padding(side, 3, stride)
    weight, image = conv.weight.detach().numpy(), x[0].numpy()
    out = np.zeros((3, math.ceil(side / stride), math.ceil(side / stride)))
    for i, j, a, b in np.ndindex(*out.shape[1:], 3, 3):
        row, column = stride * i - before + a, stride * j - before + b
        if 0 <= row < side and 0 <= column < side:
            out[:, i, j] += weight[:, :, a, b] @ image[:, row, column]
    np.testing.assert_allclose(conv(x)[0].detach().numpy(), out, atol=1e-12)


def test_each_image_is_standardised_on_raw_pixels() -> None:
    x = torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    x[2] = 0.25  # no contrast at all: divided by 1 / sqrt(n), not by zero
    raw = 255 * x.double().numpy()
    wanted = [(image - image.mean()) / max(image.std(), 1 / np.sqrt(48)) for image in raw]
    np.testing.assert_allclose(Standardise()(x).numpy(), np.stack(wanted), atol=2e-5)


def test_a_shortcut_averages_and_pads_channels_on_both_sides() -> None:
    """With its convolutions at zero, a network of Madry's is its shortcuts alone."""
    model = _build(ModelSpec("madry_resnet", 2))
    for module in model.modules():
        if isinstance(module, SameConv):
            nn.init.zeros_(module.weight)
    nn.init.dirac_(model[1].weight)  # type: ignore[index]
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    h = F.leaky_relu(model[2].first[0](model[1](model[0](x))), 0.1)  # type: ignore[index]
    h = F.pad(h, (0, 0, 0, 0, 8, 8))  # 16 to 32 channels
    h = F.pad(F.avg_pool2d(h, 2), (0, 0, 0, 0, 16, 16))
    h = F.pad(F.avg_pool2d(h, 2), (0, 0, 0, 0, 32, 32))
    torch.testing.assert_close(model[:17](x), h)  # type: ignore[index]


def test_a_wide_block_is_written_out() -> None:
    """Where the width changes the shortcut takes the activated input, elsewhere the input itself."""
    model = _build(ModelSpec("wide_resnet", 1, depth=16))
    x, group = torch.rand(2, 16, 8, 8), [model[3], model[4]]  # type: ignore[index]
    for block, changes in zip(group, (True, False), strict=True):
        a = F.relu(block.first[0](x))
        h = F.relu(block.body[1](F.conv2d(a, block.body[0].weight, stride=2 if changes else 1, padding=1)))
        h = F.conv2d(h, block.body[3].weight, padding=1)
        wanted = h + (F.conv2d(a, block.shortcut.weight, stride=2) if changes else x)
        torch.testing.assert_close(block(x), wanted)
        x = wanted


def test_depths() -> None:
    assert count_parameters(_build(ModelSpec("wide_resnet", 10, depth=28))) == 36_479_194
    for depth in (9, 35):
        with pytest.raises(RobustlibError, match="give 6 n"):
            _build(ModelSpec("wide_resnet", 1, depth=depth))
    with pytest.raises(RobustlibError, match="whose depth is fixed"):
        ModelSpec("resnet18", 64, depth=34)


def test_initial_weights_of_the_trades_networks() -> None:
    model = _build(ModelSpec("small_cnn", 32), MNIST)
    assert not bool(model(torch.rand(2, *MNIST)).any())  # the last layer starts at zero
    assert float(model[2].weight.detach().std()) == pytest.approx(math.sqrt(2 / (32 * 9)), rel=0.05)  # type: ignore[index]
    wide = _build(ModelSpec("wide_resnet", 2, depth=10))
    assert float(wide[2].body[0].weight.detach().std()) == pytest.approx(math.sqrt(2 / (9 * 64)), rel=0.05)  # type: ignore[index]


def test_small_cnn_and_net_are_their_layers() -> None:
    """Pool before ReLU and the other way round agree."""
    model, x = _build(ModelSpec("trades_net", 10), MNIST), torch.rand(3, *MNIST)
    layers = [m for m in model if isinstance(m, nn.Conv2d | nn.Linear)]  # type: ignore[attr-defined]
    h = F.max_pool2d(F.relu(layers[0](x)), 2)
    h = F.max_pool2d(F.relu(layers[1](h)), 2).flatten(1)
    torch.testing.assert_close(model(x), layers[3](F.relu(layers[2](h))))
    kinds = [type(m).__name__ for m in model]  # type: ignore[attr-defined]
    assert kinds.index("Dropout2d") == 4


def test_the_binary_network_gives_a_sign() -> None:
    model, x = _build(ModelSpec("trades_binary", 10), MNIST, 2), torch.rand(5, *MNIST)
    logits = model(x)
    torch.testing.assert_close(logits[:, 1], model[:-1](x)[:, 0])  # type: ignore[index]
    assert not bool(logits[:, 0].any())
    with pytest.raises(RobustlibError, match="2 classes"):
        _build(ModelSpec("trades_binary", 10), MNIST, 10)


@pytest.mark.parametrize("name", ["small_cnn", "trades_net", "resnet18", "wide_resnet", "madry_resnet"])
def test_each_also_runs_on_eight_by_eight_digits(name: str) -> None:
    assert _build(ModelSpec(name, 4), (1, 8, 8))(torch.rand(2, 1, 8, 8)).shape == (2, 10)
