"""Released networks: read as they are from the very file, refused when they are another, skipped when absent."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch

from robustlib.attacks.suite import Clean
from robustlib.catalogue import plan
from robustlib.catalogue.base import items, papers
from robustlib.cli import main
from robustlib.environment import AUTHORS_WEIGHTS, CACHE, OFFLINE
from robustlib.errors import RobustlibError
from robustlib.evaluate.accuracy import Accuracy
from robustlib.experiments import checkpoints
from robustlib.experiments.checkpoints import MissingWeights
from robustlib.experiments.networks import Networks
from robustlib.experiments.runner import Job, run, verify
from robustlib.experiments.store import Store
from robustlib.models import ModelSpec, build
from robustlib.models.released import Checkpoint, checkpoint
from robustlib.models.released import checkpoints as registered
from robustlib.parameters import NAMES
from robustlib.spec.evaluation import Evaluation
from robustlib.spec.keys import describe, key, parse
from robustlib.spec.network import UNTRAINED, Network, authors_network
from robustlib.training.released import Released
from tests.experiments.tiny import CLEAN, jobs

MODEL = ModelSpec("wong_dense", 6)
FILE = "some_authors/small.net.pth"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of released networks, and a cache, that hold nothing yet."""
    monkeypatch.setenv(AUTHORS_WEIGHTS, str(tmp_path / "authors"))
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    monkeypatch.delenv(OFFLINE, raising=False)
    return tmp_path / "authors"


def weights(seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights under names of the authors' own, none of which float16 can hold."""
    generator = torch.Generator().manual_seed(seed)
    ours = build(MODEL, input_shape=(1, 8, 8), classes=10, generator=generator).state_dict()
    return {f"their.{name}": value + 1e-5 for name, value in ours.items()}


def written(folder: Path, content: Any, file: str = FILE) -> str:
    """SHA-256 of a file that is written there."""
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def network(sha256: str, stage: int = 0, seed: int = 0) -> Network:
    return Network("digits", MODEL, Released("p", FILE, sha256, stage=stage), UNTRAINED, seed=seed)


def obtained(subject: Network, cache: Path) -> dict[str, torch.Tensor]:
    return dict(Networks(torch.device("cpu"), cache, None).obtain(subject).state_dict())


def same(found: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(found.values(), theirs.values(), strict=True))


# The specification ---------------------------------------------------------------------------------------------


def test_the_file_and_the_stage_are_part_of_the_key_and_a_folder_is_one_networks() -> None:
    first = network("a" * 64)
    others = [network("b" * 64), network("a" * 64, stage=1), network("a" * 64, seed=1)]
    assert len({key(each) for each in (first, *others)}) == 4
    assert first.name == "digits-wong_dense6-released_small_net-s0"
    assert others[1].name == "digits-wong_dense6-released_small_net_stage2-s0"
    assert parse(describe(first)) == first


@pytest.mark.parametrize(
    "change", [{"file": "../up.pth"}, {"file": "/etc/x.pth"}, {"file": ""}, {"sha256": "A" * 64}, {"stage": -1}]
)
def test_a_specification_that_names_no_file_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(RobustlibError, match=r"released network|64 hexadecimal digits|stages count from 0"):
        replace(Released("p", FILE, "a" * 64), **change)


def test_every_registered_file_is_pinned_and_fits_a_network() -> None:
    known = registered().values()
    assert len({each.sha256 for each in known}) == len({each.file for each in known}) == len(registered()) >= 8
    for each in known:
        assert re.fullmatch(r"https://raw\.githubusercontent\.com/\w+/\w+/[0-9a-f]{40}/\S+", each.url), each.name
        assert each.paper in papers()
        assert each.licence
        last = authors_network(each.name, each.stages)
        assert len(last.earlier) == each.stages - 1
        assert {(n.dataset, n.model) for n in last.lineage} == {(each.dataset, each.model)}
        with pytest.raises(RobustlibError, match=f"which holds {each.stages}"):
            authors_network(each.name, each.stages + 1)
    with pytest.raises(RobustlibError, match="did you mean 'polytope_mnist'"):
        checkpoint("polytope_mnst")


def test_only_the_full_profile_measures_them_and_as_they_are() -> None:
    whole = [item for item in items() if not item.parent]
    released = {full: (item.paper, cell) for item in whole for cell in plan.cells_of(item.id) for full in cell.released}
    assert len(released) >= 40
    for full, (paper, cell) in released.items():
        assert full.subject.defence.released
        assert full.subset.n is None
        assert plan.shrink(full, "full", paper) == full
        assert all(plan.shrink(full, name, paper) is None for name in NAMES if name != "full")
        # The same measurement as on our networks.
        assert full.measurement in {ours.measurement for ours in cell.evaluations}, (cell.item, cell.row, cell.column)
    for name, wanted in (("full", True), ("quick", False)):
        planned = {job.evaluation for job in plan.jobs(plan.select([]), name)}
        assert all((full in planned) is wanted for full in released)


# The file ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [FILE, Path(FILE).name])
def test_weights_are_read_unrounded_from_a_folder_or_its_flat_copy_and_kept_nowhere(
    place: str, folder: Path, tmp_path: Path
) -> None:
    theirs = weights()
    subject = network(written(folder, theirs, place))
    assert same(obtained(subject, tmp_path / "networks"), theirs)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_file_in_the_cache_serves_too(folder: Path, tmp_path: Path) -> None:
    theirs = weights()
    subject = network(written(tmp_path / "cache" / checkpoints.FOLDER, theirs))
    assert same(obtained(subject, tmp_path / "networks"), theirs)


@pytest.mark.parametrize("wrap", [lambda states: {"state_dict": states, "err": 0.5}, lambda states: states])
def test_each_stage_of_a_cascade_has_its_own_weights(wrap: Any, folder: Path, tmp_path: Path) -> None:
    states = [weights(0), weights(1)]
    sha256 = written(folder, wrap(states))
    for stage, theirs in enumerate(states):
        assert same(obtained(network(sha256, stage), tmp_path / "networks"), theirs)
    with pytest.raises(RobustlibError, match="no network number 3; it holds 2"):
        obtained(network(sha256, 2), tmp_path / "networks")


def test_another_file_under_the_name_is_never_opened(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(folder, weights())
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(MissingWeights, match=r"is not the released file.*was not opened.*weights fetch small\.net"):
        obtained(network("a" * 64), tmp_path / "networks")


class Hostile:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_code_in_a_file_is_never_run_even_where_its_digest_is_pinned(folder: Path, tmp_path: Path) -> None:
    subject = network(written(folder, {"their.0.weight": Hostile(tmp_path / "ran")}))
    with pytest.raises(RobustlibError, match="holds more than tensors, or is damaged"):
        obtained(subject, tmp_path / "networks")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"no weights at all"])
