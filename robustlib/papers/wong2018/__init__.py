"""Provable defenses via the convex outer adversarial polytope (Wong and Kolter 2018)."""

from ...catalogue.base import Paper

PAPER = Paper(
    order=2,
    title="Provable defenses via the convex outer adversarial polytope (Wong and Kolter 2018)",
    chapter="notebooks/02_convex_polytope",
    idea="bound the worst case with a convex outer polytope, and train on the bound",
)
