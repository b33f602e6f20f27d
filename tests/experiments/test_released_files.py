"""Files that papers' authors released, where they are at hand: each fills its network, and gives its records again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from robustlib.catalogue import plan
from robustlib.data import data_root
from robustlib.environment import AUTHORS_WEIGHTS
from robustlib.experiments import checkpoints
from robustlib.experiments.networks import Networks
from robustlib.experiments.runner import verify
from robustlib.experiments.store import Store
from robustlib.models.released import checkpoint
from robustlib.models.released import checkpoints as registered
from robustlib.spec.network import authors_network


@pytest.mark.parametrize("name", list(registered()))
def test_a_real_file_fills_its_architecture(name: str, tmp_path: Path) -> None:
    known = checkpoint(name)
    if checkpoints.locate(known.file) is None:
        pytest.skip(f"needs {known.file}: set {AUTHORS_WEIGHTS} to a folder that holds it")
    for number in range(1, known.stages + 1):
        model = Networks(torch.device("cpu"), tmp_path, None).obtain(authors_network(name, number))
        assert all(bool(value.isfinite().all()) for value in model.state_dict().values())


def test_a_committed_record_is_measured_again_from_a_real_file(committed: Store, tmp_path: Path) -> None:
    if checkpoints.locate(checkpoint("polytope_har").file) is None or not (data_root() / "har.npz").exists():
        pytest.skip(f"needs polytope_har.pth and HAR: set {AUTHORS_WEIGHTS} and ROBUSTLIB_DATA")
    cells = [cell for cell in plan.cells_of("wong2018/table-1/har") if cell.released and cell.column.isupper()]
    for cell in cells:
        (full,) = cell.released
        record = committed.find(full, "full")
        assert record is not None
        if "PGD" not in cell.column:
            old, new = verify(full, record, device="cpu", folder=tmp_path)
            assert new == pytest.approx(old, abs=1e-3)
