"""The book, built once for all tests of its pages, and a browser to look at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from robustlib.book import site as site_module
from robustlib.files import lock
from tests.book.browser import Browser, executable


@pytest.fixture(scope="session")
def site(root: Path) -> Path:
    """The built pages, from the notebooks as they are published: nbval shows that executing them gives the same.

    A site that stands there and was made from the same sources is taken as it is; of several processes one builds.
    """
    with lock(root / "_build" / ".site.lock"):
        return site_module.build(root, reuse=True, committed=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    path = executable()
    if path is None:
        pytest.skip("no Chromium on this machine")
    with Browser(path) as opened:
        yield opened
