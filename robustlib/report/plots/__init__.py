"""Figures that any paper may draw."""
