"""One training loop, one short objective per defence."""

import importlib
import pkgutil

from .certified import Certified
from .defence import Defence
from .defences import FgsmTraining, PgdTraining, Standard, objective
from .distillation import Distillation, WeakTeacher, soft_labels
from .loop import Fit, TrainingDiverged, fit
from .precision import SteeringCopy
from .schedule import Schedule
from .trades import BinaryTrades, LogitPairing, Trades

__all__ = [
    "BinaryTrades",
    "Certified",
    "Defence",
    "Distillation",
    "FgsmTraining",
    "Fit",
    "LogitPairing",
    "PgdTraining",
    "Schedule",
    "Standard",
    "SteeringCopy",
    "Trades",
    "TrainingDiverged",
    "WeakTeacher",
    "fit",
    "objective",
    "soft_labels",
]

for _found in pkgutil.iter_modules(__path__):
    # A defence is known to keys and records as soon as its module is loaded.
    importlib.import_module(f"{__name__}.{_found.name}")
