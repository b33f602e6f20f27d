"""Recorder of a model's call: every operator whose arguments depend on the input, in the order they run.

Recording only notes the calls. Their rules are applied afterwards, to those that the logits depend on, so that an
operator without a bound is refused only where it matters and weights keep their place in autograd's graph.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from ..errors import RobustlibError
from .builder import Builder, Call, Held, Laid, Unbounded
from .layouts import by_examples
from .moves import MOVES
from .operations import Graph, Input, Node, ancestry
from .rules import CONSTANTS, RULES, SUPPORTED
from .storage import memory_of, own_memory, same_places
from .values import Source, Values

ASKS = {"_local_scalar_dense", "equal", "is_nonzero", "allclose", "bincount"}
"""Operators that hand a value to Python, or a size that values decide."""
DECIDED = {torch.Tag.dynamic_output_shape, torch.Tag.data_dependent_output}
"""Tags of others."""
CHECKED = ("_assert", "linalg", "_linalg", "cholesky", "lu_")
"""Beginnings of the names of operators that fail at some values."""
UNCHECKED = {"linalg_vector_norm"}
"""Those that do not."""
UNSET = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"}
"""Operators that take memory as they find it."""
STRANGE = itertools.count(77)
"""What stands in it while a model is recorded: each time another number, since memory keeps what it had."""
REPLACING = {"copy_", "fill_", "zero_"}
"""Operators in place whose result does not depend on what was there."""
PLACED = {"embedding", "index", "index_put", "index_select", "gather", "scatter", "scatter_add", "take"}
"""Operators that fail at some positions."""


@dataclass(frozen=True)
class _Step:
    """One call of an operator, with the sources of those arguments that depend on the input."""

    func: Any
    arguments: dict[str, Any]
    sources: dict[int, Source | str]
    output: Any
    where: str
    path: str

    @property
    def operator(self) -> str:
        name: str = self.func.overloadpacket.__name__
        return name.rstrip("_")

    def renamed(self, old: Tensor, new: Tensor) -> _Step:
        """The same with another tensor in place of one."""
        arguments, output = tree_map(lambda value: new if value is old else value, (self.arguments, self.output))
        sources = {id(new) if name == id(old) else name: source for name, source in self.sources.items()}
        return replace(self, arguments=arguments, sources=sources, output=output)


def _asks(func: Any, operator: str, leaves: list[Tensor], sources: dict[int, Any]) -> bool:
    """True where Python learns a value, or a size that values decide, of what depends on the input."""
    if operator in ("index", "index_put"):
        # The size of a choice by positions is that of the positions; a mask's is the number of its true values.
        return any(id(leaf) in sources and leaf.dtype in (torch.bool, torch.uint8) for leaf in leaves[1:])
    return operator in ASKS or bool(DECIDED & set(func.tags))


def _may_fail(operator: str, leaves: list[Tensor], sources: dict[int, Any]) -> bool:
    """True where an operator raises an error at some values of what depends on the input, and not at others."""
    if operator.rstrip("_") in PLACED:
        return any(id(leaf) in sources and not leaf.is_floating_point() for leaf in leaves)
    return operator.startswith(CHECKED) and operator not in UNCHECKED


class Recorder(TorchDispatchMode):
    """Notes each operator whose arguments depend on the input, as a model runs on a few rows x."""

    def __init__(self, x: Tensor, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.x = x
        self.paths = {id(module): path for path, module in model.named_modules()}
        self.stack: list[nn.Module] = []
        self.steps: list[_Step | None] = [None]
        self.failed = ""
        self.strange = next(STRANGE) % 1000
        self.values = Values(self._noted, self._where)
        self.values.keep(x, (0, 0))

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # PyTorch would import its compiler, seconds, to switch it off in here; nothing here is compiled.
        return False

    def source_of(self, tensor: Any) -> Source | str | None:
        """Source of a tensor, known by itself or by the memory that it shares; None: not from the input."""
        return self.values.source_of(tensor)

    def _noted(self, func: Any, arguments: dict[str, Any], sources: dict[int, Source | str], output: Any) -> Source:
        """Add a step and return its first value."""
        operator = func.overloadpacket.__name__.rstrip("_")
        self.steps.append(_Step(func, arguments, sources, output, self._where(operator), self._leaf()))
        return len(self.steps) - 1, 0

    # Place in the model -------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Keep a stack of the modules that run inside the block, for the names of their operations."""

        def enter(module: nn.Module, inputs: Any) -> None:
            self.stack.append(module)

        def leave(module: nn.Module, inputs: Any, output: Any) -> None:
            if self.stack and self.stack[-1] is module:
                self.stack.pop()

        hooks = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _leaf(self) -> str:
        """Path of the module that runs, where it has no parts."""
        module = self.stack[-1] if self.stack else None
        return "" if module is None or next(module.children(), None) else self.paths.get(id(module), "")

    def _where(self, operator: str) -> str:
        """An operation in words: PyTorch's layer and its kind; or the operator's name, and the module that calls it."""
        module = self.stack[-1] if self.stack else None
        path = self.paths.get(id(module), "")
        if not path:
            return operator
        layer = f"{path} ({type(module).__name__})"
        own = type(module).__module__.startswith("torch.") and path == self._leaf()
        return layer if own else f"{operator} in {layer}"

    # Operators ----------------------------------------------------------------------------------------------

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        operator = func.overloadpacket.__name__
        if torch.Tag.nondeterministic_seeded in func.tags and _bound(func, args, kwargs).get("dropout_p") != 0:
            name = self._where(operator.rstrip("_"))
            raise RobustlibError(f"{name} draws random numbers; nothing can be proven about random outputs")
        leaves = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        sources = {id(leaf): source for leaf in leaves if (source := self.source_of(leaf)) is not None}
        if operator in UNSET:
            # The same in every place; a model that reads it does not agree with what is recorded.
            found = func(*args, **kwargs)
            return found.fill_(self.strange if found.is_floating_point() else self.strange % 100)
        if not sources or operator in CONSTANTS:
            return func(*args, **kwargs)
        if _asks(func, operator, leaves, sources):
            raise RobustlibError(
                f"model cannot be traced: {self._where(operator)} reads a value that depends on the input; branch on "
                "no values of the input"
            )
        if _may_fail(operator, leaves, sources):
            raise RobustlibError(
                f"model cannot be traced: {self._where(operator)} fails at some values of the input, and what the "
                "model does then is not seen; leave it out"
            )
        arguments, where = _bound(func, args, kwargs), self._where(operator.rstrip("_"))
        named = [a.name for a in func._schema.arguments if a.alias_info and a.alias_info.is_write]
        written = [arguments[name] for name in named]
        if torch.Tag.inplace_view in func.tags:
            return self._turned(func, arguments, sources, where)
        if len(written) > 1 or (written and not operator.endswith("_")):
            raise RobustlibError(
                f"{where} works in place in a way that is not followed; use the form that returns a value"
            )
        if written and not own_memory(written[0]):
            raise RobustlibError(
                f"{where} writes values of the input into memory that is not PyTorch's; write into a tensor of its own"
            )
        # A constant that is written to: what it was is an argument.
        before = {name: arguments[name].clone() for name in named if id(arguments[name]) not in sources}
        memory = self.values.before(written[0]) if written else None
        if operator in REPLACING and any(id(leaf) in sources for leaf in leaves if leaf is not written[0]):
            sources.pop(id(written[0]), None)
        try:
            output = func(*args, **kwargs)
        except Exception:
            # Whether it fails may depend on values, and the model may go on another way.
            self.failed = where
            raise
        arguments.update(before)
        place, _ = self._noted(func, arguments, sources, output)
        if written:
            self.values.changed(written[0], (place, 0), memory)
        else:
            for i, part in enumerate([output] if isinstance(output, Tensor) else output or ()):
                if isinstance(part, Tensor):
                    self.values.keep(part, (place, i))
        return output

    def _turned(self, func: Any, arguments: dict[str, Any], sources: dict[int, Any], where: str) -> Any:
        """A view that takes its tensor's place: ``transpose_``, ``squeeze_``, ..."""
        name = next(iter(arguments))
        tensor, operator = arguments[name], func.overloadpacket.__name__.rstrip("_")
        if operator == "as_strided" and same_places(tensor, arguments):
            # Global pools say so that they keep channels last.
            return func(**arguments)
        packet = getattr(torch.ops.aten, operator)
        forms = [getattr(packet, form) for form in packet.overloads()]
        plain = next((form for form in forms if [a.name for a in form._schema.arguments] == list(arguments)), None)
        if operator not in MOVES or plain is None:
            raise RobustlibError(
                f"{where} works in place in a way that is not followed; use the form that returns a value"
            )
        before = tensor.detach()
        output = func(**arguments)
        # Those who saw it before saw it as it was.
        self.steps = [step and step.renamed(tensor, before) for step in self.steps]
        self.steps.append(
            _Step(plain, {**arguments, name: before}, {id(before): sources[id(tensor)]}, output, where, self._leaf())
        )
        self.values.known[id(tensor)].source = (len(self.steps) - 1, 0)
        return output

    # The graph ----------------------------------------------------------------------------------------------

    def graph(self, logits: Tensor) -> Graph:
        """The graph of the operations that the logits depend on.

        Raises:
            RobustlibError: an operation among it that has no bound, by its name, or one that failed on the way.
        """
        if self.failed:
            raise RobustlibError(
                f"model cannot be traced: {self.failed} raised an error that the model catches, which may depend on "
                "values of the input; branch on no values of the input"
            )
        if any(memory_of(value.tensor) != value.memory for value in self.values.known.values()):
            raise RobustlibError("model cannot be traced: a tensor was exchanged under its name; give it a new one")
        last = self.source_of(logits)
        if last is None:
            raise RobustlibError("model gives logits that do not depend on x, or takes x out of PyTorch on the way")
        needed = self._needed(last)
        builder = Builder(len(self.x), self.x.device)
        builder.nodes.append(Node("x", Input(), (), tuple(self.x.shape[1:])))
        places: dict[Source, Held] = {(0, 0): 0}
        used: dict[str, int] = {}
        for position in sorted(needed):
            step = self.steps[position]
            assert step is not None
            builder.name = step.path
            if not step.path:
                count = used[step.operator] = used.get(step.operator, -1) + 1
                builder.name = f"{step.operator}_{count}" if count else step.operator
            found = self._apply(step, builder, places)
            for i, place in enumerate(found if isinstance(found, list) else [found]):
                if isinstance(place, Laid) and not place.where:
                    place = replace(place, where=step.where)
                if place is not None:
                    places[position, i] = place
        held = _held(last, places, "the output")
        if isinstance(held, Laid):
            raise RobustlibError(
                f"{held.where} has no bound here: it mixes the examples of a batch; supported are {SUPPORTED}"
            )
        return ancestry(builder.nodes, held)

    def _needed(self, last: Source | str) -> set[int]:
        """Steps that a value depends on."""
        needed, waiting = set[int](), [last]
        while waiting:
            source = waiting.pop()
            if isinstance(source, str):
                raise RobustlibError(f"{source}; supported are {SUPPORTED}")
            if source[0] and source[0] not in needed:
                needed.add(source[0])
                step = self.steps[source[0]]
                assert step is not None
                waiting += step.sources.values()
        return needed

    def _apply(self, step: _Step, builder: Builder, places: dict[Source, Held]) -> Any:
        rule = RULES.get(step.operator)
        nothing = f"{step.where} has no bound here; supported are {SUPPORTED}"
        if rule is None:
            raise RobustlibError(nothing)

        def held_of(tensor: Any) -> Held | None:
            source = step.sources.get(id(tensor))
            return None if source is None else _held(source, places, step.where)

        call = Call(builder, step.func, step.arguments, held_of, step.output)
        if call.first.dtype != self.x.dtype:
            raise RobustlibError(
                f"{step.where} turns {self.x.dtype} into {call.first.dtype}; keep the precision of the input"
            )
        try:
            # Places are counted on the CPU, whatever the default device is.
            with torch.device("cpu"):
                return by_examples(call, rule)
        except Unbounded as reason:
            raise RobustlibError(f"{step.where} has no bound here: it {reason}; supported are {SUPPORTED}") from None
        except RobustlibError:
            raise
        except Exception as error:
            # A form of the operator that its rule does not know.
            raise RobustlibError(nothing) from error


def _held(source: Source | str, places: dict[Source, Held], where: str) -> Held:
    if isinstance(source, str) or source not in places:
        raise RobustlibError(f"{where} has no bound here: it uses a value without one; supported are {SUPPORTED}")
    return places[source]


def _bound(func: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    """Arguments by name, defaults included; a single number for several axes as a list."""
    found: dict[str, Any] = {}
    for position, argument in enumerate(func._schema.arguments):
        value = args[position] if position < len(args) else kwargs.get(argument.name, argument.default_value)
        if isinstance(value, int) and not isinstance(value, bool) and str(argument.type) == "List[int]":
            value = [value]
        found[argument.name] = value
    return found
