"""The command line: ``robustlib`` or, from a bare checkout, ``python -m robustlib``."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import commands
from .errors import RobustlibError, suggest
from .experiments import profiles
from .experiments.store import REPOSITORY
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


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = _Parser(prog="robustlib", description="Five adversarial-robustness papers, measured again.")
    top.add_argument("--root", type=Path, default=REPOSITORY, help="folder with results/ and weights/")
    chosen = top.add_subparsers(dest="command", required=True)

    def add(name: str, action: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        command = chosen.add_parser(name, help=text, description=text)
        command.set_defaults(action_function=action)
        return command

    def profile_option(command: argparse.ArgumentParser, default: str, names: Sequence[str]) -> None:
        command.add_argument("--profile", default=default, help=", ".join(names))
        command.add_argument("--device", default="auto", help="cpu, cuda or auto")

    command = add("items", commands.list_items, "tables and figures, and what is measured of each")
    command.add_argument("--paper")
    command.add_argument("--json", action="store_true")
    command = add("run", commands.run_items, "train and measure what has no record yet")
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
    command.add_argument("--only", metavar="KEY", help="the evaluation with this key, as a record's page names it")
    command.add_argument("--recompute", action="store_true", help="measure again what has a record")
    command.add_argument("--cache", type=Path, help="folder for networks and checkpoints")
    command.add_argument("--out", type=Path, help="folder that travels: at most seven tar files of what is new")
    command = add("collect", commands.collect_parcels, "file what a run's --out holds")
    command.add_argument("folder", type=Path)
    command.add_argument("--cache", type=Path, help="folder for networks and checkpoints")
    command = add(
        "reproduce", commands.reproduce, "everything of a paper from nothing, compared with the committed records"
    )
    command.add_argument("paper")
    profile_option(command, "smoke", profiles.NAMES)
    command.add_argument("--out", type=Path, default=Path("_build/reproduce"))
    command.add_argument("--no-notebook", dest="notebook", action="store_false", help="records and tables only")
    add("check", commands.check_records, "validate records, soundness and generated files; a line for each fault")
    add("migrate", commands.migrate_records, "write records of earlier schemas in this version's form")
    command = add("verify", commands.verify_item, "measure an item again from committed weights")
    command.add_argument("item")
    profile_option(command, "quick", profiles.NAMES)
    command.add_argument(
        "--tolerance", type=float, default=0.002, help="largest accepted difference of a fraction"
    )
    command = add("export", commands.export_item, "one item as csv, json, latex, markdown or bibtex")
    command.add_argument("item")
    command.add_argument("--format", default="csv", choices=("csv", "json", "latex", "markdown", "bibtex"))
    profile_option(command, profiles.BEST, (profiles.BEST, *profiles.NAMES))
    command = add("data", commands.datasets, "datasets on this machine")
    command.add_argument("action", choices=("list", "fetch", "verify"))
    command.add_argument("names", nargs="*")
    add("doctor", commands.doctor, "what this machine has and lacks")
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
