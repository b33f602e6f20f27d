"""Claims of the figures of Madry et al. 2018, as tests over records."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...attacks.suite import Fgsm
from ...catalogue.base import Predicate, claim, values
from ...evaluate.losses import TrainingCurve
from ...spec.evaluation import Evaluation
from ...spec.records import Record
from . import cifar, small
from .inside import INSIDE, KINDS, RADIUS, REGIMES, angles, images, layer, steered
from .networks import PAPER, PGD_40, SCALES, accuracy, distances, maxima, network, sweep, trace


def _plateau(records: Sequence[Record]) -> bool:
    """Each run gains over its first half at least four times what it gains over its second."""
    gains = []
    for record in records:
        for runs in record.series.values():
            curve = np.asarray(runs, float).mean(0)
            middle = len(curve) // 2
            gains.append((curve[middle] - curve[0]) >= 4 * (curve[-1] - curve[middle]))
    return bool(np.mean(gains) >= 0.8)


def _lower_on_each(records: Sequence[Record]) -> bool:
    """On every example the second network's mean loss ends below the first one's."""
    first, second = (
        {name: float(np.asarray(runs, float)[:, -1].mean()) for name, runs in record.series.items()}
        for record in records
    )
    return all(second[name] < loss for name, loss in first.items())


def _concentrated(records: Sequence[Record]) -> bool:
    """No start ends above twice the median of its example, on the robust network."""
    (robust,) = records
    ratios = [metric.value for name, metric in robust.metrics.items() if name.startswith("max_over_median")]
    return max(ratios) < 2


def _kept(records: Sequence[Record]) -> float:
    """Loss in the last tenth of a training, as a share of that in the first."""
    loss = np.asarray(records[0].series["loss"], float)
    tenth = max(1, len(loss) // 10)
    return float(loss[-tenth:].mean() / loss[:tenth].mean())


def _second_lower(found: Sequence[float]) -> bool:
    return found[1] < found[0]


def _second_higher(found: Sequence[float]) -> bool:
    return found[1] > found[0]


def predicates() -> list[Predicate]:
    """The statements that each figure makes."""
    return [*_mnist(), *_cifar(), *_inside(), *_small()]


def _mnist() -> list[Predicate]:
    pgd = {s: accuracy(network("PGD", scale=s), PGD_40) for s in SCALES}
    weak = [accuracy(network(regime, scale=s), PGD_40) for regime in ("natural", "FGSM") for s in SCALES]
    traces = [trace(regime) for regime in ("natural", "PGD")]
    return [
        claim(
            f"{PAPER}/loss-during-pgd/mnist",
            "The loss on the adversarially trained network ends below the natural one's",
            traces,
            _second_lower,
            "final_loss",
        ),
        Predicate(
            f"{PAPER}/loss-during-pgd/mnist", "The loss rises quickly and then plateaus", tuple(traces), _plateau
        ),
        Predicate(
            f"{PAPER}/more-loss-curves/mnist",
            "On each of five examples, adversarial training lowers the loss that PGD reaches",
            tuple(traces),
            _lower_on_each,
        ),
        claim(
            f"{PAPER}/local-maxima/mnist",
            "Final losses of adversarially trained networks lie below those of natural ones",
            [maxima(regime) for regime in ("natural", "PGD")],
            _second_lower,
            "final_loss",
        ),
        Predicate(
            f"{PAPER}/local-maxima/mnist",
            "Final losses are concentrated, without outliers, on the robust network",
            (maxima("PGD"),),
            _concentrated,
        ),
        claim(
            f"{PAPER}/capacity/mnist",
            "Networks trained naturally or with FGSM have at most 5 % accuracy under PGD at every scale",
            weak,
            lambda v: max(v) <= 0.05,
        ),
        claim(
            f"{PAPER}/capacity/mnist",
            "The smallest network cannot be trained against PGD: it stays below 30 % under PGD",
            [accuracy(network("PGD", scale=1, seed=seed), PGD_40) for seed in small.SEEDS],
            lambda v: max(v) <= 0.3,
        ),
        claim(
            f"{PAPER}/capacity/mnist",
            "Under PGD training, robust accuracy grows from scale 4 to 16",
            [pgd[4], pgd[8], pgd[16]],
            lambda v: v[0] < v[1] < v[2],
        ),
        claim(
            f"{PAPER}/accuracy-vs-eps/mnist",
            "At eps 0.3 (l_inf) PGD training keeps over half its points, natural training none",
            [sweep(regime, "linf", 0.3) for regime in ("natural", "PGD")],
            lambda v: v[0] < 0.05 and v[1] > 0.5,
        ),
        Predicate(
            f"{PAPER}/accuracy-vs-eps/mnist",
            "In l_2 PGD overestimates robustness: the boundary attack breaks far more at eps 2",
            (sweep("PGD", "l2", 2.0), distances("PGD", "l2")),
            lambda r: values(r[1:], "accuracy@2")[0] < values(r[:1], "accuracy")[0] - 0.2,
        ),
        Predicate(
            f"{PAPER}/training-loss/mnist",
            "The adversarial training loss falls by half or more",
            (Evaluation(network(), TrainingCurve()),),
            lambda r: _kept(r) < 0.5,
        ),
    ]


def _cifar() -> list[Predicate]:
    pgd, fgsm = cifar.metric_of(cifar.PGD_20), cifar.metric_of(Fgsm())
    weak = [cifar.white(size, regime) for size in cifar.WIDTHS for regime in ("natural", "FGSM")]
    traces, ends = ([make(regime) for regime in cifar.LANDSCAPE] for make in (cifar.trace, cifar.maxima))
    return [
        claim(
            f"{PAPER}/capacity/cifar10",
            "Under PGD training, the wider network keeps more under 20 steps of PGD",
            [cifar.white(size, "PGD") for size in ("Simple", "Wide")],
            _second_higher,
            pgd,
        ),
        claim(
            f"{PAPER}/capacity/cifar10",
            "Networks trained naturally or with FGSM keep at most 5 % under 20 steps of PGD",
            weak,
            lambda v: max(v) <= 0.05,
            pgd,
        ),
        claim(
            f"{PAPER}/capacity/cifar10",
            "FGSM-trained networks keep over half their points under FGSM",
            weak[1::2],
            lambda v: min(v) > 0.5,
            fgsm,
        ),
        claim(
            f"{PAPER}/accuracy-vs-eps/cifar10",
            "The accuracy of the PGD-trained network falls by half or more from eps 0 to 16",
            [cifar.sweep("linf", eps) for eps in (0, 16)],
            lambda v: v[1] <= v[0] / 2,
        ),
        Predicate(
            f"{PAPER}/training-loss/cifar10",
            "The adversarial training loss falls",
            (cifar.curve(),),
            lambda r: _kept(r) < 1,
        ),
        claim(
            f"{PAPER}/loss-during-pgd/cifar10",
            "On CIFAR-10, the loss on the PGD-trained network ends below the natural one's",
            traces,
            _second_lower,
            "final_loss",
        ),
        Predicate(
            f"{PAPER}/more-loss-curves/cifar10",
            "On each of five CIFAR-10 images, adversarial training lowers the loss that PGD reaches",
            tuple(traces),
            _lower_on_each,
        ),
        claim(
            f"{PAPER}/local-maxima/cifar10",
            "On CIFAR-10, final losses of PGD-trained networks lie below those of natural ones",
            ends,
            _second_lower,
            "final_loss",
        ),
        claim(
            f"{PAPER}/loss-along-directions",
            "White-box PGD reaches a higher loss on the natural network than on the robust one",
            [cifar.along(*kind) for kind in cifar.ALONG.values()],
            _second_lower,
            "end white Pgd",
        ),
    ]


def _inside() -> list[Predicate]:
    first, last = ([layer(name, index) for name in INSIDE] for index in (0, -1))
    return [
        Predicate(
            f"{PAPER}/transferability",
            "PGD fools the network that it was made on more often than an independent copy",
            tuple(steered("Large", "natural", transfer=transfer) for transfer in (False, True)),
            lambda r: values(r[:1], "accuracy 2") < values(r[1:], "accuracy 2 0"),
        ),
        claim(
            f"{PAPER}/transferability",
            "Gradients of two copies are nearer to a right angle than to one direction",
            [angles(kind, regime) for kind in KINDS for regime in REGIMES],
            lambda v: min(v) > 45,
            "angle",
        ),
        claim(
            f"{PAPER}/filters",
            "PGD training leaves more first-layer weights near zero than natural training",
            first,
            lambda v: min(v[1:]) > v[0],
            "near_zero",
        ),
        claim(
            f"{PAPER}/filters",
            "PGD training leaves at most a quarter of the first layer's filters with any weight",
            first,
            lambda v: min(v[1:]) >= 0.75,
            "empty",
        ),
        claim(
            f"{PAPER}/softmax-layer",
            "Softmax biases of PGD-trained networks differ more than the natural network's",
            last,
            lambda v: min(v[1:]) > v[0],
            "bias_spread",
        ),
        Predicate(
            f"{PAPER}/l2-examples",
            "At l_2 radius 4 PGD still fools the PGD-trained network on some image",
            (images(),),
            lambda r: values(r, "accuracy")[0] < 1 and values(r, "length")[0] <= RADIUS + 1e-4,
        ),
    ]


def _small() -> list[Predicate]:
    """Written down before any of these networks was trained."""

    def runs(row: str) -> list[Evaluation]:
        return [small.under_pgd(row, scale, seed) for scale in small.SMALL for seed in small.SEEDS]

    seeds = len(small.SMALL) * len(small.SEEDS)
    return [
        claim(
            small.ITEM,
            "Small networks can be trained against PGD: each keeps at least 40 % under it by this book's recipe",
            runs(small.RECIPE),
            lambda v: min(v) >= 0.4,
        ),
        claim(
            small.ITEM,
            "Leaving out the warm-up of the radius costs more, on average, than the paper's initial weights",
            [*runs(small.WARM_UP), *runs(small.WEIGHTS)],
            lambda v: float(np.mean(v[:seeds])) < float(np.mean(v[seeds:])),
        ),
    ]
