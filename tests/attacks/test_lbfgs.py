"""L-BFGS: as good a minimiser as scipy's, near the closed form, for targets, row by row."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize

from robustlib.attacks.lbfgs import _minimise, lbfgs
from robustlib.attacks.losses import cross_entropy

from .models import batch, batch_norm, linear, small_cnn


def test_minimises_as_well_as_scipy_in_the_box() -> None:
    model, (x, _) = small_cnn().double(), batch(5)
    x = x.double()
    goal = model(x).detach().topk(2).indices[:, 1]

    def evaluate(point: torch.Tensor, rows: slice = slice(None)) -> tuple[torch.Tensor, torch.Tensor]:
        point = point.detach().requires_grad_(True)
        square = (point - x[rows]).square().flatten(1).sum(1)
        value = 0.003 * square + cross_entropy(model(point), goal[rows])
        return value.detach(), torch.autograd.grad(value.sum(), point)[0]

    start = evaluate(x)[0]
    fall = start - evaluate(_minimise(evaluate, x, (0.0, 1.0), 150))[0]

    def scipys(row: int) -> float:
        def flat(v: np.ndarray) -> tuple[float, np.ndarray]:
            value, slope = evaluate(torch.from_numpy(v).view(1, 1, 8, 8), slice(row, row + 1))
            return float(value), slope.flatten().numpy()

        vector, bounds = x[row].flatten().numpy(), [(0, 1)] * 64
        found = minimize(flat, vector, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxfun": 150})
        return float(start[row]) - found.fun

    peers = torch.tensor([scipys(row) for row in range(len(x))], dtype=torch.float64)
    assert bool((fall > 0.85 * peers).all())
    assert float(fall.sum()) > 0.95 * float(peers.sum())


def test_nears_the_closed_form_on_a_linear_model() -> None:
    model, (x, _) = linear(3), batch(10, shape=(1, 3, 4))
    with torch.no_grad():
        logits = model(x)
        y, target = logits.argmax(1), logits.topk(2).indices[:, 1]
        slopes = model[1].weight[target] - model[1].weight[y]
        gap = logits.gather(1, y[:, None]) - logits.gather(1, target[:, None])
        nearest = gap.flatten() / slopes.norm(dim=1)
    found = lbfgs(model, x, y, domain=(-9.0, 9.0), binary_steps=12)
    length = (found - x).flatten(1).norm(dim=1)
    assert bool((model(found).argmax(1) != y).all())
    assert bool((length >= nearest).all())
    assert float((length / nearest).median()) < 1.1


def test_breaks_in_any_batch_size_inside_the_domain_and_for_targets() -> None:
    model, (x, _) = small_cnn(), batch(8)
    scores = model(x).detach()
    y = scores.argmax(1)
    y[0] = (y[0] + 1) % 10
    found = lbfgs(model, x, y, steps=20, binary_steps=5)
    assert torch.equal(found[0], x[0])
    assert bool(((found >= 0) & (found <= 1)).all())
    assert bool((model(found).argmax(1) != y).all())
    assert bool((torch.cat([model(row[None]) for row in found]).argmax(1) != y).all())
    target = scores.topk(2).indices[:, 1]
    aimed = lbfgs(model, x, scores.argmax(1), target=target, steps=30, binary_steps=5)
    hit = model(aimed).argmax(1) == target
    assert bool(hit.float().mean() > 0.7)
    assert torch.equal(aimed[~hit], x[~hit])


def test_more_values_of_c_come_nearer() -> None:
    model, (x, _) = small_cnn(), batch(8)
    y = model(x).argmax(1)
    few, many = (
        float((lbfgs(model, x, y, steps=20, binary_steps=b) - x).flatten(1).norm(dim=1).mean()) for b in (1, 6)
    )
    assert many < few


def test_rows_are_independent() -> None:
    model, (x, _) = batch_norm().double(), batch(5)
    x = x.double()
    y = model(x).argmax(1)
    whole = lbfgs(model, x, y, domain=(-3.0, 3.0), steps=8, binary_steps=3)
    assert bool((whole != x).any())
    alone = lbfgs(model, x[3:4], y[3:4], domain=(-3.0, 3.0), steps=8, binary_steps=3)
    torch.testing.assert_close(alone, whole[3:4])
