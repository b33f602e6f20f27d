"""Size of the parts in which bounds are computed: smaller where memory is short, so that large networks fit."""

from __future__ import annotations

import contextlib
from pathlib import Path

import torch
from torch import Tensor

MOST = 2**25
"""Numbers in one part of rows where memory is no concern."""
COPIES = 16
"""Parts of that size that free memory must hold: one operation makes several of one, and others need memory too."""
_MACHINE, _GROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


def free_bytes(device: torch.device) -> int | None:
    """Free memory in bytes: the machine's or, where it is less, the container's; None: unknown."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + kept
    found = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        found.append(1024 * int(_MACHINE.read_text(encoding="utf-8").split("MemAvailable:")[1].split()[0]))
    with contextlib.suppress(OSError, ValueError):
        # Without a limit the file says "max".
        limit, used = ((_GROUP / f"memory.{name}").read_text(encoding="utf-8") for name in ("max", "current"))
        found.append(int(limit) - int(used))
    return max(0, min(found)) if found else None


def elements(like: Tensor) -> int:
    """Numbers of the tensor's type to hold at a time on its device, in [1, MOST]."""
    free = free_bytes(like.device)
    return MOST if free is None else max(1, min(MOST, free // (COPIES * like.element_size())))
