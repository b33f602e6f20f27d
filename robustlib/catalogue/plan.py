"""Plan of a run: the jobs that items need under a profile, and each item's state given the records."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Iterable, Sequence
from typing import Any

from ..experiments.cost import evaluation_seconds, training_seconds
from ..experiments.profiles import OWN_PROTOCOL, Profile, Reduction, profile, reduce, reduction_of
from ..experiments.runner import Job
from ..experiments.store import FileNames, Store
from ..spec.evaluation import Evaluation
from ..spec.keys import key
from ..spec.records import Record
from .base import PACKAGE, Cell, Item, Predicate, find_item, items, papers


def _module(paper: str, name: str) -> Any:
    """A module of a paper's package; importing it builds that paper's specifications alone."""
    return importlib.import_module(f"{PACKAGE}.{paper}.{name}")


def _has(paper: str, name: str) -> bool:
    return importlib.util.find_spec(f"{PACKAGE}.{paper}.{name}") is not None


@functools.cache
def _cells(paper: str) -> tuple[Cell, ...]:
    return tuple(_module(paper, "tables").cells())


def _profiles(paper: str) -> Any:
    """A paper's module of reductions; None where it has none, so that the full profile alone runs its evaluations."""
    return _module(paper, "profiles") if _has(paper, "profiles") else None


@functools.cache
def reductions_of(paper: str) -> tuple[Reduction, ...]:
    """Reductions of a paper's evaluations under the profiles; () where the paper has none."""
    return tuple(getattr(_profiles(paper), "REDUCTIONS", ()))


@functools.cache
def _predicates(paper: str) -> tuple[Predicate, ...]:
    return tuple(_module(paper, "claims").predicates()) if _has(paper, "claims") else ()


def _belongs(part: str, item: str) -> bool:
    return part == item or part.startswith(f"{item}/")


@functools.cache
def cells_of(item: str) -> tuple[Cell, ...]:
    """Cells of an item or sub-item; a parent has those of its sub-items."""
    return tuple(cell for cell in _cells(find_item(item).paper) if _belongs(cell.item, item))


@functools.cache
def predicates_of(item: str) -> tuple[Predicate, ...]:
    """Statements that a figure makes, of the item itself or of its sub-items."""
    return tuple(claim for claim in _predicates(find_item(item).paper) if _belongs(claim.item, item))


def select(names: Sequence[str]) -> list[Item]:
    """Items named by ids or by a paper's id; everything when ``names`` is empty.

    Raises:
        RobustlibError: a name that is neither, with the nearest one.
    """
    if not names:
        return list(items())
    known = {item.paper for item in items()}
    chosen: dict[str, Item] = {}
    for name in names:
        if name in known:
            chosen.update({item.id: item for item in items() if item.paper == name})
        else:
            found = find_item(name)
            chosen[found.id] = found
    return list(chosen.values())


def evaluations(cell: Cell, profile_name: str) -> list[Job]:
    """Jobs of a cell under a profile: one for each of its seeds, none where the profile leaves the cell out."""
    found, paper = [], find_item(cell.item).paper
    sure = _sure(cell) or not profile(profile_name).compared
    for place, full in enumerate(cell.evaluations):
        if not sure and not _wanted_by_itself(full, paper):
            continue
        job = job_of(full, profile_name, paper)
        if job is not None and place < _seeds(cell, profile(job.home(profile_name)), whole=job.evaluation == full):
            found.append(job)
    return found


def released(cell: Cell, profile_name: str) -> list[Job]:
    """Jobs of a cell on the authors' own network, one for each draw; none but under the papers' own protocols."""
    found = (job_of(full, profile_name, find_item(cell.item).paper) for full in cell.released)
    return [job for job in found if job is not None]


def _sure(cell: Cell) -> bool:
    """True where the paper prints a number that was checked, and that nothing casts doubt on."""
    number = cell.published
    return number is not None and number.value is not None and number.verified and not number.doubt


def _wanted_by_itself(full: Evaluation, paper: str) -> bool:
    """True where the paper's profiles ask for a level whatever it is compared with."""
    found = reduction_of(full, reductions_of(paper))
    return found is not None and found.level is not None and found.level.uncompared


@functools.cache
def shrink(full: Evaluation, profile_name: str, paper: str = "") -> Evaluation | None:
    """The profile's version of one evaluation, None where the profile leaves it out.

    Args:
        full: in the paper's own protocol.
        profile_name: of the profile.
        paper: whose cell or claim it is; "": the first paper with a reduction for it.

    Raises:
        RobustlibError: an unknown profile.
    """
    profile(profile_name)
    owner = paper or next((name for name in papers() if reduction_of(full, reductions_of(name))), "")
    return reduce(full, profile_name, reductions_of(owner) if owner else ())


