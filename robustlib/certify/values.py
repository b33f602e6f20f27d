"""Tensors that depend on the input while a model runs: what made each, also where several share memory and parts of it
are written to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .storage import covers, flat_of, memory_of, overlap, whole

Source = tuple[int, int]
"""A value: the step that made it, and which of its outputs it is."""
Note = Callable[[Any, dict[str, Any], dict[int, Source | str], Any], Source]
"""Adds a step: an operator, its arguments by name, their sources, and its result."""


@dataclass
class Value:
    """A tensor that depends on the input: its source, or the reason why that is unknown; and the memory it had."""

    tensor: Tensor
    source: Source | str
    memory: int


Before = tuple[Tensor, Source | str | None]
"""All of a memory, and its source; None: it does not depend on the input."""


class Values:
    """The tensors so far, by themselves and by their memory."""

    def __init__(self, note: Note, where: Callable[[str], str]) -> None:
        self.note, self.where = note, where
        self.known: dict[int, Value] = {}
        self.shared: dict[int, list[Value]] = {}
        self.flats: dict[int, Value] = {}

    def keep(self, tensor: Tensor, source: Source | str) -> Value:
        """Set the tensor's source; the tensor is kept, so that no address is used twice."""
        value = Value(tensor, source, memory_of(tensor))
        self.known[id(tensor)] = value
        self.shared.setdefault(value.memory, []).append(value)
        return value

    def source_of(self, tensor: Any) -> Source | str | None:
        """Source of a tensor, known by itself or by the memory that it shares; None: not from the input."""
        if not isinstance(tensor, Tensor) or tensor.layout != torch.strided:
            return None
        if (known := self.known.get(id(tensor))) is not None:
            return known.source
        others = self.shared.get(memory_of(tensor), [])
        for other in reversed(others):
            if whole(other.tensor) == whole(tensor):
                return other.source
        if not any(overlap(other.tensor, tensor) for other in others):
            return None
        source = self._part(tensor)
        return self.keep(tensor, source).source

    def _part(self, tensor: Tensor) -> Source | str:
        """A view of memory of which parts were written to."""
        flat = self.flats.get(memory_of(tensor))
        if flat is None or isinstance(flat.source, str) or flat.tensor.dtype != tensor.dtype:
            return f"{self.where('view')} has no bound here: it sees memory that was changed in part"
        places = {
            "size": list(tensor.shape),
            "stride": list(tensor.stride()),
            "storage_offset": tensor.storage_offset(),
        }
        sources: dict[int, Source | str] = {id(flat.tensor): flat.source}
        return self.note(torch.ops.aten.as_strided.default, {"self": flat.tensor, **places}, sources, tensor)

    def before(self, tensor: Tensor) -> Before | None:
        """All of the memory that a part of it is about to be written to, as it is; None: it is no part, or unknown."""
        memory, flat = memory_of(tensor), flat_of(tensor)
        if covers(tensor, flat):
            return None
        if memory in self.flats:
            return self.flats[memory].tensor, self.flats[memory].source
        others = self.shared.get(memory, [])
        if not others:
            # A copy has no part in the gradients of what it is a copy of.
            return None if tensor.requires_grad else (flat.clone(), None)
        for other in others:
            if covers(other.tensor, flat) and not isinstance(other.source, str):
                return flat, self._laid_out(other.tensor, other.source, flat)
        return None

    def _laid_out(self, tensor: Tensor, source: Source, flat: Tensor) -> Source:
        """The memory that a tensor covers, in order."""
        arguments = {"self": tensor, "size": [tensor.numel()]}
        return self.note(torch.ops.aten.view.default, arguments, {id(tensor): source}, flat)

    def changed(self, tensor: Tensor, source: Source, before: Before | None) -> None:
        """The tensor was written to: so were its other names, and what of other views lies in the same places."""
        memory, flat = memory_of(tensor), flat_of(tensor)
        others = self.shared.get(memory, [])
        partly = [o for o in others if whole(o.tensor) != whole(tensor) and overlap(o.tensor, tensor)]
        for other in others:
            if whole(other.tensor) == whole(tensor):
                other.source = source
        self.keep(tensor, source)
        covered = covers(tensor, flat)
        if covered and not partly:
            return
        self.flats.pop(memory, None)
        if covered:
            self.flats[memory] = self.keep(flat, self._laid_out(tensor, source, flat))
        elif before is not None and not isinstance(before[1], str) and before[0].dtype == tensor.dtype:
            earlier, places = before[0], {"size": list(tensor.shape), "stride": list(tensor.stride())}
            arguments = {"self": earlier, "src": tensor, **places, "storage_offset": tensor.storage_offset()}
            sources: dict[int, Source | str] = {id(tensor): source}
            if before[1] is not None:
                sources[id(earlier)] = before[1]
            made = self.note(torch.ops.aten.as_strided_scatter.default, arguments, sources, flat)
            self.flats[memory] = self.keep(flat, made)
        for other in partly:
            other.source = self._part(other.tensor)
