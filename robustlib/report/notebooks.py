"""Notebooks: the ``.py`` is the source, papermill runs it, the ``.ipynb`` is a copy that anyone can check.

    python -m robustlib.report.notebooks execute [NAME ...] [--to DIR] [-p name=value ...] [--jobs 2]
    python -m robustlib.report.notebooks publish [NAME ...]
    python -m robustlib.report.notebooks check [NAME ...]

Every notebook runs in a separate process, one thread each, so that two at a time give the same digits
as one after the other. Parts that differ from run to run (timings, papermill's metadata, random cell ids,
stderr) are taken out: two runs on one machine write the same bytes.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jupytext
import nbformat

from robustlib import environment
from robustlib.errors import RobustlibError, suggest
from robustlib.parameters import check_values
from robustlib.report.notebook_cells import canonical, pair_differences

FOLDER = Path("notebooks")
Value = str | int | float | bool


def sources(folder: Path = FOLDER, names: Iterable[str] = ()) -> list[Path]:
    """The ``.py`` notebooks of a folder in order; with names (``04_madry``), those only.

    Raises:
        RobustlibError: a name that is not there.
    """
    found = {path.stem: path for path in sorted(folder.glob("[0-9]*.py"))}
    wanted = [Path(name).stem for name in names]
    for name in wanted:
        if name not in found:
            raise RobustlibError(suggest("notebook", name, found))
    return [found[name] for name in wanted] if wanted else list(found.values())


def refuse(source: Path, parameters: Mapping[str, Value]) -> None:
    """Refuse parameters before anything is computed.

    Raises:
        RobustlibError: one that the notebook does not declare, or a value that no chapter can do anything with.
    """
    if not parameters:
        return
    cells = jupytext.read(source, fmt="py:percent").cells
    code = "\n".join(cell.source for cell in cells if "parameters" in cell.metadata.get("tags", ()))
    assigned = [node for node in ast.parse(code).body if isinstance(node, ast.Assign)]
    declared = {ast.unparse(node.targets[0]): ast.literal_eval(node.value) for node in assigned}
    for name in parameters:
        if name not in declared:
            raise RobustlibError(f"{source}: " + suggest("notebook parameter", name, declared))
    try:
        check_values({**declared, **parameters})
    except RobustlibError as error:
        raise RobustlibError(f"{source}: {error}") from None


def run_one(source: Path, target: Path, parameters: Mapping[str, Value]) -> int:
    """Execute one ``.py`` notebook and write ``target`` (``.ipynb``), whole or not at all.

    Returns:
        the number of stderr outputs that were left out of it.

    Raises:
        RobustlibError: as :func:`refuse`, or a cell that fails; the half-run notebook is kept beside the target as
            ``NAME.failed.ipynb``.
    """
    import papermill

    refuse(source, parameters)
    target.parent.mkdir(parents=True, exist_ok=True)
    failed = target.with_suffix(".failed.ipynb")
    failed.unlink(missing_ok=True)
    raw = target.with_suffix(".input.ipynb")
    done = target.with_suffix(".running.ipynb")
    notebook = jupytext.read(source, fmt="py:percent")
    # The kernel of this environment, whatever a user's own settings prefer.
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, raw)
    try:
        try:
            options: Any = {"cwd": str(source.parent), "progress_bar": False, "log_output": False}
            papermill.execute_notebook(str(raw), str(done), parameters=dict(parameters), **options)
        except papermill.PapermillExecutionError as error:
            done.replace(failed)
            reason = f"cell {error.cell_index} failed: {error.ename}: {error.evalue}"
            raise RobustlibError(f"{source}: {reason} (see {failed})") from None
        executed, dropped = canonical(nbformat.read(done, as_version=4), keep_injected=bool(parameters))
        nbformat.write(executed, done)
        done.replace(target)
    finally:
        raw.unlink(missing_ok=True)
        done.unlink(missing_ok=True)
    return dropped


def _environment() -> dict[str, str]:
    """Environment of a notebook's process: this package and kernel, no progress bars, one thread, the same folders."""
    path = os.pathsep.join(filter(None, [str(environment.PACKAGE.parent), os.environ.get("PYTHONPATH")]))
    # It runs in the folder of its notebook, where a relative path would lead elsewhere.
    named = {name: environment.variable(name) for name in (environment.ROOT, environment.CACHE, environment.DATA)}
    folders = {name: str(folder.absolute()) for name, folder in named.items() if folder is not None}
    names = ("TQDM_DISABLE", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "JUPYTER_PREFER_ENV_PATH", environment.DRAWINGS)
    return {**os.environ, **folders, **dict.fromkeys(names, "1"), "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"}


