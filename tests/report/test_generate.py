"""What the book and the README take from records: scorecard, costs, record pages, exports, cards, comparisons."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from robustlib.attacks.suite import Clean, Fgsm, Pgd
from robustlib.book import pages as generated
from robustlib.book.cards import ABOUT, cards, data_cards, released_cards, threat_text
from robustlib.book.costs import commands, costs
from robustlib.book.pages import compare, downloads, generate
from robustlib.book.record_pages import heading, network_section, write_records
from robustlib.book.scorecard import Standing, anchors, drawn, fates, scorecard, standing, summary
from robustlib.catalogue import plan
from robustlib.catalogue.base import OWN, find_item, items, papers
from robustlib.data.registry import REGISTRY
from robustlib.errors import RobustlibError
from robustlib.evaluate.accuracy import Attacked
from robustlib.experiments import profiles
from robustlib.experiments.runner import Job
from robustlib.experiments.store import Store, weights_path
from robustlib.papers.comparison.aged import aged
from robustlib.report.display import record_target
from robustlib.report.exports import export
from robustlib.report.forms import myst_escape
from robustlib.report.join import authors, rows
from robustlib.report.plots.overview import overview, overview_alt
from robustlib.spec.keys import key
from robustlib.spec.records import Metric
from robustlib.threat import LinfBall
from tests.experiments.tiny import CLEAN, DISTANCES, FGSM, NETWORK, PGD, Made, fabricate, file

TABLE = find_item("madry2018/table-1")
CELLS = plan.cells_of(TABLE.id)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Full records of the first row's first three seeds, a quick and a smoke record of the second row."""
    for evaluation in CELLS[0].evaluations[:3]:
        file(tmp_path, evaluation, correct=0.988, n=10_000)
    for profile in ("quick", "smoke"):
        few = ["subset.n: whole split -> 100"]
        file(tmp_path, plan.evaluations(CELLS[1], profile)[0].evaluation, profile, deviations=few)
    return Store(tmp_path)


# Scorecard ----------------------------------------------------------------------------------------------------


def test_the_scorecard_has_every_item_once(store: Store) -> None:
    shown = items()
    assert len([item for item in shown if not item.parent and item.source != OWN]) == 68
    text = scorecard(profiles.BEST, store, {})
    lines = [line for line in text.splitlines() if line.startswith("|") and not line.startswith(("|---", "| item"))]
    assert len(lines) == len(shown)
    headings = [line.removeprefix("### ") for line in text.splitlines() if line.startswith("### ")]
    assert headings == [about.title for about in papers().values()]
    for item, line in zip(shown, lines, strict=True):
        assert item.title in line
        assert line.count(" | ") == 3
        assert ("↳" in line) == bool(item.parent)
        assert "verdict-" in line


def test_the_scorecard_says_what_stands(store: Store) -> None:
    text = scorecard(profiles.BEST, store, {})
    line = next(line for line in text.splitlines() if TABLE.title in line and "Table 1" in line)
    assert "[reproduced]{.verdict .verdict-reproduced}\u00a01" in line
    assert "[not judged]{.verdict .verdict-not-judged}\u00a01" in line
    assert "[not run]{.verdict .verdict-not-run}\u00a017" in line
    assert "](notebooks/04_madry.ipynb)" in line
    distilled = next(line for line in text.splitlines() if "Temperature vs adversarial success rate" in line)
    assert "](notebooks/01_defensive_distillation.ipynb)" in distilled
    assert "smoke" not in scorecard(profiles.BEST, store, {})


