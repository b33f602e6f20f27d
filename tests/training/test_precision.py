"""The low-precision copy hands over gradients that every optimiser applies to the right weights."""

from __future__ import annotations

import pytest
import torch

from robustlib.attacks.losses import cross_entropy
from robustlib.models import ModelSpec, build
from robustlib.training import low_precision_copy


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(16, 1, 28, 28, generator=generator), torch.randint(10, (16,), generator=generator)


def _network() -> torch.nn.Module:
    generator = torch.Generator().manual_seed(1)
    return build(ModelSpec("madry_cnn", 2), input_shape=(1, 28, 28), classes=10, generator=generator)


def test_gradients_have_the_layout_of_the_weights(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, y = batch
    master = _network()
    copy = low_precision_copy(master)
    cross_entropy(copy(x), y).mean().backward()
    copy.hand_over_gradients()
    for name, parameter in master.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.stride() == parameter.stride(), name


def test_fused_adam_moves_the_same_weights_as_plain_adam(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    """With a channels_last gradient it does not: the fused CPU kernel ignores strides."""
    x, y = batch
    results = []
    for fused in (True, False):
        master = _network()
        copy = low_precision_copy(master)
        optimiser = torch.optim.Adam(master.parameters(), lr=1e-2, fused=fused)
        cross_entropy(copy(x), y).mean().backward()
        copy.hand_over_gradients()
        optimiser.step()
        results.append([parameter.detach().clone() for parameter in master.parameters()])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_low_precision_gradients_point_where_full_precision_ones_do(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, y = batch
    full, low = _network(), _network()
    copy = low_precision_copy(low)
    cross_entropy(full(x), y).mean().backward()
    cross_entropy(copy(x), y).mean().backward()
    copy.hand_over_gradients()
    for (name, one), other in zip(full.named_parameters(), low.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        cosine = torch.nn.functional.cosine_similarity(one.grad.flatten(), other.grad.flatten(), dim=0)
        assert cosine > 0.98, f"{name}: cosine {cosine:.3f}"
