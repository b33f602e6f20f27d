"""Tiny datasets in place of the official ones, and no way out to the network."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robustlib.data import loading
from robustlib.data.checks import Array, sha256_of
from robustlib.data.registry import REGISTRY, Facts


@pytest.fixture(autouse=True)
def only_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections leave this machine in no test; nothing is remembered from one test to the next."""
    connect = socket.socket.connect

    def local(self: socket.socket, address: Any) -> None:
        assert address[0] == "127.0.0.1", f"a test tried to reach {address}"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local)
    monkeypatch.setattr(loading, "_loaded", {})
    monkeypatch.delenv("ROBUSTLIB_OFFLINE", raising=False)


def tiny_arrays(facts: Facts, n_train: int = 30, n_test: int = 20) -> dict[str, Array]:
    generator = np.random.default_rng(0)
    arrays: dict[str, Array] = {}
    for split, n in (("train", n_train), ("test", n_test)):
        if facts.dtype == "uint8":
            x: Array = generator.integers(0, 256, (n, *facts.shape), dtype=np.uint8)
        else:
            x = generator.uniform(-1, 1, (n, *facts.shape)).astype(facts.dtype)
        arrays[f"x_{split}"] = x
        arrays[f"y_{split}"] = (np.arange(n) % len(facts.classes)).astype(np.uint8)
        if facts.groups:
            arrays[f"subject_{split}"] = (1 + np.arange(n) % 3).astype(np.uint8)
    return arrays


Tiny = Callable[..., tuple[Facts, dict[str, Array]]]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """``tiny("mnist", **changes)`` puts 30 + 20 rows under that name; returns their facts and arrays."""

    def register(name: str, **changes: Any) -> tuple[Facts, dict[str, Array]]:
        facts = dataclasses.replace(REGISTRY[name], n_train=30, n_test=20, mirror={}, tolerance="", **changes)
        arrays = tiny_arrays(facts)
        if "digests" not in changes and facts.digests:
            facts = dataclasses.replace(facts, digests={key: sha256_of(a) for key, a in arrays.items()})
        monkeypatch.setitem(REGISTRY, name, facts)
        return facts, arrays

    return register


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that ROBUSTLIB_DATA names."""
    empty = tmp_path / "data"
    empty.mkdir()
    monkeypatch.setenv("ROBUSTLIB_DATA", str(empty))
    return empty
