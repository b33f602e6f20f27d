"""The page on which a reader draws a digit: what the browser computes is what robustlib computes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from robustlib.attacks import pgd
from robustlib.book.browser_demo import describe
from robustlib.certify import margins
from robustlib.data import load
from robustlib.errors import RobustlibError
from robustlib.experiments.store import half_precision
from robustlib.models import ModelSpec, build
from robustlib.threat import LinfBall
from tests.book.browser import Browser, executable

NEAR = 1e-4


@pytest.fixture(scope="module")
def model() -> nn.Module:
    """The page's architecture, narrow, with weights large enough that attacks succeed and bounds cross zero."""
    generator = torch.Generator().manual_seed(3)
    spec = ModelSpec("wong_conv", 4)
    drawn = build(spec, input_shape=(1, 28, 28), classes=10, generator=generator)
    with torch.no_grad():
        for parameter in drawn.parameters():
            parameter.mul_(1.5)
    half_precision(drawn)
    return drawn.double()


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Three handwritten digits at the page's size, in float64."""
    digits = load("digits").test.images()[:3].double()
    return nn.functional.interpolate(digits, (28, 28), mode="bilinear")


@pytest.fixture(scope="module")
def page(root: Path, model: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A page with the network in it."""
    path = executable()
    if path is None:
        pytest.skip("no Chromium on this machine")
    target = tmp_path_factory.mktemp("page") / "page.html"
    script = (root / "book/_static/network.js").read_text(encoding="utf-8")
    network = json.dumps(describe(model, (1, 28, 28)))
    target.write_text(f"<script>{script}; const layers = RobustNetwork.load({network});</script>", encoding="utf-8")
    with Browser(path) as browser:
        browser.open(target, width=390, theme="light")
        yield browser


def _ask(page: Browser, call: str, x: Tensor) -> Any:
    """The JSON value of a call that has the image as ``x``."""
    return page.evaluate(f"((x) => {call})({json.dumps(x.flatten().tolist())})")


def test_logits_are_robustlibs(page: Browser, model: nn.Module, images: Tensor) -> None:
    wanted = model(images).detach()
    found = torch.tensor([_ask(page, "RobustNetwork.logits(layers, x)", x) for x in images], dtype=torch.float64)
    assert (found - wanted).abs().max() <= NEAR
    single = model.float()(images.float()).double().detach()
    model.double()
    assert (found - single).abs().max() <= NEAR


@pytest.mark.parametrize("eps", [0.02, 0.1])
def test_attack_is_robustlibs(page: Browser, model: nn.Module, images: Tensor, eps: float) -> None:
    labels = model(images).argmax(1)
    options = {"eps": eps, "steps": 10, "stepSize": eps / 4}
    threat = LinfBall(eps)
    wanted = pgd(model, images, labels, threat, steps=10, step_size=eps / 4, random_start=False)
    for x, y, adversarial in zip(images, labels, wanted, strict=True):
        call = f"RobustNetwork.pgd(layers, x, {int(y)}, {json.dumps(options)})"
        found = _ask(page, call, x)
        point = torch.tensor(found["point"], dtype=torch.float64).view_as(x)
        assert threat.contains(point[None], x[None]).all()
        assert (point - adversarial).abs().max() <= NEAR
        logits = model(adversarial[None])[0]
        assert found["winner"] == int(logits.argmax())
        assert found["loss"] == pytest.approx(float(nn.functional.cross_entropy(logits, y)), abs=NEAR)


def test_random_starts_stay_inside_and_never_do_worse(page: Browser, model: nn.Module, images: Tensor) -> None:
    x, y, threat = images[0], int(model(images[:1]).argmax()), LinfBall(0.02)
    call = "RobustNetwork.pgd(layers, x, {}, {{eps: 0.02, steps: 4, stepSize: 0.01, starts: {}, random: () => 0.9}})"
    alone, several = (_ask(page, call.format(y, starts), x) for starts in (1, 3))
    assert several["loss"] >= alone["loss"] or several["winner"] != y
    assert threat.contains(torch.tensor(several["point"]).view_as(x)[None], x[None]).all()


@pytest.mark.parametrize("method", ["interval", "dual"])
@pytest.mark.parametrize("eps", [0.005, 0.05])
def test_bounds_are_robustlibs(page: Browser, model: nn.Module, images: Tensor, method: str, eps: float) -> None:
    labels = model(images).argmax(1)
    wanted = margins(model, images, labels, LinfBall(eps), method=method).detach()
    for x, y, bounds in zip(images[:2], labels, wanted, strict=False):
        found = _ask(page, f"RobustNetwork.{method}(layers, x, {int(y)}, {eps})", x)
        assert (torch.tensor(found, dtype=torch.float64) - bounds).abs().max() <= NEAR * (1 + bounds.abs().max())


def test_other_networks_are_refused() -> None:
    with pytest.raises(RobustlibError, match="page's network"):
        describe(nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Linear(3, 2)), (1, 2, 2))
    with pytest.raises(RobustlibError, match="page's network"):
        describe(nn.Sequential(nn.Conv2d(2, 2, 1, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)), (2, 2, 2))
