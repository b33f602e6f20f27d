"""Random crops and flips: each image is one that can be cut by hand, choices repeat, and training resumes with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from robustlib.data import load
from robustlib.errors import RobustlibError
from robustlib.models import ModelSpec, build
from robustlib.training import Schedule, Standard, fit
from robustlib.training.loop import crop_and_flip


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_every_result_is_a_cut_of_its_own_image() -> None:
    x = torch.rand(60, 3, 5, 6, generator=_generator(9))
    out = crop_and_flip(x, pad=2, flip=True, generator=_generator())
    assert out.shape == x.shape
    seen, mirrored = set(), 0
    for image, result in zip(F.pad(x, (2, 2, 2, 2)), out, strict=True):
        cuts = {
            (top, left, flip): torch.equal(cut.flip(2) if flip else cut, result)
            for top in range(5)
            for left in range(5)
            for flip in (False, True)
            for cut in [image[:, top : top + 5, left : left + 6]]
        }
        assert sum(cuts.values()) == 1
        (found,) = (place for place, same in cuts.items() if same)
        seen.add(found[:2])
        mirrored += found[2]
    assert len(seen) > 15  # of 25 places
    assert 15 < mirrored < 45


def test_nothing_asked_nothing_done() -> None:
    x = torch.rand(4, 1, 5, 5)
    assert torch.equal(crop_and_flip(x, pad=0, flip=False, generator=_generator()), x)
    flipped = crop_and_flip(x, pad=0, flip=True, generator=_generator(1))
    assert all(torch.equal(a, b) or torch.equal(a, b.flip(2)) for a, b in zip(flipped, x, strict=True))
    assert torch.equal(flipped, crop_and_flip(x, pad=0, flip=True, generator=_generator(1)))
    with pytest.raises(RobustlibError, match="need images"):
        crop_and_flip(torch.rand(4, 20), pad=1, flip=False, generator=_generator())
    with pytest.raises(RobustlibError, match="crop and clip are 0 or more"):
        Schedule(1, 1, 0.1, crop=-1)


def test_training_with_them_resumes_bit_for_bit_and_differs_from_without(tmp_path: Path) -> None:
    digits, rows, weights = load("digits").train, torch.arange(200), []
    schedule = Schedule(12, 16, 1e-3, crop=1, flip=True)
    for stop_at in (99, 5):
        seen: list[int] = []
        for _ in range(2):
            model = build(ModelSpec("madry_cnn", 1), input_shape=(1, 8, 8), classes=10, generator=_generator())
            done = fit(
                model,
                digits,
                rows,
                Standard(),
                schedule,
                seed=3,
                checkpoint=tmp_path / f"c{stop_at}",
                stop=lambda seen=seen, stop_at=stop_at: len(seen) == stop_at,
                progress=lambda *_, seen=seen: seen.append(1),
            )
            if done.finished:
                break
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(weights[0], weights[1])
    plain = build(ModelSpec("madry_cnn", 1), input_shape=(1, 8, 8), classes=10, generator=_generator())
    fit(plain, digits, rows, Standard(), replace(schedule, crop=0, flip=False), seed=3)
    assert not torch.equal(weights[0], torch.cat([p.detach().flatten() for p in plain.parameters()]))
