"""Outer polygon of a network with two outputs: proven to contain its outputs over a ball (the adversarial polytope)."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from ..errors import RobustlibError
from ..threat import Ball
from .certificate import margins
from .trace import check_model, logits_of


def outline(directions: ArrayLike, least: ArrayLike, inside: ArrayLike) -> NDArray[np.float64]:
    """Corners, in order, of the polygon that bounds on some directions leave: {z: d_k . z >= least_k for all k}.

    Args:
        directions: (k, 2), all around.
        least: (k,) proven lower bounds on d_k . z.
        inside: (2,) a point strictly inside, such as the output at the ball's centre.

    Raises:
        RobustlibError: a point that is not inside.
    """
    normals, offsets, point = (np.asarray(directions, float), np.asarray(least, float), np.asarray(inside, float))
    if not (normals @ point > offsets).all():
        raise RobustlibError(f"inside={point.tolist()} breaks a bound; give a point strictly inside of all")
    from scipy.spatial import ConvexHull, HalfspaceIntersection  # a second that most commands do without

    corners = HalfspaceIntersection(np.column_stack([-normals, offsets]), point).intersections
    return np.asarray(corners[ConvexHull(corners).vertices], float)


def outer_polygon(
    model: nn.Module, x: Tensor, threat: Ball, *, directions: int = 72, slopes: str = "fixed"
) -> NDArray[np.float64]:
    """Corners (m, 2), in order, of a polygon that holds both outputs at every point of the ball.

    A linear layer behind the network turns directions into margins, and the dual bounds each of them.

    Args:
        model: (N, ...) inputs to (N, 2) outputs.
        x: (1, ...) the ball's centre.
        threat: the ball.
        directions: evenly around the plane; 3 or more.
        slopes: as for :func:`margins`.

    Raises:
        RobustlibError: another number of inputs or outputs, or fewer directions.
    """
    check_model(model, x)
    with torch.no_grad():
        center = logits_of(model, x)
        if tuple(center.shape) != (1, 2) or directions < 3:
            raise RobustlibError(
                f"{tuple(center.shape)} outputs and {directions} directions; give one input, two outputs, 3 or more"
            )
        angles = torch.arange(directions, dtype=x.dtype, device=x.device) * (2 * math.pi / directions)
        around = torch.stack([angles.cos(), angles.sin()], 1)
        head = nn.Linear(2, 1 + directions, bias=False, dtype=x.dtype, device=x.device)
        # The margin of row 0 over row k is the direction k itself.
        head.weight[0], head.weight[1:] = 0.0, -around
        zero = torch.zeros(1, dtype=torch.int64, device=x.device)
        least = margins(nn.Sequential(model, head), x, zero, threat, slopes=slopes)[0, 1:]
    return outline(around.cpu(), least.cpu(), center[0].cpu())
