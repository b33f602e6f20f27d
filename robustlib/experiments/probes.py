"""What is asked of a network beyond its accuracy: targeted attempts, slopes, outputs, its recipe, certificates."""

from __future__ import annotations

from dataclasses import dataclass

from ..attacks.suite import Jsma, Pgd
from ..threat import Ball


@dataclass(frozen=True)
class Targeted:
    """Attempts on each point towards each other class: share that succeed, features that they change.

    Args:
        attack: what is run.
        correct_only: points that the network gets wrong are replaced by others of their class, see
            :func:`robustlib.evaluate.correct_rows`; False: the subset as it is, led away from the classes it is given.
        cap: number of features at which a point that needs more, or is never broken, counts in ``rho``.
        domain: of the inputs.
    """

    attack: Jsma
    correct_only: bool = True
    cap: int = 112
    domain: tuple[float, float] = (0.0, 1.0)
    protocol: int = 1


@dataclass(frozen=True)
class Amplitudes:
    """Mean absolute derivative of the softmax outputs to the input, of each point, counted in ranges.

    Args:
        edges: log10 of the ranges' inner borders; the first range begins at 0, the last ends at 1.
    """

    edges: tuple[int, ...] = (-40, -35, -30, -25, -20, -15, -10, -5, -3)
    protocol: int = 1


@dataclass(frozen=True)
class Outputs:
    """Confidence at T = 1, the largest output at another temperature, the logits' size, and decisions at both.

    Args:
        temperature: the other T, that of training.
    """

    temperature: float = 1.0
    protocol: int = 1


@dataclass(frozen=True)
class Recipe:
    """Widths of the layers and settings of the training, read off the network and its specification."""

    protocol: int = 1


@dataclass(frozen=True)
class Certificate:
    """Share of points with a certificate, and its complement, the bound on the robust error; states of the units.

    Args:
        threat: ball certified; domain None is Wong & Kolter 2018's.
        method, slopes: as in :func:`robustlib.certify.certify`.
    """

    threat: Ball
    method: str = "dual"
    slopes: str = "fixed"
    protocol: int = 1


@dataclass(frozen=True)
class CertifiedRadii:
    """Largest certified radius of each point, for the class that the network gives it.

    Args:
        norm, domain, start: as in :func:`robustlib.certify.largest_certified_radius`.
    """

    norm: str = "linf"
    domain: tuple[float, float] | None = None
    start: float = 0.1
    protocol: int = 1


@dataclass(frozen=True)
class Relaxed:
    """Margins against the class nearest to winning: the dual bound, the linear program's optimum, and under PGD.

    Args:
        threat: l_inf ball.
        steps, step_size: of the PGD that bounds the true optimum from above.
    """

    threat: Ball
    steps: int = 100
    step_size: float = 0.01
    protocol: int = 1


@dataclass(frozen=True)
class OutputSet:
    """What a network with two outputs makes of balls around one point: the area of outer polygons over
    that of the samples' convex hull.

    Args:
        radii: of l_inf balls that no domain cuts.
        samples: evenly distributed in each ball.
        kept: as many of them stay in the record, to be drawn.
    """

    radii: tuple[float, ...]
    samples: int = 6_000
    kept: int = 300
    protocol: int = 1


@dataclass(frozen=True)
class FirstLayer:
    """Weights of one layer, by default the first that has any: how many are near zero, the filters if they are few.

    Args:
        near: share of the largest weight's size below which one counts as near zero.
        layer: which of the layers with weights, from 0; -1 is the last.
    """

    near: float = 0.01
    protocol: int = 1
    layer: int = 0


@dataclass(frozen=True)
class Pictures:
    """The first points themselves before and after an attack, as bytes, and the classes that the network tells.

    Args:
        attack, threat: what is done to them.
        kept: at most how many images.
        broken: only of points that the network gets right before the attack and not after.
    """

    attack: Pgd
    threat: Ball
    kept: int = 5
    broken: bool = True
    protocol: int = 1


@dataclass(frozen=True)
class InnerLoop:
    """KL(p(x) || p(x')) along TRADES' inner loop, begun at x and beside it.

    Args:
        threat, steps, step_size: of the loop.
    """

    threat: Ball
    steps: int
    step_size: float
    protocol: int = 1


@dataclass(frozen=True)
class DecisionMap:
    """Scores z_1 - z_0 on a grid of the unit square, and R_nat, R_bdy, R_rob, each box searched on a grid of its own.

    Args:
        threat: l_inf ball, the box around each point.
        side: grid points along each side of the square.
        inside: the same for a box.
    """

    threat: Ball
    side: int = 49
    inside: int = 25
    protocol: int = 1


@dataclass(frozen=True)
class Lending:
    """Money and approvals of a lender who approves where the network's p(repays) makes the expected gain positive.

    Args:
        threat: what applicants may edit; all of them edit towards approval.
        steps, step_size: of that ascent.
        gain, loss: of a loan that is repaid, and of one that is not, in units of its interest.
    """

    threat: Ball
    steps: int
    step_size: float
    gain: float = 1.0
    loss: float = 3.0
    protocol: int = 1


@dataclass(frozen=True)
class CascadeBound:
    """What a cascade's certificates are worth under the authors' rule and stricter ones; the subject is its last stage.

    Args:
        threat: ball certified, by every stage.
        searched: points, of those that the authors' rule counts, in whose balls another answer is looked for.
        steps: of each search, see :func:`robustlib.certify.undermine`.
    """

    threat: Ball
    searched: int = 0
    steps: int = 20
    protocol: int = 1


@dataclass(frozen=True)
class Estimated:
    """How random projections scatter around the bound that they estimate: repeated, on the same points.

    Args:
        threat: ball.
        projections, estimator: as in :func:`robustlib.certify.estimate`.
        repeats: times that fresh columns are drawn.
    """

    threat: Ball
    projections: int = 50
    estimator: str = "median"
    repeats: int = 10
    protocol: int = 1


@dataclass(frozen=True)
class Cost:
    """Time of one update on the robust loss, on uniform random inputs and labels (Wong et al. 2018, figure 1).

    Args:
        threat: ball of the loss.
        projections: random columns; 0 for exact bounds.
        batch: inputs.
        repeats: updates, of which the first is not counted.
    """

    threat: Ball
    projections: int = 0
    batch: int = 10
    repeats: int = 10
    protocol: int = 1


@dataclass(frozen=True)
class Groups:
    """Right and certified shares of each class, and of each person where the dataset knows who is meant."""

    threat: Ball
    protocol: int = 1
