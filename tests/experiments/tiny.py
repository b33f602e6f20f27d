"""Experiments that take a second, made once for all tests, and records that were never measured."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from robustlib.attacks.suite import Boundary, Clean, Fgsm, Pgd
from robustlib.evaluate.accuracy import Accuracy, AccuracyVariation, Attacked
from robustlib.evaluate.attempts import Targeted
from robustlib.evaluate.cascades import CascadeBound, Estimated
from robustlib.evaluate.certificates import Certificate, CertifiedRadii, OutputSet, Relaxed
from robustlib.evaluate.directions import Directions
from robustlib.evaluate.distances import Distances
from robustlib.evaluate.exact import Exact
from robustlib.evaluate.groups import Groups
from robustlib.evaluate.hinge import HingeBound
from robustlib.evaluate.inner_loop import InnerLoop
from robustlib.evaluate.lending import Lending
from robustlib.evaluate.losses import LocalMaxima, LossTrace, TrainingCurve
from robustlib.evaluate.pictures import DecisionMap, Pictures
from robustlib.evaluate.softmax import Amplitudes, Outputs
from robustlib.evaluate.suite_accuracy import WorstCase
from robustlib.evaluate.update_time import Cost
from robustlib.evaluate.vanishing import VanishingGradients
from robustlib.evaluate.weights import FirstLayer, Recipe
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

BALL = LinfBall(0.1)
NETWORK = Network("digits", ModelSpec("madry_cnn", width=2), Standard(), Schedule(steps=60, batch=64, lr=5e-3))
OTHER = replace(NETWORK, seed=1)
ROBUST = replace(NETWORK, defence=PgdTraining(BALL, steps=2, step_size=0.05), schedule=Schedule(20, 32, 2e-3))
POINTS = Subset(n=60)
PROBES = (
    Targeted
    | Amplitudes
    | Outputs
    | AccuracyVariation
    | Recipe
    | Certificate
    | CertifiedRadii
    | Relaxed
    | FirstLayer
    | Directions
    | InnerLoop
    | Pictures
    | DecisionMap
    | Lending
    | OutputSet
    | CascadeBound
    | Estimated
    | Cost
    | Groups
    | Exact
    | VanishingGradients
)


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
    what = evaluation.measurement
    given: dict[str, Any] = {}
    if isinstance(what, Accuracy | WorstCase):
        outcome = np.arange(n) < round(correct * n) if isinstance(correct, float) else np.asarray(correct, bool)
        given = {"metrics": {"accuracy": share(outcome)}, "outcomes": {"correct": pack(outcome)}}
        if isinstance(what, WorstCase):
            for name in ("clean", "Noise", "Fgsm", "Pgd"):
                given["metrics"][f"after {name}"] = share(outcome)
    elif isinstance(what, Distances):
        low, high = max(0.0, float(correct) - 0.1), min(1.0, float(correct) + 0.1)
        given = {"metrics": {f"accuracy@{eps:g}": Metric(float(correct), n, low, high) for eps in what.grid}}
        if not isinstance(what.attack, Boundary):  # whose committed records are older than these two
            given["metrics"] |= {"broken": Metric(1.0, n), "mean_distance": Metric(float(correct), n, unit=what.norm)}
    elif isinstance(what, Attacked):
        places = [f" {j}" for j in range(len(what.sources))] or [""]
        names = [f"accuracy {i}{place}" for i in range(len(what.attacks)) for place in places]
        given = {"metrics": {name: Metric(float(correct), n) for name in names}}
        outcome = pack(np.arange(n) < round(float(correct) * n))
        given["outcomes"] = {name.replace("accuracy", "correct"): outcome for name in names}
    elif isinstance(what, HingeBound):
        outcome = np.arange(n) < round(float(correct) * n)
        sides = {name: Metric(0.1, n, unit="hinge") for name in ("risk", "regulariser", "gap")}
        given = {"metrics": {"accuracy": share(outcome)} | sides, "outcomes": {"correct": pack(outcome)}}
    elif isinstance(what, PROBES):
        given = _probed(evaluation, float(correct), n)
    else:
        given = {"metrics": {"final_loss": Metric(float(correct), n, unit="nats")}}
    if isinstance(what, TrainingCurve):
        given["series"] = {"step": [1, 2], "loss": [2.3, float(correct)], "accuracy": [0.1, 0.9]}
        for step in (at for at in what.at if at < evaluation.subject.schedule.steps):
            given["metrics"] |= {f"{name}@{step}": Metric(float(correct), n) for name in ("loss", "error")}
    elif isinstance(what, LossTrace):
        given["series"] = {"example_0": [[0.1, 1.0, float(correct)]]}
    elif isinstance(what, LocalMaxima):
        given["metrics"]["max_over_median_0"] = Metric(1.5, 7, unit="ratio")
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


def _probed(evaluation: Evaluation, value: float, n: int) -> dict[str, Any]:
    """What a probe gives to a record, with one value for every metric."""
    what: Any = evaluation.measurement
    stages = range(1, len(evaluation.subject.earlier) + 2)
    names: dict[str, str] = {
        Targeted: {
            "success": "fraction",
            "rho": "fraction",
            "rho_uncapped": "fraction",
            "censored": "fraction",
            "broken": "fraction",
            "features": "features",
        },
        Amplitudes: {"zero_float32": "fraction", "median_log10": "log10"},
        Outputs: {
            "confidence": "fraction",
            "max_output": "fraction",
            "max_output_at_T": "fraction",
            "same_decision": "fraction",
            "logit_size": "logits",
        },
        AccuracyVariation: {"variation": "pp"},
        Certificate: dict.fromkeys(("bound", "certified", "active", "dead", "unstable"), "fraction"),
        CertifiedRadii: dict.fromkeys(("radius", "median_radius", "radius_right"), "linf"),
        Relaxed: dict.fromkeys(("dual", "program", "attack", "loosened"), "logits"),
        FirstLayer: dict.fromkeys(("near_zero", "empty", "single"), "fraction") | {"bias_spread": "logits"},
        Directions: dict.fromkeys(
            ("start", *(f"end {box} {a}" for box in ("white", "black") for a in ("Fgsm", "Pgd"))), "nats"
        )
        | {"angle": "degrees"},
        Pictures: {"accuracy": "fraction", "length": "l2"},
        InnerLoop: dict.fromkeys(("kl", "kl_from_x", "kl_of_kick"), "nats") | {"gradient_at_x": "nats per unit"},
        DecisionMap: dict.fromkeys(("natural", "boundary", "robust"), "fraction"),
        Lending: dict.fromkeys(("money_honest", "money_edited"), "interests per applicant")
        | {
            f"{kind}_{state}_{group}": "fraction"
            for kind in ("approved", "served")
            for state in ("honest", "edited")
            for group in (0, 1)
        },
        OutputSet: {"inside": "fraction"}
        | dict.fromkeys(
            (f"{name}@{eps:g}" for name in ("sampled", "fixed", "adaptive") for eps in getattr(what, "radii", ())),
            "logits^2",
        ),
        CascadeBound: dict.fromkeys(("bound", "guarded_bound", "strict_bound", "error", "broken"), "fraction")
        | {f"{name}_{i}": "fraction" for name in ("answered", "error") for i in stages}
        | {f"classes_{i}": "classes" for i in stages},
        Estimated: {
            "exact": "fraction",
            "estimated": "estimate",
            "spread": "estimate",
            "offset": "logits",
            "scatter": "logits",
        },
        Cost: {"seconds": "s", "units": "units"},
        Exact: dict.fromkeys(("certified", "accuracy", "undecided"), "fraction")
        | dict.fromkeys(("asked", "solved", "broken", "late"), "points")
        | {"switches": "units"},
        Groups: dict.fromkeys(
            ("bound", "accuracy", *(f"{e}_{k}" for e in ("worst", "best") for k in ("class", "person"))), "fraction"
        ),
        VanishingGradients: dict.fromkeys(("zero", "subnormal", "zero_loss", "unmoved", "hidden"), "fraction"),
        Recipe: {
            "learning rate": "setting",
            "momentum": "setting",
            "dropout (FC)": "setting",
            "decay delay": "setting",
            "batch size": "setting",
            "epochs": "setting",
        }
        | {f"layer {i}": "setting" for i in range(1, 10)},
    }[type(what)]
    given: dict[str, Any] = {"metrics": {name: Metric(value, n, unit=unit) for name, unit in names.items()}}
    outcome = np.arange(n) < round(value * n)
    if isinstance(what, Outputs | AccuracyVariation | Pictures):
        given["metrics"]["accuracy"] = share(outcome)
        given["outcomes"] = {"correct": pack(outcome)}
    elif isinstance(what, Certificate):
        given["outcomes"] = {"certified": pack(outcome)}
    elif isinstance(what, CascadeBound):
        given["outcomes"] = {name: pack(outcome) for name in ("correct", "released", "guarded", "strict")}
    elif isinstance(what, Groups | Exact):
        given["outcomes"] = {name: pack(outcome) for name in ("correct", "certified")}
    elif isinstance(what, Estimated):
        given["series"] = {"estimated": [value] * what.repeats}
    elif isinstance(what, VanishingGradients):
        given["outcomes"] = {name: pack(outcome) for name in ("zero", "hidden")}
    elif isinstance(what, Targeted):
        given["outcomes"] = {"reached": pack(outcome)}
    elif isinstance(what, Amplitudes):
        edges = [0.0, *(10.0**power for power in what.edges), 1.0]
        given["metrics"] |= {f"share {a:g} - {b:g}": Metric(value, n) for a, b in pairwise(edges)}
    return given


def file(folder: Path, evaluation: Evaluation, profile: str = "full", **changes: Any) -> Record:
    """Fabricate a record and file it under ``folder``."""
    return Store(folder).write(fabricate(evaluation, profile, **changes), evaluation)
