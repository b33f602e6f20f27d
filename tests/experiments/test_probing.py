"""Probes of a network, each against its definition, and the way from a distilled network to its records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from robustlib.attacks.suite import Jsma
from robustlib.data import Split, load
from robustlib.evaluate import targeted
from robustlib.evaluate.accuracy import AccuracyVariation
from robustlib.evaluate.saturation import Amplitudes, Outputs
from robustlib.evaluate.targeted import Targeted
from robustlib.evaluate.weights import Recipe
from robustlib.experiments.forecast import estimates
from robustlib.experiments.networks import Networks
from robustlib.experiments.progress import label
from robustlib.experiments.store import Store
from robustlib.models import ModelSpec, build
from robustlib.papers.papernot2016 import networks as paper
from robustlib.spec.evaluation import Evaluation, Subset
from robustlib.spec.keys import key
from robustlib.spec.measurement import Subject
from robustlib.spec.network import Network
from robustlib.training import Distillation, Schedule, Standard
from tests.attacks.models import Saturated
from tests.evaluate.subjects import On
from tests.experiments.tiny import execute

ROWS = torch.arange(60)
START = Network("digits", ModelSpec("papernot_mnist", 8), Standard(), Schedule(120, 64, 1e-2, shape="one_cycle"))
QUICK = Schedule(40, 64, 5e-3, shape="one_cycle")
TEACHER = replace(START, defence=Standard(temperature=20.0), schedule=QUICK, parents=(START,), seed=10)
STUDENT = replace(TEACHER, defence=Distillation(20.0), parents=(TEACHER, START), seed=0)


@pytest.fixture(scope="module")
def digits() -> Split:
    return load("digits").test


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> nn.Module:
    return Networks(torch.device("cpu"), tmp_path_factory.mktemp("networks"), None).obtain(START)


def test_confidence_is_that_of_equation_12(digits: Split, model: nn.Module) -> None:
    found = Outputs(20.0).run(On(model, digits, ROWS)).metrics
    with torch.no_grad():
        logits = model(digits.images(ROWS)).double().numpy()
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    right = logits.argmax(1) == digits.y[ROWS].numpy()
    assert 0 < right.mean() < 1
    assert found["confidence"].value == pytest.approx((right * shares.max(1)).mean(), abs=1e-6)
    assert found["accuracy"].value == right.mean()
    assert found["logit_size"].value == pytest.approx(np.abs(logits).mean())
    warm = np.exp(logits / 20)
    assert found["max_output_at_T"].value == pytest.approx((warm.max(1) / warm.sum(1)).mean(), abs=1e-6)
    assert found["same_decision"].value == 1.0
    assert found["confidence"].low <= found["confidence"].value <= found["confidence"].high  # type: ignore[operator]


def test_saturation_moves_points_to_the_lowest_range(digits: Split, model: nn.Module) -> None:
    plain = Amplitudes().run(On(model, digits, ROWS))
    masked = Amplitudes().run(On(Saturated(model, 1e5).eval(), digits, ROWS))
    for found in (plain, masked):
        assert len(found.histograms["float64"]["counts"]) == 10
        assert len(found.histograms["float64"]["edges"]) == 11
        assert sum(found.histograms["float64"]["counts"]) == sum(found.histograms["float32"]["counts"]) == 60
        shares = [metric.value for name, metric in found.metrics.items() if name.startswith("share ")]
        assert sum(shares) == pytest.approx(1.0)
    assert plain.metrics["zero_float32"].value == 0
    assert masked.metrics["zero_float32"].value > 0.9
    assert masked.metrics["share 0 - 1e-40"].value > 0.9
    assert masked.metrics["median_log10"].value < -1_000


def test_a_network_varies_by_nothing_from_itself_and_by_its_gain_from_another(digits: Split, model: nn.Module) -> None:
    other = build(START.model, input_shape=(1, 8, 8), classes=10, generator=torch.Generator().manual_seed(9))
    on = On(model, digits, ROWS, models={START: model})
    same = AccuracyVariation(START).run(on).metrics["variation"]
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    found = AccuracyVariation(START).run(replace(on, models={START: other})).metrics
    gain = 100 * (found["accuracy"].value - found["baseline_accuracy"].value)
    assert found["variation"].value == pytest.approx(gain)
    assert gain > 20


def test_matrices_and_shares_of_attempts_agree(
    digits: Split, model: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = Targeted(Jsma(features=64), cap=9)
    on = Subject(Evaluation(START, what, Subset(n=20)), load("digits"), {key(START): model})
    found = what.run(on)
    tries, hits, features, changed = (np.asarray(found.series[n]) for n in ("tries", "hits", "features", "changed"))
    assert tries.sum() == found.metrics["success"].n == 180
    assert not tries.diagonal().any()
    assert found.metrics["success"].value == pytest.approx(hits.sum() / 180)
    assert found.metrics["features"].value == pytest.approx(features.sum() / hits.sum())
    least = np.where(changed > 0, changed, 64).min(1)
    assert found.metrics["rho_uncapped"].value == pytest.approx(least.mean() / 64)
    assert found.metrics["rho"].value == pytest.approx(least.clip(max=9).mean() / 64)
    assert found.metrics["censored"].value == pytest.approx((least > 9).mean())
    assert len(found.series["rows"]) == 20
    # Of many points the first are kept, for the drawing of one of them; the numbers are of all.
    monkeypatch.setattr(targeted, "KEPT", 5)
    short = what.run(on)
    assert short.series["changed"] == found.series["changed"][:5]
    assert short.series["rows"] == found.series["rows"][:5]
    assert short.metrics == found.metrics


def test_a_recipe_is_read_off_the_network() -> None:
    spec = paper.baseline("cifar10")
    model = build(spec.model, input_shape=(3, 32, 32), classes=10, generator=torch.Generator().manual_seed(0))
    whole = SimpleNamespace(model=model, network=spec, dataset=SimpleNamespace(train=range(50_000)))
    found = {name: metric.value for name, metric in Recipe().run(whole).metrics.items()}
    assert [found[f"layer {i}"] for i in range(1, 10)] == [64, 64, 2, 128, 128, 2, 256, 256, 10]
    assert (found["learning rate"], found["momentum"], found["batch size"]) == (0.01, 0.9, 128)
    assert (found["epochs"], found["decay delay"], found["dropout (FC)"]) == (50, 10, 0.5)


@pytest.mark.parametrize(("split", "name"), [("train", "train"), ("validation", "train"), ("test", "test")])
def test_points_know_the_groups_of_the_split_that_they_are_rows_of(split: str, name: str) -> None:
    lender = load("lender")
    on = Subject(Evaluation(replace(START, dataset="lender"), Outputs(), Subset(split=split)), lender, {})
    assert on.groups is lender.groups[name]
    assert int(on.rows.max()) < len(on.groups)


# Ancestors ----------------------------------------------------------------------------------------------------


def test_a_student_is_trained_after_its_teacher_and_from_its_start(tmp_path: Path) -> None:
    networks = Networks(torch.device("cpu"), tmp_path, None)
    student = networks.obtain(STUDENT)
    assert len(list(tmp_path.glob("*.safetensors"))) == 3
    assert [bool((tmp_path / f"{n.name}-{key(n)[:8]}.safetensors").exists()) for n in STUDENT.lineage] == [True] * 4
    # Its first loss is that of the start on the teacher's labels, far below chance.
    log = networks.log(STUDENT)
    assert log is not None
    assert log["accuracy"][0] > 0.5
    again = Networks(torch.device("cpu"), tmp_path / "other", None).obtain(STUDENT)
    for one, other in zip(student.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_weak_teacher_fails_its_students_records_and_no_others(tmp_path: Path) -> None:
    strict = replace(STUDENT, defence=Distillation(20.0, 0.999))
    summary = execute(tmp_path, *(Evaluation(n, Outputs(20.0), Subset(n=50)) for n in (strict, TEACHER)))
    assert len(summary.failed) == 1
    assert "below least_accuracy=99.9%" in summary.failed[0]
    assert [record.training_key for record in summary.written] == [key(TEACHER)]
    assert Store(tmp_path).find(Evaluation(strict, Outputs(20.0), Subset(n=50)), "smoke") is None


def test_an_estimate_counts_every_ancestor_once() -> None:
    wanted = [Evaluation(n, Outputs(), Subset(n=1)) for n in (STUDENT, TEACHER)]
    assert set(estimates(wanted, "cpu")) == {*map(label, (START, TEACHER, STUDENT)), *map(label, wanted)}
