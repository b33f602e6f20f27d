"""Folders and switches of the environment: what is empty, blank, relative or short for the home folder."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest

from robustlib import environment
from robustlib.data import data_root
from robustlib.environment import cache_root, records_root, user_cache
from robustlib.errors import RobustlibError

READERS: dict[str, Callable[[], Path]] = {
    "ROBUSTLIB_ROOT": records_root,
    "ROBUSTLIB_CACHE": cache_root,
    "ROBUSTLIB_DATA": data_root,
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder, another current folder, and none of the variables; the package is installed."""
    for name in (*READERS, "ROBUSTLIB_OFFLINE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "home"
    for name in ("home/x", "site-packages/robustlib", "here/rel"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(environment, "PACKAGE", tmp_path / "site-packages" / "robustlib")
    return folder


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("value", ["", " ", "\t\n"])
def test_a_variable_that_says_nothing_is_as_if_unset(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    unset = READERS[name]()
    monkeypatch.setenv(name, value)
    assert READERS[name]() == unset
    assert environment.variable(name) is None


@pytest.mark.parametrize("name", READERS)
def test_a_variable_may_be_short_for_the_home_folder(name: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = READERS[name]
    for value, wanted in {"~": home, "~/": home, "~/x": home / "x", str(home / "x"): home / "x"}.items():
        monkeypatch.setenv(name, value)
        assert read() == wanted, value
    monkeypatch.setenv(name, "rel")
    assert read().resolve() == Path.cwd() / "rel"
    monkeypatch.setenv(name, "~nobody-of-that-name/x")
    with pytest.raises(RobustlibError, match=rf"{name}='~nobody-of-that-name/x'.*give the folder in full"):
        read()


@pytest.mark.parametrize("value", ["", " ", "cache", "./cache", "../cache"])
def test_a_cache_home_that_is_no_full_path_is_ignored(value: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the XDG base directory specification says of relative paths, and of empty values."""
    unset = user_cache()
    assert unset.is_relative_to(home)
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert user_cache() == unset
    assert cache_root() == unset
    assert data_root() == unset / "data"


def test_a_cache_home_in_full_is_taken(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for value, wanted in {"/somewhere": Path("/somewhere"), "~/x": home / "x"}.items():
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert cache_root() == wanted / "robustlib"
        assert data_root() == wanted / "robustlib" / "data"


@pytest.mark.parametrize("value", ["", " ", "relative", None])
def test_without_a_usable_home_the_system_is_asked(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Path(pwd.getpwuid(os.getuid()).pw_dir)
    if value is None:
        monkeypatch.delenv("HOME")
    else:
        monkeypatch.setenv("HOME", value)
    assert cache_root().is_relative_to(known)
    assert environment.folder("~/x", "folder") == known / "x"

    def unknown(uid: int) -> object:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(RobustlibError, match="no home folder; set HOME, or ROBUSTLIB_CACHE and ROBUSTLIB_DATA"):
        cache_root()
    monkeypatch.setenv("ROBUSTLIB_CACHE", "/cache")
    assert cache_root() == Path("/cache")


def test_an_empty_argument_is_refused() -> None:
    for value in ("", "  "):
        with pytest.raises(RobustlibError, match="is empty; give a folder"):
            data_root(value)


@pytest.mark.parametrize(
    ("value", "wanted"), [("1", True), ("yes", True), ("", False), (" ", False), ("0", False), ("False", False)]
)
def test_a_switch_is_off_where_it_says_so(value: str, wanted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not environment.switched_on("ROBUSTLIB_OFFLINE")
    monkeypatch.setenv("ROBUSTLIB_OFFLINE", value)
    assert environment.switched_on("ROBUSTLIB_OFFLINE") is wanted


# Where records lie --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "project", [None, "[project]\nname = 'another'", "[tool.ruff]", "name = robustlib", "project = 3"]
)
def test_an_installed_copy_keeps_records_in_the_current_folder(
    project: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it was copied into somebody else's project."""
    (tmp_path / "site-packages" / "results").mkdir()
    if project is not None:
        (tmp_path / "site-packages" / "pyproject.toml").write_text(project)
    assert records_root() == Path.cwd()
    assert environment.root_is_guessed()
    with pytest.raises(RobustlibError, match="needs a checkout of the project"):
        environment.repository()
    monkeypatch.setenv("ROBUSTLIB_ROOT", str(tmp_path))
    assert records_root() == tmp_path
    assert not environment.root_is_guessed()


def test_a_checkout_keeps_its_own_records(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "PACKAGE", root / "robustlib")
    assert records_root() == environment.repository() == root
    assert not environment.root_is_guessed()


def test_a_root_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    monkeypatch.setenv("ROBUSTLIB_ROOT", str(gone))
    with pytest.raises(RobustlibError, match=r"ROBUSTLIB_ROOT='.*gone' is no folder"):
        records_root()
    monkeypatch.setenv("ROBUSTLIB_ROOT", "")
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(RobustlibError, match="the current folder is gone"):
        records_root()
