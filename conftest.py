"""For every pytest run, `pytest --nbval notebooks/` included: notebooks are checked as they were executed."""

from __future__ import annotations

import os

import pytest


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("nbval", default=False):
        # Kernels inherit these: no progress bars on stderr, one thread for the digits of `make publish`.
        os.environ["TQDM_DISABLE"] = "1"
        os.environ["OMP_NUM_THREADS"] = "1"
        os.environ["MKL_NUM_THREADS"] = "1"
