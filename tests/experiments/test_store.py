"""The record store and the weight files: duplicates, misplaced and broken files, fp16, hostile content."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from robustlib.data import load
from robustlib.environment import cache_root, repository
from robustlib.errors import RobustlibError
from robustlib.evaluate import outcomes_under
from robustlib.experiments.networks import Networks
from robustlib.experiments.store import Store, half_precision, load_weights, save_weights, weights_digest, weights_path
from robustlib.spec.keys import key
from robustlib.spec.records import dumps, loads
from tests.experiments.tiny import CLEAN, EVERY, FGSM, NETWORK, OTHER, PGD, Made, execute, fabricate, file

CPU = torch.device("cpu")


@pytest.fixture
def copy(made: Made, tmp_path: Path) -> Path:
    """A folder with all records and networks, to be damaged."""
    return Path(shutil.copytree(made.folder, tmp_path / "copy"))


# Records ------------------------------------------------------------------------------------------------------


def test_records_are_found_by_profile_and_key(made: Made) -> None:
    store = Store(made.folder)
    assert store.faults == {}
    assert len(store.records()) == len(store.records("smoke")) == len(EVERY)
    assert store.records("full") == []
    assert [r.path for r in store.records()] == sorted(r.path for r in store.records())
    for evaluation in EVERY:
        record = store.find(evaluation, "smoke")
        assert record is not None
        assert made.folder / record.path == store.path_of(evaluation, "smoke")
        assert record.path.startswith(f"results/smoke/{evaluation.subject.name}/{evaluation.name}-")
        assert store.find(evaluation, "full") is None
        assert store.reread(evaluation, "smoke") == record
    assert store.reread(CLEAN, "full") is None


def test_an_empty_folder_is_an_empty_store(tmp_path: Path) -> None:
    assert Store(tmp_path).records() == []


def test_a_second_file_of_one_evaluation_is_a_fault(copy: Path) -> None:
    path = Store(copy).path_of(CLEAN, "smoke")
    second = path.with_name(f"zz-{key(CLEAN)[:8]}.json")
    shutil.copy(path, second)
    store = Store(copy)
    assert list(store.faults) == [second]
    assert f"{second.name} repeats the evaluation of results/smoke/" in store.faults[second]
    assert store.find(CLEAN, "smoke") is not None


def test_a_record_in_another_profiles_folder_is_a_fault(copy: Path) -> None:
    path = Store(copy).path_of(CLEAN, "smoke")
    moved = copy / "results" / "full" / path.parent.name / path.name
    moved.parent.mkdir(parents=True)
    path.rename(moved)
    store = Store(copy)
    assert "says profile 'smoke' but lies in full/" in store.faults[moved]
    assert store.find(CLEAN, "full") is store.find(CLEAN, "smoke") is None


def test_a_copy_over_another_name_does_not_push_the_right_record_out(copy: Path) -> None:
    path, over = (Store(copy).path_of(evaluation, "smoke") for evaluation in (PGD, FGSM))
    assert over.name < path.name
    shutil.copy(path, over)
    store = Store(copy)
    assert store.faults == {over: f"{over.relative_to(copy)} holds evaluation {key(PGD)}; rename or delete it"}
    assert store.find(PGD, "smoke") is not None
    store.set_aside_faults()
    assert [record.evaluation_key for record in execute(copy, *EVERY).written] == [key(FGSM)]


def test_another_evaluations_record_is_not_taken_for_this_one(copy: Path) -> None:
    store = Store(copy)
    shutil.copy(store.path_of(CLEAN, "smoke"), store.path_of(FGSM, "smoke"))
    with pytest.raises(RobustlibError, match=f"is the record of another evaluation .{key(CLEAN)}"):
        store.reread(FGSM, "smoke")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"schema": 2}'])
def test_a_broken_record_is_set_aside_and_measured_again(
    content: bytes, copy: Path, made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Store(copy).path_of(FGSM, "smoke")
    path.write_bytes(content)
    store = Store(copy)
    assert list(store.faults) == [path]
    store.set_aside_faults()
    assert "set aside: results/smoke/" in capsys.readouterr().out
    assert store.faults == {}
    assert path.with_suffix(".json.bad").read_bytes() == content
    assert not path.exists()
    summary = execute(copy, *EVERY)
    assert [record.evaluation_key for record in summary.written] == [key(FGSM)]
    assert summary.present == len(EVERY) - 1
    assert summary.written[0].outcomes == made.record(FGSM).outcomes


def test_setting_aside_what_another_run_set_aside_is_no_error(copy: Path) -> None:
    path = Store(copy).path_of(FGSM, "smoke")
    path.write_bytes(b"")
    first, second = Store(copy), Store(copy)
    first.set_aside_faults()
    second.set_aside_faults()
    assert path.with_suffix(".json.bad").exists()


def test_writing_replaces_and_returns_what_was_filed(tmp_path: Path) -> None:
    file(tmp_path, PGD, correct=0.5)
    record = file(tmp_path, PGD, correct=0.75)
    assert record.path.startswith("results/full/")
    assert [r.metrics["accuracy"].value for r in Store(tmp_path).records()] == [0.75]


def test_a_record_that_does_not_validate_is_not_filed(tmp_path: Path) -> None:
    with pytest.raises(RobustlibError, match="above 100000"):
        Store(tmp_path).write(replace(fabricate(PGD), series={"x": [0.5] * 40_000}), PGD)
    assert not any(tmp_path.rglob("*.json"))


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ROBUSTLIB_CACHE", str(tmp_path / "here"))
    assert cache_root() == tmp_path / "here"
    monkeypatch.delenv("ROBUSTLIB_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root() == tmp_path / "robustlib"


# Weights ------------------------------------------------------------------------------------------------------


def blank(network: Any = NETWORK, folder: Path = Path("unused")) -> torch.nn.Module:
    return Networks(CPU, folder, None).blank(network)


def test_the_stored_network_is_the_measured_one(made: Made) -> None:
    path = weights_path(made.folder / "networks", NETWORK)
    model = blank()
    load_weights(path, model, NETWORK)
    for parameter in model.parameters():
        assert parameter.dtype == torch.float32
        torch.testing.assert_close(parameter, parameter.half().float(), rtol=0, atol=0)
    record = made.record(PGD)
    assert weights_digest(model) == record.weights_digest
    split, rows = PGD.subset.choose(load("digits"))
    what: Any = PGD.measurement
    outcome = outcomes_under(model, split, rows, what.attack, what.threat, name=key(PGD))
    assert (outcome == record.outcome()).all()
    assert outcome.mean() == record.metrics["accuracy"].value


def test_rounding_keeps_what_half_precision_can_say() -> None:
    model = torch.nn.BatchNorm1d(3)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([0.1, 1 / 3, 2.0]))
        model.running_mean.copy_(torch.tensor([0.7, 0.0, 1e-9]))
    half_precision(model)
    torch.testing.assert_close(model.weight[0].detach(), torch.tensor(0.0999755859375), rtol=0, atol=0)
    assert model.running_mean[2] == 0
    assert model.num_batches_tracked.dtype == torch.int64
    before = weights_digest(model)
    half_precision(model)
    assert weights_digest(model) == before


def test_the_digest_is_of_the_weights_not_of_the_file(tmp_path: Path) -> None:
    model = blank()
    half_precision(model)
    for name in ("one", "two"):
        save_weights(tmp_path / f"{name}.safetensors", model, NETWORK)
    # The same tensors in another order and with other metadata are other bytes.
    tensors = {name: tensor.half() for name, tensor in reversed(model.state_dict().items())}
    metadata = {"digest": weights_digest(model), "training_key": key(NETWORK), "note": "written elsewhere"}
    (tmp_path / "three.safetensors").write_bytes(save(tensors, metadata=metadata))
    assert (tmp_path / "one.safetensors").read_bytes() != (tmp_path / "three.safetensors").read_bytes()
    for name in ("one", "two", "three"):
        again = blank(replace(NETWORK, seed=5))
        load_weights(tmp_path / f"{name}.safetensors", again, NETWORK)
        assert weights_digest(again) == weights_digest(model)
    with torch.no_grad():
        next(again.parameters()).view(-1)[0] += 1
    assert weights_digest(again) != weights_digest(model)


class Trap:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def damaged(kind: str, path: Path, folder: Path) -> None:
    content = path.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    if kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "html":
        path.write_bytes(b"<!doctype html><title>404</title>")
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(Trap(folder / "sprung")))
    elif kind == "torch":
        torch.save({"model": Trap(folder / "sprung")}, path)
    elif kind == "one bit":
        path.write_bytes(content[:header] + bytes([content[header] ^ 1]) + content[header + 1 :])
    elif kind == "huge header":
        path.write_bytes((2**63 - 1).to_bytes(8, "little") + content[8:])
    elif kind == "another shape":
        save_weights(path, blank(replace(NETWORK, model=replace(NETWORK.model, width=3))), NETWORK)
    elif kind == "another network":
        save_weights(path, blank(OTHER), OTHER)
    elif kind == "no metadata":
        path.write_bytes(save({name: t.half() for name, t in blank().state_dict().items()}))
    else:
        path.unlink()
        path.mkdir()


KINDS = (
    "truncated",
    "empty",
    "html",
    "pickle",
    "torch",
    "one bit",
    "huge header",
    "another shape",
    "another network",
    "no metadata",
    "folder",
)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_weights_are_refused_and_nothing_in_them_runs(kind: str, copy: Path, tmp_path: Path) -> None:
    path = weights_path(copy / "networks", NETWORK)
    damaged(kind, path, tmp_path)
    with pytest.raises(RobustlibError, match=path.name) as caught:
        load_weights(path, blank(), NETWORK)
    assert "delete it, or restore it with git checkout" in str(caught.value)
    assert not (tmp_path / "sprung").exists()


def test_the_trap_does_spring(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Trap(tmp_path / "sprung")))
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize("kind", ["truncated", "pickle", "another network"])
def test_damaged_weights_in_the_cache_are_trained_again(
    kind: str, copy: Path, made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged(kind, weights_path(copy / "networks", NETWORK), copy)
    Store(copy).path_of(CLEAN, "smoke").unlink()
    (record,) = execute(copy, CLEAN).written
    assert "training it again" in capsys.readouterr().out
    assert record.weights_digest == made.record(CLEAN).weights_digest
    assert record.outcomes == made.record(CLEAN).outcomes
    assert not (copy / "sprung").exists()


def test_damaged_committed_weights_stop_the_run(copy: Path) -> None:
    damaged("one bit", weights_path(copy / "networks", NETWORK), copy)
    Store(copy).path_of(CLEAN, "smoke").unlink()
    with pytest.raises(RobustlibError, match="restore it with git checkout"):
        execute(copy, CLEAN, committed=copy / "networks", cache=copy / "other")
    assert weights_path(copy / "networks", NETWORK).exists()


def test_dumps_of_what_was_read_is_the_file(made: Made) -> None:
    for evaluation in EVERY:
        assert dumps(made.record(evaluation)).encode() == made.path(evaluation).read_bytes()


def test_committed_records_are_as_they_would_be_written() -> None:
    for path in (repository() / "results").rglob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert dumps(loads(text, path=str(path.relative_to(repository())))) == text, path
