"""Base class of defences: the objective, the cost of an update, and the networks that training begins from."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn


class Defence:
    """Base of every defence: a frozen dataclass, registered with ``@spec``, in one module with its objective."""

    points: ClassVar[int] = 1
    """Inputs for each example at which an update takes the gradient to the weights."""
    plain: ClassVar[bool] = False
    """True of training without a defence."""
    taught: ClassVar[bool] = False
    """True where its labels are the outputs of a teacher."""
    classes: ClassVar[int] = 0
    """Classes that it is defined for; 0: any number."""
    staged: ClassVar[bool] = False
    """True where earlier stages of a cascade may leave it a part of the training set."""
    released: ClassVar[bool] = False
    """True of weights that authors released: they are read from a file, and never trained."""

    @property
    def mean_steps(self) -> float:
        """Gradient steps to the input of an average update."""
        return 0.0

    @property
    def bounds(self) -> tuple[tuple[float, str, str, int], ...]:
        """Certificates that updates differentiate in place of outputs: share of training, method, slopes, columns."""
        return ()

    @property
    def name(self) -> str:
        """Names its networks' folders: ``pgd``."""
        raise NotImplementedError

    def losses(
        self, model: nn.Module, x: Tensor, y: Tensor, *, progress: float, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """(N,) losses to be minimised and the (N, K) logits they were computed from.

        Args:
            model: in train mode.
            x: (N, ...) inputs.
            y: (N,) classes, or (N, K) soft labels where it is taught.
            progress: share of training done, in [0, 1].
            generator: every random choice.
        """
        raise NotImplementedError
