"""Targeted attempts: every point towards every other class, and the features that each attempt changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from ..attacks._model import frozen, logits_of
from ..attacks.contract import checked
from ..attacks.suite import Jsma, run_targeted
from ..budget import Budget, at_most
from ..data import Split, balanced_subset
from ..data.registry import facts_of
from ..errors import RobustlibError
from ..registry import spec
from ..spec.measurement import Measured, Measurement, Price, Progress, Subject, mean, share
from ..spec.network import Network
from ..spec.quantities import SIZE, SUCCESS, Quantity
from ..spec.records import pack
from ..threat import Domain
from .outcomes import CHUNK, in_pieces


@dataclass(frozen=True)
class Attempts:
    """(n, K) arrays: row i's attempt towards class j; nothing was attempted towards the point's own class.

    Attributes:
        rows: (n,) positions in the split.
        source: (n,) class of each point that its attempts lead away from.
        changed: int, features that a successful attempt changed; 0 where it failed or none was made.
        tried: bool, off the source class.
        features: of one input.
    """

    rows: np.ndarray
    source: np.ndarray
    changed: np.ndarray
    tried: np.ndarray
    features: int

    @property
    def reached(self) -> np.ndarray:
        """(n * (K - 1),) bool, point by point, classes ascending."""
        return self.changed[self.tried] > 0

    def nearest(self, cap: int) -> np.ndarray:
        """(n,) least number of features over the targets; ``cap`` where none was reached with fewer."""
        return np.where(self.changed > 0, self.changed, cap).min(1).clip(max=cap)


@checked
def correct_rows(model: nn.Module, split: Split, n: int, *, seed: int = 0) -> Tensor:
    """(n,) indices of points that the model classifies correctly, classes balanced: the subset of n, where possible.

    A point that it gets wrong is replaced by one of its class from the subset of 2n, so that networks differ in as
    few points as can be. Fewer than n come back where a class has not enough.
    """
    first, pool = (balanced_subset(split.y, min(size, len(split)), seed=seed) for size in (n, 2 * n))
    order = torch.cat([first, pool[~torch.isin(pool, first)]])
    order = order[_logits(model, split, order).argmax(1) == split.y[order]]
    chosen = [order[split.y[order] == c][: int((split.y[first] == c).sum())] for c in split.y[first].unique()]
    return torch.cat(chosen).sort().values


def _logits(model: nn.Module, split: Split, rows: Tensor) -> Tensor:
    with frozen(model), torch.no_grad():
        return torch.cat([logits_of(model, split.images(part)) for part in rows.split(CHUNK)])


@checked
def targeted_attempts(
    model: nn.Module, split: Split, rows: Tensor, attack: Jsma, *, domain: Domain, progress: Progress | None = None
) -> Attempts:
    """One attempt for each point and each class that the model does not give it.

    Args:
        model: under attack, eval mode, float32.
        split: images and labels.
        rows: (n,) positions in the split; a misclassified point is led away from the class that it is given.
        attack: description of the targeted attack.
        domain: of the inputs.
        progress: called with (points done, points).

    Raises:
        RobustlibError: a point changed in more features than the attack may, or left the domain.
    """
    logits = _logits(model, split, rows)
    source, classes = logits.argmax(1), logits.shape[1]
    tried = torch.ones_like(logits, dtype=torch.bool).scatter(1, source[:, None], False)
    who, target = tried.nonzero().unbind(1)
    changed = torch.zeros(len(rows), classes, dtype=torch.int64)
    for part in torch.arange(len(who), device=who.device).split(CHUNK):
        x = split.images(rows.to(who.device)[who[part]])

        def attacked(xs: Tensor, pair: Tensor) -> Tensor:
            return run_targeted(attack, model, xs, pair[:, 0], pair[:, 1], domain=domain)

        found = in_pieces(attacked, x, torch.stack([source[who[part]], target[part]], 1))
        with torch.no_grad():
            hit = model(found).argmax(1) == target[part]
        count = (found != x).flatten(1).sum(1)
        if bool((count > attack.features).any()) or not bool(((found >= domain[0]) & (found <= domain[1])).all()):
            raise RobustlibError(f"{attack} changed up to {int(count.max())} features or left {domain}; nothing counts")
        changed[who[part].cpu(), target[part].cpu()] = torch.where(hit, count, 0).cpu()
        if progress is not None:
            progress(int(who[part][-1]) + 1, len(rows))
    return Attempts(
        rows.cpu().numpy(), source.cpu().numpy(), changed.numpy(), tried.cpu().numpy(), split.images(rows[:1]).numel()
    )


KEPT = 100
"""Points whose attempts a record keeps one by one."""


@spec
@dataclass(frozen=True)
class Targeted(Measurement):
    """Attempts on each point towards each other class: share that succeed, features that they change.

    Args:
        attack: description of the targeted attack.
        correct_only: points that the network gets wrong are replaced by others of their class, see
            :func:`robustlib.evaluate.targeted.correct_rows`; False: the subset as it is, each point led away from its
            predicted class.
        cap: number of features at which a point that needs more, or is never broken, counts in ``rho``.
        domain: of the inputs.
    """

    attack: Jsma
    correct_only: bool = True
    cap: int = 112
    domain: tuple[float, float] = (0.0, 1.0)
    protocol: int = 1

    def units(self, network: Network) -> dict[str, str]:
        shares = ("success", "rho", "rho_uncapped", "broken", "censored")
        return dict.fromkeys(shares, "fraction") | {"features": "features"}

    def run(self, on: Subject) -> Measured:
        """Success over attempts; over points, the least features that reach any target, as a share of all features."""
        model, split, rows, subset, progress = on.model, on.split, on.rows, on.evaluation.subset, on.progress
        if self.correct_only:
            rows = correct_rows(model, split, subset.n or len(split), seed=subset.seed)
        found = targeted_attempts(model, split, rows, self.attack, domain=self.domain, progress=progress)
        reached, whole = found.reached, min(self.attack.features, found.features)
        broken: np.ndarray = np.any(found.changed > 0, axis=1)
        metrics = {
            "success": share(reached),
            "rho": mean(found.nearest(min(self.cap, whole)) / found.features),
            "rho_uncapped": mean(found.nearest(whole) / found.features),
            "broken": share(broken),
            "censored": share(~broken | (found.nearest(whole) > self.cap)),
        }
        if reached.any():
            metrics["features"] = mean(found.changed[found.changed > 0].astype(float), unit="features")
        classes = found.changed.shape[1]
        tries, hits, features = (np.zeros((classes, classes), int) for _ in range(3))
        for row, source in enumerate(found.source):
            tries[source] += found.tried[row]
            hits[source] += found.changed[row] > 0
            features[source] += found.changed[row]
        series = {"tries": tries.tolist(), "hits": hits.tolist(), "features": features.tolist()}
        # Only the first of many points, so that the record of a whole test set is no longer.
        series |= {"rows": found.rows[:KEPT].tolist(), "changed": found.changed[:KEPT].tolist()}
        return Measured(metrics=metrics, outcomes={"reached": pack(reached)}, series=series)

    def quantity(self, metric: str) -> Quantity:
        return SUCCESS if metric == "success" else SIZE

    def work(self, price: Price, network: Network, n: int) -> float:
        # Attempts that succeed end there: by the records about a third of the budget is used.
        return price.step(network) * n * (len(facts_of(network.dataset).classes) - 1) * self.attack.passes / 3

    def within(self, budget: Budget) -> Self:
        return replace(self, attack=self.attack.within(budget), cap=at_most(self.cap, budget.cap))