def test_the_summary_counts_what_the_tables_show(store: Store) -> None:
    of_papers = [item for item in items() if not item.parent and papers()[item.paper].idea]
    found = standing(of_papers, profiles.BEST, store)
    lines = [row for item in of_papers for row in rows(item.id, profiles.BEST, store)]
    assert found.numbers == Counter(row.verdict.name for row in lines if row.published is not None)
    # In quick, the FGSM row of Table 1, a point of the capacity figure and FGSM on the leaderboard are one measurement.
    assert (found.numbers["not judged"], found.evidence["stand-in"]) == (3, 3)
    # Its accuracy is printed in the table, in a figure, and at a radius of 0 in another.
    own = found.evidence["paper's protocol"]
    assert found.numbers["reproduced"] + found.numbers["consistent"] == own > 1
    assert found.networks == {"results/full/mnist-madry_cnn16-pgd"}
    claims = sum(not p.check for i in of_papers if i.source != OWN for p in plan.predicates_of(i.id))
    assert found.claims == {("not run", False): claims}
    text = summary(profiles.BEST, store)
    total = sum(found.numbers.values())
    assert text.startswith("Of 68 tables, figures and lists, this edition measures ")
    printed = (
        f"Of {total:,} numbers that the five papers, their defences' leaderboards and a notebook of the authors print, "
        f"{own + 3} are"
    )
    assert printed in text
    assert f"by 1 network whose seeds are counted once: {found.numbers['reproduced']} reproduced" in text
    assert "3 not judged" in text
    assert "Of the papers' claims: none tested." in text


def test_claims_on_stand_ins_are_told_apart_and_checks_not_at_all() -> None:
    claims: Counter[tuple[str, bool]] = Counter({("holds", False): 2, ("contradicted", False): 1, ("fails", True): 3})
    found = Standing(Counter(), Counter(), frozenset(), 0, claims)
    assert found.told == "2 hold, 1 contradicted; on stand-ins 3 fail"


def test_claims_of_this_books_own_items_are_not_the_papers(tmp_path: Path) -> None:
    lender = find_item("zhang2019/lender")
    assert plan.predicates_of(lender.id)
    assert not standing([lender], profiles.BEST, Store(tmp_path)).claims
    assert standing([find_item("zhang2019/algorithm-1"), lender], profiles.BEST, Store(tmp_path)).claims == {
        ("not run", False): sum(not claim.check for claim in plan.predicates_of("zhang2019/algorithm-1"))
    }


def test_the_front_page_tells_what_became_of_each_paper(store: Store) -> None:
    lines = fates(profiles.BEST, store).splitlines()[2:]
    ours = [paper for paper in papers() if paper != "comparison"]
    assert [line.split("`")[1] for line in lines] == ours
    for line, paper in zip(lines, ours, strict=True):
        since, here = line.split(" | ")[2:4]
        told = sum(int(count) for count in re.findall(r"\.verdict-\w+\}\s(\d+)", since))
        assert told == sum(claim.paper == paper for claim in aged())
        assert told == sum(map(int, re.findall(r"\d+(?= [a-z])", here)))
        assert f"]({papers()[paper].chapter}.ipynb)" in line
        assert "| none tested |" in line  # no claim has all of its records
    line = next(line for line in lines if "madry2018" in line)
    assert "[reproduced]{.verdict .verdict-reproduced}\u00a0" in line
    assert " from 1 network; of " in line
    assert "3 on stand-ins alone" in line


def test_the_front_pages_picture_has_every_compared_percentage(store: Store) -> None:
    points = drawn(profiles.BEST, store)
    own = len(points) - 3
    assert [row.evidence for row in points] == ["stand-in"] * 3 + ["paper's protocol"] * own
    light, dark = (overview(points, dark=dark) for dark in (False, True))
    assert light != dark
    assert light == overview(points, dark=False)
    assert "stand-in (3)" in light
    assert f"paper's protocol ({own})" in light.replace("&#x27;", "'")
    assert overview_alt(points).count(" within two points of the diagonal") == 2
    assert f"paper's protocol, {own} of {own} within" in overview_alt(points)


