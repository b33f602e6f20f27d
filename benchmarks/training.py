"""Training steps against other people's loops and the floor: PGD on network A, TRADES and PGD on SmallCNN.

    make bench          (or: python -m benchmarks.training --json)

The floor is the attack's own floor (steps x one forward and one backward to the input, parameters frozen,
eager, float32) and the forward and backward passes to the weights, one for PGD and two for TRADES, with Adam.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from robustlib.attacks.losses import cross_entropy
from robustlib.experiments.host import device_name, tune_allocator, versions
from robustlib.models import ModelSpec, build
from robustlib.threat import LinfBall
from robustlib.training import PgdTraining, Trades, low_precision_copy, objective

from . import peers, report
from .attacks import floor
from .rounds import interleave

THREAT = LinfBall(0.3)


def _network() -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    return build(ModelSpec("madry_cnn", 16), input_shape=(1, 28, 28), classes=10, generator=generator)


def rows(rounds: int, steps: int = 7, batch: int = 128) -> list[report.Row]:
    """One PGD training step on a batch."""
    generator = torch.Generator().manual_seed(2)
    x, y = torch.rand(batch, 1, 28, 28, generator=generator), torch.randint(10, (batch,), generator=generator)
    defence = PgdTraining(THREAT, steps=steps, step_size=2 * THREAT.eps / steps)
    models = {name: _network() for name in ("floor", "float32", "bfloat16", "peer")}
    optimisers = {
        name: torch.optim.Adam(model.parameters(), lr=1e-4, fused=True) for name, model in models.items()
    }
    copy = low_precision_copy(models["bfloat16"])
    # The attack follows the network that is trained: no copy.
    peer = peers.torchattacks(models["peer"], "PGD", own=False, eps=0.3, alpha=2 * THREAT.eps / steps, steps=steps)
    gradients = floor(models["floor"], steps)

    def update(name: str, losses: Tensor) -> None:
        optimisers[name].zero_grad(set_to_none=True)
        losses.mean().backward()
        if name == "bfloat16":
            copy.hand_over_gradients()
        optimisers[name].step()
        if name == "bfloat16":
            copy.refresh()

    def least(_: int) -> None:
        gradients(x, y, y)
        update("floor", cross_entropy(models["floor"](x), y))

    def ours(name: str, worker: nn.Module) -> None:
        update(name, objective(defence, worker, x, y, progress=1.0, generator=generator)[0])

    def theirs(_: int) -> None:
        update("peer", cross_entropy(models["peer"](peer(x, y, y)), y))

    works: dict[str, Callable[[int], None]] = {
        "floor": least,
        "robustlib": lambda _: ours("float32", models["float32"]),
        "robustlib, bfloat16": lambda _: ours("bfloat16", copy),
        "torchattacks loop": theirs,
    }
    found = interleave(works, range(rounds), floor="floor", warm_up=0)
    machine = {"device": device_name(torch.device("cpu"))} | versions()
    return [
        {"work": f"PGD-{steps} training step", "library": name, "ratio_to_floor": round(measured.ratio, 3)}
        | {"rounds": len(measured.ratios)} | machine
        for name, measured in found.items()
    ]  # fmt: skip


def trades_rows(rounds: int, method: str, steps: int = 10, batch: int = 128) -> list[report.Row]:
    """One TRADES or PGD training step on SmallCNN, and the same as the authors of TRADES publish it.

    Args:
        rounds: of the comparison.
        method: "TRADES" or "PGD".
        steps, batch: of the step.
    """
    generator = torch.Generator().manual_seed(2)
    x, y = torch.rand(batch, 1, 28, 28, generator=generator), torch.randint(10, (batch,), generator=generator)
    alpha, spec = 2 * THREAT.eps / steps, ModelSpec("small_cnn", 32)
    defence = Trades(THREAT, steps, alpha, beta=6.0) if method == "TRADES" else PgdTraining(THREAT, steps, alpha)
    published = peers.published_trades if method == "TRADES" else peers.published_pgd
    names = ("floor", "float32", "bfloat16", "peer")
    models = {
        name: build(spec, input_shape=(1, 28, 28), classes=10, generator=torch.Generator().manual_seed(0)).train()
        for name in names
    }
    optimisers = {name: torch.optim.Adam(model.parameters(), lr=1e-4, fused=True) for name, model in models.items()}
    copy = low_precision_copy(models["bfloat16"]).train()
    gradients = floor(models["floor"], steps)

    def update(name: str, loss: Callable[[], Tensor]) -> None:
        optimisers[name].zero_grad(set_to_none=True)
        loss().backward()
        if name == "bfloat16":
            copy.hand_over_gradients()
        optimisers[name].step()
        if name == "bfloat16":
            copy.refresh()

    def least(_: int) -> None:
        gradients(x, y, y)
        passes = [x] * (2 if method == "TRADES" else 1)
        update("floor", lambda: torch.stack([cross_entropy(models["floor"](z), y).mean() for z in passes]).sum())

    def ours(name: str, worker: nn.Module) -> None:
        update(name, lambda: objective(defence, worker, x, y, progress=1.0, generator=generator)[0].mean())

    def theirs(_: int) -> None:
        update("peer", lambda: published(models["peer"], x, y, eps=THREAT.eps, alpha=alpha, steps=steps))

    works: dict[str, Callable[[int], None]] = {
        "floor": least,
        "robustlib": lambda _: ours("float32", models["float32"]),
        "robustlib, bfloat16": lambda _: ours("bfloat16", copy),
        "TRADES repository's loop": theirs,
    }
    found = interleave(works, range(rounds), floor="floor", warm_up=0)
    machine = {"device": device_name(torch.device("cpu"))} | versions()
    return [
        {"work": f"{method}-{steps} training step, SmallCNN", "library": name}
        | {"ratio_to_floor": round(measured.ratio, 3), "rounds": len(measured.ratios)} | machine
        for name, measured in found.items()
    ]  # fmt: skip


def main() -> None:
    """Print a table, or JSON with --json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="keep the rows beside those of benchmarks.attacks")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tune_allocator()
    found = trades_rows(options.rounds, "TRADES") + trades_rows(options.rounds, "PGD") + rows(options.rounds)
    if options.out:
        report.keep(found, options.out)
    print(json.dumps(found, indent=1) if options.json else report.table(found))


if __name__ == "__main__":
    main()
