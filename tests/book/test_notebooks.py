"""Executing, stripping, publishing and checking notebooks."""

from __future__ import annotations

import shutil
from pathlib import Path

import jupytext
import nbformat
import pytest

from robustlib.book import chapter
from robustlib.errors import RobustlibError
from robustlib.report import notebooks
from robustlib.report.notebook_cells import canonical

FIXTURES = Path(__file__).parent / "fixtures" / "notebooks"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the sound scratch notebook alone."""
    target = tmp_path / "notebooks"
    target.mkdir()
    shutil.copy(FIXTURES / "01_scratch.py", target)
    return target


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, published."""
    target = tmp_path_factory.mktemp("published")
    shutil.copy(FIXTURES / "01_scratch.py", target)
    notebooks.publish(folder=target)
    return target


def test_committed_notebooks_are_pairs(root: Path) -> None:
    assert notebooks.check(folder=root / "notebooks") == []


def test_two_runs_write_the_same_bytes(published: Path, tmp_path: Path) -> None:
    (again,) = notebooks.execute(target=tmp_path, folder=published, say=lambda _: None)
    assert again.read_bytes() == (published / "01_scratch.ipynb").read_bytes()


def test_nothing_of_the_run_is_kept(published: Path) -> None:
    text = (published / "01_scratch.ipynb").read_text(encoding="utf-8")
    assert "papermill" not in text
    assert "stderr" not in text.replace("sys.stderr", "")
    assert "injected" not in text
    notebook = nbformat.read(published / "01_scratch.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert notebook.cells[-1].metadata.mystnb.image.alt == "A parabola through four points."
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    assert notebooks.check(folder=published) == []


def test_no_file_but_the_result_is_left(published: Path) -> None:
    assert sorted(path.name for path in published.iterdir()) == ["01_scratch.ipynb", "01_scratch.py"]


def test_check_names_each_difference(published: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pair"
    shutil.copytree(published, folder)
    source = folder / "01_scratch.py"
    source.write_text(source.read_text(encoding="utf-8").replace("0.1 *", "0.2 *"), encoding="utf-8")
    (fault,) = notebooks.check(folder=folder)
    assert "cell 2 differs" in fault
    assert "make publish" in fault
    (folder / "09_lone.ipynb").write_bytes((published / "01_scratch.ipynb").read_bytes())
    assert "has no 09_lone.py" in notebooks.check(folder=folder)[1]
    (folder / "01_scratch.ipynb").unlink()
    assert "missing" in notebooks.check(folder=folder)[0]


def test_parameters_reach_the_notebook_and_stay_visible(folder: Path, tmp_path: Path) -> None:
    (out,) = notebooks.execute(target=tmp_path / "out", folder=folder, parameters={"profile": "smoke"})
    text = out.read_text(encoding="utf-8")
    assert "profile smoke" in text
    assert 'profile = \\"smoke\\"' in text


def test_unknown_parameter_is_refused_with_the_nearest_name(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RobustlibError, match="unknown notebook parameter 'profil'; did you mean 'profile'"):
        notebooks.execute(target=tmp_path / "out", folder=folder, parameters={"profil": "smoke"})
    assert list((tmp_path / "out").glob("*.ipynb")) == []


IMPOSSIBLE = [
    ({"profile": "quik"}, r"unknown profile 'quik'; did you mean 'quick'\? known: best, full, level, quick, smoke"),
    ({"profile": ""}, "unknown profile ''; known: best"),
    ({"profile": 3}, "unknown profile 3; known: best"),
    ({"device": "gpu"}, "unknown device 'gpu'.*known: auto, cpu, cuda"),
    ({"recompute": "yes"}, "recompute='yes' is neither True nor False"),
    ({"recompute": 1}, "recompute=1 is neither True nor False"),
    ({"recompute": True}, "recompute=True needs one profile"),
]


@pytest.mark.parametrize(("parameters", "words"), IMPOSSIBLE)
def test_an_impossible_value_is_refused_before_anything_runs(
    parameters: dict[str, notebooks.Value], words: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebooks.subprocess, "run", None)
    with pytest.raises(RobustlibError, match=rf"01_scratch\.py: {words}"):
        notebooks.execute(target=tmp_path / "out", folder=folder, parameters=parameters, say=pytest.fail)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("parameters", "words"), IMPOSSIBLE)
def test_an_impossible_value_stops_the_first_cell_of_a_notebook_run_by_hand(
    parameters: dict[str, notebooks.Value], words: str
) -> None:
    declared = {"profile": "best", "device": "cpu", "recompute": False}
    with pytest.raises(RobustlibError, match=words):
        chapter.check_parameters({**declared, **parameters, "__name__": "__main__"})


def test_every_chapter_checks_its_parameters_before_its_other_cells(root: Path) -> None:
    for source in notebooks.sources(root / "notebooks"):
        cells = [c for c in jupytext.read(source, fmt="py:percent").cells if c.cell_type == "code"]
        assert cells[0].metadata.tags == ["parameters", "remove-input"], source
        assert cells[1].source.partition("\n\n")[2].startswith("check_parameters(globals())"), source


def test_folders_stay_where_they_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook runs in its own folder, where a relative path would lead elsewhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROBUSTLIB_ROOT", "records")
    monkeypatch.setenv("ROBUSTLIB_CACHE", " ")
    found = notebooks._environment()
    assert found["ROBUSTLIB_ROOT"] == str(tmp_path / "records")
    assert not found["ROBUSTLIB_CACHE"].strip()


def test_plain_papermill_meets_the_notebooks_own_check(folder: Path) -> None:
    """Papermill alone would only warn; the notebook's first cell stops it."""
    with pytest.raises(RobustlibError, match="did you mean 'profile'"):
        chapter.check_parameters({"profile": "best", "profil": "smoke", "_private": 1, "In": []})
    chapter.check_parameters({"profile": "best", "device": "cpu", "recompute": False, "__name__": "x"})


def test_to_compute_anew_wants_one_profile() -> None:
    with pytest.raises(RobustlibError, match="recompute=True needs one profile"):
        chapter.prepare("madry2018", "best", "cpu", recompute=True)


def test_failing_cell_is_named_and_keeps_an_earlier_result(tmp_path: Path) -> None:
    shutil.copy(FIXTURES / "02_failing.py", tmp_path)
    earlier = tmp_path / "02_failing.ipynb"
    earlier.write_text("earlier")
    with pytest.raises(RobustlibError, match=r"02_failing\.py: cell 1 failed: ArithmeticError"):
        notebooks.publish(folder=tmp_path)
    assert earlier.read_text() == "earlier"
    assert (tmp_path / "02_failing.failed.ipynb").exists()


def test_unknown_notebook_name(folder: Path) -> None:
    with pytest.raises(RobustlibError, match="did you mean '01_scratch'"):
        notebooks.sources(folder, ["01_scrach"])


def test_command_line_exits_1_with_a_line_per_fault(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert notebooks.main(["check", "--folder", str(folder)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_injected_cell_and_counts() -> None:
    cells = [
        nbformat.v4.new_code_cell("a = 1", execution_count=4),
        nbformat.v4.new_code_cell("a = 2", execution_count=5, metadata={"tags": ["injected-parameters"]}),
        nbformat.v4.new_code_cell("a", execution_count=6),
        nbformat.v4.new_code_cell("a", execution_count=7),
    ]
    result, dropped = canonical(nbformat.v4.new_notebook(cells=cells))
    assert dropped == 0
    assert [cell.execution_count for cell in result.cells] == [1, 2, 3]
    assert result.cells[1].id != result.cells[2].id
