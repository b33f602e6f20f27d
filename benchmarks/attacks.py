"""Attacks side by side with torchattacks, foolbox and ART on Madry et al.'s network A, as ratios to a floor.

    make bench          (or, with the peers installed: python -m benchmarks.attacks --json)

The floor of a work is its steps x (one forward and one backward to the input), parameters frozen, eager,
float32, on the same points in the same batches. Times are processor times on one thread; a ratio is formed
within a round, and the table shows the median over the rounds. Each round takes the next points of one
class-balanced subset, and what the attacks return in the rounds is what robust accuracy is counted on.
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from robustlib.attacks._model import frozen, input_gradient
from robustlib.attacks.losses import cross_entropy
from robustlib.attacks.suite import Clean, random_targets
from robustlib.catalogue.plan import shrink
from robustlib.data import balanced_subset, load
from robustlib.environment import cache_root, repository
from robustlib.errors import RobustlibError, suggest
from robustlib.experiments.networks import Networks
from robustlib.experiments.runner import exact_arithmetic, tune_allocator
from robustlib.papers.madry2018 import networks as madry

from . import memory, report
from .peers import VERSIONS, Attack
from .rounds import Measured, interleave
from .works import BATCH, SEED, WORKS, Work

VERDICT_BATCH = 250
"""Not the attacks' own, so that a success that holds in one batch size alone does not count."""
Block = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Setting:
    """A network and the points that it is attacked on: images, labels, targets."""

    model: nn.Module
    x: Tensor
    y: Tensor
    target: Tensor


@functools.cache
def setting(regime: str, points: int) -> Setting:
    """Issue 1's quick network A, or the natural one of its size, and class-balanced test points.

    Found by specification: committed weights, else the cache, else trained now (the natural one: a minute).
    """
    evaluation = shrink(madry.accuracy(madry.network(regime), Clean()), "quick")
    assert evaluation is not None
    networks = Networks(torch.device("cpu"), cache_root() / "networks", repository() / "weights")
    model = networks.obtain(evaluation.subject)
    test = load("mnist").test
    rows = balanced_subset(test.y, points, seed=SEED)
    y = test.y[rows]
    target = random_targets(y, 10, generator=torch.Generator().manual_seed(SEED))
    return Setting(model, test.images(rows), y, target)


def _in_batches(attack: Attack) -> Any:
    def run(block: Block) -> Tensor:
        return torch.cat([attack(*part) for part in zip(*(tensor.split(BATCH) for tensor in block), strict=True)])

    return run


