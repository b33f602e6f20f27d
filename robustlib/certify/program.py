"""The network over one box as a program for HiGHS, linear or mixed-integer, without units that bounds have settled.

Values are variables, so that this shares nothing with the dual but the traced operations and the bounds on
pre-activations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp
from torch import Tensor

from ..errors import RobustlibError
from .curves import Curve
from .dual import Relaxation
from .interval import interval_bounds
from .operations import Add, Affine, Graph, Input, Product, Relu, Reshape
from .region import Region

ORDINARY = 1e-3
"""Values between this and its inverse stay in their own units."""
LARGEST = 20_000
"""Variables; beyond it a program is not small any more, and the mixed-integer one may not end."""

Matrix: TypeAlias = sparse.csr_matrix
Vector: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]
Places: TypeAlias = NDArray[np.int64]
Matrices: TypeAlias = dict[int, tuple[Matrix, Vector]]


@dataclass
class Program:
    """Rows lower <= A v <= upper, and a range for each variable, put together block by block.

    Attributes:
        size: number of variables.
        places: for each node, the variable of each of its values; -1 where it is 0 or nothing depends on it.
        units: of each variable; the solver sees values in these, since its tolerance is absolute.
        low, high: ranges of the variables.
        blocks: (variables, entries) of each block of rows, with the rows' two ends.
        integral: 1 where a variable is 0 or 1.
    """

    size: int
    places: list[Places]
    units: Vector
    low: Vector = field(init=False)
    high: Vector = field(init=False)
    integral: Vector = field(init=False)
    blocks: list[tuple[Matrix, Vector, Vector]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.low, self.high = np.full(self.size, -np.inf), np.full(self.size, np.inf)
        self.integral = np.zeros(self.size)

    def rows(self, terms: list[tuple[Places, Matrix]], lower: Vector, upper: Vector) -> None:
        """Require lower <= sum of matrix @ v[places] <= upper; each row in the units of its first term's variable."""
        total = sparse.csr_matrix((len(lower), self.size))
        for places, matrix in terms:
            kept = np.flatnonzero(places >= 0)
            pick = sparse.csr_matrix((np.ones(len(kept)), (kept, places[kept])), (len(places), self.size))
            total = total + sparse.csr_matrix(matrix) @ pick
        first, matrix = terms[0]
        size = self.units[first] * np.abs(matrix.diagonal())
        self.blocks.append((sparse.diags(1 / size) @ total, lower / size, upper / size))

    def margin(self, y: int, k: int) -> Vector:
        """Logit[y] - logit[k] as a linear function of the variables."""
        cost = np.zeros(self.size)
        for place, sign in ((self.places[-1][y], 1.0), (self.places[-1][k], -1.0)):
            if place >= 0:
                cost[place] += sign
        return cost

    def minimise(self, cost: Vector, *, most: float = np.inf, **options: float) -> Any:
        """SciPy's answer for the least value of cost . v, among the v with cost . v <= ``most``.

        ``options`` are those of :func:`scipy.optimize.milp`; each constraint holds within the solver's 1e-6.
        """
        matrices, lower, upper = zip(*self.blocks, strict=True)
        rows, seen = sparse.vstack(matrices).tocsr() @ sparse.diags(self.units), cost * self.units
        constraints = [LinearConstraint(rows, np.concatenate(lower), np.concatenate(upper))]
        if most < np.inf:
            constraints.append(LinearConstraint(seen[None], -np.inf, most))
        bounds = Bounds(self.low / self.units, self.high / self.units)
        answer = milp(seen, integrality=self.integral, bounds=bounds, constraints=constraints, options=options)
        if answer.x is not None:
            answer.x = answer.x * self.units
        return answer

    def point(self, found: Vector, region: Region) -> Tensor:
        """The input among the values found, float64, moved into the one region's box."""
        center, radius = region.center[0].flatten(), region.radius[0].flatten()
        inner, asked = center.clone(), self.places[0] >= 0
        inner[torch.from_numpy(asked)] = torch.from_numpy(found[self.places[0][asked]])
        return torch.clamp(inner, center - radius, center + radius).view_as(region.center[0])


def _array(values: Tensor) -> Vector:
    return values.detach().double().flatten().numpy()


def _affine(operation: Affine, shape: tuple[int, ...]) -> tuple[Matrix, Vector]:
    """The operation as W and b."""
    size = math.prod(shape)
    zero = torch.zeros(1, *shape, dtype=torch.float64)
    offset = operation.forward(zero).flatten()
    columns = operation.forward(torch.eye(size, dtype=torch.float64).view(size, *shape)).flatten(1) - offset
    return sparse.csr_matrix(columns.detach().numpy().T), _array(offset)


def matrices(graph: Graph) -> Matrices:
    """W and b of each affine node that does more than put the same values into another shape.

    Raises:
        RobustlibError: an activation that a program cannot hold.
    """
    curves = [node.name for node in graph.nodes if isinstance(node.operation, Curve | Product)]
    if curves:
        raise RobustlibError(f"{curves[0]} has no corners; a program is of ReLUs alone, and of what is made of them")
    plain = Input | Add | Relu | Product | Reshape
    return {
        i: _affine(node.operation, graph.nodes[node.inputs[0]].shape)
        for i, node in enumerate(graph.nodes)
        if not isinstance(node.operation, plain)
    }


