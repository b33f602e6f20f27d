"""Attacks: ``attack(model, x, y, threat, *, knobs, generator) -> adversarial x``, one file per family.

Every attack checks its inputs, needs the model in eval mode and leaves it exactly as it found it.
"""

from .boundary import boundary
from .fgsm import fgsm
from .losses import cross_entropy, margin_loss
from .noise import uniform_noise
from .pgd import pgd, pgd_trace

__all__ = ["boundary", "cross_entropy", "fgsm", "margin_loss", "pgd", "pgd_trace", "uniform_noise"]
