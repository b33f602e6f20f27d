"""Batches of numbers of any size: shapes that broadcast, precision that suffices, lengths that no scale spoils."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def per_example(values: Tensor, like: Tensor) -> Tensor:
    """(N,) values shaped to broadcast over ``like`` (N, ...)."""
    return values.view(-1, *[1] * (like.dim() - 1))


def at_least_float32(values: Tensor) -> Tensor:
    """The values themselves, or in float32 where their dtype is shorter."""
    return values.float() if values.element_size() < 4 else values


def drawn(x: Tensor) -> Tensor:
    """An empty tensor like x to draw into: the draws run row by row, however x lies in memory."""
    # One channel in channels_last is contiguous too; convolutions still take another way for it, so it stays so.
    return torch.empty_like(x) if x.is_contiguous() else torch.empty(x.shape, dtype=x.dtype, device=x.device)


def levelled(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(N, D) rows whose largest entry lies in [1/2, 1), and the two powers of two that each row was multiplied by.

    Powers of two change no digit, so that norms and quotients of ordinary rows are what they were to the last bit;
    those of tiny and huge rows neither vanish nor overflow. Two factors, since one could itself overflow.
    """
    flat = at_least_float32(values).flatten(1)
    largest = flat.abs().amax(1, keepdim=True) if flat.shape[1] else flat.new_zeros(len(flat), 1)
    far = 2.0 ** (math.frexp(torch.finfo(flat.dtype).max)[1] // 2)
    lift = torch.ones_like(largest).masked_fill(largest < 1 / far, far).masked_fill(largest > far, 1 / far)
    largest = largest * lift
    usual = (largest > 0) & torch.isfinite(largest)
    factor = torch.where(usual, torch.frexp(largest).mantissa / largest, 1.0)
    return flat * lift * factor, lift[:, 0], factor[:, 0]


def unit(values: Tensor, *, order: int = 2) -> Tensor:
    """Each row of (N, ...) values divided by its norm of that order, 1 or 2, whatever its magnitude; 0 stays 0."""
    flat, _, _ = levelled(values)
    length = flat.norm(dim=1) if order == 2 else flat.abs().sum(1)
    return (flat / torch.where(length > 0, length, 1.0)[:, None]).view(values.shape).to(values.dtype)
