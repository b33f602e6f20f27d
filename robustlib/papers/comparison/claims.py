"""Claims of the comparison, written down before it was run, as tests over records."""

from __future__ import annotations

from collections.abc import Sequence

from ...catalogue.base import Predicate, claim, values
from ...spec.records import Record
from .tables import BOUNDS, CASCADE, ITEM, NETWORKS, bound, cascade, suite


def predicates() -> list[Predicate]:
    """Statements about the grand table."""
    single = [name for name in NETWORKS if name != CASCADE]
    proven = [name for name in single if name.startswith("certified")]
    bounds = len(BOUNDS)

    def below(records: Sequence[Record]) -> bool:
        """The suite's record of each network comes before those of its bounds."""
        parts = [records[i : i + 1 + bounds] for i in range(0, len(records), 1 + bounds)]
        return all(max(values(part[1:], "certified")) <= values(part[:1], "accuracy")[0] for part in parts)

    return [
        Predicate(
            ITEM,
            "No network is certified on more points than the whole suite leaves",
            tuple(run for name in single for run in (suite(name), *(bound(name, column) for column in BOUNDS))),
            below,
            check=True,
        ),
        claim(
            ITEM,
            "Training on a bound, and nothing else, leads to certificates on over half of the points",
            [bound(name, "certified: slopes of the paper") for name in single],
            lambda v: [share > 0.5 for share in v] == [name in proven for name in single],
            "certified",
        ),
        claim(
            ITEM,
            "In the worst case PGD training and TRADES keep more than either network trained on a bound",
            [suite(name) for name in ("PGD training", "TRADES, 1/λ 6", *proven)],
            lambda v: min(v[:2]) > max(v[2:]),
        ),
        claim(
            ITEM,
            "In the worst case distillation keeps no more than half of what PGD training keeps",
            [suite(name) for name in ("distilled, T 100", "PGD training")],
            lambda v: 2 * v[0] <= v[1],
        ),
        Predicate(
            ITEM,
            "The strict rule certifies no more of the cascade than the authors' rule counts",
            (cascade(),),
            lambda r: values(r, "strict_bound") >= values(r, "bound"),
            check=True,
        ),
    ]