def test_an_item_leads_to_its_first_table(root: Path, store: Store, tmp_path: Path) -> None:
    found = anchors(root / "notebooks")
    shown = set(
        re.findall(
            r":name: table-([a-z0-9-]+)",
            "".join(path.read_text(encoding="utf-8") for path in (root / "notebooks").glob("*.ipynb")),
        )
    )
    assert set(found.values()) <= shown
    assert [item.id for item in items() if item.id not in found] == ["madry2018/decision-sketch"]
    assert found["madry2018/table-1"] == "madry2018-table-1"
    assert found["wong2018/table-1/har"] == "wong2018-table-1"
    assert found["madry2018/capacity"] == "madry2018-capacity-on-mnist-panel-a"
    text = scorecard(profiles.BEST, store, found)
    assert text.count("](#table-") == len(found)
    assert anchors(tmp_path) == {}


def test_claims_are_counted_in_the_scorecard(committed: Store) -> None:
    text = scorecard("smoke", committed, {})
    line = next(line for line in text.splitlines() if "Loss during PGD]" in line)
    assert re.search(r"\| \d of 3( \(stand-in\))? \|", line)


@pytest.mark.usefixtures("quick_costs")
def test_costs_count_each_network_once(tmp_path: Path) -> None:
    file(tmp_path, CELLS[0].evaluations[0], training_cpu_s=600.0, cpu_s=30.0, device="H")
    # Made from stored weights, a record knows of no training.
    file(tmp_path, CELLS[1].evaluations[0], training_cpu_s=0.0, cpu_s=90.0, device="H")
    file(tmp_path, CELLS[1].evaluations[1], training_cpu_s=300.0, cpu_s=0.0, device="H")
    text = costs(Store(tmp_path))
    (line,) = (line for line in text.splitlines()[2:] if line.startswith("|"))
    assert line == "| Madry et al. 2018 | full | 3 | 2 | 15.0 | 2.0 | H |"
    jobs = len(plan.jobs(plan.select(["zhang2019"]), "full"))
    assert f"Of Zhang et al. 2019's full profile {jobs} of {jobs} evaluations are not run: by estimate about " in text


@pytest.mark.usefixtures("quick_costs")
def test_each_item_has_its_command_and_what_it_took(tmp_path: Path) -> None:
    jobs = plan.jobs([TABLE], "quick")
    for job in jobs:
        file(tmp_path, job.evaluation, job.home("quick"), training_cpu_s=60.0, cpu_s=6.0)
    lines = [line for line in commands(Store(tmp_path)).splitlines()[2:] if line.startswith("|")]
    assert len(lines) == len([item for item in items() if not item.parent])
    (line,) = (line for line in lines if f"`robustlib run {TABLE.id} --profile quick`" in line)
    networks = {key(job.evaluation.subject) for job in jobs}
    assert f"| {len(networks) + len(jobs) / 10:.1f} |" in line
    assert "| not run |" in lines[0]


def test_a_generated_table_comes_as_files_too() -> None:
    text = "| a | b | b |\n|---|---|---|\n| [x](#y) | `1` | **2** |\n\nMore.\n"
    found = downloads("costs.md", text)
    assert found["costs.csv"] == "a,b 1,b 2\nx,1,2\n"
    assert json.loads(found["costs.json"]) == [{"a": "x", "b 1": "1", "b 2": "2"}]
    assert found["costs.md"].startswith(text)
    assert "{download}`CSV <../generated/costs.csv>`" in found["costs.md"]
    assert downloads("findings.md", "None.\n") == {"findings.md": "None.\n"}


# Record pages -------------------------------------------------------------------------------------------------


