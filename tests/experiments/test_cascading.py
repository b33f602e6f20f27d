"""Cascades as specifications and measurements: what a stage is trained on, and what is recorded of all of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from robustlib.certify import Cascade, uncertified
from robustlib.data import load
from robustlib.errors import RobustlibError
from robustlib.evaluate.cascades import CascadeBound, Estimated
from robustlib.experiments.networks import Networks
from robustlib.models import ModelSpec
from robustlib.spec.evaluation import Evaluation, Subset
from robustlib.spec.keys import describe, key, parse
from robustlib.spec.measurement import Subject
from robustlib.spec.network import Network
from robustlib.threat import LinfBall
from robustlib.training import Certified, Schedule, Standard, TrainingDiverged

BALL = LinfBall(0.1)
PLAIN = Network("digits", ModelSpec("wong_dense", 16, depth=2), Standard(), Schedule(100, 50, 5e-3, shape="one_cycle"))
FIRST = replace(PLAIN, defence=Certified(BALL), schedule=Schedule(60, 50, 5e-3, shape="one_cycle"), parents=(PLAIN,))
SECOND = replace(FIRST, parents=(), earlier=(FIRST,), schedule=Schedule(100, 50, 5e-3, decay=((50, 0.5),)))


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Networks:
    return Networks(torch.device("cpu"), tmp_path_factory.mktemp("cascade"), None)


def test_a_stage_is_trained_on_what_is_left_for_as_many_epochs(networks: Networks) -> None:
    networks.obtain(SECOND)
    train = load("digits").train
    left = int(uncertified(networks.obtain(FIRST), train.images(torch.arange(len(train))), BALL).sum())
    log = networks.log(SECOND)
    assert log is not None
    assert 0 < left < len(train)
    assert len(log["loss"]) == round(100 * left / len(train))
    assert SECOND.lineage == (PLAIN, FIRST, SECOND)
    assert parse(describe(SECOND)) == SECOND
    assert key(SECOND) != key(replace(SECOND, earlier=()))


def test_what_is_recorded_of_a_cascade(networks: Networks) -> None:
    run = Evaluation(SECOND, CascadeBound(BALL, searched=5, steps=3), Subset(n=60))
    assert run.networks == (SECOND, FIRST)
    models = {key(network): networks.obtain(network) for network in run.networks}
    found = run.measurement.run(Subject(run, load("digits"), models))
    value = {name: metric.value for name, metric in found.metrics.items()}
    assert value["error"] <= value["bound"] <= value["guarded_bound"] <= value["strict_bound"]
    assert value["answered_1"] + value["answered_2"] == pytest.approx(1)
    assert 0 < value["answered_1"] < 1
    # A soundness check takes every outcome of this name for a proof.
    assert "certified" not in found.outcomes
    split, rows = run.subset.choose(load("digits"))
    cascade = Cascade((models[key(FIRST)], models[key(SECOND)]), BALL)
    judged = cascade.judge(split.images(rows), split.y[rows])
    assert value["bound"] == pytest.approx(float((~judged.released).double().mean()))
    assert value["answered_1"] == pytest.approx(float((judged.stage == 0).double().mean()))


def test_estimates_are_recorded_in_a_unit_of_their_own(networks: Networks) -> None:
    run = Evaluation(FIRST, Estimated(BALL, projections=20, repeats=3), Subset(n=40))
    found = run.measurement.run(Subject(run, load("digits"), {key(FIRST): networks.obtain(FIRST)}))
    assert found.metrics["exact"].unit == "fraction"
    assert found.metrics["estimated"].unit == found.metrics["spread"].unit == "estimate"
    assert found.metrics["scatter"].value > 0
    assert found.outcomes == {}


def test_nothing_left_to_train_on_is_said(tmp_path: Path) -> None:
    """A ball of radius 0 certifies every prediction."""
    point = LinfBall(0.0)
    first = replace(PLAIN, defence=Certified(point), schedule=Schedule(2, 50, 1e-3))
    second = replace(first, earlier=(first,))
    networks = Networks(torch.device("cpu"), tmp_path, None)
    with pytest.raises(TrainingDiverged, match="nothing to train on"):
        networks.obtain(second)
    assert "nothing" in networks.broken([second])
    with pytest.raises(RobustlibError, match="earlier"):
        replace(second, defence=Standard())
