"""Tables and sentences on the released networks: both ends of each bracket, by all records of the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...experiments.store import Store
from ...report.display import cite, record_target, show_markdown
from ...report.plots.records import record_of
from ...report.rows import NOTHING
from ...report.soundness import settled
from ...spec.records import Record
from . import released
from .display import show

GROUPS = {"class": "classes", "person": "persons"}
"""Series of a bracket's record, and what readers call their lines."""


@dataclass(frozen=True)
class Ends:
    """Both ends of a network's bracket in per cent, by all of its records.

    Args:
        record: of the bracket.
        proven: by any certificate.
        unbroken: by every attack.
        left: points between the two.
        printed: what the paper's printed bound certifies; None where it is not of this network.
    """

    record: Record
    proven: float
    unbroken: float
    left: int
    printed: float | None

    @property
    def gap(self) -> float:
        """Points of per cent that nothing decides."""
        return self.unbroken - self.proven


def ends(profile: str, store: Store) -> dict[tuple[str, str], Ends]:
    """By line and whose network it is, where there is a record."""
    found = {}
    for name, of in released.drawn().items():
        for whose, (evaluation, printed) in of.items():
            record = record_of(evaluation, profile, store)
            if record is not None:
                proven, unbroken, _ = settled(record, store.records(record.profile))
                sure, right = (100 * float(held.mean()) for held in (proven, unbroken))
                found[name, whose] = Ends(record, sure, right, int((unbroken & ~proven).sum()), printed)
    return found


def _linked(text: str, record: Record) -> str:
    return text if text == NOTHING else f"[{text}](#{record_target(record.path)})"


def released_table(profile: str, store: Store) -> tuple[list[str], list[list[str]]]:
    """(heads, Markdown cells): a line for each network with a record."""
    heads = ["network", "of", "points", "clean", "PGD-20", "unbroken", "proven", "printed bound", "open"]
    lines = []
    for (name, whose), found in ends(profile, store).items():
        shares = (f"{100 * found.record.metrics[metric].value:.2f}" for metric in ("clean", "after first"))
        linked = (_linked(share, found.record) for share in shares)
        printed = NOTHING if found.printed is None else f"{found.printed:.2f}"
        points = f"{found.record.metrics['clean'].n:,}"
        both = (f"{share:.2f}" for share in (found.unbroken, found.proven))
        lines.append([name, whose, points, *linked, *both, printed, f"{found.left:,}"])
    return heads, lines


def show_released_table(profile: str, store: Store) -> None:
    """Display the table of the brackets as a cell's output."""
    caption = (
        "The authors' networks, and ours of the same architecture where one was measured, in per cent of the test "
        "points. Unbroken: by every attack on record; proven: by any certificate on record; printed bound: what the "
        "paper's own number certifies; open: points between unbroken and proven."
    )
    show(*released_table(profile, store), name="table-released-networks-at-a-glance", caption=caption)


def group_table(profile: str, store: Store) -> tuple[list[str], list[list[str]]]:
    """(heads, Markdown cells): the least and the greatest share of a class, and of a person, at both ends."""
    lines = []
    for (name, whose), found in ends(profile, store).items():
        for kind, plural in GROUPS.items():
            groups = np.asarray(found.record.series.get(kind, ()), float)
            if len(groups):
                shares = (100 * groups[:, place] / groups[:, 1] for place in (2, 3, 4))
                told = [f"{share.min():.1f} to {share.max():.1f}" if share.any() else NOTHING for share in shares]
                linked = [_linked(text, found.record) for text in told]
                lines.append([name, whose, f"{len(groups)} {plural}", *linked])
    return ["network", "of", "groups", "clean", "unbroken", "proven"], lines


def show_group_table(profile: str, store: Store) -> None:
    """Display the table of the brackets by group as a cell's output."""
    caption = (
        "The same by class and, on HAR, by person: the least and the greatest share of a group, in per cent of its "
        "test points, by the bracket's own attacks and bounds."
    )
    show(*group_table(profile, store), name="table-released-networks-by-group", caption=caption)