def test_a_record_page_has_everything_to_judge_a_number(made: Made) -> None:
    records = [made.record(CLEAN), made.record(PGD), made.record(DISTANCES)]
    text = network_section(records, {records[1].evaluation_key: TABLE.id}, {TABLE.id: "there"})
    assert f"\n## {NETWORK.name}\n" in text
    for record in records:
        assert f"({record_target(record.path)})=" in text
        assert record.evaluation_key in text
        assert f"<../{record.path}>" in text
    first = records[0]
    for fact in (first.training_key, first.weights_digest[:16], first.dataset["digest"][:16], first.source_digest):
        assert fact in text
    assert "official bytes" in text
    assert "Trained as in the paper." in text
    again = f"robustlib run madry2018/table-1 --profile smoke --recompute --only {records[1].evaluation_key}"
    assert text.count(f"```bash\n{again}\n```") == 1
    assert text.count("a protocol that this edition no longer runs") == 2
    assert f"### {myst_escape(heading(records[1]))}\n" in text
    assert heading(records[1]).startswith("PGD, ")
    assert "2 restarts, ℓ∞ 0.1: accuracy " in heading(records[1])
    assert heading(records[0]).startswith("Clean: accuracy ")
    assert heading(records[2]).startswith("Distances, ")
    assert '"restarts": 2' in text
    assert f"| accuracy | {records[1].metrics['accuracy'].value:.6g} |" in text
    assert text.count("](#table-there)") == 1
    key = records[1].training_key[:8]
    again = network_section(records[1:2], {records[1].evaluation_key: TABLE.id}, {}, {key})
    assert "# or, of its weights and without training:\nrobustlib verify madry2018/table-1 --profile smoke\n" in again
    assert "robustlib verify" not in text
    many = {f"m{i}": Metric(0.5, 7, 0.25, 0.75) for i in range(20)}
    shown = network_section([replace(records[1], metrics=many)], {}, {})
    assert shown.count("| 0.5 | 0.25 to 0.75 |") == 16
    assert "4 more are in the file." in shown


def test_a_record_page_says_what_departs_and_what_was_found() -> None:
    record = fabricate(
        PGD,
        path=f"results/quick/{NETWORK.name}/x-00000000.json",
        findings=["loss stuck at chance"],
        deviations=["subject.schedule.steps: 100000 -> 5", "subset.n: whole split -> 5"],
        dataset={"name": "cifar10", "digest": "0" * 64, "inexact": {"train": 0, "test": 20}},
    )
    text = network_section([record], {}, {})
    assert "Departures from the paper's training:" in text
    assert "- schedule.steps: 100000 -> 5" in text
    assert "subset.n" not in text.split("```")[0]
    assert "- finding: loss stuck at chance" in text
    assert "20 rows are not the official bytes" in text
    # What one measurement found stands with it; what every record tells of the training, once.
    other = replace(record, findings=[*record.findings, "zero gradients"], path=record.path.replace("x-", "y-"))
    text = network_section([record, other], {}, {})
    assert (text.count("loss stuck at chance"), text.count("- finding: zero gradients")) == (1, 1)
    assert text.index("`y-00000000`") < text.index("- finding: zero gradients")


