"""Rows and statements: the published number, the right records of the right profile, and the verdict on them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from robustlib.catalogue import plan
from robustlib.catalogue.base import Cell, Predicate, Published, find_item, items
from robustlib.errors import RobustlibError
from robustlib.experiments import profiles
from robustlib.experiments.store import Store
from robustlib.report import join as build
from robustlib.report.join import item_verdicts, measured, row, rows, statements, title_suffix
from robustlib.report.rows import networks_of
from robustlib.report.verdicts import Verdict
from robustlib.spec.evaluation import Evaluation, Subset
from robustlib.spec.keys import parse
from robustlib.spec.records import Metric
from robustlib.statistics import wilson
from robustlib.training import FgsmTraining, Standard
from tests.experiments.tiny import BALL, CLEAN, CURVE, FGSM, PGD, TRACE, fabricate, file

ITEM = "madry2018/table-1"
DIGITS = ("not judged", "unverified")
"""Verdicts on stand-in data beside a published number."""
PAPER = Published("x-1", ITEM, "a", "Accuracy", 90.0, "90.0", "%", True, "page 1")
MNIST = replace(CLEAN.subject, dataset="mnist")
WHOLE = [replace(CLEAN, subject=replace(MNIST, seed=seed), subset=Subset()) for seed in range(3)]
"""Three seeds on the whole test set."""
CELL = Cell(ITEM, "a", "Accuracy", published=PAPER, evaluations=tuple(WHOLE))


def fill(folder: Path, profile: str, shares: list[float], cell: Cell = CELL, **changes: Any) -> Store:
    """Records of the cell's first seeds, as the profile names them."""
    for job, share in zip(plan.evaluations(cell, profile), shares, strict=False):
        file(folder, job.evaluation, profile, correct=share, **({"n": 1000} | changes))
    return Store(folder)


# Rows ---------------------------------------------------------------------------------------------------------


def test_a_cell_without_records_is_not_run_and_says_why(tmp_path: Path) -> None:
    found = row(CELL, profiles.BEST, Store(tmp_path))
    assert (found.verdict.name, found.verdict.detail) == ("not run", "no record of this cell yet")
    assert (found.published, found.decimals, found.verified) == (90.0, 1, True)
    assert (found.values, found.low, found.n, found.profile, found.records) == ((), None, None, None, ())
    unavailable = replace(CELL, evaluations=(), unavailable="other people's defence")
    assert row(unavailable, profiles.BEST, Store(tmp_path)).verdict.detail == "other people's defence"


def test_three_networks_under_the_papers_protocol_that_agree_are_reproduced(tmp_path: Path) -> None:
    found = row(CELL, "full", fill(tmp_path, "full", [0.900, 0.901, 0.902]))
    assert found.verdict.name == "reproduced"
    assert found.values == pytest.approx((90.0, 90.1, 90.2))
    assert (found.evidence, found.profile, found.n, found.seeds) == ("paper's protocol", "full", 1000, 3)
    assert found.difference == pytest.approx(0.1)
    assert len(set(found.records)) == 3
    assert all(path.startswith("results/full/") for path in found.records)
    assert networks_of([found]) == {"results/full/mnist-madry_cnn2-standard"}


def test_far_from_the_paper_has_a_side(tmp_path: Path) -> None:
    assert row(CELL, "full", fill(tmp_path, "full", [0.70, 0.71, 0.705])).verdict.name == "lower"
    assert row(CELL, "full", fill(tmp_path, "full", [0.98, 0.99, 0.985])).verdict.name == "higher"


def test_fewer_networks_only_agree_or_leave_it_open(tmp_path: Path) -> None:
    assert row(CELL, "full", fill(tmp_path, "full", [0.90, 0.901])).verdict.name == "consistent"
    assert row(CELL, "full", fill(tmp_path, "full", [0.70, 0.71])).verdict.name == "open"


def test_an_open_protocol_keeps_it_from_being_reproduced_and_inexact_data_widen_it(tmp_path: Path) -> None:
    seeds = [0.900, 0.901, 0.902]
    store = fill(tmp_path, "full", seeds)
    found = row(replace(CELL, protocol_known=False, note="steps are not printed"), "full", store)
    assert found.verdict.name == "consistent"
    assert found.footnotes == ("steps are not printed",)
    for count, verdict in ((20, "unresolved"), (0, "reproduced")):
        inexact = {"name": "cifar10", "digest": "0" * 64, "inexact": {"train": 5, "test": count}}
        found = row(CELL, "full", fill(tmp_path, "full", seeds, dataset=inexact))
        assert found.verdict.name == verdict
        assert found.footnotes == (f"† {count + 5} rows of the data are not the official bytes",)


