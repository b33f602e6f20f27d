"""Claims of the figures of Papernot et al. 2016, as tests over records: on MNIST, but for figure 9's.

That a point needs eight times as many features at T = 100 is no claim here: a point that is never broken counts as 112
of 784 features, and eight times what points need on an undistilled network of ours may be more than that.
"""

from __future__ import annotations

from ...attacks.suite import Clean
from ...catalogue.base import Predicate, claim, values
from ...evaluate.accuracy import Accuracy
from ...spec.evaluation import Evaluation
from .networks import LABELS, NONE, PAPER, amplitudes, attempts, baseline, minimal, network, outputs, variation


def predicates() -> list[Predicate]:
    """The statements that each figure makes."""
    ends = (NONE, "T=100")
    crafted = [attempts(network("mnist", label)) for label in ends]
    least = [minimal(network("mnist", label)) for label in ends]
    predicted = [outputs("mnist", label) for label in ends]
    changes = [variation("mnist", label) for label in LABELS[1:]]
    # Figure 9 is about CIFAR-10.
    slopes = [amplitudes("cifar10", label) for label in ends]
    known = Evaluation(baseline("mnist"), Accuracy(Clean()))
    return [
        claim(
            f"{PAPER}/network-overview",
            "At T = 100 training makes the logits at least ten times larger",
            predicted,
            lambda v: v[1] >= 10 * v[0],
            "logit_size",
        ),
        claim(
            f"{PAPER}/crafting-framework",
            "On the undistilled network an attempt that succeeds changes under 112 features",
            crafted[:1],
            lambda v: v[0] < 112,
            "features",
            check=True,
        ),
        claim(
            f"{PAPER}/hardness",
            "Distillation at T = 100 raises the least number of features that JSMA on softmax outputs needs",
            least,
            lambda v: v[1] > v[0],
            "rho",
        ),
        Predicate(
            f"{PAPER}/distillation-overview",
            "At T = 100 the largest output is smaller at that temperature than at T = 1",
            tuple(predicted[1:]),
            lambda r: values(r, "max_output_at_T") < values(r, "max_output"),
            check=True,
        ),
        claim(
            f"{PAPER}/class-samples/mnist",
            "The undistilled network knows over 95 % of the test samples",
            [known],
            lambda v: v[0] > 0.95,
        ),
        claim(
            f"{PAPER}/success-rate/mnist",
            "Distillation at T = 100 brings the success of JSMA on softmax outputs below 5 %",
            crafted[1:],
            lambda v: v[0] < 0.05,
            "success",
        ),
        claim(
            f"{PAPER}/success-rate/mnist",
            "Without distillation over 80 % of the attempts succeed",
            crafted[:1],
            lambda v: v[0] > 0.8,
            "success",
        ),
        claim(
            f"{PAPER}/accuracy-variation/mnist",
            "On MNIST distillation costs at most 1.5 points of accuracy at every temperature",
            changes,
            lambda v: min(v) >= -1.5,
            "variation",
        ),
        claim(
            f"{PAPER}/gradient-amplitudes",
            "On CIFAR-10 the median amplitude at T = 100 is smaller than without distillation by 10^30 or more",
            slopes,
            lambda v: v[0] - v[1] >= 30,
            "median_log10",
        ),
        claim(
            f"{PAPER}/gradient-amplitudes",
            "At T = 100 float32 leaves over half the CIFAR-10 points without any derivative",
            slopes[1:],
            lambda v: v[0] > 0.5,
            "zero_float32",
        ),
    ]
