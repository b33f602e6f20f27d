"""The training loop: every defence, resumable bit for bit on the CPU, stoppable on a time budget.

Everything random at step t is drawn from generators seeded by (seed, t), so that a checkpoint needs no
random state: weights, optimiser and the step count are the whole of it.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import hashlib
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data import Split
from ..errors import RobustlibError
from .checks import check_training
from .defence import Defence
from .defences import objective
from .precision import Arithmetic, allowed, fastest, in_arithmetic
from .schedule import Schedule, optimiser_of

CHECKPOINT_SECONDS = 60.0
UPDATES_TOGETHER = 100
"""Updates between two reads of losses from a GPU; a CPU's are read after each."""


class TrainingDiverged(RobustlibError):
    """Raised where the loss is not finite; ``fit`` is the log until then."""

    def __init__(self, message: str, fit: Fit) -> None:
        super().__init__(message)
        self.fit = fit


@dataclass
class Fit:
    """Log of a training: per-step losses (nats) and accuracies on the batches it trained on."""

    step: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    finished: bool = False
    arithmetic: str = ""
    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)

    def alarms(self, classes: int) -> list[str]:
        """Faults to look at: a loss that never left chance, an accuracy that collapsed by 20 points."""
        found = []
        window = max(1, len(self.loss) // 20)
        last = sum(self.loss[-window:]) / max(1, len(self.loss[-window:]))
        if self.loss and last > math.log(classes) - 0.05:
            found.append(
                f"loss stuck at chance: {last:.3f} nats over the last {window} steps, ln {classes} = "
                f"{math.log(classes):.3f}"
            )
        blocks = [self.accuracy[i : i + window] for i in range(0, len(self.accuracy), window)]
        means = [sum(block) / len(block) for block in blocks]
        for i, mean in enumerate(means):
            if i and max(means[:i]) - mean > 0.2:
                found.append(
                    f"accuracy on training batches fell from {max(means[:i]):.1%} to {mean:.1%} by step "
                    f"{min((i + 1) * window, len(self.accuracy))}"
                )
                break
        return found


def step_generator(seed: int, purpose: str, index: int) -> torch.Generator:
    """The generator of one step: a hash of (seed, purpose, index) is its seed."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{index}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def _batches(n: int, batch: int, seed: int, start: int, steps: int, device: torch.device) -> Any:
    """(step, positions) from ``start``: epochs are fresh permutations, the last short batch is dropped.

    An epoch's order goes to the device as a whole.
    """
    batch = min(batch, n)
    per_epoch = n // batch
    order, epoch_now = torch.empty(0), -1
    for step in range(start, steps):
        epoch, slot = divmod(step, per_epoch)
        if epoch != epoch_now:
            order = torch.randperm(n, generator=step_generator(seed, "order", epoch)).to(device)
            epoch_now = epoch
        yield step, order[slot * batch : (slot + 1) * batch]


def description(defence: Defence, schedule: Schedule, seed: int, rows: int) -> dict[str, str]:
    """The training that a checkpoint belongs to, field by field."""
    found = {"seed": str(seed), "number of rows": str(rows), "defence": type(defence).__name__}
    for name, spec in (("defence", defence), ("schedule", schedule)):
        fields = dataclasses.fields(spec) if dataclasses.is_dataclass(spec) else ()
        found |= {f"{name}.{field.name}": repr(getattr(spec, field.name)) for field in fields}
    return found


def save_checkpoint(
    path: Path, model: nn.Module, optimiser: torch.optim.Optimizer, fit: Fit, training: dict[str, str] | None = None
) -> None:
    """Write to a temporary file, then rename: a kill while saving leaves the old checkpoint."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        torch.save(
            {
                "model": model.state_dict(),
                "optimiser": optimiser.state_dict(),
                "training": training,
                "step": fit.step,
                "seconds": fit.seconds,
                "cpu_seconds": fit.cpu_seconds,
                "arithmetic": fit.arithmetic,
                "loss": torch.tensor(fit.loss, dtype=torch.float64),
                "accuracy": torch.tensor(fit.accuracy, dtype=torch.float64),
            },
            partial,
        )
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise RobustlibError(f"cannot save the checkpoint {path}: {error}; free some space and run again") from error