def test_a_doubtful_or_exact_number_and_the_papers_points_reach_the_rule(tmp_path: Path) -> None:
    store = fill(tmp_path, "full", [0.900, 0.901, 0.902])
    doubt = replace(CELL, published=replace(PAPER, doubt="it has no unit"))
    assert row(doubt, "full", store).verdict == Verdict("not judged", "it has no unit")
    # Other points than ours: both shares are samples.
    assert row(replace(CELL, published=replace(PAPER, n=1000)), "full", store).verdict.name == "reproduced"
    assert row(replace(CELL, published=replace(PAPER, n=500)), "full", store).verdict.name == "unresolved"


def test_the_good_side_is_the_metrics_and_no_side_of_an_undefended_network(tmp_path: Path) -> None:
    other = {"deviations": ["subject.schedule.steps: 5 -> 4"]}
    trained = replace(MNIST, defence=FgsmTraining(BALL))
    attacked = [replace(PGD, subject=replace(trained, seed=s), subset=Subset()) for s in range(3)]
    defended = replace(CELL, evaluations=tuple(attacked))
    plain = tuple(replace(each, subject=replace(each.subject, defence=Standard())) for each in attacked)
    for cell, good in ((defended, "level exceeded"), (replace(defended, evaluations=plain), "open")):
        assert row(cell, "full", fill(tmp_path, "full", [0.99] * 3, cell, **other)).verdict.name == good
    errors = replace(defended, scale=-100.0, offset=100.0, published=replace(PAPER, value=10.0, text="10.0"))
    assert row(errors, "full", fill(tmp_path, "full", [0.99] * 3, errors, **other)).verdict.name == "level exceeded"


def test_an_unverified_number_decides_nothing(tmp_path: Path) -> None:
    store = fill(tmp_path, "full", [0.5, 0.5, 0.5])
    assert row(replace(CELL, published=replace(PAPER, verified=False)), "full", store).verdict.name == "unverified"
    assert row(replace(CELL, published=None), "full", store).verdict.name == "measured"


def test_departures_say_what_the_evidence_is(tmp_path: Path) -> None:
    for deviation, evidence, verdict in (
        ("subject.schedule.steps: 5 -> 4", "other recipe", "level reached"),
        ("subject.model.width: 5 -> 4", "stand-in", "not judged"),
    ):
        found = row(CELL, "full", fill(tmp_path, "full", [0.9, 0.9, 0.9], deviations=[deviation]))
        assert (found.verdict.name, found.evidence, found.profile) == (verdict, evidence, "full")


def test_the_interval_is_wilsons_at_the_mean(tmp_path: Path) -> None:
    store = fill(tmp_path, "full", [0.9])
    found = row(CELL, "full", store)
    metric = store.records()[0].metrics["accuracy"]
    assert metric.low is not None
    assert metric.high is not None
    assert (found.low, found.high) == pytest.approx((100 * metric.low, 100 * metric.high))
    several = row(CELL, "full", fill(tmp_path, "full", [0.9, 0.8, 0.7]))
    assert (several.low, several.high) == pytest.approx(tuple(100 * end for end in wilson(800, 1000)))
    # A mean of confidences is no share of points: its own intervals are averaged.
    for part in WHOLE[:2]:
        file(tmp_path, part, metrics={"accuracy": Metric(0.5, 1000, 0.45, 0.55)}, outcomes={})
    mean = row(replace(CELL, evaluations=tuple(WHOLE[:2])), "full", Store(tmp_path))
    assert (mean.low, mean.high) == pytest.approx((45, 55))


def test_a_loss_has_its_own_unit_and_no_interval(tmp_path: Path) -> None:
    cell = Cell(ITEM, "loss", "x", evaluations=(CURVE,), metric="final_loss", scale=1.0, unit="nats")
    file(tmp_path, CURVE, correct=0.25)
    found = row(cell, "full", Store(tmp_path))
    assert (found.values, found.unit, found.low, found.decimals) == ((0.25,), "nats", None, 3)
    assert found.verdict.name == "measured"


@pytest.mark.parametrize(("value", "decimals"), [(0.25, 3), (1.0, 0)])
def test_where_the_paper_prints_words_ours_has_the_digits_that_it_needs(
    tmp_path: Path, value: float, decimals: int
) -> None:
    words = replace(PAPER, value=None, text="1/2")
    cell = Cell(ITEM, "loss", "x", words, evaluations=(CURVE,), metric="final_loss", scale=1.0, unit="nats")
    file(tmp_path, CURVE, correct=value)
    found = row(cell, "full", Store(tmp_path))
    assert (found.published, found.text, found.decimals) == (None, "1/2", decimals)


