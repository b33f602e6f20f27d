"""Cascades of certified networks (Wong et al. 2018, section 3.3): their answers, and certificates for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import RobustlibError
from ..threat import Ball, check_labels
from .certificate import certify, margins
from .trace import check_model, predictions

EDGE = 1e-3
"""Logits beyond zero at which a search takes a stage's margin for settled."""


@dataclass(frozen=True)
class Answer:
    """Answer of a cascade at each point: (N,) the class it gives and the position of the stage that gave it."""

    labels: Tensor
    stage: Tensor


@dataclass(frozen=True)
class Judgement:
    """Correctness of a cascade against the label y, certified under three rules; (N,) bool where not stated otherwise.

    Attributes:
        labels, stage: (N,) as in :class:`Answer`.
        classes: (stages, N) the class that each stage alone predicts at x.
        right: the cascade gives y at x.
        released: certified for y by the stage that answers at x, as the authors' code counts. It speaks of that stage.
        guarded: released, and no earlier stage predicts another class at x. A stage that is wrong and not certified at
            x can certify its wrong class at another point of the ball, and answer there.
        strict: the cascade gives y at every point of the ball. A stage that is certified at x keeps its class in
            the ball, but not its certificate, so that any later stage may answer there: this requires that each but
            the last predicts y at x (its certified class anywhere in the ball is then y, for x lies in that point's
            ball), and that the last is certified for y.
    """

    labels: Tensor
    stage: Tensor
    classes: Tensor
    right: Tensor
    released: Tensor
    guarded: Tensor
    strict: Tensor


@dataclass(frozen=True)
class Cascade:
    """Networks evaluated in turn: the first that certifies its own prediction answers, or else the last.

    Args:
        stages: in order, each (N, ...) inputs to (N, K) logits; at least one.
        threat: ball that they certify.
    """

    stages: tuple[nn.Module, ...]
    threat: Ball

    def __post_init__(self) -> None:
        if not self.stages:
            raise RobustlibError("stages=() of a Cascade; give one network or more")

    def _asked(self, x: Tensor, chunk: int | None) -> tuple[Tensor, Tensor]:
        """(stages, N) classes, and whether each is certified; evaluated only where no earlier stage answers."""
        for stage in self.stages:
            check_model(stage, x)
        classes, certified = [], []
        waiting = torch.ones(len(x), dtype=torch.bool, device=x.device)
        for stage in self.stages:
            classes.append(predictions(stage, x, chunk or 1_000))
            certified.append(torch.zeros_like(waiting))
            if waiting.any():
                found = certify(stage, x[waiting], classes[-1][waiting], self.threat, chunk=chunk)
                certified[-1][waiting] = found.certified
            waiting = waiting & ~certified[-1]
        return torch.stack(classes), torch.stack(certified)

    def _first(self, certified: Tensor) -> Tensor:
        last = certified.new_zeros(len(self.stages), dtype=torch.bool)
        last[-1] = True
        return (certified | last[:, None]).to(torch.uint8).argmax(0)

    def answer(self, x: Tensor, *, chunk: int | None = None) -> Answer:
        """The cascade's classes at x (N, ...), ``chunk`` points at a time in each stage.

        Raises:
            RobustlibError: as :func:`robustlib.certify.certify`.
        """
        classes, certified = self._asked(x, chunk)
        stage = self._first(certified)
        return Answer(classes.gather(0, stage[None])[0], stage)

    def judge(self, x: Tensor, y: Tensor, *, chunk: int | None = None) -> Judgement:
        """Judge the cascade at x (N, ...) against y (N,) int64, under three rules of certification.

        Raises:
            RobustlibError: as :func:`robustlib.certify.certify`, or labels that do not fit.
        """
        check_labels(x, y)
        classes, certified = self._asked(x, chunk)
        stage = self._first(certified)
        labels = classes.gather(0, stage[None])[0]
        right = labels == y
        released = right & certified.gather(0, stage[None])[0]
        places = torch.arange(len(self.stages), device=x.device)[:, None]
        wrong = classes != y
        guarded = released & ~(wrong & (places < stage)).any(0)
        # The last stage was certified only where no other answered; here its certificate must hold everywhere.
        strict = ~wrong.any(0) & released
        asked = strict & (stage < len(self.stages) - 1)
        if asked.any():
            found = certify(self.stages[-1], x[asked], y[asked], self.threat, chunk=chunk)
            strict[asked] = found.certified
        return Judgement(labels, stage, classes, right, released, guarded, strict)


def uncertified(stage: nn.Module, x: Tensor, threat: Ball, *, chunk: int | None = None) -> Tensor:
    """(N,) bool: points that a stage leaves to the next one, its own prediction not being certified there."""
    return ~certify(stage, x, None, threat, chunk=chunk).certified


def _routes(cascade: Cascade, x: Tensor, y: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Each stage with the points at which it is wrong already: where it may answer, the cascade is wrong."""
    for place, stage in enumerate(cascade.stages):
        rows = (predictions(stage, x, 1_000) != y).nonzero().flatten()
        if len(rows):
            yield place, rows


def undermine(
    cascade: Cascade, x: Tensor, y: Tensor, *, steps: int = 20, step_size: float | None = None
) -> tuple[Tensor, Tensor]:
    """Look in each ball for a point at which the cascade gives another class than y.

    For every stage that is wrong at x, steps lower the certified margins of the stages before it until they are
    silent, and raise its own (the last one answers without); the cascade is evaluated at each point on the way.

    Args:
        cascade: of networks whose certificates differentiate.
        x: (N, ...) in the threat's domain.
        y: (N,) int64 labels.
        steps: steps from x, >= 1.
        step_size: length of each; None: eps / 5.

    Returns:
        (N, ...) the points found, x where there is none; and (N,) bool, whether there is one.
    """
    check_labels(x, y)
    threat = cascade.threat
    step_size = threat.eps / 5 if step_size is None else step_size
    moved, broken = x.clone(), cascade.answer(x).labels != y
    for place, rows in _routes(cascade, x, y):
        rows = rows[~broken[rows]]
        point = x[rows].clone()
        for _ in range(steps):
            if not len(rows):
                break
            slope = torch.autograd.grad(_reluctance(cascade, point.requires_grad_(True), place).sum(), point)[0]
            point = threat.project(point.detach() - step_size * threat.steepest(slope), x[rows])
            fallen = cascade.answer(point).labels != y[rows]
            moved[rows[fallen]], broken[rows[fallen]] = point[fallen], True
            rows, point = rows[~fallen], point[~fallen]
    return moved, broken


def _reluctance(cascade: Cascade, x: Tensor, place: int) -> Tensor:
    """(N,) objective that falls until the stage at ``place`` answers: margins of those before it, minus its own."""
    total = x.new_zeros(len(x))
    for position, stage in enumerate(cascade.stages[: place + 1]):
        if position == place == len(cascade.stages) - 1:
            break
        labels = predictions(stage, x.detach(), 1_000)
        found = margins(stage, x, labels, cascade.threat)
        least = found.scatter(1, labels[:, None], torch.inf).amin(1)
        total = total + (least if position < place else -least).clamp_min(-EDGE)
    return total
