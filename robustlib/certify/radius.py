"""Largest certified radius of each point, and detection of possibly perturbed inputs at test time."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..errors import RobustlibError
from ..threat import Ball, Domain, ball, parse_number
from .certificate import begin, certify, examples_at_a_time, margins_in, slack_of
from .operations import Graph
from .region import Region
from .trace import exact, predictions

SHORTEST = 1e-3
"""Share of a Newton step below which the search ends."""


RESOLUTION = 1e-3
"""Relative distance to a radius that is not certified, below which none is sought between."""


def _phi(graph: Graph, x: Tensor, y: Tensor, threat: Ball, eps: Tensor, slopes: str) -> tuple[Tensor, Tensor, Tensor]:
    """(N,) phi(eps) = max over k != y of -(margin k), its derivative, and whether eps is certified."""
    with torch.enable_grad():
        eps = eps.detach().requires_grad_(True)
        region = Region.around(x, threat, eps)
        found, size, _ = margins_in(graph, y, region, method="dual", slopes=slopes, sized=True)
        others = torch.ones_like(found, dtype=torch.bool).scatter(1, y[:, None], False)
        phi = (-found).masked_fill(~others, -torch.inf).amax(1)
        (slope,) = torch.autograd.grad(phi.sum(), eps)
    sure = (found > slack_of(found, size)) | ~others
    return phi.detach(), slope, sure.all(1)


def largest_certified_radius(
    model: nn.Module,
    x: Tensor,
    y: Tensor | None = None,
    *,
    norm: str = "linf",
    domain: Domain | None = None,
    start: float = 0.1,
    steps: int = 20,
    tolerance: float = 1e-5,
    slopes: str = "fixed",
    chunk: int | None = None,
) -> Tensor:
    """The largest radius found at which each example is certified, by damped Newton steps on phi(eps) = 0.

    phi is the largest negative margin; a step is halved while \\|phi\\| does not fall. The bound has no closed form in
    eps and need not be monotone, so that a larger radius may exist; the one returned was certified itself.

    Args:
        model: as for :func:`certify`.
        x: (N, ...) inputs in the domain.
        y: (N,) int64 labels; None: the classes that the model predicts at x, as in the paper's figure.
        norm: "linf" or "l2".
        domain: (low, high) that inputs live in, or None: unclipped.
        start: first radius, > 0, in the domain's units.
        steps: evaluations of phi for each example, >= 1; then ten of bisection below the root.
        tolerance: \\|phi\\| at which the search ends, as a share of \\|phi\\| at x, > 0.
        slopes: as for :func:`certify`.
        chunk: examples at a time.

    Returns:
        (N,) radii; 0 where x itself is not certified, the domain's width (for l_2 its diagonal) where all of it is.

    Raises:
        RobustlibError: as :func:`certify`; start or tolerance not positive, steps below 1.

    Source: locuslab/convex_adversarial, examples/mnist_epsilon.py (the search behind Wong & Kolter's figure).
    """
    start, tolerance = (parse_number(start, name="start", above=0), parse_number(tolerance, name="tolerance", above=0))
    if steps < 1:
        raise RobustlibError(f"steps={steps}; give 1 or more")
    threat = ball(norm, 0.0, domain)
    graph, x = begin(model, x, y, ball(norm, start, domain))
    radii = []
    for part in torch.arange(len(x), device=x.device).split(examples_at_a_time(graph, x, chunk)):
        labels = predictions(model, x[part], len(part)) if y is None else y[part]
        with exact(x):
            radii.append(_search(graph, x[part], labels, threat, start, steps, tolerance, slopes))
    return torch.cat(radii) if radii else x.new_zeros(0)


def _search(
    graph: Graph, x: Tensor, y: Tensor, threat: Ball, start: float, steps: int, tolerance: float, slopes: str
) -> Tensor:
    widest = math.inf
    if threat.domain is not None:
        # From here on the ball holds the whole domain.
        widest = (threat.domain[1] - threat.domain[0]) * (1.0 if threat.norm == "linf" else math.sqrt(x[0].numel()))
    eps, step = torch.zeros(len(x), dtype=x.dtype, device=x.device), torch.full((len(x),), start).to(x)
    level, _, known = _phi(graph, x, y, threat, eps, slopes)
    enough = tolerance * level.abs()
    # The first radius is taken as it is; later ones must bring phi nearer to 0.
    level, best, failed = torch.full_like(level, torch.inf), eps.clone(), torch.full_like(eps, torch.inf)
    share, going = torch.ones_like(eps), known.clone()
    for _ in range(steps):
        rows = going.nonzero().flatten()
        if not len(rows):
            break
        trial = (eps + share * step)[rows].clamp(0, widest)
        phi, slope, sure = _phi(graph, x[rows], y[rows], threat, trial, slopes)
        best[rows] = torch.where(sure, torch.maximum(best[rows], trial), best[rows])
        failed[rows] = torch.where(sure, failed[rows], torch.minimum(failed[rows], trial))
        nearer = phi.abs() <= level[rows].abs()
        better, worse = rows[nearer], rows[~nearer]
        eps[better], level[better], share[better] = trial[nearer], phi[nearer], 1.0
        # Where the bound is flat the quotient is of no use; no step is longer than four radii.
        rising = slope[nearer] > 0
        newton = torch.where(rising, -phi[nearer] / slope[nearer], -torch.inf * phi[nearer].sign())
        step[better] = torch.minimum(newton, 4 * eps[better] + start)
        share[worse] /= 2
        whole = (eps >= widest) & (level < 0)
        going &= (level.abs() > enough) & (share > SHORTEST) & ~whole
    for halving in range(10):
        rows = (known & (failed < torch.inf) & (failed > best * (1 + RESOLUTION))).nonzero().flatten()
        if not len(rows):
            break
        # The root itself lies in the slack: most often the first radius below it ends the search.
        trial = failed[rows] * (1 - RESOLUTION / 2) if halving == 0 else (best[rows] + failed[rows]) / 2
        trial = torch.maximum(trial, best[rows])
        sure = _phi(graph, x[rows], y[rows], threat, trial, slopes)[2]
        best[rows], failed[rows] = (torch.where(sure, trial, best[rows]), torch.where(sure, failed[rows], trial))
    return best


def detect(model: nn.Module, x: Tensor, threat: Ball, *, slopes: str = "fixed") -> Tensor:
    """Flag inputs that may have been moved: those not certified for the class that the model gives them.

    Every x' in the ball of a point x to which the model gives another class is flagged, certified or not as x may be:
    x lies in the ball of x' and has another class, so that nothing certifies x'. Not flagged are inputs beyond the
    ball, and those that leave the class as it is; some clean inputs are flagged.

    Args:
        model, slopes: as for :func:`certify`.
        x: (N, ...) inputs, moved or not, in the threat's domain.
        threat: ball of the radius that an adversary is granted.

    Returns:
        (N,) bool, True where flagged.

    Source: Wong & Kolter 2018, Corollary 2.
    """
    return ~certify(model, x, None, threat, slopes=slopes).certified
