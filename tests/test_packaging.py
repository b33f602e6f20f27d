"""Dependencies, licences, sizes and the direction of imports."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from robustlib.catalogue.base import papers
from robustlib.models import names as models
from robustlib.parameters import NAMES as PROFILES

# A module may import from lower numbers, and within its own package.
_ORDER = (
    "errors interrupt",
    "environment parameters statistics batches budget registry files",
    "threat data models",
    "attacks certify",
    "training",
    "spec",
    "evaluate",
    "experiments",
    "catalogue",
    "report",
    "papers",
    "book",
    "commands",
    "cli",
    "__main__",
)
LAYERS = {name: place for place, names in enumerate(_ORDER) for name in names.split()}
CONDA_NAMES = {"pytorch": "torch"}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _split(requirement: str) -> tuple[str, frozenset[str]]:
    """``"torch >=2.6,<3"`` as a normal name and its set of bounds."""
    match = re.match(r"\s*([A-Za-z0-9._-]+)\s*(.*)", requirement)
    assert match, requirement
    return _normal(match[1]), frozenset(part.strip() for part in match[2].split(",") if part.strip())


def _project(root: Path) -> Any:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _declared(root: Path) -> dict[str, frozenset[str]]:
    project = _project(root)
    extras = [line for group in project["optional-dependencies"].values() for line in group]
    return dict(_split(line) for line in [*project["dependencies"], *extras])


def _locked(root: Path) -> dict[str, set[str]]:
    """Normal name to the versions in the lock (several where they depend on the platform)."""
    found: dict[str, set[str]] = {}
    for line in (root / "requirements.lock").read_text(encoding="utf-8").splitlines():
        match = re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)", line)
        if match:
            found.setdefault(_normal(match[1]), set()).add(match[2])
    return found


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+")[0]))


def _within(version: str, bound: str) -> bool:
    match = re.match(r"(>=|<=|==|!=|<|>)\s*(.+)", bound)
    assert match, bound
    ours, theirs = _numbers(version), _numbers(match[2])
    length = max(len(ours), len(theirs))
    left, right = (value + (0,) * (length - len(value)) for value in (ours, theirs))
    return {
        ">=": left >= right,
        "<=": left <= right,
        "==": left == right,
        "!=": left != right,
        "<": left < right,
        ">": left > right,
    }[match[1]]


def test_lock_holds_every_declared_dependency_within_its_range(root: Path) -> None:
    locked = _locked(root)
    for name, bounds in _declared(root).items():
        assert name in locked, f"{name} is in pyproject.toml and not in requirements.lock: lock again"
        for version in locked[name]:
            for bound in bounds:
                assert _within(version, bound), f"{name} {version} in the lock is outside {bound}"


def test_conda_environment_lists_the_same_ranges(root: Path) -> None:
    environment = yaml.safe_load((root / "environment.yml").read_text(encoding="utf-8"))
    listed = [entry for entry in environment["dependencies"] if isinstance(entry, str) and entry != "pip"]
    conda = dict(_split(entry) for entry in listed)
    assert conda.pop("python") == {_project(root)["requires-python"]}
    assert {CONDA_NAMES.get(name, name): bounds for name, bounds in conda.items()} == _declared(root)
    assert environment["dependencies"][-1] == {"pip": ["-e ."]}


def test_lock_names_no_host_and_no_path(root: Path) -> None:
    text = (root / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    assert " @ " not in text
    for line in text.splitlines():
        assert not line.startswith(("-", "/")), line


def test_measuring_needs_nothing_of_the_book(root: Path) -> None:
    """A bare machine with torch, numpy, scipy, pandas and scikit-learn can run experiments."""
    needed = {_split(line)[0] for line in _project(root)["dependencies"]}
    book = {_split(line)[0] for line in _project(root)["optional-dependencies"]["book"]} - needed
    modules = {"jupyter-book": "jupyter_book", "sphinx-book-theme": "sphinx_book_theme"}
    forbidden = {modules.get(name, name) for name in book}
    for path in (root / "robustlib").rglob("*.py"):
        if path.relative_to(root / "robustlib").parts[0] in ("report", "papers", "book", "commands.py"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.append(node.module)
            for name in names:
                assert name.split(".")[0] not in forbidden, f"{path.relative_to(root)} imports {name} at its top"


def test_networks_of_others_are_read_by_tests_alone(root: Path) -> None:
    """Nobody who installs, measures or builds the book needs onnx; no module imports it, not even where it is used."""
    project = _project(root)
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    readers = {"onnx", "onnx2torch"}
    needed_by = {name for name, group in groups.items() for line in group if _split(line)[0] in readers}
    assert needed_by == {"test"}
    for path in (root / "robustlib").rglob("*.py"):
        found = {name.split(".")[0] for name in _imported(path, root / "robustlib")}
        assert not readers & found, f"{path.relative_to(root)} imports {sorted(readers & found)}"


def _imported(path: Path, package: Path) -> set[str]:
    """Absolute dotted names that a module imports, wherever in it."""
    here = path.relative_to(package.parent).with_suffix("").parts
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = list(here[: len(here) - node.level]) if node.level else []
            module = ".".join([*base, *(node.module.split(".") if node.module else [])])
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def _imports(path: Path, package: Path) -> set[str]:
    """First names below ``robustlib`` that a module imports, wherever in it."""
    parts = [name.split(".") for name in _imported(path, package)]
    return {name[1] for name in parts if name[0] == "robustlib" and len(name) > 1}


def test_imports_point_one_way(root: Path) -> None:
    package = root / "robustlib"
    faults = []
    for path in sorted(package.rglob("*.py")):
        own = path.relative_to(package).with_suffix("").parts[0]
        if own == "__init__":
            continue
        assert own in LAYERS, f"robustlib/{own} has no place in the order of imports"
        for other in sorted(_imports(path, package)):
            if other in LAYERS and other != own and LAYERS[other] >= LAYERS[own]:
                faults.append(f"{path.relative_to(root)} ({own}) imports {other}")
    assert not faults, "\n".join(faults)


def test_import_reader_understands_relative_imports(tmp_path: Path) -> None:
    package = tmp_path / "robustlib"
    (package / "data").mkdir(parents=True)
    module = package / "data" / "x.py"
    module.write_text("from ..attacks.pgd import pgd\nfrom .y import z\nfrom .. import cli\nimport robustlib.report\n")
    assert _imports(module, package) == {"attacks", "data", "cli", "report"}


NAMED_ELSEWHERE = {
    "training/trades.py": "a defence has the name of the network that its paper trains by it",
    "cli.py": "help shows profiles by example",
    "book/costs.py": "the page of costs compares two profiles, a column each",
    "book/pages.py": "writes the pages across the papers, which one package makes",
    "book/scorecard.py": "shows how the papers' claims aged, which one package lists",
    "book/browser_demo.py": "runs one paper's network in the reader's browser",
}
"""Modules that name a paper, a model or a profile outside its place, and why."""


def _says(source: str) -> tuple[set[str], set[str]]:
    """(words of names and of literals that are no docstrings, literals themselves) of a module."""
    tree = ast.parse(source)
    parts = {
        ast.Name: "id",
        ast.Attribute: "attr",
        ast.alias: "name",
        ast.ImportFrom: "module",
        ast.arg: "arg",
        ast.keyword: "arg",
        ast.FunctionDef: "name",
        ast.ClassDef: "name",
    }
    names = {getattr(node, parts[type(node)]) or "" for node in ast.walk(tree) if type(node) in parts}
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    literals = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
    }
    return {word for text in names | literals for word in re.findall(r"\w+", text)}, literals


def test_no_paper_model_or_profile_is_named_outside_its_place(root: Path) -> None:
    package, faults = root / "robustlib", set()
    for path in sorted(package.rglob("*.py")):
        here = path.relative_to(package).as_posix()
        words, literals = _says(path.read_text(encoding="utf-8"))
        if here.startswith("papers/"):
            continue
        architectures = set() if here.startswith("models/") else set(models())
        # As words of prose or names of variables "full" and "quick" say nothing of profiles.
        profiles = set() if here in ("experiments/profiles.py", "parameters.py") else set(PROFILES)
        faults |= {here} if (words & {*papers(), *architectures}) | (literals & profiles) else set()
    assert faults == set(NAMED_ELSEWHERE)


def test_the_reader_of_names_sees_literals_and_identifiers_but_no_docstring() -> None:
    words, literals = _says(
        '"""Of wong2018."""\nfrom ..papers import zhang2019\nx = f"{1}madry2018/table-1" + "quick"\n'
    )
    assert {"zhang2019", "madry2018", "quick"} <= words
    assert "wong2018" not in words
    assert "quick" in literals


def test_licences_and_citation_agree(root: Path) -> None:
    project = _project(root)
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    assert project["license"] == citation["license"] == "MIT"
    assert project["version"] == citation["version"]
    assert f"Version {project['version']}" in (root / "book/cite.md").read_text(encoding="utf-8")
    assert f'__version__ = "{project["version"]}"' in (root / "robustlib/__init__.py").read_text(encoding="utf-8")
    assert "MIT License" in (root / "LICENSE").read_text(encoding="utf-8")
    assert "creativecommons.org/licenses/by/4.0/legalcode" in (root / "LICENSE-BOOK").read_text(encoding="utf-8")
    assert (root / "book/_mathjax/mathjax/LICENSE").exists()


def _tracked(root: Path) -> list[Path]:
    try:
        command = ["git", "-C", str(root), "ls-files", "-z"]
        listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [path for name in listing.split("\0") if name and (path := root / name).is_file()]


def test_tracked_tree_stays_small(root: Path) -> None:
    files = _tracked(root)
    sizes = {path: path.stat().st_size for path in files}
    assert sum(sizes.values()) <= 40e6
    assert sum(size for path, size in sizes.items() if path.is_relative_to(root / "results")) <= 12e6
    assert sum(size for path, size in sizes.items() if path.is_relative_to(root / "weights")) <= 12e6


@pytest.mark.parametrize("package", ["attacks", "certify", "data", "evaluate", "training"])
def test_what_a_package_offers_is_not_hidden_by_a_module_of_that_name(package: str) -> None:
    found = importlib.import_module(f"robustlib.{package}")
    assert [name for name in found.__all__ if isinstance(getattr(found, name), ModuleType)] == []


def test_modules_stay_short(root: Path) -> None:
    lines = {
        str(path.relative_to(root)): len(path.read_text(encoding="utf-8").splitlines())
        for path in (root / "robustlib").rglob("*.py")
    }
    assert {name: n for name, n in lines.items() if n > 400} == {}


def test_make_help_lists_what_the_readme_promises(root: Path) -> None:
    shown = subprocess.run(["make", "help"], cwd=root, capture_output=True, text=True, check=True).stdout
    for target in ("book", "test", "test-slow", "reproduce", "publish", "pdf", "bench", "lint", "serve"):
        assert f"make {target} " in shown
    assert all(f"make {target}" in (root / "README.md").read_text(encoding="utf-8") for target in ("book", "test"))


def test_make_says_clearly_that_python_is_too_old(root: Path, tmp_path: Path) -> None:
    command = ["make", "setup", f"VENV={tmp_path / 'none'}", "PYTHON="]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert ended.returncode
    assert "Python 3.11 or newer is needed" in ended.stderr


def _without_encoding(source: str) -> list[int]:
    """Lines that read or write text as the machine's locale has it, rather than as UTF-8."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        mode = given.get("mode")
        letters = [text for text in texts if set(text) <= set("rwaxbt+")]
        modes = [mode.value] if isinstance(mode, ast.Constant) else letters
        opens = name == "open" and not any("b" in str(text) for text in modes)
        # Archives and images are opened as bytes, by functions of the same name.
        of_bytes = isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) in (
            "os",
            "gzip",
            "tarfile",
            "zipfile",
            "Image",
            "archive",
        )
        reads = name == "read_text" and "utf-8" not in texts
        talks = name in ("run", "Popen", "check_output") and ("text" in given or "universal_newlines" in given)
        if ((opens and not of_bytes) or reads or name == "write_text" or talks) and "encoding" not in given:
            found.append(node.lineno)
    return found


def test_text_files_are_utf_8_whatever_the_locale(root: Path) -> None:
    faults = [
        f"{path.relative_to(root)}:{line}"
        for folder in ("robustlib", "benchmarks")
        for path in sorted((root / folder).rglob("*.py"))
        for line in _without_encoding(path.read_text(encoding="utf-8"))
    ]
    assert not faults, "without encoding=: " + ", ".join(faults)


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("p.read_text()", 1),
        ("p.write_text(t)", 1),
        ("open(p)", 1),
        ("open(p, 'w')", 1),
        ("p.open('a')", 1),
        ("run(c, text=True)", 1),
        ("p.read_text('utf-8')", 0),
        ("open(p, 'rb')", 0),
        ("p.open(mode='wb')", 0),
        ("open(p, encoding='utf-8')", 0),
        ("tarfile.open(p)", 0),
        ("run(c, encoding='utf-8')", 0),
        ("run(jobs)", 0),
    ],
)
def test_the_reader_of_encodings_sees_what_it_should(source: str, count: int) -> None:
    assert len(_without_encoding(source)) == count
