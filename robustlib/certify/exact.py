"""Exact decisions about small networks over a ball: the least margin, and whether another class occurs.

The linear program over the relaxation, and the mixed-integer program that has no relaxation in it, solved by HiGHS.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import RobustlibError
from ..threat import Ball
from .certificate import begin, margins_in
from .dual import pre_activation_bounds
from .operations import Graph, Linear, Node, Scale
from .region import Region
from .trace import exact, logits_of

SLACK = 1e-4
"""Share of the largest logit at x that a margin must exceed to be proven: programs are in units of that logit, and this
is a hundred times what HiGHS lets a constraint be off."""
_FIRST = 1e9
"""Relative gap at which a search ends: with the first point that it finds."""
_ENDED, _LIMIT, _IMPOSSIBLE = 0, 1, 2
"""SciPy's status of a program that was solved, stopped at a limit, or has no solution."""


def _check(x: Tensor, threat: Ball, name: str) -> None:
    if threat.norm != "linf" or x.dtype != torch.float64:
        raise RobustlibError(f"{name} needs an l_inf ball and float64, not {threat.norm} and {x.dtype}")


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
        RobustlibError: another norm, float32, a program too large, or one without an optimum.
    """
    _check(x, threat, "optimum")
    graph, x = begin(model, x, y, threat)
    classes = graph.classes
    found = torch.zeros(len(x), classes, dtype=torch.float64)
    with exact(x), torch.no_grad():
        from .program import matrices, program_of  # SciPy's optimisers take a second to import

        affine = matrices(graph)
        for i, label in enumerate(y.tolist()):
            region = Region.around(x[i : i + 1], threat)
            program = program_of(graph, affine, region, pre_activation_bounds(graph, region), integer=integer)
            for k in (k for k in range(classes) if k != label):
                answer = program.minimise(program.margin(label, k))
                if answer.status != _ENDED:
                    raise RobustlibError(f"HiGHS found no optimum: {answer.message}")
                found[i, k] = float(answer.fun)
                if integer:
                    logits = logits_of(model, program.point(answer.x, region)[None])[0]
                    found[i, k] = logits[label] - logits[k]
    return found


def _closed(graph: Graph) -> Graph:
    """The graph with an affine operation at its end, where its logits can be put into other units."""
    last = graph.nodes[-1]
    if isinstance(last.operation, Linear | Scale):
        return graph
    one = torch.ones(last.shape, dtype=torch.float64)
    return Graph((*graph.nodes, Node("units", Scale(one, torch.zeros_like(one)), (len(graph.nodes) - 1,), last.shape)))


@dataclass(frozen=True)
class Decision:
    """Decision about all points of each ball, up to stated limits.

    Attributes:
        proven: (N,) every other class's margin exceeds the share :data:`SLACK` of x's largest logit everywhere, by the
            bound or by the solver.
        broken: (N,) the model gives ``points`` another class.
        points: (N, ...) inputs in the balls; x itself where nothing was found.
        switches: (N,) units whose sign the bounds leave open, each a yes or no of the solver's.
        late: (N,) the clock ended it, so that another machine may know more.
    """

    proven: Tensor
    broken: Tensor
    points: Tensor
    switches: Tensor
    late: Tensor


def decide(model: nn.Module, x: Tensor, y: Tensor, threat: Ball, *, nodes: int, seconds: float) -> Decision:
    """Decide robustness exactly: solve a mixed-integer program for each class that the dual bound leaves open.

    One program for each class whose bound does not exceed the share :data:`SLACK`, the nearest to winning first: is
    there a point of the ball whose margin is no greater? "No" proves, up to the solver's arithmetic, which is not
    exact; "yes" counts where the model itself agrees. The first class of which neither is known ends a point.

    Args:
        model: small; of the operations in ``robustlib.certify.SUPPORTED``. Programs are in float64.
        x: (N, ...) inputs in the threat's domain.
        y: (N,) int64 labels.
        threat: l_inf ball.
        nodes: of branch and bound, for each program; 1 or more.
        seconds: wall time at which a program is given up all the same: a guard, since one node may take long.

    Raises:
        RobustlibError: another norm, limits below their least, or a program too large.

    Source: Tjeng et al. 2019, sections 3 and 4.
    """
    if threat.norm != "linf" or nodes < 1 or not seconds > 0:
        raise RobustlibError(f"decide of {threat}, nodes={nodes}, seconds={seconds}; give an l_inf ball, 1 and above 0")
    graph, x = begin(model, x, y, threat)
    graph = _closed(graph.to(torch.float64))
    proven, broken, late = (torch.zeros(len(x), dtype=torch.bool) for _ in range(3))
    points, switches = x.clone(), torch.zeros(len(x), dtype=torch.int64)
    with exact(x), torch.no_grad():
        from .program import matrices, program_of

        affine, last = matrices(graph), len(graph.nodes) - 1
        for i, label in enumerate(y.tolist()):
            region = Region.around(x[i : i + 1].double(), threat)
            size = float(graph(x[i : i + 1].double()).abs().max()) or 1.0
            bounds, _, relaxations = margins_in(graph, y[i : i + 1], region, method="dual", slopes="adaptive")
            rivals = [k for k in bounds[0].argsort().tolist() if k != label and bounds[0, k] <= SLACK * size]
            # In units of the largest logit: the solver's tolerance is absolute.
            scaled = affine | {last: (affine[last][0] / size, affine[last][1] / size)}
            program = program_of(graph, scaled, region, relaxations, integer=True)
            switches[i], proven[i] = int(program.integral.sum()), True
            for k in rivals:
                answer = program.minimise(
                    program.margin(label, k), most=SLACK, node_limit=nodes, time_limit=seconds, mip_rel_gap=_FIRST
                )
                if answer.status == _IMPOSSIBLE:
                    continue
                proven[i], late[i] = False, "ime limit" in answer.message
                if answer.x is not None:
                    moved = threat.project(program.point(answer.x, region).to(x)[None], x[i : i + 1])
                    broken[i] = bool(logits_of(model, moved).argmax(1) != label)
                    points[i] = moved[0] if broken[i] else x[i]
                break
    return Decision(proven, broken, points, switches, late)
