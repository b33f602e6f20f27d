"""Evaluation of a model under a suite of attacks: outcomes, intervals, cost, convergence, findings."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from ..attacks._model import beaten, check_eval, check_steps, frozen, logits_of, look, lost
from ..attacks.contract import checked
from ..attacks.losses import cross_entropy
from ..attacks.pgd import ascend
from ..attacks.square import DIMENSIONS
from ..attacks.suite import Apgd, Attack, Fab, Fgsm, Noise, Pgd, Square, check_description, run_attack
from ..errors import RobustlibError
from ..statistics import wilson
from ..threat import BALLS, Ball
from ..training.precision import allowed
from . import outcomes
from .counting import Passes, counted
from .kept import keep
from .masking import SHARE, Finding, diagnose
from .outcomes import chunk_generator, in_pieces, steering


@dataclass(frozen=True)
class Line:
    """One attack of a suite.

    Args:
        attack: its description.
        source: name of the transfer source that steered it; "" for the model itself.
        points: number of examples that were still correct and were attacked.
        standing: (N,) bool: correct after it and all before it.
        accuracy, low, high: share that remains correct, with its Wilson 95 % interval.
        cost: of this attack, verdicts included.
    """

    attack: Attack | None
    source: str
    points: int
    standing: Tensor
    accuracy: float
    low: float
    high: float
    cost: Passes

    @property
    def name(self) -> str:
        """``"clean"``, or the attack's type, with its source."""
        name = "clean" if self.attack is None else type(self.attack).__name__
        return f"{name} from {self.source}" if self.source else name


@dataclass(frozen=True)
class Convergence:
    """Accuracy on a probe against steps and restarts of PGD, a point being lost once any of them broke it.

    Args:
        steps, restarts: the budgets.
        accuracy: ``accuracy[i][j]`` after ``steps[i]`` steps and ``restarts[j]`` starts.
        points: size of the probe.
    """

    steps: tuple[int, ...]
    restarts: tuple[int, ...]
    accuracy: tuple[tuple[float, ...], ...]
    points: int

    @property
    def last_doubling(self) -> tuple[float, float]:
        """Fall of the accuracy in the last doubling of the steps, and of the restarts, as fractions."""
        table = self.accuracy
        if len(self.steps) < 2 or len(self.restarts) < 2:
            raise RobustlibError(f"steps={self.steps} and restarts={self.restarts}; a doubling needs two of each")
        return table[-2][-1] - table[-1][-1], table[-1][-2] - table[-1][-1]


@dataclass(frozen=True)
class Report:
    """Result of :func:`evaluate`. ``worst`` is (N,) bool: correct under everything."""

    lines: tuple[Line, ...]
    convergence: Convergence | None
    findings: tuple[Finding, ...]
    search: str

    @property
    def worst(self) -> Tensor:
        return self.lines[-1].standing

    @property
    def masked(self) -> bool:
        """True where a finding says that the gradients are to be mistrusted."""
        return any(finding.masking for finding in self.findings)


@checked
def standard(
    threat: Ball, *, steps: int = 100, queries: int = 5_000, targets: int = 9, classes: int | None = None
) -> tuple[Attack, ...]:
    """Noise, FGSM, PGD on two losses, then the four attacks of AutoAttack, FAB and Square where they apply.

    Both take an l_inf or an l_2 ball; FAB needs a domain to search.

    Args:
        threat: ball of the attacks.
        steps: of each run of APGD and FAB.
        queries: of Square.
        targets: classes that the targeted attacks try.
        classes: of the model, K, where they are few: at most K - 1 are tried, and below four APGD on the margin
            replaces the targeted DLR loss, as in :func:`robustlib.attacks.auto_attack`; None: more than ``targets``.
    """
    if classes is not None and classes < 2:
        raise RobustlibError(f"classes={classes}; give the model's number of classes, 2 or more")
    size, targeted = threat.eps / 8, Apgd(steps, target_classes=targets)
    if classes is not None:
        targets = min(targets, classes - 1)
        targeted = Apgd(steps, target_classes=targets) if classes >= 4 else Apgd(steps, loss="margin")
    named = threat.norm in BALLS
    return (
        Noise(),
        Fgsm(),
        Pgd(20, size),
        Pgd(20, size, loss="margin"),
        Apgd(steps),
        targeted,
        *((Fab(steps, targets),) if named and threat.domain is not None else ()),
        *((Square(queries),) if named else ()),
    )


