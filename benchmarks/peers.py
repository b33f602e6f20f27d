"""Other libraries' attacks behind one call: ``attack(x, y, target) -> adversarial x``, torch tensors in and out.

Libraries are imported when one of their attacks is made, so that the benchmark's own tests need none. Each
attack gets a copy of the network for itself, since some leave gradients on its parameters.
"""

from __future__ import annotations

import copy
import importlib
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from robustlib.errors import RobustlibError

Attack = Callable[[Tensor, Tensor, Tensor], Tensor]
VERSIONS = {"torchattacks": "torchattacks", "foolbox": "foolbox", "ART": "adversarial-robustness-toolbox"}
"""Library to its distribution."""


def _library(name: str) -> ModuleType:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ImportError as error:
        raise RobustlibError(
            f"{name} is not installed here ({error}); run make bench, or leave it out with --library robustlib"
        ) from error


def torchattacks(model: nn.Module, name: str, *, targeted: bool = False, own: bool = True, **settings: Any) -> Attack:
    """An attack of torchattacks, on its own copy of the network or on the model itself; aimed at ``target`` or not."""
    attack = getattr(_library("torchattacks"), name)(copy.deepcopy(model) if own else model, **settings)
    if targeted:
        attack.set_mode_targeted_by_label(quiet=True)
    return lambda x, y, target: attack(x, target if targeted else y).detach()


def foolbox(model: nn.Module, name: str, *, epsilon: float | None = None, **settings: Any) -> Attack:
    """An attack of foolbox, through ``run``: a plain call would add a forward pass for its own verdict."""
    library = _library("foolbox")
    attack = getattr(library.attacks, name)(**settings)
    network = library.PyTorchModel(copy.deepcopy(model), bounds=(0, 1), device="cpu")
    budget = {} if epsilon is None else {"epsilon": epsilon}

    def run(x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        x_adv: Tensor = attack.run(network, x, library.criteria.Misclassification(y), **budget)
        # Minimum-norm attacks answer with a black image where they found nothing: that is no success.
        black = (x_adv == 0).flatten(1).all(1) & ~(x == 0).flatten(1).all(1)
        return torch.where(black.view(-1, *[1] * (x.dim() - 1)), x, x_adv)

    return run


def art(model: nn.Module, name: str, *, targeted: bool = False, **settings: Any) -> Attack:
    """An attack of ART, which takes and returns numpy arrays; a targeted one is aimed at ``target``."""
    evasion = _library("art.attacks.evasion")
    estimators = _library("art.estimators.classification")
    shape = getattr(model, "input_shape", (1, 28, 28))
    classifier = estimators.PyTorchClassifier(
        copy.deepcopy(model),
        loss=nn.CrossEntropyLoss(),
        input_shape=shape,
        nb_classes=10,
        clip_values=(0.0, 1.0),
        device_type="cpu",
    )
    attack = getattr(evasion, name)(classifier, **settings)
    return lambda x, y, target: torch.from_numpy(attack.generate(x.numpy(), y=(target if targeted else y).numpy()))


def restarted(attack: Attack, model: nn.Module, restarts: int) -> Attack:
    """The best of several calls, as a user writes it: each later one only on the points that remain correct."""

    def run(x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        best, standing = x.clone(), torch.arange(len(x))
        for _ in range(restarts):
            x_adv = attack(x[standing], y[standing], target[standing])
            best[standing] = x_adv
            with torch.no_grad():
                standing = standing[model(x_adv).argmax(1) == y[standing]]
            if len(standing) == 0:
                break
        return best

    return run


def published_trades(
    model: nn.Module, x: Tensor, y: Tensor, *, eps: float, alpha: float, steps: int, beta: float = 6.0
) -> Tensor:
    """The loss of a TRADES update with the work that yaodongyu/TRADES does for it, in this book's words.

    Nothing is computed once that is computed again there: the clean answer at each step (with its graph, and its
    gradients, which nothing uses) and twice in the loss; parameters are not frozen.
    """
    divergence = nn.KLDivLoss(reduction="sum")
    model.eval()
    moved = x.detach() + 0.001 * torch.randn(x.shape)
    for _ in range(steps):
        moved.requires_grad_()
        with torch.enable_grad():
            loss = divergence(model(moved).log_softmax(1), model(x).softmax(1))
        (gradient,) = torch.autograd.grad(loss, [moved])
        moved = moved.detach() + alpha * gradient.detach().sign()
        moved = torch.clamp(torch.min(torch.max(moved, x - eps), x + eps), 0.0, 1.0)
    model.train()
    moved = torch.clamp(moved, 0.0, 1.0)
    natural = nn.functional.cross_entropy(model(x), y)
    return natural + beta / len(x) * divergence(model(moved).log_softmax(1), model(x).softmax(1))


def published_pgd(model: nn.Module, x: Tensor, y: Tensor, *, eps: float, alpha: float, steps: int) -> Tensor:
    """The loss of a PGD update, its examples made with the work of the same repository's PGD: a full ``backward()``."""
    model.eval()
    moved = torch.clamp(x + torch.empty_like(x).uniform_(-eps, eps), 0.0, 1.0)
    for _ in range(steps):
        moved = moved.detach().requires_grad_()
        with torch.enable_grad():
            loss = nn.functional.cross_entropy(model(moved), y)
        loss.backward()
        assert moved.grad is not None
        moved = moved.detach() + alpha * moved.grad.sign()
        moved = torch.clamp(x + torch.clamp(moved - x, -eps, eps), 0.0, 1.0)
    model.train()
    model.zero_grad(set_to_none=True)
    return nn.functional.cross_entropy(model(moved), y)
