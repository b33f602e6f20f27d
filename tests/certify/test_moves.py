"""Cuts, pads and other moves of a map: one operation, and where there is one the same as a small convolution."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from robustlib.certify.moves import _as_convolution
from robustlib.certify.operations import Take
from robustlib.certify.rows import Dense, Patches, Unit

BEFORE = (3, 5, 6)
CHANNELS = {"as they are": [0, 1, 2], "in another order": [2, 0, 1], "some, one twice": [1, 1], "a blank one": [-1, 2]}


def places(channels: list[int], lines: list[int], columns: list[int]) -> Tensor:
    """Index of the cells at these lines and columns of these channels; what lies outside the map is -1."""
    c, h, w = (torch.tensor(values) for values in (channels, lines, columns))
    inside = (c >= 0)[:, None, None] & ((h >= 0) & (h < 5))[:, None] & ((w >= 0) & (w < 6))
    return torch.where(inside, c[:, None, None] * 30 + h[:, None] * 6 + w, -1)


@pytest.mark.parametrize("channels", CHANNELS)
def test_a_small_cut_is_a_convolution(channels: str) -> None:
    generator, found = torch.Generator().manual_seed(0), 0
    z = torch.randn(2, *BEFORE, generator=generator, dtype=torch.float64, requires_grad=True)
    for step, first, last in itertools.product((1, 2, 3), (-2, -1, 0, 1), (3, 4, 6)):
        index = places(CHANNELS[channels], list(range(first, last, step)), list(range(first, last + 1, step)))
        after = tuple(index.shape)
        take = Take(index.flatten(), after)
        convolution = _as_convolution(index.flatten(), BEFORE, after, z)
        if convolution is None:
            continue
        found += 1
        assert torch.equal(convolution.forward(z), take.forward(z))
        rows = Dense(torch.randn(2, 4, *after, generator=generator, dtype=torch.float64))
        (derivative,) = torch.autograd.grad((take.forward(z)[:, None] * rows.a).sum((0, 2, 3, 4))[1], z)
        for operation in (take, convolution):
            back = operation.back(rows, BEFORE, after).dense(BEFORE).a
            torch.testing.assert_close(back[:, 1], derivative)
        unit = Unit(z.detach().new_ones(1, after[0], 1, 1), after, slice(None))
        assert isinstance(convolution.back(unit, BEFORE, after), Patches)
        torch.testing.assert_close(
            convolution.back(unit, BEFORE, after).pair(z), take.back(unit, BEFORE, after).pair(z)
        )
    assert found > 12


@pytest.mark.parametrize("case", ["turned", "exchanged", "repeated", "shuffled", "all zero", "far"])
def test_what_is_no_small_cut_is_a_list_of_places(case: str) -> None:
    index = torch.arange(math.prod(BEFORE)).view(BEFORE)
    moved = {
        "turned": index.flip(1),
        "exchanged": index.transpose(1, 2),
        "repeated": index.repeat_interleave(2, 1),
        "shuffled": index.flatten()[torch.randperm(90, generator=torch.Generator().manual_seed(0))].view(BEFORE),
        "all zero": torch.full(BEFORE, -1),
        "far": index[:, 4:, 5:],
    }[case]
    assert _as_convolution(moved.flatten(), BEFORE, tuple(moved.shape), torch.zeros(())) is None
