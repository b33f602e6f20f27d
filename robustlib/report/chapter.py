"""The head of every chapter: its parameters checked, its records at hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..environment import records_root
from ..errors import RobustlibError, suggest
from ..experiments import profiles
from ..experiments.runner import run
from ..experiments.store import Store
from ..papers import plan

PARAMETERS = ("profile", "device", "recompute")


def check_parameters(namespace: Mapping[str, object], known: Iterable[str] = PARAMETERS) -> None:
    """For a notebook's first cell: ``check_parameters(globals())`` refuses a mistyped papermill parameter.

    papermill sets what it does not know as one more variable and goes on. At the top of a notebook every
    plain variable is a parameter, hence one beyond the known names is a typing mistake.

    Raises:
        RobustlibError: naming the stray variable and the nearest known one.
    """
    known = set(known)
    for name, value in namespace.items():
        if not name.startswith("_") and isinstance(value, str | int | float) and name not in known:
            raise RobustlibError(suggest("notebook parameter", name, known))


def prepare(paper: str, profile: str, device: str, *, recompute: bool) -> Store:
    """The records that a chapter shows; with ``recompute``, after every job of its paper has been run again.

    Args:
        paper: such as "madry2018".
        profile: "smoke", "quick", "full", or "best", which only reads.
        device: "cpu", "cuda" or "auto".
        recompute: measure first.

    Raises:
        RobustlibError: ``recompute`` without one profile.
    """
    store = Store()
    if recompute:
        if profile == profiles.BEST:
            raise RobustlibError("recompute=True needs one profile, such as quick: 'best' only reads records")
        jobs = plan.jobs(plan.select([paper]), profile)
        run(jobs, profile=profile, store=store, device=device, cache=records_root() / "networks", recompute=True)
    return store
