"""Cost of one step of an attack in each of the ways that were tried, as ratios to the floor's step.

    python -m benchmarks.trials --out benchmarks

A step here is one forward and one backward to the input of network A's architecture; batches other than 100 are
counted for each image. "with its step" adds sign, step and projection.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from robustlib.attacks._model import frozen, input_gradient
from robustlib.attacks.losses import cross_entropy
from robustlib.attacks.pgd import ascend
from robustlib.experiments.runner import exact_arithmetic, tune_allocator
from robustlib.models import ModelSpec, build
from robustlib.threat import LinfBall
from robustlib.training import SteeringCopy

from . import report
from .rounds import interleave

STEPS, IMAGES = 4, 500
THREAT = LinfBall(0.3)


def _gradients(model: nn.Module, x: Tensor, y: Tensor, batch: int) -> Callable[[int], None]:
    def run(_: int) -> None:
        with frozen(model):
            for part, labels in zip(x.split(batch), y.split(batch), strict=True):
                for _ in range(STEPS):
                    input_gradient(model, part, labels, cross_entropy)

    return run


def _steps(model: nn.Module, x: Tensor, y: Tensor) -> Callable[[int], None]:
    def run(_: int) -> None:
        with frozen(model):
            for part, labels in zip(x.split(100), y.split(100), strict=True):
                ascend(model, part, labels, THREAT, start=part, steps=STEPS, step_size=0.01, loss=cross_entropy)

    return run


def ways() -> dict[str, Callable[[int], None]]:
    """Name to a call that takes STEPS gradients of IMAGES images."""
    generator = torch.Generator().manual_seed(0)
    spec = ModelSpec("madry_cnn", 16)
    model = build(spec, input_shape=(1, 28, 28), classes=10, generator=generator).eval()
    last = copy.deepcopy(model).to(memory_format=torch.channels_last)
    half = copy.deepcopy(model).to(torch.bfloat16)
    ours = SteeringCopy(model)
    x, y = torch.rand(IMAGES, 1, 28, 28, generator=generator), torch.randint(10, (IMAGES,), generator=generator)
    unfrozen = copy.deepcopy(model)

    def everything(_: int) -> None:
        for part, labels in zip(x.split(100), y.split(100), strict=True):
            for _ in range(STEPS):
                part = part.detach().requires_grad_()
                nn.functional.cross_entropy(unfrozen(part), labels, reduction="sum").backward()

    found = {
        "floor": _gradients(model, x, y, 100),
        "floor, batches of 25": _gradients(model, x, y, 25),
        "floor, batches of 500": _gradients(model, x, y, 500),
        "float32, channels_last": _gradients(last, x, y, 100),
        "bfloat16": _gradients(half, x.bfloat16(), y, 100),
        "bfloat16, channels_last": _gradients(ours, x, y, 100),
        "bfloat16, channels_last, batches of 25": _gradients(ours, x, y, 25),
        "bfloat16, channels_last, batches of 250": _gradients(ours, x, y, 250),
        "bfloat16, channels_last, with its step": _steps(ours, x, y),
        "float32, with its step": _steps(model, x, y),
        "float32, gradients of the parameters too": everything,
    }
    return found


def main() -> None:
    """Print the table and, with --out, keep it beside the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trials")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tune_allocator()
    exact_arithmetic()
    measured = interleave(ways(), range(options.rounds), floor="floor", warm_up=0)
    machine = report.machine()
    rows = [
        {"work": "one step, ways tried", "library": name, "ratio_to_floor": round(found.ratio, 3)}
        | {"rounds": len(found.ratios)}
        | machine
        for name, found in measured.items()
    ]
    if options.out:
        report.keep(rows, options.out)
    print(json.dumps(rows, indent=1) if options.json else report.table(rows))


if __name__ == "__main__":
    main()