def execute(
    names: Iterable[str] = (),
    *,
    target: Path,
    folder: Path = FOLDER,
    parameters: Mapping[str, Value] | None = None,
    jobs: int = 2,
    say: Callable[[str], None] = print,
) -> list[Path]:
    """Execute notebooks, ``jobs`` at a time, into ``target/NAME.ipynb``; a line for each as it ends.

    Raises:
        RobustlibError: as :func:`refuse`, or one line for each notebook that failed, after all have run.
    """
    todo = sources(folder, names)
    for source in todo:
        refuse(source, parameters or {})
    target.mkdir(parents=True, exist_ok=True)
    options = json.dumps(dict(parameters or {}))

    def job(item: tuple[int, Path]) -> str:
        number, source = item
        label = f"[{number}/{len(todo)}] {source.stem}"
        say(f"{label}: running")
        begun = time.monotonic()
        out = target.resolve() / f"{source.stem}.ipynb"
        command = [sys.executable, "-m", "robustlib.report.notebooks", "one", str(source.resolve()), str(out)]
        command.append(options)
        ended = subprocess.run(command, capture_output=True, encoding="utf-8", env=_environment(), check=False)
        seconds = time.monotonic() - begun
        if ended.returncode:
            say(f"{label}: FAILED after {seconds:.0f} s")
            said = (ended.stderr.strip().splitlines() or [f"{source}: exit {ended.returncode}"])[-1]
            return said.replace(f"{Path.cwd()}{os.sep}", "")
        note = ended.stdout.strip()
        say(f"{label}: done in {seconds:.0f} s{f' ({note})' if note else ''}")
        return ""

    # The longest first, so that none runs alone at the end: most of a chapter's time and bytes are its figures.
    queue = sorted(todo, key=_published_bytes, reverse=True)
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        failures = [line for line in pool.map(job, enumerate(queue, 1)) if line]
    if failures:
        raise RobustlibError("\n".join(failures))
    return [target / f"{source.stem}.ipynb" for source in todo]


def _published_bytes(source: Path) -> int:
    pair = source.with_suffix(".ipynb")
    return pair.stat().st_size if pair.exists() else 0


def publish(names: Iterable[str] = (), *, folder: Path = FOLDER, jobs: int = 2) -> list[Path]:
    """Execute with the parameters of the source and rewrite the ``.ipynb`` beside each ``.py``."""
    return execute(names, target=folder, folder=folder, jobs=jobs)


def check(names: Iterable[str] = (), *, folder: Path = FOLDER) -> list[str]:
    """One line for each way in which a committed ``.ipynb`` differs from its ``.py``, file dates aside."""
    faults = []
    wanted = sources(folder, names)
    for source in wanted:
        pair = source.with_suffix(".ipynb")
        if not pair.exists():
            faults.append(f"{pair}: missing; run `make publish`")
            continue
        stored = nbformat.read(pair, as_version=4)
        written = jupytext.read(source, fmt="py:percent")
        faults += [f"{pair}: {line}" for line in pair_differences(written, stored)]
    if not names:
        stems = {source.stem for source in wanted}
        lone = [pair for pair in sorted(folder.glob("*.ipynb")) if pair.stem not in stems]
        faults += [f"{pair}: has no {pair.stem}.py; the .py is the source" for pair in lone]
    return faults


def _value(text: str) -> Value:
    """``True``, ``3`` and ``0.5`` as a bool, an int and a float, anything else as text."""
    try:
        value = json.loads(text.lower() if text in ("True", "False") else text)
    except json.JSONDecodeError:
        return text
    return value if isinstance(value, int | float | bool) else text


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; exit 1 with one line per fault."""
    parser = argparse.ArgumentParser(prog="python -m robustlib.report.notebooks")
    parser.add_argument("action", choices=["execute", "publish", "check"])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--to", type=Path, default=Path("_build/notebooks"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("-p", dest="parameters", action="append", default=[], metavar="NAME=VALUE")
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments[:1] == ["one"]:
            dropped = run_one(Path(arguments[1]), Path(arguments[2]), json.loads(arguments[3]))
            print(f"{dropped} stderr outputs left out" if dropped else "")
            return 0
        options = parser.parse_intermixed_args(arguments)
        if options.action == "check":
            faults = check(options.names, folder=options.folder)
            print("\n".join(faults), file=sys.stderr)
            return 1 if faults else 0
        if options.action == "publish":
            publish(options.names, folder=options.folder, jobs=options.jobs)
            return 0
        pairs = [text.partition("=") for text in options.parameters]
        given = {name: _value(value) for name, _, value in pairs}
        execute(options.names, target=options.to, folder=options.folder, parameters=given, jobs=options.jobs)
    except RobustlibError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
