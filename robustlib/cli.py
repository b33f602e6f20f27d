"""The command line: ``robustlib`` or, from a bare checkout, ``python -m robustlib``."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .data.registry import facts_of
from .errors import RobustlibError, suggest
from .experiments import cost, profiles
from .experiments.cluster import run_on
from .experiments.host import device_name, resolve_device, source_digest, versions
from .experiments.keys import key
from .experiments.parcels import collect, packing
from .experiments.progress import ticker
from .experiments.runner import Job, Summary, run, run_parallel, total_flops, verify
from .experiments.store import REPOSITORY, Store, cache_root
from .papers import plan
from .papers.base import PAPERS, Item, find_item, items
from .threat import parse_number


class _Parser(argparse.ArgumentParser):
    """Errors of the command line are one line that names the nearest known word."""

    def error(self, message: str) -> Any:
        raise RobustlibError(f"{message}; see {self.prog} --help")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            raise RobustlibError(suggest(action.dest, value, map(str, action.choices)))

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        found, rest = super().parse_known_args(args, namespace)
        if rest and rest[0].startswith("-"):
            raise RobustlibError(suggest("option", rest[0].partition("=")[0], self._option_string_actions))
        if rest:
            self.error(f"unexpected argument {rest[0]!r}")
        return found, rest


def _processes(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes, 1 or more")
    return int(text)


def _seconds(text: str) -> float:
    try:
        number = parse_number(text, name="seconds")
    except RobustlibError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is negative; give seconds, 0 or more")
    return number


def _state(item: Item, store: Store) -> dict[str, Any]:
    from .report.build import item_verdicts

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


def _items(args: argparse.Namespace) -> int:
    if args.paper and args.paper not in PAPERS:
        raise RobustlibError(suggest("paper", args.paper, PAPERS))
    store = Store(args.root)
    states = [_state(item, store) for item in items() if args.paper in (None, item.paper)]
    if args.json:
        print(json.dumps(states, indent=1, ensure_ascii=False))
        return 0
    for state in states:
        marks = "  ".join(f"{name} {where:<11}" for name, where in state["profiles"].items())
        print(f"{state['item']:<42} {marks} {state['number']}: {state['title']}")
    return 0


def _dry_run(jobs: Sequence[Job], profile: str, device: str, store: Store, *, recompute: bool) -> int:
    """A line a network and one an evaluation: operations, launches' share in the time, memory, what it waits for."""
    kind = resolve_device(device).type
    missing = [job for job in jobs if recompute or store.find(job.evaluation, profile) is None]
    seen: set[str] = set()
    total = 0.0
    for job in jobs:
        state = "to run" if job in missing else "present"
        for network in job.evaluation.lineage if state == "to run" else ():
            if key(network) not in seen:
                seen.add(key(network))
                seconds = cost.training_seconds(network, kind)
                total += seconds
                print(f"train    {network.name}-{key(network)[:8]}: {cost.training_flops(network):.3g} operations, "
                      f"{cost.training_launches(network):.3g} launches, about {seconds:.0f} s, "
                      f"{cost.training_memory(network) / 2**20:.0f} MB")  # fmt: skip
        seconds = cost.evaluation_seconds(job.evaluation, kind)
        flops = cost.evaluation_flops(job.evaluation, cost.points(job.evaluation))
        total += seconds if state == "to run" else 0.0
        needs = [f"{network.name}-{key(network)[:8]}" for network in job.evaluation.networks[1:]]
        print(f"{state:<8} {job.evaluation.subject.name}/{job.evaluation.name}-{key(job.evaluation)[:8]}: "
              f"{flops:.3g} operations, about {seconds:.0f} s"
              + (f", after {', '.join(needs)}" if needs else ""))  # fmt: skip
    rate = cost.RATES[kind]
    print(f"{len(jobs)} evaluations, {len(missing)} to run, {len(seen)} networks: about {total / 60:.1f} min on {kind} "
          f"(an estimate: {rate.flops / 1e9:.0f} GFLOP/s and {rate.launch * 1e6:.0f} us a launch assumed)")  # fmt: skip
    return 0


def _run(args: argparse.Namespace) -> int:
    profiles.profile(args.profile)
    jobs, store = plan.jobs(plan.select(args.names), args.profile), Store(args.root)
    if not args.names:
        # Whoever names items names their order too.
        elsewhere = args.cluster and args.device.startswith("cuda")
        jobs = plan.by_value(jobs, args.profile, "cuda" if elsewhere else resolve_device(args.device).type)
    if args.dry_run:
        return _dry_run(jobs, args.profile, args.device, store, recompute=args.recompute)
    store.set_aside_faults()
    began = time.monotonic()
    options: dict[str, Any] = {
        "profile": args.profile,
        "device": args.device,
        "budget": args.time_budget,
        "cache": args.cache,
        "recompute": args.recompute,
        "committed": None if args.recompute else args.root / "weights",
    }
    cache = args.cache or cache_root() / "networks"
    with packing(args.out, args.profile, args.root, cache) if args.out else contextlib.nullcontext():
        if args.cluster:
            summary = run_on(jobs, args.cluster, root=args.root, **options)
        elif args.jobs > 1:
            summary = run_parallel(jobs, args.jobs, root=args.root, **options)
        else:
            summary = run(jobs, store=store, tick=ticker(), **options)
    return _closing(summary, time.monotonic() - began)


