"""The primal linear program of the relaxed network, and the exact mixed-integer program, for tiny networks.

Every value of every node is a variable, so that this shares nothing with the dual but the traced operations and the
bounds on pre-activations. Both are solved by HiGHS, in float64.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp
from torch import Tensor, nn

from ..errors import RobustlibError
from ..threat import Ball
from .certificate import check_call
from .dual import Relaxation, pre_activation_bounds
from .graph import Graph, trace
from .operations import Add, Affine, Input, Relu
from .region import Region

LARGEST = 20_000
"""Variables; beyond it a program is not tiny any more, and the mixed-integer one may not end."""

Matrix: TypeAlias = sparse.csr_matrix
Vector: TypeAlias = NDArray[np.float64]


@dataclass
class Program:
    """Rows lower <= A v <= upper, and a range for each variable, put together block by block.

    Attributes:
        size: number of variables.
        low, high: their ranges.
        blocks: (variables, entries) of each block of rows, with the rows' two ends.
        integral: 1 where a variable is 0 or 1.
    """

    size: int
    low: Vector = field(init=False)
    high: Vector = field(init=False)
    integral: Vector = field(init=False)
    blocks: list[tuple[Matrix, Vector, Vector]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.low, self.high = np.full(self.size, -np.inf), np.full(self.size, np.inf)
        self.integral = np.zeros(self.size)

    def rows(self, terms: list[tuple[NDArray[np.int64], Matrix]], lower: Vector, upper: Vector) -> None:
        """Require lower <= sum of matrix @ v[places] <= upper."""
        total = sparse.csr_matrix((len(lower), self.size))
        for places, matrix in terms:
            pick = sparse.csr_matrix((np.ones(len(places)), (np.arange(len(places)), places)), (len(places), self.size))
            total = total + sparse.csr_matrix(matrix) @ pick
        self.blocks.append((total, lower, upper))

    def minimise(self, cost: Vector) -> tuple[float, Vector]:
        """The least value of cost . v, and the v that has it, each constraint within the solver's 1e-6."""
        matrices, lower, upper = zip(*self.blocks, strict=True)
        rows = LinearConstraint(sparse.vstack(matrices).tocsr(), np.concatenate(lower), np.concatenate(upper))
        found = milp(cost, integrality=self.integral, bounds=Bounds(self.low, self.high), constraints=rows)
        if found.status != 0:
            raise RobustlibError(f"HiGHS found no optimum: {found.message}")
        return float(found.fun), np.asarray(found.x)


def _array(values: Tensor) -> Vector:
    return values.detach().double().flatten().numpy()


def _affine(operation: Affine, shape: tuple[int, ...]) -> tuple[Matrix, Vector]:
    """The operation as W and b."""
    size = int(np.prod(shape))
    zero = torch.zeros(1, *shape, dtype=torch.float64)
    offset = operation.forward(zero).flatten()
    columns = operation.forward(torch.eye(size, dtype=torch.float64).view(size, *shape)).flatten(1) - offset
    return sparse.csr_matrix(columns.detach().numpy().T), _array(offset)