def test_each_paper_and_profile_has_a_page_with_each_record_once(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "records"
    # The second is of a network that no table shows.
    for evaluation in (plan.predicates_of("zhang2019/lender")[0].needs[0], CLEAN):
        file(store.root, evaluation)
    store = Store(store.root)
    write_records(target, store, profiles.FAITHFUL_FIRST, {})
    pages = {path.stem: path.read_text() for path in target.iterdir()}
    index = pages.pop("index")
    assert set(pages) == {"full-madry2018", "full-zhang2019", "full-earlier", "quick-madry2018"}
    assert all(f"]({name}.md)" in index for name in pages)
    assert "smoke" not in index
    text = index + "".join(pages.values())
    for record in store.records():
        assert text.count(f"({record_target(record.path)})=") == (record.profile != "smoke")
    networks = re.findall(r"\]\((#network-[a-z0-9-]+)\) \| \d+ \|", index)
    assert len(networks) == len({Path(r.path).parent for r in store.records() if r.profile != "smoke"})
    assert all(text.count(f"({name[1:]})=") == 1 for name in networks)


def test_the_authors_own_networks_are_counted_first_drawn_and_shown(tmp_path: Path) -> None:
    cells = [cell for cell in plan.cells_of("wong2018/table-1/har") if cell.released and cell.published]
    for cell, accuracy in zip(cells[:2], (0.922, 0.6), strict=True):
        file(tmp_path, cell.released[0], correct=accuracy, n=1_000)
    store = Store(tmp_path)
    text = summary(profiles.BEST, store)
    assert text.startswith(
        "**On the networks that the authors released, 1 of 2 published numbers are confirmed** by this book's code "
        "(1 differs). Of 68 tables, figures and lists"
    )
    assert "authors' network: [confirmed]{.verdict .verdict-confirmed}\u00a01 [differs]" in fates(profiles.BEST, store)
    assert "; authors' network: [confirmed]" in scorecard(profiles.BEST, store, {})
    points = drawn(profiles.BEST, store)
    assert [(row.evidence, row.published, row.value) for row in points] == [
        ("authors' network", 7.8, pytest.approx(7.8)),
        ("authors' network", 21.49, pytest.approx(40.0)),
    ]
    assert [any("why is not known" in note for note in row.footnotes) for row in points] == [False, True]
    bound = next(cell for cell in plan.cells_of("wong2018/table-1/har") if cell.released and cell.metric == "bound")
    share = Metric(0.75, 1_000, 0.72, 0.78)
    file(
        tmp_path, bound.released[0], metrics={"bound": Metric(0.25, 1_000, 0.22, 0.28), "certified": share}, outcomes={}
    )
    card = released_cards(Store(tmp_path))
    assert "| certificate, certified points (dual bound, fixed slopes) | ℓ∞ 0.05, unclipped | 75.0% |" in card
    part = card.partition("### polytope_har")[2].partition("### ")[0]
    assert part.count("| clean | none | 92.2%") == part.count("| fgsm | ℓ∞ 0.05, unclipped | 60.0%") == 1
    write_records(tmp_path / "records", store, ["full"], {})
    page = (tmp_path / "records" / "full-wong2018.md").read_text()
    assert "Trained as in the paper" not in page
    assert "`robustlib weights fetch polytope_har` gets it" in page
    assert "robustlib verify wong2018/table-1/har --profile full" in page
    # A page of a profile that measures no such network shows none.
    assert not drawn("quick", store)


def test_a_number_that_several_rows_print_is_confirmed_once(tmp_path: Path) -> None:
    cell = next(cell for cell in plan.cells_of("zhang2019/table-5") if cell.released and cell.column.startswith("nat"))
    file(tmp_path, cell.released[0], correct=0.9948, n=10_000)
    store = Store(tmp_path)
    printed = [row for row in rows("zhang2019/table-5", profiles.BEST, store) if row.authors is not None]
    assert len(printed) > 1
    assert standing([find_item("zhang2019/table-5")], profiles.BEST, store).released == {"confirmed": 1}


def test_a_share_of_batches_is_counted_as_the_authors_count_it(tmp_path: Path) -> None:
    """The last of 59 batches of 50 has 47 points, and weighs as much as each other one."""
    cell = next(cell for cell in plan.cells_of("wong2018/table-1/har") if cell.released and cell.column == "TEST ERROR")
    right = np.ones(2947, bool)
    right[-47:] = False
    file(tmp_path, cell.released[0], correct=right, n=2947)
    theirs = authors(cell, profiles.BEST, Store(tmp_path))
    assert theirs is not None
    assert theirs.value == pytest.approx(100 / 59)
    assert f"over points it is {4700 / 2947:.3f} %" in theirs.footnotes[0]
    whole = replace(cell, released_batch=0)
    assert authors(whole, profiles.BEST, Store(tmp_path)).value == pytest.approx(4700 / 2947)  # type: ignore[union-attr]


def test_a_shared_network_stands_with_the_first_paper_that_has_it(tmp_path: Path) -> None:
    ours, earlier = (
        {key(j.evaluation): j for j in plan.jobs(plan.select([p]), "full")} for p in ("comparison", "wong2018")
    )
    file(tmp_path, next(job.evaluation for name, job in ours.items() if name in earlier))
    write_records(tmp_path / "records", Store(tmp_path), ["full"], {})
    assert {path.stem for path in (tmp_path / "records").iterdir()} == {"index", "full-wong2018"}


def test_targets_of_records_are_different_and_plain(committed: Store) -> None:
    paths = [record.path for record in committed.records()]
    targets = {record_target(path) for path in paths}
    assert len(targets) == len(paths)
    assert all(re.fullmatch("record-[a-z0-9-]+", target) for target in targets)


# Exports ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["csv", "json", "latex", "markdown"])
def test_an_export_has_every_row(form: str, store: Store) -> None:
    text = export(TABLE, form, profile=profiles.BEST, store=store)
    assert text.endswith("\n")
    if form == "csv":
        lines = list(csv.DictReader(io.StringIO(text)))
        assert len(lines) == 19
        assert (lines[0]["published"], lines[0]["verdict"], lines[0]["seeds"]) == ("98.8", "reproduced", "3")
        assert lines[0]["records"].count("results/full/") == 3
    elif form == "json":
        assert [line["verdict"] for line in json.loads(text)][:3] == ["reproduced", "not judged", "not run"]
    else:
        assert "White/black-box accuracy" in text
        assert "98.8" in text
        assert "digits" not in text


def test_an_export_of_stand_in_data_says_so(store: Store) -> None:
    for form in ("latex", "markdown"):
        assert "(digits stand-in)" in export(TABLE, form, profile="smoke", store=store)


def test_a_citation_names_its_records(store: Store, committed: Store) -> None:
    text = export(TABLE, "bibtex", profile=profiles.BEST, store=store)
    assert text.startswith("@misc{robustlib-madry2018-table-1,\n")
    assert text.count("{") == text.count("}")
    keys = [record.evaluation_key[:8] for record in store.records() if record.profile != "smoke"]
    assert all(name in text for name in keys)
    empty = export(find_item("wong2018scaling/cost-vs-units"), "bibtex", profile=profiles.BEST, store=store)
    assert "Records none" in empty
    many = sorted({Path(p).stem[-8:] for row in rows(TABLE.id, profiles.BEST, committed) for p in row.records})
    digest = hashlib.sha256("\n".join(many).encode()).hexdigest()[:16]
    text = export(TABLE, "bibtex", profile=profiles.BEST, store=committed)
    assert len(many) > 12
    assert f"{many[11]} and {len(many) - 12} more; SHA-256 of all {len(many)} keys, one a line: {digest}" in text


def test_what_cannot_be_exported_is_said(store: Store) -> None:
    with pytest.raises(RobustlibError, match="unknown format 'cvs'; did you mean 'csv'"):
        export(TABLE, "cvs", profile=profiles.BEST, store=store)


def test_everything_is_generated_below_one_folder(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "pages"
    generate(target, root=store.root, profile="quick", names=["madry2018/table-1"])
    names = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert {"summary.md", "scorecard.md", "verdict_rule.md", "records/index.md"} <= names
    assert {f"tables/madry2018-table-1.{suffix}" for suffix in ("csv", "json", "tex", "md")} <= names
    assert all((target / name).read_bytes().strip() for name in names)


def test_the_command_wants_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--readme"], ["a", "b"], [str(tmp_path), "--reame"]):
        assert generated.main(arguments) == 2
        assert capsys.readouterr().err.startswith("usage: ")
    assert not list(tmp_path.iterdir())


# Cards and comparisons ----------------------------------------------------------------------------------------


def test_a_committed_network_has_a_card(made: Made, tmp_path: Path) -> None:
    assert cards(tmp_path, Store(made.folder)) == "No network is committed here.\n"
    path = weights_path(made.folder / "networks", NETWORK)
    shutil.copy(path, tmp_path)
    text = cards(tmp_path, Store(made.folder))
    assert f"## {path.name}" in text
    assert made.record(CLEAN).training_key in text
    assert "as `Standard`" in text
    assert f"| {threat_text({'threat': made.record(PGD).evaluation['measurement']['threat']})} |" in text
    assert threat_text({"threat": {"type": "L2Ball", "eps": 1.5, "domain": None}}) == "ℓ2 1.5, unclipped"
    accuracies = [e for e in (CLEAN, FGSM, PGD) if made.record(e).metrics["accuracy"].low is not None]
    assert all(f"](../{made.record(evaluation).path}) |" in text for evaluation in accuracies)
    assert "s of processor time" not in cards(tmp_path, Store(tmp_path)), "no record saw the training"
    # A record of several attacks has a line for each.
    attacks = (Clean(), Fgsm(0.1), Pgd(20, 0.1))
    several = replace(PGD, measurement=Attacked(attacks, LinfBall(0.2), (replace(NETWORK, seed=7),)))
    file(tmp_path, several, correct=0.5, weights_digest=made.record(CLEAN).weights_digest)
    lines = [line for line in cards(tmp_path, Store(tmp_path)).splitlines() if "| 50.0% |" in line]
    assert [line.split(" | ")[:2] for line in lines] == [
        [f"| {name} ({told}made on madry_cnn, Standard, seed 7)", ball]
        for name, told, ball in (
            ("clean-transfer", "", "none"),
            ("fgsm-transfer", "random start, ", "ℓ∞ 0.2"),
            ("pgd20x1-transfer", "", "ℓ∞ 0.2"),
        )
    ]
    (tmp_path / path.name).write_bytes(b"")
    with pytest.raises(RobustlibError, match=r"is not a complete safetensors file .*git checkout"):
        cards(tmp_path, Store(made.folder))


def test_every_data_set_has_a_card_that_says_what_it_is() -> None:
    assert set(ABOUT) == set(REGISTRY)
    text = data_cards()
    for facts in REGISTRY.values():
        assert f"## {facts.title}\n\n{ABOUT[facts.name]}\n" in text


def test_a_comparison_counts_what_is_equal_moved_and_missing(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        file(folder, CLEAN, correct=0.9)
    file(ours, FGSM, correct=0.5)
    moved = file(theirs, FGSM, correct=0.55)
    file(ours, PGD)
    jobs = [Job(evaluation, evaluation) for evaluation in (CLEAN, FGSM, PGD, DISTANCES)]
    assert compare(jobs, "full", ours=Store(ours), theirs=Store(theirs)) == [
        f"{moved.path}: accuracy 0.55 -> 0.5",
        "1 records equal the committed ones, 1 differ, 2 have nothing to compare with",
    ]


def test_a_comparison_is_of_outcomes_too(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    first, second = fabricate(PGD, correct=0.5), fabricate(PGD, correct=0.5)
    flipped = replace(second, outcomes={"correct": fabricate(PGD, correct=~first.outcome()).outcomes["correct"]})
    Store(ours).write(first, PGD)
    Store(theirs).write(flipped, PGD)
    (line, last) = compare([Job(PGD, PGD)], "full", ours=Store(ours), theirs=Store(theirs))
    assert line.endswith(": the same share of other points")
    assert last.startswith("0 records equal the committed ones, 1 differ")


def test_metrics_that_only_one_side_has_are_a_difference(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    record = file(ours, PGD)
    file(theirs, PGD, metrics={**record.metrics, "old": Metric(1.0, 5, unit="nats")})
    (line, _) = compare([Job(PGD, PGD)], "full", ours=Store(ours), theirs=Store(theirs))
    assert line.endswith(": old 1 -> none")
