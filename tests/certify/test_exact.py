"""The dual against the primal linear program and the exact optimum, which share none of its arithmetic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.optimize import linprog
from torch import Tensor, nn

from robustlib.attacks import pgd
from robustlib.certify import certify, decide, optimum
from robustlib.certify.certificate import objectives
from robustlib.certify.dual import Relaxation, carry, pre_activation_bounds, relax
from robustlib.certify.exact import SLACK
from robustlib.certify.operations import Graph
from robustlib.certify.program import Program, matrices, program_of
from robustlib.certify.region import Region
from robustlib.certify.rows import Dense
from robustlib.certify.trace import trace
from robustlib.errors import RobustlibError
from robustlib.threat import L2Ball, LinfBall
from tests.certify.networks import ALL, SPATIAL, inputs, network


def tiny(seed: int) -> tuple[nn.Module, Tensor, Tensor]:
    """A dense network of one to three hidden layers of two to four units, with one input."""
    generator = torch.Generator().manual_seed(seed)
    depth, sizes = int(torch.randint(1, 4, (1,), generator=generator)), [2]
    for _ in range(depth):
        sizes.append(int(torch.randint(2, 5, (1,), generator=generator)))
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        for before, after in zip(sizes, [*sizes[1:], 2], strict=True):
            layers += [nn.Linear(before, after), nn.ReLU()]
    model = nn.Sequential(*layers[:-1]).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model, torch.rand(1, 2, generator=generator, dtype=torch.float64), torch.tensor([0])


def check_tiny(seeds: range) -> int:
    """How many of the networks had a margin that the relaxation does not reach."""
    loose = 0
    for seed in seeds:
        model, x, y = tiny(seed)
        threat = LinfBall(0.05 + 0.3 * (seed % 7) / 7, None if seed % 2 else (0.0, 1.0))
        exact = optimum(model, x, y, threat, integer=True)[0, 1]
        for options in ({}, {"slopes": "adaptive"}, {"method": "interval"}, {"method": "hybrid"}):
            assert certify(model, x, y, threat, **options).margins[0, 1] <= exact + 1e-9, (seed, options)
        loose += bool(certify(model, x, y, threat).margins[0, 1] < exact - 1e-3)
    return loose


def test_no_bound_exceeds_the_exact_optimum_of_random_networks() -> None:
    assert check_tiny(range(100)) > 20, "the cases are too easy to show anything"


def test_no_bound_exceeds_it_where_the_solver_s_own_optimum_is_low() -> None:
    # HiGHS lets each constraint be violated by 1e-6: here it undercuts the true minimum, which interval bounds reach.
    check_tiny(range(515, 516))


@pytest.mark.slow
def test_no_bound_exceeds_the_exact_optimum_of_thousands_of_random_networks() -> None:
    assert check_tiny(range(100, 2100)) > 400


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("domain", [None, (0.0, 1.0)], ids=["unclipped", "box"])
def test_dual_below_linear_program_below_exact_optimum_below_samples(
    name: str, domain: tuple[float, float] | None
) -> None:
    model, (x, y), threat = network(name), inputs(name, n=1), LinfBall(0.02, domain)
    dual = certify(model, x, y, threat).margins
    relaxed, exact = (optimum(model, x, y, threat, integer=integer) for integer in (False, True))
    assert (dual <= relaxed + 1e-7).all()
    assert (relaxed <= exact + 1e-6).all()
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        logits = model(threat.random_start(x, generator=generator)).detach()
        assert (exact <= logits[0, y] - logits + 1e-6).all()


@pytest.mark.parametrize("domain", [None, (0.0, 1.0)], ids=["unclipped", "box"])
def test_on_one_layer_all_are_equal(domain: tuple[float, float] | None) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 4)).double().eval()
    with torch.no_grad():
        model[1].weight.copy_(torch.randn(4, 12, generator=torch.Generator().manual_seed(0)))
    x, y = inputs("dense")
    threat = LinfBall(0.3, domain)
    exact = optimum(model, x, y, threat, integer=True)
    for options in ({}, {"slopes": "adaptive"}, {"method": "interval"}, {"method": "hybrid"}):
        torch.testing.assert_close(certify(model, x, y, threat, **options).margins, exact, rtol=1e-9, atol=1e-9)


def best_slopes(model: nn.Module, x: Tensor, y: int, k: int, threat: LinfBall) -> tuple[float, float]:
    """Least margin by linear programming, and the dual bound with the lower lines of the program's multipliers.

    A crossing unit's multipliers for z >= zhat and for z >= 0 share its row's entry: alpha is the first one's part.
    """
    graph, region = trace(model, x), Region.around(x, threat)
    fixed = pre_activation_bounds(graph, region)
    with torch.no_grad():
        program = program_of(graph, matrices(graph), region, fixed, integer=False)
    blocks, lower, upper = zip(*program.blocks, strict=True)
    rows, low, high = sparse.vstack(blocks).tocsr(), np.concatenate(lower), np.concatenate(upper)
    cost = program.margin(y, k)
    above, below = np.isfinite(high), np.isfinite(low)
    found = linprog(
        cost,
        A_ub=sparse.vstack([rows[above], -rows[below]]),
        b_ub=np.concatenate([high[above], -low[below]]),
        bounds=np.stack([program.low, program.high], 1),
    )
    below_marginals = np.zeros(len(low))
    below_marginals[below] = -found.ineqlin.marginals[above.sum() :]
    # The entry of z >= zhat is in the only block whose rows have 1 at z and -1 at zhat and no upper end.
    chosen = dict[int, Relaxation]()
    for i, at in fixed.items():
        z, crossing = program.places[i], at.crossing.flatten().numpy()
        z = np.where(crossing, z, -1)
        line, floor = np.zeros(len(z)), np.zeros(len(z))
        for unit in np.flatnonzero(z >= 0):
            zhat = program.places[graph.nodes[i].inputs[0]][unit]
            column = rows[:, [z[unit], zhat]].toarray()
            (row,) = np.flatnonzero((column == [1, -1]).all(1) & (low == 0) & np.isinf(high))
            line[unit], floor[unit] = below_marginals[row], found.lower.marginals[z[unit]]
        alpha = torch.from_numpy((line / np.maximum(line + floor, 1e-30)).clip(0, 1)).view_as(at.slope)
        chosen[i] = replace(at, low=torch.where(at.crossing, alpha, at.slope))
    objective = objectives(torch.tensor([y]), graph.nodes[-1].shape[0], x).a[:, k : k + 1]
    with torch.no_grad():
        bound, _, _ = carry(graph, Dense(objective), len(graph.nodes) - 1, chosen, region)
    return found.fun, float(bound)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("eps", [0.02, 0.1])
def test_with_the_best_slopes_the_dual_is_the_linear_program(name: str, eps: float) -> None:
    model, (x, _) = network(name), inputs(name, n=1)
    for y, k in ((0, 1), (2, 3), (3, 0)):
        primal, dual = best_slopes(model, x, y, k, LinfBall(eps, None))
        assert dual == pytest.approx(primal, abs=1e-6)


def test_the_fixed_slopes_leave_a_gap() -> None:
    """Else the comparison above would show nothing."""
    model, (x, y) = network("dense"), inputs("dense", n=1)
    gap = optimum(model, x, y, LinfBall(0.1)) - certify(model, x, y, LinfBall(0.1)).margins
    assert gap.max() > 1e-3


def test_a_program_that_is_not_tiny_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model, (x, y) = network("dense"), inputs("dense", n=1)
    with pytest.raises(RobustlibError, match="l_inf ball and float64"):
        optimum(model, x, y, L2Ball(0.1))
    with pytest.raises(RobustlibError, match="l_inf ball and float64"):
        optimum(model.float(), x.float(), y, LinfBall(0.1))
    monkeypatch.setattr("robustlib.certify.program.LARGEST", 20)
    with pytest.raises(RobustlibError, match="only up to 20"):
        optimum(model.double(), x, y, LinfBall(0.1))


# What bounds settle needs no variable -------------------------------------------------------------------------------


def whole(graph: Graph, region: Region, relaxations: dict[int, Relaxation]) -> Program:
    """The program with a switch for every unit: bounds so wide that none of them settles anything."""
    wide = {i: relax(at.lower.clamp_max(-1e-2), at.upper.clamp_min(1e-2)) for i, at in relaxations.items()}
    return program_of(graph, matrices(graph), region, wide, integer=True)


@pytest.mark.parametrize("name", ["dense", "skip", "residual", "bent", "pooled"])
def test_pruning_changes_no_optimum(name: str) -> None:
    model, (x, _) = network(name), inputs(name, n=1)
    with torch.no_grad():
        graph, region = trace(model, x), Region.around(x, LinfBall(0.05))
        bounds = pre_activation_bounds(graph, region)
        small, large = program_of(graph, matrices(graph), region, bounds, integer=True), whole(graph, region, bounds)
    assert small.size < large.size
    assert small.integral.sum() < large.integral.sum()
    for y, k in ((0, 1), (2, 3)):
        least = [program.minimise(program.margin(y, k), mip_rel_gap=0.0).fun for program in (small, large)]
        assert least[0] == pytest.approx(least[1], abs=1e-5)


# Deciding -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("eps", [0.02, 0.1])
def test_every_point_is_decided_as_its_least_margin_says(name: str, eps: float) -> None:
    # Normalised inputs lie further apart: at 0.1 the least margin itself, to no gap at all, takes ten minutes. That
    # of one point of an image takes up to ten seconds.
    threat = LinfBall(0.3 * eps if name == "normalised" else eps)
    model, (x, _) = network(name), inputs(name, n=1 if name in SPATIAL and eps > 0.05 else 3)
    y = model(x).argmax(1)
    apart = torch.arange(4) != y[:, None]
    least = optimum(model, x, y, threat, integer=True).masked_fill(~apart, torch.inf).amin(1)
    assert (least - SLACK).abs().min() > 1e-4, "a case on the border says nothing"
    single = x.float()
    found = decide(model.float(), single, y, threat, nodes=10_000, seconds=60)
    assert found.proven.tolist() == (least > SLACK).tolist()
    assert found.broken.tolist() == (least < 0).tolist()
    assert threat.contains(found.points, single).all()
    assert (model(found.points).argmax(1) != y).tolist() == found.broken.tolist()
    assert not found.late.any()


def test_both_answers_are_given_where_no_bound_tells() -> None:
    """Points that only the solver proves, and such that a step of the gradient's misses and it breaks."""
    proven = broken = 0
    for seed in range(15):
        model, x, threat = network("dense", seed).float(), inputs("dense")[0].float(), LinfBall(0.15)
        y = model(x).argmax(1)
        answer = decide(model, x, y, threat, nodes=1_000, seconds=60)
        moved = pgd(model, x, y, threat, steps=1, step_size=0.15, random_start=False)
        stands = model(moved).argmax(1) == y
        proven += int((answer.proven & ~certify(model, x, y, threat, slopes="adaptive").certified).sum())
        broken += int((answer.broken & stands).sum())
        assert stands[answer.proven].all()
        assert (answer.proven ^ answer.broken).all()
    assert proven >= 5
    assert broken >= 2


def test_limits_leave_a_point_undecided_and_say_so() -> None:
    model, x, threat = network("dense").float(), inputs("dense")[0].float(), LinfBall(0.5)
    y = model(x).argmax(1)
    for nodes, seconds, late in ((10_000, 1e-9, True), (1, 60.0, False)):
        found = decide(model, x, y, threat, nodes=nodes, seconds=seconds)
        undecided = ~found.proven & ~found.broken
        assert undecided.any()
        assert (found.late[undecided] == late).all()
        assert (found.points[undecided] == x[undecided]).all()
    for wrong in ({"nodes": 0, "seconds": 1.0}, {"nodes": 1, "seconds": 0.0}):
        with pytest.raises(RobustlibError, match="1 and above 0"):
            decide(model, x, y, threat, **wrong)  # type: ignore[arg-type]
    with pytest.raises(RobustlibError, match="l_inf ball"):
        decide(model, x, y, L2Ball(0.1), nodes=1, seconds=1.0)
