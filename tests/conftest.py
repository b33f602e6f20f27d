"""What all tests share: the repository's folder, and property tests that repeat themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from robustlib.experiments.store import Store
    from tests.experiments.tiny import Made

ROOT = Path(__file__).resolve().parents[1]

# The same examples each time, without a limit per example: machines differ in speed.
hypothesis.settings.register_profile("robustlib", derandomize=True, deadline=None)
hypothesis.settings.load_profile("robustlib")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def committed(root: Path) -> Store:
    """The committed records, read once for all tests, which only look at them."""
    from robustlib.experiments.store import Store

    return Store(root)


@pytest.fixture(scope="session", name="made")
def _made() -> Made:
    """Records of every kind of evaluation; not to be written to."""
    from tests.experiments.tiny import made

    return made()
