"""The papers' networks: inputs in the data's domain, logits out, normalisation inside.

A network is described by a :class:`ModelSpec` and built by :func:`build` from an explicit generator, so
that a specification and a seed fix every initial weight.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from ..errors import RobustlibError, suggest
from ..registry import spec
from .madry_cifar import madry_resnet
from .mnist import architecture_b, kaiming_uniform, madry_cnn, madry_very_large
from .papernot import papernot_cifar, papernot_mnist
from .residual import resnet18, wide_resnet
from .scaled import scaled_deep, scaled_large, scaled_resnet, scaled_single, scaled_small, scaled_wide
from .trades import small_cnn, trades_binary, trades_net
from .wong import wong_conv, wong_dense

Builder = Callable[..., nn.Module]
_BUILDERS: dict[str, Builder] = {
    "madry_cnn": madry_cnn,
    "madry_very_large": madry_very_large,
    "architecture_b": architecture_b,
    "papernot_mnist": papernot_mnist,
    "papernot_cifar": papernot_cifar,
    "madry_resnet": madry_resnet,
    "small_cnn": small_cnn,
    "trades_net": trades_net,
    "trades_binary": trades_binary,
    "resnet18": resnet18,
    "wide_resnet": wide_resnet,
    "wong_conv": wong_conv,
    "wong_dense": wong_dense,
    "scaled_small": scaled_small,
    "scaled_large": scaled_large,
    "scaled_resnet": scaled_resnet,
    "scaled_wide": scaled_wide,
    "scaled_deep": scaled_deep,
    "scaled_single": scaled_single,
}

INITS = ("paper", "kaiming_uniform")


@spec
@dataclass(frozen=True)
class ModelSpec:
    """Description of a network's architecture and initial weights.

    Args:
        name: a builder's name, one of ``robustlib.models.names()``.
        width: capacity scale, in the paper's own unit (16 is Madry et al.'s large network).
        protocol: raised by one when the same description starts to mean other numbers.
        init: "paper" draws initial weights as the authors' code does, "kaiming_uniform" as PyTorch does.
        depth: layers of a ``wide_resnet`` (34), hidden layers of a ``wong_dense`` (1), k of a ``scaled_deep`` (1);
            0 is the builder's own.
    """

    name: str
    width: int = 16
    protocol: int = 1
    init: str = "paper"
    depth: int = 0

    def __post_init__(self) -> None:
        if self.name not in _BUILDERS:
            raise RobustlibError(suggest("model", self.name, _BUILDERS))
        if self.init not in INITS:
            raise RobustlibError(suggest("init", self.init, INITS))
        if self.depth and "depth" not in inspect.signature(_BUILDERS[self.name]).parameters:
            raise RobustlibError(f"depth={self.depth} of model {self.name!r}, whose depth is fixed; leave it 0")
        if self.width < 1:
            raise RobustlibError(f"width={self.width} of model {self.name!r} is below 1; give 1 or more")


def names() -> tuple[str, ...]:
    """Names that a ModelSpec may carry."""
    return tuple(sorted(_BUILDERS))


def build(spec: ModelSpec, *, input_shape: tuple[int, ...], classes: int, generator: torch.Generator) -> nn.Module:
    """A fresh network in eval mode.

    Args:
        spec: which network.
        input_shape: shape of one input, (C, H, W).
        classes: number of logits.
        generator: draws the initial weights (on the CPU, so that they do not depend on the device).
    """
    # PyTorch's layers draw from the global generator when they are made; put it back as it was.
    depth = {"depth": spec.depth} if spec.depth else {}
    with torch.random.fork_rng(devices=[]):
        model = _BUILDERS[spec.name](
            width=spec.width, input_shape=input_shape, classes=classes, generator=generator, **depth
        )
    if spec.init == "kaiming_uniform":
        kaiming_uniform(model.modules(), generator=generator)
    return model.eval()


def count_parameters(model: nn.Module) -> int:
    """Number of trained scalars."""
    return sum(parameter.numel() for parameter in model.parameters())
