"""Kinds of measured quantities: how far a replication may lie from a published number, and which side of it is good.

They are sizes that a reader of the papers would call the same result, not properties of our networks: what our networks
scatter enters the verdict by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

DECLARED = "29 November 2026"
"""Day on which the margins were written down."""


@dataclass(frozen=True)
class Quantity:
    """A kind of number that a table or figure shows.

    Args:
        name: for readers.
        margin: largest difference from the published number that counts as the same result, in points of per cent, or
            as a fraction of the published number where ``relative``.
        reason: why the margin is this one.
        relative: the margin grows with the published number.
        direction: 1 where a larger value is better for the defence, -1 where a smaller one is, 0 where neither is.
        attacked: it is about the network inside a threat's ball, and so has no good side on an undefended network.
        judged: False of what depends on the machine, or is a setting: it gets no verdict.
    """

    name: str
    margin: float
    reason: str
    relative: bool = False
    direction: int = 0
    attacked: bool = False
    judged: bool = True

    @property
    def as_error(self) -> Quantity:
        """The same, where the metric counts the points that are lost."""
        return replace(self, direction=-self.direction)

    def limit(self, published: float) -> float:
        """The margin in the published number's unit."""
        return self.margin * abs(published) if self.relative else self.margin


CLEAN = Quantity(
    "accuracy or error without an attack",
    0.5,
    "the papers print it to 0.1 or 0.01, and discuss differences from about a point on",
    direction=1,
)
ATTACKED = Quantity(
    "accuracy or error under an attack",
    2.0,
    "two points are what papers of the field report as a gain; the choice of starts alone moves some tenths",
    direction=1,
    attacked=True,
)
BOUND = Quantity(
    "proven accuracy, or bound on the error",
    2.0,
    "as under an attack, since the two are read side by side",
    direction=1,
    attacked=True,
)
SUCCESS = Quantity(
    "success rate of targeted attempts",
    5.0,
    "nine attempts share an image, so that nine hundred of them tell little more than a hundred images do",
    attacked=True,
)
SHARE = Quantity(
    "mean confidence, or share in a bin of a histogram",
    5.0,
    "most are read off printed charts, and a bin's edge moves a share that no reader would call another result",
)
SIZE = Quantity(
    "losses, distances and other numbers with a unit",
    0.1,
    "they have no common scale: a tenth of the published number",
    relative=True,
)
TIME = Quantity("seconds", 0.0, "they are the machine's", judged=False)
SETTING = Quantity("settings of a training", 0.0, "they are read off its specification", judged=False)

QUANTITIES = (CLEAN, ATTACKED, BOUND, SUCCESS, SHARE, SIZE, TIME, SETTING)
"""All kinds, as the book lists them."""
