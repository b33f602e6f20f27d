"""Checks of a training's description, and of the network and the data before its first update."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..attacks._model import logits_of
from ..data import Split
from ..errors import RobustlibError
from ..threat import LinfBall, check_labels
from .defence import Defence
from .inner import held
from .schedule import Schedule
from .values import whole

CHUNK = 10_000
"""Inputs that are looked at together."""
SUM = 1e-3
"""Distance from 1 of a soft label's sum that rounding may explain."""


def check_rows(rows: object, split: object) -> None:
    """Raise RobustlibError unless rows are int64 positions in a split, in one dimension."""
    if not isinstance(split, Split):
        raise RobustlibError(f"split is a {type(split).__name__}; give a Split, such as load('digits').test")
    if not isinstance(rows, Tensor):
        raise RobustlibError(f"rows is a {type(rows).__name__}; give a tensor of positions, such as torch.arange(100)")
    if rows.dtype != torch.int64 or rows.dim() != 1:
        raise RobustlibError(
            f"rows have dtype {rows.dtype} and shape {tuple(rows.shape)}; give int64 positions in the split, such as "
            "torch.arange(100)"
        )
    if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(split):
        raise RobustlibError(
            f"rows reach from {int(rows.min())} to {int(rows.max())}; the split has {len(split)}, from 0"
        )


def check_training(
    model: nn.Module,
    split: Split,
    rows: Tensor,
    defence: Defence,
    schedule: Schedule,
    seed: object,
    soft_labels: Tensor | None,
) -> None:
    """Raise RobustlibError unless the arguments of :func:`robustlib.training.fit` fit together."""
    for name, value, kind, remedy in (
        ("model", model, nn.Module, "give one from inputs to (N, classes) logits"),
        ("defence", defence, Defence, "give an instance, such as Standard()"),
        ("schedule", schedule, Schedule, "give one, such as Schedule(steps=1000, batch=100, lr=1e-3)"),
    ):
        if not isinstance(value, kind):
            raise RobustlibError(f"{name}={value!r} is no {kind.__name__}; {remedy}")
    if not whole(seed):
        raise RobustlibError(f"seed={seed!r}; give a whole number")
    check_rows(rows, split)
    if len(rows) == 0:
        raise RobustlibError("rows are empty; give at least one position in the split")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise RobustlibError("no parameter of model requires a gradient; call .requires_grad_(True) on what is trained")
    check_labels(split.x, split.y)
    threat = getattr(defence, "threat", None) or LinfBall(0.0, None)
    # Pixels are numbers from 0 to 255 by their type: one shows all.
    for part in (rows[:1] if split.x.dtype == torch.uint8 else rows).split(CHUNK):
        threat.within_rounding(split.images(part))
    with held(model), torch.no_grad():
        classes = logits_of(model, split.images(rows[:1]), split.y[rows.to(split.y.device)]).shape[1]
    if defence.classes not in (0, classes):
        raise RobustlibError(
            f"{type(defence).__name__} is defined for {defence.classes} classes, the model has {classes}"
        )
    if soft_labels is None and defence.taught:
        raise RobustlibError(
            f"soft_labels are missing, which {type(defence).__name__} is trained on; give soft_labels(teacher, split, "
            "rows, defence)"
        )
    if soft_labels is not None:
        _check_soft(soft_labels, len(rows), classes)


def _check_soft(labels: Tensor, rows: int, classes: int) -> None:
    if not isinstance(labels, Tensor) or labels.shape != (rows, classes) or not labels.is_floating_point():
        form = f"{labels.dtype} of shape {tuple(labels.shape)}" if isinstance(labels, Tensor) else type(labels).__name__
        raise RobustlibError(
            f"soft_labels are {form}; give a floating ({rows}, {classes}) tensor, one line for each of rows in their "
            "order"
        )
    least, far = float(labels.min()), float((labels.sum(1) - 1).abs().max())
    if not (least >= 0 and far <= SUM):
        raise RobustlibError(
            f"soft_labels are no distributions: the least is {least:.3g}, sums differ from 1 by up to {far:.3g}; give "
            "a softmax"
        )
