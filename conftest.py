"""For every pytest run, `pytest --nbval notebooks/` included: notebooks are checked as they were executed."""

from __future__ import annotations

import os
import subprocess

import pytest

TREE = pytest.StashKey[str | None]()


def tree_status(root: str) -> str | None:
    """`git status --porcelain`, or None outside a git checkout."""
    try:
        command = ["git", "-C", root, "status", "--porcelain"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TREE] = tree_status(str(config.rootpath))
    # Two processes agree to the last bit only where neither of them chooses its arithmetic by the clock.
    os.environ["ROBUSTLIB_ARITHMETIC"] = "usual"
    if config.getoption("nbval", default=False):
        root = str(config.rootpath)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        # Kernels inherit these: no progress bars on stderr, one thread for the digits of `make publish`.
        os.environ["TQDM_DISABLE"] = "1"
        os.environ["OMP_NUM_THREADS"] = "1"
        os.environ["MKL_NUM_THREADS"] = "1"


def pytest_collectstart(collector: pytest.Collector) -> None:
    # Publishing leaves stderr out of a notebook, so checking it must not miss it; SVG layouts are left out as PNG is.
    if hasattr(collector, "skip_compare"):
        collector.skip_compare = (*collector.skip_compare, "stderr", "application/vnd.robustlib.drawing+json")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Processes end together when what takes longest begins first, the built site, and short files come last, the
    # notebooks; whoever opens the site in a browser would only wait for it in between.
    def place(item: pytest.Item) -> int:
        late = {"test_site.py": 0, "test_from_nothing.py": 1, "test_site_browser.py": 3}
        return 4 if item.path.suffix == ".ipynb" else late.get(item.path.name, 2)

    items.sort(key=place)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Building and testing leave a clean tree clean: only now has all else run, in the other processes too."""
    before, now = session.config.stash[TREE], tree_status(str(session.config.rootpath))
    if before == "" and now and not hasattr(session.config, "workerinput"):
        print(f"\nFAILED the tracked tree was clean before the tests, and is not now:\n{now}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
