"""The reduced profiles of distillation.

Both begin teacher and student with one network trained at T = 1 (as Carlini and Wagner's re-implementation does), since
at a high T the gradient is 1/T of what it is at 1.
"""

from __future__ import annotations

from dataclasses import replace

from ..evaluate.accuracy import Accuracy, AccuracyVariation
from ..evaluate.attempts import Targeted
from ..evaluate.distances import Distances
from ..evaluate.softmax import Amplitudes
from ..evaluate.worst_case import WorstCase
from ..spec.evaluation import Evaluation
from ..spec.network import Network
from ..training import Schedule, Standard

MODELS = ("papernot_mnist", "papernot_cifar")
_WIDTH = {"digits": 16, "mnist": 32, "cifar10": 16}
FEATURES = {"mnist": 784, "cifar10": 3072}


def _distilled(network: Network, dataset: str, schedule: Schedule, warm: int) -> Network:
    """The network under a reduced schedule, from weights that ``warm`` updates at T = 1 left."""
    model = replace(network.model, width=_WIDTH[dataset])
    rows = {"digits": None, "mnist": (5_000, 60_000), "cifar10": (5_000, 50_000)}[dataset]
    start = Network(dataset, model, Standard(), replace(schedule, steps=warm), rows, network.seed % 10)
    parents = (*(_distilled(parent, dataset, schedule, warm) for parent in network.parents), start)
    return replace(network, dataset=dataset, model=model, schedule=schedule, rows=rows, parents=parents)


def smoke_network(network: Network) -> Network:
    """On digits, seconds."""
    return _distilled(network, "digits", Schedule(60, 64, 5e-3, shape="one_cycle"), 200)


# Updates of teacher and student, then of the network that both begin with; chosen on the first 5,000 training images,
# which training does not see. Temperatures are trained one after another: stacked into one batched network they took
# more than twice as long on a CPU core.
_UPDATES = {"mnist": (860, 860), "cifar10": (1_000, 3_000)}


def _quick_network(network: Network) -> Network:
    steps, warm = _UPDATES[network.dataset]
    schedule = Schedule(steps, batch=64, lr=2e-3, shape="one_cycle", precision="bfloat16")
    return _distilled(network, network.dataset, schedule, warm)


def quick(evaluation: Evaluation) -> Evaluation:
    """Real data, shorter trainings, fewer attempts."""
    what, subset = evaluation.measurement, evaluation.subset
    if isinstance(what, AccuracyVariation):
        what = replace(what, baseline=_quick_network(what.baseline))
    elif isinstance(what, Targeted):
        # Attempts that undo the saturation, that have no cap, or that choose among 3,072 features take long.
        papers = (what.attack.outputs, what.attack.temperature, what.correct_only) == ("softmax", 1.0, True)
        subset = replace(subset, n=20 if evaluation.subject.dataset == "cifar10" else 100 if papers else 40)
        what = replace(what, attack=replace(what.attack, features=min(what.attack.features, 784)))
    elif isinstance(what, Amplitudes):
        subset = replace(subset, n=200)
    elif isinstance(what, Distances):
        subset = replace(subset, n=100)
    elif isinstance(what, WorstCase):
        what, subset = replace(what, queries=1_000, target_classes=3, search="bfloat16"), replace(subset, n=200)
    elif isinstance(what, Accuracy) and what.threat is not None:
        subset = replace(subset, n=1_000)
    return Evaluation(_quick_network(evaluation.subject), what, subset)
