"""Parts of rows by free memory: the rule, where it reads the memory, and bounds that do not depend on it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from robustlib.certify import certify, memory
from robustlib.certify.certificate import examples_at_a_time
from robustlib.certify.trace import trace
from robustlib.threat import LinfBall
from tests.certify.networks import inputs, network

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("free", "dtype", "held"),
    [
        (None, torch.float32, memory.MOST),
        (2**50, torch.float32, memory.MOST),
        (0, torch.float32, 1),
        (memory.COPIES * 4_000, torch.float32, 1_000),
        (memory.COPIES * 4_000, torch.float64, 500),
    ],
)
def test_numbers_by_free_memory(
    free: int | None, dtype: torch.dtype, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: free)
    assert memory.elements(torch.zeros(1, dtype=dtype)) == held


@pytest.mark.parametrize(
    ("limit", "used", "free"), [("max", "5", 3072), ("2000", "500", 1500), ("9999", "1", 3072), ("10", "20", 0)]
)
def test_the_lesser_of_machine_and_container(
    limit: str, used: str, free: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 8 kB\nMemAvailable:       3 kB\nBuffers: 1 kB\n")
    (tmp_path / "memory.max").write_text(limit + "\n")
    (tmp_path / "memory.current").write_text(used + "\n")
    monkeypatch.setattr(memory, "_MACHINE", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    assert memory.free_bytes(CPU) == free


def test_where_nothing_is_said_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_MACHINE", tmp_path / "none")
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    assert memory.free_bytes(CPU) is None


def test_short_memory_gives_smaller_parts_and_the_same_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    model, (x, y) = network("residual"), inputs("residual", n=3)
    graph, whole = trace(model, x), certify(model, x, y, LinfBall(0.03))
    assert examples_at_a_time(graph, x, None) >= 3
    monkeypatch.setattr(memory, "free_bytes", lambda device: memory.COPIES * 8 * 1_000)
    assert examples_at_a_time(graph, x, None) == 1
    torch.testing.assert_close(certify(model, x, y, LinfBall(0.03)).margins, whole.margins)
