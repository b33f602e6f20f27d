"""Scaling provable adversarial defenses (Wong et al. 2018)."""

from ...catalogue.base import Paper

PAPER = Paper(
    order=3,
    title="Scaling provable adversarial defenses (Wong et al. 2018)",
    chapter="notebooks/03_scaling_provable_defenses",
    idea="the same bound, for networks that are larger and deeper",
)
