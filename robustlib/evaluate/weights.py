"""Statistics of a network's weights, and the settings of its architecture and training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import nn

from ..errors import RobustlibError
from ..models import count_parameters
from ..registry import spec
from ..spec.measurement import Measured, Measurement, Subject, share
from ..spec.network import Network
from ..spec.quantities import SETTING, Quantity
from ..spec.records import Metric

FILTERS = 1024
"""Weights of a layer up to which the record keeps them all."""
BINS = 41
"""Bins of the histogram of a larger layer's weights."""


@spec
@dataclass(frozen=True)
class FirstLayer(Measurement):
    """Weights of one layer, by default the first that has any: how many are near zero, the filters if they are few.

    Args:
        near: share of the largest weight's size below which one counts as near zero.
        layer: which of the layers with weights, from 0; -1 is the last.
    """

    near: float = 0.01
    protocol: int = 1
    layer: int = 0

    def units(self, network: Network) -> dict[str, str]:
        return dict.fromkeys(("near_zero", "empty", "single"), "fraction") | {"bias_spread": "logits"}

    def run(self, on: Subject) -> Measured:
        """Shares of weights near zero, of filters (or units) where all or all but one are; spread of biases.

        The weights are kept where they are few, else counted; biases are kept.
        """
        model = on.model
        layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        if not -len(layers) <= self.layer < len(layers):
            raise RobustlibError(
                f"layer={self.layer} of a network with {len(layers)} linear layers and convolutions; "
                "give one that it has"
            )
        layer = layers[self.layer]
        weight = layer.weight.detach().double().cpu().numpy()
        small = np.abs(weight) < self.near * np.abs(weight).max()
        found = Measured(
            metrics={
                "near_zero": share(small.reshape(-1)),
                "empty": share(small.reshape(len(small), -1).all(1)),
                "single": share((~small.reshape(len(small), -1)).sum(1) == 1),
            }
        )
        if weight.size <= FILTERS:
            found.series["weights"] = weight.round(5).tolist()
        else:
            counts, edges = np.histogram(weight, bins=BINS)
            found.histograms["weights"] = {"edges": edges.round(5).tolist(), "counts": counts.tolist()}
        if layer.bias is not None:
            bias = layer.bias.detach().double().cpu().numpy()
            found.metrics["bias_spread"] = Metric(float(bias.std()), len(bias), unit="logits")
            found.series["bias"] = bias.round(5).tolist()
        return found


@spec
@dataclass(frozen=True)
class Recipe(Measurement):
    """Widths of the layers and settings of the training, read off the network and its specification."""

    protocol: int = 1

    def run(self, on: Subject) -> Measured:
        """Channels, units or pool sizes of the layers in order, then the settings of the training."""
        model, network, n_train = on.model, on.network, len(on.dataset.train)
        layers = [
            float(getattr(module, name))
            for module in model.modules()
            for kind, name in ((nn.Conv2d, "out_channels"), (nn.MaxPool2d, "kernel_size"), (nn.Linear, "out_features"))
            if isinstance(module, kind)
        ]
        schedule = network.schedule
        first, end = network.rows or (0, n_train)
        epoch = max(1, (end - first) // schedule.batch)
        settings = {f"layer {i + 1}": size for i, size in enumerate(layers)} | {
            "parameters": float(count_parameters(model)),
            "learning rate": schedule.lr,
            "momentum": schedule.momentum,
            "dropout (FC)": max((m.p for m in model.modules() if isinstance(m, nn.Dropout)), default=0.0),
            "batch size": float(schedule.batch),
            "epochs": schedule.steps / epoch,
            # Without a step decay the delay is the whole training.
            "decay delay": (schedule.decay[0][0] if schedule.decay else schedule.steps) / epoch,
        }
        return Measured(metrics={name: Metric(value, 1, unit="setting") for name, value in settings.items()})

    def quantity(self, metric: str) -> Quantity:
        return SETTING
