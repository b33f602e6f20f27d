"""Certificates: lower bounds on the margin over every point of a ball, from an ordinary nn.Module.

``certify(model, x, y, threat)`` proves; ``margins`` is the same bound with gradients, for training.
"""

from .certificate import Certificate, Layer, certify, margins
from .graph import SUPPORTED

__all__ = ["SUPPORTED", "Certificate", "Layer", "certify", "margins"]
