"""First cells of a chapter: check its parameters, get its records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..catalogue import plan
from ..environment import records_root
from ..errors import RobustlibError, suggest
from ..experiments.provenance import resolve_device
from ..experiments.runner import run
from ..experiments.store import Store
from ..parameters import check_values

PARAMETERS = ("profile", "device", "recompute")


def check_parameters(namespace: Mapping[str, object], known: Iterable[str] = PARAMETERS) -> None:
    """Refuse a mistyped papermill parameter or value; a notebook's first cell calls ``check_parameters(globals())``.

    papermill sets an unknown name as one more variable and goes on. At the top of a notebook every
    plain variable is a parameter, hence one beyond the known names is a typing mistake.

    Raises:
        RobustlibError: naming the stray variable and the nearest known one, or the value and those allowed.
    """
    known = set(known)
    for name, value in namespace.items():
        if not name.startswith("_") and isinstance(value, str | int | float) and name not in known:
            raise RobustlibError(suggest("notebook parameter", name, known))
    check_values(namespace)
    resolve_device(str(namespace.get("device", "cpu")))


def prepare(paper: str, profile: str, device: str, *, recompute: bool) -> Store:
    """The records that a chapter shows; with ``recompute``, after every job of its paper has been run again.

    Args:
        paper: such as "madry2018".
        profile: "smoke", "quick", "level", "full", or "best", which only reads.
        device: "cpu", "cuda" or "auto".
        recompute: measure first.

    Raises:
        RobustlibError: as :func:`~robustlib.parameters.check_values`.
    """
    check_values({"profile": profile, "device": device, "recompute": recompute})
    store = Store()
    if recompute:
        jobs = plan.jobs(plan.select([paper]), profile)
        run(jobs, profile=profile, store=store, device=device, cache=records_root() / "networks", recompute=True)
    return store
