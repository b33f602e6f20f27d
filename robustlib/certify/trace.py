"""Tracing of a model: the graph of ``model(x)`` as it is called, recorded while PyTorch runs it.

Operators are seen where PyTorch dispatches them, below the model's own code: whatever calls them (``forward``, hooks,
an overridden ``__call__``, TorchScript) and whatever they change in place counts as it happens. An operator that
depends on the input and has no rule is refused by name, and so is a value read off the input; before any claim the
graph is compared with further calls of the model. Weights are those of the module itself, so that bounds differentiate
to them.

Not seen is what a model does outside PyTorch's tensors on this thread: work on another thread, and state that it keeps
between calls anywhere but in parameters and buffers.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ..errors import RobustlibError
from ..threat import Ball
from .guard import Guard
from .operations import Graph
from .recorder import Recorder
from .region import Region

ROWS = 3
"""Rows that a model is recorded on: more than one, so that operations which mix examples show."""
SHAPES = 2
"""Rows where only shapes are computed, to count operations."""
OTHERS = 5
"""Further random points that the graph is compared at."""
GIVEN = 256
"""Inputs, at most, that the graph is compared at in one batch: a model may ask how large its batch is."""
OFF = 1e-4
"""Largest difference between graph and model, as a share of the logits' range, that rounding may explain."""


# The model and its graph ---------------------------------------------------------------------------------------------

_MODES = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.modules.dropout._DropoutNd,
    nn.RReLU,
)


def check_model(model: nn.Module, x: Tensor) -> None:
    """Raise RobustlibError, before anything is run, unless this is a model in eval mode and a batch of inputs."""
    if not isinstance(model, nn.Module):
        raise RobustlibError(f"model is a {type(model).__name__}; give a torch.nn.Module")
    if not isinstance(x, Tensor):
        raise RobustlibError(f"x is a {type(x).__name__}; give a torch.Tensor, such as torch.as_tensor(x)")
    if x.dtype not in (torch.float32, torch.float64) or x.dim() < 2:
        raise RobustlibError(f"x is {x.dtype} of shape {tuple(x.shape)}; give (N, ...) inputs in float32 or float64")
    lazy = [name for name, value in (*model.named_parameters(), *model.named_buffers()) if is_lazy(value)]
    if lazy:
        raise RobustlibError(f"{lazy[0]} has no shape yet; call the model once before certifying")
    for name, part in model.named_modules():
        if part.training and isinstance(part, _MODES):
            where = f"{name} ({type(part).__name__})" if name else f"model ({type(part).__name__})"
            raise RobustlibError(f"{where} is in train mode; call model.eval() before certifying")


def _call(model: nn.Module, x: Tensor) -> Any:
    """model(x) on a copy of x; whatever goes wrong in it is one line."""
    try:
        return model(x.clone())
    except RobustlibError:
        raise
    except Exception as error:
        types = {p.dtype for p in model.parameters() if p.is_floating_point()}
        if types and x.dtype not in types:
            names = " and ".join(sorted(map(str, types)))
            raise RobustlibError(f"model is in {names}, x in {x.dtype}; give both the same type") from error
        words = str(error).strip().splitlines() or [""]
        raise RobustlibError(
            f"model cannot be called on x of shape {tuple(x.shape)}: {type(error).__name__}: {words[0]}; "
            "give inputs that it takes"
        ) from error


def logits_of(model: nn.Module, x: Tensor) -> Tensor:
    """(N, K) of the model itself, without gradients; x is left as it is even by a model that changes it in place."""
    with torch.no_grad():
        logits: Tensor = _call(model, x.detach())
    _check_logits(logits, len(x))
    return logits


def predictions(model: nn.Module, x: Tensor, chunk: int) -> Tensor:
    """(N,) classes that the model gives to x, ``chunk`` rows at a time."""
    return torch.cat([logits_of(model, part).argmax(1) for part in x.split(chunk)])


def _recording() -> contextlib.AbstractContextManager[None]:
    """Out of inference mode, whose tensors cannot be differentiated; elsewhere gradients stay on or off as they are."""
    return torch.inference_mode(False) if torch.is_inference_mode_enabled() else contextlib.nullcontext()


@contextlib.contextmanager
def exact(x: Tensor) -> Iterator[None]:
    """Bounds are computed in the precision of x and can be differentiated, whatever modes the caller is in."""
    lower = not x.is_meta and torch.is_autocast_enabled(x.device.type)
    with _recording(), torch.autocast(x.device.type, enabled=False) if lower else contextlib.nullcontext():
        yield


def _check_logits(logits: Any, rows: int) -> None:
    if not isinstance(logits, Tensor):
        raise RobustlibError(
            f"model returns a {type(logits).__name__}, more than one tensor or none; give one that returns its logits"
        )
    if logits.dim() != 2 or len(logits) != rows:
        raise RobustlibError(f"model gives shape {tuple(logits.shape)} for {rows} inputs; expected ({rows}, classes)")
    if logits.shape[1] < 2:
        raise RobustlibError(
            "model has one logit; give two, such as a fixed zero beside it: torch.cat([torch.zeros_like(z), z], 1)"
        )


def _agree(ours: Tensor, theirs: Tensor, share: float) -> bool:
    """True where logits agree up to a share of their range and rounding, and are finite at the same places."""
    both = ours.isfinite() & theirs.isfinite()
    if bool((ours.isfinite() != theirs.isfinite()).any()):
        return False
    middle = theirs.masked_fill(~both, 0).mean(1, keepdim=True)
    reach = (theirs - middle).abs()[both].max() if bool(both.any()) else theirs.new_zeros(())
    rounding = 32 * torch.finfo(theirs.dtype).eps * theirs.abs()[both].max() if bool(both.any()) else reach
    return not bool(((ours - theirs).abs() > share * reach + rounding)[both].any())


