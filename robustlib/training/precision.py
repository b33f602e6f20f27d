"""Arithmetic of a search: the precision and the memory layout in which gradients are cheapest on this machine.

Processors differ: of float32 and bfloat16, in PyTorch's own layout and in channels_last, each is the fastest somewhere,
by up to five times. Long work is therefore preceded by a trial of a few passes, whose result holds for the process.
Signs of gradients are insensitive to precision; weights, optimiser state and every verdict stay in float32.
"""

from __future__ import annotations

import contextlib
import contextvars
import copy
import math
import os
import time
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..environment import ARITHMETIC
from ..errors import RobustlibError, suggest

WORTH_SECONDS = 20.0
"""Work that is expected to take less is done without a trial."""
GAIN = 0.9
"""Another arithmetic than the default is taken where its time is at most this part of the default's."""
TRIAL_POINTS, TRIAL_ROUNDS = 50, 3


@dataclass(frozen=True)
class Arithmetic:
    """How a network is computed while it steers a search or a training.

    Args:
        precision: "float32" or "bfloat16", of weights and activations but for batch norm's.
        layout: "contiguous" or "channels_last", of images, activations and convolutions' weights.
    """

    precision: str = "float32"
    layout: str = "contiguous"

    def __str__(self) -> str:
        return f"{self.precision} {self.layout}"


_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
PLAIN = Arithmetic()
"""The network itself."""
LOW = Arithmetic("bfloat16", "channels_last")
USUAL = "usual"
"""Asks for no trial, in the environment: two processes then compute the same, to the last bit."""
_ALLOWED = {
    "float32": (PLAIN, Arithmetic("float32", "channels_last")),
    "bfloat16": (LOW, Arithmetic("float32", "channels_last"), PLAIN),
}
"""What a precision allows: itself or a higher one; the first is taken where no trial is worth it."""
_chosen: dict[Hashable, Arithmetic] = {}
_noted: contextvars.ContextVar[set[str] | None] = contextvars.ContextVar("noted", default=None)


class _Version:
    """A tensor and how often it was written to; it is kept, so that no other takes its place in memory."""

    def __init__(self, value: Tensor) -> None:
        self.value, self.count = value, value._version

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Version) and other.value is self.value and other.count == self.count

    __hash__ = None  # type: ignore[assignment]


def _take_over(module: nn.Module, name: str, value: Tensor) -> None:
    """Give a module's buffer the value, in the buffer's own dtype and layout."""
    old = module._buffers.get(name)
    if old is None or old.shape != value.shape:
        module._buffers[name] = value.clone()
    else:
        old.copy_(value)


class SteeringCopy(nn.Module):
    """A network's copy in another arithmetic, which follows its float32 master; it takes and returns float32.

    Batch norm stays in float32, on the master's own running statistics, so that batches which the copy sees in training
    update the master's. Other buffers that move are handed over with the gradients.
    """

    def __init__(self, master: nn.Module, arithmetic: Arithmetic = LOW) -> None:
        super().__init__()
        self.dtype, self.layout = getattr(torch, arithmetic.precision), _FORMATS[arithmetic.layout]
        self.inner = copy.deepcopy(master).to(self.dtype).to(memory_format=self.layout)
        norms = nn.modules.batchnorm._BatchNorm
        self._parts: list[tuple[nn.Module, nn.Module]] = []
        for ours, theirs in zip(self.inner.modules(), master.modules(), strict=True):
            if isinstance(ours, norms):
                ours.float()
                ours._buffers.update(theirs._buffers)
            elif ours._buffers:
                self._parts.append((ours, theirs))
        self._seen = {
            (ours, name): _Version(value)
            for ours, _ in self._parts
            for name, value in ours._buffers.items()
            if value is not None
        }
        self._pairs: tuple[list[Tensor], list[Tensor]] = ([*self.inner.parameters()], [*master.parameters()])
        # Batch norm came back from bfloat16 rounded.
        self.refresh()

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(self.dtype)
        if x.dim() == 4:
            x = x.contiguous(memory_format=self.layout)
        logits: Tensor = self.inner(x)
        return logits.float()

    @torch.no_grad()
    def refresh(self) -> None:
        """Take over the master's weights."""
        if self._pairs[0]:
            torch._foreach_copy_(*self._pairs)

    @torch.no_grad()
    def hand_over_gradients(self) -> None:
        """Move the copy's gradients and the buffers that it wrote to to the master, in the master's dtype and layout.

        PyTorch's fused Adam on the CPU walks through gradient and weight as raw memory: a channels_last
        gradient beside a contiguous weight would be applied to the wrong weights, silently.
        """
        for ours, theirs in zip(*self._pairs, strict=True):
            theirs.grad = None if ours.grad is None else torch.empty_like(theirs).copy_(ours.grad)
            ours.grad = None
        for part, master in self._parts:
            for name, value in part._buffers.items():
                # Only what was written to: a constant stays as exact as the master has it. No value is read for that,
                # which a GPU would wait for.
                if value is not None and self._seen.get((part, name)) != (version := _Version(value)):
                    _take_over(master, name, value)
                    self._seen[part, name] = version


