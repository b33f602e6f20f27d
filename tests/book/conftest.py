"""The book, built once for all tests of its pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from robustlib.book import site as site_module


@pytest.fixture(scope="session")
def site(root: Path) -> Path:
    """The built pages; a site that stands there and was made from the same sources is taken as it is."""
    return site_module.build(root, reuse=True)
