"""The momentum iterative fast gradient sign method, MI-FGSM (Dong et al., CVPR 2018)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..batches import at_least_float32, unit
from ..registry import spec
from ..threat import Ball, parse_number
from ._model import check_steps, frozen, input_gradient, look, unless_wrong, usable
from .contract import under_contract
from .description import Attack
from .losses import cross_entropy


@under_contract
def mi_fgsm(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Ball,
    *,
    steps: int,
    step_size: float | None = None,
    decay: float = 1.0,
    surrogate: nn.Module | None = None,
    last_iterate: bool = False,
) -> Tensor:
    """g_{t+1} = mu g_t + grad J / ||grad J||_1, x_{t+1} = Proj(x_t + alpha sign(g_{t+1})), from x itself.

    Args:
        model: eval mode, (N, ...) inputs to (N, K) logits.
        x: (N, ...) inputs in the threat's domain.
        y: (N,) int64 labels.
        threat: l_inf ball (sign steps), or l_2 ball (steps along g / ||g||_2).
        steps: T, >= 1.
        step_size: alpha, in the domain's units; None: eps / T, as in the paper.
        decay: mu, >= 0; 0 is the iterative FGSM, the paper's choice is 1.
        surrogate: network whose gradients are followed; None: the model's own.
        last_iterate: count the last iterate as it is, as the papers' code does, even where it puts right an input that
            was misclassified; False: such an input is returned as it is.

    Returns:
        (N, ...) last iterates, inside the ball and the domain.

    Raises:
        RobustlibError: the call's arguments do not fit.

    Source: Dong et al. 2018, equations 6 and 7, algorithm 1; section 3.3 for l_2.
    """
    check_steps(steps=steps)
    alpha = threat.eps / steps if step_size is None else parse_number(step_size, name="step_size", above=0)
    mu = parse_number(decay, name="decay", least=0)
    if threat.eps == 0 or len(x) == 0:
        return x.clone()
    guide = model if surrogate is None else surrogate
    clean = look(model, surrogate, x, y, rows=1 if last_iterate else None)
    x_adv, velocity = x, torch.zeros_like(at_least_float32(x))
    with frozen(guide):
        for _ in range(steps):
            gradient, _ = input_gradient(guide, x_adv, y, cross_entropy)
            velocity = mu * velocity + unit(at_least_float32(usable(gradient)), order=1)
            x_adv = threat.project(x_adv + alpha * threat.steepest(velocity).to(x.dtype), x)
    return x_adv if last_iterate else unless_wrong(x_adv, x, y, clean)


@spec
@dataclass(frozen=True)
class MiFgsm(Attack):
    """Momentum iterative FGSM; see :func:`robustlib.attacks.mi_fgsm`."""

    steps: int
    step_size: float | None = None
    decay: float = 1.0
    protocol: int = 1

    function = staticmethod(mi_fgsm)

    @property
    def passes(self) -> float:
        return 2.0 * self.steps