@contextlib.contextmanager
def _unchanged(model: nn.Module) -> Iterator[None]:
    """Put parameters and buffers back that the model's own calls have changed, and refuse such a model."""
    held: list[tuple[str, Tensor | None]] = [(f"parameter {name}", value) for name, value in model.named_parameters()]
    held += [(f"buffer {name}", value) for name, value in model.named_buffers()]
    kept = {name: (value, value.detach().clone()) for name, value in held if value is not None}
    changed: list[str] = []
    try:
        yield
    finally:
        for name, (buffer, value) in kept.items():
            if not buffer.is_meta and not torch.equal(buffer, value):
                changed.append(name)
                with torch.no_grad():
                    buffer.copy_(value)
    if changed:
        raise RobustlibError(f"model changes its {changed[0]} when it is called; nothing can be proven about it")


def _points(x: Tensor, threat: Ball | None) -> Tensor:
    """ROWS + OTHERS points: some of the inputs themselves, then random ones of their regions."""
    base = x if len(x) else x.new_zeros(1, *x.shape[1:])
    some = base[torch.arange(ROWS + OTHERS, device=x.device) * max(1, len(base) // (ROWS + OTHERS)) % len(base)]
    generator = torch.Generator().manual_seed(0)
    if threat is None:
        near = some + torch.rand(some.shape, generator=generator, dtype=some.dtype).to(some.device)
    else:
        near = Region.around(some, threat).points(generator)
    return torch.cat([some[:2], near[2:]])


def trace(model: nn.Module, x: Tensor, threat: Ball | None = None) -> Graph:
    """The graph of ``model(x)``, compared with the model itself before it is returned.

    The model is called a few times, on rows of x and on random points of their regions, in batches of several sizes;
    it is left as it was found.

    Args:
        model: (N, ...) inputs to (N, K) logits, K >= 2; batch norm and dropout in eval mode.
        x: (N, ...) inputs, float32 or float64.
        threat: ball whose points the graph is compared at; None: points within 1 of x.

    Raises:
        RobustlibError: an operation without a bound that the logits depend on, a layer in train mode, random numbers,
            control flow that depends on values, a model whose calls differ or whose logits are not finite at x.
    """
    check_model(model, x)
    with _recording(), _unchanged(model):
        points = _points(x.detach().clone(), threat)
        # A copy: a model may change its input in place.
        first = points[: SHAPES if x.is_meta else ROWS].clone()
        recorder, drawn = Recorder(first, model), _drawn()
        with recorder.watched(), recorder, Guard(recorder):
            logits = _recorded(model, first)
        if _drawn() != drawn:
            raise RobustlibError("model draws random numbers of Python or NumPy; nothing can be proven about it")
        _check_logits(logits, len(first))
        graph = recorder.graph(logits)
        if not x.is_meta:
            with torch.no_grad():
                _compare(model, graph, points, logits.detach())
                if len(x) > ROWS:
                    _same(model, graph, x[:GIVEN].detach(), "the first inputs in one batch")
    return graph


def _drawn() -> tuple[Any, ...]:
    """State of the random numbers that PyTorch does not see."""
    kind, keys, *rest = np.random.get_state(legacy=True)
    return random.getstate(), kind, keys.tobytes(), *rest  # type: ignore[union-attr]


@contextlib.contextmanager
def _written_out(model: nn.Module) -> Iterator[None]:
    """Without oneDNN, for which a recurrent layer is one operator: elsewhere it is made of others."""
    kept = torch.backends.mkldnn.enabled
    try:
        if any(isinstance(part, nn.RNNBase) for part in model.modules()):
            torch.backends.mkldnn.enabled = False  # type: ignore[assignment]
        yield
    finally:
        torch.backends.mkldnn.enabled = kept


def _recorded(model: nn.Module, x: Tensor) -> Any:
    """The recorded call itself; no copy is made of x, which the recorder knows."""
    try:
        with _written_out(model):
            return model(x)
    except RobustlibError:
        raise
    except Exception as error:
        # Called again without the recorder: does the model itself fail?
        with torch.utils._python_dispatch._disable_current_modes():
            _call(model, x.clone())
        words = str(error).strip().splitlines() or [""]
        raise RobustlibError(
            f"model cannot be traced: {type(error).__name__}: {words[0]}; use PyTorch's dense tensors and operations"
        ) from error


def _compare(model: nn.Module, graph: Graph, points: Tensor, logits: Tensor) -> None:
    """Raise RobustlibError unless the model agrees with itself and with its graph."""
    first, others = points[:ROWS], points[ROWS:]
    if not bool(logits[:2].isfinite().all()):
        raise RobustlibError("model gives logits that are not finite at x; its weights or its arithmetic are broken")
    again = _call(model, first)
    _check_logits(again, len(first))
    if not _agree(logits, again, 100 * torch.finfo(logits.dtype).eps):
        raise RobustlibError("two calls of the model at the same x differ; nothing can be proven about it")
    for batch in (first, others, others[:1]):
        _same(model, graph, batch, "random points of the region")


def _same(model: nn.Module, graph: Graph, batch: Tensor, what: str) -> None:
    """Raise RobustlibError unless model and graph agree on a batch."""
    theirs = _call(model, batch)
    _check_logits(theirs, len(batch))
    with exact(batch):
        ours = graph(batch)
    if ours.shape != theirs.shape or not _agree(ours, theirs, OFF):
        off = float((ours - theirs).abs().max()) if ours.shape == theirs.shape else float("nan")
        raise RobustlibError(
            f"the traced network is off by {off:.3g} from model(x) on {len(batch)} points, {what}; "
            "its operations are not understood"
        )
