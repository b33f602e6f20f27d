"""What a training refuses before its first update: descriptions, networks, data and labels that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from robustlib.data import Split, load
from robustlib.errors import RobustlibError
from robustlib.threat import LinfBall
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
    soft_labels,
)

SHORT = Schedule(steps=2, batch=16, lr=1e-3)
ROWS = torch.arange(50)
BALL = LinfBall(0.1)
PGD = PgdTraining(BALL, steps=2, step_size=0.05)
SOFT = torch.full((50, 10), 0.1)


@pytest.fixture(scope="module")
def digits() -> Split:
    return load("digits").train


def net(classes: int = 10) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = net()

    def forward(self, x: Tensor) -> Any:
        return self.inner(x), x


def _with_nan(split: Split) -> Split:
    x = split.images()
    x[20, 0, 0, 0] = float("nan")
    return Split(x, split.y)


CASES: dict[str, tuple[Callable[[Split], dict[str, Any]], str]] = {
    "no rows": (lambda s: {"rows": ROWS[:0]}, "rows are empty"),
    "a list of rows": (lambda s: {"rows": [0, 1]}, "rows is a list"),
    "a mask of rows": (lambda s: {"rows": ROWS < 3}, "torch.bool"),
    "rows beyond": (lambda s: {"rows": ROWS + len(s)}, "the split has"),
    "a dataset": (lambda s: {"split": load("digits")}, "give a Split"),
    "a defence's name": (lambda s: {"defence": "pgd"}, "defence='pgd'"),
    "a defence's class": (lambda s: {"defence": Standard}, "Standard()"),
    "a dictionary": (lambda s: {"schedule": {"steps": 3}}, "Schedule(steps="),
    "no seed": (lambda s: {"seed": None}, "seed=None"),
    "few classes": (lambda s: {"model": net(5)}, "the label 9"),
    "a tuple": (lambda s: {"model": Pair()}, "gives a tuple"),
    "float64": (lambda s: {"model": net().double()}, "float64"),
    "frozen": (lambda s: {"model": net().requires_grad_(False)}, "requires_grad_"),
    "no parameters": (lambda s: {"model": nn.Flatten()}, "no parameter"),
    "ten classes": (lambda s: {"defence": BinaryTrades(BALL, 2, 0.05, scale=1.0)}, "2 classes"),
    "0 to 255": (lambda s: {"split": Split(s.images() * 255, s.y), "defence": PGD}, "rescale the inputs"),
    "one NaN": (lambda s: {"split": _with_nan(s)}, "not finite"),
    "float labels": (lambda s: {"split": Split(s.x, s.y.float())}, "int64"),
    "no teacher": (lambda s: {"defence": Distillation(20.0)}, "soft_labels are missing"),
    "soft labels of all": (lambda s: {"soft_labels": torch.full((len(s), 10), 0.1)}, "(50, 10)"),
    "soft labels of 5": (lambda s: {"soft_labels": 10 * SOFT}, "distributions"),
    "soft labels of NaN": (lambda s: {"soft_labels": SOFT * float("nan")}, "distributions"),
}


@pytest.mark.parametrize(("change", "words"), CASES.values(), ids=CASES)
def test_what_does_not_fit_is_refused_and_trains_nothing(
    digits: Split, change: Callable[[Split], dict[str, Any]], words: str
) -> None:
    given = {"model": net(), "split": digits, "rows": ROWS, "defence": Standard(), "schedule": SHORT, "seed": 0}
    given |= change(digits)
    before = {name: value.clone() for name, value in given["model"].state_dict().items()}
    asked = [parameter.requires_grad for parameter in given["model"].parameters()]
    with pytest.raises(RobustlibError) as caught:
        fit(**given)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in given["model"].state_dict().items())
    assert [parameter.requires_grad for parameter in given["model"].parameters()] == asked


def test_a_mask_is_no_position_of_soft_labels(digits: Split) -> None:
    with pytest.raises(RobustlibError, match="bool"):
        soft_labels(net().eval(), digits, torch.arange(len(digits)) < 3, Distillation(2.0))


NAN = float("nan")
NONSENSE: dict[str, Callable[[], object]] = {
    "steps=2.5": lambda: PgdTraining(BALL, steps=2.5, step_size=0.1),  # type: ignore[arg-type]
    "step_size=nan": lambda: PgdTraining(BALL, steps=2, step_size=NAN),
    "threat=0.1": lambda: PgdTraining(0.1, steps=2, step_size=0.1),  # type: ignore[arg-type]
    "threat=0.2": lambda: Certified(0.2),  # type: ignore[arg-type]
    "eps_warmup=30": lambda: PgdTraining(BALL, steps=2, step_size=0.1, eps_warmup=30),
    "eps_warmup=-1": lambda: FgsmTraining(BALL, eps_warmup=-1),
    "ramp=[1, 2]": lambda: PgdTraining(BALL, steps=2, step_size=0.1, ramp=[1, 2]),  # type: ignore[arg-type]
    "beta=nan": lambda: Trades(BALL, 2, 0.1, beta=NAN),
    "beta='6'": lambda: Trades(BALL, 2, 0.1, beta="6"),  # type: ignore[arg-type]
    "weight=nan": lambda: LogitPairing(BALL, 2, 0.1, weight=NAN),
    "scale=inf": lambda: BinaryTrades(BALL, 2, 0.1, scale=float("inf")),
    "lr=inf": lambda: Schedule(2, 16, float("inf")),
    "lr='0.1'": lambda: Schedule(2, 16, "0.1"),  # type: ignore[arg-type]
    "steps=1.5": lambda: Schedule(1.5, 16, 0.1),  # type: ignore[arg-type]
    "weight_decay=nan": lambda: Schedule(2, 16, 0.1, weight_decay=NAN),
    "clip=nan": lambda: Schedule(2, 16, 0.1, clip=NAN),
    "decay={3: 0.1}": lambda: Schedule(2, 16, 0.1, decay={3: 0.1}),  # type: ignore[arg-type]
}


@pytest.mark.parametrize(("words", "make"), NONSENSE.items(), ids=NONSENSE)
def test_a_description_that_makes_no_sense_is_refused(words: str, make: Callable[[], object]) -> None:
    with pytest.raises(RobustlibError) as caught:
        make()
    assert words in str(caught.value)


def test_a_step_size_may_be_text_and_whole_numbers_stay_whole() -> None:
    assert PgdTraining(BALL, steps=2, step_size="1/4") == PgdTraining(BALL, steps=2, step_size=0.25)  # type: ignore[arg-type]
    assert repr(PgdTraining(BALL, steps=2, step_size=1).step_size) == "1"


def test_the_look_at_the_network_leaves_it_as_it_was(digits: Split) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 10))
    before = model[1].running_mean.clone()  # type: ignore[union-attr,operator]
    fit(model, digits, ROWS, Standard(), Schedule(steps=0, batch=16, lr=1e-3), seed=0)
    assert torch.equal(model[1].running_mean, before)  # type: ignore[arg-type]
    assert all(parameter.requires_grad for parameter in model.parameters())
