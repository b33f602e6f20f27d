"""What all tests share: the repository's folder, and property tests that repeat themselves."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[1]

# The same examples each time, without a limit per example: machines differ in speed.
hypothesis.settings.register_profile("robustlib", derandomize=True, deadline=None)
hypothesis.settings.load_profile("robustlib")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT
