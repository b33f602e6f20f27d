"""Results that an evaluation keeps part by part, so that a long one goes on where it was stopped.

Its points are visited in chunks whose random choices depend on nothing but their place: one that is done need not be
done again, whichever machine goes on.
"""

from __future__ import annotations

import contextlib
import contextvars
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ..files import write_atomically
from ..interrupt import Stopped

UNSAVED_SECONDS = 20.0
"""Work in memory alone, at most, beside the chunk in hand. An evaluation that takes less writes no file."""

_kept: contextvars.ContextVar[Kept | None] = contextvars.ContextVar("kept", default=None)


class Kept:
    """What is done of one evaluation, in memory and in a file beside the networks.

    Args:
        path: the file; results of another ``subject`` in it are not used.
        subject: what they are results of: keys and digests.
        stop: asked before every chunk.
        slot: facts about the present run, for the record: device, commit, seconds.

    Attributes:
        slots: facts about the runs before this one.
    """

    def __init__(
        self, path: Path, subject: Mapping[str, str], *, stop: Callable[[], bool], slot: Callable[[], dict[str, Any]]
    ) -> None:
        self.path, self.subject, self.stop, self.slot = path, dict(subject), stop, slot
        self.slots, self._done = read(path, self.subject)
        self._new, self._saved = 0, time.monotonic()

    def of(self, name: str, work: Callable[[], np.ndarray]) -> np.ndarray:
        """The result of that name, made by ``work`` where it is not here.

        Raises:
            Stopped: the run is to end; what is done is in the file.
        """
        if name not in self._done:
            if self.stop():
                self.save()
                raise Stopped(f"{self.path.stem} stopped after {len(self._done)} parts")
            self._done[name] = np.ascontiguousarray(work())
            self._new += 1
            if time.monotonic() - self._saved > UNSAVED_SECONDS:
                self.save()
        return self._done[name]

    def save(self) -> None:
        """Write the file, if there is anything new."""
        if self._new:
            slots = json.dumps([*self.slots, self.slot()])
            write_atomically(self.path, save(self._done, {**self.subject, "slots": slots}))
            self._new = 0
        self._saved = time.monotonic()

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Have :func:`keep` in the block use this."""
        token = _kept.set(self)
        try:
            yield
        finally:
            _kept.reset(token)


def read(path: Path, subject: Mapping[str, str] | None = None) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """(slots, results) of a file; empty where it is missing, damaged, or about another subject than the one given."""
    try:
        content = path.read_bytes()
        size = int.from_bytes(content[:8], "little")
        known = json.loads(content[8 : 8 + size])["__metadata__"]
        slots, results = json.loads(known.pop("slots")), load(content)
    except (OSError, ValueError, KeyError, SafetensorError):
        return [], {}
    return (slots, results) if subject in (None, known) else ([], {})


def keep(work: Callable[[], np.ndarray], *named: object) -> np.ndarray:
    """work(), or its result where the evaluation around this call has kept it under what it is ``named``.

    Args:
        work: makes the result, an array; what it depends on is in its name.
        named: whatever tells it from the evaluation's other parts; of arrays every value counts.

    Raises:
        Stopped: the run is to end.
    """
    kept = _kept.get()
    if kept is None:
        return work()
    digest = hashlib.sha256()
    for part in named:
        digest.update((part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode()) + b"\0")
    return kept.of(digest.hexdigest()[:16], work)