def test_a_damaged_file_is_one_error(content: bytes, folder: Path, tmp_path: Path) -> None:
    (folder / FILE).parent.mkdir(parents=True)
    (folder / FILE).write_bytes(content)
    with pytest.raises(RobustlibError, match="holds more than tensors, or is damaged"):
        obtained(network(hashlib.sha256(content).hexdigest()), tmp_path / "networks")


def _shorter(theirs: dict[str, torch.Tensor]) -> Any:
    return dict(list(theirs.items())[:-1])


def _turned(theirs: dict[str, torch.Tensor]) -> Any:
    return {name: value.T if value.ndim > 1 else value for name, value in theirs.items()}


def _swapped(theirs: dict[str, torch.Tensor]) -> Any:
    return {name.replace("bias", "weight_"): value for name, value in theirs.items()}


@pytest.mark.parametrize("spoil", [_shorter, _turned, _swapped, lambda theirs: 3, lambda theirs: {"state_dict": []}])
def test_tensors_that_do_not_fit_are_refused(spoil: Any, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RobustlibError, match=r"does not fit its architecture|holds no network"):
        obtained(network(written(folder, spoil(weights()))), tmp_path / "networks")


# Runs ----------------------------------------------------------------------------------------------------------


def test_a_run_skips_what_is_absent_and_measures_the_rest(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "root").mkdir()
    store, absent = Store(tmp_path / "root"), Evaluation(network("a" * 64), Accuracy(Clean()))
    options: dict[str, Any] = {"profile": "full", "store": store, "device": "cpu", "cache": tmp_path / "networks"}
    summary = run([Job(absent, absent), *jobs(CLEAN)], **options)
    assert [record.training["defence"]["type"] for record in summary.written] == ["Standard"]
    assert not summary.failed
    (reason,) = summary.skipped
    for word in (FILE, AUTHORS_WEIGHTS, "robustlib weights fetch small.net"):
        assert word in reason
    theirs = weights()
    present = Evaluation(network(written(folder, theirs)), Accuracy(Clean()))
    again = run([Job(present, present)], **options)
    assert not again.skipped
    (record,) = again.written
    assert record.path.startswith("results/full/digits-wong_dense6-released_small_net-s0/clean-")
    assert verify(present, record, device="cpu", folder=tmp_path / "nothing")[0] == record.metrics["accuracy"].value


# Commands ------------------------------------------------------------------------------------------------------


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    site = tmp_path / "site"
    site.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(site)))
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()
    thread.join()


def published(url: str, sha256: str) -> Checkpoint:
    return replace(checkpoint("polytope_har"), file=FILE, url=f"{url}small.net.pth", sha256=sha256)


def test_fetch_keeps_the_file_that_was_pinned_and_no_other(served: str, tmp_path: Path) -> None:
    pytest.importorskip("pooch", reason="fetching needs pooch (pip install 'robustlib[book]')")
    known = published(served, written(tmp_path / "site", weights(), "small.net.pth"))
    path = checkpoints.fetch(known)
    assert path == tmp_path / "cache" / checkpoints.FOLDER / FILE
    assert same(obtained(network(known.sha256), tmp_path / "networks"), weights())
    (tmp_path / "site" / "small.net.pth").unlink()
    assert checkpoints.fetch(known) == path  # it is there: nothing is asked
    path.unlink()
    written(tmp_path / "site", weights(1), "small.net.pth")
    with pytest.raises(RobustlibError, match=rf"checksum differs.*{AUTHORS_WEIGHTS}"):
        checkpoints.fetch(known)
    assert not [each for each in path.parent.iterdir() if each.is_file()]


def test_fetch_offline_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OFFLINE, "1")
    with pytest.raises(RobustlibError, match=f"{OFFLINE} forbids downloads.*weights fetch"):
        checkpoints.fetch(checkpoint("polytope_har"))


def test_commands_list_verify_and_name_what_is_absent(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in registered())
    assert "present" not in listed
    assert main(["weights", "verify", "polytope_har"]) == 1
    assert "robustlib weights fetch polytope_har" in capsys.readouterr().err
    (folder / "polytope_har.pth").parent.mkdir()
    (folder / "polytope_har.pth").write_bytes(b"another")
    assert main(["weights", "verify", "polytope_har"]) == 1
    assert "is not the released file" in capsys.readouterr().err
    assert main(["weights", "list", "polytope_hax"]) == 2
