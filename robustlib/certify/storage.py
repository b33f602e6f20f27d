"""Memory of tensors: which of them share it, and where in it their values are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def whole(tensor: Tensor) -> tuple[Any, ...]:
    """Where in its memory a tensor's values are."""
    return tensor.storage_offset(), tuple(tensor.shape), tensor.stride()


def overlap(one: Tensor, other: Tensor) -> bool:
    """True where two views of one memory have a place in common, or count its places otherwise."""
    if one.element_size() != other.element_size():
        return True

    def places(tensor: Tensor) -> Tensor:
        offset, shape, stride = whole(tensor)
        reach = [torch.arange(n) * step for n, step in zip(shape, stride, strict=True)]
        return sum((at.view(-1, *[1] * i) for i, at in enumerate(reversed(reach))), torch.tensor(offset)).flatten()

    return bool(torch.isin(places(one), places(other)).any())


def memory_of(tensor: Tensor) -> int:
    """The memory that a tensor's values are in, as a number."""
    # TorchScript calls operators with the guard still on, which is not for this.
    with torch._C.DisableTorchFunction():
        storage = tensor.untyped_storage()
        return storage.data_ptr() or storage._cdata


def flat_of(tensor: Tensor) -> Tensor:
    """All of a tensor's memory, in order."""
    with torch._C.DisableTorchFunction():
        size = tensor.untyped_storage().nbytes() // tensor.element_size()
        return tensor.detach().as_strided((size,), (1,), 0)


def covers(tensor: Tensor, flat: Tensor) -> bool:
    """True where a tensor has all of its memory, in order."""
    return tensor.is_contiguous() and tensor.numel() == flat.numel()


def same_places(tensor: Tensor, arguments: dict[str, Any]) -> bool:
    """True where ``as_strided_`` leaves each value where it is: steps along axes of length one alone may differ."""
    steps = zip(tensor.shape, tensor.stride(), arguments["stride"], strict=False)
    return (
        list(tensor.shape) == list(arguments["size"])
        and arguments["storage_offset"] in (None, tensor.storage_offset())
        and all(n == 1 or one == other for n, one, other in steps)
    )


def own_memory(tensor: Tensor) -> bool:
    """False of memory that something outside PyTorch holds, such as a NumPy array."""
    with torch._C.DisableTorchFunction():
        return tensor.is_meta or tensor.untyped_storage().resizable()
