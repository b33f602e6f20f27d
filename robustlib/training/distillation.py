"""Defensive distillation (Papernot et al., IEEE S&P 2016): training on the softened outputs of another network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..attacks._model import check_eval, check_temperature
from ..attacks.losses import cross_entropy
from ..data import Split
from ..errors import RobustlibError
from ..registry import spec
from .checks import check_rows
from .defence import Defence

CHUNK = 1_000


class WeakTeacher(RobustlibError):
    """A teacher that misclassifies its own training examples, so that its labels would be noise."""


@spec
@dataclass(frozen=True)
class Distillation(Defence):
    """min_theta -(1/|D|) sum_X sum_i F_i(X) log F^d_i(X): the student F^d fits the teacher's outputs, both at T.

    F(X) = softmax(z(X) / T). Only soft labels count: no share of hard ones and no factor T^2, unlike Hinton et al.
    The student is deployed at T = 1, as everything that is measured here is.

    Args:
        temperature: T > 0, the teacher's as well.
        least_accuracy: share of its training rows that the teacher must know, in [0, 1): at a high T the gradient is
            1/T of what it is at 1, and a teacher whose training stalled gives uniform labels.

    Source: arXiv 1511.04508, section IV.
    """

    taught: ClassVar[bool] = True
    temperature: float
    least_accuracy: float = 0.0
    protocol: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "temperature", check_temperature(self.temperature))
        if not 0 <= self.least_accuracy < 1:
            raise RobustlibError(f"least_accuracy={self.least_accuracy} of a Distillation; give a share in [0, 1)")

    @property
    def name(self) -> str:
        """``distilled_T20``."""
        return f"distilled_T{self.temperature:g}"

    def losses(
        self, model: nn.Module, x: Tensor, y: Tensor, *, progress: float, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        return softened(model, x, y, self.temperature)


def softened(model: nn.Module, x: Tensor, y: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """(N,) cross-entropy of softmax(z / T) under y, classes or soft labels, and the (N, K) logits z."""
    logits = model(x)
    return cross_entropy(logits / temperature, y), logits.detach()


@torch.no_grad()
def soft_labels(teacher: nn.Module, split: Split, rows: Tensor, what: Distillation) -> Tensor:
    """(n, K) float32 rows of softmax(z / T) of the teacher, in eval mode: computed once, for the whole training.

    Args:
        teacher: eval mode, logits z.
        split: training images and labels.
        rows: (n,) positions in the split.
        what: the defence: T, and the accuracy below which the teacher is refused.

    Raises:
        WeakTeacher: its accuracy on these rows is below ``what.least_accuracy``.
    """
    check_eval(teacher, name="teacher")
    check_rows(rows, split)
    logits = torch.cat([teacher(split.images(part)) for part in rows.split(CHUNK)])
    accuracy = float((logits.argmax(1).to(split.y.device) == split.y[rows.to(split.y.device)]).float().mean())
    if accuracy < what.least_accuracy:
        raise WeakTeacher(
            f"the teacher knows {accuracy:.1%} of its training rows, below least_accuracy={what.least_accuracy:.1%}; "
            "train it longer, at a higher rate, or from weights trained at T = 1"
        )
    return (logits / what.temperature).softmax(1)
