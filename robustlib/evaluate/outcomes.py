"""Measurements of a network on chosen points: per-example outcomes under an attack, loss traces, local maxima.

Points are visited in fixed chunks, and each chunk's random choices come from a separate generator, so
that a result depends on nothing but the arguments.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from ..attacks._model import check_steps, frozen, logits_of
from ..attacks.contract import checked
from ..attacks.losses import cross_entropy
from ..attacks.pgd import pgd_trace
from ..attacks.suite import Attack, MinimumNorm, check_description, find_nearest, run_attack
from ..data import Split
from ..errors import RobustlibError
from ..spec.measurement import Progress
from ..threat import Ball, Domain, ball
from ..training.checks import check_rows
from ..training.precision import allowed, fastest, in_arithmetic
from .kept import keep

CHUNK = 250


def chunk_generator(name: str, index: int, device: torch.device) -> torch.Generator:
    """Generator of one chunk: seeded by a hash of (name, index)."""
    digest = hashlib.sha256(f"{name}/{index}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def steering(model: nn.Module, search: str, x: Tensor, *, passes: float) -> nn.Module | None:
    """The network that steers a search: a copy in the cheapest arithmetic of at least a precision; None: the model.

    Args:
        model: eval mode, float32.
        search: "float32" or "bfloat16".
        x: (N, ...) inputs such as it will see, N >= 1.
        passes: forward passes of one input that lie ahead, see :func:`robustlib.training.precision.fastest`.
    """
    return in_arithmetic(model, fastest(model, x, precision=search, passes=passes))


def in_pieces(work: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    """work(x, y), row by row the same length; halved, with a warning, for as long as it does not fit in memory."""
    try:
        return work(x, y)
    except (MemoryError, RuntimeError) as error:
        full = isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)
        if not full or len(x) < 2:
            raise
    # Outside the handler, so that the failed attempt's memory is free again.
    half = len(x) // 2
    warnings.warn(f"{len(x)} points did not fit in memory at once; going on with {half}", ResourceWarning, stacklevel=2)
    return torch.cat([in_pieces(work, x[:half], y[:half]), in_pieces(work, x[half:], y[half:])])


def _by_chunk(
    work: Callable[[int, Tensor], np.ndarray], rows: Tensor, progress: Progress | None, *named: object
) -> np.ndarray:
    """work(index, rows) of each chunk, joined; a chunk that was kept under such a name is not done again."""
    found = []
    for index, start in enumerate(range(0, len(rows), CHUNK)):
        chosen = rows[start : start + CHUNK]
        found.append(keep(partial(work, index, chosen), *named, index, chosen.cpu().numpy()))
        if progress is not None:
            progress(start, len(rows))
    return np.concatenate(found)


@checked
def outcomes_under(
    model: nn.Module,
    split: Split,
    rows: Tensor,
    attack: Attack,
    threat: Ball | None,
    *,
    name: str,
    source: nn.Module | None = None,
    search: str = "float32",
    progress: Progress | None = None,
) -> np.ndarray:
    """Outcome of an attack on each point, true where still classified correctly; last iterates count, as in the papers.

    Args:
        model: network under attack, eval mode, float32.
        split: images and labels.
        rows: (n,) positions in the split.
        attack: description of the attack, run on each chunk.
        threat: ball around each point; None: the attack has none.
        name: names the random choices; the evaluation key.
        source: network whose gradients steer the attack (transfer).
        search: precision of the steering gradients.
        progress: called with (points done, points).

    Returns:
        (n,) bool outcomes.

    Raises:
        RobustlibError: an attack left its threat model (nothing of it may count).
    """
    allowed(search)
    check_description(attack, Attack)
    check_rows(rows, split)
    surrogate = source
    # One pass is a look at the point itself, and no search.
    if len(rows) and attack.passes > 1:
        first = split.images(rows[:CHUNK].to(split.y.device))
        surrogate = steering(source or model, search, first, passes=attack.passes * len(rows)) or source

    def judged(index: int, chosen: Tensor) -> np.ndarray:
        x, y = split.images(chosen), split.y[chosen.to(split.y.device)]
        generator = chunk_generator(name, index, x.device)

        def attacked(xs: Tensor, ys: Tensor) -> Tensor:
            return run_attack(
                attack, model, xs, ys, threat, generator=generator, surrogate=surrogate, last_iterate=True
            )

        x_adv = in_pieces(attacked, x, y)
        with frozen(model), torch.no_grad():
            logits = logits_of(model, x_adv, y, under=str(attack))
        if threat is not None and (outside := int((~threat.contains(x_adv, x)).sum())):
            raise RobustlibError(f"{attack} left {threat} on {outside} of {len(x)} points; nothing was recorded")
        return (logits.argmax(1) == y).cpu().numpy()

    return _by_chunk(judged, rows, progress, name, attack, threat) if len(rows) else np.zeros(0, bool)


@checked
def distances_under(
    model: nn.Module,
    split: Split,
    rows: Tensor,
    attack: MinimumNorm,
    *,
    norm: str,
    domain: Domain | None,
    name: str,
    measured: str = "",
    progress: Progress | None = None,
) -> np.ndarray:
    """(n,) distances, in ``measured`` (else ``norm``) and the domain's units, at which a minimum-norm attack breaks.

    0 for a point misclassified to begin with, infinity where the attack found nothing; the network
    classifies every returned point once more before its distance counts.
    """
    if domain is None:
        raise RobustlibError(f"domain is missing for {attack}, which starts from noise in it; give (lo, hi)")
    check_description(attack, MinimumNorm)
    check_rows(rows, split)
    measure = ball(measured or norm, 0.0, domain)

    def searched(index: int, chosen: Tensor) -> np.ndarray:
        x, y = split.images(chosen), split.y[chosen.to(split.y.device)]
        generator = chunk_generator(name, index, x.device)
        x_adv = find_nearest(attack, model, x, y, norm=norm, domain=domain, generator=generator)
        with frozen(model), torch.no_grad():
            broken = logits_of(model, x_adv, y).argmax(1) != y
        distance = measure.length(x_adv.double() - x.double())
        return torch.where(broken, distance, torch.inf).cpu().numpy()

    return _by_chunk(searched, rows, progress, name, attack, norm, measured) if len(rows) else np.zeros(0)


def worst_case(outcomes: list[np.ndarray]) -> np.ndarray:
    """(n,) bool: correct under every attack. A per-example minimum, so it never exceeds any of them."""
    if len({len(outcome) for outcome in outcomes}) != 1:
        raise RobustlibError("worst_case needs outcomes on the same points; give arrays of one length")
    return np.logical_and.reduce(outcomes)


@checked
def loss_traces(
    model: nn.Module, split: Split, rows: Tensor, threat: Ball, *, steps: int, step_size: float, runs: int, name: str
) -> np.ndarray:
    """(len(rows), runs, steps + 1) cross-entropies in nats along PGD from random starts."""
    check_steps(steps=steps, runs=runs)
    check_rows(rows, split)
    traces = []
    for index, row in enumerate(rows.tolist()):
        chosen = torch.full((runs,), row, device=split.y.device)
        losses, _ = pgd_trace(
            model,
            split.images(chosen),
            split.y[chosen],
            threat,
            steps=steps,
            step_size=step_size,
            generator=chunk_generator(name, index, split.y.device),
            last_iterate=True,
        )
        traces.append(losses.T.cpu().numpy())
    return np.stack(traces) if traces else np.empty((0, runs, steps + 1), np.float32)


@checked
def final_losses(
    model: nn.Module,
    split: Split,
    rows: Tensor,
    threat: Ball,
    *,
    steps: int,
    step_size: float,
    starts: int,
    name: str,
    search: str = "float32",
    progress: Progress | None = None,
) -> np.ndarray:
    """(len(rows), starts) cross-entropies in nats, float32, where PGD ends from many random starts."""
    allowed(search)
    check_steps(steps=steps, starts=starts)
    check_rows(rows, split)
    surrogate, found = None, np.empty((len(rows), starts), np.float32)
    if len(rows):
        first = split.images(rows[:CHUNK].to(split.y.device))
        surrogate = steering(model, search, first, passes=2.0 * steps * starts * len(rows))

    def ends(row: int, size: int, index: int) -> np.ndarray:
        chosen = torch.full((size,), row, device=split.y.device)
        x, y = split.images(chosen), split.y[chosen]
        generator = chunk_generator(name, index, x.device)
        _, x_adv = pgd_trace(
            surrogate or model, x, y, threat, steps=steps, step_size=step_size, generator=generator, last_iterate=True
        )
        with frozen(model), torch.no_grad():
            return cross_entropy(logits_of(model, x_adv, y), y).cpu().numpy()

    for i, row in enumerate(rows.tolist()):
        for j in range(0, starts, CHUNK):
            size = min(CHUNK, starts - j)
            work = partial(ends, row, size, i * starts + j)
            found[i, j : j + size] = keep(work, name, threat, steps, step_size, row, size, i * starts + j)
            if progress is not None:
                progress(i * starts + j + size, len(rows) * starts)
    return found
