"""The momentum iterative fast gradient sign method, MI-FGSM (Dong et al., CVPR 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..threat import Ball, parse_number
from ._model import check_call, check_eval, check_steps, frozen, input_gradient, logits_of, per_example
from .losses import cross_entropy


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

    Returns:
        (N, ...) last iterates, inside the ball and the domain.

    Raises:
        RobustlibError: the call's arguments do not fit.

    Source: Dong et al. 2018, equations 6 and 7, algorithm 1; section 3.3 for l_2.
    """
    check_call(model, x, y, threat)
    check_steps(steps=steps)
    alpha = threat.eps / steps if step_size is None else parse_number(step_size, name="step_size", above=0)
    mu = parse_number(decay, name="decay", least=0)
    if threat.eps == 0 or len(x) == 0:
        return x.clone()
    guide = model if surrogate is None else check_eval(surrogate, name="surrogate")
    x_adv, velocity = x, torch.zeros_like(x)
    with frozen(guide):
        with torch.no_grad():
            logits_of(guide, x[:1], y)
        for _ in range(steps):
            gradient, _ = input_gradient(guide, x_adv, y, cross_entropy)
            length = gradient.flatten(1).abs().sum(1).clamp_min(1e-30)
            velocity = mu * velocity + gradient / per_example(length, x)
            x_adv = threat.project(x_adv + alpha * threat.steepest(velocity), x)
    return x_adv
