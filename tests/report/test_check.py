"""``robustlib check``: one line for each record, weights file or generated text that is not what it says it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robustlib.attacks.suite import Pgd
from robustlib.book.check import faults
from robustlib.book.pages import MARK, readme_text
from robustlib.cli import main
from robustlib.evaluate.accuracy import Attacked
from robustlib.evaluate.cascades import CascadeBound
from robustlib.evaluate.certificates import Certificate
from robustlib.evaluate.exact import Exact
from robustlib.evaluate.suite_accuracy import WorstCase
from robustlib.experiments.store import Store, weights_path
from robustlib.report.soundness import inverted, unsound
from robustlib.spec.evaluation import Subset
from robustlib.spec.keys import describe, key
from robustlib.spec.records import Metric, Record, pack
from robustlib.threat import LinfBall
from tests.experiments.tiny import BALL, CLEAN, FGSM, NETWORK, OTHER, PGD, TRACE, Made, fabricate, file


@pytest.fixture
def store(tmp_path: Path) -> Store:
    file(tmp_path, CLEAN)
    file(tmp_path, PGD)
    return Store(tmp_path)


def edit(store: Store, change: Callable[[dict[str, Any]], object]) -> None:
    """Edit the clean record by hand."""
    path = store.path_of(CLEAN, "full")
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_sound_records_have_no_faults(store: Store, made: Made) -> None:
    assert faults(Store(store.root)) == []
    assert faults(Store(made.folder)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.update(schema=7), "has schema 7"),
        (lambda c: c.update(profile="quick"), "says profile 'quick' but lies in full/"),
        (lambda c: c["evaluation"]["subset"].update(n=61), "its keys are not those of its specification"),
        (lambda c: c["evaluation"]["subject"].update(seed=5), "its keys are not those of its specification"),
        (lambda c: c["evaluation"]["subject"]["schedule"].update(steps=5), "its keys are not those of its"),
        (lambda c: c.update(evaluation_key=c["evaluation_key"][:8] + "0" * 8), "its keys are not those of its"),
        (lambda c: c.update(evaluation_key="0" * 16), "holds evaluation 0000000000000000; rename or delete it"),
        (lambda c: c.update(training_key=key(OTHER)), "its keys are not those of its specification"),
        (lambda c: c["evaluation"]["measurement"].update(type="Acuracy"), "unknown specification type 'Acuracy'"),
        (lambda c: c["evaluation"]["measurement"].update(eps=1), "unknown Accuracy key 'eps'"),
        (lambda c: c["evaluation"].update(type="Network"), "unknown Network key"),
        (lambda c: c["evaluation"]["subject"].update(rows=["a", 3]), r"Network.rows[0]='a' has the wrong type"),
        (lambda c: c["evaluation"].update(subject={"type": "Clean"}), "Evaluation.subject=Clean"),
        (lambda c: c.update(training={"type": "Clean"}), "unknown fields ['training']"),
    ],
)
def test_an_edited_record_is_one_line(
    change: Callable[[dict[str, Any]], object], words: str, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(store, change)
    (line,) = faults(Store(store.root))
    assert words in line
    assert line.startswith(f"results/full/{NETWORK.name}/clean-")
    assert main(["--root", str(store.root), "check"]) == 1
    assert capsys.readouterr().out == line + "\n"


def test_a_record_of_no_evaluation_is_a_fault(store: Store) -> None:
    inner = {"type": "Evaluation", "subject": describe(NETWORK), "measurement": describe(CLEAN.measurement)}
    edit(store, lambda c: c["evaluation"].update(inner, subset=describe(Subset()) | {"n": "x"}))
    (line,) = faults(Store(store.root))
    assert "Subset.n='x' has the wrong type" in line


def test_a_record_under_another_name_is_a_fault(store: Store) -> None:
    path = store.path_of(CLEAN, "full")
    moved = path.parent.with_name("mnist-madry_cnn16-pgd-s0") / path.name
    moved.parent.mkdir()
    path.rename(moved)
    (line,) = faults(Store(store.root))
    assert line.startswith("results/full/mnist-madry_cnn16-pgd-s0/clean-")
    assert f"it belongs to {path.relative_to(store.root).as_posix()}; move it there" in line


def test_a_record_of_an_unknown_profile_is_a_fault(tmp_path: Path) -> None:
    Store(tmp_path).write(replace(fabricate(CLEAN), profile="quik"), CLEAN)
    (line,) = faults(Store(tmp_path))
    assert "unknown profile 'quik'; did you mean 'quick'" in line


def test_each_fault_has_its_line(store: Store) -> None:
    store.path_of(CLEAN, "full").write_text("")
    shutil.copy(store.path_of(PGD, "full"), store.path_of(FGSM, "full"))
    found = faults(Store(store.root))
    assert len(found) == 2
    assert all(line.count("\n") == 0 for line in found)


def test_damaged_weights_are_a_fault(store: Store, made: Made) -> None:
    folder = store.root / "weights"
    folder.mkdir()
    for network in (NETWORK, OTHER):
        shutil.copy(weights_path(made.folder / "networks", network), folder)
    assert faults(Store(store.root)) == []
    path = weights_path(folder, OTHER)
    path.write_bytes(path.read_bytes()[:-7])
    (line,) = faults(Store(store.root))
    assert line.startswith(f"weights/{path.name} is not a complete safetensors file")


# Generated text -----------------------------------------------------------------------------------------------


def readme(folder: Path, text: str = "old numbers") -> Path:
    path = folder / "README.md"
    path.write_text(f"# Title\n\n{MARK[0]}\n{text}\n{MARK[1]}\n\nThe end.\n")
    return path


@pytest.mark.usefixtures("quick_costs")
def test_a_readme_that_does_not_match_its_records_is_a_fault(store: Store) -> None:
    path = readme(store.root)
    (line,) = faults(Store(store.root))
    assert line == "README.md: its generated part does not match the records; run make publish"
    ((written, text),) = readme_text(store).items()
    assert written == path
    path.write_text(text)
    assert faults(Store(store.root)) == []
    assert text.startswith("# Title\n")
    assert text.endswith("\n\nThe end.\n")
    assert "old numbers" not in text
    path.write_text(text.replace("measures", "reproduces"))
    assert len(faults(Store(store.root))) == 1


def test_a_readme_without_its_marks_is_a_fault(store: Store) -> None:
    readme(store.root).write_text("# Title\n")
    (line,) = faults(Store(store.root))
    assert "README.md has lost its marks" in line


@pytest.mark.usefixtures("quick_costs")
def test_a_claim_that_cannot_be_tested_is_a_fault(tmp_path: Path) -> None:
    from robustlib.papers.madry2018 import tables as paper

    readme(tmp_path)
    for regime in ("natural", "PGD"):
        file(tmp_path, paper.trace(regime), metrics=fabricate(PGD).metrics)
    (line,) = faults(Store(tmp_path))
    assert "madry2018/loss-during-pgd/mnist" in line
    assert "cannot be tested on results/full/" in line


def test_outcomes_of_a_certificate_need_not_be_the_accuracy(tmp_path: Path) -> None:
    record = replace(fabricate(PGD, correct=0.9), outcomes={"certified": pack(fabricate(PGD, correct=0.2).outcome())})
    Store(tmp_path).write(record, PGD)
    assert faults(Store(tmp_path)) == []


def test_a_loss_trace_is_no_soundness_claim(tmp_path: Path) -> None:
    file(tmp_path, TRACE)
    assert faults(Store(tmp_path)) == []


def certified(threat: LinfBall, share: float) -> Record:
    """A record that certifies a share of the points in that ball."""
    return fabricate(replace(CLEAN, measurement=Certificate(threat)), correct=share)


@pytest.mark.parametrize(
    ("threat", "broken"),
    [
        (BALL, True),
        (LinfBall(0.2), True),
        (LinfBall(0.1, None), True),
        (LinfBall(0.05), False),
        (LinfBall(0.2, (-1, 1)), False),
    ],
)
def test_a_certified_point_that_an_attack_breaks_inside_its_ball_is_a_fault(threat: LinfBall, broken: bool) -> None:
    attack = fabricate(PGD, correct=0.5)
    found = unsound([certified(threat, 0.6), attack])
    assert len(found) == broken
    assert all("10 certified points are broken by" in line for line in found)
    assert unsound([certified(threat, 0.5), attack]) == []


def test_a_certified_point_that_any_of_several_attacks_breaks_is_a_fault() -> None:
    several = replace(PGD, measurement=Attacked((PGD.measurement.attack,), BALL))  # type: ignore[union-attr]
    (line,) = unsound([certified(BALL, 0.6), fabricate(several, correct=0.5)])
    assert "10 certified points are broken by" in line
    assert unsound([certified(BALL, 0.5), fabricate(several, correct=0.5)]) == []


def test_what_a_cascade_answers_is_not_held_against_its_last_stage() -> None:
    # The record carries the last stage's weights; its outcomes are the whole cascade's.
    cascade = fabricate(replace(CLEAN, measurement=CascadeBound(BALL)), correct=0.5)
    assert unsound([certified(BALL, 0.6), cascade]) == []


def test_a_bracket_that_rises_is_a_fault(tmp_path: Path) -> None:
    suite = replace(CLEAN, measurement=WorstCase(BALL))
    sound = fabricate(suite, correct=0.5)
    assert inverted([sound]) == []
    # More points stand after PGD than stood after FGSM, on the same points: no run can say so.
    file(tmp_path, suite, correct=0.5, metrics=sound.metrics | {"after Pgd": Metric(0.7, 100, 0.6, 0.8)})
    (line,) = faults(Store(tmp_path))
    assert line.startswith(f"INVERTED results/full/{NETWORK.name}/worstcase-")
    assert line.endswith("0.7 stand after PGD, 0.5 after FGSM")
    assert main(["--root", str(tmp_path), "check"]) == 1


def test_a_suite_that_leaves_less_than_a_bound_certifies_stops_the_build(tmp_path: Path) -> None:
    suite = replace(CLEAN, measurement=WorstCase(BALL))
    file(tmp_path, suite, correct=0.5)
    file(tmp_path, replace(CLEAN, measurement=Certificate(BALL)), correct=0.6)
    (line,) = faults(Store(tmp_path))
    assert line.startswith(f"UNSOUND results/full/{NETWORK.name}/certificate-")
    assert "10 certified points are broken by" in line


def exact(proven: float, left: float) -> Record:
    """A record that proves one share of the points and breaks all but another."""
    found = fabricate(replace(CLEAN, measurement=Exact(BALL, Pgd(3, 0.05), 10)), correct=proven)
    return replace(
        found,
        path="exact",
        outcomes={"certified": pack(np.arange(100) < 100 * proven), "correct": pack(np.arange(100) < 100 * left)},
    )


def test_a_solvers_proofs_and_counterexamples_are_held_against_everything() -> None:
    attack = fabricate(PGD, correct=0.5)
    assert unsound([exact(0.5, 0.6), attack, certified(BALL, 0.4)]) == []
    # Its proof is a certificate that an attack breaks; its counterexample an attack that breaks a certificate.
    (line,) = unsound([exact(0.6, 0.7), attack])
    assert "10 certified points are broken by" in line
    (line,) = unsound([exact(0.4, 0.5), certified(BALL, 0.6)])
    assert "10 certified points are broken by" in line
    assert len(unsound([exact(0.6, 0.5)])) == 1  # against itself


@pytest.mark.parametrize(
    ("left", "proven", "bound", "faulty"),
    [(0.5, 0.5, 0.5, 0), (0.6, 0.5, 0.4, 0), (0.4, 0.5, 0.3, 1), (0.6, 0.4, 0.5, 1), (0.3, 0.4, 0.5, 2)],
)
def test_worst_case_exact_certified_may_only_fall(left: float, proven: float, bound: float, faulty: int) -> None:
    suite = fabricate(replace(CLEAN, measurement=WorstCase(BALL)), correct=left, path="suite")
    group = [replace(certified(BALL, bound), path="bound"), exact(proven, 0.9), suite]
    found = inverted(group)
    assert len(found) == faulty
    assert all(line.startswith("INVERTED") and "stand after" in line for line in found)
    # Another ball, or other points, says nothing.
    assert inverted([certified(LinfBall(0.05), 0.9), exact(proven, 0.9), replace(suite, weights_digest="f" * 64)]) == []


@pytest.mark.parametrize("inside", ["", "results", "results/smoke/x", "weights"])
def test_nothing_to_check_is_a_fault(inside: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Else a wrong folder would pass for a sound one."""
    (tmp_path / inside).mkdir(parents=True, exist_ok=True)
    assert main(["--root", str(tmp_path), "check"]) == 1
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert f"{tmp_path / 'results'} holds no records to check; --root or ROBUSTLIB_ROOT names" in out
