"""Attacks: ``attack(model, x, y, threat, *, knobs, generator) -> adversarial x``, one file per family.

Minimum-norm attacks take a ``norm`` and a ``domain`` in the threat's place. Every attack checks its inputs,
needs the model in eval mode and leaves it exactly as it found it. Each module also defines the attack's description,
with which :mod:`robustlib.attacks.suite` runs it and keys name it.
"""

import importlib
import pkgutil

from .apgd import apgd
from .autoattack import auto_attack
from .boundary import boundary
from .carlini_wagner import carlini_wagner
from .deepfool import deepfool
from .fab import fab
from .fgsm import fgsm
from .jsma import jsma
from .lbfgs import lbfgs
from .losses import cross_entropy, dlr, margin_loss
from .momentum import mi_fgsm
from .noise import uniform_noise
from .pgd import pgd, pgd_trace
from .square import square

__all__ = [
    "apgd",
    "auto_attack",
    "boundary",
    "carlini_wagner",
    "cross_entropy",
    "deepfool",
    "dlr",
    "fab",
    "fgsm",
    "jsma",
    "lbfgs",
    "margin_loss",
    "mi_fgsm",
    "pgd",
    "pgd_trace",
    "square",
    "uniform_noise",
]

for _found in pkgutil.iter_modules(__path__):
    # A description is known to keys and records as soon as its module is loaded.
    importlib.import_module(f"{__name__}.{_found.name}")
