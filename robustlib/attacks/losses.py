"""Per-example losses that attacks increase: (N, K) logits and (N,) labels in, (N,) out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import RobustlibError, suggest
from ._model import Loss


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """-log softmax(z)_y, in nats; computed in float32 at least."""
    return F.cross_entropy(logits.float() if logits.dtype == torch.bfloat16 else logits, y, reduction="none")


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """z_y - max_{i != y} z_i: positive where the point is classified as y."""
    others = logits.scatter(1, y[:, None], float("-inf"))
    return logits.gather(1, y[:, None]).squeeze(1) - others.amax(1)


def margin_loss(kappa: float) -> Loss:
    """The loss of Madry et al.'s "CW" rows: -relu(z_y - max_{i != y} z_i + kappa), to be increased.

    It stops growing once another class leads by kappa, in logits.
    """

    def loss(logits: Tensor, y: Tensor) -> Tensor:
        return -(margin(logits, y) + kappa).clamp_min(0)

    return loss


def named_loss(name: str, *, kappa: float = 0.0) -> Loss:
    """``"cross_entropy"`` or ``"margin"`` (with kappa, in logits)."""
    if name == "cross_entropy":
        return cross_entropy
    if name == "margin":
        return margin_loss(kappa)
    raise RobustlibError(suggest("loss", name, ("cross_entropy", "margin")))
