"""Experiments that take a second, made once for all tests, and records that were never measured."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from robustlib.attacks.suite import Boundary, Clean, Fgsm, Pgd
from robustlib.evaluate.accuracy import Accuracy, AccuracyVariation, Attacked
from robustlib.evaluate.bracket import Bracket
from robustlib.evaluate.cascades import CascadeBound, Estimated
from robustlib.evaluate.certificates import Certificate
from robustlib.evaluate.distances import Distances
from robustlib.evaluate.exact import Exact
from robustlib.evaluate.groups import Groups
from robustlib.evaluate.hinge import HingeBound
from robustlib.evaluate.losses import LocalMaxima, LossTrace, TrainingCurve
from robustlib.evaluate.pictures import Pictures
from robustlib.evaluate.saturation import Outputs
from robustlib.evaluate.suite_accuracy import WorstCase
from robustlib.evaluate.targeted import Targeted
from robustlib.evaluate.vanishing import AccuracyWithoutSubnormals, VanishingGradients
from robustlib.experiments import profiles
from robustlib.experiments.runner import Job, Summary, run
from robustlib.experiments.store import Store
from robustlib.models import ModelSpec
from robustlib.spec.evaluation import Evaluation, Subset
from robustlib.spec.keys import describe, key
from robustlib.spec.measurement import share
from robustlib.spec.network import Network
from robustlib.spec.records import Metric, Record, pack
from robustlib.threat import LinfBall
from robustlib.training import PgdTraining, Schedule, Standard

WHOLE_ITEMS = [name for name in profiles.NAMES if not profiles.profile(name).compared]
"""Profiles that run items whole, claims and this book's own cells included."""
BALL = LinfBall(0.1)
NETWORK = Network("digits", ModelSpec("madry_cnn", width=2), Standard(), Schedule(steps=60, batch=64, lr=5e-3))
OTHER = replace(NETWORK, seed=1)
ROBUST = replace(NETWORK, defence=PgdTraining(BALL, steps=2, step_size=0.05), schedule=Schedule(20, 32, 2e-3))
POINTS = Subset(n=60)
OUTCOMES: dict[type, tuple[str, ...]] = {
    **dict.fromkeys((Accuracy, WorstCase, HingeBound, Outputs, AccuracyVariation, Pictures), ("correct",)),
    AccuracyWithoutSubnormals: ("correct",),
    **dict.fromkeys((Bracket, Groups, Exact), ("correct", "certified")),
    Certificate: ("certified",),
    CascadeBound: ("correct", "released", "guarded", "strict"),
    Targeted: ("reached",),
    VanishingGradients: ("zero", "hidden"),
}
"""Names of the outcomes that a measurement files, one a point."""


def accuracy(network: Network = NETWORK, attack: Any = None, **changes: Any) -> Evaluation:
    attack = attack or Clean()
    return Evaluation(network, Accuracy(attack, None if isinstance(attack, Clean) else BALL, **changes), POINTS)


CLEAN, FGSM = accuracy(), accuracy(attack=Fgsm())
PGD = accuracy(attack=Pgd(steps=3, step_size=0.05, restarts=2))
CURVE = Evaluation(NETWORK, TrainingCurve(blocks=5))
TRACE = Evaluation(NETWORK, LossTrace(BALL, steps=4, step_size=0.05, runs=3), Subset(n=2))
MAXIMA = Evaluation(NETWORK, LocalMaxima(BALL, steps=3, step_size=0.05, starts=7), Subset(n=2))
DISTANCES = Evaluation(NETWORK, Distances(Boundary(steps=20), "linf", (0.0, 0.1, 1.0)), Subset(n=10))
TRANSFER = accuracy(attack=Fgsm(), source=OTHER)
EVERY = (CURVE, CLEAN, FGSM, PGD, TRACE, MAXIMA, DISTANCES, TRANSFER)


@contextmanager
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def jobs(*evaluations: Evaluation) -> list[Job]:
    return [Job(evaluation, evaluation) for evaluation in evaluations]


