"""Specifications of networks, measurements and evaluations, their keys, and records."""
