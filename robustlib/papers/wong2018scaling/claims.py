"""Claims of the figures and cascades of Wong et al. 2018, as tests over records."""

from __future__ import annotations

from collections.abc import Sequence

from ...catalogue.base import Predicate, claim, values
from ...spec.records import Record
from .networks import COLUMNS, HARD, PROJECTIONS, estimated
from .panels import COUNTS, PAPER, cost_runs, curves, exponent, grown


def _grows_faster(records: Sequence[Record]) -> bool:
    """True where exact cost grows with a larger exponent than projected; the first half of the records is exact."""
    half = len(records) // 2
    exact, projected = (
        exponent(values(part, "units"), values(part, "seconds")) for part in (records[:half], records[half:])
    )
    return exact > projected


def _smaller_gap(bounds: Sequence[float]) -> bool:
    """Test and training error exactly trained, then with projections."""
    exact_test, exact_train, test, train = bounds
    return test - train < exact_test - exact_train


def predicates() -> list[Predicate]:
    """The statements that each figure and the cascades make."""
    hard, wide = grown(HARD), cost_runs()["Wide(k)"]
    ends = {split: curves(split) for split in ("test", "train")}
    fewest = f"k = {COLUMNS[0]}"
    return [
        claim(
            f"{PAPER}/results/mnist",
            "At 0.3 a cascade's robust error is below its first network's",
            [hard[0], hard[-1]],
            lambda v: v[1] < v[0],
            "bound",
        ),
        claim(
            f"{PAPER}/results/mnist",
            "At 0.3 a cascade's standard error is above its first network's",
            [hard[0], hard[-1]],
            lambda v: v[1] > v[0],
            "error",
        ),
        Predicate(
            f"{PAPER}/more-curves/mnist",
            "The strict rule certifies no more of the cascade than the released one",
            (hard[-1],),
            lambda r: values(r, "strict_bound") >= values(r, "bound"),
            check=True,
        ),
        Predicate(
            f"{PAPER}/more-curves/mnist",
            "The last stage tells fewer than half of the classes",
            (hard[-1],),
            lambda r: values(r, f"classes_{len(r[0].training['earlier']) + 1}")[0] < 5,
        ),
        Predicate(
            f"{PAPER}/cost-vs-units",
            "The exact bound's cost grows faster with the units than the projected one's",
            (*wide["exact"], *wide[f"{PROJECTIONS} projections"]),
            _grows_faster,
        ),
        claim(
            f"{PAPER}/projection-curves",
            f"With {COLUMNS[0]} projection the gap from training to testing is smaller than exactly",
            [ends[split][name][-1] for name in ("exact", fewest) for split in ("test", "train")],
            _smaller_gap,
            "bound",
        ),
        claim(
            f"{PAPER}/estimator-variability",
            "More projections spread less",
            [estimated(columns, "median") for columns in COUNTS],
            lambda v: v[-1] < v[0],
            "scatter",
        ),
    ]