def in_arithmetic(model: nn.Module, arithmetic: Arithmetic) -> SteeringCopy | None:
    """The network's copy in that arithmetic, in eval or train mode as it is; None: the network itself."""
    if arithmetic == PLAIN:
        return None
    return SteeringCopy(model, arithmetic).train(model.training)


@contextlib.contextmanager
def noting() -> Iterator[set[str]]:
    """Collect the arithmetics that searches in the block were steered in."""
    found: set[str] = set()
    token = _noted.set(found)
    try:
        yield found
    finally:
        _noted.reset(token)


def allowed(precision: str) -> Sequence[Arithmetic]:
    """Arithmetics of at least that precision, the usual one first.

    Raises:
        RobustlibError: an unknown precision.
    """
    if precision not in _ALLOWED:
        raise RobustlibError(suggest("precision of a search", precision, _ALLOWED))
    return _ALLOWED[precision]


def fastest(model: nn.Module, x: Tensor, *, precision: str, passes: float) -> Arithmetic:
    """The cheapest arithmetic of at least a precision for gradients of the network to such inputs.

    ``ROBUSTLIB_ARITHMETIC``, as in ``float32 contiguous``, takes the place of the trial wherever the precision allows
    it, and ``usual`` asks for none. On another device than a CPU, and where the work is short, the usual one is taken.

    Args:
        model: float32; copied for the trial, and left as it is.
        x: (N, ...) inputs, N >= 1.
        precision: "float32" or "bfloat16".
        passes: forward passes of one input that lie ahead, a backward counted as one.
    """
    choices = allowed(precision)
    found = _given(choices) or _tried(model, x, choices, passes)
    if (notes := _noted.get()) is not None:
        notes.add(str(found))
    return found


def _given(choices: Sequence[Arithmetic]) -> Arithmetic | None:
    """What the environment asks for, where it is one of the choices."""
    wanted = " ".join(os.environ.get(ARITHMETIC, "").split())
    if not wanted:
        return None
    known = {str(each): each for each in _ALLOWED["bfloat16"]} | {USUAL: choices[0]}
    if wanted not in known:
        raise RobustlibError(suggest(ARITHMETIC, wanted, known))
    return known[wanted] if known[wanted] in choices else choices[0]


def _tried(model: nn.Module, x: Tensor, choices: Sequence[Arithmetic], passes: float) -> Arithmetic:
    x = x[:TRIAL_POINTS].detach()
    if x.device.type != "cpu" or x.dim() != 4 or not _plain(model):
        return choices[0]
    parts = tuple((type(part).__name__, *(tuple(p.shape) for p in part.parameters(False))) for part in model.modules())
    place = (choices, parts, tuple(x.shape[1:]), torch.get_num_threads())
    if place not in _chosen:
        try:
            usual = _Contestant(model, choices[0])
            # The first pass makes kernels and buffers; the second is the estimate.
            pass_seconds = min(usual.seconds(x), usual.seconds(x)) / 2 / len(x)
        except Exception:
            # No logits, no gradient, other inputs: the search itself does without, or refuses in words of its own.
            return choices[0]
        if pass_seconds * passes < WORTH_SECONDS:
            return choices[0]
        contestants = [usual, *(_Contestant(model, other) for other in choices[1:])]
        times = [math.inf] * len(contestants)
        for _ in range(TRIAL_ROUNDS + 1):
            times = [min(best, each.seconds(x)) for best, each in zip(times, contestants, strict=True)]
        best = min(range(len(times)), key=times.__getitem__)
        _chosen[place] = choices[best if times[best] <= GAIN * times[0] else 0]
    return _chosen[place]


def _plain(model: nn.Module) -> bool:
    """True of a network in float32; any other steers itself."""
    return all(value.dtype == torch.float32 for value in model.parameters())


class _Contestant:
    """A copy in eval mode, whatever mode the network is in: a trial must not move batch norm's statistics."""

    def __init__(self, model: nn.Module, arithmetic: Arithmetic) -> None:
        own = copy.deepcopy(model).eval().requires_grad_(False)
        self.network = in_arithmetic(own, arithmetic) or own

    def seconds(self, x: Tensor) -> float:
        """Processor time of one forward and one backward to the input."""
        x = x.clone().requires_grad_()
        began = time.process_time()
        torch.autograd.grad(self.network(x).logsumexp(1).sum(), x)
        return time.process_time() - began
