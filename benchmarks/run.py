"""Madry et al.'s network A: PGD-40, FGSM and a PGD training step, against torchattacks and the floor.

    make bench          (or: python benchmarks/run.py --json)

The floor of an attack is steps x (one forward and one backward to the input), parameters frozen, eager,
float32; of a training step, that and one forward and backward to the weights with Adam.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torchattacks
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.rounds import ratios
from robustlib.attacks import fgsm, pgd
from robustlib.attacks._model import frozen, input_gradient
from robustlib.attacks.losses import cross_entropy
from robustlib.evaluate import steering
from robustlib.experiments.host import device_name, tune_allocator
from robustlib.models import ModelSpec, build
from robustlib.threat import LinfBall
from robustlib.training import PgdTraining, low_precision_copy, objective

THREAT, STEPS, STEP_SIZE = LinfBall(0.3), 40, 0.01


def _network(seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    return build(ModelSpec("madry_cnn", 16), input_shape=(1, 28, 28), classes=10, generator=generator)


def _gradients(model: nn.Module, x: Tensor, y: Tensor, steps: int) -> None:
    with frozen(model):
        for _ in range(steps):
            input_gradient(model, x, y, cross_entropy)


def attack_rows(rounds: int) -> list[dict[str, object]]:
    """FGSM and PGD-40 on a batch of 50."""
    model = _network()
    generator = torch.Generator().manual_seed(1)
    x, y = torch.rand(50, 1, 28, 28, generator=generator), torch.randint(10, (50,), generator=generator)
    copy = steering(model, "bfloat16")
    peer_pgd = torchattacks.PGD(model, eps=0.3, alpha=STEP_SIZE, steps=STEPS)
    peer_fgsm = torchattacks.FGSM(model, eps=0.3)
    settings = {"steps": STEPS, "step_size": STEP_SIZE, "generator": generator}
    works: dict[str, dict[str, Callable[[], object]]] = {
        "FGSM": {
            "floor": lambda: _gradients(model, x, y, 1),
            "robustlib": lambda: fgsm(model, x, y, THREAT),
            "torchattacks": lambda: peer_fgsm(x, y),
        },
        "PGD-40": {
            "floor": lambda: _gradients(model, x, y, STEPS),
            "robustlib": lambda: pgd(model, x, y, THREAT, **settings),
            "robustlib, bfloat16 search": lambda: pgd(model, x, y, THREAT, surrogate=copy, **settings),
            "torchattacks": lambda: peer_pgd(x, y),
        },
    }
    return [row for work, contestants in works.items() for row in _rows(work, contestants, rounds)]


def training_rows(rounds: int, steps: int = 7) -> list[dict[str, object]]:
    """One PGD training step on a batch of 128."""
    generator = torch.Generator().manual_seed(2)
    x, y = torch.rand(128, 1, 28, 28, generator=generator), torch.randint(10, (128,), generator=generator)
    defence = PgdTraining(THREAT, steps=steps, step_size=2 * THREAT.eps / steps)
    models = {name: _network() for name in ("floor", "float32", "bfloat16", "peer")}
    optimisers = {
        name: torch.optim.Adam(model.parameters(), lr=1e-4, fused=True) for name, model in models.items()
    }
    copy = low_precision_copy(models["bfloat16"])
    peer = torchattacks.PGD(models["peer"], eps=0.3, alpha=2 * THREAT.eps / steps, steps=steps)

    def update(name: str, losses: Tensor) -> None:
        optimisers[name].zero_grad(set_to_none=True)
        losses.mean().backward()
        if name == "bfloat16":
            copy.hand_over_gradients()
        optimisers[name].step()
        if name == "bfloat16":
            copy.refresh()

    def floor() -> None:
        _gradients(models["floor"], x, y, steps)
        update("floor", cross_entropy(models["floor"](x), y))

    def ours(name: str, worker: nn.Module) -> None:
        update(name, objective(defence, worker, x, y, progress=1.0, generator=generator)[0])

    def theirs() -> None:
        update("peer", cross_entropy(models["peer"](peer(x, y)), y))

    works: dict[str, Callable[[], object]] = {
        "floor": floor,
        "robustlib": lambda: ours("float32", models["float32"]),
        "robustlib, bfloat16": lambda: ours("bfloat16", copy),
        "torchattacks loop": theirs,
    }
    return _rows(f"PGD-{steps} training step", works, rounds)


def _rows(work: str, contestants: dict[str, Callable[[], object]], rounds: int) -> list[dict[str, object]]:
    found = ratios(contestants, floor="floor", rounds=rounds)
    return [
        {"work": work, "library": name, "ratio_to_floor": round(value, 3)} for name, value in found.items()
    ]


def main() -> None:
    """Print a table, or JSON with --json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    tune_allocator()
    rows = attack_rows(options.rounds) + training_rows(options.rounds)
    if options.json:
        print(json.dumps({"device": device_name(torch.device("cpu")), "rows": rows}, indent=1))
        return
    for row in rows:
        print(f"{row['work']!s:<24} {row['library']!s:<28} {row['ratio_to_floor']:.2f}")


if __name__ == "__main__":
    main()
