"""Functions behind the commands of the command line: arguments in, exit code out."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from . import data
from .catalogue import plan
from .catalogue.base import Item, find_item, papers
from .catalogue.base import items as all_items
from .data.registry import facts_of
from .environment import ROOT, cache_root
from .errors import RobustlibError, suggest
from .experiments import checkpoints, profiles
from .experiments.cluster import run_on
from .experiments.exchange import collect, copying
from .experiments.forecast import estimates, forecast
from .experiments.processes import side_by_side
from .experiments.progress import Board, duration, label
from .experiments.provenance import device_name, resolve_device, source_digest, versions
from .experiments.runner import Interrupted, Job, Summary, run, verify
from .experiments.store import FileNames, Store
from .models.released import checkpoint
from .models.released import checkpoints as released
from .spec.keys import key
from .spec.records import migrate


def _say_where(args: argparse.Namespace) -> None:
    """Name the folder of records on stderr where neither arguments nor environment did."""
    if args.root_is_guessed:
        there = "" if (args.root / "results").is_dir() else " (none there yet)"
        print(
            f"robustlib: records are in {args.root / 'results'}{there}; --root or {ROOT} names another folder",
            file=sys.stderr,
        )


def _store(args: argparse.Namespace) -> Store:
    _say_where(args)
    return Store(args.root)


def _state(item: Item, store: Store) -> dict[str, Any]:
    from .report.join import item_verdicts

    cells = plan.cells_of(item.id)
    return {
        "item": item.id,
        "paper": item.paper,
        "kind": item.kind,
        "number": item.number,
        "title": item.title,
        "profiles": {name: plan.state(item, name, store) for name in profiles.NAMES},
        "cells": len(cells),
        "verified": sum(bool(cell.published and cell.published.verified) for cell in cells),
        "verdicts": item_verdicts(item, profiles.BEST, store),
    }


def list_items(args: argparse.Namespace) -> int:
    """List every table and figure, with its state."""
    if args.paper and args.paper not in papers():
        raise RobustlibError(suggest("paper", args.paper, papers()))
    chosen = [item for item in all_items() if args.paper in (None, item.paper)]
    if args.json:
        store = _store(args)
        # ASCII, which is JSON in every console.
        print(json.dumps([_state(item, store) for item in chosen], indent=1))
        return 0
    _say_where(args)
    names = FileNames(args.root)
    for item in chosen:
        marks = "  ".join(f"{name} {plan.state(item, name, names):<11}" for name in profiles.NAMES)
        print(f"{item.id:<42} {marks} {item.number}: {item.title}")
    return 0


def run_items(args: argparse.Namespace) -> int:
    """Train and measure the evaluations that have no record yet."""
    profiles.profile(args.profile)
    jobs = plan.jobs(plan.select(args.names), args.profile)
    if args.only:
        jobs = [job for job in jobs if key(job.evaluation) == args.only]
        if not jobs:
            raise RobustlibError(
                f"no evaluation {args.only!r} in the {args.profile} profile of {' '.join(args.names) or 'any paper'}; "
                "a record's page and its file name the key, and its command the item"
            )
    elsewhere = args.cluster and args.device.startswith("cuda")
    kind = "cuda" if elsewhere else resolve_device(args.device).type
    if not args.names:
        # Whoever names items names their order too.
        jobs = plan.by_value(jobs, args.profile, kind)
    store = _store(args)
    if args.dry_run:
        for line in forecast(jobs, args.profile, kind, store, recompute=args.recompute):
            print(line)
        return 0
    store.set_aside_faults()
    began = time.monotonic()
    cache = args.cache or cache_root() / "networks"
    copies = copying(args.out, args.root, cache) if args.out else contextlib.nullcontext()
    if args.jobs > 1:
        with copies:
            return _run_side_by_side(args, jobs, store)
    options: dict[str, Any] = {
        "profile": args.profile,
        "device": args.device,
        "budget": args.time_budget,
        "cache": args.cache,
        "recompute": args.recompute,
        "committed": None if args.recompute else args.root / "weights",
    }
    left = [j.evaluation for j in jobs if args.recompute or store.find(j.evaluation, j.home(args.profile)) is None]
    with copies, Board(estimates(left, kind)).shown() as board:
        options |= {"say": board.say, "tick": board.tick}
        if args.cluster:
            summary = run_on(jobs, args.cluster, root=args.root, **options)
        else:
            summary = run(jobs, store=store, **options)
    return _closing(summary, time.monotonic() - began)


def _run_side_by_side(args: argparse.Namespace, jobs: Sequence[Job], before: Store) -> int:
    """``--jobs N``: N plain runs over one store."""
    if args.recompute:
        raise RobustlibError(
            f"--jobs {args.jobs} --recompute would measure everything {args.jobs} times; leave one out"
        )
    began, options = time.monotonic(), {"--profile": args.profile, "--device": args.device}
    options |= {} if math.isinf(args.time_budget) else {"--time-budget": args.time_budget}
    options |= {f"--{name}": value for name in ("cache", "only") if (value := getattr(args, name))}
    arguments = ["--root", args.root, "run", *args.names, *(word for option in options.items() for word in option)]

    def summary(*, ended: bool) -> Summary:
        """Records that are there now; what runs without a time budget leave missing when they end has failed."""
        after, found = Store(args.root), Summary()
        for job in {key(job.evaluation): job for job in jobs}.values():
            place = (job.evaluation, job.home(args.profile))
            found.present += before.find(*place) is not None
            record = after.find(*place)
            if record is None and (reason := checkpoints.missing(job.evaluation)):
                found.skipped.append(f"{label(job.evaluation)}: {reason}")
            elif record is None and ended and math.isinf(args.time_budget):
                found.failed.append(f"{label(job.evaluation)}: its run says why, above")
            else:
                found.unfinished += record is None
            found.written += [record] if record is not None and before.find(*place) is None else []
        return found

    threads = max(1, torch.get_num_threads() // args.jobs)
    try:
        codes = side_by_side([str(word) for word in arguments], args.jobs, threads=threads, say=print)
    except KeyboardInterrupt:
        raise Interrupted(summary(ended=False)) from None
    return max(_closing(summary(ended=True), time.monotonic() - began), *codes)


def _closing(summary: Summary, seconds: float) -> int:
    print(
        f"{len(summary.written)} records written, {summary.present} were there, {summary.unfinished} left, "
        f"{len(summary.failed)} failed, {seconds:.0f} s"
    )
    for reason in summary.skipped:
        print(f"skipped: {reason}", file=sys.stderr)
    for failure in summary.failed:
        print(f"failed: {failure}", file=sys.stderr)
    return 1 if summary.failed else 0


def collect_folder(args: argparse.Namespace) -> int:
    """File the results in a folder that ``run --out`` wrote."""
    result = collect(args.folder, args.root, args.cache or cache_root() / "networks")
    _say_where(args)
    for name in result.filed:
        print(f"filed    {name}")
    for line in result.refused:
        print(f"refused  {line}", file=sys.stderr)
    print(f"{len(result.filed)} files filed, {len(result.present)} were there, {len(result.refused)} refused")
    return 1 if result.refused else 0


def reproduce(args: argparse.Namespace) -> int:
    """Run everything of a paper from nothing below ``--out``, then print the differences from committed records."""
    if args.paper not in papers():
        raise RobustlibError(suggest("paper", args.paper, papers()))
    profiles.profile(args.profile)
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    store = Store(out)
    store.set_aside_faults()
    jobs, kind = plan.jobs(plan.select([args.paper]), args.profile), resolve_device(args.device).type
    if not jobs:
        print(f"{args.paper}: nothing to run in the {args.profile} profile")
        return 0
    left = [j.evaluation for j in jobs if store.find(j.evaluation, j.home(args.profile)) is None]
    seconds, committed, chapter = estimates(left, kind), _store(args), _chapter(args)
    print(
        f"{args.paper}, profile {args.profile}: {len(jobs)} evaluations, about {duration(sum(seconds.values()))} "
        f"on {kind} (an estimate); resumes what was interrupted below {args.out}"
    )
    began = time.monotonic()
    with Board(seconds).shown() as board:
        summary = run(
            jobs,
            profile=args.profile,
            store=store,
            device=args.device,
            cache=out / "networks",
            committed=None,
            say=board.say,
            tick=board.tick,
        )
    code = _closing(summary, time.monotonic() - began)
    from .book.pages import compare, generate

    generate(out / "pages", root=out, profile=args.profile, names=[args.paper])
    print("\n".join(compare(jobs, args.profile, ours=store, theirs=committed)))
    if chapter is not None:
        from .report import notebooks

        # The notebook's own process looks for its records in the folder where they were just made.
        os.environ["ROBUSTLIB_ROOT"] = str(out)
        notebooks.execute(
            [chapter.stem],
            target=out / "notebooks",
            folder=chapter.parent,
            parameters={"profile": args.profile, "device": "cpu" if args.device == "auto" else args.device},
        )
    made = "tables and record pages" if chapter is None else "tables, record pages and the executed notebook"
    print(f"{made} lie below {args.out}")
    return code


def _chapter(args: argparse.Namespace) -> Path | None:
    """The paper's notebook; None where it is not wanted, or cannot be executed here, which a line says."""
    if not args.notebook or args.paper not in papers():
        return None
    source = args.root / f"{papers()[args.paper].chapter}.py"
    missing = [name for name in ("papermill", "jupytext", "ipykernel") if importlib.util.find_spec(name) is None]
    if not source.is_file():
        reason = f"{source} is not there, only a checkout of the project has it"
    elif missing:
        reason = f"{', '.join(missing)} is not installed, pip install -e '.[book]'"
    else:
        return source
    print(f"leaves the notebook out: {reason}")
    return None


