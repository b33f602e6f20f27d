"""Cascades on a line, where everything can be counted by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robustlib.certify import Cascade, uncertified, undermine
from robustlib.errors import RobustlibError
from robustlib.threat import LinfBall

BALL = LinfBall(0.1, None)


def threshold(at: float, *, up: int = 1) -> nn.Module:
    """One input; class ``up`` above the threshold, the other of 0 and 1 below."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2)).double().eval()
    sign = 1.0 if up == 1 else -1.0
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[0.0], [sign]]))
        model[1].bias.copy_(torch.tensor([0.0, -sign * at]))
    return model


def at(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def labels(*values: int) -> Tensor:
    return torch.tensor(values)


def test_the_first_stage_that_certifies_answers_or_else_the_last() -> None:
    cascade = Cascade((threshold(0.5), threshold(0.45, up=0), threshold(5.0)), BALL)
    found = cascade.answer(at(0.9, 0.1, 0.57, 0.49))
    # 0.57 lies within 0.1 of the first threshold only; 0.49 of both.
    assert found.stage.tolist() == [0, 0, 1, 2]
    assert found.labels.tolist() == [1, 0, 0, 0]
    assert uncertified(cascade.stages[0], at(0.9, 0.57), BALL).tolist() == [False, True]


def test_the_rules_by_hand() -> None:
    """The first stage is silent in (0.4, 0.6); the last gives 0 everywhere."""
    cascade = Cascade((threshold(0.5), threshold(5.0)), BALL)
    found = cascade.judge(at(0.9, 0.55, 0.45, 0.1), labels(1, 0, 0, 0))
    assert found.stage.tolist() == [0, 1, 1, 0]
    assert found.classes.tolist() == [[1, 1, 0, 0], [0, 0, 0, 0]]
    assert found.right.tolist() == [True, True, True, True]
    assert found.released.tolist() == [True, True, True, True]
    # At 0.55 the first stage is wrong, and certifies its class 1 from 0.6 on.
    assert found.guarded.tolist() == [True, False, True, True]
    # At 0.9 the last stage is wrong: it might answer where the first is silent.
    assert found.strict.tolist() == [False, False, True, True]


def test_the_search_finds_what_the_rules_warn_of_and_nothing_else() -> None:
    cascade = Cascade((threshold(0.5), threshold(5.0)), BALL)
    x, y = at(0.9, 0.65, 0.55, 0.45, 0.1), labels(1, 1, 0, 0, 0)
    found = cascade.judge(x, y)
    moved, broken = undermine(cascade, x, y)
    assert found.released.all()
    # 0.65 is certified by the first stage and led below 0.6, where that stage is silent.
    assert broken.tolist() == [False, True, True, False, False]
    assert not (broken & found.strict).any()
    assert BALL.contains(moved, x).all()
    assert (cascade.answer(moved).labels != y).tolist() == broken.tolist()
    assert torch.equal(moved[~broken], x[~broken])


def test_strict_points_hold_on_a_grid_over_their_ball() -> None:
    cascade = Cascade((threshold(0.5), threshold(0.3), threshold(0.45)), BALL)
    x = torch.linspace(0, 1, 41, dtype=torch.float64)[:, None]
    y = (x[:, 0] > 0.4).long()
    strict = cascade.judge(x, y).strict
    assert strict.any()
    for shift in torch.linspace(-0.1, 0.1, 21).tolist():
        assert (cascade.answer(x + shift).labels == y)[strict].all()


def test_one_stage_is_its_network() -> None:
    cascade = Cascade((threshold(0.5),), BALL)
    found = cascade.judge(at(0.9, 0.55), labels(1, 1))
    assert found.released.tolist() == found.guarded.tolist() == found.strict.tolist() == [True, False]
    with pytest.raises(RobustlibError, match="stages"):
        Cascade((), BALL)
