"""Across the papers: every defence on one network, one threat, one set of points; and how claims aged."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from robustlib.catalogue import plan
from robustlib.catalogue.base import OWN, find_item, papers, published
from robustlib.data.registry import facts_of
from robustlib.evaluate.accuracy import Attacked
from robustlib.evaluate.cascades import CascadeBound
from robustlib.evaluate.certificates import Certificate
from robustlib.evaluate.exact import Exact
from robustlib.evaluate.suite_accuracy import WorstCase
from robustlib.models.released import checkpoints as registered
from robustlib.papers.comparison import claims as claimed
from robustlib.papers.comparison import released
from robustlib.papers.comparison import tables as comparison
from robustlib.papers.comparison.aged import FATES, aged
from robustlib.papers.wong2018 import networks as table
from robustlib.report.citations import PLACE, measured_at
from robustlib.spec.evaluation import Evaluation
from robustlib.spec.keys import departures, key
from robustlib.spec.records import Record
from robustlib.training import Certified, Distillation
from tests.experiments.tiny import WHOLE_ITEMS, fabricate

CELLS = comparison.cells()


def shrunk(full: Evaluation, profile: str) -> Evaluation:
    found = plan.shrink(full, profile)
    assert found is not None
    return found


def test_every_network_has_every_column_or_a_reason() -> None:
    assert find_item(comparison.ITEM).source == OWN
    by_place = {(cell.row, cell.column): cell for cell in CELLS}
    assert len(by_place) == len(CELLS)
    for name in comparison.NETWORKS:
        for column in comparison.COLUMNS:
            cell = by_place[name, column]
            assert bool(cell.evaluations) != bool(cell.unavailable)
            unasked = column in comparison.EXACT and name not in comparison.ASKED
            assert bool(cell.unavailable) <= (name == comparison.CASCADE or unasked)
    assert by_place[comparison.CASCADE, "clean"].evaluations
    assert by_place[comparison.CASCADE, "certified: slopes of the paper"].metric == "strict_bound"


@pytest.mark.parametrize("profile", WHOLE_ITEMS)
def test_one_network_one_data_set_one_threat_one_set_of_points(profile: str) -> None:
    found = [job.evaluation for job in plan.jobs([find_item(comparison.ITEM)], profile)]
    assert len({evaluation.subject.model for evaluation in found}) == 1
    assert len({evaluation.subject.dataset for evaluation in found}) == 1
    assert len({evaluation.subset for evaluation in found}) == 1
    threats = {evaluation.measurement.threat for evaluation in found}  # type: ignore[union-attr]
    assert threats == {comparison.THREAT}
    assert len({key(evaluation.subject) for evaluation in found}) == len(comparison.NETWORKS)
    kinds = [type(evaluation.measurement) for evaluation in found]
    singles = len(comparison.NETWORKS) - 1
    assert [kinds.count(kind) for kind in (WorstCase, Attacked, Certificate, CascadeBound, Exact)] == [
        singles,
        singles,
        len(comparison.BOUNDS) * singles,
        1,
        len(comparison.ASKED),
    ]


def test_standard_and_certified_networks_are_those_of_the_papers_table() -> None:
    for name, robust in (("standard", False), ("certified, exact", True)):
        ours = comparison.bound(name, "certified: slopes of the paper")
        theirs = table.bound(table.network("MNIST", robust=robust), comparison.THREAT)
        for profile in WHOLE_ITEMS:
            # The same key: a record that one of the two has made serves the other.
            assert key(shrunk(ours, profile)) == key(shrunk(theirs, profile))
            suite = shrunk(comparison.suite(name), profile)
            assert suite.subject == shrunk(ours, profile).subject


@pytest.mark.parametrize("profile", ["smoke", "quick"])
def test_reduced_networks_keep_what_makes_their_defence(profile: str) -> None:
    made = {name: shrunk(comparison.suite(name), profile).subject for name in comparison.NETWORKS}
    for name, network in comparison.NETWORKS.items():
        assert type(made[name].defence) is type(network.defence)
        assert getattr(made[name].defence, "threat", None) == getattr(network.defence, "threat", None)
    student = made["distilled, T 100"]
    assert isinstance(student.defence, Distillation)
    assert student.teacher is not None
    assert student.teacher.defence.temperature == student.defence.temperature == 100  # type: ignore[union-attr]
    assert student.teacher.seed != student.seed
    projected = made["certified, projected"].defence
    assert isinstance(projected, Certified)
    assert projected.projections > 0
    assert made[comparison.CASCADE].earlier == (made["certified, exact"],)


def _records(predicate_text: str, values: Sequence[float]) -> tuple[bool, list[Record]]:
    predicate = next(p for p in claimed.predicates() if p.text.startswith(predicate_text))
    records = [fabricate(need, correct=value) for need, value in zip(predicate.needs, values, strict=True)]
    return predicate.test(records), records


def test_a_share_certified_above_the_worst_case_fails_its_claim() -> None:
    singles = len(comparison.NETWORKS) - 1
    sound = [0.9, 0.1, 0.2, 0.3, 0.9] * singles
    assert _records("No network is certified on more points", sound)[0]
    for broken in (4, len(sound) - 1):
        values = list(sound)
        values[broken] = 0.91
        assert not _records("No network is certified on more points", values)[0]


def test_claims_are_tested_both_ways() -> None:
    proven = [0.0] * 5 + [0.9, 0.8]
    assert _records("Training on a bound, and nothing else", proven)[0]
    assert not _records("Training on a bound, and nothing else", [0.6, *proven[1:]])[0]
    assert not _records("Training on a bound, and nothing else", [*proven[:-1], 0.4])[0]
    assert _records("In the worst case PGD training and TRADES", [0.96, 0.95, 0.9, 0.9])[0]
    assert not _records("In the worst case PGD training and TRADES", [0.96, 0.89, 0.9, 0.9])[0]
    assert _records("In the worst case distillation", [0.4, 0.9])[0]
    assert not _records("In the worst case distillation", [0.5, 0.9])[0]
    assert _records("The strict rule certifies no more", [0.5])[0]  # both rules the same


def test_the_solver_is_asked_about_every_open_point_of_a_network_trained_on_a_bound() -> None:
    for profile in ("quick", "full"):
        for name in comparison.ASKED:
            evaluation = shrunk(comparison.exact(name), profile)
            assert isinstance(evaluation.measurement, Exact)
            whole = evaluation.measurement.tried >= (evaluation.subset.n or 10_000)
            assert whole == name.startswith("certified")


def test_a_search_covers_every_point_that_the_rule_counts() -> None:
    for profile in ("quick", "full"):
        evaluation = shrunk(comparison.cascade(), profile)
        assert isinstance(evaluation.measurement, CascadeBound)
        assert evaluation.measurement.searched >= (evaluation.subset.n or 10_000)


# The networks that the authors released -------------------------------------------------------------------------------


def test_every_released_network_whose_data_are_at_hand_has_a_bracket() -> None:
    measured = {line.network.defence.file for line in released.NETWORKS.values()}  # type: ignore[attr-defined]
    left_out = {known.file for known in registered().values()} - measured
    assert left_out == {"wong_kolter/polytope_svhn.pth"}
    rows = {(cell.row, cell.column): cell for cell in released.cells()}
    assert len({row for row, _ in rows}) == len(list(released.rows()))
    persons = {row for row, column in rows if column.endswith("person")}
    assert persons == {f"polytope, HAR, ε 0.05, {whose}" for whose in (released.AUTHORS, released.OURS)}
    assert not [cell for cell in rows.values() if cell.unavailable]
    sampled = {(row, column) for row, column in rows if column.endswith("points")}
    assert {row.partition(",")[0] for row, _ in sampled} == {"TRADES"}
    assert len(sampled) == 3


def test_both_ends_are_of_the_printed_ball_cut_to_the_inputs() -> None:
    for name, line in released.NETWORKS.items():
        trained = line.network.defence.threat  # type: ignore[attr-defined]
        assert replace(trained, domain=line.threat.domain) == line.threat
        assert line.threat.domain == facts_of(line.network.dataset).domain
        assert not line.network.earlier, "a cascade's first network"
        share = released.printed(name)
        assert (share is None) == (name.startswith("TRADES") or ", l2, " in name), "none printed, or none verified"
    assert released.printed("polytope, HAR, ε 0.05") == pytest.approx(78.10)


def test_ours_differ_from_the_authors_in_nothing_but_their_training() -> None:
    for name, line in released.NETWORKS.items():
        for network in line.ours:
            assert (network.model, network.dataset) == (line.network.model, line.network.dataset)
            ours, theirs = released.bracket(name, network), released.bracket(name, line.network)
            assert (ours.measurement, ours.subset) == (theirs.measurement, theirs.subset)
            quick = shrunk(ours, "quick")
            assert (quick.measurement, quick.subset) == (ours.measurement, ours.subset), "quick keeps the evaluation"
            assert all(line.startswith("subject.") for line in departures(ours, quick))


# How the claims aged --------------------------------------------------------------------------------------------------


def test_every_paper_has_claims_and_every_place_a_number(root: Path) -> None:
    assert {line.paper for line in aged()} == set(papers()) - {comparison.PAPER}
    numbers = {number.id for number in published()}
    keys = set(re.findall(r"@\w+\{(\w+),", (root / "book/references.bib").read_text(encoding="utf-8")))
    for line in aged():
        assert line.fate in FATES
        assert set(filter(None, line.later.split(","))) <= keys, line.claim
        places = {part: PLACE.findall(part) for part in (line.published, line.ours, line.strongest, line.why)}
        assert {kind for kind, _ in places[line.published]} == {"paper"}
        assert places[line.ours]
        assert {kind for kind, _ in places[line.ours]} <= {"ours", "row"}
        for found in places.values():
            for kind, name in found:
                assert measured_at(name) if kind in ("ours", "row") else name in numbers, (line.claim, name)


def test_what_was_broken_names_who_broke_it() -> None:
    assert all(line.later for line in aged() if line.fate in ("broken", "held, then surpassed"))


def test_no_measurement_is_typed_into_a_claim() -> None:
    for line in aged():
        bare = re.sub(r"\{[^}]*\}", "", line.text)
        assert not re.search(r"\d\s?%|\d\.\d{2}", bare), line.text


def test_quoted_numbers_are_verified() -> None:
    numbers = {number.id: number for number in published()}
    quoted = [name for line in aged() for kind, name in PLACE.findall(line.text) if kind == "paper"]
    assert quoted
    # A recalled number would be shown with its mark, and decide nothing; the headline claims need none.
    assert [name for name in quoted if not numbers[name].verified] == []


def test_a_cascade_of_another_order_is_another_network() -> None:
    cascade = comparison.NETWORKS[comparison.CASCADE]
    assert key(replace(cascade, earlier=())) != key(cascade)
