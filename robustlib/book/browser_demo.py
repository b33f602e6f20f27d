"""A committed network for the page on which a reader draws a digit: its layers, and its weights as float16 text."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import torch
from torch import nn

from ..catalogue.plan import shrink
from ..certify.operations import Conv, Linear, Relu, Reshape
from ..certify.trace import trace
from ..data.registry import facts_of
from ..errors import RobustlibError
from ..experiments import profiles
from ..experiments.networks import Networks
from ..experiments.store import load_weights, read_weights, weights_path
from ..papers.wong2018 import networks as wong
from ..spec.network import Network

SCRIPT = "demo_network.js"
Description = dict[str, object]


def describe(model: nn.Module, shape: tuple[int, ...]) -> Description:
    """Layers as network.js reads them: kinds, shapes, and all weights and biases in base64, float16, little-endian.

    Args:
        model: Conv2d and Linear layers in a row, a ReLU between any two, Flatten where it is needed.
        shape: of one input.

    Raises:
        RobustlibError: any other network.
    """
    blank = torch.zeros(1, *shape, dtype=next(model.parameters()).dtype)
    nodes = [node for node in trace(model, blank).nodes[1:] if not isinstance(node.operation, Reshape)]
    layers: list[dict[str, object]] = []
    weights, before = b"", shape
    for place, node in enumerate(nodes):
        operation = node.operation
        if isinstance(operation, Relu) == (place % 2 == 0) or not isinstance(operation, Relu | Linear | Conv):
            raise RobustlibError(f"{node.name} in the page's network; give layers and ReLUs by turns, a layer last")
        if isinstance(operation, Relu):
            continue
        layer: dict[str, object] = {"type": "linear", "before": before, "after": node.shape}
        weight = operation.kernel.weight if isinstance(operation, Conv) else operation.weight
        if isinstance(operation, Conv):
            kernel = operation.kernel
            square = all(len(set(pair)) == 1 for pair in (weight.shape[2:], kernel.stride, kernel.padding))
            if not square or kernel.dilation != (1, 1) or kernel.groups != 1:
                raise RobustlibError(f"{node.name} in the page's network; give square kernels, undilated, ungrouped")
            layer |= {"type": "conv", "stride": kernel.stride[0], "padding": kernel.padding[0]}
        bias = weight.new_zeros(len(weight)) if operation.bias is None else operation.bias
        weights += b"".join(part.detach().half().numpy().astype("<f2").tobytes() for part in (weight, bias))
        layers.append({**layer, "shape": tuple(weight.shape)})
        before = node.shape
    return {"layers": layers, "weights": base64.b64encode(weights).decode()}


def candidates() -> list[Network]:
    """Networks that the page would take, the most faithful to its paper first."""
    line = wong.PROBLEMS["MNIST"]
    full = wong.bound(wong.network("MNIST", robust=True), line.threat)
    shrunk = [shrink(full, name) for name in profiles.search_order(profiles.BEST)]
    return [evaluation.subject for evaluation in shrunk if evaluation is not None]


def demo_script(folder: Path) -> str:
    """A script that sets ``ROBUSTLIB_NETWORK``: the first candidate that has weights in ``folder``, else null."""
    for network in candidates():
        path = weights_path(folder, network)
        if path.exists():
            model = Networks(torch.device("cpu"), folder, None).blank(network)
            load_weights(path, model, network)
            facts = read_weights(path)[1]
            description = {"file": path.name, "digest": facts["digest"], "training_key": facts["training_key"]}
            found = description | describe(model, facts_of(network.dataset).shape)
            return f"const ROBUSTLIB_NETWORK = {json.dumps(found)};\n"
    return "const ROBUSTLIB_NETWORK = null;\n"
