"""Generated data, budgets per feature, and the experiments that rest on them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robustlib.data import Split, load
from robustlib.errors import RobustlibError
from robustlib.evaluate.inner_loop import InnerLoop
from robustlib.evaluate.lending import Lending
from robustlib.evaluate.pictures import DecisionMap
from robustlib.papers.zhang2019 import own
from robustlib.threat import FeatureBox, LinfBall
from tests.evaluate.subjects import On


def test_a_budget_holds_for_each_feature() -> None:
    box = FeatureBox(1.0, budgets=(0.0, 0.1, 0.5))
    x = torch.full((4, 3), 0.5)
    start = box.random_start(x, generator=torch.Generator().manual_seed(0))
    assert bool(box.contains(start, x).all())
    assert bool((start[:, 0] == x[:, 0]).all())
    moved = box.project(x + 1, x)
    assert moved[0].tolist() == pytest.approx([0.5, 0.6, 1.0])
    assert box.length(moved - x).tolist() == pytest.approx([1.0] * 4)
    assert box.length(torch.tensor([[1e-3, 0.0, 0.0]])).isinf().all()
    assert box.steepest(torch.tensor([[-2.0, 3.0, -1.0]]))[0].tolist() == pytest.approx([0.0, 0.1, -0.5])


@pytest.mark.parametrize("budgets", [(), (0.1, -0.1), (float("inf"),)])
def test_impossible_budgets_are_refused(budgets: tuple[float, ...]) -> None:
    with pytest.raises(RobustlibError, match="budgets"):
        FeatureBox(1.0, budgets=budgets)


def test_budgets_fit_the_features() -> None:
    with pytest.raises(RobustlibError, match="do not fit"):
        FeatureBox(1.0, budgets=(0.1,)).project(torch.zeros(2, 3), torch.zeros(2, 3))


def test_no_two_boxes_of_the_plane_touch() -> None:
    points = load("plane").test.images()
    apart = (points[:, None] - points[None]).abs().amax(2) + torch.eye(len(points))
    assert float(apart.min()) > 2 * own.PLANE.eps


def test_group_1_earns_less_and_nothing_else_follows_from_the_group() -> None:
    """Given income, savings and history, repayment does not depend on the group."""
    lender = load("lender")
    x, member = lender.test.images(), lender.groups["test"]
    assert member is not None
    assert torch.equal((x[:, 0] == 1).long(), member)
    income = [float(x[member == group, 3].mean()) for group in (0, 1)]
    assert income[0] - income[1] == pytest.approx(0.12, abs=0.02)
    assert float(x[member == 0, 1].mean()) == pytest.approx(float(x[member == 1, 1].mean()), abs=0.03)


class _Column(nn.Module):
    """Logits (0, slope (x_j - bar)): approval for whoever's feature j is large enough."""

    def __init__(self, column: int, bar: float, slope: float = 1e3) -> None:
        super().__init__()
        self.column, self.bar, self.slope = column, bar, slope

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        score = self.slope * (x[:, self.column] - self.bar)
        return torch.stack([torch.zeros_like(score), score], 1)


def test_money_of_a_rule_that_can_be_counted() -> None:
    """Approval for column 1 above 0.5; who is at 0.4 may edit to 0.55, who is at 0.2 may not."""
    x = torch.tensor([[0.0, 0.9], [0.0, 0.8], [1.0, 0.4], [1.0, 0.2]])
    split, groups = Split(x, torch.tensor([1, 0, 0, 1])), torch.tensor([0, 0, 1, 1])
    threat = FeatureBox(1.0, budgets=(0.0, 0.15))
    what = Lending(threat, steps=5, step_size=0.5)
    found = what.run(On(_Column(1, 0.5).eval(), split, torch.arange(4), groups=groups)).metrics
    assert found["money_honest"].value == pytest.approx((1 - 3) / 4)
    assert found["money_edited"].value == pytest.approx((1 - 3 - 3) / 4)
    assert (found["approved_honest_0"].value, found["approved_honest_1"].value) == (1.0, 0.0)
    assert found["approved_edited_1"].value == 0.5
    assert found["served_edited_1"].value == 0.0
    with pytest.raises(RobustlibError, match="groups"):
        what.run(On(_Column(1, 0.5).eval(), split, torch.arange(4)))


def test_three_errors_of_a_line_in_the_plane() -> None:
    """Boundary x_1 = 0.5, eps 0.1: one point wrong, one right and near, one right and far."""
    split = Split(torch.tensor([[0.3, 0.5], [0.45, 0.5], [0.9, 0.5]]), torch.tensor([1, 0, 1]))
    metrics = DecisionMap(LinfBall(0.1)).run(On(_Column(0, 0.5).eval(), split, torch.arange(3))).metrics
    assert [metrics[kind].value for kind in ("natural", "boundary", "robust")] == pytest.approx([1 / 3, 1 / 3, 2 / 3])


def test_the_inner_loop_climbs_from_a_flat_start() -> None:
    torch.manual_seed(0)
    split = Split(torch.rand(6, 4, generator=torch.Generator().manual_seed(1)), torch.zeros(6, dtype=torch.long))
    model = nn.Linear(4, 3).eval()
    found = InnerLoop(LinfBall(0.2), 8, 0.05).run(On(model, split, torch.arange(6), "name"))
    assert found.metrics["gradient_at_x"].value < 1e-6
    assert found.metrics["kl_of_kick"].value < 1e-4 < found.metrics["kl"].value
    assert len(found.series["kicked"]) == 9
    assert found.series["kicked"][-1] >= found.series["kicked"][0]


def test_checkpoints_never_see_what_judges_them() -> None:
    """The validation split is the end of the training set, beyond the rows that are trained on."""
    assert {own.judged(part, "validation").subject.rows for part in range(1, own.PARTS + 1)} == {(0, own.ROWS)}
    assert len(own.checkpoint(own.PARTS).lineage) == own.PARTS
    assert own.ROWS < 60_000 - 60_000 // 12