# Which records ------------------------------------------------------------------------------------------------


@pytest.fixture
def mnist(monkeypatch: pytest.MonkeyPatch) -> Cell:
    """A cell of Table 1 itself, which every profile runs."""
    return next(cell for cell in plan.cells_of(ITEM) if cell.row == "PGD 40/1, source A")


def test_the_most_faithful_profile_is_shown_and_stand_ins_never(tmp_path: Path, mnist: Cell) -> None:
    order = (("smoke", None, "not run"), ("quick", "quick", "not judged"), ("full", "full", "consistent"))
    for profile, expected, verdict in order:
        departs = [] if profile == "full" else ["subset.n: whole split -> 1000"]
        store = fill(tmp_path, profile, [0.932, 0.932], mnist, deviations=departs)
        assert measured(mnist, profiles.BEST, store)[0] == expected
        found = row(mnist, profiles.BEST, store)
        assert (found.profile, found.verdict.name) == (expected, verdict)
    # Asked for by name, each profile shows its own.
    for profile, *_ in order:
        assert row(mnist, profile, store).profile == profile
    with pytest.raises(RobustlibError, match="did you mean 'quick'"):
        row(mnist, "quik", store)


def test_a_record_without_the_cells_metric_is_not_shown(tmp_path: Path) -> None:
    file(tmp_path, PGD, metrics={"other": Metric(0.5, 10)}, outcomes={})
    assert measured(Cell(ITEM, "a", "x", evaluations=(PGD,)), "full", Store(tmp_path)) == (None, [])


def test_titles_tell_stand_in_data(tmp_path: Path, mnist: Cell) -> None:
    store = fill(tmp_path, "smoke", [0.9], mnist)
    assert title_suffix(rows(ITEM, "smoke", store)) == " (digits stand-in)"
    assert title_suffix(rows(ITEM, profiles.BEST, store)) == ""