def check_records(args: argparse.Namespace) -> int:
    """Report faults of records, soundness and generated files."""
    from .book.check import faults

    store = Store(args.root)
    found = faults(store)
    for line in found:
        print(line)
    if not found:
        _say_where(args)
        records = store.records()
        stale = sum(record.source_digest != source_digest() for record in records)
        print(f"{len(records)} records are sound; other source than {source_digest()} made {stale} of them")
    return 1 if found else 0


def migrate_records(args: argparse.Namespace) -> int:
    """Bring the files under results/ to the schema of this version."""
    folder = args.root / "results"
    if not folder.is_dir():
        raise RobustlibError(f"{folder} is not there; --root or {ROOT} names the folder that holds results/")
    print(f"{migrate(folder)} records rewritten in {folder}")
    return 0


def verify_item(args: argparse.Namespace) -> int:
    """Measure again from committed or released weights and compare with the records."""
    profiles.profile(args.profile)
    store, worst, done = Store(args.root), 0.0, 0
    for item in plan.select([args.item]):
        for job in plan.jobs([item], args.profile):
            record = store.find(job.evaluation, job.home(args.profile))
            if record is None:
                continue
            try:
                old, new = verify(job.evaluation, record, device=args.device, folder=args.root / "weights")
            except RobustlibError as error:
                print(f"skipped  {record.path}: {error}")
                continue
            done, worst = done + 1, max(worst, abs(old - new) / max(1.0, abs(old)))
            print(f"{'equal' if old == new else 'differs':<8} {record.path}: recorded {old:.6g}, now {new:.6g}")
    if not done:
        raise RobustlibError(
            f"{args.item} has no record in the {args.profile} profile whose weights are committed in "
            f"{args.root / 'weights'}, or released and at hand; run it instead"
        )
    _say_where(args)
    print(f"{done} evaluations, largest difference {worst:.3g}")
    return 0 if worst <= args.tolerance else 1


