"""Certificates as measurements: their shares, their order, what they say of single points."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from robustlib.attacks.suite import AutoAttack, Pgd
from robustlib.certify import certify, outer_polygon
from robustlib.data import load
from robustlib.errors import RobustlibError
from robustlib.evaluate import certificates
from robustlib.evaluate.accuracy import Accuracy
from robustlib.evaluate.bracket import BOUNDS, Bracket
from robustlib.evaluate.certificates import Certificate, CertifiedRadii, OutputSet, Relaxed
from robustlib.evaluate.exact import CHEAP_FIRST, Exact
from robustlib.evaluate.losses import TrainingCurve
from robustlib.evaluate.weights import FirstLayer
from robustlib.experiments.cost import evaluation_flops, training_flops
from robustlib.models import ModelSpec, build
from robustlib.spec.evaluation import Evaluation, Subset
from robustlib.spec.keys import key
from robustlib.spec.measurement import Measured, Measurement, Subject
from robustlib.spec.network import Network
from robustlib.threat import LinfBall
from robustlib.training import Certified, Schedule, Standard, fit
from tests.evaluate.subjects import On

BALL = LinfBall(0.05, domain=None)
NETWORK = Network("digits", ModelSpec("wong_dense", 16), Standard(), Schedule(150, 50, 5e-3, shape="one_cycle"))
POINTS = Subset(n=60)


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    model = build(NETWORK.model, input_shape=(1, 8, 8), classes=10, generator=torch.Generator().manual_seed(0))
    fit(model, load("digits").train, torch.arange(1_437), NETWORK.defence, NETWORK.schedule, seed=0)
    return model


def found(model: nn.Module, what: Measurement, n: int = 60) -> Measured:
    return what.run(Subject(Evaluation(NETWORK, what, Subset(n=n)), load("digits"), {key(NETWORK): model}))


def unpacked(given: Measured, name: str) -> np.ndarray:
    """(n,) bool of an outcome."""
    count, _, packed = given.outcomes[name].partition(":")
    return np.unpackbits(np.frombuffer(b64decode(packed), np.uint8), count=int(count)).astype(bool)


def test_a_certificates_shares(trained: nn.Module) -> None:
    split, rows = POINTS.choose(load("digits"))
    sure = certify(trained, split.images(rows), split.y[rows], BALL)
    given = found(trained, Certificate(BALL))
    assert given.metrics["certified"].value == pytest.approx(float(sure.certified.float().mean()))
    assert 0.02 < given.metrics["certified"].value == pytest.approx(1 - given.metrics["bound"].value)
    unstable = float(sure.layers[0].unstable.double().mean()) / 16
    assert given.metrics["unstable"].value == pytest.approx(unstable)
    assert sum(given.metrics[kind].value for kind in ("active", "dead", "unstable")) == pytest.approx(1)
    assert given.series["units"] == [16]
    assert np.sum(given.series["shares"], axis=1) == pytest.approx([1.0], abs=1e-4)


def test_bounds_stand_in_their_order(trained: nn.Module) -> None:
    attacked = found(trained, Accuracy(Pgd(20, 0.01, random_start=False), BALL)).metrics["accuracy"].value
    bounds = {
        name: found(trained, Certificate(ball, **options)).metrics["certified"].value
        for name, ball, options in (
            ("dual", BALL, {}),
            ("clipped", replace(BALL, domain=(0.0, 1.0)), {}),
            ("interval", BALL, {"method": "interval"}),
        )
    }
    assert bounds["interval"] <= bounds["dual"] <= attacked
    assert bounds["dual"] <= bounds["clipped"]


def test_radii_are_certified_and_further_ones_are_not(trained: nn.Module) -> None:
    given, (split, rows) = found(trained, CertifiedRadii()), POINTS.choose(load("digits"))
    radii, right = np.asarray(given.series["radius"]), np.asarray(given.series["right"])
    held = found(trained, Certificate(BALL)).metrics["certified"].value
    assert ((radii >= BALL.eps) & right).mean() == pytest.approx(held)
    assert given.metrics["median_radius"].value == pytest.approx(float(np.median(radii)), abs=1e-5)
    assert given.metrics["accuracy"].value == pytest.approx(right.mean())
    labels = trained(split.images(rows)).argmax(1)
    assert right.tolist() == (labels == split.y[rows]).tolist()


def test_radii_of_many_points_are_kept_as_means_of_neighbours(
    trained: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten thousand points would make a record longer than any may be."""
    every = found(trained, CertifiedRadii())
    monkeypatch.setattr(certificates, "GROUPS", 20)
    grouped = found(trained, CertifiedRadii())
    radii, right = np.asarray(every.series["radius"]), np.asarray(every.series["right"], float)
    order = np.argsort(radii, kind="stable")
    assert grouped.series["radius"] == pytest.approx(radii[order].reshape(20, 3).mean(1), abs=2e-6)
    assert np.mean(grouped.series["right"]) == pytest.approx(right.mean(), abs=1e-6)
    assert grouped.metrics == every.metrics