def _program(graph: Graph, region: Region, relaxations: dict[int, Relaxation], *, integer: bool) -> Program:
    """The network over one example's box; the logits are the last variables before the switches."""
    sizes = [int(np.prod(node.shape)) for node in graph.nodes]
    first = np.concatenate([[0], np.cumsum(sizes)])
    switches = sum(sizes[i] for i in graph.relus) if integer else 0
    if first[-1] + switches > LARGEST:
        raise RobustlibError(f"the program has {first[-1] + switches} variables; only up to {LARGEST} are tried")
    program, used = Program(int(first[-1]) + switches), int(first[-1])
    at = [np.arange(first[i], first[i + 1]) for i in range(len(sizes))]
    program.low[at[0]] = _array(region.center - region.radius)
    program.high[at[0]] = _array(region.center + region.radius)
    for i, node in enumerate(graph.nodes):
        one, none = sparse.identity(sizes[i], format="csr"), np.zeros(sizes[i])
        before = [at[place] for place in node.inputs]
        if isinstance(node.operation, Add):
            program.rows([(at[i], one), (before[0], -one), (before[1], -one)], none, none)
        elif isinstance(node.operation, Relu):
            bounds = relaxations[i]
            lower, upper, crossing = (_array(value) for value in (bounds.lower, bounds.upper, bounds.crossing))
            never, far = crossing == 0, np.full(sizes[i], np.inf)
            # z >= 0 and z >= zhat; where the sign is known, z = zhat or z = 0.
            active = never & (lower >= 0)
            program.low[at[i]] = 0.0
            program.high[at[i][never & ~active]] = 0.0
            program.rows([(at[i], one), (before[0], -one)], none, np.where(active, 0.0, far))
            if integer:
                # z <= u d and z <= zhat - l (1 - d), d in {0, 1}.
                switch, used = np.arange(used, used + sizes[i]), used + sizes[i]
                program.low[switch], program.high[switch], program.integral[switch] = 0.0, 1.0, 1.0
                top, bottom = np.where(never, 0.0, upper), np.where(never, 0.0, lower)
                cut = np.where(never, np.inf, 0.0)
                program.rows([(at[i], one), (switch, -sparse.diags(top))], -far, cut)
                program.rows([(at[i], one), (before[0], -one), (switch, -sparse.diags(bottom))], -far, cut - bottom)
            else:
                # (u - l) z - u zhat <= -u l.
                top, bottom = upper * crossing, lower * crossing
                terms = [(at[i], sparse.diags(top - bottom)), (before[0], -sparse.diags(top))]
                program.rows(terms, -far, -top * bottom)
        elif not isinstance(node.operation, Input):
            matrix, offset = _affine(node.operation, graph.nodes[node.inputs[0]].shape)
            program.rows([(at[i], one), (before[0], -matrix)], offset, offset)
    return program


def optimum(model: nn.Module, x: Tensor, y: Tensor, threat: Ball, *, integer: bool = False) -> Tensor:
    """The least margins over the ball, of the relaxed network or of the network itself.

    Args:
        model: in float64, tiny; of the operations in ``robustlib.certify.SUPPORTED``.
        x: (N, ...) float64 inputs in the threat's domain.
        y: (N,) int64 labels.
        threat: l_inf ball.
        integer: False for the linear program over the relaxation whose bounds the dual found (Wong & Kolter 2018,
            section 3.1), True for the exact mixed-integer program (Tjeng et al. 2019, section 4).

    Returns:
        (N, K) least logit[y] - logit[k], float64. Of the mixed-integer program: the margins of the network at the
        inputs where the solver puts the least ones, moved into the ball, so that no solver's tolerance is in them
        and no sound bound lies above.

    Raises:
        RobustlibError: another norm, float32, or a program too large.
    """
    if threat.norm != "linf" or x.dtype != torch.float64:
        raise RobustlibError(f"optimum needs an l_inf ball and float64, not {threat.norm} and {x.dtype}")
    graph = trace(model, x)
    classes = graph.nodes[-1].shape[0]
    check_call(x, y, threat, classes)
    found = torch.zeros(len(x), classes, dtype=torch.float64)
    for i, label in enumerate(y.tolist()):
        with torch.no_grad():
            region = Region.around(x[i : i + 1], threat)
            program = _program(graph, region, pre_activation_bounds(graph, region), integer=integer)
        end = sum(int(np.prod(node.shape)) for node in graph.nodes)
        for k in range(classes):
            cost = np.zeros(program.size)
            cost[end - classes + label] += 1.0
            cost[end - classes + k] -= 1.0
            if k == label:
                continue
            least, at = program.minimise(cost)
            if integer:
                center, radius = region.center[0], region.radius[0]
                inner = torch.as_tensor(at[: center.numel()]).view_as(center)
                point = torch.clamp(inner, center - radius, center + radius)
                with torch.no_grad():
                    logits = model(point[None])[0]
                least = float(logits[label] - logits[k])
            found[i, k] = least
    return found
