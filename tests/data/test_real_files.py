"""The prepared files of the real datasets, where ROBUSTLIB_DATA holds them: read, never written."""

from __future__ import annotations

import os

import pytest

from robustlib.data import Dataset, balanced_subset, load
from robustlib.data.prepared import prepared_path
from robustlib.data.registry import REGISTRY

DOCUMENTED = {
    # first digits of the sha256 of x_train, and all of x_test, as documented beside the data
    "mnist": ("741c9888", "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161"),
    "fashion_mnist": ("2e487a6c", "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a"),
    "cifar10": ("9d5c2edd", "1fe46ff47f5fb6c1b24f0b5448654cac0e0d3e1e0c16f9cbac842307814b553a"),
    "har": ("972cd9ae", "fdfc3f7eca0af130489657bc7ba15cf909dc25e2accce05454c6b42510a6ac05"),
}


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_the_registry_holds_the_documented_digests(name: str) -> None:
    train, test = DOCUMENTED[name]
    facts = REGISTRY[name]
    assert facts.digests["x_train"].startswith(train)
    assert test in (facts.digests.get("x_test"), facts.mirror.get("x_test"))


def real(name: str) -> Dataset:
    root = os.environ.get("ROBUSTLIB_DATA")
    if not root or not prepared_path(name, root).is_file():
        pytest.skip(f"ROBUSTLIB_DATA holds no {name}.npz")
    return load(name)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "har"])
def test_official_files(name: str) -> None:
    dataset = real(name)
    facts = REGISTRY[name]
    assert dataset.official
    assert dataset.inexact == {"train": 0, "test": 0}
    assert (len(dataset.train), len(dataset.test)) == (facts.n_train, facts.n_test)
    images = dataset.test.images()
    assert (images.min().item(), images.max().item()) == dataset.domain
    assert dataset.test.y.unique().tolist() == list(range(len(dataset.classes)))
    assert dataset.source == "official"


@pytest.mark.slow
def test_cifar10_is_official_or_a_mirror_with_twenty_inexact_test_rows() -> None:
    dataset = real("cifar10")
    assert dataset.train.x.shape == (50_000, 3, 32, 32)
    assert dataset.inexact["train"] == 0
    if not dataset.official:
        assert dataset.inexact == {"train": 0, "test": 20}
        assert dataset.source == "mirror, 20 inexact rows"


def test_subsets_of_mnist_are_spread_over_the_test_set() -> None:
    # the first half of MNIST's test set is harder than the second: a subset has to take from both
    rows = balanced_subset(real("mnist").test.y, 1000)
    assert 430 < int((rows < 5000).sum()) < 570
