"""Targeted attempts: which points, which targets, what was changed, and what a point's least number is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from robustlib.attacks.suite import Jsma
from robustlib.data import Split
from robustlib.errors import RobustlibError
from robustlib.evaluate import targeted
from robustlib.evaluate.targeted import Attempts, correct_rows, targeted_attempts
from tests.attacks.models import Saturated, small_cnn

MODEL = small_cnn()


@pytest.fixture(scope="module")
def split() -> Split:
    """400 images that the model labels itself, a fifth of the labels then moved: accuracy 80 %."""
    x = (torch.rand(400, 1, 8, 8, generator=torch.Generator().manual_seed(4)) * 128).to(torch.uint8)
    with torch.no_grad():
        y = MODEL(x.float() / 255).argmax(1)
    y[::5] = (y[::5] + 1) % 10
    return Split(x, y)


def test_rows_are_correct_balanced_and_as_many_as_asked(split: Split) -> None:
    present = split.y.bincount(minlength=10)
    rows = correct_rows(MODEL, split, 40)
    assert bool((MODEL(split.images(rows)).argmax(1) == split.y[rows]).all())
    assert torch.equal(rows, rows.unique())
    assert len(rows) <= 40
    counts = split.y[rows].bincount(minlength=10)
    assert bool((counts <= present).all())
    assert torch.equal(rows, correct_rows(MODEL, split, 40))
    assert not torch.equal(rows, correct_rows(MODEL, split, 40, seed=1))


def test_networks_that_agree_are_attacked_at_the_same_points(split: Split) -> None:
    assert torch.equal(correct_rows(MODEL, split, 40), correct_rows(Saturated(MODEL, 50.0).eval(), split, 40))


def test_every_other_class_is_tried_once(split: Split) -> None:
    rows = torch.arange(0, 30)
    found = targeted_attempts(MODEL, split, rows, Jsma(features=64), domain=(0.0, 1.0))
    source = MODEL(split.images(rows)).argmax(1).numpy()
    assert np.array_equal(found.source, source)
    assert np.array_equal(found.tried.sum(1), np.full(30, 9))
    assert not found.tried[np.arange(30), source].any()
    assert not found.changed[~found.tried].any()
    assert found.changed.max() <= 64
    assert len(found.reached) == 270
    assert 0 < found.reached.sum() < 270
    few = targeted_attempts(MODEL, split, rows, Jsma(features=8), domain=(0.0, 1.0))
    # The greedy path does not depend on the budget.
    assert np.array_equal(few.changed > 0, (found.changed > 0) & (found.changed <= 8))


def test_a_saturated_network_stops_the_attack_until_the_temperature_is_put_back(split: Split) -> None:
    rows, masked = torch.arange(0, 30), Saturated(MODEL, 1e4).eval()
    plain = targeted_attempts(MODEL, split, rows, Jsma(features=40), domain=(0.0, 1.0))
    counts = [
        int(targeted_attempts(masked, split, rows, attack, domain=(0.0, 1.0)).reached.sum())
        for attack in (Jsma(features=40), Jsma(features=40, temperature=1e4), Jsma(features=40, outputs="logits"))
    ]
    assert counts[0] < counts[1] == int(plain.reached.sum())
    assert counts[2] > counts[0]


def test_the_least_number_is_over_targets_and_capped() -> None:
    changed = np.array([[0, 4, 10, 0], [0, 0, 0, 0], [0, 200, 0, 0]])
    found = Attempts(np.arange(3), np.zeros(3, int), changed, changed >= 0, features=784)
    assert found.nearest(112).tolist() == [4, 112, 112]
    assert found.nearest(784).tolist() == [4, 784, 200]


def test_an_attack_that_breaks_its_budget_is_not_counted(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targeted, "run_targeted", lambda attack, model, x, *_, **__: torch.ones_like(x))
    with pytest.raises(RobustlibError, match="nothing counts"):
        targeted_attempts(MODEL, split, torch.arange(3), Jsma(features=4), domain=(0.0, 1.0))
