"""From nothing to tables: two cheap items of each paper, and as slow tests every paper whole."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest

from robustlib.catalogue import plan
from robustlib.catalogue.base import items, papers
from robustlib.cli import main
from robustlib.experiments.store import Store

pytestmark = pytest.mark.timeout(1800)  # what runs from nothing takes minutes, on busy cores many
WHOLE = "wong2018"
"""The paper whose whole smoke run is the cheapest."""
CHEAP = (
    "papernot2016/class-samples/mnist",
    "papernot2016/adversarial-examples/mnist",
    "wong2018scaling/cascade-curves",
    "wong2018scaling/groups/har",
    "madry2018/table-1",
    "madry2018/transferability",
    "zhang2019/checkpoints",
    "zhang2019/lender",
)


def _reproduce(paper: str, out: Path) -> str:
    command = ["reproduce", paper, "--profile", "smoke", "--device", "cpu", "--no-notebook", "--out", str(out)]
    with io.TextIOWrapper(io.BytesIO(), encoding="utf-8") as said, contextlib.redirect_stdout(said):
        code = main(command)
        said.seek(0)
        text = said.read()
    assert code == 0, text[-3000:]
    return text


@pytest.fixture(scope="session", params=["cheap", pytest.param("all", marks=pytest.mark.slow)])
def from_nothing(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str, tuple[str, ...]]:
    """An empty folder, what was said while it was filled, and the items or papers that were run."""
    out = tmp_path_factory.mktemp("smoke")
    if request.param == "all":
        return out, "".join(_reproduce(paper, out) for paper in papers()), tuple(papers())
    said = _reproduce(WHOLE, out)
    assert main(["--root", str(out), "run", *CHEAP, "--profile", "smoke", "--device", "cpu"]) == 0
    return out, said, (WHOLE, *CHEAP)


def test_a_smoke_run_from_nothing_makes_every_item(from_nothing: tuple[Path, str, tuple[str, ...]]) -> None:
    out, said, names = from_nothing
    store = Store(out)
    assert not store.faults
    for item in plan.select(names):
        if plan.jobs([item], "smoke"):
            assert plan.state(item, "smoke", store) == "done", item.id
    for item in items():
        assert (out / "pages" / "tables" / f"{item.slug}.csv").exists() == (item.paper in names), item.id
    assert "records equal the committed ones" in said


def test_a_smoke_run_agrees_with_the_committed_records(
    from_nothing: tuple[Path, str, tuple[str, ...]], committed: Store
) -> None:
    """Same code, other machine or threads: accuracies on 100 digits may move by a few points, no more."""
    old = {record.evaluation_key: record for record in committed.records("smoke")}
    compared = 0
    for record in Store(from_nothing[0]).records("smoke"):
        natural = record.evaluation["subject"]["defence"]["type"] == "Standard"
        if natural and "accuracy" in record.metrics and record.evaluation_key in old:
            compared += 1
            theirs = old[record.evaluation_key].metrics["accuracy"].value
            assert abs(record.metrics["accuracy"].value - theirs) <= 0.08, record.path
    assert compared >= 10


def test_a_second_run_finds_everything_there(
    from_nothing: tuple[Path, str, tuple[str, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    out, _, names = from_nothing
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.json")}
    assert main(["--root", str(out), "run", *names, "--profile", "smoke", "--device", "cpu"]) == 0
    assert "0 records written" in capsys.readouterr().out
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items() if "results" in path.parts)