def _closing(summary: Summary, seconds: float) -> int:
    print(f"{len(summary.written)} records written, {summary.present} were there, {summary.unfinished} left, "
          f"{len(summary.failed)} failed, {seconds:.0f} s")  # fmt: skip
    for failure in summary.failed:
        print(f"failed: {failure}", file=sys.stderr)
    return 1 if summary.failed else 0


def _collect(args: argparse.Namespace) -> int:
    filed = collect(args.folder, args.root, args.cache or cache_root() / "networks")
    for name in filed.records + filed.networks + filed.checkpoints:
        print(f"filed    {name}")
    for line in filed.refused:
        print(f"refused  {line}", file=sys.stderr)
    print(f"{len(filed.records)} records, {len(filed.networks)} files of networks, {len(filed.checkpoints)} "
          f"checkpoints filed; {len(filed.present)} were there, {len(filed.refused)} refused")  # fmt: skip
    return 1 if filed.refused else 0


def _reproduce(args: argparse.Namespace) -> int:
    """Everything of a paper from nothing below ``--out``, then what differs from the committed records."""
    if args.paper not in PAPERS:
        raise RobustlibError(suggest("paper", args.paper, PAPERS))
    profiles.profile(args.profile)
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    store = Store(out)
    store.set_aside_faults()
    jobs = plan.jobs(plan.select([args.paper]), args.profile)
    if not jobs:
        print(f"{args.paper}: nothing to run in the {args.profile} profile")
        return 0
    missing = [job for job in jobs if store.find(job.evaluation, args.profile) is None]
    minutes = total_flops(missing) / cost.RATES["cpu"].flops / 60
    print(f"{args.paper}, profile {args.profile}: {len(jobs)} evaluations, about {minutes:.1f} min "
          f"on two cores (an estimate); resumes what was interrupted below {args.out}")  # fmt: skip
    began = time.monotonic()
    summary = run(
        jobs, profile=args.profile, store=store, device=args.device, cache=out / "networks", committed=None,
        tick=ticker(),
    )  # fmt: skip
    code = _closing(summary, time.monotonic() - began)
    from .report.generate import CHAPTERS, compare, generate

    generate(out / "pages", root=out, profile=args.profile, names=[args.paper])
    print("\n".join(compare(jobs, args.profile, ours=store, theirs=Store(args.root))))
    if args.notebook and args.paper in CHAPTERS:
        from .report import notebooks

        # The notebook's own process looks for its records where they were just made.
        os.environ["ROBUSTLIB_ROOT"] = str(out)
        notebooks.execute(
            [Path(CHAPTERS[args.paper]).name], target=out / "notebooks", folder=args.root / notebooks.FOLDER,
            parameters={"profile": args.profile, "device": "cpu" if args.device == "auto" else args.device},
        )  # fmt: skip
    print(f"tables, record pages and the executed notebook lie below {args.out}")
    return code


def _check(args: argparse.Namespace) -> int:
    from .report.check import faults

    found = faults(args.root)
    for line in found:
        print(line)
    if not found:
        print(f"{len(Store(args.root).records())} records are sound")
    return 1 if found else 0


def _verify(args: argparse.Namespace) -> int:
    profiles.profile(args.profile)
    store, worst, done = Store(args.root), 0.0, 0
    for item in plan.select([args.item]):
        for job in plan.jobs([item], args.profile):
            record = store.find(job.evaluation, args.profile)
            if record is None:
                continue
            try:
                old, new = verify(job.evaluation, record, device=args.device, folder=args.root / "weights")
            except RobustlibError as error:
                print(f"skipped  {record.path}: {error}")
                continue
            done, worst = done + 1, max(worst, abs(old - new) / max(1.0, abs(old)))
            print(
                f"{'equal' if old == new else 'differs':<8} {record.path}: recorded {old:.6g}, now {new:.6g}"
            )
    if not done:
        raise RobustlibError(
            f"{args.item} has no record whose weights are committed in weights/; run it instead"
        )
    print(f"{done} evaluations, largest difference {worst:.3g}")
    return 0 if worst <= args.tolerance else 1


def _export(args: argparse.Namespace) -> int:
    from .report.generate import export

    item = find_item(args.item)
    profiles.search_order(args.profile)
    print(export(item, args.format, profile=args.profile, store=Store(args.root)), end="")
    return 0


