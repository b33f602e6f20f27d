"""Training steps against other people's loops and the floor: PGD on network A, TRADES and PGD on SmallCNN.

    make bench          (or: python -m benchmarks.training --json)

The floor is the attack's own floor (steps x one forward and one backward to the input, parameters frozen,
eager, float32) and the forward and backward passes to the weights, one for PGD and two for TRADES, with Adam.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from robustlib.attacks.losses import cross_entropy
from robustlib.experiments.runner import tune_allocator
from robustlib.models import ModelSpec, build
from robustlib.threat import LinfBall
from robustlib.training import Defence, PgdTraining, Trades, objective
from robustlib.training.precision import fastest, in_arithmetic

from . import peers, report
from .attacks import floor
from .rounds import interleave

THREAT = LinfBall(0.3)


@dataclass(frozen=True)
class Contest:
    """One training step, and others' for the same network, defence and batch.

    Args:
        work, library: names of the step, and of the loop that it is compared with.
        model: network.
        defence: ours.
        theirs: from the network to a call that gives their loss of a batch.
        steps: of the attack.
        passes: forward and backward passes to the weights that the loss needs.
    """

    work: str
    library: str
    model: ModelSpec
    defence: Defence
    theirs: Callable[[nn.Module], Callable[[Tensor, Tensor], Tensor]]
    steps: int
    passes: int = 1


def _torchattacks(steps: int) -> Callable[[nn.Module], Callable[[Tensor, Tensor], Tensor]]:
    """Cross-entropy where torchattacks' PGD ends, which follows the network that is trained: no copy."""

    def loss_of(model: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
        alpha = 2 * THREAT.eps / steps
        attack = peers.torchattacks(model, "PGD", own=False, eps=THREAT.eps, alpha=alpha, steps=steps)
        return lambda x, y: cross_entropy(model(attack(x, y, y)), y).mean()

    return loss_of


def contests() -> list[Contest]:
    """PGD on network A; TRADES and PGD on SmallCNN as the authors of TRADES publish them."""
    small, name = ModelSpec("small_cnn", 32), "TRADES repository's loop"

    def pgd(steps: int) -> PgdTraining:
        return PgdTraining(THREAT, steps, 2 * THREAT.eps / steps)

    def published(loss: Callable[..., Tensor], steps: int) -> Callable[[nn.Module], Callable[[Tensor, Tensor], Tensor]]:
        alpha = 2 * THREAT.eps / steps
        return lambda model: lambda x, y: loss(model, x, y, eps=THREAT.eps, alpha=alpha, steps=steps)

    trades = Trades(THREAT, 10, 2 * THREAT.eps / 10, beta=6.0)
    return [
        Contest("TRADES-10 training step, SmallCNN", name, small, trades, published(peers.published_trades, 10), 10, 2),
        Contest("PGD-10 training step, SmallCNN", name, small, pgd(10), published(peers.published_pgd, 10), 10),
        Contest("PGD-7 training step", "torchattacks loop", ModelSpec("madry_cnn", 16), pgd(7), _torchattacks(7), 7),
    ]


def rows(contest: Contest, rounds: int, batch: int = 128) -> list[report.Row]:
    """The step's processor time over the floor's, ours as ``fit`` makes it in either precision, and theirs."""
    generator = torch.Generator().manual_seed(2)
    x, y = torch.rand(batch, 1, 28, 28, generator=generator), torch.randint(10, (batch,), generator=generator)
    models = {
        name: build(contest.model, input_shape=(1, 28, 28), classes=10, generator=torch.Generator().manual_seed(0))
        for name in ("floor", "float32", "bfloat16", "peer")
    }
    for model in models.values():
        model.train()
    optimisers = {name: torch.optim.Adam(model.parameters(), lr=1e-4, fused=True) for name, model in models.items()}
    copies = {
        precision: in_arithmetic(models[precision], fastest(models[precision], x, precision=precision, passes=math.inf))
        for precision in ("float32", "bfloat16")
    }
    gradients, their_loss = floor(models["floor"], contest.steps), contest.theirs(models["peer"])

    def update(name: str, loss: Callable[[], Tensor]) -> None:
        optimisers[name].zero_grad(set_to_none=True)
        loss().backward()
        copy = copies.get(name)
        if copy is not None:
            copy.hand_over_gradients()
        optimisers[name].step()
        if copy is not None:
            copy.refresh()

    def least(_: int) -> None:
        gradients(x, y, y)
        losses = [lambda: cross_entropy(models["floor"](x), y).mean()] * contest.passes
        update("floor", lambda: torch.stack([loss() for loss in losses]).sum())

    def ours(name: str) -> None:
        worker = copies[name] or models[name]
        update(name, lambda: objective(contest.defence, worker, x, y, progress=1.0, generator=generator)[0].mean())

    works: dict[str, Callable[[int], None]] = {
        "floor": least,
        "robustlib": lambda _: ours("float32"),
        "robustlib, bfloat16": lambda _: ours("bfloat16"),
        contest.library: lambda _: update("peer", lambda: their_loss(x, y)),
    }
    found = interleave(works, range(rounds), floor="floor", warm_up=0)
    machine = report.machine()
    loop = found[contest.library].ratio
    return [
        {"work": contest.work, "library": name, "ratio_to_floor": round(measured.ratio, 3)}
        | {"ratio_to_loop": round(measured.ratio / loop, 3)}
        | {"rounds": len(measured.ratios)}
        | machine
        for name, measured in found.items()
    ]


def main() -> None:
    """Print a table, or JSON with --json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="keep the rows beside those of benchmarks.attacks")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tune_allocator()
    found = [row for contest in contests() for row in rows(contest, options.rounds)]
    if options.out:
        report.keep(found, options.out)
    print(json.dumps(found, indent=1) if options.json else report.table(found))


if __name__ == "__main__":
    main()
