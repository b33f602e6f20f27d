"""Folders and switches from environment variables and the package's own place. Imports nothing heavy.

An empty or blank variable is an unset one, and ``~`` is the home folder.
"""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path

from .errors import RobustlibError

PACKAGE = Path(__file__).resolve().parent
ROOT, CACHE, DATA, OFFLINE = "ROBUSTLIB_ROOT", "ROBUSTLIB_CACHE", "ROBUSTLIB_DATA", "ROBUSTLIB_OFFLINE"
"""Variables: where records lie, where trained networks are kept, where data files lie, and no downloads."""
AUTHORS_WEIGHTS = "ROBUSTLIB_AUTHORS_WEIGHTS"
"""Variable: a folder with networks that papers' authors released."""
ARITHMETIC = "ROBUSTLIB_ARITHMETIC"
"""Variable: the precision and memory layout of searches and trainings, in place of a trial."""

DRAWINGS = "ROBUSTLIB_DRAWINGS"
"""Variable: figures of notebooks carry their SVG layouts, which the book shows."""


def folder(text: str | os.PathLike[str], name: str) -> Path:
    """A path as a person writes it, ``~`` expanded.

    Args:
        text: the path as given.
        name: of the argument or variable, for messages.

    Raises:
        RobustlibError: empty or blank, or the home folder of an unknown user.
    """
    given = os.fspath(text)
    if not given.strip():
        raise RobustlibError(f"{name}={given!r} is empty; give a folder")
    if given == "~" or given.startswith("~/"):
        return home() / given[2:]
    try:
        return Path(given).expanduser()
    except RuntimeError:
        raise RobustlibError(f"{name}={given!r}: no such user is known here; give the folder in full") from None


def variable(name: str) -> Path | None:
    """The folder that an environment variable names; None where it is unset, empty or blank."""
    given = os.environ.get(name, "")
    return folder(given, name) if given.strip() else None


def switched_on(name: str) -> bool:
    """True where an environment variable is set to something other than 0, false, no or off."""
    return os.environ.get(name, "").strip().lower() not in ("", "0", "false", "no", "off")


def home() -> Path:
    """The user's home folder: ``$HOME`` where it is a full path, else the one in the system's user database.

    Raises:
        RobustlibError: neither, as for a user without a name in a container.
    """
    if sys.platform == "win32":
        return Path.home()
    given = Path(os.environ.get("HOME", ""))
    if given.is_absolute():
        return given
    import pwd

    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        raise RobustlibError(
            f"this user has no home folder; set HOME, or {CACHE} and {DATA}, to a folder that can be written"
        ) from None


def user_cache() -> Path:
    """robustlib/ in the user's cache folder: ``$XDG_CACHE_HOME`` where it is a full path, else the system's custom."""
    given = variable("XDG_CACHE_HOME")
    if given is not None and given.is_absolute():
        return given / "robustlib"
    if sys.platform == "darwin":
        return home() / "Library" / "Caches" / "robustlib"
    if sys.platform == "win32":
        return (variable("LOCALAPPDATA") or home() / "AppData" / "Local") / "robustlib"
    return home() / ".cache" / "robustlib"


def cache_root() -> Path:
    """``$ROBUSTLIB_CACHE``, or robustlib/ in the user's cache folder."""
    return variable(CACHE) or user_cache()


def checkout() -> Path | None:
    """The checkout that the package lies in; None where it was installed."""
    try:
        project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
        return PACKAGE.parent if project["project"]["name"] == "robustlib" else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def repository() -> Path:
    """The checkout that the package lies in, for commands that need one.

    Raises:
        RobustlibError: the package was installed.
    """
    found = checkout()
    if found is None:
        raise RobustlibError(f"{PACKAGE} was installed, and this needs a checkout of the project; run it from there")
    return found


def records_root() -> Path:
    """The folder of ``results/`` and ``weights/``: ``$ROBUSTLIB_ROOT``, else the checkout, else the current folder.

    Raises:
        RobustlibError: it is no folder.
    """
    given = variable(ROOT)
    if given is not None and not given.is_dir():
        raise RobustlibError(f"{ROOT}={str(given)!r} is no folder; give the one that holds results/, or unset it")
    try:
        return given or checkout() or Path.cwd()
    except OSError:
        raise RobustlibError("the current folder is gone; change to one that exists, or give --root") from None


def root_is_guessed() -> bool:
    """True where :func:`records_root` falls back on the current folder, which a command should report."""
    return variable(ROOT) is None and checkout() is None
