"""Reduced profiles of distillation.

Both begin teacher and student with one network trained at T = 1 (as Carlini and Wagner's re-implementation does), since
at a high T the gradient is 1/T of what it is at 1.
"""

from __future__ import annotations

from dataclasses import replace

from ...attacks.suite import Clean, Fgsm
from ...budget import WHOLE, Budget
from ...evaluate.accuracy import Accuracy, AccuracyVariation
from ...evaluate.distances import Distances
from ...evaluate.pictures import Samples
from ...evaluate.saturation import Amplitudes, Outputs
from ...evaluate.suite_accuracy import WorstCase
from ...evaluate.targeted import Targeted
from ...evaluate.weights import Recipe
from ...experiments.profiles import On, Reduction, Version
from ...spec.evaluation import Evaluation
from ...spec.network import Network
from ...training import Schedule, Standard
from .networks import DATASETS, LABELS, MODELS, NONE, SEEDS, attempts, minimal, modified, network

_WIDTH = {"mnist": 32, "cifar10": 16}
_ROWS = {"mnist": (5_000, 60_000), "cifar10": (5_000, 50_000)}

Rows = tuple[int, int] | None


def _distilled(full: Network, dataset: str, schedule: Schedule, warm: int, *, width: int, rows: Rows) -> Network:
    """The network under a reduced schedule, from weights that ``warm`` updates at T = 1 left."""
    model = replace(full.model, width=width)
    start = Network(dataset, model, Standard(), replace(schedule, steps=warm), rows, full.seed % 10)
    parents = (*(_distilled(parent, dataset, schedule, warm, width=width, rows=rows) for parent in full.parents), start)
    return replace(full, dataset=dataset, model=model, schedule=schedule, rows=rows, parents=parents)


def smoke_network(full: Network) -> Network:
    """A network's smoke version: on digits, in seconds."""
    return _distilled(full, "digits", Schedule(60, 64, 5e-3, shape="one_cycle"), 200, width=16, rows=None)


# Updates of teacher and student, then of the network that both begin with; chosen on the first 5,000 training images,
# which training does not see. Temperatures are trained one after another: stacked into one batched network they took
# more than twice as long on a CPU core.
_UPDATES = {"mnist": (860, 860), "cifar10": (1_000, 3_000)}
_SHORT = Schedule(0, batch=64, lr=2e-3, shape="one_cycle", precision="bfloat16")


def quick_network(full: Network) -> Network:
    """A network's quick version: on the paper's data, in minutes."""
    steps, warm = _UPDATES[full.dataset]
    schedule, width = replace(_SHORT, steps=steps), _WIDTH[full.dataset]
    return _distilled(full, full.dataset, schedule, warm, width=width, rows=_ROWS[full.dataset])


# Level's networks have the paper's width and go on for longer: on MNIST ten epochs, until the logits of T = 2 and 5
# have grown; on CIFAR-10 three, after six at T = 1.
_LONGER = {
    "mnist": (replace(_SHORT, steps=8_600), 860),
    "cifar10": (replace(_SHORT, steps=2_346, precision="float32"), 4_692),
}


def level_network(full: Network) -> Network:
    """A network's level version: the paper's own, on all of the training set, in ten to forty minutes."""
    schedule, warm = _LONGER[full.dataset]
    return _distilled(full, full.dataset, schedule, warm, width=full.model.width, rows=full.rows)


def _no_level(evaluation: Evaluation) -> bool:
    """Attempts without a cap, which take hours, and what describes a recipe of training."""
    return evaluation in LEAST or isinstance(evaluation.measurement, Recipe)


def _on(*measurements: type, attack: type | None = None, dataset: str = "") -> On:
    models = tuple(model.name for model in MODELS.values())
    return On(models, (dataset,) * bool(dataset), measurements, () if attack is None else (attack,))


def _reduction(on: On, smoke: Budget, quick: Budget, full: Budget = WHOLE) -> Reduction:
    level = Version(level_network, unless=_no_level)
    return Reduction(on, Version(smoke_network, smoke), Version(quick_network, quick), Version(budget=full), level)


LEAST = frozenset(minimal(network(dataset, label)) for dataset in DATASETS.values() for label in LABELS)
"""Attempts without the cap on features: on CIFAR-10 one may take 1,536 derivatives of every class."""
AS_DEPLOYED = frozenset(
    [*(attempts(network("mnist", label, seed)) for label in LABELS for seed in SEEDS), modified(NONE)]
)
"""Attempts on softmax outputs at T = 1; those that undo the saturation take longer."""

_SUITE = Budget(points=200, queries=1_000, target_classes=3, search="bfloat16")
_SMOKE_SUITE = Budget(points=40, steps=10, queries=100, target_classes=2)
_COSTLY = Budget(points=500)

# In smoke, budgets of features keep their share of the image: 9 of 64 are 112 of 784, 2 of 64 are 112 of 3,072.
_MNIST, _CIFAR = _on(Targeted, dataset="mnist"), _on(Targeted, dataset="cifar10")
_NINE, _TWO = Budget(points=20, features=9, cap=9), Budget(points=20, features=2, cap=2)

REDUCTIONS = (
    _reduction(_on(Accuracy, attack=Clean), Budget(points=100), WHOLE),
    _reduction(_on(Accuracy, attack=Fgsm), Budget(points=100), Budget(points=1_000)),
    _reduction(_on(AccuracyVariation), WHOLE, WHOLE),
    _reduction(_on(Outputs, Recipe), Budget(points=100), WHOLE),
    _reduction(_on(Amplitudes), Budget(points=100), Budget(points=200)),
    _reduction(_on(Distances), Budget(points=20, steps=50), Budget(points=100)),
    _reduction(_on(Samples, dataset="mnist"), Budget(features=9), WHOLE),
    _reduction(_on(Samples, dataset="cifar10"), Budget(features=2), WHOLE),
    _reduction(_on(WorstCase, dataset="mnist"), _SMOKE_SUITE, _SUITE),
    _reduction(_on(WorstCase, dataset="cifar10"), _SMOKE_SUITE, _SUITE, _COSTLY),
    _reduction(replace(_MNIST, among=AS_DEPLOYED), _NINE, Budget(points=100)),
    _reduction(replace(_MNIST, outside=AS_DEPLOYED | LEAST), _NINE, Budget(points=40)),
    _reduction(replace(_MNIST, among=LEAST), replace(_NINE, features=64), Budget(points=40, features=784)),
    _reduction(replace(_CIFAR, outside=LEAST), _TWO, Budget(points=20)),
    _reduction(replace(_CIFAR, among=LEAST), replace(_TWO, features=64), Budget(points=20, features=784), _COSTLY),
)