def test_every_item_has_rows_for_its_cells(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for item in items():
        found = rows(item.id, profiles.BEST, store)
        assert len(found) == len(plan.cells_of(item.id))
        assert sum(item_verdicts(item, profiles.BEST, store).values()) == len(found)
    with pytest.raises(RobustlibError, match="did you mean 'madry2018/table-1'"):
        rows("madry2018/table1", profiles.BEST, store)


def test_verdicts_are_counted(tmp_path: Path, mnist: Cell) -> None:
    store = fill(tmp_path, "quick", [0.9, 0.9], mnist, deviations=["subset.n: whole split -> 1000"])
    assert item_verdicts(find_item(ITEM), profiles.BEST, store) == {
        "not judged": 1,
        "not run": len(plan.cells_of(ITEM)) - 1,
    }


# Statements ---------------------------------------------------------------------------------------------------


def claim(monkeypatch: pytest.MonkeyPatch, test: Any, *needs: Evaluation) -> None:
    predicate = Predicate("madry2018/capacity/mnist", "it is so", needs, test)
    monkeypatch.setattr(build, "predicates_of", lambda item: (predicate,))


def test_a_claim_holds_fails_or_was_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def above(records: Any) -> bool:
        first, second = (record.metrics["accuracy"].value for record in records)
        return bool(first > second)

    claim(monkeypatch, above, PGD, FGSM)
    file(tmp_path, PGD, correct=0.9)
    (found,) = statements("madry2018/capacity", "full", Store(tmp_path))
    assert (found.text, found.state, found.evidence, found.records) == ("it is so", "not run", None, ())
    for share, state in ((0.5, "holds"), (0.95, "contradicted")):
        file(tmp_path, FGSM, correct=share)
        (found,) = statements("madry2018/capacity", profiles.BEST, Store(tmp_path))
        assert (found.state, found.evidence) == (state, "paper's protocol")
        assert len(found.records) == 2


def test_each_record_is_the_most_faithful_and_one_of_the_papers_protocol_settles_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim about two networks: the full record of one beside the quick one of the other."""
    needs = plan.predicates_of("madry2018/capacity/mnist")[0].needs[:2]

    def low(records: Any) -> bool:
        return all(record.metrics["accuracy"].value <= 0.05 for record in records)

    def state(*shares: tuple[str, int, float]) -> tuple[str, str | None]:
        for profile, place, share in shares:
            job = plan.job_of(needs[place], profile)
            assert job is not None
            departs = [] if profile == "full" else ["subset.n: whole split -> 1000"]
            file(tmp_path, job.evaluation, profile, correct=share, deviations=departs)
        (found,) = statements("madry2018/capacity/mnist", profiles.BEST, Store(tmp_path))
        return found.state, found.evidence

    claim(monkeypatch, low, *needs)
    assert state(("full", 0, 0.01)) == ("not run", None)
    assert state(("quick", 0, 0.01), ("quick", 1, 0.02)) == ("holds", "stand-in")
    assert state(("full", 0, 0.77)) == ("contradicted", "paper's protocol")
    # The stand-in alone makes it fail.
    assert state(("full", 0, 0.01), ("quick", 1, 0.4)) == ("fails", "stand-in")
    assert state(("full", 1, 0.03)) == ("holds", "paper's protocol")


def test_a_claim_that_cannot_be_tested_names_its_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = file(tmp_path, TRACE)
    for test in (lambda r: r[0].metrics["gone"], lambda r: max([]), lambda r: 1 / 0, lambda r: r[5], lambda r: +r):
        claim(monkeypatch, test, TRACE)
        with pytest.raises(RobustlibError, match="'it is so' cannot be tested on") as caught:
            statements("madry2018/capacity", "full", Store(tmp_path))
        assert record.path in str(caught.value)


def test_the_committed_smoke_records_make_every_row_and_claim(committed: Store) -> None:
    for item in items():
        for found in rows(item.id, "smoke", committed):
            available = next(c for c in plan.cells_of(item.id) if (c.row, c.column) == (found.label, found.column))
            computed = available.derived is not None
            # A training of 50 updates has no loss before the 100th.
            runs, (kind, _, at) = plan.evaluations(available, "smoke"), available.metric.partition("@")
            steps = [run.evaluation.subject.schedule.steps for run in runs]
            late = kind in ("loss", "error") and at and any(int(at) >= last for last in steps)
            # Some radii of a long axis are left to the full profile, and so are the later stages of a cascade;
            # the stand-in for HAR names no persons.
            stages = min((len(run.evaluation.subject.earlier) + 1 for run in runs), default=0)
            beyond = re.fullmatch(r"(answered|error|classes)_(\d)", kind)
            fewer = (bool(beyond) and int(beyond[2]) > stages) or kind.endswith("_person")
            absent = bool(available.unavailable or late or fewer) or not (runs or computed)
            told = "not run" if absent else "computed" if computed else "measured" if found.published is None else ""
            assert found.verdict.name == told or (not told and found.verdict.name in DIGITS), found
            assert (found.evidence is None) == (absent or computed)
        for predicate, statement in zip(
            plan.predicates_of(item.id), statements(item.id, "smoke", committed), strict=True
        ):
            run = all(plan.job_of(needed, "smoke") for needed in predicate.needs)
            assert statement.state in (("holds", "fails", "contradicted") if run else ("not run",))


def test_measurements_file_the_metrics_and_outcomes_that_they_name(committed: Store) -> None:
    for job in plan.jobs(plan.select([]), "smoke"):
        real, invented = committed.find(job.evaluation, "smoke"), fabricate(job.evaluation, "smoke")
        assert real is not None
        units = job.evaluation.measurement.units(job.evaluation.subject)
        # "broken" is of what a rule counts, "switches" of what a solver is asked: there may be none. Persons are HAR's.
        # Records of the boundary attack are older than what is said of the points that it breaks.
        few = "^features$|^broken$|^switches$|_person$|^radius_wrong$|_distance$"
        assert {name for name in units if not re.search(few, name)} <= set(real.metrics), real.path
        told = {name: metric.unit for name, metric in real.metrics.items() if not name.startswith("max_over_median")}
        assert not units or told.items() <= units.items(), real.path
        assert set(invented.outcomes) == set(real.outcomes)
        # Fields that came later are missing from an older record, and mean their defaults.
        assert parse(real.training) == parse(invented.training)


def test_a_computed_value_stands_without_a_record(tmp_path: Path) -> None:
    found = {(shown.label, shown.column): shown for shown in rows("zhang2019/table-1", "full", Store(tmp_path))}
    shown = found["Bayes optimal classifier", "R_bdy"]
    assert (shown.values, shown.records, shown.profile) == ((1.0,), (), None)
    assert shown.verdict == build.COMPUTED
    assert shown.published == 1


def test_a_row_of_the_grand_table_is_of_one_network(committed: Store) -> None:
    """A full record of one cell beside quick ones of the others would be of another network."""
    profiles: dict[str, set[str | None]] = {}
    for line in build.rows("comparison/grand-table", "best", committed):
        profiles.setdefault(line.label, set()).update({line.profile} - {None})
    assert len(profiles) == 8
    assert {len(names) for names in profiles.values()} == {1}