def execute(folder: Path, *evaluations: Evaluation, **options: Any) -> Summary:
    """Run them in ``folder`` as the smoke profile, quietly, with the networks in ``folder/networks``."""
    given = {"profile": "smoke", "device": "cpu", "cache": folder / "networks", "say": lambda line: None}
    return run(jobs(*evaluations), store=Store(folder), **(given | options))


@dataclass(frozen=True)
class Made:
    """A folder that holds the records of EVERY; read it, copy it, never write to it."""

    folder: Path
    summary: Summary
    keep: Any

    def record(self, evaluation: Evaluation) -> Record:
        record = Store(self.folder).find(evaluation, "smoke")
        assert record is not None
        return record

    def path(self, evaluation: Evaluation) -> Path:
        return self.folder / self.record(evaluation).path


@functools.cache
def made() -> Made:
    """EVERY, run once."""
    keep = tempfile.TemporaryDirectory(prefix="robustlib-tiny-")
    folder = Path(keep.name)
    with one_thread():
        return Made(folder, execute(folder, *EVERY), keep)


def content(record: Record) -> dict[str, Any]:
    """What a measurement found, without when and how fast."""
    return {
        "keys": (record.evaluation_key, record.training_key),
        "metrics": record.metrics,
        "outcomes": record.outcomes,
        "series": record.series,
        "histograms": record.histograms,
        "weights": record.weights_digest,
        "findings": record.findings,
        "deviations": record.deviations,
        "dataset": record.dataset,
    }


def fabricate(
    evaluation: Evaluation, profile: str = "full", *, correct: np.ndarray | float = 0.9, n: int = 100, **changes: Any
) -> Record:
    """A record that validates and was never measured.

    ``correct``: outcomes of an Accuracy, or their share; the value of every other metric.
    """
    what: Any = evaluation.measurement
    outcome = np.arange(n) < round(correct * n) if isinstance(correct, float) else np.asarray(correct, bool)
    value = correct if isinstance(correct, float) else float(outcome.mean())
    of_points = share(outcome)
    metrics = {
        name: replace(of_points, value=value) if unit == "fraction" else Metric(value, n, unit=unit)
        for name, unit in what.units(evaluation.subject).items()
    }
    names = OUTCOMES.get(type(what), ())
    if isinstance(what, Attacked):
        names = tuple(name.replace("accuracy", "correct") for name in metrics)
    series: dict[str, Any] = {}
    if isinstance(what, TrainingCurve):
        series = {"step": [1, 2], "loss": [2.3, value], "accuracy": [0.1, 0.9]}
    elif isinstance(what, LossTrace):
        series = {"example_0": [[0.1, 1.0, value]]}
    elif isinstance(what, LocalMaxima):
        metrics["max_over_median_0"] = Metric(1.5, 7, unit="ratio")
    elif isinstance(what, Estimated):
        series = {"estimated": [value] * what.repeats}
    given: dict[str, Any] = {"metrics": metrics, "outcomes": dict.fromkeys(names, pack(outcome)), "series": series}
    record = Record(
        profile=profile,
        evaluation_key=key(evaluation),
        training_key=key(evaluation.subject),
        evaluation=describe(evaluation),
        dataset={"name": evaluation.subject.dataset, "digest": "0" * 64, "inexact": {"train": 0, "test": 0}},
        weights_digest=key(evaluation.subject) * 4,
        commit="unknown",
        source_digest="0" * 16,
        versions={"torch": str(torch.__version__)},
        device="none",
        created="2026-01-01T00:00:00+00:00",
        wall_s=1.0,
        cpu_s=1.0,
        peak_memory_mb=1.0,
        training_s=60.0,
        training_cpu_s=60.0,
        operations=1e6,
        **given,
    )
    return replace(record, **changes)


def file(folder: Path, evaluation: Evaluation, profile: str = "full", **changes: Any) -> Record:
    """Fabricate a record and file it under ``folder``."""
    return Store(folder).write(fabricate(evaluation, profile, **changes), evaluation)
