"""Comparison across the papers: one network under every defence, slides claim by claim, and how the claims aged."""

from ...catalogue.base import Paper

PAPER = Paper(order=6, title="Across the papers (this book)", chapter="notebooks/06_comparison")
