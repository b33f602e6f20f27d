"""The networks in ``weights/`` attacked by other people's code, on the points and with the steps of our records.

    python -m benchmarks.independent --out book      (with torchattacks and foolbox installed)

Every white-box FGSM and PGD record of at least 1,000 points is repeated with its eps, steps, length of step and kind
of start. A worst case is not repeated: PGD-40 is run on its points, to see whether it breaks one that the suite left
correct. The result is one bit a point, correct or broken; ``robustlib.book.independent`` makes the page.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from robustlib.attacks.suite import Fgsm, Pgd
from robustlib.data import load
from robustlib.environment import repository
from robustlib.errors import RobustlibError, suggest
from robustlib.evaluate.accuracy import Accuracy
from robustlib.evaluate.outcomes import CHUNK
from robustlib.evaluate.suite_accuracy import WorstCase
from robustlib.experiments.networks import Networks
from robustlib.experiments.runner import exact_arithmetic
from robustlib.experiments.store import Store, read_weights
from robustlib.spec.evaluation import Evaluation
from robustlib.spec.keys import parse
from robustlib.spec.records import Record, pack
from robustlib.threat import LinfBall

from . import peers

LIBRARIES = ("foolbox", "torchattacks")
FEWEST = 1_000
"""Points: smaller records sweep eps, and say less of each."""
SEED = 0
Row = dict[str, Any]


def repeated(evaluation: Evaluation) -> tuple[LinfBall, Fgsm | Pgd] | None:
    """The ball and the attack with which other libraries evaluate these points; None: left out."""
    what = evaluation.measurement
    ball = getattr(what, "threat", None)
    if not isinstance(ball, LinfBall) or ball.domain != (0.0, 1.0):  # both libraries keep to it
        return None
    if isinstance(what, WorstCase):
        # As Madry et al. attack MNIST: forty steps of a thirtieth of eps.
        return ball, Pgd(steps=40, step_size=ball.eps / 30)
    if not isinstance(what, Accuracy) or what.source is not None or (evaluation.subset.n or FEWEST) < FEWEST:
        return None
    attack = what.attack
    if isinstance(attack, Pgd):
        same = attack == Pgd(attack.steps, attack.step_size, random_start=attack.random_start)
        return (ball, attack) if same else None
    return (ball, attack) if isinstance(attack, Fgsm) and attack == Fgsm() else None


def attack_of(library: str, model: nn.Module, ball: LinfBall, attack: Fgsm | Pgd) -> tuple[str, peers.Attack]:
    """A library's name of the attack, and the attack itself."""
    make = getattr(peers, library)
    eps = {"epsilon" if library == "foolbox" else "eps": ball.eps}
    if isinstance(attack, Fgsm):
        name = "LinfFastGradientAttack" if library == "foolbox" else "FGSM"
        return name, make(model, name, **eps)
    name, length = ("LinfPGD", "abs_stepsize") if library == "foolbox" else ("PGD", "alpha")
    knobs = {length: attack.step_size, "steps": attack.steps, "random_start": attack.random_start}
    return name, make(model, name, **eps, **knobs)


def chosen(store: Store, weights: Path) -> Iterator[tuple[Record, Evaluation]]:
    """Records of committed networks that other libraries evaluate, in path order."""
    digests = {read_weights(path)[1]["digest"] for path in weights.glob("*.safetensors")}
    for record in store.records():
        if record.weights_digest in digests and repeated(evaluation := parse(record.evaluation)) is not None:
            yield record, evaluation


def measure(record: Record, evaluation: Evaluation, networks: Networks, library: str) -> Row:
    """One library on the points of one record.

    Raises:
        RobustlibError: it is not installed, or it left the ball.
    """
    found = repeated(evaluation)
    assert found is not None
    ball, attack = found
    model = networks.obtain(evaluation.subject)
    name, run = attack_of(library, model, ball, attack)
    split, rows = evaluation.subset.choose(load(evaluation.subject.dataset))
    torch.manual_seed(SEED)
    standing = []
    for part in rows.split(CHUNK):
        x, y = split.images(part), split.y[part]
        x_adv = run(x, y, y)
        if not bool(ball.contains(x_adv, x).all()):
            raise RobustlibError(f"{library}'s {name} left {ball} on {record.path}; nothing was kept")
        with torch.no_grad():
            standing.append(model(x_adv).argmax(1) == y)
    steps = (
        {}
        if isinstance(attack, Fgsm)
        else {"steps": attack.steps, "step_size": attack.step_size, "random_start": attack.random_start}
    )
    return {
        "record": record.path,
        "evaluation_key": record.evaluation_key,
        "weights": record.weights_digest,
        "library": library,
        "version": importlib.metadata.version(peers.VERSIONS[library]),
        "torch": torch.__version__,
        "attack": name,
        "eps": ball.eps,
        **steps,
        "standing": pack(torch.cat(standing).numpy()),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write ``independent.json``; progress goes to stderr."""
    about = (__doc__ or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.independent", description=about)
    parser.add_argument("--library", action="append", metavar="NAME", help=f"of {', '.join(LIBRARIES)}; repeatable")
    parser.add_argument("--out", type=Path, metavar="FOLDER", required=True, help="where independent.json goes")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    exact_arithmetic()
    weights = repository() / "weights"
    networks = Networks(torch.device("cpu"), weights, weights)
    try:
        libraries = options.library or LIBRARIES
        for library in libraries:
            if library not in LIBRARIES:
                raise RobustlibError(suggest("library", library, LIBRARIES))
        rows = []
        for record, evaluation in chosen(Store(repository()), weights):
            for library in libraries:
                print(f"{library} on {record.path}", file=sys.stderr, flush=True)
                rows.append(measure(record, evaluation, networks, library))
    except RobustlibError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    lines = ",\n".join(json.dumps(row, sort_keys=True) for row in rows)
    (options.out / "independent.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
