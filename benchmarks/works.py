"""Works to compare: each with its contestants at one budget, and the settings that they get.

Every contestant is float32 unless its row says otherwise, in eval mode, on the same points and in the same
batches. Peers are handed the network as a user would: its parameters ask for gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from robustlib import attacks as ours
from robustlib.attacks import fgsm, pgd
from robustlib.evaluate import steering
from robustlib.threat import Ball, LinfBall

from . import peers
from .peers import Attack

BATCH = 100
"""Where the floor is within 3 % of its best for each image; every contestant gets it."""
THREAT = LinfBall(0.3)
FEATURES, PIXELS = 112, 784
SEED = 0


@dataclass(frozen=True)
class Work:
    """One comparison.

    Args:
        name: of its rows.
        steps: gradients of the floor for each point.
        contestants: from a network to its contestants; those of ours begin with "robustlib".
        threat: outside it an image counts as correct; None for minimum-norm attacks.
        norm: of ``mean_distance``: "linf", "l2" or "l0" (features changed).
        network: "PGD" (network A) or "natural".
        targeted: success is the target class.
        points, rounds: unless the command line says otherwise.
        limits: rounds that slow contestants take part in.
    """

    name: str
    steps: int
    contestants: Callable[[nn.Module], Mapping[str, Attack]]
    threat: Ball | None = THREAT
    norm: str = "linf"
    network: str = "PGD"
    targeted: bool = False
    points: int = 1000
    rounds: int = 10
    limits: Mapping[str, int] = field(default_factory=dict)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(SEED)


def _fgsm(model: nn.Module) -> Mapping[str, Attack]:
    return {
        "robustlib": lambda x, y, target: fgsm(model, x, y, THREAT),
        "torchattacks": peers.torchattacks(model, "FGSM", eps=0.3),
        "foolbox": peers.foolbox(model, "LinfFastGradientAttack", epsilon=0.3),
        "ART": peers.art(model, "FastGradientMethod", eps=0.3, batch_size=BATCH),
    }


def _pgd_ours(model: nn.Module, search: str, restarts: int = 1) -> Attack:
    generator = _generator()

    def run(x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        # The copy that steers is made inside the measured time.
        return pgd(
            model,
            x,
            y,
            THREAT,
            steps=40,
            step_size=0.01,
            restarts=restarts,
            generator=generator,
            surrogate=steering(model, search, x, passes=math.inf),
        )

    return run


def _pgd_peers(model: nn.Module) -> dict[str, Attack]:
    return {
        "torchattacks": peers.torchattacks(model, "PGD", eps=0.3, alpha=0.01, steps=40, random_start=True),
        "foolbox": peers.foolbox(model, "LinfPGD", epsilon=0.3, abs_stepsize=0.01, steps=40, random_start=True),
        "ART": peers.art(
            model,
            "ProjectedGradientDescentPyTorch",
            eps=0.3,
            eps_step=0.01,
            max_iter=40,
            num_random_init=1,
            batch_size=BATCH,
            verbose=False,
        ),
    }


def _pgd(model: nn.Module) -> Mapping[str, Attack]:
    return {
        "robustlib": _pgd_ours(model, "bfloat16"),
        "robustlib, float32": _pgd_ours(model, "float32"),
        **_pgd_peers(model),
    }


def _restarts(model: nn.Module) -> Mapping[str, Attack]:
    return {
        "robustlib": _pgd_ours(model, "bfloat16", restarts=20),
        "robustlib, float32": _pgd_ours(model, "float32", restarts=20),
        **{name: peers.restarted(attack, model, 20) for name, attack in _pgd_peers(model).items()},
    }


def _mi_fgsm(model: nn.Module) -> Mapping[str, Attack]:
    def mine(search: str) -> Attack:
        return lambda x, y, target: ours.mi_fgsm(
            model,
            x,
            y,
            THREAT,
            steps=20,
            step_size=0.015,
            decay=1.0,
            surrogate=steering(model, search, x, passes=math.inf),
        )

    return {
        "robustlib": mine("bfloat16"),
        "robustlib, float32": mine("float32"),
        "torchattacks": peers.torchattacks(model, "MIFGSM", eps=0.3, alpha=0.015, steps=20, decay=1.0),
        "foolbox": peers.foolbox(
            model, "LinfMomentumIterativeFastGradientMethod", epsilon=0.3, abs_stepsize=0.015, steps=20, momentum=1.0
        ),
        "ART": peers.art(
            model,
            "MomentumIterativeMethod",
            eps=0.3,
            eps_step=0.015,
            max_iter=20,
            decay=1.0,
            batch_size=BATCH,
            verbose=False,
        ),
    }


def _apgd(model: nn.Module) -> Mapping[str, Attack]:
    def mine(search: str) -> Attack:
        generator = _generator()
        return lambda x, y, target: ours.apgd(
            model, x, y, THREAT, steps=40, generator=generator, surrogate=steering(model, search, x, passes=math.inf)
        )

    return {
        "robustlib": mine("bfloat16"),
        "robustlib, float32": mine("float32"),
        "torchattacks": peers.torchattacks(model, "APGD", eps=0.3, steps=40, n_restarts=1, loss="ce"),
        "ART": peers.art(
            model,
            "AutoProjectedGradientDescent",
            eps=0.3,
            eps_step=0.1,
            max_iter=40,
            nb_random_init=1,
            loss_type="cross_entropy",
            batch_size=BATCH,
            verbose=False,
        ),
    }


# (step length, constant) by benchmarks.tune, on points of the training set.
TUNED = {
    "PGD": {"torchattacks": (1.0, 1e3), "foolbox": (0.3, 1e7), "ART": (0.1, 1e3)},
    "natural": {"torchattacks": (0.1, 10.0), "foolbox": (0.3, 1.0), "ART": (0.01, 10.0)},
}


def carlini_wagner_peer(library: str, model: nn.Module, tuned: tuple[float, float] | None = None) -> Attack:
    """A peer's C&W l_2 attack with 40 gradient steps: its own defaults, or that step length and constant."""
    names = {"torchattacks": ("lr", "c"), "foolbox": ("stepsize", "initial_const")}
    chosen: dict[str, Any] = {}
    if tuned is not None:
        chosen = dict(zip(names.get(library, ("learning_rate", "initial_const")), tuned, strict=True))
    if library == "torchattacks":
        return peers.torchattacks(model, "CW", steps=40, **chosen)
    if library == "foolbox":
        # Tuned, it takes all of its steps.
        early = tuned is None
        return peers.foolbox(
            model, "L2CarliniWagnerAttack", steps=40, binary_search_steps=1, abort_early=early, **chosen
        )
    return peers.art(
        model, "CarliniL2Method", max_iter=40, binary_search_steps=1, batch_size=BATCH, verbose=False, **chosen
    )


