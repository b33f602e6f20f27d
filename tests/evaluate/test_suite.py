"""The call that evaluates under a suite: order, counts, intervals, convergence, and the signs of broken evaluations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from robustlib.attacks.suite import Apgd, Fgsm, Noise, Pgd, Square
from robustlib.errors import RobustlibError
from robustlib.evaluate import convergence, diagnose, evaluate, in_pieces, outcomes, standard
from robustlib.evaluate.counting import counted
from robustlib.evaluate.masking import beats
from robustlib.statistics import wilson
from robustlib.threat import L2Ball, LinfBall
from tests.attacks.models import Saturated, batch, small_cnn

BALL = LinfBall(0.04)
SMALL = standard(BALL, steps=8, queries=60, targets=2)


def classified(n: int = 60, model: nn.Module | None = None) -> tuple[nn.Module, Tensor, Tensor]:
    model, (x, _) = model or small_cnn(), batch(n)
    with torch.no_grad():
        return model, x, model(x).argmax(1)


class Quantised(nn.Module):
    """A defence that Athalye et al. broke: inputs rounded to a few levels, so that no gradient passes."""

    def __init__(self, inner: nn.Module, levels: int = 8) -> None:
        super().__init__()
        self.inner, self.levels = inner, levels

    def forward(self, x: Tensor) -> Tensor:
        return self.inner((x * self.levels).round() / self.levels)


class Turned(torch.autograd.Function):
    """Identity whose gradient points the wrong way, as a network's does that learned to read FGSM's label."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return -gradient


