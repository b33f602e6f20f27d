"""Distillation as a defense to adversarial perturbations (Papernot et al. 2016)."""

from ...catalogue.base import Paper

PAPER = Paper(
    order=1,
    title="Distillation as a defense to adversarial perturbations (Papernot et al. 2016)",
    chapter="notebooks/01_defensive_distillation",
    idea="train a second network on the softened outputs of a first",
)
