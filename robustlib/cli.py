"""The command line: ``robustlib`` or, from a bare checkout, ``python -m robustlib``.

Nothing here imports torch before a command has been understood, so that help and mistakes take no time.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import environment, interrupt
from .errors import RobustlibError, suggest
from .parameters import BEST, DEVICES, NAMES


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


def _folder(text: str) -> Path:
    try:
        return environment.folder(text, "folder")
    except RobustlibError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _seconds(text: str) -> float:
    from .threat import parse_number

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
    where = f"folder with results/ and weights/; default: ${environment.ROOT}, the checkout, or the current folder"
    top.add_argument("--root", type=_folder, help=where)
    chosen = top.add_subparsers(dest="command", required=True)

    def add(name: str, action: str, text: str) -> argparse.ArgumentParser:
        command = chosen.add_parser(name, help=text, description=text)
        command.set_defaults(action_function=action)
        return command

    def profile_option(command: argparse.ArgumentParser, default: str, names: Sequence[str] = NAMES) -> None:
        command.add_argument("--profile", default=default, help=", ".join(names))
        command.add_argument("--device", default="auto", help=", ".join(DEVICES))

    command = add("items", "list_items", "tables and figures, and what is measured of each")
    command.add_argument("--paper")
    command.add_argument("--json", action="store_true")
    command = add("run", "run_items", "train and measure what has no record yet")
    command.add_argument("names", nargs="*", metavar="ITEM|PAPER")
    profile_option(command, "smoke")
    command.add_argument(
        "--time-budget", type=_seconds, default=math.inf, metavar="S", help="stop cleanly after S seconds"
    )
    many = command.add_mutually_exclusive_group()
    many.add_argument(
        "--jobs", type=_processes, default=1, metavar="N", help="runs side by side; none waits for another's network"
    )
    many.add_argument("--cluster", metavar="local:N|tcp://HOST:PORT", help="run on a dask.distributed cluster")
    command.add_argument("--dry-run", action="store_true")
    command.add_argument("--only", metavar="KEY", help="the evaluation with this key, as a record's page names it")
    command.add_argument("--recompute", action="store_true", help="measure again what has a record")
    command.add_argument("--cache", type=_folder, help="folder for networks and checkpoints")
    command.add_argument("--out", type=_folder, help="also copy new records, networks and checkpoints to this folder")
    command = add("collect", "collect_folder", "validate and file the records and networks that a run's --out holds")
    command.add_argument("folder", type=_folder)
    command.add_argument("--cache", type=_folder, help="folder for networks and checkpoints")
    command = add("reproduce", "reproduce", "everything of a paper from nothing, compared with the committed records")
    command.add_argument("paper")
    profile_option(command, "smoke")
    command.add_argument("--out", type=_folder, default=Path("_build/reproduce"))
    command.add_argument("--no-notebook", dest="notebook", action="store_false", help="records and tables only")
    add("check", "check_records", "validate records, soundness and generated files; a line for each fault")
    add("migrate", "migrate_records", "write records of earlier schemas in this version's form")
    command = add("verify", "verify_item", "measure an item again from committed weights, or from released ones")
    command.add_argument("item")
    profile_option(command, "quick")
    command.add_argument("--tolerance", type=float, default=0.002, help="largest accepted difference of a fraction")
    command = add("export", "export_item", "one item as csv, json, latex, markdown or bibtex")
    command.add_argument("item")
    command.add_argument("--format", default="csv", choices=("csv", "json", "latex", "markdown", "bibtex"))
    profile_option(command, BEST, (BEST, *NAMES))
    command = add("data", "datasets", "datasets on this machine")
    command.add_argument("action", choices=("list", "fetch", "verify"))
    command.add_argument("names", nargs="*")
    command = add("weights", "released_weights", "networks that the papers' authors released")
    command.add_argument("action", choices=("list", "fetch", "verify"))
    command.add_argument("names", nargs="*")
    add("doctor", "doctor", "what this machine has and lacks")
    return top


def _printable() -> None:
    """Have every console take every character: those that its encoding lacks are written as escapes."""
    for stream in (sys.stdout, sys.stderr):
        # A stream that is closed is None; one that a test or a notebook has put there has no encoding to mend.
        raises = getattr(stream, "errors", None) in ("strict", "surrogateescape")
        if raises and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point. Bad input is one line on stderr and exit code 2; Ctrl-C is one line and 130.

    Args:
        arguments: the words of a command; None: those that this process was started with.
    """
    heard = threading.Event()
    if arguments is None:
        interrupt.starting()
    try:
        _printable()
        args = parser().parse_args(arguments)
        args.root_is_guessed = args.root is None and environment.root_is_guessed()
        args.root = (args.root or environment.records_root()).resolve()
        if not args.root.is_dir():
            raise RobustlibError(f"--root {args.root} is no folder; give the one that holds results/")
        from . import commands

        with interrupt.raising(heard):
            code: int = getattr(commands, args.action_function)(args)
            print(end="", flush=True)
    except (Exception, KeyboardInterrupt) as error:
        if heard.is_set() or isinstance(error, KeyboardInterrupt):
            words = str(error) if isinstance(error, KeyboardInterrupt) else ""
            print(f"robustlib: {words or 'interrupted'}", file=sys.stderr)
            return 130
        return _failed(error)
    return code


def _failed(error: Exception) -> int:
    """Exit code of an exception, printed as one line unless the reader is gone; a fault of this library is raised."""
    if isinstance(error, BrokenPipeError):
        # The reader, `head` perhaps, has seen enough; nothing is left to be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if isinstance(error, RobustlibError):
        print(f"robustlib: {error}", file=sys.stderr)
        return 2
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("robustlib"):
        name = error.name.partition(".")[0]
        print(f"robustlib: this needs {name}, which is not installed; pip install 'robustlib[book]'", file=sys.stderr)
        return 2
    if isinstance(error, OSError) and error.filename is not None:
        reason = f"{error.filename}: {error.strerror}"
        print(f"robustlib: {reason}; give another path, or change its permissions", file=sys.stderr)
        return 2
    raise error