class Leaking(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(Turned.apply(x))


class Noisy(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.generator = inner, torch.Generator().manual_seed(0)

    def forward(self, x: Tensor) -> Tensor:
        z = self.inner(x)
        return z + z.std() * torch.empty_like(z).normal_(generator=self.generator)


def test_the_cheapest_comes_first_and_each_attacks_what_the_last_left() -> None:
    model, x, y = classified()
    report = evaluate(model, x, y, BALL, reversed(SMALL), converge=False)
    assert report.lines[0].name == "clean"
    gradients = [line.attack for line in report.lines[1:] if not isinstance(line.attack, Square)]
    assert gradients == sorted(gradients, key=lambda attack: attack.passes)
    assert isinstance(report.lines[-1].attack, Square)
    for before, line in zip(report.lines, report.lines[1:], strict=False):
        assert line.points == int(before.standing.sum())
        assert bool((line.standing <= before.standing).all())
        assert line.accuracy == pytest.approx(float(line.standing.float().mean()))
        assert (line.low, line.high) == wilson(int(line.standing.sum()), len(x))
    assert torch.equal(report.worst, report.lines[-1].standing)
    assert 0 < int(report.worst.sum()) < len(x)


def test_cost_is_counted_in_examples() -> None:
    model, x, y = classified(20)
    report = evaluate(model, x, y, BALL, [Noise(), Fgsm()], converge=False)
    clean, noise, fgsm = (line.cost for line in report.lines)
    assert (clean.forwards, clean.backwards) == (20, 0)
    assert (noise.forwards, noise.backwards) == (report.lines[1].points, 0)
    n = report.lines[2].points
    # A look at one input, the gradient, the verdict.
    assert (fgsm.forwards, fgsm.backwards) == (1 + n + n, n)
    assert all(line.cost.seconds >= 0 for line in report.lines)
    assert not model._forward_hooks


def test_the_count_is_the_models_alone_and_ends_with_the_block() -> None:
    model, x, _ = classified(5)
    with counted(model, model, None) as cost:
        model(x)
    model(x)
    assert (cost.forwards, cost.backwards) == (5, 0)


def test_the_same_name_gives_the_same_report_and_chunks_only_change_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x, y = classified()
    one, two = (evaluate(model, x, y, BALL, SMALL, converge=False) for _ in range(2))
    assert all(torch.equal(a.standing, b.standing) for a, b in zip(one.lines, two.lines, strict=True))
    monkeypatch.setattr(outcomes, "CHUNK", 7)
    small = evaluate(model, x, y, BALL, [Fgsm()], converge=False)
    monkeypatch.setattr(outcomes, "CHUNK", 250)
    assert torch.equal(small.worst, evaluate(model, x, y, BALL, [Fgsm()], converge=False).worst)


def test_a_search_in_bfloat16_has_verdicts_in_float32() -> None:
    model, x, y = classified()
    report = evaluate(model, x, y, BALL, SMALL, search="bfloat16", converge=False)
    plain = evaluate(model, x, y, BALL, SMALL, converge=False)
    assert report.search == "bfloat16"
    assert abs(report.lines[-1].accuracy - plain.lines[-1].accuracy) <= 0.07


def test_a_transfer_source_comes_after_the_models_own_gradients() -> None:
    model, x, y = classified()
    masked = Saturated(model).eval()
    report = evaluate(masked, x, y, LinfBall(0.1), [Fgsm(), Pgd(10, 0.02)], sources={"inner": model}, converge=False)
    assert report.lines[-1].name == "Pgd from inner"
    assert report.lines[-1].accuracy < report.lines[-2].accuracy
    (finding,) = (f for f in report.findings if f.name == "transfer from inner beats gradients")
    assert finding.masking


# Convergence -------------------------------------------------------------------------------------------------


def test_accuracy_falls_with_steps_and_restarts() -> None:
    model, x, y = classified(100)
    found = convergence(model, x, y, LinfBall(0.02), generator=torch.Generator().manual_seed(0))
    table = torch.tensor(found.accuracy)
    assert table.shape == (4, 3)
    assert bool((table.diff(dim=0) <= 0).all())
    assert bool((table.diff(dim=1) <= 0).all())
    assert table[0, 0] > table[-1, -1]
    by_steps, by_restarts = found.last_doubling
    assert by_steps == pytest.approx(float(table[-2, -1] - table[-1, -1]), abs=1e-6)
    assert by_restarts == pytest.approx(float(table[-1, -2] - table[-1, -1]), abs=1e-6)


def test_points_lost_without_an_attack_are_lost_at_every_budget() -> None:
    model, x, y = classified(30)
    wrong = (y + 1) % 10
    found = convergence(model, x, wrong, BALL, generator=torch.Generator().manual_seed(0))
    assert set(sum(found.accuracy, ())) == {0.0}


# Positive and negative controls ------------------------------------------------------------------------------


def names(model: nn.Module, x: Tensor, y: Tensor, threat: Any = BALL) -> set[str]:
    generator = torch.Generator().manual_seed(0)
    return {finding.name for finding in diagnose(model.eval(), x, y, threat, generator=generator)}


def test_a_network_without_tricks_has_no_findings() -> None:
    model, x, y = classified(100)
    assert names(model, x, y) == set()
    assert not evaluate(model, x, y, BALL, [Fgsm(), Pgd(10, 0.01)]).masked


def test_a_saturated_softmax_is_found_out_and_broken_all_the_same() -> None:
    inner, x, y = classified(60)
    masked = Saturated(inner).eval()
    assert "zero gradients" in names(masked, x, y)
    threat = LinfBall(0.2)
    report = evaluate(masked, x, y, threat, standard(threat, steps=20, queries=400, targets=3), converge=False)
    assert report.masked
    assert report.worst.float().mean() <= 0.05
    after = {line.name: line.accuracy for line in report.lines}
    assert after["Fgsm"] > 0.5, "the control does not mask any more"


def test_a_planted_broken_defence_is_found_out_and_falls_to_queries() -> None:
    inner, x, y = classified(60)
    planted = Quantised(inner).eval()
    with torch.no_grad():
        y = planted(x).argmax(1)
    threat = LinfBall(0.3)
    report = evaluate(planted, x, y, threat, [Fgsm(), Pgd(10, 0.05), Apgd(10), Square(400)], converge=False)
    found = {finding.name: finding for finding in report.findings}
    assert "zero gradients" in found
    assert found["Square beats gradients"].masking
    assert "unbounded attack fails" in found
    assert report.worst.float().mean() <= 0.05


def test_leads_below_rounding_are_counted() -> None:
    inner, x, y = classified(20)

    class Offset(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 1e-3 * inner(x) + 3e3

    threat = LinfBall(0.2)
    with torch.no_grad():
        y = Offset()(x).argmax(1)
    report = evaluate(Offset().eval(), x, y, threat, [Pgd(5, 0.05)], converge=False)
    found = {finding.name: finding.text for finding in report.findings}
    assert report.worst.all()
    assert "of 20 points" in found["leads within rounding"]
    assert "leads within rounding" not in {f.name for f in evaluate(inner, x, y, threat, [Fgsm()]).findings}


def test_leaked_labels_are_found() -> None:
    _, x, y = classified(100)
    leaking = Leaking(small_cnn()).eval()
    assert "noise beats FGSM" in names(leaking, x, y, LinfBall(0.1))
    # Half of the labels are the runner-up, as those of hard images are; the turned gradient puts them right.
    with torch.no_grad():
        y[::2] = leaking(x).topk(2, 1).indices[::2, 1]
    assert "label leaking" in names(leaking, x, y, LinfBall(0.1))


def test_randomness_probabilities_and_broken_gradients_are_found() -> None:
    inner, x, y = classified(60)
    assert "random outputs" in names(Noisy(inner), x, y)
    assert "probabilities" in names(nn.Sequential(inner, nn.Softmax(1)), x, y)
    assert "probabilities" not in names(inner, x, y)

    class Root(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            # The square root of zero has an infinite slope.
            return inner(x) + (x - x.detach()).square().sum((1, 2, 3), keepdim=False).sqrt()[:, None]

    assert "non-finite gradients" in names(Root(), x, y)


def test_an_attack_beats_another_only_beyond_chance() -> None:
    left, right = torch.ones(100, dtype=torch.bool), torch.ones(100, dtype=torch.bool)
    left[:3] = False
    assert not beats(left, right)
    left[:9] = False
    assert beats(left, right)
    assert not beats(right, left)


# Memory and bad input ----------------------------------------------------------------------------------------


def test_chunks_are_halved_until_they_fit_and_it_is_said() -> None:
    sizes = []

    def work(x: Tensor, y: Tensor) -> Tensor:
        sizes.append(len(x))
        if len(x) > 3:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return 2 * x

    x = torch.arange(10.0)
    with pytest.warns(ResourceWarning, match="10 points did not fit in memory at once; going on with 5"):
        assert torch.equal(in_pieces(work, x, x), 2 * x)
    assert sizes == [10, 5, 2, 3, 5, 2, 3]


def test_what_is_no_lack_of_memory_is_raised_as_it_is() -> None:
    def work(x: Tensor, y: Tensor) -> Tensor:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="multiplied"):
        in_pieces(work, torch.zeros(4), torch.zeros(4))

    def full(x: Tensor, y: Tensor) -> Tensor:
        raise MemoryError

    with pytest.raises(MemoryError):
        in_pieces(full, torch.zeros(1), torch.zeros(1))


def test_bad_calls_are_refused() -> None:
    model, x, y = classified(4)
    with pytest.raises(RobustlibError, match="holds no points"):
        evaluate(model, x[:0], y[:0], BALL)
    with pytest.raises(RobustlibError, match="precision of a search 'float16'"):
        evaluate(model, x, y, BALL, search="float16")
    with pytest.raises(RobustlibError, match="train mode"):
        evaluate(model.train(), x, y, BALL)


def test_a_budget_of_nothing_breaks_nothing() -> None:
    model, x, y = classified(12)
    report = evaluate(model, x, y, L2Ball(0.0), [Noise(), Fgsm(), Apgd(3), Square(3)])
    assert report.worst.all()
    assert report.convergence is None
    assert report.findings == ()
