"""Outputs of a network, and the derivatives of its softmax at any magnitude and in float32."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from ..attacks._model import frozen, logits_of
from ..attacks.contract import checked
from ..data.registry import facts_of
from ..registry import spec
from ..spec.measurement import Measured, Measurement, Price, Subject, mean, share
from ..spec.network import Network
from ..spec.quantities import SHARE, SIZE, Quantity
from ..spec.records import Metric, pack
from .outcomes import CHUNK


def jacobian(outputs: Tensor, x: Tensor) -> Tensor:
    """(N, K, D) derivatives of (N, K) outputs to the inputs (N, ...) that they were computed from, one row each."""
    rows = [torch.autograd.grad(outputs[:, i].sum(), x, retain_graph=True)[0] for i in range(outputs.shape[1])]
    return torch.stack(rows, 1).flatten(2)


def softmax_jacobian(logits: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
    """dF/dX of F = softmax(z) as (scaled, scale): it is ``scaled * exp(scale)``, without underflow or cancellation.

    dF_i/dX_j = sum_l F_i F_l (dz_i/dX_j - dz_l/dX_j); the largest F_i F_l with i != l of a point is taken out of
    the sum, in logarithms.

    Args:
        logits: (N, K) z.
        slopes: (N, K, D) dz/dX.

    Returns:
        (N, K, D) and (N,), float64.

    Source: arXiv 1511.04508, section IV.C, at T = 1.
    """
    outputs, slopes = logits.double().log_softmax(1), slopes.double()
    pairs = outputs[:, :, None] + outputs[:, None, :]
    pairs.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
    scale = pairs.flatten(1).amax(1)
    shares = (pairs - scale[:, None, None]).exp()
    return shares.sum(2, keepdim=True) * slopes - shares @ slopes, scale


@checked
def amplitudes(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean |dF_i/dX_j| over outputs and features of each input, at T = 1.

    Args:
        model: eval mode, float32, (N, ...) inputs to (N, K) logits.
        x: (N, ...) inputs.

    Returns:
        (N,) its log10 in float64, at any magnitude; (N,) its value as float32's automatic differentiation gives it;
        (N,) share of entries that are exactly zero there.
    """
    with frozen(model), torch.enable_grad():
        x = x.detach().requires_grad_(True)
        logits = logits_of(model, x)
        plain = jacobian(logits.softmax(1), x)
        scaled, scale = softmax_jacobian(logits.detach(), jacobian(logits, x))
    size = scaled.abs().mean((1, 2)).log10() + scale / math.log(10)
    return size, plain.abs().double().mean((1, 2)), (plain == 0).double().mean((1, 2))


SMALL = 60
"""Points at a time where derivatives of all outputs are kept."""


@spec
@dataclass(frozen=True)
class Outputs(Measurement):
    """Confidence at T = 1, the largest output at another temperature, the logits' size, and decisions at both.

    Args:
        temperature: the other T, that of training.
    """

    temperature: float = 1.0
    protocol: int = 1

    def units(self, network: Network) -> dict[str, str]:
        shares = ("confidence", "max_output", "max_output_at_T", "accuracy", "same_decision")
        return dict.fromkeys(shares, "fraction") | dict.fromkeys(("logit_size", "logit_size_spread"), "logits")

    @torch.no_grad()
    def run(self, on: Subject) -> Measured:
        """C(X) (eq. 12 of arXiv 1511.04508: 0 where the class is wrong), means of max F and of |z|, equal decisions."""
        model, split, rows = on.model, on.split, on.rows
        logits = torch.cat([model(split.images(part)) for part in rows.split(CHUNK)])
        y = split.y[rows.to(split.y.device)]
        top, winner = logits.softmax(1).max(1)
        warm, same = (logits / self.temperature).softmax(1).max(1)
        decided = logits.argmax(1)
        values = {"confidence": top * (winner == y), "max_output": top, "max_output_at_T": warm}
        sizes = logits.double().abs().mean(1).cpu().numpy()
        # Equal outputs are one decision, whichever of them comes first.
        agrees = (same == decided) | (warm == (logits / self.temperature).softmax(1).gather(1, decided[:, None])[:, 0])
        return Measured(
            metrics={name: mean(value.double().cpu().numpy()) for name, value in values.items()}
            | {
                "accuracy": share((decided == y).cpu().numpy()),
                "same_decision": share(agrees.cpu().numpy()),
                "logit_size": mean(sizes, unit="logits"),
                "logit_size_spread": Metric(float(sizes.std()), len(sizes), unit="logits"),
            },
            outcomes={"correct": pack((decided == y).cpu().numpy())},
        )

    def quantity(self, metric: str) -> Quantity:
        return SHARE

    def work(self, price: Price, network: Network, n: int) -> float:
        return price.forward(network) * n


@spec
@dataclass(frozen=True)
class Amplitudes(Measurement):
    """Mean absolute derivative of the softmax outputs to the input, of each point, counted in ranges.

    Args:
        edges: log10 of the ranges' inner borders; the first range begins at 0, the last ends at 1.
    """

    edges: tuple[int, ...] = (-40, -35, -30, -25, -20, -15, -10, -5, -3)
    protocol: int = 1

    def units(self, network: Network) -> dict[str, str]:
        borders = pairwise((0.0, *(10.0**power for power in self.edges), 1.0))
        shares = ("zero_float32", "zero_entries_float32", *(f"share {low:g} - {high:g}" for low, high in borders))
        return dict.fromkeys(shares, "fraction") | {"median_log10": "log10"}

    def run(self, on: Subject) -> Measured:
        """Shares of points in each range, in float64 and float32, and the share that float32 rounds to exactly zero."""
        parts = [amplitudes(on.model, x) for x, _ in on.parts(SMALL)]
        size, plain, zeros = (torch.cat(values).cpu().numpy() for values in zip(*parts, strict=True))
        edges = [0.0, *(10.0**power for power in self.edges), 1.0]
        bounds = np.asarray(self.edges, float)
        with np.errstate(divide="ignore"):
            sizes = {"float64": size, "float32": np.log10(plain)}
        found = Measured(
            metrics={
                "zero_float32": share(zeros == 1),
                "zero_entries_float32": mean(zeros),
                "median_log10": Metric(float(np.median(size).clip(-1e6)), len(size), unit="log10"),
            }
        )
        for name, values in sizes.items():
            place = np.searchsorted(bounds, values, side="right")
            counts = np.bincount(place, minlength=len(bounds) + 1)
            found.histograms[name] = {"edges": edges, "counts": counts.tolist()}
            if name == "float64":
                for index, (low, high) in enumerate(pairwise(edges)):
                    found.metrics[f"share {low:g} - {high:g}"] = share(place == index)
        return found

    def quantity(self, metric: str) -> Quantity:
        return SIZE if metric == "median_log10" else SHARE

    def work(self, price: Price, network: Network, n: int) -> float:
        return price.step(network) * n * (1.0 + 2 * len(facts_of(network.dataset).classes))
