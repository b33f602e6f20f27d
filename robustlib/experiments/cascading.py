"""From a cascade, or a network under random projections, to metrics, outcomes and series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..certify import Cascade, certify, estimate, undermine
from ..data import Split
from ..evaluate import Progress
from ..training.loop import step_generator
from .certifying import CHUNK
from .findings import Findings, mean, share
from .probes import CascadeBound, Estimated
from .records import Metric, pack

RULES = {"bound": "released", "guarded_bound": "guarded", "strict_bound": "strict"}


def cascade_bound(
    stages: Sequence[nn.Module], split: Split, rows: Tensor, what: CascadeBound, progress: Progress | None
) -> Findings:
    """``bound``: the share that the authors' rule does not count; see :class:`robustlib.certify.Judgement`.

    ``broken``: of the points searched, which that rule counts, the share with another answer somewhere in the ball.
    """
    cascade, parts = Cascade(tuple(stages), what.threat), []
    for part in rows.split(CHUNK):
        parts.append(cascade.judge(split.images(part), split.y[part]))
        if progress is not None:
            progress(sum(len(found.stage) for found in parts), len(rows))

    def whole(name: str) -> np.ndarray:
        return torch.cat([getattr(found, name) for found in parts], -1).cpu().numpy()

    stage, classes, y = whole("stage"), whole("classes"), split.y[rows].cpu().numpy()
    counts = {name: whole(rule) for name, rule in RULES.items()}
    found = Findings(
        metrics={name: share(~counted) for name, counted in counts.items()} | {"error": share(~whole("right"))},
        outcomes={"correct": pack(whole("right"))} | {rule: pack(counts[name]) for name, rule in RULES.items()},
    )
    for place in range(len(stages)):
        found.metrics[f"answered_{place + 1}"] = share(stage == place)
        found.metrics[f"error_{place + 1}"] = share(classes[place] != y)
        found.metrics[f"classes_{place + 1}"] = Metric(float(len(set(classes[place].tolist()))), len(y), unit="classes")
    kinds = sorted(set(y.tolist()))
    found.series = {
        "class": [float(kind) for kind in kinds],
        "released_by_class": [round(float(counts["bound"][y == kind].mean()), 5) for kind in kinds],
        "points_by_class": [float((y == kind).sum()) for kind in kinds],
    }
    chosen = rows.cpu()[torch.from_numpy(counts["bound"])][: what.searched].to(rows.device)
    if len(chosen):
        broken = [undermine(cascade, split.images(p), split.y[p], steps=what.steps)[1] for p in chosen.split(CHUNK)]
        found.metrics["broken"] = share(torch.cat(broken).cpu().numpy())
    return found


def estimated(model: nn.Module, split: Split, rows: Tensor, what: Estimated, name: str) -> Findings:
    """Shares of points whose margins are not all positive: by the bound, and by each repeat's estimate of it."""
    x, y = split.images(rows), split.y[rows]
    bound = certify(model, x, y, what.threat)
    exact = bound.margins.double()
    apart = torch.arange(exact.shape[1], device=y.device) != y[:, None]
    shares, off = [], []
    for repeat in range(what.repeats):
        seed = step_generator(0, name, repeat)
        generator = torch.Generator(x.device).manual_seed(seed.initial_seed())
        found = estimate(
            model, x, y, what.threat, projections=what.projections, estimator=what.estimator, generator=generator
        )
        shares.append(float((~found.standing).double().mean()))
        off.append((found.margins.double() - exact)[apart].cpu().numpy())
    scatter = np.stack(off)
    return Findings(
        metrics={
            "exact": share(~bound.certified.cpu().numpy()),
            "estimated": Metric(float(np.mean(shares)), len(rows), unit="estimate"),
            "spread": Metric(float(np.std(shares)), what.repeats, unit="estimate"),
            "offset": mean(scatter.mean(0), unit="logits"),
            "scatter": Metric(float(scatter.std(0).mean()), scatter.shape[1], unit="logits"),
        },
        series={"estimated": [round(value, 5) for value in shares]},
    )