@checked
def evaluate(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Ball,
    attacks: Iterable[Attack] | None = None,
    *,
    sources: Mapping[str, nn.Module] | None = None,
    search: str = "float32",
    name: str = "evaluation",
    converge: bool = True,
) -> Report:
    """Evaluate a model under a suite: the cheapest attack first, each later one on the points that remain correct.

    Args:
        model: eval mode, (N, ...) inputs to (N, K) logits; every verdict is its own, in its own precision.
        x: (N, ...) inputs in the threat's domain; visited in chunks, halved where memory runs out.
        y: (N,) int64 labels.
        threat: ball of the attacks.
        attacks: the suite, as descriptions; None: :func:`standard`, for as many classes as the model has; what does not
            apply to such inputs is left out, which is a finding.
        sources: networks in eval mode, by name, whose PGD examples are tried on the points that are left.
        search: precision of the steering gradients, "float32" or "bfloat16".
        name: names the random choices; the same name gives the same draws.
        converge: also measure accuracy against steps and restarts, on up to 100 points.

    At eps = 0 nothing is run, and every line is the clean one.

    Raises:
        RobustlibError: the call's arguments do not fit, or an attack left its threat model.
    """
    if len(x) == 0:
        raise RobustlibError("x holds no points; give at least one")
    allowed(search)
    chosen = _checked_suite(attacks)
    _check_sources(sources)
    with counted(model) as cost:
        logits = torch.cat([look(model, None, a, b, rows=None) for a, b in _split(x, y)])
    standing = logits.argmax(1) == y
    doubtful = torch.zeros_like(standing)
    if chosen is None:
        usual = standard(threat, classes=logits.shape[1])
        chosen = [attack for attack in usual if x.dim() in DIMENSIONS or not isinstance(attack, Square)]
    suite = sorted(chosen, key=lambda attack: attack.passes)
    copy = steering(model, search, x[: outcomes.CHUNK], passes=sum(attack.passes for attack in suite) * len(x))
    lines = [_line(None, "", len(x), standing, cost)]
    runs: list[tuple[Attack, str, nn.Module | None]] = [(attack, "", copy) for attack in suite]
    runs += [(Pgd(20, threat.eps / 8), source, other) for source, other in (sources or {}).items()]
    # Queries and transfer come last: the points that they break are those that gradients could not.
    runs.sort(key=lambda run: bool(run[1]) or isinstance(run[0], Square))
    for index, (attack, source, guide) in enumerate(runs):
        before, cost = standing, Passes()
        if threat.eps > 0:
            standing, near, cost = _after(model, x, y, threat, attack, guide, standing, f"{name}/{index}")
            doubtful |= near
        lines.append(_line(attack, source, int(before.sum()), standing, cost))
    generator = chunk_generator(name, -1, x.device)
    findings = diagnose(model, x, y, threat, generator=generator) + _late(lines) + _doubted(doubtful & standing)
    findings += _missing(suite, x, threat) if attacks is None and threat.eps > 0 else []
    curve = convergence(model, x, y, threat, generator=generator) if converge and threat.eps > 0 else None
    return Report(tuple(lines), curve, tuple(findings), search)


def _checked_suite(attacks: object) -> list[Attack] | None:
    if attacks is None:
        return None
    if isinstance(attacks, str) or not isinstance(attacks, Iterable):
        check_description(attacks, Attack)
        raise RobustlibError(f"attacks={attacks!r} is one attack; give a sequence of them, [{attacks!r}]")
    suite = list(attacks)
    for attack in suite:
        check_description(attack, Attack)
    return suite


def _check_sources(sources: object) -> None:
    if sources is None:
        return
    if not isinstance(sources, Mapping):
        raise RobustlibError(f"sources is a {type(sources).__name__}; give networks by name, {{'other': network}}")
    for source, other in sources.items():
        if not isinstance(other, nn.Module):
            raise RobustlibError(f"sources[{source!r}] is a {type(other).__name__}; give a network in eval mode")
        check_eval(other, name=f"sources[{source!r}]")


def _split(x: Tensor, y: Tensor) -> list[tuple[Tensor, Tensor]]:
    return list(zip(x.split(outcomes.CHUNK), y.split(outcomes.CHUNK), strict=True))


def _line(attack: Attack | None, source: str, points: int, standing: Tensor, cost: Passes) -> Line:
    low, high = wilson(int(standing.sum()), len(standing))
    return Line(attack, source, points, standing, float(standing.double().mean()), low, high, cost)


