"""The command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from robustlib.catalogue import plan
from robustlib.catalogue.base import OWN, items
from robustlib.cli import main
from robustlib.experiments import profiles
from robustlib.experiments.provenance import source_digest
from robustlib.experiments.store import Store

STATES = {"done", "partial", "missing", "unavailable"}
MNIST_ITEMS = (
    "madry2018/table-1",
    "madry2018/loss-during-pgd/mnist",
    "madry2018/more-loss-curves/mnist",
    "madry2018/local-maxima/mnist",
    "madry2018/capacity/mnist",
    "madry2018/accuracy-vs-eps/mnist",
    "madry2018/training-loss/mnist",
)


def test_items_as_json_follows_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["items", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found) == len(items())
    tops = [item for item in items() if not item.parent]
    assert len([item for item in tops if item.source != OWN]) == 68  # of the five papers
    assert sum(1 for item in found if item["item"].count("/") == 1) == len(tops)
    for item in found:
        assert set(item) == {"item", "paper", "kind", "number", "title", "profiles", "cells", "verified", "verdicts"}
        assert set(item["profiles"]) == set(profiles.NAMES)
        assert set(item["profiles"].values()) <= STATES
        assert item["verified"] <= item["cells"]


@pytest.mark.parametrize("profile", ["smoke", "quick"])
@pytest.mark.parametrize("name", MNIST_ITEMS)
def test_committed_records_cover_madry_on_mnist(name: str, profile: str, committed: Store) -> None:
    (item,) = plan.select([name])
    assert plan.state(item, profile, committed) == "done"


def test_dry_run_lists_the_full_protocol(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "madry2018/table-1", "--profile", "full", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "mnist-madry_cnn16-pgd-s2/" in said
    assert "operations" in said


def test_one_record_is_made_again_alone(capsys: pytest.CaptureFixture[str], committed: Store) -> None:
    """The command on a record's page: it lists that evaluation and no other."""
    for record in [r for r in committed.records("full") if "madry_cnn1-standard" in r.path][:2]:
        command = ["run", "madry2018/capacity/mnist", "--profile", "full", "--recompute"]
        assert main([*command, "--only", record.evaluation_key, "--dry-run"]) == 0
        assert "1 evaluations, 1 to run, 1 networks" in capsys.readouterr().out
    assert main([*command, "--only", "0000", "--dry-run"]) != 0
    assert "no evaluation '0000' in the full profile of madry2018/capacity/mnist" in capsys.readouterr().err


def test_check_is_clean_and_names_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str], committed: Store) -> None:
    assert main(["check"]) == 0
    records = committed.records()
    stale = sum(record.source_digest != source_digest() for record in records)
    said = f"{len(records)} records are sound; other source than {source_digest()} made {stale} of them\n"
    assert capsys.readouterr().out == said
    bad = tmp_path / "results" / "smoke" / "x"
    bad.mkdir(parents=True)
    (bad / "clean-00000000.json").write_text("{")
    assert main(["--root", str(tmp_path), "check"]) == 1
    assert capsys.readouterr().out.count("\n") == 1


def test_data_list_and_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "list"]) == 0
    assert "digits" in capsys.readouterr().out
    assert main(["doctor"]) == 0
    assert "device" in capsys.readouterr().out


def test_help_and_notebooks_know_every_profile() -> None:
    """Their names are kept apart from what they do, so that a mistake is told before torch is imported."""
    assert tuple(profiles._PROFILES) == profiles.NAMES
    assert profiles.BEST not in profiles.NAMES


def test_every_profile_has_a_note() -> None:
    assert all(profiles.profile(name).note for name in profiles.NAMES)
