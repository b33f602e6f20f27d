"""Signs that an evaluation is not to be trusted: masked gradients, leaked labels, randomness, probabilities.

After Athalye, Carlini and Wagner 2018 (section 3.1), Carlini et al. 2019 and Kurakin et al. 2017 (label leaking).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..attacks import fgsm, pgd, uniform_noise
from ..attacks._model import frozen, gradient_and_logits, input_gradient, look
from ..attacks.contract import checked
from ..attacks.losses import cross_entropy, margin
from ..threat import Ball, L2Ball, LinfBall

PROBE = 100
"""Points that the signs are looked for on."""
TINY = 1e-12
"""Size of a cross-entropy gradient, as a share of the margin's, below which steps along it follow rounding errors."""
SHARE = 0.1
"""Share of points from which vanishing gradients are a finding."""
LEVEL = 0.01
"""Level of the one-sided sign test that says one attack breaks more than another on the same points."""


@dataclass(frozen=True)
class Finding:
    """One sign.

    Args:
        name: short and fixed: "zero gradients", "Square beats gradients" and so on.
        text: the observation, with its numbers.
        masking: whether gradients are to be mistrusted because of it.
    """

    name: str
    text: str
    masking: bool = False


def beats(weaker: Tensor, stronger: Tensor) -> bool:
    """Exact one-sided sign test: true where the nominally weaker attack broke more of the points, beyond chance.

    Args:
        weaker, stronger: (N,) bool, correct under each.
    """
    only_weaker, only_stronger = int((~weaker & stronger).sum()), int((weaker & ~stronger).sum())
    if only_weaker <= only_stronger:
        return False
    from scipy.stats import binomtest  # a second that most commands do without

    return float(binomtest(only_weaker, only_weaker + only_stronger, alternative="greater").pvalue) < LEVEL


@checked
def diagnose(model: nn.Module, x: Tensor, y: Tensor, threat: Ball, *, generator: torch.Generator) -> list[Finding]:
    """Findings about the model and its gradients, from up to 100 of the points.

    Args:
        model: eval mode, (N, ...) inputs to (N, K) logits, in the precision of verdicts.
        x: (N, ...) inputs in the threat's domain.
        y: (N,) int64 labels.
        threat: ball with eps > 0.
        generator: draws noise and starts.
    """
    step = max(1, len(x) // PROBE)
    x, y = x[::step][:PROBE], y[::step][:PROBE]
    if len(x) == 0 or threat.eps == 0:
        return []
    again = look(model, None, x, y, rows=None)
    with frozen(model):
        gradient, _, logits = gradient_and_logits(model, x, y, cross_entropy)
        slope, _ = input_gradient(model, x, y, margin)
    correct = logits.argmax(1) == y
    found = _outputs(logits, again) + _gradients(gradient[correct], slope[correct])

    def under(points: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.as_tensor(model(points).argmax(1) == y)

    # Labels leak where an attack puts an input right: last iterates count here as they are.
    noise = under(uniform_noise(model, x, y, threat, generator=generator, last_iterate=True))
    single = under(fgsm(model, x, y, threat, last_iterate=True))
    iterated = under(
        pgd(model, x, y, threat, steps=20, step_size=threat.eps / 8, generator=generator, last_iterate=True)
    )
    counts = f"of {len(x)} points {{}} stand under {{}} and {{}} under {{}}"
    for name, weaker, stronger, words, masking in (
        ("noise beats FGSM", noise, single, ("random noise", "FGSM"), True),
        ("FGSM beats PGD", single, iterated, ("FGSM", "20 steps of PGD"), True),
        ("label leaking", correct, single, ("no attack", "FGSM, which knows the label"), False),
    ):
        if beats(weaker, stronger):
            text = counts.format(int(weaker.sum()), words[0], int(stronger.sum()), words[1])
            found.append(Finding(name, text, masking))
    far = _unbounded(threat, x)
    if far is not None:
        left = int(
            (
                under(pgd(model, x, y, far, steps=50, step_size=far.eps / 10, generator=generator, last_iterate=True))
                & correct
            ).sum()
        )
        if left > SHARE * len(x):
            text = f"{left} of {len(x)} points stand under PGD with no budget but the domain's"
            found.append(Finding("unbounded attack fails", text, True))
    return found


def _unbounded(threat: Ball, x: Tensor) -> Ball | None:
    if threat.domain is None:
        return None
    lo, hi = threat.domain
    return (
        LinfBall(hi - lo, threat.domain)
        if threat.norm == "linf"
        else L2Ball((hi - lo) * x[0].numel() ** 0.5, threat.domain)
    )


def _outputs(logits: Tensor, again: Tensor) -> list[Finding]:
    found = []
    if bool((logits >= 0).all()) and torch.allclose(logits.sum(1), torch.ones_like(logits[:, 0]), atol=1e-3):
        found.append(
            Finding(
                "probabilities", "outputs are not negative and sum to 1: give logits, a softmax hides gradients", True
            )
        )
    change = float((logits - again).abs().max())
    if change > 1e-3 * float(logits.abs().max()):
        text = f"the same inputs gave outputs that differ by up to {change:.2g}: average over the randomness instead"
        found.append(Finding("random outputs", text, True))
    return found


def _gradients(gradient: Tensor, slope: Tensor) -> list[Finding]:
    """Gradients of the cross-entropy and of the margin, which no softmax makes small."""
    if len(gradient) == 0:
        return []
    largest, usual = (values.flatten(1).abs().amax(1).double() for values in (gradient, slope))
    broken, zero = ~torch.isfinite(largest), largest == 0
    tiny = ~zero & (largest < TINY * usual)
    found = []
    for name, which in (("non-finite gradients", broken), ("zero gradients", zero), ("tiny gradients", tiny)):
        if int(which.sum()) > (0 if name == "non-finite gradients" else SHARE * len(gradient)):
            text = f"{int(which.sum())} of {len(gradient)} correctly classified points, cross-entropy"
            found.append(Finding(name, text, True))
    return found
