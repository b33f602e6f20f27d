"""Some classes of a dataset: their rows in order, labels renumbered, every array of one length."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from robustlib.data import load
from robustlib.errors import RobustlibError


def test_two_classes_of_ten() -> None:
    digits = load("digits")
    pair = digits.only((3, 1))
    assert pair.classes == ("3", "1")
    for whole, part in ((digits.train, pair.train), (digits.test, pair.test)):
        rows = [i for i, label in enumerate(whole.y.tolist()) if label in (1, 3)]
        assert torch.equal(part.x, whole.x[rows])
        assert part.y.tolist() == [0 if whole.y[i] == 3 else 1 for i in rows]
    assert (pair.digest, pair.name, pair.domain) == (digits.digest, digits.name, digits.domain)


def test_groups_follow_their_rows() -> None:
    digits = load("digits")
    grouped = replace(digits, groups={"train": torch.arange(len(digits.train)), "test": None})
    part = grouped.only((7,))
    members = part.groups["train"]
    assert members is not None
    assert torch.equal(digits.train.x[members], part.train.x)
    assert part.groups["test"] is None


@pytest.mark.parametrize("classes", [(), (1, 1), (1, 10), (-1, 2)])
def test_classes_that_are_not_there(classes: tuple[int, ...]) -> None:
    with pytest.raises(RobustlibError, match="give different numbers from 0 to 9"):
        load("digits").only(classes)
