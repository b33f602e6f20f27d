"""The two slide decks that this book began with: every factual statement and question, and what decides it.

The lines are data, in ``slides.csv``. A line's ``claims`` are texts of predicates, either a paper's or one of
:data:`CLAIMS`; ``{ours:NAME}`` in its reason is one of :data:`NUMBERS`, ``{paper:ID}`` a line of published.csv.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...attacks.suite import Clean, Fgsm
from ...catalogue.base import Predicate, items, read_rows
from ...catalogue.plan import predicates_of
from ...errors import RobustlibError, suggest
from ...evaluate.worst_case import WorstCase
from ...spec.evaluation import Evaluation
from ...spec.records import Record
from ..madry2018 import cifar as madry2018_cifar
from ..madry2018 import networks as madry
from ..papernot2016 import networks as papernot
from ..wong2018 import networks as wong
from ..wong2018scaling import panels as scaling
from ..wong2018scaling.networks import HARD
from ..zhang2019 import networks as trades
from ..zhang2019 import own
from . import tables as comparison

VERDICTS = ("holds", "qualified", "fails", "not testable", "not run")
QUESTION = "question"
"""In the place of a verdict: a line that asks, whose reason is the answer."""


@dataclass(frozen=True)
class Line:
    """One statement or question of a deck, in our words; ``why`` is Markdown with places for numbers."""

    id: str
    deck: str
    slide: str
    paper: str
    statement: str
    verdict: str
    claims: tuple[str, ...]
    why: str


@functools.cache
def lines() -> tuple[Line, ...]:
    """Every line of both decks, in their order."""
    return tuple(
        Line(**{**row, "claims": tuple(filter(None, row["claims"].split(" | ")))})  # type: ignore[arg-type]
        for row in read_rows(comparison.PAPER, "slides.csv")
    )


_PLAIN, _HOT = "no distillation", "T=100"
_SUITE, _BROKEN = papernot.worst_case("mnist", _HOT), papernot.undone("mnist", _HOT)
_DEPLOYED = papernot.attempts(papernot.network("mnist", _HOT))
_ROBUST, _STANDARD = (wong.network("MNIST", robust=robust) for robust in (True, False))
_BALL = wong.PROBLEMS["MNIST"].threat
_CW = {label: papernot.nearest("mnist", label, "l2") for label in (_PLAIN, _HOT)}


def _of(metric: str, holds: Callable[[list[float]], bool]) -> Callable[[Sequence[Record]], bool]:
    return lambda records: bool(holds([record.metrics[metric].value for record in records]))


CLAIMS = (
    Predicate(
        "papernot2016/breaking",
        "Distillation at T = 100 does not double the mean l_2 distance of Carlini and Wagner's attack",
        tuple(_CW.values()),
        _of("mean_distance", lambda v: v[1] < 2 * v[0]),
    ),
    Predicate(
        "papernot2016/breaking",
        "With the temperature put back JSMA succeeds more often at T = 100 than as deployed, by over 20 points",
        (_DEPLOYED, _BROKEN),
        _of("success", lambda v: v[1] > v[0] + 0.2),
    ),
    Predicate(
        "papernot2016/breaking",
        "The suite leaves at most 5 % of the network distilled at T = 100",
        (_SUITE,),
        _of("accuracy", lambda v: v[0] <= 0.05),
    ),
    Predicate(
        "wong2018/table-1/mnist",
        "PGD leaves under half of the standard and over half of the robust MNIST network",
        (wong.attacked(_STANDARD, wong.PGD, _BALL), wong.attacked(_ROBUST, wong.PGD, _BALL)),
        _of("accuracy", lambda v: v[0] < 0.5 < v[1]),
    ),
)
"""What the decks say and no figure of a paper does."""


@functools.cache
def claim(text: str) -> Predicate:
    """The predicate of that text.

    Raises:
        RobustlibError: none has it; names the nearest.
    """
    known = {p.text: p for item in items() for p in predicates_of(item.id)} | {p.text: p for p in CLAIMS}
    if text not in known:
        raise RobustlibError(suggest("claim", text, known))
    return known[text]


_A, _NATURAL = madry.network(), madry.network("natural")
_ALONE, _, _GROWN = scaling.grown(HARD)

NUMBERS: dict[str, tuple[Evaluation, str]] = {
    **{
        f"jsma_{name}": (papernot.attempts(papernot.network("mnist", label)), "success")
        for name, label in (("plain", _PLAIN), ("T5", "T=5"), ("T20", "T=20"), ("T100", _HOT))
    },
    "back_T5": (papernot.undone("mnist", "T=5"), "success"),
    "back_T20": (papernot.undone("mnist", "T=20"), "success"),
    "jsma_back": (_BROKEN, "success"),
    "same_decision": (papernot.outputs("mnist", _HOT), "same_decision"),
    "l2_plain": (_CW[_PLAIN], "mean_distance"),
    "l2_T100": (_CW[_HOT], "mean_distance"),
    "cw_broken": (_CW[_HOT], "broken"),
    "logit_plain": (papernot.outputs("mnist", _PLAIN), "logit_size"),
    "logit_T100": (papernot.outputs("mnist", _HOT), "logit_size"),
    "top_T1": (papernot.outputs("mnist", _HOT), "max_output"),
    "top_T100": (papernot.outputs("mnist", _HOT), "max_output_at_T"),
    "rho_plain": (papernot.minimal(papernot.network("mnist", _PLAIN)), "rho"),
    "rho_T100": (papernot.minimal(papernot.network("mnist", _HOT)), "rho"),
    "fgsm_T100": (papernot.fgsm("mnist", _HOT), "accuracy"),
    "worst_plain": (papernot.worst_case("mnist", _PLAIN), "accuracy"),
    "worst_T100": (_SUITE, "accuracy"),
    "unstable_std": (wong.bound(_STANDARD, _BALL), "unstable"),
    "unstable_rob": (wong.bound(_ROBUST, _BALL), "unstable"),
    "certified_std": (wong.bound(_STANDARD, _BALL), "certified"),
    "certified_rob": (wong.bound(_ROBUST, _BALL), "certified"),
    "bound_rob": (wong.bound(_ROBUST, _BALL), "bound"),
    "crown_rob": (wong.bound(_ROBUST, _BALL, slopes="adaptive"), "bound"),
    "interval_rob": (wong.bound(_ROBUST, _BALL, method="interval"), "bound"),
    "wong_pgd_std": (wong.attacked(_STANDARD, wong.PGD, _BALL), "accuracy"),
    "wong_pgd_rob": (wong.attacked(_ROBUST, wong.PGD, _BALL), "accuracy"),
    "madry_clean": (madry.accuracy(_A, Clean()), "accuracy"),
    "madry_fgsm": (madry.accuracy(_A, Fgsm()), "accuracy"),
    "madry_40": (madry.accuracy(_A, madry.PGD_40), "accuracy"),
    "madry_100": (madry.accuracy(_A, madry.PGD_100), "accuracy"),
    "madry_restarts": (madry.accuracy(_A, madry.PGD_100_RESTARTS), "accuracy"),
    "madry_worst": (madry.worst_case("PGD", 16), "accuracy"),
    "madry_copy": (madry.accuracy(_A, madry.PGD_40, source=madry.source_of("A'", 0)), "accuracy"),
    "small_pgd": (madry.accuracy(madry.network(scale=1), madry.PGD_40), "accuracy"),
    "fgsm_pgd": (madry.accuracy(madry.network("FGSM"), madry.PGD_40), "accuracy"),
    "natural_clean": (madry.accuracy(_NATURAL, Clean()), "accuracy"),
    "natural_pgd": (madry.accuracy(_NATURAL, madry.PGD_40), "accuracy"),
    "pgd_sweep": (madry.sweep("PGD", "linf", 0.3), "accuracy"),
    "outside": (madry.sweep("PGD", "linf", 0.36), "accuracy"),
    "l2_pgd": (madry.sweep("PGD", "l2", 2.0), "accuracy"),
    "l2_boundary": (madry.distances("PGD", "l2"), "accuracy@2"),
    "bracket_natural": (trades.worst_case("natural"), "after clean"),
    "bracket_natural_worst": (trades.worst_case("natural"), "accuracy"),
    "bracket_alp": (trades.worst_case("logit pairing"), "accuracy"),
    "bracket_pgd": (trades.worst_case("PGD training"), "accuracy"),
    "bracket_trades": (trades.worst_case("TRADES, 1/λ 6"), "accuracy"),
    "bracket_trades_clean": (trades.worst_case("TRADES, 1/λ 6"), "after clean"),
    "bracket_trades1": (trades.worst_case("TRADES, 1/λ 1"), "accuracy"),
    "bracket_trades1_clean": (trades.worst_case("TRADES, 1/λ 1"), "after clean"),
    **{
        f"sweep_{name}{end}": (trades.sweep("mnist", beta, robust=not end), "accuracy")
        for name, beta in (("low", 0.1), ("high", 5.0))
        for end in ("", "_clean")
    },
    **{
        f"served{name}_{group}": (own.lender(beta), f"served_honest_{group}")
        for name, beta in (("", 0.0), ("_robust", 3.0))
        for group in (0, 1)
    },
    # Of how the claims aged.
    "variation_T100": (papernot.variation("mnist", _HOT), "variation"),
    "variation_cifar": (papernot.variation("cifar10", _HOT), "variation"),
    "suite_standard": (comparison.suite("standard"), "accuracy"),
    "suite_pgd": (comparison.suite("PGD training"), "accuracy"),
    "suite_trades": (comparison.suite("TRADES, 1/λ 6"), "accuracy"),
    "suite_certified": (comparison.suite("certified, exact"), "accuracy"),
    "cascade_counted": (comparison.cascade(), "bound"),
    "cascade_strict": (comparison.cascade(), "strict_bound"),
    "cascade_broken": (comparison.cascade(), "broken"),
    "hard_single": (_ALONE, "bound"),
    "hard_counted": (_GROWN, "bound"),
    "hard_strict": (_GROWN, "strict_bound"),
    "madry_after_pgd": (madry.worst_case("PGD", 16), "after Pgd"),
    "cifar_fgsm_pgd": (madry2018_cifar.white("Wide", "FGSM"), "accuracy 4"),
    "madry_cifar_pgd": (madry2018_cifar.white("Wide", "PGD"), "accuracy 4"),
    "trades_pgd": (trades.under(trades.network("mnist"), trades.FGSM_K["mnist"]), "accuracy"),
    **{
        f"pgd_{name}_pgd": (trades.under(trades.network(name, "PGD"), trades.FGSM_K[name]), "accuracy")
        for name in ("mnist", "cifar10")
    },
    "trades_cifar_pgd": (trades.under(trades.network("cifar10"), trades.FGSM_K["cifar10"]), "accuracy"),
    "trades_cifar_worst": (Evaluation(trades.network("cifar10"), WorstCase(trades.THREATS["cifar10"])), "accuracy"),
}
"""Measured numbers that reasons, answers and aged claims cite: an evaluation of the paper's protocol, and a metric."""
