"""Across the papers: what no single paper measures."""

from ...catalogue.base import Paper

PAPER = Paper(order=6, title="Across the papers (this book)", chapter="notebooks/06_comparison")
