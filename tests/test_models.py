"""The papers' networks: sizes as published, initial weights as drawn, padding as TensorFlow's."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from robustlib.errors import RobustlibError
from robustlib.models import ModelSpec, build, count_parameters

SIZES = {1: 13_514, 2: 52_506, 4: 206_954, 8: 821_706, 16: 3_274_634}


def _build(spec: ModelSpec, side: int = 28, seed: int = 0) -> torch.nn.Module:
    return build(spec, input_shape=(1, side, side), classes=10, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("scale", "parameters"), SIZES.items())
def test_the_capacity_family_has_the_published_sizes(scale: int, parameters: int) -> None:
    assert count_parameters(_build(ModelSpec("madry_cnn", scale))) == parameters


def test_initial_weights_are_those_of_the_authors_code() -> None:
    first, hidden = (_build(ModelSpec("madry_cnn", 16))[i] for i in (0, 7))  # type: ignore[index]
    assert float(hidden.weight.detach().std()) == pytest.approx(0.088, abs=0.002)  # std 0.1 cut at two std
    assert float(hidden.weight.detach().abs().max()) <= 0.2
    assert bool((first.bias == 0.1).all())


def test_building_draws_from_its_generator_alone() -> None:
    state = torch.get_rng_state()
    one, other, third = (_build(ModelSpec("madry_cnn", 1), seed=s) for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one[0].weight, other[0].weight)  # type: ignore[index]
    assert not torch.equal(one[0].weight, third[0].weight)  # type: ignore[index]


def test_relu_after_the_pool_is_the_same_function() -> None:
    model, x = _build(ModelSpec("madry_cnn", 2)), torch.rand(3, 1, 28, 28)
    c1, c2, f1, f2 = (model[i] for i in (0, 3, 7, 9))  # type: ignore[index]
    h = F.max_pool2d(F.relu(c1(x)), 2)
    h = F.max_pool2d(F.relu(c2(h)), 2)
    torch.testing.assert_close(model(x), f2(F.relu(f1(h.flatten(1)))))


def test_architecture_b_pads_as_tensorflow_does() -> None:
    """SAME at stride 2 with an 8 x 8 kernel on 28 pixels: total padding 6, three on each side, 14 x 14 out."""
    model, x = _build(ModelSpec("architecture_b", 16)), torch.rand(2, 1, 28, 28)
    padded = F.pad(x, (3, 3, 3, 3))
    conv = model[1]  # type: ignore[index]
    torch.testing.assert_close(conv(x), F.conv2d(padded, conv.weight, conv.bias, stride=2))
    assert conv(x).shape[2:] == (14, 14)
    assert model(x).shape == (2, 10)
    assert _build(ModelSpec("architecture_b", 2), side=8)(torch.rand(2, 1, 8, 8)).shape == (2, 10)


def test_unknown_names_suggest() -> None:
    with pytest.raises(RobustlibError, match="did you mean 'madry_cnn'"):
        ModelSpec("madry_cn")
    with pytest.raises(RobustlibError, match="kaiming_uniform"):
        ModelSpec("madry_cnn", init="kaiming")
    with pytest.raises(RobustlibError, match="below 1"):
        ModelSpec("madry_cnn", 0)


@pytest.mark.parametrize(
    ("spec", "shape", "parameters", "flat"),
    [
        (ModelSpec("papernot_mnist", 32), (1, 28, 28), 312_202, 1_024),
        (ModelSpec("papernot_cifar", 64), (3, 32, 32), 1_147_978, 3_200),
    ],
    ids=["mnist", "cifar"],
)
def test_papernots_networks_have_nine_layers_of_the_published_widths(
    spec: ModelSpec, shape: tuple[int, ...], parameters: int, flat: int
) -> None:
    model = build(spec, input_shape=shape, classes=10, generator=torch.Generator().manual_seed(0))
    assert count_parameters(model) == parameters
    kinds = torch.nn.Conv2d | torch.nn.MaxPool2d | torch.nn.Linear
    assert sum(isinstance(module, kinds) for module in model.modules()) == 9
    dense = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    assert dense[0].in_features == flat
    drops = [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    assert drops == [0.5, 0.5]
    assert not any(module.bias.any() for module in dense)


def test_papernots_cifar_network_standardises_onto_the_printed_range() -> None:
    model = build(
        ModelSpec("papernot_cifar", 4), input_shape=(3, 32, 32), classes=10, generator=torch.Generator().manual_seed(0)
    )
    ends = model[0](torch.tensor([0.0, 1.0]))  # type: ignore[index]
    torch.testing.assert_close(ends, torch.tensor([-2.22, 2.62]))
