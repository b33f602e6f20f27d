"""Input regions (l_inf and l_2 balls cut with the domain), and ranges of linear functions over them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import RobustlibError
from ..threat import Ball
from .rows import Rows


@dataclass(frozen=True)
class Region:
    """Boxes center +- radius, and for l_2 also Euclidean balls around x.

    Attributes:
        center, radius: (N, ...) of the smallest box around the region.
        x: (N, ...) the balls' centers, and their (N,) radii ``eps``; None: the box is the region.
    """

    center: Tensor
    radius: Tensor
    x: Tensor | None = None
    eps: Tensor | None = None

    @staticmethod
    def around(x: Tensor, threat: Ball, eps: Tensor | None = None) -> Region:
        """The threat's region at x (N, ...), with its own radius or the (N,) radii ``eps``."""
        eps = torch.full((len(x),), threat.eps, dtype=x.dtype, device=x.device) if eps is None else eps
        wide = eps.view(-1, *[1] * (x.dim() - 1))
        lower, upper = threat.clip(x - wide), threat.clip(x + wide)
        center, radius = (lower + upper) / 2, (upper - lower) / 2
        if threat.domain is None:
            center, radius = x, wide.expand_as(x)
        if threat.norm == "linf":
            return Region(center, radius)
        if threat.norm == "l2":
            return Region(center, radius, x, eps)
        raise RobustlibError(f"threat.norm={threat.norm!r} has no certificate; give an l_inf or l_2 ball")

    def part(self, rows: slice) -> Region:
        """The region of some of the examples."""
        x, eps = (None if value is None else value[rows] for value in (self.x, self.eps))
        return Region(self.center[rows], self.radius[rows], x, eps)

    def points(self, generator: torch.Generator) -> Tensor:
        """(N, ...) one random point of each example's region."""
        side = 2 * torch.rand(self.center.shape, generator=generator, dtype=self.center.dtype) - 1
        found = self.center + self.radius * side.to(self.center.device)
        if self.x is None or self.eps is None:
            return found
        delta = found - self.x
        length = delta.flatten(1).norm(dim=1)
        share = torch.where(length > self.eps, self.eps / length, 1.0)
        return self.x + delta * share.view(-1, *[1] * (delta.dim() - 1))

    def range_of(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """(N, rows...) least and greatest value of each row's a . x; for l_2 in a domain, bounds on them.

        The dual norm of Wong & Kolter 2018, Theorem 1: eps ||a||_1 for l_inf, eps ||a||_2 for l_2. Cut with the
        domain, the l_inf ball is a smaller box, taken exactly; an l_2 ball then gives the better of ball and box.
        """
        middle, reach = rows.pair(self.center), rows.map(torch.abs).pair(self.radius)
        if self.x is None or self.eps is None:
            return middle - reach, middle + reach
        # At a row of zeros the root has no derivative; a floor can only widen the range.
        squares = rows.map(torch.square).pair(torch.ones_like(self.x)).clamp_min(1e-30)
        ball, length = rows.pair(self.x), self.eps[:, None] * squares.sqrt()
        return torch.maximum(ball - length, middle - reach), torch.minimum(ball + length, middle + reach)
