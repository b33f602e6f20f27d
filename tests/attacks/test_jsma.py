"""JSMA: the exact pair, the budget to the feature, honest failures, and a saturated softmax."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from robustlib.attacks.jsma import best_pair, jsma

from .models import Saturated, batch, batch_norm, linear, small_cnn


def _by_force(alpha: Tensor, gain: Tensor, allowed: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Score of every choice, (N, D, D), and of the best; -inf where not admissible."""
    if size == 1:
        sum_a, sum_c = alpha.diag_embed(), gain.diag_embed()
        mask = torch.eye(alpha.shape[1], dtype=torch.bool) & allowed[:, :, None]
    else:
        sum_a, sum_c = (v[:, :, None] + v[:, None, :] for v in (alpha, gain))
        mask = (allowed[:, :, None] & allowed[:, None, :]).tril(-1) | (allowed[:, :, None] & allowed[:, None, :]).triu(
            1
        )
    score = torch.where((sum_a > 0) & (sum_c > 0) & mask, sum_a * sum_c, -torch.inf)
    return score, score.flatten(1).amax(1)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    width=st.integers(1, 30),
    digits=st.sampled_from([0, 1, 6]),
    shift=st.sampled_from([-2.0, 0.0, 2.0]),
    correlated=st.booleans(),
    size=st.sampled_from([1, 2]),
)
def test_the_choice_equals_brute_force(
    seed: int, width: int, digits: int, shift: float, correlated: bool, size: int
) -> None:
    """With ties (few digits), with all features bad (shift down), and along an anti-correlated front."""
    generator = torch.Generator().manual_seed(seed)
    alpha = torch.randn(7, width, generator=generator, dtype=torch.float64)
    gain = -alpha + 0.1 if correlated else torch.randn(7, width, generator=generator, dtype=torch.float64)
    alpha, gain = (alpha + shift).round(decimals=digits), (gain + shift).round(decimals=digits)
    allowed = torch.rand(7, width, generator=generator) < 0.7
    score, best = _by_force(alpha, gain, allowed, size)
    chosen, found = best_pair(alpha, gain, allowed, size=size)
    assert torch.equal(found, best > -torch.inf)
    reached = score[torch.arange(7), chosen[:, 0], chosen[:, -1]]
    torch.testing.assert_close(reached[found], best[found])


@given(seed=st.integers(0, 10**6))
def test_on_softmax_outputs_the_best_pair_is_the_two_largest_derivatives(seed: int) -> None:
    """Derivatives of softmax outputs sum to zero over classes, so beta = -alpha and the score is a square."""
    generator = torch.Generator().manual_seed(seed)
    jacobian = torch.randn(5, 10, 12, generator=generator, dtype=torch.float64)
    jacobian -= jacobian.mean(1, keepdim=True)
    alpha, beta, allowed = (jacobian[:, 3], jacobian.sum(1) - jacobian[:, 3], torch.ones(5, 12, dtype=torch.bool))
    _, best = _by_force(alpha, -beta, allowed, 2)
    chosen, found = best_pair(alpha, alpha, allowed)
    assert torch.equal(found, best > -torch.inf)
    two = alpha.topk(2).indices.sort(1).values[found]
    assert torch.equal(chosen.sort(1).values[found], two)
    # Products of derivatives this small are zero in float32; the choice stays the same.
    tiny, _ = best_pair(alpha.float() * 1e-36, alpha.float() * 1e-36, allowed)
    assert torch.equal(tiny.sort(1).values[found], two)


def _call(n: int = 12) -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    model, (x, _) = small_cnn(), batch(n)
    x = 0.5 * x
    scores = model(x).detach()
    # The runner-up: reachable for some examples and not for all.
    return model, x, scores.argmax(1), scores.topk(2).indices[:, 1]


@pytest.mark.parametrize("outputs", ["softmax", "logits"])
@pytest.mark.parametrize(("features", "pairs"), [(7, True), (8, True), (7, False), (1, True), (64, True)])
def test_the_budget_holds_to_the_feature_and_failures_come_back(outputs: str, features: int, pairs: bool) -> None:
    model, x, y, target = _call()
    found = jsma(model, x, y, target=target, features=features, outputs=outputs, pairs=pairs)
    changed = found != x
    assert int(changed.flatten(1).sum(1).max()) <= features - (features % 2 if pairs else 0)
    assert bool((found[changed] == 1.0).all())
    hit = model(found).argmax(1) == target
    assert torch.equal(hit, changed.flatten(1).any(1))
    assert torch.equal(torch.cat([model(row[None]) for row in found]).argmax(1) == target, hit)
    if features == 64:
        assert bool(hit.any())


def test_one_pair_on_a_linear_model_is_the_algorithms() -> None:
    """Step by step against the pair that brute force picks."""
    model, (x, _) = linear(4), batch(6, shape=(1, 3, 4))
    x, y = 0.3 * x, model(0.3 * x).argmax(1)
    target, weight = (y + 1) % 4, model[1].weight.detach()
    alpha = weight[target]
    gain = alpha - weight.sum(0)
    point, allowed = x.flatten(1).clone(), torch.ones(6, 12, dtype=torch.bool)
    expected = x.clone()
    for _ in range(7):
        lead = model(point).topk(2)
        done = lead.indices[:, 0] == target
        expected[done] = torch.where((expected == x).flatten(1).all(1)[:, None], point, expected.flatten(1)).view_as(x)[
            done
        ]
        score, best = _by_force(alpha, gain, allowed, 2)
        place = score.flatten(1).argmax(1)
        for row in ((best > -torch.inf) & ~done).nonzero().flatten():
            pair = [int(place[row]) // 12, int(place[row]) % 12]
            point[row, pair], allowed[row, pair] = 1.0, False
    torch.testing.assert_close(jsma(model, x, y, target=target, features=12, outputs="logits"), expected)


def test_a_saturated_softmax_stops_the_attack_until_the_temperature_undoes_it() -> None:
    model, x, y, target = _call(30)
    masked = Saturated(model, 1e4).eval()
    stopped = jsma(masked, x, y, target=target, features=64)
    undone = jsma(masked, x, y, target=target, features=64, temperature=1e4)
    on_logits = jsma(masked, x, y, target=target, features=64, outputs="logits")
    hits = [int((model(found).argmax(1) == target).sum()) for found in (stopped, undone, on_logits)]
    assert hits[0] < hits[1]
    assert hits[0] < hits[2]
    assert torch.equal(stopped[model(stopped).argmax(1) != target], x[model(stopped).argmax(1) != target])


def test_rows_are_independent() -> None:
    model, (x, _) = batch_norm(), batch(8)
    y = model(x).argmax(1)
    target = (y + 1) % 10
    whole = jsma(model, x, y, target=target, features=40, outputs="logits")
    assert torch.equal(jsma(model, x[2:3], y[2:3], target=target[2:3], features=40, outputs="logits"), whole[2:3])


def test_fill_is_an_absolute_value_and_only_raises() -> None:
    model, x, y, target = _call()
    found = jsma(model, 2 * x, y, target=target, features=64, fill=1.5, domain=(-2.0, 2.5), outputs="logits")
    changed = found != 2 * x
    assert bool((found[changed] == 1.5).all())
