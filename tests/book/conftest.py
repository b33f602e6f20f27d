"""The book, built once for all tests of its pages."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from robustlib.report import site as site_module


@pytest.fixture(scope="session")
def generator() -> str:
    """The module that writes the generated pages."""
    found = importlib.util.find_spec(site_module.GENERATOR)
    return site_module.GENERATOR if found else "tests.book.fixtures.generator"


@pytest.fixture(scope="session")
def site(root: Path, generator: str) -> Path:
    """The built pages; a site that stands there and was made from the same sources is taken as it is."""
    return site_module.build(root, reuse=True, generator=generator)