def test_the_program_lies_between_the_dual_bound_and_the_attack(trained: nn.Module) -> None:
    given = found(trained, Relaxed(BALL, steps=20), n=4)
    dual, program, attack = (np.asarray(given.series[name]) for name in ("dual", "program", "attack"))
    assert (dual <= program + 1e-6).all()
    assert (program <= attack + 1e-6).all()
    assert given.metrics["loosened"].value == pytest.approx(float((program - dual).mean()), abs=1e-5)


def test_a_solver_stands_between_the_bounds_and_the_attack(trained: nn.Module) -> None:
    threat, attack = LinfBall(0.15), Pgd(5, 0.06)
    given = found(trained, Exact(threat, attack, tried=60), n=30)
    bounds = [found(trained, Certificate(threat, *how), n=30).metrics["certified"].value for how in CHEAP_FIRST]
    left = found(trained, Accuracy(attack, threat), n=30).metrics["accuracy"].value
    values = {name: metric.value for name, metric in given.metrics.items()}
    assert max(bounds) < values["certified"] == values["accuracy"] <= left
    assert values["undecided"] == values["late"] == 0
    assert values["asked"] == values["solved"] + values["broken"] > 0
    fewer = found(trained, Exact(threat, attack, tried=1), n=30)
    assert fewer.metrics["asked"].value == 1
    gap = fewer.metrics["accuracy"].value - fewer.metrics["certified"].value
    assert fewer.metrics["undecided"].value == pytest.approx(gap)
    assert gap > 0


def test_a_bracket_holds_what_its_parts_find_by_themselves(trained: nn.Module) -> None:
    threat, first, attack = LinfBall(0.15), Pgd(5, 0.06), AutoAttack(steps=10, queries=100, target_classes=2)
    given = found(trained, Bracket(threat, first, attack), n=30)
    bounds = [found(trained, Certificate(threat, *how), n=30) for how in BOUNDS.values()]
    proven = np.any([unpacked(bound, "certified") for bound in bounds], axis=0)
    left = unpacked(found(trained, Accuracy(first, threat), n=30), "correct")
    certified, correct = (unpacked(given, name) for name in ("certified", "correct"))
    assert 0 < certified.sum() < len(certified)
    np.testing.assert_array_equal(certified, proven)
    assert not (correct & ~left).any(), "no attack that follows puts a point right"
    np.testing.assert_array_equal(correct[proven], True)
    values = {name: metric.value for name, metric in given.metrics.items()}
    assert values["certified"] <= values["accuracy"] <= values["after first"] <= values["clean"]
    assert values["undecided"] == pytest.approx(values["accuracy"] - values["certified"])
    assert values["attacked"] == (left & ~proven).sum() > 0
    lines = np.asarray(given.series["class"])
    assert (np.diff(lines[:, 1:]) <= 0).all(), "points, right, unbroken, proven"
    assert lines[:, 1:].sum(0).tolist() == [30, round(30 * values["clean"]), correct.sum(), certified.sum()]
    assert values["certified_class"] == pytest.approx((lines[:, 4] / lines[:, 1]).min())
    assert "certified_person" not in values, "digits know no persons"