def _carlini_wagner(network: str, model: nn.Module) -> Mapping[str, Attack]:
    contestants: dict[str, Attack] = {
        "robustlib": lambda x, y, target: ours.carlini_wagner(model, x, y, steps=40, binary_steps=1)
    }
    for library, tuned in TUNED[network].items():
        contestants[library] = carlini_wagner_peer(library, model)
        contestants[f"{library}, tuned"] = carlini_wagner_peer(library, model, tuned)
    return contestants


def _deepfool(model: nn.Module) -> Mapping[str, Attack]:
    return {
        "robustlib": lambda x, y, target: ours.deepfool(model, x, y, steps=50, overshoot=0.02),
        "torchattacks": peers.torchattacks(model, "DeepFool", steps=50, overshoot=0.02),
        "foolbox": peers.foolbox(model, "L2DeepFoolAttack", steps=50, overshoot=0.02),
        "ART": peers.art(model, "DeepFool", max_iter=50, epsilon=0.02, batch_size=BATCH, verbose=False),
    }


def _jsma(model: nn.Module) -> Mapping[str, Attack]:
    return {
        "robustlib": lambda x, y, target: ours.jsma(
            model, x, y, target=target, features=FEATURES, fill=1.0, outputs="logits"
        ),
        "torchattacks": peers.torchattacks(model, "JSMA", targeted=True, theta=1.0, gamma=FEATURES / PIXELS),
        # It goes on while the share is at most gamma: half a pair less, or it would change 114 features.
        "ART (not the paper's rule)": peers.art(
            model,
            "SaliencyMapMethod",
            targeted=True,
            theta=1.0,
            gamma=(FEATURES - 1) / PIXELS,
            batch_size=BATCH,
            verbose=False,
        ),
    }


SLOW = {"ART": 1, "ART, tuned": 1}
"""Its line search runs the network some 15 times as often: one round of it takes longer than all the others."""
WORKS = {
    work.name: work
    for work in (
        Work("FGSM", 1, _fgsm),
        Work("PGD-40", 40, _pgd),
        Work("PGD-40 x 20 restarts", 800, _restarts, points=200, rounds=4),
        Work("MI-FGSM-20", 20, _mi_fgsm),
        Work("APGD-40", 40, _apgd),
        Work("C&W l2, 40 steps", 40, partial(_carlini_wagner, "PGD"), None, "l2", limits=SLOW),
        Work(
            "C&W l2, 40 steps, natural network",
            40,
            partial(_carlini_wagner, "natural"),
            None,
            "l2",
            "natural",
            points=500,
            rounds=5,
            limits=SLOW,
        ),
        Work("DeepFool l2", 50, _deepfool, None, "l2", points=500, rounds=5, limits={"torchattacks": 2, "ART": 2}),
        Work("JSMA", FEATURES // 2, _jsma, None, "l0", targeted=True, points=50, rounds=5),
        Work("JSMA, natural network", FEATURES // 2, _jsma, None, "l0", "natural", True, points=50, rounds=5),
    )
}
"""By name, in the table's order."""
