"""Ways out of PyTorch's operators, by which a call might go on unseen: they are refused while it is recorded."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..errors import RobustlibError
from .recorder import Recorder

READS = {
    getattr(Tensor, name)
    for name in (
        "numpy",
        "tolist",
        "__array__",
        "data_ptr",
        "__dlpack__",
        "storage",
        "untyped_storage",
        "__deepcopy__",
        "__reduce_ex__",
        "__repr__",
        "__format__",
    )
}
"""Ways to the values of a tensor that no operator shows."""
SIZES = {Tensor.__len__}
"""Ways to the size of the batch that are refused; x.shape is followed, and x.flatten(1) replaces them."""
CHANGES = {Tensor.apply_, Tensor.map_, Tensor.map2_, Tensor.data.__set__}  # type: ignore[attr-defined]
"""Ways to change the values of a tensor that no operator shows."""


class Guard(TorchFunctionMode):
    """Refuses to hand values that depend on the input to anything but operators."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in CHANGES and any(self.recorder.source_of(one) is not None for one in args):
            name = getattr(func, "__name__", "a function").replace("__set__", "an assignment to .data")
            raise RobustlibError(
                f"model cannot be traced: {name} changes values that depend on the input outside PyTorch's operations"
            )
        if func in READS and args and self.recorder.source_of(args[0]) is not None:
            name = getattr(func, "__name__", "a function")
            raise RobustlibError(
                f"model cannot be traced: {name} takes values of the input out of PyTorch; use PyTorch's own operations"
            )
        if func in SIZES and self.recorder.source_of(args[0]) is not None:
            raise RobustlibError("model cannot be traced: len of the input is taken; write x.flatten(1) or x.shape[0]")
        return func(*args, **(kwargs or {}))
