"""Fetching, against a web server on this machine that serves good, damaged and hostile files."""

from __future__ import annotations

import dataclasses
import errno
import gzip
import hashlib
import io
import multiprocessing
import struct
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from robustlib.data import fetch as fetch_module
from robustlib.data import fetch_dataset, load, verify
from robustlib.data.checks import Array
from robustlib.data.registry import REGISTRY, Facts, OfficialFile
from robustlib.errors import RobustlibError

from .conftest import Tiny

pytest.importorskip("pooch", reason="fetching needs pooch (pip install 'robustlib[book]')")


class Quiet(SimpleHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def log_message(self, *_: object) -> None:
        Quiet.asked.append(self.path)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Path]:
    """A folder that http://127.0.0.1:PORT/ serves; the address is in its file ADDRESS."""
    site = tmp_path / "site"
    site.mkdir()
    Quiet.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    (site / "ADDRESS").write_text(f"http://127.0.0.1:{server.server_address[1]}/")
    yield site
    server.shutdown()
    server.server_close()
    thread.join()


def publish(served: Path, facts: Facts, contents: dict[str, bytes]) -> Facts:
    """Serve these files as the official ones of the dataset."""
    address = (served / "ADDRESS").read_text()
    files = []
    for name, content in contents.items():
        (served / name).write_bytes(content)
        checksum = "sha256:" + hashlib.sha256(content).hexdigest()
        files.append(OfficialFile(name, (address + name,), checksum))
    published = dataclasses.replace(facts, files=tuple(files))
    REGISTRY[facts.name] = published  # the fixture `tiny` puts the real one back
    return published


def idx(array: Array) -> bytes:
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.tobytes())


def idx_files(arrays: dict[str, Array]) -> dict[str, bytes]:
    return {
        "train-images-idx3-ubyte.gz": idx(arrays["x_train"][:, 0]),
        "train-labels-idx1-ubyte.gz": idx(arrays["y_train"]),
        "t10k-images-idx3-ubyte.gz": idx(arrays["x_test"][:, 0]),
        "t10k-labels-idx1-ubyte.gz": idx(arrays["y_test"]),
    }


def tar_of(members: dict[str, bytes], link: str = "") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if link:
            info = tarfile.TarInfo("cifar-10-batches-bin/link")
            info.type, info.linkname = tarfile.SYMTYPE, link
            archive.addfile(info)
    return buffer.getvalue()


def batches(arrays: dict[str, Array]) -> dict[str, bytes]:
    tables = {}
    for split in ("train", "test"):
        y, x = arrays[f"y_{split}"], arrays[f"x_{split}"]
        tables[split] = np.concatenate([y[:, None], x.reshape(len(y), -1)], axis=1)
    content = {f"data_batch_{k + 1}": part.tobytes() for k, part in enumerate(np.split(tables["train"], 5))}
    content["test_batch"] = tables["test"].tobytes()
    return {f"cifar-10-batches-bin/{name}.bin": rows for name, rows in content.items()}


