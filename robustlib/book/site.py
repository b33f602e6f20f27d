"""Build of the book: gather its pages in a staging folder, run Sphinx with warnings as errors, check the site.

    python -m robustlib.book.site build [--out DIR] [--jobs 2] [--reuse] [--builder html|singlehtml]
    python -m robustlib.book.site check [--out DIR]

The tracked tree is only read. Under ``DIR/_build`` come ``notebooks`` (executed), ``generated`` (written by
``robustlib.book.pages`` from the records), ``site-src`` (what Sphinx reads) and ``html``.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from robustlib.book.api_pages import write_api_pages
from robustlib.book.drawings import place_drawings
from robustlib.book.site_check import check_site
from robustlib.errors import RobustlibError
from robustlib.report import notebooks

TOP_FILES = ("_config.yml", "_toc.yml", "index.md")
# Folders that pages include from or link into.
TREES = ("book", "results")
INPUTS = (*TOP_FILES, *TREES, "notebooks", "robustlib", "weights")
# Jupyter Book has no ``python -m``, its script need not be on the path, and its options hold no number of processes.
# Pages live long and hold each other: to look for those that do not is a fifth of the time. Each chunk of pages has
# some of every folder, so that processes end together.
JUPYTER_BOOK = """
import functools
import gc
import sphinx.builders
import jupyter_book.sphinx as book
gc.set_threshold(500_000, 20, 100)
sphinx.builders.make_chunks = lambda pages, processes: [pages[i::4] for i in range(min(4, len(pages)))]
book.build_sphinx = functools.partial(book.build_sphinx, jobs={jobs})
from jupyter_book.cli.main import main
main()
"""
GENERATOR = "robustlib.book.pages"


def source_digest(root: Path, inputs: Iterable[str] = INPUTS) -> str:
    """SHA-256 over names and bytes of all that the site is made from."""
    total = hashlib.sha256()
    for top in inputs:
        start = root / top
        files = [start] if start.is_file() else sorted(path for path in start.rglob("*") if path.is_file())
        for path in files:
            if {"__pycache__", ".ipynb_checkpoints"} & set(path.parts):
                continue
            total.update(f"{path.relative_to(root)}\0{path.stat().st_size}\0".encode())
            total.update(path.read_bytes())
    return total.hexdigest()


def generate(destination: Path, generator: str = GENERATOR) -> None:
    """Have the report package write tables, scorecard and record pages into a fresh folder."""
    shutil.rmtree(destination, ignore_errors=True)
    destination.mkdir(parents=True)
    module = importlib.import_module(generator)
    code = module.main([str(destination)])
    if code:
        raise RobustlibError(f"{generator} {destination}: exit {code}; the book's tables were not written")


def with_buttons(config: str) -> str:
    """The configuration with links to the repository, Colab and Binder, if its ``repository: url`` is set."""
    facts = yaml.safe_load(config)
    if not facts.get("repository", {}).get("url"):
        return config
    facts["html"] |= {f"use_{kind}_button": True for kind in ("issues", "repository", "edit_page")}
    facts["launch_buttons"] |= {
        "binderhub_url": "https://mybinder.org",
        "colab_url": "https://colab.research.google.com",
    }
    return str(yaml.safe_dump(facts, sort_keys=False))


def _shorten(staging: Path) -> None:
    """Shorten a printed book: keep the numbers of each record, and leave out the pages of the library."""
    for page in (staging / "records").glob("*-*.md"):
        text = page.read_text(encoding="utf-8")
        page.write_text(
            re.sub(r"^<details.*?^</details>\n", "", text, flags=re.DOTALL | re.MULTILINE), encoding="utf-8"
        )
    contents = staging / "_toc.yml"
    toc = yaml.safe_load(contents.read_text(encoding="utf-8"))
    for part in toc["parts"]:
        part["chapters"] = [chapter for chapter in part["chapters"] if chapter.get("file") != "book/api"]
    contents.write_text(yaml.safe_dump(toc, sort_keys=False), encoding="utf-8")
    shutil.rmtree(staging / "api")
    (staging / "book" / "api.md").unlink()


def stage(root: Path, work: Path, builder: str = "html") -> Path:
    """Lay out ``work/site-src`` from the tree, ``work/notebooks`` and ``work/generated``; returns it.

    ``generated/records`` becomes ``records``, whose pages have addresses worth citing; scripts and exported tables
    come to ``static``, which the pages call ``_static``; the other generated files lie in ``generated`` for
    ``{include}``. API pages list themselves.
    """
    staging = work / "site-src"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    for name in TOP_FILES:
        shutil.copy2(root / name, staging / name)
    config = staging / "_config.yml"
    config.write_text(with_buttons(config.read_text(encoding="utf-8")), encoding="utf-8")
    for name in TREES:
        if (root / name).is_dir():
            shutil.copytree(root / name, staging / name)
    made = work / "generated"
    shutil.copytree(made, staging / "generated", ignore=shutil.ignore_patterns("records", "static", "tables"))
    (staging / "static").mkdir()
    moved = {"records": made / "records", "static": made / "static", "static/tables": made / "tables"}
    for name, source in {**moved, "notebooks": work / "notebooks"}.items():
        if source.is_dir():
            unwanted = shutil.ignore_patterns("*.failed.ipynb")
            shutil.copytree(source, staging / name, ignore=unwanted, dirs_exist_ok=True)
    place_drawings(staging / "notebooks", staging / "static" / "figures", printed=builder == "singlehtml")
    write_api_pages(root / "robustlib", staging / "api")
    if builder == "singlehtml":
        _shorten(staging)
    return staging


def sphinx(staging: Path, out: Path, builder: str = "html", *, jobs: int = 2) -> Path:
    """Run Jupyter Book in ``jobs`` processes, every warning an error; returns the folder of the built pages.

    Raises:
        RobustlibError: with the warnings that Sphinx printed.
    """
    command = [sys.executable, "-c", JUPYTER_BOOK.format(jobs=jobs), "build", str(staging), "--path-output", str(out)]
    command += ["-W", "-n", "--keep-going", "--all", "-q", "--builder", builder]
    ended = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if ended.returncode:
        said = re.sub(r"\x1b\[[0-9;]*m", "", ended.stderr).replace(f"{staging.resolve()}/", "")
        warnings = [line for line in said.splitlines() if line.strip()]
        raise RobustlibError("the book does not build:\n" + "\n".join(warnings[-60:]))
    return out / "_build" / builder


def build(
    root: Path = Path(),
    out: Path | None = None,
    *,
    jobs: int = 2,
    builder: str = "html",
    reuse: bool = False,
    committed: bool = False,
    generator: str = GENERATOR,
) -> Path:
    """Execute, generate, stage and build; returns the folder of the built pages.

    Args:
        root: the repository.
        out: holds ``_build``; default the repository.
        jobs: notebooks, and then processes of Sphinx, at a time.
        builder: ``html``, or ``singlehtml`` for printing.
        reuse: return the site that is there, when it was made from the same sources.
        committed: take the notebooks as they are published instead of executing them.
        generator: module with ``main([destination])`` that writes the generated pages.

    Raises:
        RobustlibError: a notebook that fails, a missing generated file, a Sphinx warning.
    """
    out = root if out is None else out
    work = out / "_build"
    stamp = work / builder / ".source-digest"
    digest = source_digest(root)
    if reuse and stamp.exists() and stamp.read_text(encoding="utf-8") == digest:
        return stamp.parent
    shutil.rmtree(work / "notebooks", ignore_errors=True)
    print("writing tables and record pages", flush=True)
    with ThreadPoolExecutor(1) as beside:
        # They are made from the records and from the notebooks as they are published, while those are executed.
        pages = beside.submit(generate, work / "generated", generator)
        if committed:
            shutil.copytree(root / notebooks.FOLDER, work / "notebooks", ignore=shutil.ignore_patterns("*.py", ".*"))
        else:
            notebooks.execute(target=work / "notebooks", folder=root / notebooks.FOLDER, jobs=jobs)
        pages.result()
    print("building the pages", flush=True)
    shutil.rmtree(work / builder, ignore_errors=True)
    html = sphinx(stage(root, work, builder), out, builder, jobs=jobs)
    stamp.write_text(digest, encoding="utf-8")
    return html


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; exit 1 with one line per fault."""
    parser = argparse.ArgumentParser(prog="python -m robustlib.book.site")
    parser.add_argument("action", choices=["build", "check"])
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--builder", choices=["html", "singlehtml"], default="html")
    parser.add_argument("--reuse", action="store_true", help="keep a site made from the same sources")
    parser.add_argument("--generator", default=GENERATOR, metavar="MODULE")
    options = parser.parse_args(argv)
    try:
        if options.action == "check":
            faults = check_site(options.out / "_build" / "html")
            print("\n".join(faults), file=sys.stderr)
            return 1 if faults else 0
        html = build(
            out=options.out,
            jobs=options.jobs,
            builder=options.builder,
            reuse=options.reuse,
            generator=options.generator,
        )
    except RobustlibError as error:
        print(error, file=sys.stderr)
        return 1
    print(html / "index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
