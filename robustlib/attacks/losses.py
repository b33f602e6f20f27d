"""Per-example losses that attacks increase: (N, K) logits and (N,) labels in, (N,) out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..batches import at_least_float32
from ..errors import RobustlibError, suggest
from ._model import Loss


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """-log softmax(z)_y, in nats; computed in float32 at least."""
    return F.cross_entropy(at_least_float32(logits), y, reduction="none")


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


def margin_to(kappa: float) -> Loss:
    """The margin loss to a target t in y's place: min(z_t - max_{i != t} z_i, kappa), to be increased."""

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        return margin(logits, target).clamp_max(kappa)

    return loss


def dlr(logits: Tensor, y: Tensor) -> Tensor:
    """Difference of logits ratio, -(z_y - max_{i != y} z_i) / (z_pi1 - z_pi3), to be increased; needs 3 classes.

    Unlike the cross-entropy it does not change when all logits are multiplied by a number. In float32 at least.

    Source: Croce and Hein 2020, equation 6.
    """
    logits = at_least_float32(logits)
    ordered = logits.topk(3, 1).values
    return -margin(logits, y) / _divisor(ordered[:, 0] - ordered[:, 2])


def dlr_targeted(logits: Tensor, labels: Tensor) -> Tensor:
    """-(z_y - z_t) / (z_pi1 - (z_pi3 + z_pi4) / 2), to be increased; needs 4 classes.

    Args:
        logits: (N, K).
        labels: (N, 2) int64: the class y and the target t of each row.

    Source: Croce and Hein 2020, equation 7.
    """
    logits = at_least_float32(logits)
    ordered, pair = logits.topk(4, 1).values, logits.gather(1, labels)
    return (pair[:, 1] - pair[:, 0]) / _divisor(ordered[:, 0] - ordered[:, 2:].mean(1))


def _divisor(gap: Tensor) -> Tensor:
    """The gap, or 1 where the largest logits are equal and their ratio means nothing."""
    return torch.where(gap > 0, gap, 1.0)


def named_loss(name: str, *, kappa: float = 0.0) -> Loss:
    """``"cross_entropy"``, ``"margin"`` (with kappa, in logits) or ``"dlr"``."""
    known = {"cross_entropy": cross_entropy, "margin": margin_loss(kappa), "dlr": dlr}
    if name not in known:
        raise RobustlibError(suggest("loss", name, known))
    return known[name]


def targeted_loss(name: str, *, kappa: float = 0.0) -> Loss:
    """The loss of that name towards classes t: (N, K) logits and (N, 2) labels (y, t) in, (N,) to be increased out."""
    if name == "dlr":
        return dlr_targeted
    wanted, sign = (margin_to(kappa), 1.0) if name == "margin" else (named_loss(name), -1.0)
    return lambda logits, labels: sign * wanted(logits, labels[:, 1])


def check_classes(loss: str, classes: int) -> None:
    """Raise RobustlibError where the named loss is not defined for so few classes."""
    needed = {"dlr": 3, "targeted dlr": 4}.get(loss, 2)
    if classes < needed:
        name = f"loss={loss!r}" if loss == "dlr" else "the targeted DLR loss"
        raise RobustlibError(f"{name} needs {needed} classes, the model has {classes}; use loss='margin'")


def check_targets(target_classes: int) -> None:
    """Raise RobustlibError for a number of target classes below 0."""
    if target_classes < 0:
        raise RobustlibError(f"target_classes={target_classes}; give 0 for an untargeted attack, or more")


def ranked_targets(logits: Tensor, y: Tensor) -> Tensor:
    """(N, K - 1) wrong classes of each example, the most likely first."""
    return logits.scatter(1, y[:, None], float("-inf")).argsort(1, descending=True)[:, :-1]
