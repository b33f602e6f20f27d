"""Trained networks: from memory, committed weights, the cache or an authors' file, or trained now."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..certify import uncertified
from ..data import Dataset, Split, load
from ..data.registry import facts_of
from ..errors import RobustlibError
from ..files import lock, write_atomically
from ..interrupt import Stopped
from ..models import build
from ..spec.keys import key
from ..spec.network import Network
from ..threat import Ball
from ..training import Certified, Distillation, Fit, TrainingDiverged, WeakTeacher, fit, soft_labels
from ..training.loop import step_generator
from ..training.released import Released
from .checkpoints import fill
from .provenance import source_digest
from .store import half_precision, load_weights, save_log, save_weights, weights_path

KEPT = 4
CHUNK = 500
"""Training points between two certificates of an earlier stage."""
LOGGED = {"loss", "accuracy", "seconds", "cpu_seconds", "alarms"}


def dataset_of(network: Network, device: torch.device) -> Dataset:
    """Dataset that a network is trained and evaluated on, cut to its classes."""
    dataset = load(network.dataset, device=device)
    return dataset.only(network.classes) if network.classes else dataset


@dataclass
class Networks:
    """Finds or makes trained networks.

    Args:
        device: where they are wanted.
        cache: folder for weights, logs and checkpoints.
        committed: folder of committed weights, or None to train everything.
        stop: called after each update; when true, training stops at a checkpoint.
        progress: called with (network, step, steps, loss).
        diverged: why networks could not be trained, by training key; filled by :meth:`obtain`.
        wait: for a network that another process is training; else :meth:`obtain` raises Busy.
    """

    device: torch.device
    cache: Path
    committed: Path | None
    stop: Callable[[], bool] = lambda: False
    progress: Callable[[Network, int, int, float], None] | None = None
    diverged: dict[str, str] = field(default_factory=dict)
    wait: bool = True
    _kept: dict[str, nn.Module] = field(default_factory=dict)

    def blank(self, network: Network) -> nn.Module:
        """The untrained network: weights drawn from its seed."""
        shape, outputs = facts_of(network.dataset).shape, network.outputs
        generator = step_generator(network.seed, "weights", 0)
        model = build(network.model, input_shape=shape, classes=outputs, generator=generator)
        return model.to(self.device)

    def obtain(self, network: Network) -> nn.Module:
        """The trained network in eval mode, float32; weights of ours are rounded to float16, released ones are not.

        Raises:
            MissingWeights: a released network is not at hand.
            Stopped: its training was stopped at a checkpoint.
            TrainingDiverged: its loss stopped being finite; the log is kept.
            WeakTeacher: its teacher is below the stated accuracy.
        """
        name = key(network)
        if name not in self._kept:
            model = self._find(network) or self._train(network)
            if self.progress is not None:
                # A network that was found counts as finished, too.
                self.progress(network, network.schedule.steps, network.schedule.steps, math.nan)
            while len(self._kept) >= KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[name] = model
        return self._kept[name]

    def log(self, network: Network) -> dict[str, Any] | None:
        """{"loss", "accuracy", "seconds", "alarms"} of its training on this machine, if it is still known."""
        path = weights_path(self.cache, network).with_suffix(".log.json")
        if not path.exists():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        whole = isinstance(content, dict) and set(content) >= LOGGED
        return content if whole else None

    def broken(self, networks: Sequence[Network]) -> str:
        """Why one of them, or of their ancestors, could not be trained in this run, or ""."""
        lineage = [key(ancestor) for network in networks for ancestor in network.lineage]
        return next((self.diverged[name] for name in lineage if name in self.diverged), "")

    def forget(self, network: Network) -> None:
        """Drop a cached network, so that it is trained from nothing."""
        self._kept.pop(key(network), None)
        path = weights_path(self.cache, network)
        for suffix in (".safetensors", ".log.json", ".checkpoint", ".diverged"):
            path.with_suffix(suffix).unlink(missing_ok=True)

    def _find(self, network: Network) -> nn.Module | None:
        if network.defence.released:
            model = self.blank(network)
            fill(model, cast(Released, network.defence))
            return model
        folders = [self.cache] if self.committed is None else [self.committed, self.cache]
        for folder in folders:
            path = weights_path(folder, network)
            if path.exists():
                model = self.blank(network)
                try:
                    load_weights(path, model, network)
                except RobustlibError as error:
                    if folder == self.committed:
                        raise
                    print(f"{error}; training it again")
                    path.unlink(missing_ok=True)
                    continue
                return model
        return None

    def _train(self, network: Network) -> nn.Module:
        path = weights_path(self.cache, network)
        with lock(path.with_suffix(".lock"), wait=self.wait):
            # Another process may have trained it while this one waited for the lock.
            found = self._find(network)
            if found is not None:
                return found
            if why := self._marked(network):
                self.diverged[key(network)] = f"{network.name}: {why} (found by another run; --recompute trains again)"
                raise TrainingDiverged(self.diverged[key(network)], Fit())
            model = self.blank(network)
            if network.start is not None:
                model.load_state_dict(self.obtain(network.start).state_dict())
            dataset = dataset_of(network, self.device)
            first, end = network.rows or (0, len(dataset.train))
            if not 0 <= first < end <= len(dataset.train):
                raise RobustlibError(
                    f"rows=({first}, {end}) of {network.name}: {network.dataset} has {len(dataset.train)} training rows"
                )
            rows, soft = torch.arange(first, end, device=self.device), None
            if network.teacher is not None:
                try:
                    defence = cast(Distillation, network.defence)
                    soft = soft_labels(self.obtain(network.teacher), dataset.train, rows, defence)
                except WeakTeacher as error:
                    self.diverged[key(network)] = f"{network.name}: {error}"
                    raise
            whole, schedule = len(rows), network.schedule
            for stage in network.earlier:
                rows = self._left(stage, dataset.train, rows, cast(Certified, network.defence).threat)
            if not len(rows):
                raise self._given_up(network, "the stages before it leave nothing to train on", Fit())
            if network.earlier:
                schedule = schedule.shortened(len(rows) / whole)
            checkpoint = path.with_suffix(".checkpoint")
            told = self.progress
            try:
                log = fit(
                    model,
                    dataset.train,
                    rows,
                    network.defence,
                    schedule,
                    seed=network.seed,
                    checkpoint=checkpoint,
                    stop=self.stop,
                    soft_labels=soft,
                    progress=None if told is None else lambda step, steps, loss: told(network, step, steps, loss),
                )
            except TrainingDiverged as error:
                self._save_log(path, network, error.fit)
                raise self._given_up(network, str(error), error.fit) from None
            if not log.finished:
                raise Stopped(f"{network.name} stopped at step {log.step} of {schedule.steps}")
            half_precision(model)
            self._save_log(path, network, log)
            save_weights(path, model, network)
            checkpoint.unlink(missing_ok=True)
            return model

    def _given_up(self, network: Network, why: str, log: Fit) -> TrainingDiverged:
        """The error, once it is noted for this run and, in a file beside the lock, for those beside and after it."""
        self.diverged[key(network)] = f"{network.name}: {why}"
        write_atomically(self._mark(network), json.dumps({**self._cause(network), "why": why}).encode())
        return TrainingDiverged(self.diverged[key(network)], log)

    def _marked(self, network: Network) -> str:
        """Why this very training failed before, or ""; another recipe, code or kind of device may do better."""
        try:
            found = json.loads(self._mark(network).read_text(encoding="utf-8"))
            return str(found.pop("why")) if self._cause(network).items() <= found.items() else ""
        except (OSError, ValueError, AttributeError, KeyError):
            return ""

    def _mark(self, network: Network) -> Path:
        return weights_path(self.cache, network).with_suffix(".diverged")

    def _cause(self, network: Network) -> dict[str, str]:
        return {"training_key": key(network), "source_digest": source_digest(), "device": self.device.type}

    def _left(self, stage: Network, split: Split, rows: Tensor, threat: Ball) -> Tensor:
        """The rows at which a stage does not certify its own prediction."""
        model = self.obtain(stage)
        left = [part[uncertified(model, split.images(part), threat)] for part in rows.split(CHUNK)]
        return torch.cat(left) if left else rows

    def _save_log(self, path: Path, network: Network, log: Fit) -> None:
        save_log(
            path.with_suffix(".log.json"),
            {
                "network": network.name,
                "loss": [round(value, 6) for value in log.loss],
                "accuracy": [round(value, 4) for value in log.accuracy],
                "seconds": log.seconds,
                "cpu_seconds": log.cpu_seconds,
                "arithmetic": log.arithmetic,
                "alarms": log.alarms(network.outputs),
            },
        )