def _live(graph: Graph, affine: Matrices, relaxations: dict[int, Relaxation]) -> list[Flags]:
    """Flags of the values that the logits depend on: none depends on inputs of units that are never positive."""
    live = [np.zeros(math.prod(node.shape), bool) for node in graph.nodes]
    live[-1][:] = True
    for i in range(len(graph.nodes) - 1, 0, -1):
        if i in relaxations:
            live[i] &= _array(relaxations[i].upper) > 0
        used = live[i] if i not in affine else affine[i][0][live[i]].getnnz(0) > 0
        for place in graph.nodes[i].terms:
            live[place] |= used
    return live


def _units(graph: Graph, region: Region, relaxations: dict[int, Relaxation]) -> list[float]:
    """A unit for each node's values: 1 of those of ordinary size, and otherwise the largest size that is known."""
    sizes = [float(box.center.abs().max()) for box in interval_bounds(graph, Region(region.center, 0 * region.radius))]
    for i, at in relaxations.items():
        largest = float(torch.maximum(at.lower.abs(), at.upper.abs()).max())
        sizes[i] = sizes[graph.nodes[i].inputs[0]] = max(largest, sizes[graph.nodes[i].inputs[0]])
    return [size if size > 0 and not ORDINARY < size < 1 / ORDINARY else 1.0 for size in sizes]


def program_of(
    graph: Graph, affine: Matrices, region: Region, relaxations: dict[int, Relaxation], *, integer: bool
) -> Program:
    """The program of a traced network over one example's box.

    A unit that is never positive has no variable, one that is never negative has its input's, and only the others
    have a switch of the mixed-integer program (Tjeng et al. 2019, section 4.2).

    Args:
        graph: of the network, in float64.
        affine: its :func:`matrices`.
        region: one box.
        relaxations: of every ReLU over that box.
        integer: with switches; False: with the relaxation's upper lines in their place.

    Raises:
        RobustlibError: a program too large.
    """
    live, places, used = _live(graph, affine, relaxations), list[Places](), 0
    open_ = {i: live[i] & (_array(relaxations[i].crossing) > 0) for i in graph.relus}
    for i, node in enumerate(graph.nodes):
        fresh, place = live[i], np.full(len(live[i]), -1)
        if isinstance(node.operation, Relu | Reshape):
            fresh, place = open_.get(i, np.zeros_like(fresh)), np.where(fresh, places[node.inputs[0]], -1)
        place[fresh] = used + np.arange(fresh.sum())
        places, used = [*places, place], used + int(fresh.sum())
    size = used + integer * sum(int(crossing.sum()) for crossing in open_.values())
    if size > LARGEST:
        raise RobustlibError(f"the program has {size} variables; only up to {LARGEST} are tried")
    units = np.ones(size)
    for i, unit in enumerate(_units(graph, region, relaxations)):
        units[places[i][places[i] >= 0]] = unit
    program = Program(size, places, units)
    ends = (_array(region.center + sign * region.radius)[live[0]] for sign in (-1, 1))
    program.low[places[0][live[0]]], program.high[places[0][live[0]]] = ends
    for i, node in enumerate(graph.nodes):
        kept = open_.get(i, live[i])
        at, before = places[i][kept], [places[place] for place in node.terms]
        one, none = sparse.identity(len(at), format="csr"), np.zeros(len(at))
        if isinstance(node.operation, Add):
            program.rows([(at, one), (before[0][kept], -one), (before[1][kept], -one)], none, none)
        elif isinstance(node.operation, Relu):
            switch = np.arange(used, used + len(at)) if integer else None
            _unit(program, at, before[0][kept], relaxations[i], kept, switch)
            used += len(at)
        elif i in affine:
            matrix, offset = affine[i]
            program.rows([(at, one), (before[0], -matrix[kept])], offset[kept], offset[kept])
    return program


def _unit(program: Program, z: Places, before: Places, bounds: Relaxation, kept: Flags, switch: Places | None) -> None:
    """Rows for z = relu(zhat) with l < 0 < u: z >= 0, z >= zhat, and the upper limits on z."""
    bottom, top = (_array(value)[kept] for value in (bounds.lower, bounds.upper))
    one, none, far = sparse.identity(len(z), format="csr"), np.zeros(len(z)), np.full(len(z), np.inf)
    program.low[z] = 0.0
    program.rows([(z, one), (before, -one)], none, far)
    if switch is None:
        # (u - l) z - u zhat <= -u l.
        program.rows([(z, sparse.diags(top - bottom)), (before, -sparse.diags(top))], -far, -top * bottom)
    else:
        # z <= u d and z <= zhat - l (1 - d), d in {0, 1}.
        program.low[switch], program.high[switch], program.integral[switch] = 0.0, 1.0, 1.0
        program.rows([(z, one), (switch, -sparse.diags(top))], -far, none)
        program.rows([(z, one), (before, -one), (switch, -sparse.diags(bottom))], -far, -bottom)
