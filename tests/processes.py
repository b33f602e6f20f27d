"""Real processes that begin at once: forked from a server that has imported the library."""

from __future__ import annotations

import multiprocessing
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext

import torch

from robustlib.cli import main

PRELOADED = ["distributed", "robustlib.commands", "robustlib.experiments.cluster", "tests.experiments.tiny"]


def forked() -> ForkServerContext:
    """Where processes come from; the server is started by the first to ask for it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    forkserver.ensure_running()
    return context


def command(arguments: list[str]) -> None:
    """Be a command line with one thread."""
    torch.set_num_threads(1)
    raise SystemExit(main(arguments))
