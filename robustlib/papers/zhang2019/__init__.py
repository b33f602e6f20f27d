"""Theoretically principled trade-off between robustness and accuracy (Zhang et al. 2019)."""

from ...catalogue.base import Paper

PAPER = Paper(
    order=5,
    title="Theoretically principled trade-off between robustness and accuracy (Zhang et al. 2019)",
    chapter="notebooks/05_trades",
    idea="trade accuracy for robustness with a term of its own",
    curves=("zhang2019/table-4",),
)
