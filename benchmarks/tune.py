"""Carlini and Wagner's attack by the peers over a grid of step lengths and constants, on points of no comparison.

    python -m benchmarks.tune

The "tuned" contestants of :mod:`benchmarks.works` have the setting that breaks most points and, among those
within 5 % of it, has the smallest mean l_2 distance. Points come from the training set.
"""

from __future__ import annotations

import argparse
import itertools

import torch

from robustlib.data import balanced_subset, load
from robustlib.experiments.runner import tune_allocator

from .attacks import setting
from .peers import VERSIONS
from .works import carlini_wagner_peer

STEPS, CONSTANTS = (0.01, 0.1, 0.3, 1.0, 3.0), (1.0, 1e1, 1e3, 1e5, 1e7)


def main() -> None:
    """Print one line for each setting."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tune")
    parser.add_argument("--library", default="torchattacks", choices=tuple(VERSIONS))
    parser.add_argument("--network", default="PGD", choices=("PGD", "natural"))
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--steps", type=float, nargs="*", default=STEPS)
    parser.add_argument("--constants", type=float, nargs="*", default=CONSTANTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    tune_allocator()
    model, train = setting(options.network, 10).model, load("mnist").train
    rows = balanced_subset(train.y, options.points, seed=1)
    x, y = train.images(rows), train.y[rows]
    print("| step | constant | broken | mean l2 |\n|---|---|---|---|")
    for step, constant in itertools.product(options.steps, options.constants):
        torch.manual_seed(0)
        x_adv = carlini_wagner_peer(options.library, model, (step, constant))(x, y, y)
        with torch.no_grad():
            broken = (model(x_adv).argmax(1) != y) & (model(x).argmax(1) == y)
        distance = (x_adv - x).flatten(1).norm(dim=1)[broken].mean()
        print(f"| {step:g} | {constant:g} | {int(broken.sum())}/{len(y)} | {float(distance):.3f} |", flush=True)


if __name__ == "__main__":
    main()
