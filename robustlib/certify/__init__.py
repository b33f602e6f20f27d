"""Certificates: lower bounds on the margin over every point of a ball, from an ordinary nn.Module.

``certify(model, x, y, threat)`` proves; ``margins`` is the same bound with gradients, for training. ``estimate`` and
``estimated_margins`` put random projections in place of hidden bounds, and prove nothing.
"""

from .cascade import Answer, Cascade, Judgement, uncertified, undermine
from .certificate import Certificate, Layer, certify, margins
from .exact import Decision, decide, optimum
from .polygon import outer_polygon
from .projection import ESTIMATORS, Estimate, estimate, estimated_margins
from .radius import detect, largest_certified_radius
from .rules import SUPPORTED

__all__ = [
    "ESTIMATORS", "SUPPORTED", "Answer", "Cascade", "Certificate", "Decision", "Estimate", "Judgement", "Layer",
    "certify", "decide", "detect", "estimate", "estimated_margins", "largest_certified_radius", "margins", "optimum",
    "outer_polygon", "uncertified", "undermine",
]  # fmt: skip
