"""The fast gradient sign method (Goodfellow et al. 2015) and its version with a random step (Tramer et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ..errors import RobustlibError
from ..registry import spec
from ..threat import Ball, parse_number
from ._model import check_finite, frozen, gradient_and_logits, look, unless_wrong, usable
from .contract import under_contract
from .description import Attack
from .losses import check_classes, named_loss


@under_contract
def fgsm(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Ball,
    *,
    random_step: float = 0.0,
    loss: str = "cross_entropy",
    kappa: float = 0.0,
    generator: torch.Generator | None = None,
    surrogate: nn.Module | None = None,
    last_iterate: bool = False,
) -> Tensor:
    """One step of full length: x + eps sign(grad_x L(theta, x, y)), cut to the domain.

    Args:
        model: eval mode, (N, ...) inputs to (N, K) logits.
        x: (N, ...) inputs in the threat's domain.
        y: (N,) int64 labels.
        threat: ball; with an l_2 ball the step follows the normalised gradient.
        random_step: length, in the domain's units, of a uniform random step taken first; the gradient
            step then has length eps - random_step ("FGSM random" in Madry et al., Table 5).
        loss: "cross_entropy", "margin" or "dlr".
        kappa: of the margin loss, in logits, >= 0.
        generator: draws the random step; needed when random_step > 0.
        surrogate: network whose gradient is followed (a transfer source); None: the model's own.
        last_iterate: count the last iterate as it is, as the papers' code does, even where it puts right an input that
            was misclassified; False: such an input is returned as it is.

    Returns:
        (N, ...) adversarial inputs, detached.

    Raises:
        RobustlibError: the call's arguments do not fit.

    Source: Madry et al. 2018, section 2.1.
    """
    if not 0 <= random_step <= threat.eps:
        raise RobustlibError(f"random_step={random_step} is outside [0, eps={threat.eps}]")
    kappa = parse_number(kappa, name="kappa", least=0)
    if threat.eps == 0 or len(x) == 0:
        return x.clone()
    start = x
    if random_step > 0:
        if generator is None:
            raise RobustlibError("generator is missing; a random step needs an explicit torch.Generator")
        start = replace(threat, eps=random_step).random_start(x, generator=generator)
    guide = model if surrogate is None else surrogate
    objective = named_loss(loss, kappa=kappa)
    # One row shows the form of the logits. Verdicts at x come with the gradient where that is taken at x.
    own = surrogate is None and start is x
    clean = look(model, surrogate, x, y, rows=1 if own or last_iterate else None)
    check_classes(loss, clean.shape[1])
    with frozen(guide):
        gradient, _, logits = gradient_and_logits(guide, start, y, objective)
    moved = threat.project(start + (threat.eps - random_step) * threat.steepest(usable(gradient)), x)
    return moved if last_iterate else unless_wrong(moved, x, y, check_finite(logits) if own else clean)


@spec
@dataclass(frozen=True)
class Fgsm(Attack):
    """One signed step of full length; see :func:`robustlib.attacks.fgsm`."""

    random_step: float = 0.0
    protocol: int = 1

    function = staticmethod(fgsm)

    @property
    def passes(self) -> float:
        return 2.0
