"""Golden numbers: a tiny seeded run of each component. Moved numbers need a raised ``protocol``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from robustlib.attacks.suite import (
    Apgd,
    AutoAttack,
    Boundary,
    CarliniWagner,
    DeepFool,
    Fab,
    Fgsm,
    Jsma,
    Lbfgs,
    MiFgsm,
    Noise,
    Pgd,
    Square,
    find_nearest,
    run_attack,
    run_targeted,
)
from robustlib.certify import certify, estimated_margins, largest_certified_radius
from robustlib.certify.certificate import METHODS
from robustlib.certify.projection import ESTIMATORS
from robustlib.data import Split, load
from robustlib.evaluate.saturation import amplitudes
from robustlib.evaluate.targeted import correct_rows, targeted_attempts
from robustlib.models import ModelSpec, build
from robustlib.threat import L2Ball, LinfBall
from robustlib.training import (
    BinaryTrades,
    Certified,
    Distillation,
    FgsmTraining,
    LogitPairing,
    PgdTraining,
    Schedule,
    Standard,
    Trades,
    fit,
    objective,
    soft_labels,
)

FILE = Path(__file__).with_name("golden.json")


def _model(name: str = "madry_cnn", init: str = "paper", classes: int = 10) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(0)
    return build(ModelSpec(name, 2, init=init), input_shape=(1, 8, 8), classes=classes, generator=generator)


def halves() -> torch.nn.Module:
    """Two classes: whether the left or the right half of an image is brighter."""
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2)).eval()
    left = (torch.arange(64) % 8 < 4).float()
    with torch.no_grad():
        net[1].weight.copy_(torch.stack([left, 1 - left]))
        net[1].bias.zero_()
    return net


def numbers() -> dict[str, float]:
    """One number for each component."""
    digits, found = load("digits"), {}
    papers = (
        "architecture_b",
        "small_cnn",
        "trades_net",
        "resnet18",
        "wide_resnet",
        "madry_resnet",
        "papernot_mnist",
        "papernot_cifar",
        "wong_conv",
        "wong_dense",
    )
    for name, init in (("madry_cnn", "paper"), ("madry_cnn", "kaiming_uniform"), *((name, "paper") for name in papers)):
        weights = _model(name, init).parameters()
        found[f"init {name} {init}"] = sum(float(p.detach().double().abs().sum()) for p in weights)
    defences: list[Any] = [Standard(), FgsmTraining(LinfBall(0.1)), PgdTraining(LinfBall(0.1), 2, 0.06)]
    for defence in defences:
        log = fit(_model(), digits.train, torch.arange(200), defence, Schedule(8, 16, 1e-3), seed=0)
        found[f"training {defence.name}"] = sum(log.loss[-4:]) / 4
    inner = (LinfBall(0.1), 2, 0.06)
    sgd = Schedule(8, 16, 0.05, optimiser="sgd", momentum=0.9, weight_decay=1e-3, decay=((4, 0.1),), crop=1)
    for defence in (
        Trades(*inner, beta=6.0),
        Trades(*inner, beta=2.0, divergence="cross_entropy"),
        LogitPairing(*inner, weight=0.5),
        PgdTraining(*inner, crafting="train"),
    ):
        # In float64: TRADES starts where the divergence is nearly flat, and rounding would choose the signs.
        model = _model("madry_resnet").double().train()
        x, y = digits.train.images(torch.arange(40)).double(), digits.train.y[:40]
        losses, _ = objective(defence, model, x, y, progress=0.5, generator=torch.Generator().manual_seed(1))
        found[f"objective {defence}"] = float(losses.detach().sum())
        found[f"remembered {defence}"] = float(model.eval()(x).detach().abs().sum())
    for interval in (0.0, 1.0):
        model, certified = _model("wong_conv"), Certified(LinfBall(0.1, domain=None), interval=interval)
        log = fit(model, digits.train, torch.arange(200), certified, Schedule(8, 16, 1e-3), seed=0)
        found[f"training certified, interval {interval:g}"] = sum(log.loss[-4:]) / 4
    model = _model("trades_binary", classes=2)
    pairs = Split(digits.train.x, digits.train.y % 2)
    log = fit(model, pairs, torch.arange(200), BinaryTrades(*inner, scale=2.0), sgd, seed=0)
    found["training trades_binary"] = sum(log.loss[-4:]) / 4
    x, y = digits.test.images(torch.arange(40)), digits.test.y[:40]
    taught, rows = Distillation(2.0), torch.arange(200)
    teacher, student = _model("papernot_mnist"), _model("papernot_mnist")
    quickly = Schedule(24, 16, 0.1, optimiser="sgd", momentum=0.9, decay=((8, 0.5), (16, 0.25)), momentum_decay=True)
    log = fit(teacher, digits.train, rows, Standard(temperature=2.0), quickly, seed=0)
    found["training standard_T2"] = sum(log.loss[-4:]) / 4
    labels = soft_labels(teacher, digits.train, rows, taught)
    fit(student, digits.train, rows, taught, quickly, seed=0, soft_labels=labels)
    found["distilled outputs"] = float(student(x).detach().double().abs().sum())
    found["amplitudes"] = float(amplitudes(student, x)[0].mean())
    model = _model()
    points = correct_rows(halves(), Split(digits.test.x, halves()(digits.test.images()).argmax(1)), 30)
    for protocol in (1, 2):
        what = Jsma(features=30, protocol=protocol)
        attempts = targeted_attempts(model, digits.test, points, what, domain=(0.0, 1.0))
        found[f"targeted attempts, protocol {protocol}"] = float(attempts.nearest(64).sum())
    searches = [Pgd(5, 0.05, **options) for options in ({}, {"loss": "margin"}, {"targeted": True})]
    searches += [Pgd(5, 0.05, restarts=3, best_by="loss"), Pgd(5, 0.05, target_classes=3)]
    for attack in (Noise(), Fgsm(), *searches):
        for threat in (LinfBall(0.1), L2Ball(0.8)):
            # As records are measured: last iterates count as they are.
            draws = torch.Generator().manual_seed(1)
            moved = run_attack(attack, model, x, y, threat, generator=draws, last_iterate=True)
            found[f"{attack} {threat.norm}"] = float((moved - x).double().abs().sum())
    with torch.no_grad():
        y = model(x).argmax(1)
    for strong in (
        MiFgsm(5),
        Apgd(8),
        Apgd(8, loss="dlr"),
        Apgd(8, target_classes=2),
        Square(20),
        AutoAttack(5, 10, 2),
    ):
        for threat in (LinfBall(0.1), L2Ball(0.8)):
            moved = run_attack(strong, model, x, y, threat, generator=torch.Generator().manual_seed(1))
            found[f"{strong} {threat.norm}"] = float((moved - x).double().abs().sum())
    both = [
        replace(kind, protocol=protocol)
        for kind in (DeepFool(), CarliniWagner(10), Lbfgs(5, 3))
        for protocol in range(1, kind.protocol + 1)
    ]
    for nearest in (Boundary(100), *both, Fab(10, 3)):
        for norm in ("linf", "l2"):
            # Before training the network gives one class to noise, where the boundary attack begins.
            net = halves() if isinstance(nearest, Boundary) else model
            label = net(x).argmax(1)
            options = {"norm": norm, "domain": (0.0, 1.0), "generator": torch.Generator().manual_seed(1)}
            moved = find_nearest(nearest, net, x, label, **options)
            found[f"{nearest} {norm}"] = float((moved - x).double().abs().sum())
    net = _model("wong_conv").eval()
    label = net(x).argmax(1)
    balls = {"box": LinfBall(0.05, domain=None), "clipped box": LinfBall(0.05), "l2": L2Ball(0.4)}
    for ball, threat in balls.items():
        for method, slopes in (*((method, "fixed") for method in METHODS), ("dual", "adaptive")):
            bounds = certify(net, x, label, threat, method=method, slopes=slopes).margins
            found[f"margins {method} {slopes} {ball}"] = float(bounds.double().sum())
    for estimator in ESTIMATORS:
        drawn = torch.Generator().manual_seed(1)
        options = {"projections": 10, "estimator": estimator, "generator": drawn}
        found[f"estimated margins {estimator}"] = float(
            estimated_margins(net, x, label, balls["box"], **options).detach().double().sum()
        )
    found["largest radii"] = float(largest_certified_radius(net, x, label, norm="linf", domain=None).double().sum())
    goal = model(x).topk(2, 1).indices[:, 1]
    for outputs in ("softmax", "logits"):
        for protocol in (1, 2):
            what = Jsma(features=30, outputs=outputs, protocol=protocol)
            moved = run_targeted(what, model, x, y, goal, domain=(0.0, 1.0))
            found[f"jsma {outputs}, protocol {protocol}"] = float((moved != x).sum())
    return found


@pytest.fixture(scope="module")
def now() -> dict[str, float]:
    return numbers()


@pytest.mark.parametrize("name", json.loads(FILE.read_text()))
def test_numbers_have_not_moved(name: str, now: dict[str, float]) -> None:
    wanted = json.loads(FILE.read_text())[name]
    message = f"{name}: {now[name]} was {wanted}; raise the component's protocol, or restore the numbers"
    assert now[name] == pytest.approx(wanted, rel=5e-3), message


def test_every_component_is_held(now: dict[str, float]) -> None:
    assert set(now) == set(json.loads(FILE.read_text()))
