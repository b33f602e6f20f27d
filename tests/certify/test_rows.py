"""A convolution's transpose, by both of its ways, against autograd: every stride, padding and cell left over."""

from __future__ import annotations

import itertools

import pytest
import torch

from robustlib.certify.rows import Kernel


@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize("stride", [(1, 1), (2, 3), (3, 3), (4, 2)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1)])
def test_the_transpose_is_the_derivative(channels: int, stride: tuple[int, int], dilation: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    for padding, size in itertools.product([(0, 0), (1, 1), (2, 1)], [(7, 8), (8, 9), (9, 10), (10, 7)]):
        weight = torch.randn(3, channels, 3, 4, generator=generator, dtype=torch.float64)
        kernel = Kernel(weight, stride, padding, dilation)
        z = torch.randn(2, channels, *size, generator=generator, dtype=torch.float64, requires_grad=True)
        found = kernel.forward(z)
        a = torch.randn(found.shape, generator=generator, dtype=torch.float64)
        (expected,) = torch.autograd.grad((a * found).sum(), z)
        torch.testing.assert_close(kernel.transpose(a, size), expected)
        whole = kernel.transpose(a)
        seen = tuple((a.shape[2 + i] - 1) * stride[i] + dilation[i] * (weight.shape[2 + i] - 1) + 1 for i in (0, 1))
        assert whole.shape[2:] == seen
        rows = [min(seen[i] - padding[i], size[i]) for i in (0, 1)]
        inside = whole[:, :, padding[0] : padding[0] + rows[0], padding[1] : padding[1] + rows[1]]
        torch.testing.assert_close(inside, expected[:, :, : rows[0], : rows[1]])