def _after(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Ball,
    attack: Attack,
    guide: nn.Module | None,
    standing: Tensor,
    name: str,
) -> tuple[Tensor, Tensor, Passes]:
    """(N,) bool: what remains correct; (N,) bool: where, of that, another class leads within rounding; the cost."""
    left, near, cost = standing.clone(), torch.zeros_like(standing), Passes()

    def attacked(index: int, rows: Tensor) -> np.ndarray:
        generator = chunk_generator(name, index, x.device)

        def one(xs: Tensor, ys: Tensor) -> Tensor:
            # All of these points are correct, so that none could be put right; classifying them again costs a pass.
            return run_attack(attack, model, xs, ys, threat, generator=generator, surrogate=guide, last_iterate=True)

        with counted(model, guide) as part:
            points = in_pieces(one, x[rows], y[rows])
            if outside := int((~threat.contains(points, x[rows])).sum()):
                raise RobustlibError(f"{attack} left {threat} on {outside} points; nothing of it counts")
            with frozen(model), torch.no_grad():
                logits = logits_of(model, points, y[rows])
            # 0 broken, 1 correct, 2 of another class by less than rounding.
            stays = (1 + (logits.argmax(1) != y[rows]).long()) * ~beaten(logits, y[rows])
        return np.array([*stays.tolist(), part.forwards, part.backwards, part.seconds])

    for index, rows in enumerate(torch.arange(len(x), device=x.device).split(outcomes.CHUNK)):
        rows = rows[standing[rows]]
        if len(rows):
            *stays, forwards, backwards, seconds = keep(
                partial(attacked, index, rows), name, attack, index, rows.cpu().numpy()
            ).tolist()
            found = torch.tensor(stays, device=x.device)
            left[rows], near[rows] = found.bool(), found == 2
            cost.add(int(forwards), int(backwards), seconds)
    return left, near, cost


def _late(lines: Sequence[Line]) -> list[Finding]:
    """Attacks without the model's gradients that broke points which gradients had not."""
    found = []
    for before, line in itertools.pairwise(lines):
        broken = int(before.standing.sum()) - int(line.standing.sum())
        blind = "Square" if isinstance(line.attack, Square) else f"transfer from {line.source}" if line.source else ""
        if blind and broken:
            text = f"broke {broken} of the {line.points} points that gradient attacks had left standing"
            found.append(Finding(f"{blind} beats gradients", text, broken > SHARE * line.points))
    return found


def _missing(suite: Sequence[Attack], x: Tensor, threat: Ball) -> list[Finding]:
    """Attacks of :func:`standard` that do not apply."""
    reasons = {
        Fab: "takes an l_inf or an l_2 ball with a domain",
        Square: "takes (N, C, H, W) or (N, F) and such a ball",
    }
    texts = [f"{kind.__name__}, which {why}" for kind, why in reasons.items() if kind not in map(type, suite)]
    return [Finding("attacks left out", f"{'; '.join(texts)}: x is {tuple(x.shape)}, in {threat}")] if texts else []


def _doubted(points: Tensor) -> list[Finding]:
    """Points that another class leads at, by so little that the verdict is rounding's."""
    if not (count := int(points.sum())):
        return []
    text = (
        f"of {len(points)} points {count} count as correct at which another class leads by less than rounding can "
        "reverse; where they are many, the logits share a large number or lie far apart: subtract it, or use float64"
    )
    return [Finding("leads within rounding", text)]


@checked
def convergence(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Ball,
    *,
    generator: torch.Generator,
    steps: tuple[int, ...] = (10, 20, 40, 80),
    restarts: tuple[int, ...] = (1, 2, 4),
    points: int = 100,
) -> Convergence:
    """PGD with steps of eps / 8 on up to ``points`` examples, judged after each of ``steps`` in every start.

    Args:
        model, x, y, threat: as in :func:`evaluate`, x not empty.
        generator: draws the starts.
        steps, restarts: the budgets, rising whole numbers, each at least one.
        points: examples at most, spread over x.

    Raises:
        RobustlibError: the call's arguments do not fit.
    """
    for name, counts in (("steps", steps), ("restarts", restarts)):
        whole = isinstance(counts, tuple) and all(isinstance(count, int) and count > 0 for count in counts)
        if not whole or not counts or list(counts) != sorted(set(counts)):
            raise RobustlibError(f"{name}={counts!r}; give rising whole numbers, 1 or more each, such as (1, 2, 4)")
    check_steps(points=points)
    if len(x) == 0:
        raise RobustlibError("x holds no points; give at least one")
    x, y = (values[:: max(1, len(x) // points)][:points] for values in (x, y))
    never = steps[-1] + 1
    first = torch.full((restarts[-1], len(x)), never, device=x.device)
    with frozen(model):
        wrong = lost(model, x, y)
        for start in range(restarts[-1]):
            x_adv = threat.random_start(x, generator=generator)
            rows, done = (~wrong).nonzero().flatten(), 0
            for budget in steps:
                x_adv[rows] = ascend(
                    model,
                    x[rows],
                    y[rows],
                    threat,
                    start=x_adv[rows],
                    steps=budget - done,
                    step_size=threat.eps / 8,
                    loss=cross_entropy,
                )
                done, broken = budget, lost(model, x_adv[rows], y[rows])
                first[start, rows[broken]] = budget
                rows = rows[~broken]
    first[:, wrong] = 0
    table = tuple(tuple(float((first[:j].amin(0) > i).double().mean()) for j in restarts) for i in steps)
    return Convergence(steps, restarts, table, len(x))
