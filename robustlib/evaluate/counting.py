"""Counting of an evaluation's cost: examples through forward and backward passes, wall seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass
class Passes:
    """Cost of an evaluation; passes are counted in examples, so that chunks of any size give the same number."""

    forwards: int = 0
    backwards: int = 0
    seconds: float = 0.0

    def add(self, forwards: int, backwards: int, seconds: float) -> None:
        """Count more of each."""
        self.forwards, self.backwards = self.forwards + forwards, self.backwards + backwards
        self.seconds += seconds


@contextmanager
def counted(*models: nn.Module | None) -> Iterator[Passes]:
    """Count passes through the models, and wall seconds, inside the block."""
    cost = Passes()

    def seen(_: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        cost.forwards += len(inputs[0])
        if isinstance(output, Tensor) and output.requires_grad:
            output.register_hook(_count_backward)

    def _count_backward(gradient: Tensor) -> None:
        cost.backwards += len(gradient)

    began = time.perf_counter()
    with ExitStack() as stack:
        for model in {id(m): m for m in models if m is not None}.values():
            stack.callback(model.register_forward_hook(seen).remove)
        yield cost
    cost.seconds = time.perf_counter() - began