def job_of(full: Evaluation, profile_name: str, paper: str = "") -> Job | None:
    """The profile's job for one evaluation of a paper, see :func:`shrink`; None where the profile leaves it out.

    An evaluation that it leaves whole is the full profile's, seeds and records alike.
    """
    shrunk = shrink(full, profile_name, paper)
    return None if shrunk is None else Job(full, shrunk, OWN_PROTOCOL if shrunk == full else "")


def find_record(full: Evaluation, profile_name: str, store: Store, paper: str = "") -> Record | None:
    """The profile's record of one evaluation, if there is one."""
    job = job_of(full, profile_name, paper)
    return None if job is None else store.find(job.evaluation, job.home(profile_name))


def _ablations(cell: Cell, profile_name: str) -> list[Job]:
    """Jobs that may explain a difference from the paper; under the paper's own protocol alone."""
    factors = cell.ablation if profile_name == OWN_PROTOCOL else ()
    return [Job(full, full) for factor in factors for full in factor.evaluations]


def _seeds(cell: Cell, chosen: Profile, *, whole: bool) -> int:
    """Number of the cell's seeds under a profile; ``whole``: nothing of the paper's protocol was changed."""
    if cell.distribution:
        return chosen.distribution_seeds
    if cell.spread:
        return chosen.spread_seeds
    seeds = chosen.table_seeds if find_item(cell.item).kind == "table" else chosen.figure_seeds
    return seeds if whole else min(seeds, chosen.scaled_seeds)


def jobs(chosen: Iterable[Item], profile_name: str) -> list[Job]:
    """Every job of these items under a profile, each evaluation once."""
    found: dict[str, Job] = {}
    for item in chosen:
        for cell in cells_of(item.id):
            for job in (
                *evaluations(cell, profile_name),
                *_ablations(cell, profile_name),
                *released(cell, profile_name),
            ):
                found.setdefault(key(job.evaluation), job)
        for predicate in () if profile(profile_name).compared else predicates_of(item.id):
            for full in predicate.needs:
                needed = job_of(full, profile_name, item.paper)
                if needed is not None:
                    found.setdefault(key(needed.evaluation), needed)
    return list(found.values())


def makers(profile_name: str) -> dict[str, str]:
    """Item whose run under a profile measures an evaluation, by the latter's key; of several, the shortest run."""
    work = {item.id: [key(job.evaluation) for job in jobs([item], profile_name)] for item in items()}
    found: dict[str, str] = {}
    for name in sorted(work, key=lambda name: len(work[name])):
        for made in work[name]:
            found.setdefault(made, name)
    return found


def by_value(chosen: Sequence[Job], profile_name: str, device: str) -> list[Job]:
    """The jobs by network, in the order of verified published cells per estimated second; one of k seeds is a k-th.

    A network that several need counts for each of them, so that the order is a guide and no optimum.

    Args:
        chosen: jobs, in any order.
        profile_name: whose cells count.
        device: "cpu" or "cuda", for the estimates.
    """
    worth: dict[str, float] = {}
    for cell in (cell for item in items() if not item.parent for cell in cells_of(item.id)):
        if cell.published is not None and cell.published.verified:
            parts = evaluations(cell, profile_name)
            for name in (key(job.evaluation) for job in parts):
                worth[name] = worth.get(name, 0.0) + 1 / len(parts)
    groups: dict[str, list[Job]] = {}
    for job in chosen:
        groups.setdefault(key(job.evaluation.subject), []).append(job)

    def value(group: list[Job]) -> tuple[float, float]:
        networks = {key(n): n for job in group for n in job.evaluation.lineage}
        seconds = sum(training_seconds(network, device) for network in networks.values())
        seconds += sum(evaluation_seconds(job.evaluation, device) for job in group)
        return sum(worth.get(key(job.evaluation), 0.0) for job in group) / max(seconds, 1e-9), -seconds

    return [job for group in sorted(groups.values(), key=value, reverse=True) for job in group]


def state(item: Item, profile_name: str, store: Store | FileNames) -> str:
    """ "done", "partial", "missing" or "unavailable" of an item in a profile.

    Done: every cell that is available there has its record. A parent's state is that of all its
    panels, those included that this edition does not measure.
    """
    children = [child for child in items() if child.parent == item.id]
    if children:
        states = {state(child, profile_name, store) for child in children}
        states.discard("unavailable")
        if len(states) <= 1:
            return states.pop() if states else "unavailable"
        return "partial"
    cells = cells_of(item.id)
    wanted = [evaluations(cell, profile_name) for cell in cells if not cell.unavailable]
    present = [
        all(store.find(job.evaluation, job.home(profile_name)) is not None for job in group)
        for group in wanted
        if group
    ]
    present += [True for cell in cells if cell.derived is not None]
    if not present:
        return "unavailable"
    return "done" if all(present) else "partial" if any(present) else "missing"
