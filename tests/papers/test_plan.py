"""Profiles and plans: what is run of each item, and in which state an item is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from robustlib.attacks.suite import Clean
from robustlib.budget import Budget
from robustlib.catalogue import plan
from robustlib.catalogue.base import Cell, find_item, items
from robustlib.errors import RobustlibError
from robustlib.evaluate.accuracy import Accuracy
from robustlib.evaluate.losses import LocalMaxima
from robustlib.evaluate.suite_accuracy import WorstCase
from robustlib.evaluate.targeted import Targeted
from robustlib.evaluate.update_time import Cost
from robustlib.experiments import profiles
from robustlib.experiments.profiles import On, Reduction, Version, reduce, reduction_of
from robustlib.experiments.store import Store
from robustlib.papers.madry2018 import networks as madry
from robustlib.papers.madry2018 import profiles as madry2018
from robustlib.papers.wong2018scaling import profiles as wong2018scaling
from robustlib.papers.zhang2019 import profiles as zhang2019
from robustlib.report.evidence import grade
from robustlib.report.join import stated
from robustlib.spec.evaluation import Evaluation, Subset
from robustlib.spec.keys import departures, key
from robustlib.spec.network import Network
from robustlib.spec.records import Record
from tests.experiments.tiny import CLEAN, FGSM, PGD, WHOLE_ITEMS, accuracy, fabricate, file

SCALED = madry2018.SCALED | zhang2019.SCALED | wong2018scaling.SCALED

# Profiles -----------------------------------------------------------------------------------------------------


def test_unknown_profiles_are_refused_with_the_nearest() -> None:
    for ask in (profiles.profile, profiles.search_order):
        with pytest.raises(RobustlibError, match="unknown profile 'quik'; did you mean 'quick'"):
            ask("quik")
    with pytest.raises(RobustlibError, match="unknown profile 'smok'; did you mean 'smoke'"):
        plan.evaluations(plan.cells_of("madry2018/table-1")[0], "smok")


def test_stand_in_data_is_never_published() -> None:
    assert "smoke" in profiles.NAMES
    assert "smoke" not in profiles.FAITHFUL_FIRST
    assert profiles.search_order(profiles.BEST) == profiles.FAITHFUL_FIRST
    assert profiles.search_order("smoke") == ("smoke",)
    assert set(profiles.FAITHFUL_FIRST) < set(profiles.NAMES)
    for name in profiles.FAITHFUL_FIRST:
        assert all(job.evaluation.subject.dataset != "digits" for job in plan.jobs(plan.select([]), name))


def test_full_departs_from_the_paper_where_it_is_declared_and_nowhere_else() -> None:
    scaled = 0
    for job in plan.jobs(plan.select([]), "full"):
        what, subject = job.full.measurement, job.full.subject
        departs = job.evaluation != job.full
        assert bool(job.deviations) is departs
        if subject.model.name in SCALED and not isinstance(what, Cost):
            scaled += 1
            assert departs
        elif departs:
            assert job.evaluation.subject == subject, "a network that is not declared is the paper's"
            long = isinstance(what, WorstCase | Targeted) and subject.dataset == "cifar10"
            assert isinstance(what, LocalMaxima) or (long and job.evaluation.subset.n == 500)
        for network in job.evaluation.lineage:  # those that others are attacked from or made of, too
            if network.model.name in SCALED and not isinstance(what, Cost):
                assert network.model.width <= SCALED[network.model.name].widest
                assert network.schedule.steps * network.schedule.batch <= 15 * 60_000
                assert all(step < network.schedule.steps for step, _ in network.schedule.decay)
    assert scaled > 50


def test_two_reductions_of_one_evaluation_are_refused() -> None:
    full = plan.cells_of("madry2018/table-1")[0].evaluations[0]
    (found,) = (one for one in plan.reductions_of("madry2018") if one.on(full))
    with pytest.raises(RobustlibError, match="2 reductions apply to clean of mnist-madry_cnn16"):
        reduce(full, "quick", (found, replace(found, on=On())))


def test_without_a_reduction_the_full_profile_alone_runs_an_evaluation() -> None:
    assert [reduce(CLEAN, name, ()) for name in profiles.NAMES] == [None, None, None, CLEAN]


def test_reduced_profiles_write_down_what_they_change() -> None:
    for name in ("smoke", "quick"):
        for job in plan.jobs(plan.select([]), name):
            # What a profile leaves whole is the paper's own protocol, and filed with those.
            assert bool(job.deviations) is (job.home(name) == name)
            assert job.home(name) in (name, "full")
            assert all(line.startswith(("subject", "measurement", "subset")) for line in job.deviations)


def test_smoke_is_digits_and_small() -> None:
    for job in plan.jobs(plan.select([]), "smoke"):
        # Data that a rule makes need no stand-in.
        assert all(network.dataset in ("digits", "plane", "lender") for network in job.evaluation.networks)
        assert all(network.schedule.steps <= 300 for network in job.evaluation.networks)
        assert job.evaluation.subset.n is None or job.evaluation.subset.n <= 100


def test_a_profile_keeps_threats_and_seeds() -> None:
    for name in profiles.NAMES:
        for job in plan.jobs(plan.select(["madry2018/table-1"]), name):
            full, ran = job.full.measurement, job.evaluation.measurement
            assert isinstance(full, Accuracy)
            assert isinstance(ran, Accuracy)
            assert ran.threat == full.threat
            assert type(ran.attack) is type(full.attack)
            assert job.evaluation.subject.seed == job.full.subject.seed
            assert (ran.source is None) == (full.source is None)


def test_a_restart_attack_keeps_the_reach_of_its_steps() -> None:
    for job in plan.jobs(plan.select(["madry2018/table-1"]), "smoke"):
        full, ran = (getattr(e.measurement, "attack", None) for e in (job.full, job.evaluation))
        if hasattr(full, "steps"):
            assert ran.steps * ran.step_size == pytest.approx(full.steps * full.step_size)  # type: ignore[union-attr]


def test_a_profile_never_takes_two_evaluations_of_an_item_for_one() -> None:
    # Otherwise an item compares a record with itself.
    for name in (profiles.REDUCED, profiles.LEVEL):
        for item in items():
            fulls = {full for cell in plan.cells_of(item.id) for full in cell.evaluations}
            fulls |= {full for claim in plan.predicates_of(item.id) for full in claim.needs}
            made = [made for full in fulls if (made := plan.shrink(full, name, item.paper)) is not None]
            assert len(set(made)) == len(made), f"{item.id} under {name}"


# Plans --------------------------------------------------------------------------------------------------------


def test_everything_is_selected_by_item_or_paper() -> None:
    assert plan.select([]) == list(items())
    assert [item.id for item in plan.select(["madry2018/table-1"])] == ["madry2018/table-1"]
    chapter = plan.select(["madry2018"])
    assert {item.paper for item in chapter} == {"madry2018"}
    assert plan.select(["madry2018", "madry2018/table-1"]) == chapter
    with pytest.raises(RobustlibError, match="unknown item 'madry2017'"):
        plan.select(["madry2017"])


def test_a_plan_has_each_evaluation_once_and_all_that_its_cells_and_claims_need() -> None:
    for name in profiles.NAMES:
        jobs = plan.jobs(plan.select([]), name)
        planned = {key(job.evaluation) for job in jobs}
        assert len(planned) == len(jobs)
        for item in items():
            for cell in plan.cells_of(item.id):
                assert {key(job.evaluation) for job in plan.evaluations(cell, name)} <= planned
                for job in plan.evaluations(cell, name):
                    profile = profiles.profile(job.home(name))
                    seeds = profile.table_seeds if item.kind == "table" else profile.figure_seeds
                    seeds = seeds if job.evaluation == job.full else min(seeds, profile.scaled_seeds)
                    seeds = profile.spread_seeds if cell.spread else seeds
                    seeds = profile.distribution_seeds if cell.distribution else seeds
                    assert job.full in cell.evaluations[:seeds]
            for predicate in plan.predicates_of(item.id) if name in WHOLE_ITEMS else ():
                assert {key(shrunk) for full in predicate.needs if (shrunk := plan.shrink(full, name))} <= planned


def test_a_parent_has_the_cells_of_its_panels() -> None:
    whole, mnist, cifar = (plan.cells_of(f"madry2018/capacity{part}") for part in ("", "/mnist", "/cifar10"))
    assert whole == (*mnist, *cifar)
    assert len(mnist) > len(cifar) > 0
    claims = [plan.predicates_of(f"madry2018/capacity{part}") for part in ("", "/mnist", "/cifar10")]
    assert [p.text for p in claims[0]] == [p.text for panel in claims[1:] for p in panel] != []
    # One item's id may begin with another's.
    assert all(cell.item != "madry2018/capacity-cifar10" for cell in plan.cells_of("madry2018/capacity"))


def test_a_claim_waits_for_all_its_records(tmp_path: Path) -> None:
    predicate = next(p for p in plan.predicates_of("madry2018/loss-during-pgd") if len(p.needs) == 2)
    wanted = [plan.shrink(full, "smoke") for full in predicate.needs]
    assert stated(predicate, "smoke", Store(tmp_path)).state == "not run"
    for shrunk in wanted:
        assert stated(predicate, "smoke", Store(tmp_path)).records == ()
        assert shrunk is not None
        file(tmp_path, shrunk, "smoke", correct=1.0)
    told = stated(predicate, "smoke", Store(tmp_path))
    assert told.state in ("holds", "fails", "contradicted")
    assert [Path(path).stem.rpartition("-")[2] for path in told.records] == [key(s)[:8] for s in wanted if s]
    assert stated(predicate, "full", Store(tmp_path)).state == "not run"


def test_a_stand_in_is_compared_with_stand_ins_alone(tmp_path: Path) -> None:
    wider = next(p for p in plan.predicates_of("madry2018/capacity/cifar10") if "wider" in p.text)
    simple, wide = wider.needs

    def put(full: Evaluation, profile: str, correct: float) -> Record:
        found = plan.shrink(full, profile, "madry2018")
        assert found is not None
        return file(tmp_path, found, profile, correct=correct, deviations=departures(full, found))

    quick = [put(simple, "quick", 0.2), put(wide, "quick", 0.3)]
    level = put(simple, "level", 0.4)
    found = stated(wider, profiles.BEST, Store(tmp_path))
    # The paper's simple network would beat what stands in for the wide one.
    assert found.state == "holds"
    assert found.records == tuple(record.path for record in quick)
    Path(tmp_path, quick[0].path).unlink()
    assert stated(wider, profiles.BEST, Store(tmp_path)).state == "not run"
    put(wide, "full", 0.5)
    assert level.path not in stated(wider, profiles.BEST, Store(tmp_path)).records


def test_the_level_profile_keeps_the_papers_own_evaluation_of_networks_of_another_training() -> None:
    trained = replace(CLEAN.subject, schedule=replace(CLEAN.subject.schedule, steps=7))
    full = replace(PGD, subject=CLEAN.subject, subset=Subset())

    def reduction(network: Network) -> Reduction:
        return Reduction(On(), None, Version(lambda _: network, Budget(points=10, steps=2, search="bfloat16")))

    found = reduce(full, profiles.LEVEL, (reduction(trained),))
    assert found == replace(full, subject=trained)
    assert found is not None
    assert grade([fabricate(found, profiles.LEVEL, deviations=departures(full, found))]) == "other recipe"
    narrow = replace(trained, model=replace(trained.model, width=1))
    assert reduce(full, profiles.LEVEL, (reduction(narrow),)) is None
    # Left whole it is the full profile's.
    assert reduce(full, profiles.LEVEL, (reduction(full.subject),)) is None
    # Another network than quick's, where quick's is more than another training.
    own = replace(reduction(narrow), level=Version(lambda _: trained))
    assert reduce(full, profiles.LEVEL, (own,)) == replace(full, subject=trained)
    # Its own version is taken as it is, in its own budget.
    smaller = replace(own, level=Version(lambda _: narrow, Budget(points=10)))
    assert reduce(full, profiles.LEVEL, (smaller,)) == replace(full, subject=narrow, subset=Subset(n=10))


def test_the_level_profile_runs_what_is_checked_or_asked_for_by_itself() -> None:
    asked = 0
    for cell in (cell for item in items() for cell in plan.cells_of(item.id)):
        paper = find_item(cell.item).paper
        if cell.published and cell.published.verified and not cell.published.doubt:
            continue
        by_itself = []
        for full in cell.evaluations:
            found = reduction_of(full, plan.reductions_of(paper))
            if found and found.level and found.level.uncompared:
                by_itself.append(plan.job_of(full, profiles.LEVEL, paper))
        expected = {key(job.evaluation) for job in by_itself[:3] if job}
        assert {key(job.evaluation) for job in plan.evaluations(cell, profiles.LEVEL)} == expected
        asked += len(expected)
    runs = {key(job.evaluation) for item in items() for job in plan.jobs([item], profiles.LEVEL)}
    assert asked > 20
    assert len(runs) > 100


# States -------------------------------------------------------------------------------------------------------

ITEM = "madry2018/table-1"


@pytest.fixture
def three_cells(monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """Table 1 has a cell of two seeds, one of one seed, and one that nobody can measure."""
    cells = [
        Cell(ITEM, "a", "x", evaluations=(CLEAN, accuracy(replace(CLEAN.subject, seed=5)))),
        Cell(ITEM, "b", "x", evaluations=(FGSM,)),
        Cell(ITEM, "c", "x", unavailable="other people's defence"),
    ]
    monkeypatch.setattr(plan, "cells_of", lambda item: tuple(c for c in cells if c.item == item))
    return cells


def state(folder: Path, item: str = ITEM, profile: str = "full") -> str:
    return plan.state(find_item(item), profile, Store(folder))


def test_an_item_is_done_when_every_available_cell_has_all_its_records(tmp_path: Path, three_cells: list[Cell]) -> None:
    seen = [state(tmp_path)]
    for cell in three_cells:
        for evaluation in cell.evaluations:
            file(tmp_path, evaluation)
            seen.append(state(tmp_path))
    # One seed of two does not make the first cell.
    assert seen == ["missing", "missing", "partial", "done"]
    # Nor does a record of one profile stand for another's.
    full = madry.accuracy(madry.network(), Clean())
    three_cells.append(Cell(ITEM, "d", "x", evaluations=(full,)))
    assert [state(tmp_path), state(tmp_path, profile="smoke")] == ["partial", "missing"]
    file(tmp_path, full)
    assert [state(tmp_path), state(tmp_path, profile="smoke")] == ["done", "missing"]


def test_an_item_that_a_profile_leaves_out_is_unavailable(
    tmp_path: Path, three_cells: list[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert state(tmp_path, profile="quick") == "unavailable"  # quick knows MNIST alone, the cells are digits
    three_cells[:] = [three_cells[2]]
    assert state(tmp_path) == "unavailable"


def test_a_parent_is_what_its_panels_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent, mnist, cifar = (f"madry2018/capacity{panel}" for panel in ("", "/mnist", "/cifar10"))
    cells = {mnist: [Cell(mnist, "a", "x", evaluations=(CLEAN,))], cifar: [Cell(cifar, "a", "x", evaluations=(PGD,))]}
    monkeypatch.setattr(plan, "cells_of", lambda item: tuple(cells.get(item, ())))
    assert state(tmp_path, parent) == "missing"
    file(tmp_path, CLEAN)
    assert (state(tmp_path, mnist), state(tmp_path, cifar), state(tmp_path, parent)) == ("done", "missing", "partial")
    file(tmp_path, PGD)
    assert state(tmp_path, parent) == "done"
    cells[cifar] = [Cell(cifar, "a", "x", unavailable="no such data")]
    assert state(tmp_path, parent) == "done"


def test_every_item_has_a_state_in_every_profile(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for item in items():
        for name in profiles.NAMES:
            derived = any(cell.derived is not None for cell in plan.cells_of(item.id))
            expected = {"done", "partial"} if derived else {"missing", "unavailable"}
            assert plan.state(item, name, store) in expected, item.id