def load_checkpoint(
    path: Path, model: nn.Module, optimiser: torch.optim.Optimizer, training: dict[str, str] | None = None
) -> Fit:
    """Restore a checkpoint; one that cannot be read is set aside, and training starts anew from the weights given.

    Raises:
        RobustlibError: the checkpoint says that it is of another training, or the path is no file.
    """
    if not path.exists():
        return Fit()
    if not path.is_file():
        raise RobustlibError(f"checkpoint {path} is no file; give a path of its own, such as {path / 'checkpoint.pt'}")
    kept = copy.deepcopy((model.state_dict(), optimiser.state_dict()))
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        # Those of earlier versions do not say what they are of.
        others = {} if training is None else dict(state.get("training") or {})
        changed = [
            f"{name} was {others[name]} and is {now}"
            for name, now in (training or {}).items()
            if now != others.get(name, now)
        ]
        if not changed:
            model.load_state_dict(state["model"])
            optimiser.load_state_dict(state["optimiser"])
    except Exception as error:
        # What fitted of it lies in the model already.
        model.load_state_dict(kept[0])
        optimiser.load_state_dict(kept[1])
        path.replace(path.with_name(path.name + ".bad"))
        print(f"checkpoint {path.name} cannot be read ({type(error).__name__}); set aside, training starts anew")
        return Fit()
    if changed:
        raise RobustlibError(
            f"checkpoint {path} is of another training: {', '.join(changed)}; give another path, or delete the file to "
            "start anew"
        )
    return Fit(
        step=state["step"],
        seconds=state["seconds"],
        cpu_seconds=state["cpu_seconds"],
        arithmetic=state.get("arithmetic", ""),
        loss=state["loss"].tolist(),
        accuracy=state["accuracy"].tolist(),
    )


def fit(
    model: nn.Module,
    split: Split,
    rows: Tensor,
    defence: Defence,
    schedule: Schedule,
    *,
    seed: int,
    checkpoint: Path | str | None = None,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int, float], None] | None = None,
    soft_labels: Tensor | None = None,
) -> Fit:
    """Train ``model`` in place.

    Args:
        model: on the split's device; left in eval mode.
        split: training images and labels.
        rows: (n,) int64 positions in the split that training may see, their inputs in the domain of the defence's ball.
        defence: the objective.
        schedule: optimiser, learning rates, batch size and number of updates.
        seed: fixes order, attack starts, dropout and whatever else draws from the global generator.
        checkpoint: file to resume from, of this very training, and to write about every minute; removed by the caller.
        stop: called after each update; when true, training stops cleanly at a checkpoint.
        progress: called with (step, steps, loss) after each update; on a GPU after some.
        soft_labels: (n, K) distributions in place of the classes of ``rows``; a distillation needs them.

    Returns:
        Fit, with ``finished`` False when it was stopped.

    Raises:
        TrainingDiverged: a loss was not finite.
        RobustlibError: the call's arguments do not fit; nothing was trained.
    """
    checkpoint = None if checkpoint is None else Path(checkpoint)
    check_training(model, split, rows, defence, schedule, seed, soft_labels)
    optimiser = optimiser_of(schedule, model)
    training = description(defence, schedule, seed, len(rows))
    log = load_checkpoint(checkpoint, model, optimiser, training) if checkpoint is not None else Fit()
    model.train()
    steered = in_arithmetic(model, _arithmetic(model, split, rows, defence, schedule, log))
    worker: nn.Module = model if steered is None else steered
    device = split.y.device
    # A GPU works ahead of this loop as long as no number is read from it.
    together, pending = 1 if device.type == "cpu" else UPDATES_TOGETHER, list[Tensor]()
    saved = began = time.monotonic()
    before, cpu_before = log.seconds, log.cpu_seconds - time.process_time()
    # Whoever drew from the global generator before goes on where it was.
    with contextlib.ExitStack() as stack:
        stack.callback(model.eval)
        stack.enter_context(torch.random.fork_rng([device] if device.type == "cuda" else []))
        for step, positions in _batches(len(rows), schedule.batch, seed, log.step, schedule.steps, device):
            chosen = rows[positions]
            x, y = split.images(chosen), split.y[chosen]
            if schedule.crop or schedule.flip:
                choice = step_generator(seed, "augment", step)
                x = crop_and_flip(x, pad=schedule.crop, flip=schedule.flip, generator=choice)
            for group in optimiser.param_groups:
                group["lr"] = schedule.rate(step)
                if schedule.optimiser == "sgd":
                    group["momentum"] = schedule.inertia(step)
            # Dropout only knows the global generator: seed it here, so that resuming repeats it.
            _seed_dropout(step_generator(seed, "dropout", step).initial_seed(), device)
            losses, logits = objective(
                defence,
                worker,
                x,
                y if soft_labels is None else soft_labels[positions],
                progress=step / schedule.steps,
                generator=_attack_generator(seed, step, device),
            )
            optimiser.zero_grad(set_to_none=True)
            (losses.sum() if schedule.reduction == "sum" else losses.mean()).backward()
            if steered is not None:
                steered.hand_over_gradients()
            if schedule.clip:
                torch.nn.utils.clip_grad_norm_(model.parameters(), schedule.clip)
            optimiser.step()
            if steered is not None:
                steered.refresh()
            pending.append(torch.stack([losses.detach().mean().float(), (logits.argmax(1) == y).float().mean()]))
            now = time.monotonic()
            log.seconds = before + now - began
            log.cpu_seconds = cpu_before + time.process_time()
            if len(pending) == together or step + 1 == schedule.steps:
                _note(log, pending, schedule)
                if progress is not None:
                    progress(log.step, schedule.steps, log.loss[-1])
            stopping = step + 1 < schedule.steps and stop()
            saving = checkpoint is not None and (stopping or now - saved > CHECKPOINT_SECONDS)
            if stopping or saving:
                _note(log, pending, schedule)
            if checkpoint is not None and saving:
                save_checkpoint(checkpoint, model, optimiser, log, training)
                saved = now
            if stopping:
                return log
    log.finished = True
    return log


