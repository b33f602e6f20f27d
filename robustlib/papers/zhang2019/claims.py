"""Claims of the tables and figures of Zhang et al. 2019, and of this book's two experiments."""

from __future__ import annotations

from collections.abc import Sequence

from ...catalogue.base import Predicate, claim, values
from ...spec.records import Record
from .networks import FGSM_K, LAMBDAS, PAPER, bound, network, sweep, under, worst_case
from .own import LENDER_BETAS, METHODS, lender, loop, plane


def _rises(found: Sequence[float]) -> bool:
    return found[-1] > found[0]


def _clean_and_further(records: Sequence[Record]) -> bool:
    near = values(records, "boundary")
    return values(records, "natural") == [0, 0] and near[1] < near[0]


def _worth_it(records: Sequence[Record]) -> bool:
    """True where some robust lender earns more than the natural one on edited applications, and less on honest ones."""
    edited, honest = values(records, "money_edited"), values(records, "money_honest")
    return any(e > edited[0] and h < honest[0] for e, h in zip(edited[1:], honest[1:], strict=True))


def predicates() -> list[Predicate]:
    """The statements of the tables, the figures and the two experiments."""
    ends = {robust: [sweep("mnist", beta, robust=robust) for beta in (0.1, 5.0)] for robust in (True, False)}
    lenders = [lender(beta) for beta in LENDER_BETAS]
    return [
        claim(
            f"{PAPER}/table-3",
            "The theorem's right side is not below its left at any lambda",
            [bound(scale) for scale in LAMBDAS],
            lambda v: min(v) >= 0,
            "gap",
            check=True,
        ),
        claim(f"{PAPER}/table-4/mnist", "Robust accuracy is higher at 1/lambda 5 than at 0.1", ends[True], _rises),
        claim(
            f"{PAPER}/table-4/mnist",
            "Natural accuracy is lower at 1/lambda 5 than at 0.1",
            ends[False],
            lambda v: not _rises(v),
        ),
        claim(
            f"{PAPER}/table-6",
            "An attack made on the other robust network breaks fewer points than the network's own",
            [under(network("mnist"), FGSM_K["mnist"], source=source) for source in (None, network("mnist", "PGD"))],
            _rises,
        ),
        claim(
            f"{PAPER}/baselines", "Without a defence nothing is left", [worst_case("natural")], lambda v: v[0] < 0.05
        ),
        claim(
            f"{PAPER}/baselines",
            "TRADES at 1/lambda 6 keeps more than at 1/lambda 1",
            [worst_case("TRADES, 1/λ 1"), worst_case("TRADES, 1/λ 6")],
            _rises,
        ),
        Predicate(
            f"{PAPER}/decision-boundary",
            "Both networks classify all points, TRADES fewer of them near its boundary",
            tuple(plane(beta) for beta in METHODS.values()),
            _clean_and_further,
        ),
        claim(
            f"{PAPER}/algorithm-1",
            "At x' = x the gradient of KL is zero but for rounding: below 1e-5 nats a unit of pixel",
            [loop("mnist")],
            lambda v: v[0] < 1e-5,
            "gradient_at_x",
            check=True,
        ),
        Predicate(
            f"{PAPER}/algorithm-1",
            "The loop ends at ten times the KL of the kick or more",
            (loop("mnist"),),
            lambda r: values(r, "kl")[0] > 10 * values(r, "kl_of_kick")[0],
        ),
        Predicate(
            f"{PAPER}/lender",
            "Edits cost the lender with natural training more than half of the money it made",
            tuple(lenders[:1]),
            lambda r: values(r, "money_edited")[0] < values(r, "money_honest")[0] / 2,
        ),
        Predicate(
            f"{PAPER}/lender",
            "Some 1/lambda earns more once applicants edit than natural training, and less from the honest",
            tuple(lenders),
            _worth_it,
        ),
    ]
