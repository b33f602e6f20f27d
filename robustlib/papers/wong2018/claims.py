"""Claims of the tables and figures of Wong & Kolter 2018, as tests over records."""

from __future__ import annotations

from ...catalogue.base import Predicate, claim
from ...evaluate.weights import FirstLayer
from ...spec.evaluation import Evaluation
from .networks import PROBLEMS, RADII, TOY_BALL, bound, network, programmed, random_polytope, shallow, toy
from .tables import PAPER, VANISHING, natural, radii


def predicates() -> list[Predicate]:
    """The statements that each figure makes, of the standard network and then of the robust one."""
    ball = PROBLEMS["MNIST"].threat
    kinds = (False, True)
    pair = [network("MNIST", robust=robust) for robust in kinds]
    both = [bound(net, ball) for net in pair]
    return [
        claim(
            f"{PAPER}/unstable-units",
            "Robust training leaves fewer units that cross zero",
            both,
            lambda v: v[1] < v[0],
            "unstable",
        ),
        claim(
            f"{PAPER}/table-1/mnist",
            "The standard network has no certificate on over 99 % of the test points",
            both[:1],
            lambda v: v[0] > 0.99,
            "bound",
        ),
        claim(
            f"{PAPER}/certified-radius",
            "Robust training raises the median certified radius",
            [radii(kind) for kind in ("standard", "robust")],
            lambda v: v[1] > v[0],
            "median_radius",
        ),
        claim(
            f"{PAPER}/filters",
            "More first-layer weights of the robust network are near zero",
            [Evaluation(net, FirstLayer()) for net in pair],
            lambda v: v[1] > v[0],
            "near_zero",
        ),
        claim(
            f"{PAPER}/dual-vs-lp",
            "Neither linear program lies below its dual bound",
            [programmed(shallow(robust=robust), RADII[-1]) for robust in kinds],
            lambda v: min(v) >= -1e-6,
            "loosened",
            check=True,
        ),
        claim(
            f"{PAPER}/true-polytope",
            "No sampled output lies outside a proven polygon",
            [random_polytope()],
            lambda v: v[0] == 1,
            "inside",
            check=True,
        ),
        claim(
            VANISHING,
            "With 100 epochs on Fashion-MNIST at least 5 % of the gradients are zero in float32, more than with 20",
            [natural(f"Fashion-MNIST, {epochs} epochs") for epochs in (20, 100)],
            lambda v: v[1] >= 0.05 and v[1] > v[0],
            "zero",
        ),
        claim(
            f"{PAPER}/toy-2d",
            "Training on the bound certifies all that standard training leaves open",
            [bound(toy(robust=robust), TOY_BALL) for robust in kinds],
            lambda v: v[1] == 0 < v[0],
            "bound",
        ),
    ]
