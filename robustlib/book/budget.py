"""What each hour of one GPU buys of the full profile, and what lies beyond the hours that there are."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from ..catalogue import plan
from ..catalogue.base import items
from ..experiments.profiles import EPOCHS
from ..experiments.store import Store
from ..spec.keys import key

HOURS = 4
TOGETHER = 3
"""Networks at a time, as in the command that the page names."""
SHOWN = 0.1
"""GPU hours from which a kind of network beyond them has a line of its own."""
PROFILE = "full"


@dataclass(frozen=True)
class Hour:
    """An hour's purchases, in their order, and the items whose last missing record is among them."""

    bought: tuple[plan.Purchase, ...]
    finished: tuple[str, ...]

    @property
    def cells(self) -> float:
        """Verified published cells; one of k seeds is a k-th."""
        return sum(purchase.cells for purchase in self.bought)

    @property
    def hours(self) -> float:
        """Estimated."""
        return sum(purchase.seconds for purchase in self.bought) / 3600


def spend(purchases: Sequence[plan.Purchase], waiting: dict[str, set[str]], hours: int) -> tuple[list[Hour], Hour]:
    """The hours, and what comes after the first purchase that no longer fits: nothing is taken out of turn.

    Args:
        purchases: the best first.
        waiting: by item, the keys of the evaluations that it lacks.
        hours: how many there are.
    """
    totals = list(accumulate(purchase.seconds for purchase in purchases))
    ends = [bisect_right(totals, 3600 * hour) for hour in range(hours + 1)]
    left, found = {item: set(keys) for item, keys in waiting.items() if keys}, []
    for first, last in pairwise([*ends, len(purchases)]):
        bought = tuple(purchases[first:last])
        have = {key(job.evaluation) for purchase in bought for job in purchase.jobs}
        finished = tuple(item for item, keys in left.items() if keys <= have)
        left = {item: keys - have for item, keys in left.items() if item not in finished}
        found.append(Hour(bought, finished))
    return found[:-1], found[-1]


def _kinds(bought: Sequence[plan.Purchase]) -> str:
    """Networks without their seeds, each with its number; the most frequent first."""
    names = Counter(purchase.jobs[0].evaluation.subject.name.rpartition("-s")[0] for purchase in bought)
    return ", ".join(f"{count} {name}" if count > 1 else name for name, count in names.most_common())


def page(store: Store) -> str:
    """Tables in MyST: the hours that there are, by kind of network what they do not reach, and what is scaled."""
    jobs = [job for job in plan.jobs(plan.select([]), PROFILE) if store.find(job.evaluation, PROFILE) is None]
    missing, waiting = {key(job.evaluation) for job in jobs}, dict[str, set[str]]()
    for item in items():
        wanted = {key(job.evaluation) for cell in plan.cells_of(item.id) for job in plan.evaluations(cell, PROFILE)}
        waiting[item.id] = wanted & missing
    hours, beyond = spend(plan.purchases(jobs, PROFILE, "cuda", TOGETHER), waiting, HOURS)
    total = sum(hour.cells for hour in (*hours, beyond))
    lines = [
        "| GPU hours | networks | published numbers | of all | items finished | which networks |",
        "|---|---|---|---|---|---|",
    ]
    reached = 0.0
    for number, hour in enumerate(hours, 1):
        reached += hour.cells
        share = f"{reached / total:.0%}" if total else "none"
        items_done = ", ".join(f"`{item}`" for item in hour.finished) or "none"
        lines.append(
            f"| {number - 1} to {number} | {len(hour.bought)} | {hour.cells:.1f} | {share} | {items_done} "
            f"| {_kinds(hour.bought) or 'none'} |"
        )
    lines += [
        "",
        f"Beyond {HOURS} hours lie {len(beyond.bought)} networks, {beyond.cells:.1f} published numbers and "
        f"{len(beyond.finished)} items, by estimate {beyond.hours:.0f} GPU hours more:",
        "",
        "| kind of network | networks | published numbers | GPU hours |",
        "|---|---|---|---|",
    ]
    kinds: dict[str, list[plan.Purchase]] = {}
    for purchase in beyond.bought:
        kinds.setdefault(_kinds([purchase]), []).append(purchase)
    rows = {name: Hour(tuple(group), ()) for name, group in kinds.items()}
    shown = {name: row for name, row in rows.items() if row.hours >= SHOWN}
    for name, row in sorted(shown.items(), key=lambda pair: -pair[1].hours):
        lines.append(f"| {name} | {len(row.bought)} | {row.cells:.1f} | {row.hours:.1f} |")
    if small := [row for name, row in rows.items() if name not in shown]:
        lines.append(
            f"| {len(small)} kinds below {SHOWN:g} hours each | {sum(len(row.bought) for row in small)} | "
            f"{sum(row.cells for row in small):.1f} | {sum(row.hours for row in small):.1f} |"
        )
    lines += ["", "Scaled, once each:", "", "| architecture | width at most | epochs | schedule |", "|---|---|---|---|"]
    for name, scale in plan.scales().items():
        kept = "one cycle, bfloat16" if scale.cycle else "the paper's, moved in proportion"
        lines.append(f"| `{name}` | {scale.widest} | {EPOCHS} | {kept} |")
    return "\n".join(lines) + "\n"
