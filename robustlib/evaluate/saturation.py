"""Saturation of a softmax: derivatives of its outputs at any magnitude, and their values in float32."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..attacks._model import frozen, logits_of
from ..attacks.contract import checked


def jacobian(outputs: Tensor, x: Tensor) -> Tensor:
    """(N, K, D) derivatives of (N, K) outputs to the inputs (N, ...) that they were computed from, one row each."""
    rows = [torch.autograd.grad(outputs[:, i].sum(), x, retain_graph=True)[0] for i in range(outputs.shape[1])]
    return torch.stack(rows, 1).flatten(2)


def softmax_jacobian(logits: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
    """dF/dX of F = softmax(z) as (scaled, scale): it is ``scaled * exp(scale)``, without underflow or cancellation.

    dF_i/dX_j = sum_l F_i F_l (dz_i/dX_j - dz_l/dX_j); the largest F_i F_l with i != l of a point is taken out of
    the sum, in logarithms.

    Args:
        logits: (N, K) z.
        slopes: (N, K, D) dz/dX.

    Returns:
        (N, K, D) and (N,), float64.

    Source: arXiv 1511.04508, section IV.C, at T = 1.
    """
    outputs, slopes = logits.double().log_softmax(1), slopes.double()
    pairs = outputs[:, :, None] + outputs[:, None, :]
    pairs.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
    scale = pairs.flatten(1).amax(1)
    shares = (pairs - scale[:, None, None]).exp()
    return shares.sum(2, keepdim=True) * slopes - shares @ slopes, scale


@checked
def amplitudes(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean |dF_i/dX_j| over outputs and features of each input, at T = 1.

    Args:
        model: eval mode, float32, (N, ...) inputs to (N, K) logits.
        x: (N, ...) inputs.

    Returns:
        (N,) its log10 in float64, at any magnitude; (N,) its value as float32's automatic differentiation gives it;
        (N,) share of entries that are exactly zero there.
    """
    with frozen(model), torch.enable_grad():
        x = x.detach().requires_grad_(True)
        logits = logits_of(model, x)
        plain = jacobian(logits.softmax(1), x)
        scaled, scale = softmax_jacobian(logits.detach(), jacobian(logits, x))
    size = scaled.abs().mean((1, 2)).log10() + scale / math.log(10)
    return size, plain.abs().double().mean((1, 2)), (plain == 0).double().mean((1, 2))
