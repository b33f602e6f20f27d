"""DeepFool (Moosavi-Dezfooli, Fawzi and Frossard, CVPR 2016): steps to the nearest face of a linearised region."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..batches import at_least_float32, per_example
from ..errors import RobustlibError
from ..registry import spec
from ..threat import Ball, Domain, ball
from ._model import asked, beaten, check_finite, check_gradient, check_lead, check_steps, frozen, look, slope_of, usable
from .contract import under_contract
from .description import MinimumNorm, raised


@under_contract
def deepfool(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    norm: str = "l2",
    domain: Domain | None = (0.0, 1.0),
    steps: int = 50,
    overshoot: float = 0.02,
    candidates: int = 10,
    lead: float | None = None,
) -> Tensor:
    """Misclassified points near x, by Algorithm 2: x_{i+1} = x_i + r_i towards the nearest linearised class.

    With w'_k = grad f_k - grad f_y and f'_k = f_k - f_y at x_i, the nearest class is
    l = argmin_k |f'_k| / ||w'_k||_q and r_i = |f'_l| / ||w'_l||_q^q |w'_l|^(q-1) sign(w'_l), where q = 2 for l_2
    (eqs. 8 and 9) and q = 1 for l_inf (eqs. 10 and 11). As in the authors' code, decisions and gradients are
    taken at x_0 + (1 + eta) sum_i r_i. Ours are the cut to the domain, after which sum_i r_i is counted from
    where the point is, and that the class aimed at must lead by more than rounding, so that the point is still
    broken in another batch size.

    Args:
        model: eval mode, (N, ...) inputs to (N, K) logits f.
        x: (N, ...) inputs in the domain.
        y: (N,) int64 labels.
        norm: "l2" or "linf".
        domain: (lo, hi) of every coordinate, or None.
        steps: linearisations per example, >= 1; each costs one forward pass and a backward pass per rival.
        overshoot: eta >= 0; 0.02 in the paper.
        lead: logits by which another class must lead at a point that is returned; None: more than rounding, whatever
            the logits' units.
        candidates: classes considered, >= 2: those of largest logits at x, the label's own among them.

    Returns:
        (N, ...) points. One misclassified to begin with is returned as it is; so is one that no step broke.

    Raises:
        RobustlibError: the call's arguments do not fit.
    """
    around = ball(norm, 0.0, domain)
    check_steps(steps=steps, candidates=candidates)
    check_lead(lead)
    if overshoot < 0:
        raise RobustlibError(f"overshoot={overshoot} is negative; give 0 or more, 0.02 in the paper")
    if candidates < 2:
        raise RobustlibError(f"candidates={candidates}; give 2 or more, the label's own class is one of them")
    result = x.clone()
    if len(x) == 0:
        return result
    logits = look(model, None, x, y, rows=None)
    standing = (logits.argmax(1) == y).nonzero().flatten()
    with frozen(model):
        ranked = logits[standing].scatter(1, y[standing, None], torch.inf)
        rivals = ranked.topk(min(candidates, logits.shape[1]), dim=1).indices[:, 1:]
        total = torch.zeros_like(at_least_float32(x[standing]))
        for step in range(steps + 1):
            if len(standing) == 0:
                break
            point = around.clip((x[standing] + (1 + overshoot) * total).to(x.dtype)).requires_grad_(True)
            with torch.set_grad_enabled(step < steps):
                logits = check_finite(model(point))
            broken = beaten(logits.detach(), y[standing], lead)
            result[standing[broken]] = point.detach()[broken]
            if step == steps:
                break
            # From the clipped point: the parts that the domain cut off would else add up and steer later steps.
            moved = at_least_float32(point.detach() - x[standing]) / (1 + overshoot)
            total = moved + _nearest(check_gradient(logits), point, y[standing], rivals, around, lead)
            standing, rivals, total = standing[~broken], rivals[~broken], total[~broken]
    return result


def _nearest(logits: Tensor, point: Tensor, y: Tensor, rivals: Tensor, around: Ball, lead: float | None) -> Tensor:
    """r_i: the shortest step to the linearised boundary with one of the (N, k) rivals."""
    step = torch.zeros_like(at_least_float32(point))
    best = torch.full_like(y, torch.inf, dtype=step.dtype)
    gaps = logits.gather(1, rivals) - logits.gather(1, y[:, None])
    # Twice the lead that is required: rounding must not leave a point just short of it.
    wanted = 2 * asked(logits.detach(), lead)
    for column in range(rivals.shape[1]):
        slope = slope_of(gaps[:, column].sum(), point, retain_graph=column + 1 < rivals.shape[1])
        slope = at_least_float32(usable(slope))
        dual = around.length(slope) if around.norm == "l2" else slope.flatten(1).abs().sum(1)
        length = (wanted - gaps[:, column].detach()).clamp_min(0) / dual
        # Where the slope is 0, no step leads there.
        nearer = (length < best) & (dual > 0)
        best = torch.where(nearer, length, best).to(step.dtype)
        step = torch.where(per_example(nearer, step), per_example(length, step) * around.steepest(slope), step)
    return step


@spec
@dataclass(frozen=True)
class DeepFool(MinimumNorm):
    """Steps to the nearest linearised boundary; see :func:`robustlib.attacks.deepfool`."""

    steps: int = 50
    overshoot: float = 0.02
    protocol: int = raised()

    function = staticmethod(deepfool)

    @property
    def passes(self) -> float:
        return 11.0 * self.steps
