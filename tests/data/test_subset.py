"""Fixed subsets: balanced, nested, sorted, the same everywhere."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from robustlib.data import balanced_subset
from robustlib.errors import RobustlibError

LABELS = torch.arange(1000) % 10


@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=60), n=st.integers(1, 60), seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_rows_are_sorted_distinct_nested_and_as_balanced_as_the_classes_allow(
    labels: list[int], n: int, seed: int
) -> None:
    y = torch.tensor(labels)
    n = min(n, len(y))
    rows = balanced_subset(y, n, seed=seed)
    assert rows.dtype == torch.int64
    assert len(rows) == n
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert set(rows.tolist()) <= set(balanced_subset(y, len(y), seed=seed).tolist())
    if n > 1:
        assert set(balanced_subset(y, n - 1, seed=seed).tolist()) < set(rows.tolist())
    taken, there = torch.bincount(y[rows], minlength=5), torch.bincount(y, minlength=5)
    for a in range(5):
        for b in range(5):
            # a class lags behind another by more than one row only when it has no rows left
            assert taken[a] >= taken[b] - 1 or taken[a] == there[a]


def test_the_rows_are_the_same_on_every_machine() -> None:
    assert balanced_subset(LABELS, 12, seed=0).tolist() == GOLDEN_0
    assert balanced_subset(LABELS, 12, seed=1).tolist() != GOLDEN_0


GOLDEN_0 = [23, 37, 44, 209, 483, 500, 561, 630, 675, 756, 802, 928]


def test_the_global_generator_is_neither_read_nor_moved() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = balanced_subset(LABELS, 50)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(balanced_subset(LABELS, 50), first)


def test_label_values_need_not_be_dense_nor_int64() -> None:
    y = torch.tensor([7, 7, 200, 200, 7], dtype=torch.uint8)
    assert sorted(y[balanced_subset(y, 2)].tolist()) == [7, 200]


@pytest.mark.parametrize("n", [0, -1, 1001, 2.0, True, "5", None])
def test_an_impossible_size_is_named(n: object) -> None:
    with pytest.raises(RobustlibError, match=r"subset size .* from 1 to 1000"):
        balanced_subset(LABELS, n)  # type: ignore[arg-type]


@pytest.mark.parametrize("labels", [torch.zeros(3), torch.zeros(3, 1, dtype=torch.int64)])
def test_labels_must_be_one_integer_a_row(labels: torch.Tensor) -> None:
    with pytest.raises(RobustlibError, match="one integer label per row"):
        balanced_subset(labels, 1)


@pytest.mark.parametrize("seed", [0.5, -1, 2**63, True, None])
def test_the_seed_must_be_a_whole_number(seed: object) -> None:
    with pytest.raises(RobustlibError, match=f"seed {seed}"):
        balanced_subset(LABELS, 1, seed=seed)  # type: ignore[arg-type]