def _data(args: argparse.Namespace) -> int:
    from . import data

    names = args.names or list(data.NAMES)
    for name in names:
        facts_of(name)
    if args.action == "list":
        for line in (line for line in data.list_datasets() if line.name in names):
            print(f"{line.name:<14} {'present' if line.present else 'absent':<8} {line.n_train}+{line.n_test}  "
                  f"{line.licence}  {line.path or ''}")  # fmt: skip
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


def _doctor(args: argparse.Namespace) -> int:
    """What this machine has, and what is missing for which command."""
    import importlib.util

    print(f"device    {device_name(resolve_device('auto'))}")
    print(f"versions  {', '.join(f'{k} {v}' for k, v in versions().items())}, source {source_digest()}")
    print(f"cache     {cache_root()}, {shutil.disk_usage(args.root).free / 2**30:.0f} GB free")
    for module, use in (("torchvision", "data fetch, image grids"), ("pooch", "data fetch"), ("papermill", "notebooks"),
                        ("jupyter_book", "the book"), ("nbval", "make test"), ("seaborn", "figures")):  # fmt: skip
        found = importlib.util.find_spec(module) is not None
        print(f"{'ok' if found else 'missing':<9} {module} ({use})")
    for path, message in Store(args.root).faults.items():
        print(f"bad record {path.name}: {message}")
    return _data(argparse.Namespace(action="list", names=[]))


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = _Parser(prog="robustlib", description="Five adversarial-robustness papers, measured again.")
    top.add_argument("--root", type=Path, default=REPOSITORY, help="folder with results/ and weights/")
    commands = top.add_subparsers(dest="command", required=True)

    def add(name: str, action: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(action_function=action)
        return command

    def profile_option(command: argparse.ArgumentParser, default: str, names: Sequence[str]) -> None:
        command.add_argument("--profile", default=default, help=", ".join(names))
        command.add_argument("--device", default="auto", help="cpu, cuda or auto")

    command = add("items", _items, "tables and figures, and what is measured of each")
    command.add_argument("--paper")
    command.add_argument("--json", action="store_true")
    command = add("run", _run, "train and measure what has no record yet")
    command.add_argument("names", nargs="*", metavar="ITEM|PAPER")
    profile_option(command, "smoke", profiles.NAMES)
    command.add_argument(
        "--time-budget", type=_seconds, default=math.inf, metavar="S", help="stop cleanly after S seconds"
    )
    many = command.add_mutually_exclusive_group()
    many.add_argument(
        "--jobs", type=_processes, default=1, metavar="N", help="processes; networks are spread over them"
    )
    many.add_argument("--cluster", metavar="local:N|tcp://HOST:PORT", help="run on a dask.distributed cluster")
    command.add_argument("--dry-run", action="store_true")
    command.add_argument("--recompute", action="store_true", help="measure again what has a record")
    command.add_argument("--cache", type=Path, help="folder for networks and checkpoints")
    command.add_argument("--out", type=Path, help="folder that travels: at most seven tar files of what is new")
    command = add("collect", _collect, "file the records, networks and checkpoints that a run's --out holds")
    command.add_argument("folder", type=Path)
    command.add_argument("--cache", type=Path, help="folder for networks and checkpoints")
    command = add(
        "reproduce", _reproduce, "everything of a paper from nothing, compared with the committed records"
    )
    command.add_argument("paper")
    profile_option(command, "smoke", profiles.NAMES)
    command.add_argument("--out", type=Path, default=Path("_build/reproduce"))
    command.add_argument("--no-notebook", dest="notebook", action="store_false", help="records and tables only")
    add("check", _check, "validate records, soundness and generated files; exit 1 with one line per fault")
    command = add("verify", _verify, "measure an item again from committed weights")
    command.add_argument("item")
    profile_option(command, "quick", profiles.NAMES)
    command.add_argument(
        "--tolerance", type=float, default=0.002, help="largest accepted difference of a fraction"
    )
    command = add("export", _export, "one item as csv, json, latex, markdown or bibtex")
    command.add_argument("item")
    command.add_argument("--format", default="csv", choices=("csv", "json", "latex", "markdown", "bibtex"))
    profile_option(command, profiles.BEST, (profiles.BEST, *profiles.NAMES))
    command = add("data", _data, "datasets on this machine")
    command.add_argument("action", choices=("list", "fetch", "verify"))
    command.add_argument("names", nargs="*")
    add("doctor", _doctor, "what this machine has and lacks")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point. Bad input is one line on stderr and exit code 2; Ctrl-C is 130."""
    try:
        args = parser().parse_args(arguments)
        args.root = args.root.resolve()
        if not args.root.is_dir():
            raise RobustlibError(f"--root {args.root} is no folder; give the one that holds results/")
        code: int = args.action_function(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader, `head` perhaps, has seen enough; nothing is left to be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except RobustlibError as error:
        print(f"robustlib: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        print(f"robustlib: {interrupt}", file=sys.stderr)
        return 130
    return code
