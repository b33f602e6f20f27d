"""Tiny networks are fastest, and give the same bits everywhere, on one thread."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.experiments.tiny import Made, made, one_thread


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="session", name="made")
def _made() -> Made:
    """Records of every kind of evaluation; not to be written to."""
    return made()
