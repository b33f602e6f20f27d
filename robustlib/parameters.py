"""Names of profiles and devices that chapters and commands take. Imports nothing heavy, to report a mistake at once."""

from __future__ import annotations

from collections.abc import Mapping

from .errors import RobustlibError, suggest

NAMES = ("smoke", "quick", "level", "full")
"""Names of the profiles that can be run; :mod:`robustlib.experiments.profiles` describes each."""

BEST = "best"
"""No profile to run: for each cell the most faithful record there is."""

DEVICES = ("cpu", "cuda", "auto")
"""Kinds of devices; "auto" is the GPU where there is one."""


def check_device(name: str) -> None:
    """Raise RobustlibError unless a device is of a known kind, such as "cpu" or "cuda:1"."""
    if name.partition(":")[0] not in DEVICES:
        raise RobustlibError(suggest("device", name, DEVICES))


def check_values(given: Mapping[str, object]) -> None:
    """Refuse a ``profile``, ``device`` or ``recompute`` among the values that no chapter can do anything with.

    Raises:
        RobustlibError: naming the value and those allowed.
    """
    profile, recompute = given.get("profile", BEST), given.get("recompute", False)
    if profile not in (BEST, *NAMES):
        raise RobustlibError(suggest("profile", profile, (BEST, *NAMES)))
    check_device(str(given.get("device", "cpu")))
    if not isinstance(recompute, bool):
        raise RobustlibError(f"recompute={recompute!r} is neither True nor False; give one of them")
    if recompute and profile == BEST:
        raise RobustlibError(f"recompute=True needs one profile, such as quick: {BEST!r} only reads records")
