"""What tests of tables and pages share: costs without all estimates."""

from __future__ import annotations

import pytest


@pytest.fixture
def quick_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not run is estimated from all papers' networks, which takes long and is tested where it is made."""
    monkeypatch.setattr("robustlib.book.costs.estimates", lambda left, kind: dict.fromkeys(range(len(left)), 3600.0))
