"""Everything that the book and the README take from records: scorecard, costs, record pages, exported tables.

python -m robustlib.book.pages DEST
"""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from ..environment import records_root, repository
from ..errors import RobustlibError
from ..experiments import profiles
from ..experiments.runner import Job
from ..experiments.store import Store
from ..papers.comparison import slides
from ..report.display import record_target
from ..report.exports import write_exports
from ..report.plots.overview import overview, overview_alt, overview_png
from ..report.verdicts import rule
from ..spec.records import Record
from . import independent, inversions
from .browser_demo import SCRIPT, demo_script
from .cards import cards, data_cards, released_cards
from .costs import commands, costs
from .curves import curves
from .page_assets import PICTURE
from .record_pages import write_records
from .scorecard import anchors, drawn, fates, scorecard, summary

MARK = ("<!-- generated: scorecard -->", "<!-- end of generated -->")


# Comparison with committed records ----------------------------------------------------------------


def _shown(record: Record, name: str) -> str:
    return f"{record.metrics[name].value:.6g}" if name in record.metrics else "none"


def compare(jobs: Sequence[Job], profile: str, *, ours: Store, theirs: Store) -> list[str]:
    """Compare records made now with the committed ones: a line for each difference, then a count."""
    lines, same, missing = [], 0, 0
    for job in jobs:
        new, old = (store.find(job.evaluation, job.home(profile)) for store in (ours, theirs))
        if new is None or old is None:
            missing += 1
            continue
        moved = [
            f"{name} {_shown(old, name)} -> {_shown(new, name)}"
            for name in sorted({*old.metrics, *new.metrics})
            if old.metrics.get(name) != new.metrics.get(name)
        ]
        if not moved and old.outcomes != new.outcomes:
            moved = ["the same share of other points"]
        same += not moved
        if moved:
            lines.append(f"{new.path}: {'; '.join(moved[:4])}")
    lines.append(
        f"{same} records equal the committed ones, {len(lines)} differ, {missing} have nothing to compare with"
    )
    return lines


def overview_path(root: Path, *, dark: bool) -> Path:
    """Where the front page's picture lies, for the README as well."""
    return root / "book" / "_static" / f"overview-{'dark' if dark else 'light'}.svg"


def readme_text(store: Store) -> dict[Path, str]:
    """README.md and weights/README.md with their generated parts made anew, and the front page's picture, by path."""
    root, found = store.root, {}
    points = drawn(profiles.BEST, store)
    for dark in (False, True):
        path = overview_path(root, dark=dark)
        if path.parent.is_dir():
            found[path] = overview(points, dark=dark)
    bodies: dict[Path, Callable[[], str]] = {
        root / "README.md": lambda: f"{summary(profiles.BEST, store)}\n{costs(store)}",
        root / "weights" / "README.md": lambda: cards(root / "weights", store),
    }
    for path, body in bodies.items():
        if path.exists():
            before, start, rest = path.read_text(encoding="utf-8").partition(MARK[0])
            _, end, after = rest.partition(MARK[1])
            if not (start and end):
                raise RobustlibError(f"{path.name} has lost its marks {MARK[0]} and {MARK[1]}; put them back")
            found[path] = f"{before}{start}\n{body()}{end}{after}"
    return found


def _overview_figure(profile: str, store: Store) -> str:
    """The front page's picture with its alt text, as MyST seen from the root."""
    alt = overview_alt(drawn(profile, store))
    parts = []
    for dark in (False, True):
        kind = "dark" if dark else "light"
        parts += [
            f"```{{image}} book/_static/overview-{kind}.svg",
            f":class: only-{kind} overview",
            f":alt: {alt}",
            "```",
            "",
        ]
    return "\n".join(parts)


DOWNLOADED = ("findings.md", "independent.md", "costs.md", "commands.md")
"""Generated pages whose tables come as files too."""


def downloads(name: str, text: str) -> dict[str, str]:
    """A generated page with links to its table as CSV and JSON, and these files; the page alone where it has no table.

    Args:
        name: of the page.
        text: MyST; its first pipe table is exported, links as their words.
    """
    lines = list(itertools.takewhile(lambda line: line.startswith("|"), text.splitlines()))
    if len(lines) < 3:
        return {name: text}
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line).replace("`", "").replace("**", "") for line in lines]
    heads, _, *body = ([cell.strip() for cell in line.strip("|").split("|")] for line in plain)
    stem = name.removesuffix(".md")
    frame = pd.DataFrame(body, columns=_unique(heads))
    files = {
        f"{stem}.csv": frame.to_csv(index=False, lineterminator="\n"),
        f"{stem}.json": json.dumps(frame.to_dict("records"), indent=1, ensure_ascii=False) + "\n",
    }
    links = ", ".join(f"{{download}}`{file.rpartition('.')[2].upper()} <../generated/{file}>`" for file in files)
    return {name: f"{text}\nThis table as a file: {links}.\n"} | files


def _unique(heads: Sequence[str]) -> list[str]:
    """Heads in which a repeated one is numbered."""
    return [f"{head} {heads[: i + 1].count(head)}" if heads.count(head) > 1 else head for i, head in enumerate(heads)]


def generate(
    destination: Path, *, root: Path | None = None, profile: str = profiles.BEST, names: Sequence[str] = ()
) -> None:
    """Write every generated page and table below ``destination``; with ``names`` the tables of these items alone."""
    root = root or records_root()
    store = Store(root)
    destination.mkdir(parents=True, exist_ok=True)
    tables = anchors(root / "notebooks")
    pages = {
        "summary.md": summary(profile, store),
        "fates.md": fates(profile, store),
        "overview.md": _overview_figure(profile, store),
        "scorecard.md": scorecard(profile, store, tables),
        "verdict_rule.md": rule(),
        "slides.md": slides.page(profile, store),
        "independent.md": independent.page(root, store),
        "findings.md": inversions.page(profile, store),
        "data_cards.md": data_cards(),
        "model_cards.md": cards(root / "weights", store, link=lambda path: f"#{record_target(path)}"),
        "released_cards.md": released_cards(store, link=lambda path: f"#{record_target(path)}"),
        "curves.md": curves(profile, store) or "No curve has been measured yet.\n",
        f"static/{SCRIPT}": demo_script(root / "weights"),
    }
    if not names:
        # Estimates of everything take seconds, and only the whole book has them.
        pages |= {"costs.md": costs(store), "commands.md": commands(store)}
    for name in DOWNLOADED:
        pages |= downloads(name, pages[name]) if name in pages else {}
    (destination / "static").mkdir(exist_ok=True)
    for name, text in pages.items():
        (destination / name).write_text(text, encoding="utf-8")
    (destination / "static" / Path(PICTURE).name).write_bytes(overview_png(drawn(profile, store)))
    write_exports(destination / "tables", profile, store, names)
    shown = profiles.NAMES if profile != profiles.BEST else profiles.FAITHFUL_FIRST
    write_records(destination / "records", store, shown, tables)


def main(arguments: Sequence[str] | None = None) -> int:
    """``DEST [--readme]``: generate below DEST; with --readme, rewrite the READMEs' generated parts as well."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = [text for text in given if text.startswith("-")]
    if len(given) != len(options) + 1 or options not in ([], ["--readme"]):
        print("usage: python -m robustlib.book.pages DEST [--readme]", file=sys.stderr)
        return 2
    generate(Path(next(text for text in given if text not in options)))
    if options:
        for path, text in readme_text(Store(repository())).items():
            path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