def released_text(profile: str, store: Store) -> str:
    """What the brackets say: how far apart their ends are, and whose difference a difference of level is."""
    found = ends(profile, store)
    theirs = {name: end for (name, whose), end in found.items() if whose == released.AUTHORS}
    decided = []
    for name, end in theirs.items():
        beyond = None if end.printed is None else f"{end.proven - end.printed:.2f} points more than the printed bound"
        more = f"today's certificates prove {beyond}, and " if beyond else ""
        decided.append(f"*{name}*: {more}{end.gap:.2f} points lie between proof and attack.")
    if not decided:
        return "The records of this table are not all there yet."
    ours = {
        name: [end for (line, whose), end in found.items() if line == name and end is not theirs[name]]
        for name in theirs
    }
    told = [_whose(name, theirs[name], ends_) for name, ends_ in ours.items() if ends_]
    parts = [f"**What is decided, in points of per cent.** {' '.join(decided)}"]
    parts += [f"**Exactly.** {text}"] if (text := _solved(theirs, profile, store)) else []
    parts += [f"**Training or evaluation?** {' '.join(told)}"] if told else []
    parts += [f"**In smaller balls.** {text}"] if (text := _sampled(profile, store)) else []
    return "\n\n".join(parts)


def _solved(theirs: dict[str, Ends], profile: str, store: Store) -> str:
    """Between what a solver leaves of the error of the networks that it was asked about on every open point."""
    told = []
    for name, end in theirs.items():
        line = released.NETWORKS[name]
        record = record_of(released.exact(name, line.network), profile, store) if line.solved else None
        if record is not None and end.printed is not None:
            least, most = 100 - end.unbroken, 100 - end.proven
            error = f"lies between {least:.2f} and {most:.2f} %" if end.left else f"is {most:.2f} %"
            count = _linked(f"{end.left:,} of {record.metrics['certified'].n:,} points", record)
            told.append(
                f"*{name}*: the solver, in floating point, leaves {count} undecided: the error under every attack in "
                f"the ball {error}. The printed bound is {100 - end.printed:.2f} %."
            )
    return " ".join(told)


def _sampled(profile: str, store: Store) -> str:
    """What the dual bound proves of the networks that it is asked about on a few points only."""
    told = []
    for name, line in released.NETWORKS.items():
        shares = [
            f"{cite(released.sample(name, eps, n), profile, store, metric='certified')} of {n} at ε {eps:g}"
            for eps, n in line.sampled
            if record_of(released.sample(name, eps, n), profile, store) is not None
        ]
        if shares:
            told.append(
                f"*{name}*: the dual bound with slopes that adapt takes seconds a point here. Of the few points "
                f"that it was asked about it proves {', '.join(shares)}."
            )
    return " ".join(told)


def _whose(name: str, theirs: Ends, ours: Sequence[Ends]) -> str:
    """A difference of level: is it larger than what the evaluations leave open, and do all of our seeds agree on it?"""
    shares = [end.unbroken for end in ours]
    apart = float(np.mean(shares)) - theirs.unbroken
    which = "above" if apart > 0 else "below"
    level = f"*{name}*: our network's unbroken share is {abs(apart):.2f} points {which} the authors'"
    if len(ours) > 1:
        level = (
            f"*{name}*: the unbroken shares of our {len(ours)} networks are {min(shares):.2f} to {max(shares):.2f} %, "
            f"on average {abs(apart):.2f} points {which} the authors' {theirs.unbroken:.2f} %"
        )
        if min(shares) <= theirs.unbroken <= max(shares):
            return f"{level}. They lie on both sides of it: seeds differ by more than the two trainings do."
    sides = ([end.proven - theirs.unbroken for end in ours], [theirs.proven - end.unbroken for end in ours])
    least = max(map(min, sides))
    if least <= 0:
        return f"{level}, and no more than both evaluations leave open."
    alone = " Of one network of each it is not known how much of that is the seed." if len(ours) == 1 else ""
    return (
        f"{level}, and at least {least:.2f} of them are decided by proof and attack: the networks differ, and not only "
        f"their evaluations.{alone}"
    )


def show_released_text(profile: str, store: Store) -> None:
    """Display the sentences as a cell's output."""
    show_markdown(released_text(profile, store))