def floor(model: nn.Module, steps: int) -> Attack:
    """The least that an attack of so many steps costs."""

    def run(x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        with frozen(model):
            for _ in range(steps):
                input_gradient(model, x, y, cross_entropy)
        return x

    return run


@torch.no_grad()
def _decisions(model: nn.Module, x: Tensor) -> Tensor:
    return torch.cat([model(part).argmax(1) for part in x.split(VERDICT_BATCH)])


def _lengths(delta: Tensor, norm: str) -> Tensor:
    flat = delta.double().flatten(1)
    return (flat.abs() > 1e-6).sum(1).double() if norm == "l0" else flat.norm(dim=1, p=2 if norm == "l2" else torch.inf)


def _mean(values: Tensor) -> float | None:
    return round(float(values.mean()), 4) if len(values) else None


def measure(
    work: Work, at: Setting, *, rounds: int, libraries: Sequence[str] | None = None, say: Any = lambda line: None
) -> list[dict[str, Any]]:
    """The rows of one work: the floor, then each contestant.

    Args:
        work: what is compared.
        at: network and points; their number is a multiple of ``rounds``.
        rounds: how many.
        libraries: leave out contestants of others.
        say: prints progress.
    """
    if rounds < 1 or len(at.x) % rounds:
        raise RobustlibError(f"rounds={rounds} does not divide the {len(at.x)} points; give a divisor")
    attacks = {"floor": floor(at.model, work.steps)}
    for name, attack in work.contestants(at.model).items():
        if libraries is None or any(name.startswith(library) for library in libraries):
            attacks[name] = attack
    size = len(at.x) // rounds
    blocks: list[Block] = list(zip(at.x.split(size), at.y.split(size), at.target.split(size), strict=True))
    # Long works warm up on two points: what a first call costs is nothing beside their rounds.
    warm_up: Any = blocks[0] if work.steps == 1 else tuple(tensor[:2] for tensor in blocks[0])
    torch.manual_seed(SEED)
    np.random.seed(SEED)
    measured = interleave(
        {name: _in_batches(attack) for name, attack in attacks.items()},
        blocks,
        floor="floor",
        warm_up=warm_up,
        limits=work.limits,
        say=say,
    )
    return _rows(work, at, measured)


def _rows(work: Work, at: Setting, measured: dict[str, Measured[Tensor]]) -> list[dict[str, Any]]:
    clean = _decisions(at.model, at.x)
    lengths: dict[str, Tensor] = {}
    stood: dict[str, Tensor] = {}
    rows = []
    for name, found in measured.items():
        row: dict[str, Any] = {"work": work.name, "library": name, "ratio_to_floor": round(found.ratio, 3)}
        row |= dict.fromkeys(report.COLUMNS[3:])
        x_adv = torch.cat(found.results)
        n = len(x_adv)
        if name != "floor":
            x, y, target = at.x[:n], at.y[:n], at.target[:n]
            decision = _decisions(at.model, x_adv)
            inside = torch.ones_like(y, dtype=torch.bool)
            if work.threat is not None:
                inside = work.threat.contains(x_adv, x)
            elif bool(((x_adv < 0) | (x_adv > 1)).any()):
                raise RobustlibError(f"{name} left the domain [0, 1] in {work.name}")
            standing = ((clean[:n] == y) & ~inside) | ((decision == y) & inside)
            # Points that were lost before the attack say nothing of it.
            asked = clean[:n] != target if work.targeted else clean[:n] == y
            success = asked & inside & ((decision == target) if work.targeted else (decision != y))
            lengths[name] = _lengths(x_adv - x, work.norm).masked_fill(~success, torch.nan)
            stood[name] = standing.double()
            row["robust_accuracy"] = round(float(stood[name].mean()), 4)
            row["success"] = round(float(success.sum() / asked.sum().clamp_min(1)), 4)
            row["mean_distance"] = _mean(lengths[name][success])
            if work.threat is None and "robustlib" in lengths:
                both = success & ~lengths["robustlib"][:n].isnan()
                row["robustlib_there"] = _mean(lengths["robustlib"][:n][both])
            elif "robustlib" in stood and name != "robustlib":
                differs = stood["robustlib"][:n] - stood[name]
                row["robustlib_higher_by"] = round(float(differs.mean()), 4)
                # Standard error of a difference between paired outcomes (McNemar).
                row["noise"] = round(float(differs.abs().sum().sqrt() / n), 4)
        library = name.partition(",")[0].partition(" ")[0]
        version = importlib.metadata.version(VERSIONS[library]) if library in VERSIONS else None
        rows.append(row | {"points": n, "rounds": len(found.ratios), "norm": work.norm, "version": version})
    return rows


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attacks", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="a list of rows, in place of the table")
    names = ", ".join([*WORKS, memory.NAME])
    parser.add_argument("--work", action="append", metavar="NAME", help=f"one of {names}; repeatable")
    libraries = "robustlib, torchattacks, foolbox or ART; repeatable"
    parser.add_argument("--library", action="append", metavar="NAME", help=libraries)
    parser.add_argument("--points", type=int, help="points of every work, in place of its own number")
    parser.add_argument("--rounds", type=int, help="rounds, in place of each work's own number; divides the points")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="keep the rows in its attacks.json and attacks.md")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or JSON with --json; progress goes to stderr."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(1)
    tune_allocator()
    exact_arithmetic()
    rows: list[dict[str, Any]] = []

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    try:
        chosen = options.work or [*WORKS, memory.NAME]
        for name in chosen:
            if name not in WORKS and name != memory.NAME:
                raise RobustlibError(suggest("work", name, [*WORKS, memory.NAME]))
        machine = report.machine()
        for name in chosen:
            say(f"== {name}")
            if name == memory.NAME:
                found = [dict.fromkeys(report.COLUMNS) | memory.row()]
            else:
                work = WORKS[name]
                at = setting(work.network, options.points or work.points)
                found = measure(work, at, rounds=options.rounds or work.rounds, libraries=options.library, say=say)
            rows += [row | machine for row in found]
            if options.out:
                report.keep(rows, options.out)
            if not options.json:
                print(report.table(found), flush=True)
    except RobustlibError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
