"""AutoAttack (Croce and Hein, ICML 2020): four attacks that need no tuning, each on the points still correct."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..batches import per_example
from ..registry import spec
from ..threat import Ball
from ._model import Standing, check_steps, frozen, logits_of, look
from .apgd import apgd
from .contract import under_contract
from .description import Attack
from .fab import fab
from .square import check_form, square


@under_contract
def auto_attack(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Ball,
    *,
    steps: int = 100,
    queries: int = 5_000,
    target_classes: int = 9,
    generator: torch.Generator,
    surrogate: nn.Module | None = None,
) -> Tensor:
    """APGD on the cross-entropy, targeted APGD on the DLR loss, targeted FAB, and Square.

    Args:
        model: eval mode, (N, ...) inputs to (N, K) logits.
        x: (N, C, H, W) or (N, F) inputs in the threat's domain, the forms that Square takes.
        y: (N,) int64 labels.
        threat: l_inf or l_2 ball.
        steps: iterations of each run of APGD and FAB; the paper's "standard" is 100.
        queries: of Square; 5,000.
        target_classes: of the targeted attacks; 9, or as many wrong classes as the model has. With fewer than
            four classes the targeted DLR loss does not exist and APGD on the margin replaces it.
        generator: every random choice.
        surrogate: network that steers (a copy in low precision); None: the model itself.

    Returns:
        (N, ...) adversarial inputs, inside the ball and the domain; x itself where nothing was found.

    Raises:
        RobustlibError: the call's arguments do not fit.

    Source: Croce and Hein 2020, section 5, the standard version.
    """
    check_steps(steps=steps, queries=queries, target_classes=target_classes)
    check_form(x, threat)
    if threat.eps == 0 or len(x) == 0:
        return x.clone()
    logits = look(model, surrogate, x, y, rows=None)
    classes = logits.shape[1]
    targets = min(target_classes, classes - 1)
    kind = {"target_classes": targets} if classes >= 4 else {"loss": "margin"}
    standing = Standing(model, x, y, logits)

    def nearest(xs: Tensor, ys: Tensor) -> Tensor:
        domain = threat.domain or (float(xs.min()) - threat.eps, float(xs.max()) + threat.eps)
        near = fab(
            model,
            xs,
            ys,
            norm=threat.norm,
            domain=domain,
            steps=steps,
            target_classes=targets,
            enough=threat.eps,
            surrogate=surrogate,
        )
        return torch.where(per_example(threat.contains(near, xs, slack=0.0), xs), near, xs)

    for attack in (
        lambda a, b: apgd(model, a, b, threat, steps=steps, generator=generator, surrogate=surrogate),
        lambda a, b: apgd(model, a, b, threat, steps=steps, generator=generator, surrogate=surrogate, **kind),
        nearest,
        lambda a, b: square(model, a, b, threat, queries=queries, generator=generator, surrogate=surrogate),
    ):
        if len(standing.rows):
            points = attack(x[standing.rows], y[standing.rows])
            with frozen(model), torch.no_grad():
                standing.leave(points, logits_of(model, points, y[standing.rows]))
    return standing.found


@spec
@dataclass(frozen=True)
class AutoAttack(Attack):
    """Four attacks in a row; see :func:`robustlib.attacks.auto_attack`."""

    steps: int = 100
    queries: int = 5_000
    target_classes: int = 9
    protocol: int = 1

    function = staticmethod(auto_attack)

    @property
    def passes(self) -> float:
        targets = self.target_classes
        return 2.0 * (self.steps + 1) * (1 + targets) + 3.0 * self.steps * targets + self.queries