def test_a_bracket_without_bounds_is_attacked_everywhere(trained: nn.Module) -> None:
    given = found(trained, Bracket(BALL, Pgd(3, 0.06), Pgd(5, 0.06), bounds=()), n=30)
    assert given.metrics["certified"].value == 0
    assert given.metrics["attacked"].value == 30 * given.metrics["after first"].value
    with pytest.raises(RobustlibError, match="unknown bound 'dua'"):
        Bracket(BALL, Pgd(3, 0.06), Pgd(5, 0.06), bounds=("dua",))


def test_an_output_sets_polygons_hold_the_samples_and_grow_with_the_radius() -> None:
    plane = build(ModelSpec("wong_dense", 20, depth=2), input_shape=(2,), classes=2, generator=torch.Generator())
    what, split = OutputSet((0.05, 0.1), samples=200, kept=50), load("toy").test
    given = what.run(On(plane, split, torch.arange(12)))
    again = what.run(On(plane, split, torch.arange(12)))
    assert given.metrics["inside"].value == 1.0
    for slopes in ("fixed", "adaptive"):
        assert 1.0 <= given.metrics[f"{slopes}@0.05"].value <= given.metrics[f"{slopes}@0.1"].value
        assert np.shape(given.series[f"{slopes}@0.1"])[1] == 2
    assert np.shape(given.series["samples@0.1"]) == (50, 2)
    assert (again.metrics, again.series) == (given.metrics, given.series)
    with pytest.raises(RobustlibError, match="two outputs"):
        outer_polygon(
            build(ModelSpec("wong_dense", 4), input_shape=(2,), classes=3, generator=torch.Generator()),
            split.images(torch.arange(1)),
            LinfBall(0.1, domain=None),
        )


def test_losses_along_the_way_are_metrics_up_to_the_last_update() -> None:
    network = replace(NETWORK, dataset="toy", schedule=Schedule(3, 12, 1e-3))
    curve = {"loss": [0.7, 0.5, 0.25], "accuracy": [0.5, 0.75, 1.0]}
    what = TrainingCurve(blocks=2, at=(0, 2, 100))
    name = key(network)
    given = what.run(Subject(Evaluation(network, what), load("toy"), {name: nn.Identity()}, curve=curve))
    assert {k: given.metrics[k].value for k in ("loss@0", "loss@2", "error@0", "error@2")} == {
        "loss@0": 0.7,
        "loss@2": 0.25,
        "error@0": 0.5,
        "error@2": 0.0,
    }
    assert "loss@100" not in given.metrics


def test_the_first_layers_weights_are_counted(trained: nn.Module) -> None:
    model = build(ModelSpec("wong_conv", 4), input_shape=(1, 8, 8), classes=10, generator=torch.Generator())
    with torch.no_grad():
        model[0].weight[:] = 1.0  # type: ignore[index]
        model[0].weight[1] = 1e-3  # type: ignore[index]
        model[0].weight[2, 0, 0] = 0.0  # type: ignore[index]
    given = found(model, FirstLayer())
    assert (given.metrics["near_zero"].value, given.metrics["near_zero"].n) == (20 / 64, 64)
    assert given.metrics["empty"].value == 0.25
    last = found(model, FirstLayer(layer=-1))
    assert last.series["bias"] == model[-1].bias.detach().double().numpy().round(5).tolist()  # type: ignore[union-attr, operator]
    assert "weights" in last.series or sum(last.histograms["weights"]["counts"]) == model[-1].weight.numel()  # type: ignore[union-attr, operator]
    assert np.shape(given.series["weights"]) == (4, 1, 4, 4)
    with pytest.raises(RobustlibError, match="layer=0 of a network with 0 linear layers"):
        found(nn.Flatten(), FirstLayer())


def test_certified_work_costs_more_than_plain_work_and_intervals_less_than_the_dual() -> None:
    dual, interval = (replace(NETWORK, defence=Certified(BALL, interval=share)) for share in (0.0, 1.0))
    assert training_flops(NETWORK) < training_flops(interval) < training_flops(dual)
    costs = [
        evaluation_flops(Evaluation(NETWORK, what), 10)
        for what in (Certificate(BALL, "interval"), Certificate(BALL), Relaxed(BALL), CertifiedRadii())
    ]
    assert costs == sorted(costs)
    assert costs[0] > 0
