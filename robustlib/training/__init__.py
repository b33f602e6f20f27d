"""One training loop, one short objective per defence."""

from .defences import Defence, FgsmTraining, PgdTraining, Standard, objective
from .loop import Fit, TrainingDiverged, fit
from .precision import low_precision_copy
from .schedule import Schedule

__all__ = [
    "Defence",
    "FgsmTraining",
    "Fit",
    "PgdTraining",
    "Schedule",
    "Standard",
    "TrainingDiverged",
    "fit",
    "low_precision_copy",
    "objective",
]
