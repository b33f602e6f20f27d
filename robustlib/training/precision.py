"""Search in low precision: a bfloat16, channels_last copy of a network that follows its float32 master.

Signs of gradients are insensitive to precision, and processors with bf16 arithmetic run the copy three
to four times faster; weights, optimiser state and every verdict stay in float32. Batch norm stays in float32
too, on the master's own running statistics, so that batches which the copy sees in training update the master's.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class LowPrecisionCopy(nn.Module):
    """``copy(x)`` takes and returns float32; inside, weights and activations are bfloat16 but for batch norm's."""

    def __init__(self, master: nn.Module) -> None:
        super().__init__()
        self.inner = copy.deepcopy(master).to(torch.bfloat16).to(memory_format=torch.channels_last)
        norms = nn.modules.batchnorm._BatchNorm
        for ours, theirs in zip(self.inner.modules(), master.modules(), strict=True):
            if isinstance(ours, norms):
                ours.float()
                ours._buffers.update(theirs._buffers)
        self._pairs: tuple[list[Tensor], list[Tensor]] = ([*self.inner.parameters()], [*master.parameters()])
        # Batch norm came back from bfloat16 rounded.
        self.refresh()

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(torch.bfloat16)
        if x.dim() == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.inner(x)
        return logits.float()

    @torch.no_grad()
    def refresh(self) -> None:
        """Take over the master's weights."""
        if self._pairs[0]:
            torch._foreach_copy_(*self._pairs)

    @torch.no_grad()
    def hand_over_gradients(self) -> None:
        """Move the copy's gradients to the master, in float32 and in the master's memory layout.

        PyTorch's fused Adam on the CPU walks through gradient and weight as raw memory: a channels_last
        gradient beside a contiguous weight would be applied to the wrong weights, silently.
        """
        for ours, theirs in zip(*self._pairs, strict=True):
            theirs.grad = None if ours.grad is None else torch.empty_like(theirs).copy_(ours.grad)
            ours.grad = None


def low_precision_copy(master: nn.Module) -> LowPrecisionCopy:
    """A copy to compute gradients with; call ``refresh()`` after every update of the master."""
    return LowPrecisionCopy(master)
