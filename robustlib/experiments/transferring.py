"""Attacks that several networks share: many in one record, and the loss on the way to them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..attacks._model import gradient_and_logits
from ..attacks.losses import cross_entropy
from ..attacks.suite import Fgsm, run_attack
from ..data import Split
from ..evaluate import Progress, outcomes_under
from ..evaluate.outcomes import CHUNK, chunk_generator
from .findings import Findings, mean, share
from .records import pack
from .specs import Attacked, Directions

SHOWN = 5
"""Points whose own curves a record keeps beside their mean."""


def attacked(
    model: nn.Module,
    sources: Sequence[nn.Module],
    split: Split,
    rows: Tensor,
    what: Attacked,
    name: str,
    progress: Progress | None,
) -> Findings:
    """Each attack on each source, or on the network itself."""
    found = Findings()
    pairs: list[tuple[str, nn.Module | None]] = [(f" {j}", source) for j, source in enumerate(sources)] or [("", None)]
    for i, attack in enumerate(what.attacks):
        for place, source in pairs:
            outcome = outcomes_under(
                model, split, rows, attack, what.threat, name=f"{name}/{i}{place}", source=source, progress=progress
            )
            found.metrics[f"accuracy {i}{place}"] = share(outcome)
            found.outcomes[f"correct {i}{place}"] = pack(outcome)
    return found


def directions(
    model: nn.Module, source: nn.Module, split: Split, rows: Tensor, what: Directions, name: str
) -> Findings:
    """Mean losses at the four ends, mean curves and those of the first points, angles in degrees and their counts."""
    shares = torch.linspace(0, 1, what.stops)
    curves: dict[str, list[Tensor]] = {}
    angles = []
    for index, part in enumerate(rows.split(CHUNK)):
        x, y = split.images(part), split.y[part.to(split.y.device)]
        ours, theirs = (gradient_and_logits(net, x, y, cross_entropy)[0].flatten(1).double() for net in (model, source))
        # A gradient of exactly zero has no direction.
        some = (ours.norm(dim=1) > 0) & (theirs.norm(dim=1) > 0)
        cosines = torch.cosine_similarity(ours[some], theirs[some], eps=0.0).clamp(-1, 1)
        angles.append(cosines.acos().rad2deg().cpu().numpy())
        for box, surrogate in (("white", model), ("black", source)):
            for attack in (Fgsm(), what.attack):
                place = f"{box} {type(attack).__name__}"
                generator = chunk_generator(f"{name}/{place}", index, x.device)
                end = run_attack(attack, surrogate, x, y, what.threat, generator=generator)
                with torch.no_grad():
                    losses = [cross_entropy(model(x + float(a) * (end - x)), y) for a in shares]
                curves.setdefault(place, []).append(torch.stack(losses, 1).double().cpu())
    degrees = np.concatenate(angles)
    found = Findings(metrics={"angle": mean(degrees, unit="degrees")})
    counts, edges = np.histogram(degrees, bins=36, range=(0, 180))
    found.histograms["angle"] = {"edges": edges.tolist(), "counts": counts.tolist()}
    for place, parts in curves.items():
        whole = torch.cat(parts).numpy()
        found.metrics["start"] = mean(whole[:, 0], unit="nats")
        found.metrics[f"end {place}"] = mean(whole[:, -1], unit="nats")
        found.series[place] = [row.round(4).tolist() for row in (whole.mean(0), *whole[:SHOWN])]
    return found
