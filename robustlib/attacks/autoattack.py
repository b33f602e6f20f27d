"""AutoAttack (Croce and Hein, ICML 2020): four attacks that need no tuning, each on what the others left."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..threat import Ball
from ._model import Standing, check_call, check_eval, check_steps, frozen, logits_of
from .apgd import apgd
from .fab import fab
from .square import square


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
        x: (N, ...) inputs in the threat's domain.
        y: (N,) int64 labels.
        threat: l_inf or l_2 ball.
        steps: iterations of each run of APGD and FAB; the paper's "standard" is 100.
        queries: of Square; 5,000.
        target_classes: of the targeted attacks; 9, or as many wrong classes as the model has. With fewer than
            four classes the targeted DLR loss does not exist and APGD on the margin stands in for it.
        generator: every random choice.
        surrogate: network that steers (a copy in low precision); None: the model itself.

    Returns:
        (N, ...) adversarial inputs, inside the ball and the domain; x itself where nothing was found.

    Raises:
        RobustlibError: the call's arguments do not fit.

    Source: Croce and Hein 2020, section 5, the standard version.
    """
    check_call(model, x, y, threat)
    check_steps(steps=steps, queries=queries, target_classes=target_classes)
    if threat.eps == 0 or len(x) == 0:
        return x.clone()
    guide = None if surrogate is None else check_eval(surrogate, name="surrogate")
    with frozen(model), torch.no_grad():
        logits = logits_of(model, x, y)
    classes = logits.shape[1]
    targets = min(target_classes, classes - 1)
    kind = {"target_classes": targets} if classes >= 4 else {"loss": "margin"}
    standing = Standing(model, x, y)
    standing.leave(x, logits)

    def nearest(xs: Tensor, ys: Tensor) -> Tensor:
        domain = threat.domain or (float(xs.min()) - threat.eps, float(xs.max()) + threat.eps)
        near = fab(
            model, xs, ys, norm=threat.norm, domain=domain, steps=steps, target_classes=targets,
            enough=threat.eps, surrogate=guide,
        )  # fmt: skip
        inside = threat.contains(near, xs, slack=0)
        return torch.where(inside.view(-1, *[1] * (xs.dim() - 1)), near, xs)

    for attack in (
        lambda a, b: apgd(model, a, b, threat, steps=steps, generator=generator, surrogate=guide),
        lambda a, b: apgd(model, a, b, threat, steps=steps, generator=generator, surrogate=guide, **kind),
        nearest,
        lambda a, b: square(model, a, b, threat, queries=queries, generator=generator, surrogate=guide),
    ):
        if len(standing.rows):
            points = attack(x[standing.rows], y[standing.rows])
            with frozen(model), torch.no_grad():
                standing.leave(points, logits_of(model, points, y[standing.rows]))
    return standing.found