def zip_of(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def har_tables(arrays: dict[str, Array]) -> dict[str, bytes]:
    members = {"UCI HAR Dataset/README.txt": b"read me"}
    for split in ("train", "test"):
        for key, name in (("x", "X"), ("y", "y"), ("subject", "subject")):
            text = io.BytesIO()
            table = arrays[f"{key}_{split}"].astype(np.float64) + (key == "y")
            np.savetxt(text, table, fmt="% .8e" if key == "x" else "%d")
            members[f"UCI HAR Dataset/{split}/{name}_{split}.txt"] = text.getvalue()
    return members


def same(name: str, arrays: dict[str, Array]) -> None:
    dataset = load(name)
    for split, half in (("train", dataset.train), ("test", dataset.test)):
        assert np.array_equal(half.x.numpy(), arrays[f"x_{split}"])
        assert np.array_equal(half.y.numpy(), arrays[f"y_{split}"])
    assert dataset.official


# --- each dataset's official form


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_idx_files_are_read_by_torchvision(tiny: Tiny, folder: Path, served: Path, name: str) -> None:
    pytest.importorskip("torchvision")
    facts, arrays = tiny(name)
    publish(served, facts, idx_files(arrays))
    same(name, arrays)  # load() fetches what is absent
    assert [file.name for file in folder.iterdir() if file.suffix == ".npz"] == [f"{name}.npz"]
    assert not list(folder.glob("*.tmp"))
    assert not (folder / "downloads" / name).exists()
    asked = len(Quiet.asked)
    assert fetch_dataset(name).ok
    assert verify(name).message == "official"
    assert len(Quiet.asked) == asked
    with np.load(folder / f"{name}.npz", allow_pickle=False) as archive:
        assert sorted(archive.files) == ["x_test", "x_train", "y_test", "y_train"]


def test_svhn_is_read_by_torchvision(tiny: Tiny, folder: Path, served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    from scipy.io import savemat

    facts, arrays = tiny("svhn", shape=(3, 2, 2))
    contents = {}
    for split in ("train", "test"):
        y = arrays[f"y_{split}"].astype(np.int64)[:, None]
        buffer = io.BytesIO()
        savemat(buffer, {"X": arrays[f"x_{split}"].transpose(2, 3, 1, 0), "y": np.where(y == 0, 10, y)})
        contents[f"{split}_32x32.mat"] = buffer.getvalue()
    known = {
        split: ["", f"{split}_32x32.mat", hashlib.md5(contents[f"{split}_32x32.mat"]).hexdigest()]
        for split in ("train", "test")
    }
    monkeypatch.setattr(datasets.SVHN, "split_list", known)
    publish(served, facts, contents)
    same("svhn", arrays)
    assert load("svhn").train.y.min() == 0


def test_cifar10_is_read_from_the_binary_archive(tiny: Tiny, folder: Path, served: Path) -> None:
    facts, arrays = tiny("cifar10", shape=(3, 2, 2))
    publish(served, facts, {"cifar-10-binary.tar.gz": tar_of({**batches(arrays), "cifar/readme.html": b"<p>"})})
    same("cifar10", arrays)


@pytest.mark.parametrize("nested", [False, True])
def test_har_is_read_from_the_zip_and_from_the_zip_in_a_zip(
    tiny: Tiny, folder: Path, served: Path, nested: bool
) -> None:
    facts, arrays = tiny("har", shape=(5,))
    content = zip_of(har_tables(arrays))
    publish(served, facts, {"har.zip": zip_of({"UCI HAR Dataset.zip": content}) if nested else content})
    same("har", arrays)
    subjects = load("har").groups["test"]
    assert subjects is not None
    assert subjects.tolist() == arrays["subject_test"].tolist()


# --- mirrors and bad answers


def cifar(tiny: Tiny, served: Path) -> tuple[Facts, dict[str, Array]]:
    facts, arrays = tiny("cifar10", shape=(3, 2, 2))
    return publish(served, facts, {"cifar.tar.gz": tar_of(batches(arrays))}), arrays


def with_urls(facts: Facts, *urls: str, instead: OfficialFile | None = None) -> None:
    file = dataclasses.replace(facts.files[0], urls=urls, instead=instead)
    REGISTRY[facts.name] = dataclasses.replace(facts, files=(file,))


def test_the_next_mirror_is_asked_when_one_fails_or_lies(tiny: Tiny, folder: Path, served: Path) -> None:
    facts, arrays = cifar(tiny, served)
    address = (served / "ADDRESS").read_text()
    (served / "login.tar.gz").write_bytes(b"<html>please log in</html>")
    (served / "short.tar.gz").write_bytes((served / "cifar.tar.gz").read_bytes()[:-20])
    urls = [address + name for name in ("missing.tar.gz", "login.tar.gz", "short.tar.gz", "cifar.tar.gz")]
    with_urls(facts, "http://127.0.0.1:1/refused", *urls)
    same("cifar10", arrays)


def test_another_package_of_the_same_content_is_the_last_resort(tiny: Tiny, folder: Path, served: Path) -> None:
    facts, arrays = cifar(tiny, served)
    with_urls(facts, (served / "ADDRESS").read_text() + "missing", instead=facts.files[0])
    same("cifar10", arrays)


def test_when_nothing_answers_the_message_names_place_files_and_both_ways(
    tiny: Tiny, folder: Path, served: Path
) -> None:
    facts, _ = cifar(tiny, served)
    (served / "login").write_bytes(b"<html>please log in</html>")
    with_urls(facts, "http://127.0.0.1:1/refused", (served / "ADDRESS").read_text() + "login")
    with pytest.raises(RobustlibError) as caught:
        load("cifar10")
    message = str(caught.value)
    for part in (
        f"dataset cifar10 is missing: looked for {folder / 'cifar10.npz'}",
        "http://127.0.0.1:1/refused: ConnectionError",
        "what came is not the file",
        "set ROBUSTLIB_DATA to a folder that holds cifar10.npz",
        "`robustlib data fetch cifar10` on a machine with network",
    ):
        assert part in message
    assert not (folder / "cifar10.npz").exists()
    assert not verify("cifar10").ok
    assert "is missing" in verify("cifar10").message


def test_offline_by_choice_asks_nobody(tiny: Tiny, folder: Path, served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cifar(tiny, served)
    monkeypatch.setenv("ROBUSTLIB_OFFLINE", "1")
    with pytest.raises(RobustlibError, match=r"looked for .*ROBUSTLIB_OFFLINE forbids downloads. Either set"):
        load("cifar10")
    assert Quiet.asked == []


def test_a_download_that_was_interrupted_is_checked_again_before_it_is_used(
    tiny: Tiny, folder: Path, served: Path
) -> None:
    _, arrays = cifar(tiny, served)
    rest = folder / "downloads" / "cifar10"
    rest.mkdir(parents=True)
    (rest / "cifar.tar.gz").write_bytes(b"half of it")
    (folder / ".cifar10.npz.123.tmp").write_bytes(b"PK")
    same("cifar10", arrays)
    assert not list(folder.glob(".*.tmp"))


def test_fetching_replaces_a_damaged_prepared_file(tiny: Tiny, folder: Path, served: Path) -> None:
    _, arrays = cifar(tiny, served)
    (folder / "cifar10.npz").write_bytes(b"<html>")
    report = fetch_dataset("cifar10")
    assert report.ok
    assert report.path == folder / "cifar10.npz"
    assert len(list(folder.glob("cifar10.npz.bad-*"))) == 1
    same("cifar10", arrays)


def test_official_files_that_give_other_arrays_are_not_prepared(tiny: Tiny, folder: Path, served: Path) -> None:
    facts, arrays = tiny("cifar10", shape=(3, 2, 2))
    arrays["y_test"] = arrays["y_test"][::-1].copy()
    publish(served, facts, {"cifar.tar.gz": tar_of(batches(arrays))})
    with pytest.raises(RobustlibError, match=r"fetched for cifar10 do not give its official arrays: .*y_test"):
        fetch_dataset("cifar10")
    assert not (folder / "cifar10.npz").exists()


def test_digits_and_unknown_names(folder: Path) -> None:
    assert fetch_dataset("digits").ok
    with pytest.raises(RobustlibError, match="did you mean 'cifar10'"):
        fetch_dataset("cifar")
    with pytest.raises(RobustlibError, match="nothing to fetch"):
        fetch_module.fetch("digits")


# --- hostile archives


@pytest.mark.parametrize("member", ["../../evil.bin", "/tmp/evil.bin", "cifar\\..\\..\\evil.bin", "C:/evil.bin"])
def test_a_tar_member_that_climbs_out_is_refused(tiny: Tiny, folder: Path, served: Path, member: str) -> None:
    facts, arrays = tiny("cifar10", shape=(3, 2, 2))
    publish(served, facts, {"cifar.tar.gz": tar_of({**batches(arrays), member: b"x" * 13})})
    with pytest.raises(RobustlibError, match=r"leaves its folder: refused. It was set aside"):
        fetch_dataset("cifar10")
    assert not (folder / "cifar10.npz").exists()


def test_a_tar_with_links_is_refused(tiny: Tiny, folder: Path, served: Path) -> None:
    facts, arrays = tiny("cifar10", shape=(3, 2, 2))
    publish(served, facts, {"cifar.tar.gz": tar_of(batches(arrays), link="/etc")})
    with pytest.raises(RobustlibError, match="refused"):
        fetch_dataset("cifar10")


def test_a_zip_member_that_climbs_out_is_refused(tiny: Tiny, folder: Path, served: Path) -> None:
    facts, arrays = tiny("har", shape=(5,))
    inner = zip_of({**har_tables(arrays), "UCI HAR Dataset/../../evil": b""})
    publish(served, facts, {"har.zip": zip_of({"UCI HAR Dataset.zip": inner})})
    with pytest.raises(RobustlibError, match=r"evil.*refused"):
        fetch_dataset("har")


def test_an_archive_without_the_tables_is_set_aside(tiny: Tiny, folder: Path, served: Path) -> None:
    facts, arrays = tiny("cifar10", shape=(3, 2, 2))
    members = batches(arrays)
    del members["cifar-10-batches-bin/data_batch_3.bin"]
    publish(served, facts, {"cifar.tar.gz": tar_of(members)})
    with pytest.raises(RobustlibError, match=r"lacks data_batch_3.bin. It was set aside"):
        fetch_dataset("cifar10")
    publish(served, facts, {"cifar.tar.gz": tar_of({**members, "cifar/data_batch_3.bin": b"12345"})})
    with pytest.raises(RobustlibError, match="5 bytes: no whole rows"):
        fetch_dataset("cifar10")


# --- disks, processes, missing packages


def test_a_full_disk_leaves_nothing_behind(
    tiny: Tiny, folder: Path, served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, arrays = cifar(tiny, served)

    def full(handle: Any, **_: Array) -> None:
        handle.write(b"PK half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("robustlib.data.prepared.np.savez", full)
        with pytest.raises(RobustlibError, match=r"no space left in .* for cifar10 .*MiB needed.*ROBUSTLIB_DATA"):
            load("cifar10")
    assert not list(folder.glob("**/*.tmp"))
    assert not list(folder.glob("*.npz"))
    same("cifar10", arrays)


def test_a_disk_that_fills_while_downloading(
    tiny: Tiny, folder: Path, served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pooch

    cifar(tiny, served)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pooch, "retrieve", full)
    with pytest.raises(RobustlibError, match="no space left in"):
        fetch_dataset("cifar10")


def test_a_place_that_cannot_be_written(tiny: Tiny, folder: Path, served: Path) -> None:
    cifar(tiny, served)
    (folder / "file").write_text("not a folder")
    with pytest.raises(RobustlibError, match=r"cannot be written in .*another folder in ROBUSTLIB_DATA"):
        load("cifar10", root=folder / "file" / "data")


def _fetch_in_child(results: Any) -> None:
    results.put(fetch_dataset("cifar10").message)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_two_processes_at_once_both_succeed_and_one_downloads(tiny: Tiny, folder: Path, served: Path) -> None:
    _, arrays = cifar(tiny, served)
    context = multiprocessing.get_context("fork")  # so that the children know the tiny dataset
    results = context.Queue()
    children = [context.Process(target=_fetch_in_child, args=(results,)) for _ in range(3)]
    for child in children:
        child.start()
    assert [results.get(timeout=60) for _ in children] == ["official"] * 3
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    assert Quiet.asked == ["/cifar.tar.gz"]
    same("cifar10", arrays)


@pytest.mark.parametrize(("name", "package"), [("cifar10", "pooch"), ("mnist", "torchvision.datasets")])
def test_without_the_packages_loading_works_and_fetching_says_what_to_install(
    tiny: Tiny, folder: Path, served: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str
) -> None:
    facts, arrays = tiny(name, **({"shape": (3, 2, 2)} if name == "cifar10" else {}))
    contents = idx_files(arrays) if name == "mnist" else {"cifar.tar.gz": tar_of(batches(arrays))}
    publish(served, facts, contents)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(RobustlibError, match=r"needs pooch and torchvision.*pip install 'robustlib\[book\]'"):
        load(name)
    np.savez(folder / f"{name}.npz", **arrays)  # type: ignore[arg-type]
    same(name, arrays)