def _arithmetic(
    model: nn.Module, split: Split, rows: Tensor, defence: Defence, schedule: Schedule, log: Fit
) -> Arithmetic:
    """The arithmetic of the updates: that of the log where one is resumed, else the cheapest; noted in the log."""
    choices = allowed(schedule.precision)
    known = {str(each): each for each in choices}
    if log.step:
        # A log of earlier versions names none: they had but one a precision.
        return known.get(log.arithmetic, choices[0])
    found = choices[0]
    # A bound is carried through the very modules of the network.
    if not defence.bounds:
        passes = 2.0 * (defence.mean_steps + defence.points) * schedule.steps * schedule.batch
        found = fastest(model, split.images(rows[: schedule.batch]), precision=schedule.precision, passes=passes)
    log.arithmetic = str(found)
    return found


def _seed_dropout(seed: int, device: torch.device) -> None:
    """Seed the global generators that dropout draws from; torch.manual_seed does as much, and records three stacks."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[
            torch.cuda.current_device() if device.index is None else device.index
        ].manual_seed(seed)
    elif device.type != "cpu":
        torch.manual_seed(seed)


def _note(log: Fit, pending: list[Tensor], schedule: Schedule) -> None:
    """Move losses and accuracies of the last updates from the device into the log, up to one that is not finite."""
    for loss, accuracy in torch.stack(pending).tolist() if pending else ():
        log.loss.append(loss)
        log.accuracy.append(accuracy)
        log.step += 1
        if not math.isfinite(loss):
            raise TrainingDiverged(
                f"the loss is {loss} at step {log.step - 1}; lower the learning rate {schedule.lr}", log
            )
    pending.clear()


def _attack_generator(seed: int, step: int, device: torch.device) -> torch.Generator:
    """The step's attack generator, on the device that the attack runs on."""
    cpu = step_generator(seed, "attack", step)
    return cpu if device.type == "cpu" else torch.Generator(device).manual_seed(cpu.initial_seed())


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
