"""What stops the build, and what does not: certificates that an attack breaks, worst cases, inversions."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from robustlib.attacks.suite import Clean, Fgsm, Noise, Pgd
from robustlib.book.check import faults
from robustlib.book.inversions import LEAKING, OPEN, inversions, page
from robustlib.errors import RobustlibError
from robustlib.evaluate import outcomes as evaluate
from robustlib.evaluate import worst_case
from robustlib.evaluate.accuracy import Accuracy
from robustlib.evaluate.bracket import Bracket
from robustlib.evaluate.certificates import Certificate
from robustlib.experiments.store import Store
from robustlib.report.soundness import settled, unsound
from robustlib.spec.evaluation import Evaluation, Subset
from robustlib.spec.records import Record, pack
from robustlib.threat import Ball, L2Ball, LinfBall
from robustlib.training import FgsmTraining
from tests.experiments.tiny import FGSM, NETWORK, OTHER, PGD, execute, fabricate, file

CORRECT = np.arange(100) % 4 > 0
CERTIFIED = np.arange(100) % 8 == 1


BALL, POINTS = LinfBall(0.1), Subset(n=100)


def evaluation(attack: Any, threat: Ball | None = BALL, subset: Subset = POINTS, **changes: Any) -> Evaluation:
    return Evaluation(NETWORK, Accuracy(attack, threat, **changes), subset)


ATTACKED = evaluation(Pgd(5, 0.05))
CERTIFICATE = Evaluation(NETWORK, Certificate(BALL), POINTS)


def certificate(certified: np.ndarray = CERTIFIED, **changes: Any) -> Record:
    return fabricate(CERTIFICATE, correct=certified, path="results/full/net/bound.json", **changes)


def attacked(what: Evaluation = ATTACKED, correct: np.ndarray = CORRECT, **changes: Any) -> Record:
    return fabricate(what, correct=correct, path="results/full/net/attack.json", **changes)


# Certified and broken -----------------------------------------------------------------------------------------


def test_a_certificate_that_holds_is_sound() -> None:
    assert unsound([certificate(), attacked()]) == []


def test_a_certified_point_that_is_broken_is_one_line() -> None:
    claim = CERTIFIED.copy()
    claim[[0, 4]] = True  # both fall to the attack
    assert unsound([certificate(claim), attacked()]) == [
        "UNSOUND results/full/net/bound.json: 2 certified points are broken by results/full/net/attack.json"
    ]


@pytest.mark.parametrize(
    "what",
    [
        evaluation(Clean(), None),
        evaluation(Pgd(5, 0.05), LinfBall(0.05)),
        evaluation(Fgsm(), source=OTHER),
        evaluation(Pgd(50, 0.01, restarts=9)),
    ],
    ids=["clean", "smaller radius", "transfer", "more steps"],
)
def test_whatever_stays_inside_the_certified_ball_counts(what: Evaluation) -> None:
    assert len(unsound([certificate(~CORRECT), attacked(what)])) == 1


@pytest.mark.parametrize(
    "other",
    [
        attacked(evaluation(Pgd(5, 0.05), LinfBall(0.2))),
        attacked(evaluation(Pgd(5, 0.05), LinfBall(0.1, domain=None))),
        attacked(evaluation(Pgd(5, 0.05), L2Ball(0.1))),
        attacked(evaluation(Pgd(5, 0.05), subset=Subset(n=100, seed=1))),
        attacked(evaluation(Pgd(5, 0.05), subset=Subset(n=100, split="train"))),
        attacked(weights_digest="f" * 64),
        attacked(dataset={"name": "digits", "digest": "other", "inexact": {}}),
    ],
    ids=["larger radius", "no domain", "another norm", "other points", "other split", "other weights", "other data"],
)
def test_another_claim_is_not_contradicted(other: Record) -> None:
    assert unsound([certificate(~CORRECT), other]) == []


def test_different_numbers_of_points_are_a_fault() -> None:
    (line,) = unsound([certificate(np.ones(99, bool)), attacked()])
    assert "count different points; run both again" in line


def test_a_bracket_that_proves_what_its_own_attack_broke_is_unsound() -> None:
    what = Evaluation(NETWORK, Bracket(BALL, Pgd(5, 0.05), Fgsm()), POINTS)
    record = replace(
        fabricate(what, correct=CORRECT), outcomes={"certified": pack(CERTIFIED), "correct": pack(CORRECT)}
    )
    assert unsound([record]) == []
    (line,) = unsound([replace(record, outcomes={"certified": pack(~CORRECT), "correct": pack(CORRECT)})])
    assert "25 certified points are broken" in line
    assert len(unsound([replace(record, outcomes=record.outcomes | {"certified": pack(~CORRECT)}), attacked()])) == 2


def test_ends_count_every_record_about_the_ball_and_no_other() -> None:
    record = fabricate(CERTIFICATE, correct=CORRECT, path="results/full/net/bracket.json")
    record = replace(record, outcomes={"certified": pack(CERTIFIED), "correct": pack(CORRECT)})
    few, none = np.arange(100) == 2, np.zeros(100, bool)
    uncut = fabricate(evaluation(Noise(), LinfBall(0.1, None)), path="results/full/net/uncut.json")
    uncut = replace(uncut, outcomes={"certified": pack(few)})
    weaker = replace(
        attacked(evaluation(Pgd(5, 0.05), LinfBall(0.05)), correct=~few), path="results/full/net/near.json"
    )
    wider = attacked(evaluation(Pgd(5, 0.05), LinfBall(0.2)), correct=none)
    proven, unbroken, counted = settled(record, [record, uncut, weaker, wider, attacked(weights_digest="f" * 64)])
    np.testing.assert_array_equal(proven, CERTIFIED | few)
    np.testing.assert_array_equal(unbroken, CORRECT & ~few)
    assert [other.path for other in counted] == [record.path, uncut.path, weaker.path]


# Worst case ---------------------------------------------------------------------------------------------------


@given(st.lists(arrays(bool, 20), min_size=1, max_size=5))
def test_the_worst_case_is_a_minimum_for_each_example(outcomes: list[np.ndarray]) -> None:
    worst = worst_case(outcomes)
    for outcome in outcomes:
        assert worst.sum() <= outcome.sum()
        assert not (worst & ~outcome).any()
    np.testing.assert_array_equal(worst, np.stack(outcomes).min(0))
    np.testing.assert_array_equal(worst, worst_case([*outcomes, worst]))


def test_the_worst_case_needs_the_same_points() -> None:
    for outcomes in ([np.ones(3, bool), np.ones(4, bool)], []):
        with pytest.raises(RobustlibError, match="same points; give arrays of one length"):
            worst_case(outcomes)


# An attack that cheats ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["too far", "outside the domain", "NaN"])
def test_an_attack_that_leaves_its_threat_writes_nothing(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cheat(attack: Any, model: Any, x: torch.Tensor, *rest: Any, **options: Any) -> torch.Tensor:
        x = x.clone()
        if fault == "NaN":
            x[0, 0, 0, 0] = torch.nan
        else:
            x[0, 0, 0, 0] = x[0, 0, 0, 0] + 0.1001 if fault == "too far" else -0.01
        return x

    monkeypatch.setattr(evaluate, "run_attack", cheat)
    left = r"Fgsm\(.*\) left LinfBall\(.*\) on 1 of 60 points; nothing was recorded"
    words = "not finite" if fault == "NaN" else left
    with pytest.raises(RobustlibError, match=words):
        execute(tmp_path, FGSM)
    assert not any((tmp_path / "results").rglob("*.json"))
    monkeypatch.undo()
    assert len(execute(tmp_path, FGSM).written) == 1


# Inversions are findings --------------------------------------------------------------------------------------


def ordered(*shares: tuple[Any, Ball | None, float]) -> list[Record]:
    return [
        fabricate(evaluation(attack, threat), correct=share, path=f"{type(attack).__name__}-{share}")
        for attack, threat, share in shares
    ]


def test_the_expected_order_has_no_findings() -> None:
    ball = LinfBall(0.1)
    records = ordered((Clean(), None, 0.9), (Noise(), ball, 0.9), (Fgsm(), ball, 0.5), (Pgd(5, 0.05), ball, 0.4))
    for some in permutations(records):
        assert inversions(some) == []


def test_label_leaking_and_masking_are_found() -> None:
    ball = LinfBall(0.1)
    records = ordered((Clean(), None, 0.9), (Fgsm(), ball, 0.95), (Pgd(5, 0.05), ball, 0.97))
    found = {(found.weaker.path, found.stronger.path): round(found.difference, 6) for found in inversions(records)}
    assert found == {("Clean-0.9", "Fgsm-0.95"): 0.05, ("Clean-0.9", "Pgd-0.97"): 0.07, ("Fgsm-0.95", "Pgd-0.97"): 0.02}


def test_what_cannot_be_compared_is_no_inversion() -> None:
    ball = LinfBall(0.1)
    other_radius = ordered((Fgsm(), ball, 0.5), (Pgd(5, 0.05), LinfBall(0.05), 0.8))
    towards = ordered((Fgsm(), ball, 0.5), (Pgd(5, 0.05, targeted=True), ball, 0.9))
    transfer = [*ordered((Fgsm(), ball, 0.5)), fabricate(evaluation(Pgd(5, 0.05), source=OTHER), correct=0.9)]
    weights = [*ordered((Fgsm(), ball, 0.5)), fabricate(PGD, correct=0.9, weights_digest="f" * 64)]
    for records in (other_radius, towards, transfer, weights):
        assert inversions(records) == []


def test_an_inversion_is_no_fault_and_is_listed_with_what_explains_it(tmp_path: Path) -> None:
    assert "No stronger attack" in page("quick", Store(tmp_path))
    file(tmp_path, evaluation(Clean(), None), "quick", correct=0.5)
    file(tmp_path, evaluation(Fgsm()), "quick", correct=0.9)
    taught = replace(NETWORK, defence=FgsmTraining(LinfBall(0.1)))
    for attack, share in ((Clean(), 0.5), (Fgsm(), 0.9)):
        asked = evaluation(attack, None if isinstance(attack, Clean) else BALL)
        file(tmp_path, replace(asked, subject=taught), "quick", correct=share)
    found = inversions(Store(tmp_path).records("quick"))
    assert {finding.why for finding in found} == {LEAKING, OPEN}, "only training on such steps leaks labels"
    listed = page("quick", Store(tmp_path))
    assert listed.count("| Clean | [50.0%]") == listed.count("| Fgsm | [90.0%]") == 2
    assert faults(Store(tmp_path)) == []
