"""Other people's attacks beside our records: the page from a file that was never measured, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import independent as outside
from robustlib.attacks.suite import Fgsm, Pgd
from robustlib.book.independent import FILE, page
from robustlib.errors import RobustlibError
from robustlib.evaluate.accuracy import Accuracy
from robustlib.evaluate.certificates import Certificate
from robustlib.evaluate.suite_accuracy import WorstCase
from robustlib.experiments.store import Store
from robustlib.spec.evaluation import Evaluation, Subset
from robustlib.spec.records import pack
from robustlib.threat import L2Ball, LinfBall
from tests.experiments.tiny import BALL, CLEAN, FGSM, NETWORK, file

SUITE = Evaluation(NETWORK, WorstCase(BALL), FGSM.subset)


def row(evaluation: Evaluation, root: Path, standing: int, **changes: Any) -> dict[str, Any]:
    """A library that leaves the first ``standing`` of a hundred points."""
    record = Store(root).find(evaluation, "full")
    assert record is not None
    return {
        "record": record.path,
        "evaluation_key": record.evaluation_key,
        "weights": record.weights_digest,
        "library": "foolbox",
        "version": "3.3.4",
        "torch": "2",
        "attack": "LinfPGD",
        "eps": 0.1,
        "standing": pack(np.arange(100) < standing),
    } | changes


def write(root: Path, *rows: dict[str, Any]) -> Store:
    (root / "book").mkdir(exist_ok=True)
    (root / FILE).write_text(json.dumps(rows))
    return Store(root)


def test_theirs_stand_beside_ours_with_what_each_broke_alone(tmp_path: Path) -> None:
    file(tmp_path, FGSM, correct=0.9)
    file(tmp_path, SUITE, correct=0.5)
    pgd = {"steps": 40, "step_size": 0.01, "random_start": True}
    store = write(
        tmp_path,
        row(FGSM, tmp_path, 87),
        row(FGSM, tmp_path, 92, library="torchattacks", version="3.5.1", attack="FGSM"),
        row(SUITE, tmp_path, 95, **pgd),
    )
    head, _, first, second, *_ = page(tmp_path, store).splitlines()
    assert head.endswith("| ours | foolbox 3.3.4 | torchattacks 3.5.1 |")
    assert "| eps 0.1, FGSM | 100 | [90.0% (82.6 to 94.5)](#record-" in first
    assert "| 87.0% (79.0 to 92.2); 3 / 0 | 92.0% (85.0 to 95.9); 0 / 2 |" in first
    assert "eps 0.1, PGD, 40 steps of 0.01, random start" in second
    assert "worst case](#record-" in second
    assert "; 0 / 45; **apart** | not run |" in second, "the intervals of 50 and 95 in a hundred do not overlap"


def test_without_a_file_the_page_says_how_to_make_one(tmp_path: Path) -> None:
    assert "python -m benchmarks.independent --out book" in page(tmp_path, Store(tmp_path))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"weights": "f" * 64}, "foolbox attacked weights ffffffffffffffff"),
        ({"evaluation_key": "0" * 16}, "of evaluation 0000000000000000"),
        ({"record": "results/full/none/fgsm-00000000.json"}, "there is no results/full/none"),
        ({"standing": pack(np.ones(99, bool))}, "other points than results/full"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    file(tmp_path, FGSM)
    store = write(tmp_path, row(FGSM, tmp_path, 90) | changes)
    with pytest.raises(RobustlibError, match=words) as caught:
        page(tmp_path, store)
    assert "run python -m benchmarks.independent" in str(caught.value)


def test_weights_that_were_replaced_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file agrees with the record, but another network of the same specification is committed now."""
    file(tmp_path, FGSM)
    store = write(tmp_path, row(FGSM, tmp_path, 90))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "x.safetensors").touch()
    facts = {"training_key": store.records()[0].training_key, "digest": "e" * 64}
    monkeypatch.setattr("robustlib.book.independent.read_weights", lambda path: ({}, facts))
    with pytest.raises(RobustlibError, match="and weights/ eeeeeeeeeeeeeeee"):
        page(tmp_path, store)


@pytest.mark.parametrize(("certified", "sound"), [(87, True), (88, False)])
def test_a_certificate_holds_for_other_people_s_attacks(tmp_path: Path, certified: int, sound: bool) -> None:
    file(tmp_path, FGSM, correct=0.9)
    claim = replace(FGSM, measurement=Certificate(BALL))
    file(tmp_path, claim, outcomes={"certified": pack(np.arange(100) < certified)})
    store = write(tmp_path, row(FGSM, tmp_path, 87))
    if sound:
        text = page(tmp_path, store)
        assert "\n1 times an attack" in text
        assert "87 certified points, counted each time, of which none was broken" in text
    else:
        with pytest.raises(RobustlibError, match="1 certified points are broken by foolbox's LinfPGD"):
            page(tmp_path, store)


def test_others_repeat_plain_white_box_attacks_on_many_points() -> None:
    ball = LinfBall(0.3)
    attack = Pgd(steps=100, step_size=0.01, random_start=False)

    def asked(what: Any, n: int | None = 1000) -> Any:
        return outside.repeated(Evaluation(NETWORK, what, Subset(n=n)))

    assert asked(Accuracy(attack, ball)) == (ball, attack)
    assert asked(Accuracy(Fgsm(), ball), None) == (ball, Fgsm())
    assert asked(WorstCase(ball), 200) == (ball, Pgd(steps=40, step_size=0.3 / 30))
    left_out = [
        Accuracy(replace(attack, restarts=20), ball),
        Accuracy(replace(attack, loss="margin"), ball),
        Accuracy(replace(attack, targeted=True), ball),
        Accuracy(Fgsm(random_step=0.1), ball),
        Accuracy(attack, ball, source=NETWORK),
        Accuracy(attack, LinfBall(0.3, None)),
        Accuracy(attack, L2Ball(0.3)),
        CLEAN.measurement,
    ]
    assert [asked(what) for what in left_out] == [None] * len(left_out)
    assert asked(Accuracy(attack, ball), 200) is None


def test_an_unknown_library_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert outside.main(["--library", "foolbax", "--out", str(tmp_path)]) == 2
    assert "foolbox" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_committed_file_is_of_the_committed_networks(root: Path, committed: Store) -> None:
    text = page(root, committed)
    assert "foolbox" in text
    assert "torchattacks" in text
    assert "not run" not in text
    # What the page says in words: one attack breaks nothing that the suite leaves, and only there are they far apart.
    for line in (line for line in text.splitlines() if "](#record-" in line):
        suite = "worst case" in line
        assert suite or "**apart**" not in line
        assert not suite or line.count("; 0 / ") == 2
