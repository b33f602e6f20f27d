"""Random crops and mirror images of a training batch, on the batch's device."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import RobustlibError


def crop_and_flip(x: Tensor, *, pad: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Each image cut at its own place out of itself with ``pad`` zeros around, mirrored for half of them.

    Args:
        x: (N, C, H, W) images.
        pad: zeros on each side; 0 leaves images where they are.
        flip: whether each image is mirrored left to right with probability 1/2.
        generator: on the CPU, so that every device makes the same choices.

    Returns:
        (N, C, H, W).

    Raises:
        RobustlibError: x holds no images.
    """
    if x.dim() != 4:
        raise RobustlibError(f"x has shape {tuple(x.shape)}; crops and flips need images, (N, C, H, W)")
    n, channels, height, width = x.shape
    top, left = torch.randint(2 * pad + 1, (2, n, 1), generator=generator).to(x.device)
    mirrored = (torch.rand(n, 1, generator=generator) < (0.5 if flip else 0.0)).to(x.device)
    rows = top + torch.arange(height, device=x.device)
    columns = left + torch.arange(width, device=x.device)
    columns = torch.where(mirrored, columns.flip(1), columns)
    image = torch.arange(n, device=x.device).view(-1, 1, 1, 1)
    channel = torch.arange(channels, device=x.device).view(1, -1, 1, 1)
    return F.pad(x, (pad,) * 4)[image, channel, rows[:, None, :, None], columns[:, None, None, :]]