def export_item(args: argparse.Namespace) -> int:
    """Print one item's table in a format for other programs."""
    from .report.exports import export

    item = find_item(args.item)
    profiles.search_order(args.profile)
    print(export(item, args.format, profile=args.profile, store=_store(args)), end="")
    return 0


def datasets(args: argparse.Namespace) -> int:
    """List, fetch or verify datasets."""
    names = args.names or list(data.NAMES)
    for name in names:
        facts_of(name)
    if args.action == "list":
        for line in (line for line in data.list_datasets() if line.name in names):
            print(
                f"{line.name:<14} {'present' if line.present else 'absent':<8} {line.n_train}+{line.n_test}  "
                f"{line.licence}  {line.path or ''}"
            )
        return 0
    bad = 0
    for name in names:
        try:
            report = data.fetch_dataset(name) if args.action == "fetch" else data.verify(name)
        except RobustlibError as error:
            print(f"{name}: {error}", file=sys.stderr)
            bad += 1
            continue
        print(f"{'ok' if report.ok else 'FAULT':<6} {name}: {report.message}")
        bad += not report.ok
    return 1 if bad else 0


def released_weights(args: argparse.Namespace) -> int:
    """List, fetch or verify networks that the papers' authors released."""
    chosen, bad = [checkpoint(name) for name in args.names or released()], 0
    for known in chosen:
        try:
            if args.action == "fetch":
                print(f"ok     {known.name}: {checkpoints.fetch(known)}")
                continue
            path = checkpoints.locate(known.file)
            if args.action == "list":
                state = "absent" if path is None else "present"
                print(f"{known.name:<26} {state:<8} {known.licence}  {known.about}  {path or known.url}")
                continue
            checkpoints.read(known.file, known.sha256)
            print(f"ok     {known.name}: {path}, SHA-256 {known.sha256}")
        except RobustlibError as error:
            print(f"{known.name}: {error}", file=sys.stderr)
            bad += 1
    return 1 if bad else 0


def doctor(args: argparse.Namespace) -> int:
    """Print what this machine has, and which packages are missing for which command."""
    print(f"device    {device_name(resolve_device('auto'))}")
    print(f"versions  {', '.join(f'{k} {v}' for k, v in versions().items())}, source {source_digest()}")
    store, cache = _store(args), cache_root()
    disk = next(place for place in (cache, *cache.absolute().parents) if place.exists())
    print(f"records   {args.root / 'results'}, {len(store.records())} records")
    print(f"cache     {cache}, {shutil.disk_usage(disk).free / 2**30:.0f} GB free")
    for module, use in (
        ("torchvision", "data fetch, image grids"),
        ("pooch", "data fetch"),
        ("papermill", "notebooks"),
        ("rich", "bars of a run"),
        ("distributed", "run --cluster"),
        ("jupyter_book", "the book"),
        ("nbval", "make test"),
        ("seaborn", "figures"),
    ):
        found = importlib.util.find_spec(module) is not None
        print(f"{'ok' if found else 'missing':<9} {module} ({use})")
    for path, message in store.faults.items():
        print(f"bad record {path.name}: {message}")
    return datasets(argparse.Namespace(action="list", names=[]))
